//! A builder of property objects for programs that have no JSON library.
//!
//! Formatting by hand breaks on quotes in strings, on NaN and on a locale's decimal comma; this does
//! not.

use crate::error::{Error, Result};
use crate::report::json::fault::shown;
use crate::report::json::names::Names;
use crate::report::json::{scan, write};

/// A JSON object of properties, built member by member.
///
/// A name that the object has already is refused: [`clear`](Self::clear) a builder before it is filled again. A
/// member that is refused leaves the object as it was. The memory for a member is reserved before it is written; if
/// there is none, the error's kind is [`Internal`](crate::ErrorKind::Internal).
///
/// ```
/// let mut properties = iotda::Properties::new();
/// properties.integer("uptime_s", 86_400)?.double("load", 0.25)?;
/// properties.float("speed", 23.24)?.boolean("raining", false)?.string("state", "open")?.json("phases", "[1,2,3]")?;
/// assert_eq!(
///     properties.as_json(),
///     r#"{"uptime_s":86400,"load":0.25,"speed":23.24,"raining":false,"state":"open","phases":[1,2,3]}"#
/// );
/// properties.clear();
/// assert_eq!(properties.as_json_with_nul(), b"{}\0");
/// # Ok::<(), iotda::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Properties {
    /// A complete object with a zero behind it; empty for an object without members.
    json: Vec<u8>,
    names: Names,
}

/// What ends [`Properties::json`]. The zero is for C, which would otherwise need a copy of the text.
const END: &[u8] = b"}\0";
const EMPTY: &[u8] = b"{}\0";

