//! A builder of property objects for programs that have no JSON library.
//!
//! Formatting by hand breaks on quotes in strings, on NaN and on a locale's decimal comma; this does
//! not.

use crate::error::{Error, Result};
use crate::report::json::fault::shown;
use crate::report::json::{scan, write};

/// A JSON object of properties, built member by member.
///
/// ```
/// let mut properties = iotda::Properties::new();
/// properties.integer("uptime_s", 86_400)?;
/// properties.double("load", 0.25)?;
/// assert_eq!(properties.as_json(), r#"{"uptime_s":86400,"load":0.25}"#);
/// # Ok::<(), iotda::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Properties {
    /// Always a complete object.
    json: Vec<u8>,
}

impl Properties {
    /// An empty object.
    pub fn new() -> Self {
        Properties { json: b"{}".to_vec() }
    }

    /// Adds an integer.
    pub fn integer(&mut self, name: &str, value: i64) -> Result<()> {
        self.member(name, |out| write::integer(out, value))
    }

    /// Adds a number; NaN and the infinities, which JSON cannot say, are refused.
    pub fn double(&mut self, name: &str, value: f64) -> Result<()> {
        if !value.is_finite() {
            return Err(Error::invalid(format!(
                "the property \"{}\" is {value}: JSON has no such number, leave the property out",
                shown(name)
            )));
        }
        self.member(name, |out| write::double(out, value))
    }

    /// Adds true or false.
    pub fn boolean(&mut self, name: &str, value: bool) -> Result<()> {
        self.member(name, |out| out.extend_from_slice(if value { b"true" } else { b"false" }))
    }

    /// Adds a string; what JSON demands to be escaped is escaped.
    pub fn string(&mut self, name: &str, value: &str) -> Result<()> {
        self.member(name, |out| write::string(out, value))
    }

    /// Adds any JSON value as it is written, nested at most 127 levels deep: 128 with the object around it, which is
    /// what a report takes.
    pub fn json(&mut self, name: &str, value: &str) -> Result<()> {
        if let Err(fault) = scan::check_within(value, scan::MEMBER) {
            return Err(fault.error(value, format_args!("the property \"{}\"", shown(name))));
        }
        self.member(name, |out| out.extend_from_slice(value.as_bytes()))
    }

    /// Removes all members; the memory is kept for the next ones.
    pub fn clear(&mut self) {
        self.json.clear();
        self.json.extend_from_slice(b"{}");
    }

    /// The object as JSON, for [`Service::properties`](crate::Service::properties).
    pub fn as_json(&self) -> &str {
        // Only whole strings and ASCII were written.
        std::str::from_utf8(&self.json).unwrap_or("{}")
    }

    fn member(&mut self, name: &str, value: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        if name.is_empty() {
            return Err(Error::invalid("a property's name is empty: it takes the name in the product model"));
        }
        self.json.pop();
        if self.json.len() > 1 {
            self.json.push(b',');
        }
        write::string(&mut self.json, name);
        self.json.push(b':');
        value(&mut self.json);
        self.json.push(b'}');
        Ok(())
    }
}

impl Default for Properties {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Service;
    use crate::report::{encode, validate};
    use proptest::prelude::*;

    #[test]
    fn every_kind_of_value() {
        let mut properties = Properties::new();
        properties.integer("i", i64::MIN).unwrap();
        properties.double("d", 0.1).unwrap();
        properties.boolean("b", true).unwrap();
        properties.string("s", "a\"b\n").unwrap();
        properties.json("j", "[1, 2]").unwrap();
        assert_eq!(properties.as_json(), r#"{"i":-9223372036854775808,"d":0.1,"b":true,"s":"a\"b\n","j":[1, 2]}"#);
        properties.clear();
        assert_eq!(properties.as_json(), "{}");
    }

    #[test]
    fn a_refused_member_leaves_the_object_as_it_was() {
        let mut properties = Properties::new();
        properties.integer("a", 1).unwrap();
        for refused in [
            properties.double("x", f64::NAN),
            properties.double("x", f64::NEG_INFINITY),
            properties.json("x", "{"),
            properties.json("x", "1 2"),
            properties.json("x", ""),
            properties.integer("", 1),
        ] {
            assert!(refused.is_err());
        }
        assert_eq!(properties.as_json(), r#"{"a":1}"#);
        let error = properties.double("température", f64::NAN).unwrap_err();
        assert!(error.message().contains("température") && error.message().contains("NaN"), "{error}");
    }

    #[test]
    fn what_the_builder_takes_a_report_takes_as_well() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let mut properties = Properties::new();
        properties.json("deep", &nested(127)).unwrap();
        let error = properties.json("deeper", &nested(128)).unwrap_err();
        assert!(error.message().contains("\"deeper\"") && error.message().contains("127 levels"), "{error}");
        let service = Service { service_id: "s", properties: properties.as_json(), event_time_ms: None };
        let body = encode::properties_body(&[service]).unwrap();
        validate::check_properties(std::str::from_utf8(&body).unwrap()).unwrap();
        let child = format!(r#"{{"devices":[{{"device_id":"c",{}]}}"#, &String::from_utf8(body).unwrap()[1..]);
        assert!(document::children(&child).unwrap()[0].check.is_ok());
    }

    #[test]
    fn the_position_of_a_fault_is_shown_with_the_text_around_it() {
        let error = Properties::new().json("Position", r#"{"lat":48,1}"#).unwrap_err();
        assert_eq!(
            error.message(),
            r#"write a decimal point, not a comma (printf follows the locale): the property "Position", byte 10, near `{"lat":48,1}`: expected a name in double quotes"#
        );
    }

    proptest! {
        #[test]
        fn always_valid_json(members in prop::collection::vec((".{1,8}", any::<String>(), any::<i64>()), 0..6)) {
            let mut properties = Properties::new();
            for (name, text, number) in &members {
                properties.string(name, text).unwrap();
                properties.integer(name, *number).unwrap();
            }
            prop_assert_eq!(scan::check(properties.as_json()), Ok(scan::Kind::Object));
        }
    }
}
