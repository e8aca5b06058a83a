//! Property reports as a caller describes them, and their JSON: checked and measured, then written.
//!
//! The shape is that of the HTTPS access page, tables "ServiceProperty" and "DeviceProperty". Bodies
//! that a caller wrote as JSON are checked in [`crate::report::validate`]; how a batch is cut into requests is
//! decided in [`crate::report::split`].

use std::fmt;

use crate::error::{Error, Result};
use crate::report::calendar;
use crate::report::identifier::check_device_id;
use crate::report::json::{scan, write};

/// The properties of one service of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service<'a> {
    /// The service's id in the product model; not empty.
    pub service_id: &'a str,
    /// A JSON object, passed to the platform byte for byte. [`Properties`](crate::Properties) builds one.
    pub properties: &'a str,
    /// When the values were measured, in Unix milliseconds (UTC), years 1970 to 9999. `None`: the
    /// platform takes the time at which it receives the report.
    pub event_time_ms: Option<i64>,
}

/// What a gateway reports for one of its child devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child<'a> {
    /// The child's device id.
    pub device_id: &'a str,
    /// Not empty.
    pub services: &'a [Service<'a>],
}

/// Where a list of services stands, for messages.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Device,
    Child(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Device => f.write_str("services"),
            Place::Child(index) => write!(f, "children[{index}].services"),
        }
    }
}