/// The value of a member.
#[derive(Clone, Copy)]
enum Value<'a> {
    /// Written as it is.
    Json(&'a [u8]),
    /// Written as a JSON string.
    Text(&'a str),
    Integer(i64),
    Double(f64),
    Float(f32),
}

impl Properties {
    /// An empty object.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an integer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument): the name is empty, or the object has it
    /// already. [`ErrorKind::Internal`](crate::ErrorKind::Internal): there is no memory.
    pub fn integer(&mut self, name: &str, value: i64) -> Result<&mut Self> {
        self.member(name, Value::Integer(value))
    }

    /// Adds a number with the fewest digits that read back as the same `f64`. NaN and the infinities are refused:
    /// JSON has none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument): the name is empty, or the object has it
    /// already, or the number is NaN or infinite. [`ErrorKind::Internal`](crate::ErrorKind::Internal): there is no
    /// memory.
    pub fn double(&mut self, name: &str, value: f64) -> Result<&mut Self> {
        check_finite(name, value)?;
        self.member(name, Value::Double(value))
    }

    /// Adds a number with the fewest digits that read back as the same `f32`: 23.24, where the same value as an
    /// `f64` is 23.239999771118164. NaN and the infinities are refused: JSON has none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument): the name is empty, or the object has it
    /// already, or the number is NaN or infinite. [`ErrorKind::Internal`](crate::ErrorKind::Internal): there is no
    /// memory.
    pub fn float(&mut self, name: &str, value: f32) -> Result<&mut Self> {
        check_finite(name, value.into())?;
        self.member(name, Value::Float(value))
    }

    /// Adds true or false.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument): the name is empty, or the object has it
    /// already. [`ErrorKind::Internal`](crate::ErrorKind::Internal): there is no memory.
    pub fn boolean(&mut self, name: &str, value: bool) -> Result<&mut Self> {
        self.member(name, Value::Json(if value { b"true" } else { b"false" }))
    }

    /// Adds a string; what JSON demands to be escaped is escaped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument): the name is empty, or the object has it
    /// already. [`ErrorKind::Internal`](crate::ErrorKind::Internal): there is no memory.
    pub fn string(&mut self, name: &str, value: &str) -> Result<&mut Self> {
        self.member(name, Value::Text(value))
    }

    /// Adds any JSON value as it is written, nested at most 127 levels deep: 128 with the object around it, which is
    /// what a report takes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument): the name is empty, or the object has it
    /// already, or the value is no JSON. [`ErrorKind::Internal`](crate::ErrorKind::Internal): there is no memory.
    pub fn json(&mut self, name: &str, value: &str) -> Result<&mut Self> {
        if let Err(fault) = scan::check_within(value, scan::MEMBER) {
            return Err(fault.error(value, format_args!("the property \"{}\"", shown(name))));
        }
        self.member(name, Value::Json(value.as_bytes()))
    }

    /// Removes all members; the memory is kept for the next ones.
    pub fn clear(&mut self) {
        self.json.clear();
        self.names.clear();
    }

    /// The object as JSON. [`Service::new`](crate::Service::new) takes the builder itself.
    pub fn as_json(&self) -> &str {
        let json = self.as_json_with_nul();
        // Only whole strings and ASCII were written.
        std::str::from_utf8(&json[..json.len() - 1]).unwrap_or("{}")
    }

    /// The same, without a copy.
    pub(crate) fn into_json(mut self) -> String {
        if self.json.pop().is_none() {
            return "{}".to_owned();
        }
        // Only whole strings and ASCII were written.
        String::from_utf8(self.json).unwrap_or_default()
    }

    /// As [`as_json`](Self::as_json), with a zero byte behind it, for C interfaces. There is no other zero in it.
    pub fn as_json_with_nul(&self) -> &[u8] {
        if self.json.is_empty() { EMPTY } else { &self.json }
    }

    fn member(&mut self, name: &str, value: Value<'_>) -> Result<&mut Self> {
        if name.is_empty() {
            return Err(Error::invalid("give each property its name in the product model: a property's name is empty"));
        }
        self.reserve(name, value)?;

        let before = self.json.len().saturating_sub(END.len());
        self.json.truncate(before);
        self.json.push(if before == 0 { b'{' } else { b',' });
        let at = self.json.len();
        write::string(&mut self.json, name);
        let at = u32::try_from(at).map_err(|_| Error::no_memory(at));
        let is_new = at.map(|at| self.names.insert(&self.json, at));
        if !matches!(is_new, Ok(true)) {
            self.json.truncate(before);
            self.json.extend_from_slice(END);
            is_new?;
            return Err(Error::invalid(format!(
                "clear the builder before it is filled again, or leave one out: it has a property \"{}\" already",
                shown(name)
            )));
        }
        self.json.push(b':');
        match value {
            Value::Json(json) => self.json.extend_from_slice(json),
            Value::Text(text) => write::string(&mut self.json, text),
            Value::Integer(value) => write::integer(&mut self.json, value),
            Value::Double(value) => write::double(&mut self.json, value),
            Value::Float(value) => write::float(&mut self.json, value),
        }
        self.json.extend_from_slice(END);
        Ok(self)
    }

    /// Makes room for a member, so that nothing after it can fail.
    fn reserve(&mut self, name: &str, value: Value<'_>) -> Result<()> {
        let len = self.json.len();
        let room = self.json.capacity() - len;
        // A byte takes six at most (`\u001f`): where there is as much, the texts need not be measured.
        if room < Self::length(name, value, |text| text.len().saturating_mul(6).saturating_add(2)) {
            let more = Self::length(name, value, write::string_length);
            // Not to the double, and less where the members are so short that the table of names takes much: both
            // together stay below twice the text.
            let share = if self.names.bytes() > len / 2 { 8 } else { 4 };
            let spare = (len / share).max(64);
            self.json
                .try_reserve_exact(more.saturating_add(spare))
                .or_else(|_| self.json.try_reserve_exact(more))
                .map_err(|_| Error::no_memory(more))?;
        }
        self.names.reserve(&self.json).map_err(|_| Error::no_memory(self.names.bytes()))
    }

    /// What a member takes, with the byte before its name, the colon, and what ends an object that is empty so far.
    fn length(name: &str, value: Value<'_>, text_length: impl Fn(&str) -> usize) -> usize {
        let value = match value {
            Value::Json(json) => json.len(),
            Value::Text(text) => text_length(text),
            Value::Integer(_) | Value::Double(_) | Value::Float(_) => NUMBER_MAX,
        };
        text_length(name).saturating_add(2 + END.len()).saturating_add(value)
    }
}

/// More than the longest number that [`mod@write`] makes.
const NUMBER_MAX: usize = 32;

pub(crate) fn check_finite(name: &str, value: f64) -> Result<()> {
    if value.is_finite() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "leave out the property \"{}\" while it has no value: it is {value}, and JSON has no such number",
        shown(name)
    )))
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
        properties.float("f", 0.1).unwrap();
        properties.boolean("b", true).unwrap();
        properties.string("s", "a\"b\n").unwrap();
        properties.json("j", "[1, 2]").unwrap();
        assert_eq!(
            properties.as_json(),
            r#"{"i":-9223372036854775808,"d":0.1,"f":0.1,"b":true,"s":"a\"b\n","j":[1, 2]}"#
        );
        properties.clear();
        assert_eq!(properties.as_json(), "{}");
    }

    #[test]
    fn a_refused_member_leaves_the_object_as_it_was() {
        let mut properties = Properties::new();
        properties.integer("a", 1).unwrap();
        for refused in [
            properties.double("x", f64::NAN).err(),
            properties.double("x", f64::NEG_INFINITY).err(),
            properties.float("x", f32::INFINITY).err(),
            properties.json("x", "{").err(),
            properties.json("x", "1 2").err(),
            properties.json("x", "").err(),
            properties.integer("", 1).err(),
            properties.string("a", "again").err(),
            properties.json("a", "1").err(),
        ] {
            assert!(refused.is_some());
        }
        assert_eq!(properties.as_json(), r#"{"a":1}"#);
        properties.integer("x", 2).unwrap();
        assert_eq!(properties.as_json(), r#"{"a":1,"x":2}"#);
    }

    #[test]
    fn what_is_no_number_is_refused_with_the_propertys_name() {
        let mut properties = Properties::new();
        for (error, value) in [
            (properties.double("température", f64::NAN).unwrap_err(), "NaN"),
            (properties.float("température", f32::NAN).unwrap_err(), "NaN"),
            (properties.double("température", f64::NEG_INFINITY).unwrap_err(), "-inf"),
        ] {
            assert!(error.message().starts_with("leave out the property \"température\""), "{error}");
            assert!(error.message().contains(&format!("it is {value}")), "{error}");
        }
    }

    #[test]
    fn a_float_arrives_with_its_own_digits() {
        let mut properties = Properties::new();
        properties.float("Speed", 23.24).unwrap();
        properties.double("widened", 23.24f32.into()).unwrap();
        assert_eq!(properties.as_json(), r#"{"Speed":23.24,"widened":23.239999771118164}"#);
    }

    #[test]
    fn a_name_that_is_there_is_refused_until_the_builder_is_cleared() {
        let names = ["t", "te", "\"", "a\"b", "a\\", "\n", "température", "u\u{0}", "u", "u\\u0000"];
        let mut properties = Properties::new();
        for _ in 0..3 {
            for name in names {
                properties.integer(name, 1).unwrap();
            }
            for name in names {
                let error = properties.integer(name, 2).unwrap_err();
                assert!(error.message().starts_with("clear the builder"), "{error}");
            }
            assert!(!properties.as_json().contains(":2"));
            properties.clear();
        }
    }

    #[test]
    fn what_the_builder_takes_a_report_takes_as_well() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let mut properties = Properties::new();
        properties.json("deep", &nested(127)).unwrap();
        let error = properties.json("deeper", &nested(128)).unwrap_err();
        assert!(error.message().contains("\"deeper\"") && error.message().contains("127 levels"), "{error}");
        let service = Service::new("s", &properties);
        let body = encode::properties_body(&[service]).unwrap();
        validate::check_properties(std::str::from_utf8(&body).unwrap()).unwrap();
        let child = format!(r#"{{"devices":[{{"device_id":"c",{}]}}"#, &String::from_utf8(body).unwrap()[1..]);
        assert!(validate::children(&child).unwrap()[0].check.is_ok());
    }

    #[test]
    fn the_position_of_a_fault_is_shown_with_the_text_around_it() {
        let error = Properties::new().json("Position", r#"{"lat":48,1}"#).unwrap_err();
        assert_eq!(
            error.message(),
            r#"write a decimal point, not a comma (printf follows the locale): the property "Position", byte 10, near `{"lat":48,1}`: expected a name in double quotes"#
        );
    }

    #[test]
    fn every_refusal_fits_its_place() {
        let mut properties = Properties::new();
        for name in ["n".repeat(64), "ä".repeat(64), "\u{1}".repeat(64)] {
            properties.integer(&name, 1).unwrap();
            for error in [
                properties.integer(&name, 1).unwrap_err(),
                properties.double(&name, f64::NAN).unwrap_err(),
                properties.json(&name, &format!("[{},\"unknown\\escape\"]", "1".repeat(64))).unwrap_err(),
                properties.json(&name, &format!("{{\"{}\":1,5}}", "m".repeat(64))).unwrap_err(),
            ] {
                assert!(error.message().len() < 256, "{} bytes: {error}", error.message().len());
            }
        }
    }

    #[test]
    fn the_zero_for_c_is_the_only_one() {
        let mut properties = Properties::new();
        assert_eq!(properties.as_json_with_nul(), b"{}\0");
        properties.string("a\0", "b\0").unwrap();
        assert_eq!(properties.as_json_with_nul(), b"{\"a\\u0000\":\"b\\u0000\"}\0");
    }

    #[test]
    fn a_large_builder_takes_at_most_twice_its_text() {
        let mut properties = Properties::new();
        for number in 0..20_000 {
            properties.integer(&format!("p{number}"), 1).unwrap();
            let text = properties.as_json_with_nul().len();
            let memory = properties.json.capacity() + properties.names.bytes();
            assert!(memory <= 2 * text + 256, "{memory} bytes for {text} with {number} members");
        }
        assert!(properties.integer("p77", 2).is_err());
    }

    proptest! {
        #[test]
        fn always_valid_json(members in prop::collection::vec((".{1,3}", any::<String>(), any::<i64>()), 0..40)) {
            let mut properties = Properties::new();
            let mut names = std::collections::BTreeSet::new();
            for (name, text, number) in &members {
                let added = if number % 2 == 0 { properties.string(name, text) } else { properties.integer(name, *number) };
                prop_assert_eq!(added.is_ok(), names.insert(name), "{}", name);
            }
            let read: std::collections::BTreeMap<String, serde_json::Value> =
                serde_json::from_str(properties.as_json()).unwrap();
            prop_assert!(read.keys().eq(names));
        }
    }
}
