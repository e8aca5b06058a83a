//! The property of a model: its type, and what its values are held to. Functions on values.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The type of a property, named as product models name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum DataType {
    /// A whole number of 32 bits, with sign, written without a fraction or an exponent.
    #[serde(rename = "int")]
    Int,
    /// A whole number of 64 bits, with sign, written without a fraction or an exponent.
    #[serde(rename = "long")]
    Long,
    /// Any number.
    #[serde(rename = "decimal")]
    Decimal,
    /// A string.
    #[serde(rename = "string")]
    String,
    /// A string that holds a date and time. Its form is not checked.
    #[serde(rename = "DateTime")]
    DateTime,
    /// A string that is one of a list.
    #[serde(rename = "enum")]
    Enum,
    /// `true` or `false`.
    #[serde(rename = "boolean")]
    Boolean,
    /// A JSON object.
    #[serde(rename = "jsonObject")]
    JsonObject,
    /// A JSON array.
    #[serde(rename = "jsonArray")]
    JsonArray,
    /// A JSON array of strings.
    #[serde(rename = "string list")]
    StringList,
}

/// A type, and what narrows it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(from = "Form", into = "Form")]
pub(crate) struct Property {
    pub(crate) data_type: DataType,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    /// In characters, and for a list in those of each string.
    pub(crate) max_length: Option<usize>,
    /// Empty if every string will do.
    pub(crate) enum_list: Vec<String>,
}

/// How it is written: the type's name alone where nothing narrows it.
#[derive(Deserialize, Serialize)]
#[serde(untagged, expecting = "a type such as \"int\", or { data_type = \"int\", min = 0, max = 100 }")]
enum Form {
    Plain(DataType),
    Narrowed(Narrowed),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Narrowed {
    data_type: DataType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_length: Option<usize>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    enum_list: Vec<String>,
}

impl From<Form> for Property {
    fn from(form: Form) -> Self {
        match form {
            Form::Plain(data_type) => data_type.into(),
            Form::Narrowed(Narrowed { data_type, min, max, max_length, enum_list }) => {
                Self { data_type, min, max, max_length, enum_list }
            }
        }
    }
}

impl From<Property> for Form {
    fn from(property: Property) -> Self {
        if property == Property::from(property.data_type) {
            return Self::Plain(property.data_type);
        }
        let Property { data_type, min, max, max_length, enum_list } = property;
        Self::Narrowed(Narrowed { data_type, min, max, max_length, enum_list })
    }
}

impl From<DataType> for Property {
    fn from(data_type: DataType) -> Self {
        Self { data_type, min: None, max: None, max_length: None, enum_list: Vec::new() }
    }
}

impl Property {
    /// What is expected, if a value is something else.
    pub(super) fn objection(&self, value: &Value) -> Option<String> {
        if !self.data_type.takes(value) {
            return Some(self.data_type.description().to_owned());
        }
        let number = value.as_f64();
        if let (Some(min), Some(_)) = (self.min, number.filter(|number| self.min.is_some_and(|min| *number < min))) {
            return Some(format!("{min} or more"));
        }
        if let (Some(max), Some(_)) = (self.max, number.filter(|number| self.max.is_some_and(|max| *number > max))) {
            return Some(format!("{max} or less"));
        }
        let texts =
            || value.as_str().into_iter().chain(value.as_array().into_iter().flatten().filter_map(Value::as_str));
        if let Some(most) = self.max_length.filter(|most| texts().any(|text| text.chars().count() > *most)) {
            return Some(format!("of {most} characters at most"));
        }
        if !self.enum_list.is_empty() && texts().any(|text| self.enum_list.iter().all(|known| known != text)) {
            return Some(format!("one of {}", self.enum_list.join(", ")));
        }
        None
    }
}

impl DataType {
    fn takes(self, value: &Value) -> bool {
        match self {
            DataType::Int => value.as_i64().is_some_and(|value| i32::try_from(value).is_ok()),
            DataType::Long => value.is_i64(),
            DataType::Decimal => value.is_number(),
            DataType::String | DataType::DateTime | DataType::Enum => value.is_string(),
            DataType::Boolean => value.is_boolean(),
            DataType::JsonObject => value.is_object(),
            DataType::JsonArray => value.is_array(),
            DataType::StringList => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
        }
    }

