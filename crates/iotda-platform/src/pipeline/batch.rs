//! The validating step of Gateway Reporting Child Device Property: `devices[]`, how many, and whose children they are.
//! What each child reports is read by `services`.

use super::json::{self, Object};
use super::services::{self, Model, Services, Validated};
use crate::journal::{Report, ReportKind};
use crate::refusal::Refusal;
use crate::registry::{Registry, is_device_id};

/// Reads the body of a batch. It is accepted as a whole, or refused as a whole.
pub(super) fn validate(
    registry: &Registry,
    is_strict: bool,
    gateway_id: &str,
    body: &[u8],
    now_ms: i64,
) -> Result<Validated, Refusal> {
    let entries = read_body(body).map_err(Refusal::invalid_input)?;
    let limit = registry.limits().children_per_batch;
    if entries.len() > limit {
        return Err(Refusal::too_many_children(entries.len(), limit));
    }
    let children =
        entries.into_iter().map(read_child).collect::<Result<Vec<_>, _>>().map_err(Refusal::invalid_input)?;
    check_children(registry, gateway_id, &children)?;
    let mut validated = Validated::default();
    for (number, child) in children.into_iter().enumerate() {
        let model = Model { product: registry.model_of(&child.device_id), is_strict };
        let place = format!("devices[{number}].services");
        let Services { kept, discarded } =
            services::read_list(model, child.services, &place, now_ms).map_err(Refusal::invalid_input)?;
        validated.discarded.extend(discarded);
        if kept.is_empty() {
            continue;
        }
        validated.reports.push(Report {
            number: 0,
            request: 0,
            kind: ReportKind::Batch,
            reporter: gateway_id.to_owned(),
            device_id: child.device_id,
            received_at_ms: now_ms,
            body: Vec::new(),
            services: kept,
        });
    }
    Ok(validated)
}

/// One entry of the list, not read further than this.
struct Child<'a> {
    device_id: String,
    services: &'a str,
}

fn read_body(body: &[u8]) -> Result<Vec<(usize, &str)>, String> {
    let place = "the body";
    let object = Object::parse(json::utf8(body)?, place)?;
    object.only(&["devices"], place)?;
    Ok(json::list(object.need("devices", place)?, "devices")?.into_iter().enumerate().collect())
}

fn read_child((number, json): (usize, &str)) -> Result<Child<'_>, String> {
    let place = format!("devices[{number}]");
    let object = Object::parse(json, &place)?;
    object.only(&["device_id", "services"], &place)?;
    let device_id = json::string(object.need("device_id", &place)?, &format!("{place}.device_id"))?;
    if !is_device_id(&device_id) {
        return Err(format!("{place}.device_id must be 1 to 128 letters, digits, underscores and hyphens"));
    }
    Ok(Child { device_id, services: object.need("services", &place)? })
}

