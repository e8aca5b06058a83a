//! Property reports as JSON: checked and measured, then written.
//!
//! The shape is that of the HTTPS access page, tables "ServiceProperty" and "DeviceProperty". Bodies
//! that a caller wrote as JSON are checked in [`crate::report::validate`]; how a batch is cut into requests is
//! decided in [`crate::report::split`].

use std::fmt;

use crate::error::{Error, Result};
use crate::report::calendar;
use crate::report::identifier::check_device_id;
use crate::report::json::{scan, write};
use crate::report::service::{Child, Service};

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
    check_device_id(child.device_id, &format_args!("children[{index}].device_id"))?;
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
        return Err(Error::invalid(format!("give at least one service: {place} is empty")));
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
            "give the service's id in the product model: {place}[{index}].service_id is empty"
        )));
    }
    match scan::check(&service.properties) {
        Ok(scan::Kind::Object) => {}
        Ok(other) => {
            return Err(Error::invalid(format!("give a JSON object: {place}[{index}].properties is {}", other.name())));
        }
        Err(fault) => {
            return Err(fault.error(&service.properties, format_args!("{place}[{index}].properties")));
        }
    }
    match service.event_time_ms {
        Some(unix_ms) => calendar::check_event_time_ms(unix_ms, &format_args!("{place}[{index}].event_time_ms")),
        None => Ok(()),
    }
}

fn write_services(out: &mut Vec<u8>, services: &[Service<'_>]) {
    out.extend_from_slice(SERVICES);
    for (index, service) in services.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_service(out, service, service.event_time_ms);
    }
    out.push(b']');
}

/// Writes a service with this time.
fn write_service(out: &mut Vec<u8>, service: &Service<'_>, event_time_ms: Option<i64>) {
    out.extend_from_slice(SERVICE.0);
    write::string(out, service.service_id);
    out.extend_from_slice(SERVICE.1);
    out.extend_from_slice(service.properties.as_bytes());
    match event_time_ms {
        Some(unix_ms) => {
            // Appended as one piece: each append costs some 60 instructions.
            let mut end = [b'"'; EVENT_TIME.len() + calendar::EVENT_TIME_LEN + 2];
            end[..EVENT_TIME.len()].copy_from_slice(EVENT_TIME);
            end[EVENT_TIME.len()..][..calendar::EVENT_TIME_LEN].copy_from_slice(&calendar::event_time(unix_ms));
            end[EVENT_TIME.len() + calendar::EVENT_TIME_LEN + 1] = b'}';
            out.extend_from_slice(&end);
        }
        None => out.push(b'}'),
    }
}

/// The bytes `before`, and behind them the elements of `services[]`, separated by commas, with this time in those that have
/// none; and the places of these times in the elements. There is room for `more` bytes for each service behind them. The
/// services are checked.
pub(crate) fn stamped(
    services: &[Service<'_>],
    place: Place,
    now_ms: i64,
    (before, more): (&[&[u8]], usize),
) -> Result<(Vec<u8>, Vec<u32>)> {
    let size = check_services(services, place)?;
    let around: usize = before.iter().map(|bytes| bytes.len()).sum();
    let most = size + around + services.len() * (EVENT_TIME.len() + calendar::EVENT_TIME_LEN + 1 + more);
    let (mut out, mut times) = (Vec::new(), Vec::new());
    out.try_reserve_exact(most).map_err(|_| Error::no_memory(most))?;
    before.iter().for_each(|bytes| out.extend_from_slice(bytes));
    for (index, service) in services.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_service(&mut out, service, service.event_time_ms.or(Some(now_ms)));
        if service.event_time_ms.is_none() {
            // A quote and a brace come behind it.
            times.push((out.len() - 2 - calendar::EVENT_TIME_LEN - around) as u32);
        }
    }
    Ok((out, times))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn service<'a>(service_id: &'a str, properties: &'a str) -> Service<'a> {
        Service::new(service_id, properties)
    }

    fn refusal(services: &[Service<'_>]) -> String {
        let error = properties_body(services).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        error.to_string()
    }

    #[test]
    fn the_pages_example() {
        let service = service("serviceId", r#"{"Height":124,"Speed":23.24}"#);
        let body = properties_body(&[service.event_time_ms(1_628_849_410_555)]);
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
        let timed = service("a\"\\\n\u{1}\u{e9}", "{ }").event_time_ms(1_628_849_410_555);
        let (one, two) = (&[timed.clone()][..], &[timed.clone(), service("b", "{}")][..]);
        for services in [one, two, &[service("b", "{}"), timed.clone(), timed]] {
            let body = properties_body(services).unwrap();
            assert_eq!(body.len(), check_services(services, Place::Device).unwrap() + 2);
        }
    }

    #[test]
    fn refusals_name_the_field_and_the_index() {
        let timed = |event_time_ms| service("a", "{}").event_time_ms(event_time_ms);
        for (services, expected) in [
            (&[][..], "give at least one service: services is empty"),
            (
                &[service("a", "{}"), service("", "{}")],
                "give the service's id in the product model: services[1].service_id is empty",
            ),
            (&[service("a", "[]")], "give a JSON object: services[0].properties is an array"),
            (
                &[service("a", "")],
                "correct the JSON: services[0].properties, byte 0: the text ends where a JSON value is expected",
            ),
            (
                &[service("a", "{}{}")],
                "correct the JSON: services[0].properties, byte 2, near `{}{}`: unexpected text after the end of the value",
            ),
            (
                &[service("a", r#"{"t":21,5}"#)],
                "write a decimal point, not a comma (printf follows the locale): services[0].properties, byte 8, \
                 near `{\"t\":21,5}`: expected a name in double quotes",
            ),
            (
                &[timed(1_628_849_410)],
                "give milliseconds: services[0].event_time_ms is 1628849410, which looks like seconds \
                 (2021-08-13T10:10:10.000Z)",
            ),
        ] {
            assert_eq!(refusal(services), expected);
        }
        assert!(refusal(&[timed(0)]).starts_with("set the clock before it is read: services[0].event_time_ms is 0"));
    }

    #[test]
    fn refusals_fit_their_place_however_far_down() {
        let deep = format!(r#"{{"{}":21,5}}"#, "\u{e9}".repeat(64));
        let error = check_service(&service("s", &deep), Place::Child(4_294_967_295), 4_294_967_295).unwrap_err();
        assert!(error.message().contains("children[4294967295].services[4294967295].properties"), "{error}");
        assert!(error.message().len() < 256, "{} bytes: {error}", error.message().len());
    }

    #[test]
    fn a_child_is_written_and_refused_with_its_index() {
        let services = [service("s", r#"{"a":1}"#)];
        let child = Child::new("deviceId_0001", &services);
        let mut out = Vec::new();
        write_child(&mut out, &child);
        assert_eq!(check_child(&child, 0).unwrap(), out.len());
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"device_id":"deviceId_0001","services":[{"service_id":"s","properties":{"a":1}}]}"#
        );
        for (child, end) in [
            (Child::new("a b", &services), "children[7].device_id has ' ' at byte 1"),
            (Child::new("", &services), "children[7].device_id is empty"),
            (Child::new("a", &[]), "children[7].services is empty"),
            (Child::new("a", &[service("s", "1")]), "children[7].services[0].properties is a number"),
        ] {
            let error = check_child(&child, 7).unwrap_err();
            assert!(error.message().ends_with(end), "{error}");
        }
    }
}