    fn description(self) -> &'static str {
        match self {
            DataType::Int => "a whole number of 32 bits",
            DataType::Long => "a whole number of 64 bits",
            DataType::Decimal => "a number",
            DataType::String | DataType::DateTime | DataType::Enum => "a string",
            DataType::Boolean => "true or false",
            DataType::JsonObject => "a JSON object",
            DataType::JsonArray => "a JSON array",
            DataType::StringList => "an array of strings",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_type_takes_its_own_values() {
        let takes: [(DataType, &[Value], &[Value]); 10] = [
            (
                DataType::Int,
                &[json!(0), json!(-2_147_483_648i64), json!(2_147_483_647)],
                &[json!(2_147_483_648i64), json!(1.0), json!("1"), json!(null), json!(true)],
            ),
            (
                DataType::Long,
                &[json!(2_147_483_648i64), json!(i64::MIN), json!(i64::MAX)],
                &[json!(u64::MAX), json!(1e3), json!("1")],
            ),
            (DataType::Decimal, &[json!(1), json!(23.24), json!(u64::MAX)], &[json!("23.24"), json!(null)]),
            (DataType::String, &[json!(""), json!("a")], &[json!(1), json!(["a"])]),
            (DataType::DateTime, &[json!("20151212T121212Z")], &[json!(1_449_922_332)]),
            (DataType::Enum, &[json!("on")], &[json!(1), json!(null)]),
            (DataType::Boolean, &[json!(true), json!(false)], &[json!(0), json!("true")]),
            (DataType::JsonObject, &[json!({}), json!({"a": [1]})], &[json!([]), json!("{}")]),
            (DataType::JsonArray, &[json!([]), json!([1, "a"])], &[json!({}), json!("[]")]),
            (DataType::StringList, &[json!([]), json!(["a"])], &[json!(["a", 1]), json!("a")]),
        ];
        for (data_type, good, bad) in takes {
            for value in good {
                assert!(data_type.takes(value), "{data_type:?} takes {value}");
            }
            for value in bad {
                assert!(!data_type.takes(value), "{data_type:?} refuses {value}");
            }
        }
    }

    #[test]
    fn what_narrows_a_type() {
        let property: Property =
            serde_json::from_value(json!({ "data_type": "decimal", "min": -40, "max": 85.5 })).expect("one");
        for (value, expected) in
            [(-40.0, None), (85.5, None), (-40.1, Some("-40 or more")), (85.6, Some("85.5 or less"))]
        {
            assert_eq!(property.objection(&json!(value)).as_deref(), expected, "{value}");
        }
        let short: Property =
            serde_json::from_value(json!({ "data_type": "string list", "max_length": 2 })).expect("one");
        assert_eq!(short.objection(&json!(["äö", ""])), None);
        assert_eq!(short.objection(&json!(["a", "abc"])).as_deref(), Some("of 2 characters at most"));
        let switch: Property =
            serde_json::from_value(json!({ "data_type": "enum", "enum_list": ["on", "off"] })).expect("one");
        assert_eq!(switch.objection(&json!("on")), None);
        assert_eq!(switch.objection(&json!("On")).as_deref(), Some("one of on, off"));
        for text in [r#""int""#, r#"{"data_type":"int","min":1.0}"#] {
            let property: Property = serde_json::from_str(text).expect("one");
            assert_eq!(serde_json::to_string(&property).as_deref().ok(), Some(text));
        }
        assert!(serde_json::from_str::<Property>(r#"{"data_type":"int","mni":1}"#).is_err());
    }
}
