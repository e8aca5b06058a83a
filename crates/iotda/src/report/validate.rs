//! Request bodies that the caller wrote as JSON: checked against the shape that the HTTPS access page
//! documents, and otherwise left as they are.
//!
//! Members that the page does not name are refused. The platform ignores what it does not know, so a
//! misspelt `event_time` would silently lose the time of a measurement.

use std::fmt;

use crate::error::{Error, Result};
use crate::report::calendar;
use crate::report::identifier::check_device_id;
use crate::report::json::scan::{Fault, Kind, Scanner};

/// Checks the body of a property report: `{"services":[…]}`.
pub(crate) fn check_properties(text: &str) -> Result<()> {
    let mut walk = Walk { scanner: Scanner::new(text) };
    let mut members = Members::default();
    walk.object(Place::BODY, |walk, name| {
        members.first(name, &["services"], Place::BODY)?;
        walk.services(Place::BODY)
    })?;
    members.require(0, "services", Place::BODY)?;
    walk.scanner.end().map_err(not_json)
}

/// Checks the body of a gateway batch, `{"devices":[…]}`, and returns each child as it is written.
pub(crate) fn children(text: &str) -> Result<Vec<&str>> {
    let mut children = Vec::new();
    let mut walk = Walk { scanner: Scanner::new(text) };
    let mut members = Members::default();
    walk.object(Place::BODY, |walk, name| {
        members.first(name, &["devices"], Place::BODY)?;
        walk.array(Place::BODY.member("devices"), |walk, index| {
            let before = walk.scanner.at();
            walk.child(Place { child: Some(index), ..Place::BODY })?;
            children.push(&text[before..walk.scanner.at()]);
            Ok(())
        })
    })?;
    members.require(0, "devices", Place::BODY)?;
    walk.scanner.end().map_err(not_json)?;
    Ok(children)
}

fn not_json(fault: Fault) -> Error {
    Error::invalid(format!("the body is not valid JSON: {} at byte {}", fault.what, fault.at))
}

/// Where something stands, for messages; no text is made before one is needed.
#[derive(Clone, Copy)]
struct Place {
    child: Option<usize>,
    service: Option<usize>,
    member: &'static str,
}

impl Place {
    const BODY: Place = Place { child: None, service: None, member: "" };

    fn member(self, member: &'static str) -> Self {
        Place { member, ..self }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut dot = "";
        if let Some(child) = self.child {
            write!(f, "devices[{child}]")?;
            dot = ".";
        }
        if let Some(service) = self.service {
            write!(f, "{dot}services[{service}]")?;
            dot = ".";
        }
        match (self.member, dot) {
            ("", "") => f.write_str("the body"),
            ("", _) => Ok(()),
            (member, dot) => write!(f, "{dot}{member}"),
        }
    }
}

/// Which of the documented members an object has shown, as a bit each.
#[derive(Default)]
struct Members {
    seen: u8,
}

impl Members {
    /// The number of `name` among `known`; unknown names and second appearances are refused.
    fn first(&mut self, name: &str, known: &[&str], place: Place) -> Result<usize> {
        let Some(number) = known.iter().position(|known| *known == name) else {
            return Err(Error::invalid(format!(
                "{place} has the member \"{}\", which the platform does not document: it knows {}",
                name.escape_debug().take(80).collect::<String>(),
                known.join(", ")
            )));
        };
        if self.seen & (1 << number) != 0 {
            return Err(Error::invalid(format!("{place} has the member \"{name}\" twice")));
        }
        self.seen |= 1 << number;
        Ok(number)
    }

    fn require(&self, number: usize, name: &str, place: Place) -> Result<()> {
        if self.seen & (1 << number) == 0 {
            return Err(Error::invalid(format!("{place} lacks the member \"{name}\"")));
        }
        Ok(())
    }
}

struct Walk<'a> {
    scanner: Scanner<'a>,
}

impl<'a> Walk<'a> {
    fn child(&mut self, place: Place) -> Result<()> {
        let mut members = Members::default();
        self.object(place, |walk, name| match members.first(name, &["device_id", "services"], place)? {
            0 => {
                let place = place.member("device_id");
                let id = walk.text(place)?;
                check_device_id(id, || place.to_string())
            }
            _ => walk.services(place),
        })?;
        members.require(0, "device_id", place)?;
        members.require(1, "services", place)
    }

    /// The services of `place`.
    fn services(&mut self, place: Place) -> Result<()> {
        self.array(place.member("services"), |walk, index| walk.service(Place { service: Some(index), ..place }))
    }

    fn service(&mut self, place: Place) -> Result<()> {
        let known = ["service_id", "properties", "event_time"];
        let mut members = Members::default();
        self.object(place, |walk, name| match members.first(name, &known, place)? {
            0 if walk.text(place.member("service_id"))?.is_empty() => Err(Error::invalid(format!(
                "{place}.service_id is empty: it takes the service's id in the product model"
            ))),
            0 => Ok(()),
            1 => {
                walk.expect(Kind::Object, place.member("properties"))?;
                walk.scanner.value().map(drop).map_err(not_json)
            }
            _ => {
                let text = walk.text(place.member("event_time"))?;
                if calendar::is_event_time(text.as_bytes()) {
                    return Ok(());
                }
                Err(Error::invalid(format!(
                    "{place}.event_time is \"{}\": it takes UTC in the form 2021-08-13T10:10:10.555Z, years 1970 to 9999; \
                     in the place of anything else the platform puts its own time",
                    text.escape_debug().take(40).collect::<String>()
                )))
            }
        })?;
        members.require(0, "service_id", place)?;
        members.require(1, "properties", place)
    }

