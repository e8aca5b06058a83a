//! One line as a report: which of its members or cells name the service, the device and the time, and which are properties.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use iotda::Properties;

use crate::arguments::Stream;
use crate::body::{self, Service};
use crate::values;

/// What a line becomes: the body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Properties of the device itself.
    Properties(String),
    /// Properties of children of a gateway.
    Children(String),
}

/// What names what.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    pub service: Option<String>,
    pub service_column: Option<String>,
    pub device_column: Option<String>,
    pub time_column: Option<String>,
    /// The device that reports: a line that names it is no child's.
    pub own: String,
}

/// An object whose members keep their order and their text.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    members.push((name.0, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reading)
    }
}

/// Borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl Columns {
    pub fn of(stream: &Stream, own: &str) -> Self {
        Columns {
            service: stream.service.clone(),
            service_column: stream.service_column.clone(),
            device_column: stream.device_column.clone(),
            time_column: stream.time_column.clone(),
            own: own.to_owned(),
        }
    }

    /// Whether lines are whole request bodies.
    fn takes_bodies(&self) -> bool {
        self.service.is_none() && self.service_column.is_none()
    }

    /// A line of JSON. The error says what is wrong with it.
    pub fn of_json(&self, line: &str) -> Result<Report, String> {
        let Members(members) =
            serde_json::from_str(line).map_err(|error| format!("write an object of JSON on each line: {error}"))?;
        if self.takes_bodies() {
            let has = |wanted: &str| members.iter().any(|(name, _)| name == wanted);
            return match (has("services"), has("devices")) {
                (true, false) => Ok(Report::Properties(line.trim_ascii().to_owned())),
                (false, true) => Ok(Report::Children(line.trim_ascii().to_owned())),
                _ => Err("name the service by --service or --service-column, or write {\"services\":[...]}".to_owned()),
            };
        }
        let mut row = Row::default();
        let mut properties = String::with_capacity(line.len());
        for (name, value) in &members {
            match self.role(name) {
                Role::Property => {
                    properties.push(if properties.is_empty() { '{' } else { ',' });
                    properties.push_str(&serde_json::to_string(name).map_err(|error| error.to_string())?);
                    properties.push(':');
                    properties.push_str(value.get());
                }
                role => {
                    // A number, such as a time in milliseconds, is taken as its digits.
                    let text = serde_json::from_str::<String>(value.get()).unwrap_or_else(|_| value.get().to_owned());
                    row.set(role, text)?;
                }
            }
        }
        properties.push_str(if properties.is_empty() { "{}" } else { "}" });
        self.report(&row, &properties)
    }

    /// A row of CSV: a cell is a number, true, false or null where it is exactly that in JSON, and left out where it is
    /// empty.
    pub fn of_cells<'a>(&self, cells: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Report, String> {
        if self.takes_bodies() {
            return Err("name the service by --service or --service-column".to_owned());
        }
        let mut row = Row::default();
        let mut properties = Properties::new();
        for (name, value) in cells {
            match self.role(name) {
                _ if value.is_empty() => {}
                Role::Property => {
                    values::add(&mut properties, name, value).map_err(|error| error.message().to_owned())?;
                }
                role => row.set(role, value.to_owned())?,
            }
        }
        self.report(&row, properties.as_json())
    }

    fn role(&self, name: &str) -> Role {
        let is = |column: &Option<String>| column.as_deref() == Some(name);
        if is(&self.service_column) {
            Role::Service
        } else if is(&self.device_column) {
            Role::Device
        } else if is(&self.time_column) {
            Role::Time
        } else {
            Role::Property
        }
    }

    fn report(&self, row: &Row, properties: &str) -> Result<Report, String> {
        let missing =
            |column: &Option<String>| format!("the column \"{}\" is missing", column.as_deref().unwrap_or("?"));
        let service = match (&row.service, &self.service) {
            (Some(service), _) | (None, Some(service)) => service,
            (None, None) => return Err(missing(&self.service_column)),
        };
        let service = Service::new(service, properties, row.time_ms).map_err(|failure| failure.message)?;
        let body = match (&row.device, &self.device_column) {
            (None, Some(_)) => return Err(missing(&self.device_column)),
            (Some(device), _) if *device != self.own => body::child(device, &[service]).map(Report::Children),
            _ => body::properties(&[service]).map(Report::Properties),
        };
        body.map_err(|failure| failure.message)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Service,
    Device,
    Time,
    Property,
}

#[derive(Default)]
struct Row {
    service: Option<String>,
    device: Option<String>,
    time_ms: Option<i64>,
}

impl Row {
    fn set(&mut self, role: Role, text: String) -> Result<(), String> {
        match role {
            Role::Service => self.service = Some(text),
            Role::Device => self.device = Some(text),
            Role::Time => {
                self.time_ms =
                    Some(values::time_ms(&text).map_err(|advice| format!("{advice}: the time is \"{text}\""))?);
            }
            Role::Property => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Columns {
        Columns {
            service: Some("s".to_owned()),
            device_column: Some("id".to_owned()),
            time_column: Some("t".to_owned()),
            own: "gw".to_owned(),
            ..Columns::default()
        }
    }

    #[test]
    fn members_that_are_no_columns_are_properties_as_they_are_written() {
        let line = r#" {"id":"c\u0031","t":1628849410555,"a\"b":1.0e2,"n":{"x": [1]}} "#;
        let expected = r#"{"devices":[{"device_id":"c1","services":[{"service_id":"s","properties":{"a\"b":1.0e2,"n":{"x": [1]}},"event_time":"2021-08-13T10:10:10.555Z"}]}]}"#;
        assert_eq!(columns().of_json(line), Ok(Report::Children(expected.to_owned())));
        let own = columns().of_json(r#"{"id":"gw","n":1}"#).unwrap();
        assert_eq!(own, Report::Properties(r#"{"services":[{"service_id":"s","properties":{"n":1}}]}"#.to_owned()));
        for wrong in ["", "[1]", "{", r#"{"n":1}"#, r#"{"id":"c","t":"soon","n":1}"#, r#"{"id":"c"} x"#] {
            assert!(columns().of_json(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn without_a_service_lines_are_whole_bodies() {
        let bodies = Columns::default();
        for (line, expected) in [
            (r#"{"services":[]}"#, Report::Properties(r#"{"services":[]}"#.to_owned())),
            (r#"{"devices":[]} "#, Report::Children(r#"{"devices":[]}"#.to_owned())),
        ] {
            assert_eq!(bodies.of_json(line), Ok(expected));
        }
        assert!(bodies.of_json(r#"{"Temperature":1}"#).unwrap_err().contains("--service"));
        assert!(bodies.of_cells([("a", "1")].into_iter()).unwrap_err().contains("--service"));
    }

    #[test]
    fn cells_are_typed_and_empty_ones_are_left_out() {
        let columns = Columns { service_column: Some("what".to_owned()), ..Columns::default() };
        let row = [("what", "wind"), ("Speed", "12.50"), ("Serial", "0815"), ("Gust", ""), ("On", "true")];
        let report = columns.of_cells(row.into_iter()).unwrap();
        let body = r#"{"services":[{"service_id":"wind","properties":{"Speed":12.50,"Serial":"0815","On":true}}]}"#;
        assert_eq!(report, Report::Properties(body.to_owned()));
        assert_eq!(columns.of_cells([("what", "")].into_iter()), Err("the column \"what\" is missing".to_owned()));
    }
}
