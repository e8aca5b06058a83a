//! JSON as the validating steps need it: values kept as the text that was sent, objects whose members are given once
//! and known, and errors that name the place.
//!
//! `serde`'s derived readers would not do: they take an array for an object.

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;

/// The members of an object in their order, each name once, the values as they were sent.
#[derive(Debug)]
pub(super) struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut names = std::collections::HashSet::new();
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    if !names.insert(name.clone()) {
                        return Err(de::Error::custom(format!("{name:?} is there twice")));
                    }
                    members.push((name, value));
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Members).map(Object)
    }
}

impl<'a> Object<'a> {
    /// Reads an object. `place` is what the error calls it.
    pub(super) fn parse(json: &'a str, place: &str) -> Result<Self, String> {
        serde_json::from_str(json).map_err(|error| format!("{place}: {error}"))
    }

    /// An error if it has a member that is not among `known`.
    pub(super) fn only(&self, known: &[&str], place: &str) -> Result<(), String> {
        match self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => Err(format!("{place}: {name:?} is not documented here")),
            None => Ok(()),
        }
    }

    /// The text of a member's value, if it is there.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(member, _)| member == name).map(|(_, value)| value.get())
    }

    /// The text of a member's value, or an error that misses it.
    pub(super) fn need(&self, name: &str, place: &str) -> Result<&'a str, String> {
        self.get(name).ok_or_else(|| format!("{place}: {name:?} is missing"))
    }

    /// The names and values of all members.
    ///
    /// Texts that follow JSON's grammar and yet hold no value are errors: half a surrogate pair, a number that no
    /// double can hold, more than 127 levels.
    pub(super) fn values(&self, place: &str) -> Result<Vec<(String, Value)>, String> {
        let value = |(name, json): &(String, &RawValue)| match serde_json::from_str(json.get()) {
            Ok(value) => Ok((name.clone(), value)),
            Err(error) => Err(format!("{place}.{name}: {error}")),
        };
        self.0.iter().map(value).collect()
    }
}

/// The text of a body that must be JSON.
pub(super) fn utf8(body: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(body).map_err(|error| format!("the body is not UTF-8: {error}"))
}

/// The texts of a list's values. An empty list is an error: where the page has a list, it is what the report is about.
pub(super) fn list<'a>(json: &'a str, place: &str) -> Result<Vec<&'a str>, String> {
    let values: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| format!("{place} must be a list"))?;
    if values.is_empty() {
        return Err(format!("{place} is an empty list"));
    }
    Ok(values.into_iter().map(RawValue::get).collect())
}

/// A string.
pub(super) fn string(json: &str, place: &str) -> Result<String, String> {
    serde_json::from_str(json).map_err(|_| format!("{place} must be a string"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_as_they_were_sent() {
        let object = Object::parse(r#" { "a" : 1.0e2 , "b":[ 1,2 ]} "#, "the body").expect("an object");
        assert_eq!(object.get("a"), Some("1.0e2"));
        assert_eq!(object.need("b", "the body").as_deref(), Ok("[ 1,2 ]"));
        assert!(object.need("c", "the body").unwrap_err().contains("\"c\" is missing"));
        assert!(object.only(&["a", "b"], "the body").is_ok());
        assert!(object.only(&["a"], "the body").unwrap_err().contains("\"b\" is not documented"));
    }

    #[test]
    fn what_is_no_object() {
        for json in ["", "[]", "[1]", "1", "null", "\"a\"", "{", "{}{}", "{\"a\":1,}", "{a:1}", "\u{feff}{}"] {
            assert!(Object::parse(json, "the body").is_err(), "{json:?}");
        }
        assert!(Object::parse(r#"{"a":1,"b":2,"\u0061":3}"#, "x").unwrap_err().contains("\"a\" is there twice"));
    }

    #[test]
    fn texts_without_a_value() {
        for json in
            [r#"{"a":"\ud800"}"#, r#"{"a":1e999}"#, &format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200))]
        {
            let object = Object::parse(json, "x").expect("it follows the grammar");
            assert!(object.values("x").is_err(), "{json}");
        }
    }

    #[test]
    fn lists_and_strings() {
        assert_eq!(list(" [ 1 , {} ] ", "x").as_deref(), Ok(["1", "{}"].as_slice()));
        for json in ["[]", "{}", "null", "\"[1]\""] {
            assert!(list(json, "x").is_err(), "{json}");
        }
        assert_eq!(string(r#""\u0061\n""#, "x").as_deref(), Ok("a\n"));
        for json in ["1", "null", "[\"a\"]", r#""\ud800""#] {
            assert!(string(json, "x").is_err(), "{json}");
        }
    }
}
