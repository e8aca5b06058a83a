//! The validating step of Device Property Reporting: `services[]` as the page's table ServiceProperty has it, and as
//! the product's model allows. `batch` uses it for each child.

use super::json::{self, Object};
use crate::Product;
use crate::calendar;
use crate::journal::{Report, ReportKind, ServiceReport};
use crate::refusal::Refusal;
use crate::registry::Registry;

/// What the values of a report are held against.
#[derive(Clone, Copy)]
pub(super) struct Model<'a> {
    /// `None` if anything goes.
    pub(super) product: Option<&'a Product>,
    /// What does not fit is refused; it is thrown away if not.
    pub(super) is_strict: bool,
}

/// The reports of a request, and why some of what it reports was thrown away.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Validated {
    pub(super) reports: Vec<Report>,
    pub(super) discarded: Vec<String>,
}

/// The services that fit, and what was wrong with the others.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Services {
    pub(super) kept: Vec<ServiceReport>,
    pub(super) discarded: Vec<String>,
}

/// Reads the body of a property report, and checks it against the model of the device's product.
pub(super) fn validate(
    registry: &Registry,
    is_strict: bool,
    device_id: &str,
    body: &[u8],
    now_ms: i64,
) -> Result<Validated, Refusal> {
    let model = Model { product: registry.model_of(device_id), is_strict };
    let Services { kept, discarded } = read_body(model, body, now_ms).map_err(Refusal::invalid_input)?;
    if kept.is_empty() {
        return Ok(Validated { reports: Vec::new(), discarded });
    }
    let report = Report {
        number: 0,
        request: 0,
        kind: ReportKind::Properties,
        reporter: device_id.to_owned(),
        device_id: device_id.to_owned(),
        received_at_ms: now_ms,
        body: body.to_vec(),
        services: kept,
    };
    Ok(Validated { reports: vec![report], discarded })
}

fn read_body(model: Model<'_>, body: &[u8], now_ms: i64) -> Result<Services, String> {
    let place = "the body";
    let object = Object::parse(json::utf8(body)?, place)?;
    object.only(&["services"], place)?;
    read_list(model, object.need("services", place)?, "services", now_ms)
}

/// Reads a list of services. `place` is what an error calls it.
pub(super) fn read_list(model: Model<'_>, services: &str, place: &str, now_ms: i64) -> Result<Services, String> {
    let mut read_so_far = Services::default();
    for (number, service) in json::list(services, place)?.into_iter().enumerate() {
        let place = format!("{place}[{number}]");
        let (service, misfit) = read(model, service, &place, now_ms)?;
        match misfit {
            None => read_so_far.kept.push(service),
            Some(misfit) => read_so_far.discarded.push(misfit),
        }
    }
    // It is kept for long, and a list that has grown may have room for twice as many.
    read_so_far.kept.shrink_to_fit();
    Ok(read_so_far)
}