/// The body of a property report.
pub(crate) fn properties_body(services: &[Service<'_>]) -> Result<Vec<u8>> {
    let size = check_services(services, Place::Device)? + 2;
    let mut body = Vec::new();
    body.try_reserve_exact(size).map_err(|_| Error::no_memory(size))?;
    body.push(b'{');
    write_services(&mut body, services);
    body.push(b'}');
    Ok(body)
}

/// Checks one element of a batch's `devices`, and returns how many bytes [`write_child`] makes of it.
pub(crate) fn check_child(child: &Child<'_>, index: usize) -> Result<usize> {
    check_device_id(child.device_id, || format!("children[{index}].device_id"))?;
    let services = check_services(child.services, Place::Child(index))?;
    Ok(CHILD.0.len() + child.device_id.len() + CHILD.1.len() + services + 1)
}

/// Appends one element of a batch's `devices`, which has been checked, to `out`.
pub(crate) fn write_child(out: &mut Vec<u8>, child: &Child<'_>) {
    out.extend_from_slice(CHILD.0);
    out.extend_from_slice(child.device_id.as_bytes());
    out.extend_from_slice(CHILD.1);
    write_services(out, child.services);
    out.push(b'}');
}

// What is written around the texts.
const CHILD: (&[u8], &[u8]) = (b"{\"device_id\":\"", b"\",");
const SERVICES: &[u8] = b"\"services\":[";
const SERVICE: (&[u8], &[u8]) = (b"{\"service_id\":", b",\"properties\":");
const EVENT_TIME: &[u8] = b",\"event_time\":\"";

/// Checks a list of services, and returns how many bytes [`write_services`] makes of it.
fn check_services(services: &[Service<'_>], place: Place) -> Result<usize> {
    if services.is_empty() {
        return Err(Error::invalid(format!("{place} is empty: a report holds at least one service")));
    }
    // A bracket at the end, and a comma before each service but the first.
    let mut size = SERVICES.len() + services.len();
    for (index, service) in services.iter().enumerate() {
        check_service(service, place, index)?;
        size += SERVICE.0.len() + write::string_length(service.service_id);
        size += SERVICE.1.len() + service.properties.len() + 1;
        if service.event_time_ms.is_some() {
            size += EVENT_TIME.len() + calendar::EVENT_TIME_LEN + 1;
        }
    }
    Ok(size)
}

fn check_service(service: &Service<'_>, place: Place, index: usize) -> Result<()> {
    if service.service_id.is_empty() {
        return Err(Error::invalid(format!(
            "{place}[{index}].service_id is empty: it takes the service's id in the product model"
        )));
    }
    match scan::check(service.properties) {
        Ok(scan::Kind::Object) => {}
        Ok(other) => {
            return Err(Error::invalid(format!(
                "{place}[{index}].properties is {}: it takes a JSON object",
                other.name()
            )));
        }
        Err(fault) => {
            return Err(Error::invalid(format!(
                "{place}[{index}].properties is not valid JSON: {} at byte {}",
                fault.what, fault.at
            )));
        }
    }
    match service.event_time_ms {
        Some(unix_ms) => calendar::check_event_time_ms(unix_ms, || format!("{place}[{index}].event_time_ms")),
        None => Ok(()),
    }
}

fn write_services(out: &mut Vec<u8>, services: &[Service<'_>]) {
    out.extend_from_slice(SERVICES);
    for (index, service) in services.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(SERVICE.0);
        write::string(out, service.service_id);
        out.extend_from_slice(SERVICE.1);
        out.extend_from_slice(service.properties.as_bytes());
        if let Some(unix_ms) = service.event_time_ms {
            out.extend_from_slice(EVENT_TIME);
            out.extend_from_slice(&calendar::event_time(unix_ms));
            out.push(b'"');
        }
        out.push(b'}');
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn service<'a>(service_id: &'a str, properties: &'a str) -> Service<'a> {
        Service { service_id, properties, event_time_ms: None }
    }

    fn refusal(services: &[Service<'_>]) -> String {
        let error = properties_body(services).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        error.to_string()
    }

    #[test]
    fn the_pages_example() {
        let body = properties_body(&[Service {
            service_id: "serviceId",
            properties: r#"{"Height":124,"Speed":23.24}"#,
            event_time_ms: Some(1_628_849_410_555),
        }]);
        let text = String::from_utf8(body.unwrap()).unwrap();
        assert_eq!(
            text,
            r#"{"services":[{"service_id":"serviceId","properties":{"Height":124,"Speed":23.24},"event_time":"2021-08-13T10:10:10.555Z"}]}"#
        );
        assert_eq!(text.len(), 123);
    }

    #[test]
    fn properties_are_not_touched() {
        for properties in
            [r#"{"n":12345678901234567890123}"#, r#"{"n":1e400}"#, r#"{"s":"é"}"#, r#"{"a":1,"a":2}"#, "{ }\n"]
        {
            let body = String::from_utf8(properties_body(&[service("s", properties)]).unwrap()).unwrap();
            assert_eq!(body, format!(r#"{{"services":[{{"service_id":"s","properties":{properties}}}]}}"#));
        }
    }

    #[test]
    fn several_services_and_a_name_that_needs_escapes() {
        let body = properties_body(&[service("a\"b", "{}"), service("c", "{}")]).unwrap();
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"services":[{"service_id":"a\"b","properties":{}},{"service_id":"c","properties":{}}]}"#
        );
    }

    #[test]
    fn what_is_written_is_as_long_as_was_reckoned() {
        let timed = Service { event_time_ms: Some(0), ..service("a\"\\\n\u{1}\u{e9}", "{ }") };
        for services in [&[timed][..], &[timed, service("b", "{}")], &[service("b", "{}"), timed, timed]] {
            let body = properties_body(services).unwrap();
            assert_eq!(body.len(), check_services(services, Place::Device).unwrap() + 2);
        }
    }

    #[test]
    fn refusals_name_the_field_and_the_index() {
        assert!(refusal(&[]).starts_with("services is empty"));
        assert!(refusal(&[service("a", "{}"), service("", "{}")]).starts_with("services[1].service_id is empty"));
        assert!(refusal(&[service("a", "[]")]).starts_with("services[0].properties is an array"));
        assert!(refusal(&[service("a", "")]).starts_with("services[0].properties is not valid JSON"));
        assert!(refusal(&[service("a", "{}{}")]).contains("after the end of the value at byte 2"));
        let late = Service { event_time_ms: Some(i64::MAX), ..service("a", "{}") };
        assert!(refusal(&[late]).starts_with("services[0].event_time_ms is 9223372036854775807"));
    }

    #[test]
    fn a_child_is_written_and_refused_with_its_index() {
        let services = [service("s", r#"{"a":1}"#)];
        let child = Child { device_id: "deviceId_0001", services: &services };
        let mut out = Vec::new();
        write_child(&mut out, &child);
        assert_eq!(check_child(&child, 0).unwrap(), out.len());
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"device_id":"deviceId_0001","services":[{"service_id":"s","properties":{"a":1}}]}"#
        );
        for (child, start) in [
            (Child { device_id: "a b", services: &services }, "children[7].device_id has the character"),
            (Child { device_id: "", services: &services }, "children[7].device_id is empty"),
            (Child { device_id: "a", services: &[] }, "children[7].services is empty"),
            (
                Child { device_id: "a", services: &[service("s", "1")] },
                "children[7].services[0].properties is a number",
            ),
        ] {
            let error = check_child(&child, 7).unwrap_err();
            assert!(error.message().starts_with(start), "{error}");
        }
    }
}
