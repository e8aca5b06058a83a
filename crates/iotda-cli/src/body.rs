//! Request bodies as the platform documents them, of what the command line or a line of a stream says.

use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::exit::Failure;

/// One entry of `services[]`.
#[derive(Clone, Debug, Serialize)]
pub struct Service<'a> {
    service_id: &'a str,
    properties: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_time: Option<String>,
}

#[derive(Serialize)]
struct Properties<'a> {
    services: &'a [Service<'a>],
}

#[derive(Serialize)]
struct Batch<'a> {
    devices: [Child<'a>; 1],
}

#[derive(Serialize)]
struct Child<'a> {
    device_id: &'a str,
    services: &'a [Service<'a>],
}

impl<'a> Service<'a> {
    /// `properties` is an object of JSON, and stays as it is written.
    pub fn new(service_id: &'a str, properties: &'a str, event_time_ms: Option<i64>) -> Result<Self, Failure> {
        let properties: &RawValue =
            serde_json::from_str(properties).map_err(|error| Failure::usage(format!("give JSON: {error}")))?;
        Ok(Service { service_id, properties, event_time: event_time_ms.map(event_time).transpose()? })
    }
}

/// A report of properties.
pub fn properties(services: &[Service<'_>]) -> Result<String, Failure> {
    serde_json::to_string(&Properties { services }).map_err(|error| Failure::usage(error.to_string()))
}

/// A batch of one child.
pub fn child(device_id: &str, services: &[Service<'_>]) -> Result<String, Failure> {
    serde_json::to_string(&Batch { devices: [Child { device_id, services }] })
        .map_err(|error| Failure::usage(error.to_string()))
}

/// As the platform takes it; what it takes for another form it silently replaces by its own time.
pub fn event_time(ms: i64) -> Result<String, Failure> {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .ok()
        .filter(|time| (1970..=9999).contains(&time.year()))
        .and_then(|time| time.format(form).ok())
        .ok_or_else(|| Failure::usage(format!("give a time in the years 1970 to 9999: {ms} ms is none")))
}

/// A body within an object of JSON: as it is written; of a message the text, or null where it is none.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Shown<'a> {
    Json(Box<RawValue>),
    Text(Option<&'a str>),
}

impl<'a> Shown<'a> {
    pub fn of(body: &'a [u8]) -> Self {
        let text = std::str::from_utf8(body).ok();
        // JSON has no line's end but between its parts.
        let json = text.and_then(|text| RawValue::from_string(text.trim_ascii().replace(['\n', '\r'], " ")).ok());
        json.map_or(Shown::Text(text), Shown::Json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_as_they_are_written_and_times_have_the_platforms_form() {
        let properties_ = r#"{"n": 12345678901234567890.10}"#;
        let services = [
            Service::new("a\"b", properties_, Some(1_628_849_410_055)).unwrap(),
            Service::new("c", "{}", None).unwrap(),
        ];
        let body = properties(&services).unwrap();
        assert_eq!(
            body,
            r#"{"services":[{"service_id":"a\"b","properties":{"n": 12345678901234567890.10},"event_time":"2021-08-13T10:10:10.055Z"},{"service_id":"c","properties":{}}]}"#
        );
        iotda::Client::check_properties_json(&body).unwrap();
        assert!(Service::new("a", "{}", Some(i64::MAX)).is_err() && Service::new("a", "{", None).is_err());
    }
}