fn check_children(registry: &Registry, gateway_id: &str, children: &[Child<'_>]) -> Result<(), Refusal> {
    let foreign: Vec<&str> = children
        .iter()
        .map(|child| child.device_id.as_str())
        .filter(|child| !registry.is_child(child, gateway_id))
        .collect();
    if foreign.is_empty() {
        return Ok(());
    }
    Err(Refusal::foreign_children(format!("not children of gateway {gateway_id:?}: {}", foreign.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DataType, Device, Product};
    use serde_json::{Value, json};

    fn registry() -> Registry {
        let mut registry = Registry::new();
        registry.add_product(Product::new("p").with_property("s", "a", DataType::Int)).expect("a new product");
        for device in [
            Device::new("gateway"),
            Device::new("open").with_any_child(),
            Device::new("other"),
            Device::new("modelled").with_gateway("gateway").with_product("p"),
            Device::new("foreign").with_gateway("other"),
        ] {
            registry.add_device(device).expect("a new device");
        }
        for number in 0..51 {
            let child = Device::new(format!("child_{number}")).with_gateway("gateway");
            registry.add_device(child).expect("a new device");
        }
        registry
    }

    fn child(device_id: &str) -> Value {
        json!({ "device_id": device_id, "services": [{ "service_id": "s", "properties": { "a": 1 } }] })
    }

    fn outcome(gateway: &str, devices: impl Into<Value>) -> Result<Vec<String>, (u16, &'static str)> {
        let body = json!({ "devices": devices.into() }).to_string();
        validate(&registry(), true, gateway, body.as_bytes(), 0)
            .map(|validated| validated.reports.into_iter().map(|report| report.device_id).collect())
            .map_err(|refusal| (refusal.status, refusal.code))
    }

    fn children(count: usize) -> Vec<Value> {
        (0..count).map(|number| child(&format!("child_{number}"))).collect()
    }

    #[test]
    fn fifty_children_and_no_more() {
        assert_eq!(outcome("gateway", children(50)).map(|reports| reports.len()), Ok(50));
        assert_eq!(outcome("gateway", children(51)), Err((403, "IOTDA.021103")));
        // The number is looked at before the children are.
        assert_eq!(outcome("other", vec![json!(1); 51]), Err((403, "IOTDA.021103")));
    }

    #[test]
    fn foreign_and_unknown_children() {
        let foreign = Err((400, "IOTDA.021104"));
        assert_eq!(outcome("gateway", vec![child("child_0"), child("foreign")]), foreign);
        assert_eq!(outcome("gateway", vec![child("unknown")]), foreign);
        assert_eq!(outcome("gateway", vec![child("gateway")]), foreign);
        assert_eq!(outcome("modelled", vec![child("child_0")]), foreign);
        assert_eq!(outcome("open", vec![child("unknown")]), Ok(vec!["unknown".to_owned()]));
    }

    #[test]
    fn the_same_child_twice_makes_two_reports() {
        assert_eq!(outcome("gateway", vec![child("child_0"), child("child_0")]).map(|reports| reports.len()), Ok(2));
    }

    #[test]
    fn malformed_batches() {
        let malformed = Err((400, "IOTDA.000006"));
        for devices in [
            json!([]),
            json!({}),
            json!([1]),
            json!([["child_0", []]]),
            json!([{ "device_id": "child_0" }]),
            json!([{ "services": [{ "service_id": "s", "properties": {} }] }]),
            json!([{ "device_id": "child_0", "services": [] }]),
            json!([{ "device_id": "child 0", "services": [{ "service_id": "s", "properties": {} }] }]),
            json!([{ "device_id": 1, "services": [{ "service_id": "s", "properties": {} }] }]),
            json!([{ "device_id": "child_0", "services": [{ "service_id": "s", "properties": {} }], "more": 1 }]),
            json!([{ "device_id": "modelled", "services": [{ "service_id": "s", "properties": { "a": "1" } }] }]),
        ] {
            assert_eq!(outcome("gateway", devices.clone()), malformed, "{devices}");
        }
        for body in [r#"{"devices":[],"devices":[]}"#, r#"{"services":[]}"#, "{}", "[]", ""] {
            let refusal = validate(&registry(), true, "gateway", body.as_bytes(), 0).expect_err("a refusal");
            assert_eq!(refusal.code, "IOTDA.000006", "{body}");
        }
    }

    #[test]
    fn a_report_for_each_child() {
        let body = json!({ "devices": [child("child_1"), child("child_0")] }).to_string();
        let reports = validate(&registry(), true, "gateway", body.as_bytes(), 77).expect("a good batch").reports;
        let reported: Vec<_> = reports
            .iter()
            .map(|report| (report.reporter.as_str(), report.device_id.as_str(), report.received_at_ms))
            .collect();
        assert_eq!(reported, [("gateway", "child_1", 77), ("gateway", "child_0", 77)]);
        assert_eq!(reports[0].services[0].properties, r#"{"a":1}"#);
    }
}