    /// A string, as written between its quotes.
    fn text(&mut self, place: Place) -> Result<&'a str> {
        self.expect(Kind::String, place)?;
        let quoted = self.scanner.value().map_err(not_json)?;
        Ok(&quoted[1..quoted.len() - 1])
    }

    /// An array with at least one element.
    fn array(&mut self, place: Place, mut element: impl FnMut(&mut Self, usize) -> Result<()>) -> Result<()> {
        self.expect(Kind::Array, place)?;
        self.scanner.enter();
        let mut count = 0;
        while self.scanner.next_item(count == 0, b']').map_err(not_json)? {
            element(self, count)?;
            count += 1;
        }
        if count == 0 {
            return Err(Error::invalid(format!("{place} is empty: it takes at least one element")));
        }
        Ok(())
    }

    fn object(&mut self, place: Place, mut member: impl FnMut(&mut Self, &'a str) -> Result<()>) -> Result<()> {
        self.expect(Kind::Object, place)?;
        self.scanner.enter();
        let mut first = true;
        while self.scanner.next_item(first, b'}').map_err(not_json)? {
            let name = self.scanner.name().map_err(not_json)?;
            member(self, name)?;
            first = false;
        }
        Ok(())
    }

    fn expect(&self, wanted: Kind, place: Place) -> Result<()> {
        match self.scanner.kind().map_err(not_json)? {
            kind if kind == wanted => Ok(()),
            other => Err(Error::invalid(format!("{place} is {}: it takes {}", other.name(), wanted.name()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROPERTIES: &str = r#"{
  "services" : [ {
    "service_id" : "serviceId",
    "properties" : { "Height" : 124, "Speed" : 23.24, "n" : 1e400, "n" : 1 },
    "event_time" : "2021-08-13T10:10:10.555Z"
  } ]
}"#;

    #[test]
    fn the_pages_example_passes() {
        check_properties(PROPERTIES).unwrap();
    }

    #[test]
    fn children_are_returned_as_written() {
        let service = r#"{"service_id":"s","properties":{ "a":1 }}"#;
        let one = format!(r#"{{ "device_id" : "c1","services":[{service}]}}"#);
        let two = format!(r#"{{"services":[{service},{service}],"device_id":"c2"}}"#);
        assert_eq!(children(&format!(" {{\"devices\" : [ {one} , {two} ]}}")).unwrap(), [one, two]);
    }

    #[test]
    fn refusals_name_the_place() {
        for (text, part) in [
            ("", "the body is not valid JSON"),
            ("[]", "the body is an array: it takes an object"),
            ("{}", "the body lacks the member \"services\""),
            (r#"{"services":[]}"#, "services is empty"),
            (r#"{"services":{}}"#, "services is an object: it takes an array"),
            (r#"{"services":[1]}"#, "services[0] is a number"),
            (r#"{"devices":[]}"#, "the body has the member \"devices\", which"),
            (r#"{"services":[{"service_id":"s"}]}"#, "services[0] lacks the member \"properties\""),
            (r#"{"services":[{"properties":{}}]}"#, "services[0] lacks the member \"service_id\""),
            (r#"{"services":[{"service_id":"","properties":{}}]}"#, "services[0].service_id is empty"),
            (r#"{"services":[{"service_id":7,"properties":{}}]}"#, "services[0].service_id is a number"),
            (r#"{"services":[{"service_id":"s","properties":[]}]}"#, "services[0].properties is an array"),
            (
                r#"{"services":[{"service_id":"s","properties":{},"eventTime":1}]}"#,
                "services[0] has the member \"eventTime\"",
            ),
            (r#"{"services":[{"service_id":"s","service_id":"s","properties":{}}]}"#, "\"service_id\" twice"),
            (
                r#"{"services":[{"service_id":"s","properties":{},"event_time":"2021-08-13T10:10:10Z"}]}"#,
                "services[0].event_time is \"2021-08-13T10:10:10Z\"",
            ),
            (
                r#"{"services":[{"service_id":"s","properties":{},"event_time":null}]}"#,
                "services[0].event_time is true, false or null",
            ),
            (r#"{"services":[{"service_id":"s","properties":{}}]} x"#, "after the end of the value at byte 50"),
            (r#"{"services":[{"service_id":"s","properties":{"a":}}]}"#, "expected a JSON value at byte 49"),
        ] {
            let error = check_properties(text).unwrap_err();
            assert!(error.message().contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn refusals_in_a_batch_name_the_child() {
        for (text, part) in [
            (r#"{"devices":[]}"#, "devices is empty"),
            (r#"{"services":[]}"#, "the body has the member \"services\""),
            (r#"{"devices":[{"device_id":"a b","services":[]}]}"#, "devices[0].device_id has the character ' '"),
            (r#"{"devices":[{"device_id":"a","services":[]}]}"#, "devices[0].services is empty"),
            (
                r#"{"devices":[{"services":[{"service_id":"s","properties":{}}]}]}"#,
                "devices[0] lacks the member \"device_id\"",
            ),
            (
                r#"{"devices":[{"device_id":"a","services":[{"service_id":"s","properties":{}},{"service_id":"s","properties":0}]}]}"#,
                "devices[0].services[1].properties is a number",
            ),
        ] {
            let error = children(text).unwrap_err();
            assert!(error.message().contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn deep_properties_are_refused() {
        let deep = |levels: usize| {
            format!(
                r#"{{"services":[{{"service_id":"s","properties":{{"a":{}{}}}}}]}}"#,
                "[".repeat(levels),
                "]".repeat(levels)
            )
        };
        check_properties(&deep(100)).unwrap();
        let error = check_properties(&deep(200_000)).unwrap_err();
        assert!(error.message().contains("nested deeper"), "{error}");
    }
}