/// Reads one service, and says why it does not fit the model if that is no reason to refuse it.
fn read(model: Model<'_>, service: &str, place: &str, now_ms: i64) -> Result<(ServiceReport, Option<String>), String> {
    let object = Object::parse(service, place)?;
    object.only(&["service_id", "properties", "event_time"], place)?;
    let service_id = json::string(object.need("service_id", place)?, &format!("{place}.service_id"))?;
    if service_id.is_empty() {
        return Err(format!("{place}.service_id is empty"));
    }
    let properties = object.need("properties", place)?;
    let properties_place = format!("{place}.properties");
    let members = Object::parse(properties, &properties_place)?;
    let mut misfit = None;
    if let Some(product) = model.product {
        // Without a model nobody asks for the values: 1e400 is kept as it was sent.
        let values = members.values(&properties_place);
        let check = |values: Vec<_>| product.check(&service_id, &values).map_err(|error| format!("{place}: {error}"));
        misfit = values.and_then(check).err();
        if let (Some(misfit), true) = (&misfit, model.is_strict) {
            return Err(misfit.clone());
        }
    }
    let event_time_given = match object.get("event_time") {
        Some(event_time) => Some(json::string(event_time, &format!("{place}.event_time"))?),
        None => None,
    };
    // "If this parameter is not carried in the reported data or is in an incorrect format, the time when IoTDA receives
    // the data is used." That is about the string: a value of another type is refused like any other.
    let event_time_applied_ms = event_time_given.as_deref().and_then(calendar::parse_event_time).unwrap_or(now_ms);
    let properties = properties.to_owned();
    Ok((ServiceReport { service_id, properties, event_time_applied_ms, event_time_given }, misfit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DataType;
    use proptest::prelude::*;
    use serde_json::Value;

    const NOW_MS: i64 = 1_700_000_000_000;

    const ANYTHING: Model<'static> = Model { product: None, is_strict: true };

    fn strict(product: &Product) -> Model<'_> {
        Model { product: Some(product), is_strict: true }
    }

    fn read_text(body: &str) -> Result<Vec<ServiceReport>, String> {
        read_body(ANYTHING, body.as_bytes(), NOW_MS).map(|services| services.kept)
    }

    #[test]
    fn the_page_s_example() {
        let body = r#"{
  "services" : [ {
    "service_id" : "serviceId",
    "properties" : {
      "Height" : 124,
      "Speed" : 23.24
    },
    "event_time" : "2021-08-13T10:10:10.555Z"
  } ]
}"#;
        let expected = ServiceReport {
            service_id: "serviceId".to_owned(),
            properties: "{\n      \"Height\" : 124,\n      \"Speed\" : 23.24\n    }".to_owned(),
            event_time_applied_ms: 1_628_849_410_555,
            event_time_given: Some("2021-08-13T10:10:10.555Z".to_owned()),
        };
        assert_eq!(read_text(body), Ok(vec![expected]));
    }

    #[test]
    fn an_event_time_that_is_none_gives_way_to_the_time_of_receipt() {
        let event_time = |text: &str| {
            let body = format!(r#"{{"services":[{{"service_id":"s","properties":{{}}{text}}}]}}"#);
            read_text(&body).map(|services| (services[0].event_time_applied_ms, services[0].event_time_given.clone()))
        };
        assert_eq!(event_time(""), Ok((NOW_MS, None)));
        assert_eq!(
            event_time(r#","event_time":"20210813T101010Z""#),
            Ok((NOW_MS, Some("20210813T101010Z".to_owned())))
        );
        assert_eq!(event_time(r#","event_time":"""#), Ok((NOW_MS, Some(String::new()))));
        assert!(event_time(r#","event_time":1628849410555"#).is_err());
        assert!(event_time(r#","event_time":null"#).is_err());
    }

    #[test]
    fn malformed_bodies_and_what_is_said_of_them() {
        for (body, reason) in [
            ("", "the body"),
            ("[]", "the body"),
            ("{}", "\"services\" is missing"),
            (r#"{"services":[]}"#, "services is an empty list"),
            (r#"{"services":{}}"#, "services must be a list"),
            (r#"{"services":null}"#, "services must be a list"),
            (r#"{"services":[1]}"#, "services[0]"),
            (r#"{"services":[["s",{}]]}"#, "services[0]"),
            (r#"{"services":[{"properties":{}}]}"#, "services[0]: \"service_id\" is missing"),
            (r#"{"services":[{"service_id":1,"properties":{}}]}"#, "services[0].service_id must be a string"),
            (r#"{"services":[{"service_id":"","properties":{}}]}"#, "services[0].service_id is empty"),
            (r#"{"services":[{"service_id":"s"}]}"#, "services[0]: \"properties\" is missing"),
            (r#"{"services":[{"service_id":"s","properties":[]}]}"#, "services[0].properties"),
            (r#"{"services":[{"service_id":"s","properties":"{}"}]}"#, "services[0].properties"),
            (r#"{"services":[{"service_id":"s","properties":{"a":1,"a":2}}]}"#, "\"a\" is there twice"),
            (r#"{"services":[{"service_id":"s","properties":{"a":NaN}}]}"#, "the body"),
            (
                r#"{"services":[{"service_id":"s","properties":{}},{"service_id":"s","properties":{},"eventTime":""}]}"#,
                "services[1]: \"eventTime\" is not documented here",
            ),
            (r#"{"services":[{"service_id":"s","properties":{}}],"more":1}"#, "\"more\" is not documented here"),
            (
                r#"{"services":[{"service_id":"s","properties":{}}],"services":[{"service_id":"s","properties":{}}]}"#,
                "\"services\" is there twice",
            ),
            (r#"{"services":[{"service_id":"s","properties":{}}]} x"#, "the body"),
        ] {
            let error = read_text(body).expect_err(body);
            assert!(error.contains(reason), "{body} gives {error}");
        }
        let not_utf8 = b"{\"services\":[{\"service_id\":\"\xff\",\"properties\":{}}]}";
        assert!(read_body(ANYTHING, not_utf8, NOW_MS).expect_err("an error").contains("not UTF-8"));
    }

    #[test]
    fn numbers_that_no_double_holds_are_kept_where_no_model_asks_for_their_value() {
        let body = r#"{"services":[{"service_id":"s","properties":{"a":1e400,"b":12345678901234567890123}}]}"#;
        assert_eq!(read_text(body).expect(body)[0].properties, r#"{"a":1e400,"b":12345678901234567890123}"#);
        let product = Product::new("p").with_property("s", "a", DataType::Decimal);
        assert!(read_body(strict(&product), body.as_bytes(), NOW_MS).unwrap_err().contains("services[0].properties.a"));
    }

    #[test]
    fn the_model_is_kept() {
        let product = Product::new("p").with_property("s", "Speed", DataType::Decimal);
        let body = |property: &str| format!(r#"{{"services":[{{"service_id":"s","properties":{{{property}}}}}]}}"#);
        let check = |property: &str| read_body(strict(&product), body(property).as_bytes(), NOW_MS);
        assert!(check(r#""Speed":1.5"#).is_ok());
        assert!(check(r#""Speed":"1.5""#).unwrap_err().contains("must be a number"));
        assert!(check(r#""Hight":1.5"#).unwrap_err().contains("no property"));
    }

    #[test]
    fn what_does_not_fit_a_lenient_model_is_thrown_away_and_the_rest_kept() {
        let product = Product::new("p").with_property("s", "a", DataType::Int);
        let model = Model { product: Some(&product), is_strict: false };
        let body = r#"{"services":[{"service_id":"s","properties":{"a":1}},{"service_id":"s","properties":{"a":"1"}},
            {"service_id":"t","properties":{}},{"service_id":"s","properties":{"a":1e400}}]}"#;
        let Services { kept, discarded } = read_body(model, body.as_bytes(), NOW_MS).expect("a good form");
        assert_eq!(kept.iter().map(|service| service.properties.as_str()).collect::<Vec<_>>(), [r#"{"a":1}"#]);
        let expected = ["services[1]: ", "no service \"t\"", "services[3].properties.a"];
        assert_eq!(discarded.len(), 3);
        assert!(discarded.iter().zip(expected).all(|(reason, expected)| reason.contains(expected)), "{discarded:?}");
        // What is malformed is refused all the same.
        assert!(read_body(model, br#"{"services":[{"service_id":"t"}]}"#, NOW_MS).is_err());
    }

    /// JSON of any shape, about half of it near to a property report.
    fn some_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        let name = prop_oneof![
            Just("services".to_owned()),
            Just("service_id".to_owned()),
            Just("properties".to_owned()),
            Just("event_time".to_owned()),
            ".{0,3}",
        ];
        let tree = leaf.prop_recursive(5, 40, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::hash_map(name.clone(), inner, 0..4).prop_map(|map| map.into_iter().collect()),
            ]
        });
        let service = (tree.clone(), tree.clone(), ".{0,3}").prop_map(|(properties, more, name)| {
            serde_json::json!({ "service_id": "s", "properties": { "a": properties }, name: more })
        });
        prop_oneof![
            tree.clone(),
            prop::collection::vec(prop_oneof![service.clone(), service, tree], 0..3)
                .prop_map(|services| serde_json::json!({ "services": services })),
        ]
    }

    /// The page's two tables, once more, over a tree of values.
    fn is_a_property_report(body: &Value) -> bool {
        let is_service = |service: &Value| {
            service.as_object().is_some_and(|service| {
                service.keys().all(|name| ["service_id", "properties", "event_time"].contains(&name.as_str()))
                    && service.get("service_id").and_then(Value::as_str).is_some_and(|id| !id.is_empty())
                    && service.get("properties").is_some_and(Value::is_object)
                    && service.get("event_time").is_none_or(Value::is_string)
            })
        };
        body.as_object().is_some_and(|body| {
            body.len() == 1
                && body
                    .get("services")
                    .and_then(Value::as_array)
                    .is_some_and(|services| !services.is_empty() && services.iter().all(is_service))
        })
    }

    proptest! {
        #[test]
        fn it_accepts_what_the_tables_describe_and_nothing_else(body in some_json()) {
            prop_assert_eq!(read_text(&body.to_string()).is_ok(), is_a_property_report(&body), "{}", body);
        }

        #[test]
        fn what_it_keeps_is_what_was_sent(body in some_json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&body).expect("JSON") } else { body.to_string() };
            if let Ok(services) = read_text(&text) {
                for (number, service) in services.iter().enumerate() {
                    prop_assert!(text.contains(&service.properties));
                    let kept: Value = serde_json::from_str(&service.properties).expect("JSON");
                    prop_assert_eq!(&kept, &body["services"][number]["properties"]);
                }
            }
        }

        #[test]
        fn any_bytes_give_an_answer(body in prop::collection::vec(any::<u8>(), 0..64), cut in 0usize..120, at in 0usize..120, byte: u8) {
            let _ = read_body(ANYTHING, &body, NOW_MS);
            // A good body with one byte changed and its end cut off is accepted only if it is still JSON.
            let good = br#"{"services":[{"service_id":"s","properties":{"a":[1,"\u00e4",{"b":null}]},"event_time":"x"}]}"#;
            let mut bent = good.to_vec();
            let length = bent.len();
            bent[at % length] = byte;
            bent.truncate(length - cut.min(length));
            if read_body(ANYTHING, &bent, NOW_MS).is_ok() {
                let value: Value = serde_json::from_slice(&bent).expect("what is accepted is JSON");
                prop_assert!(is_a_property_report(&value));
            }
        }
    }
}
