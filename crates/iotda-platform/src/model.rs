//! Products and their models: which services a device has, and which properties of which type. Functions on values.

use crate::Error;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A product and, if it has one, its model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Product {
    #[serde(rename = "product_id")]
    id: String,
    /// By service ID. A product without services has no model: it takes any service and any property.
    services: BTreeMap<String, Service>,
}

/// A service of a model: the names and types of its properties.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
struct Service {
    properties: BTreeMap<String, DataType>,
}

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

impl Product {
    /// A product without a model. [`with_property`](Self::with_property) gives it one.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), services: BTreeMap::new() }
    }

    /// Adds a service, and a property to it, to the model.
    #[must_use]
    pub fn with_property(
        mut self,
        service_id: impl Into<String>,
        property: impl Into<String>,
        data_type: DataType,
    ) -> Self {
        self.services.entry(service_id.into()).or_default().properties.insert(property.into(), data_type);
        self
    }

    /// Adds a service with these properties. An error if the model has it already or if its ID is empty.
    pub(crate) fn add_service(
        &mut self,
        service_id: &str,
        properties: BTreeMap<String, DataType>,
    ) -> Result<(), Error> {
        if service_id.is_empty() {
            return Err(Error::new("a service has an empty ID: give it one"));
        }
        if self.services.insert(service_id.to_owned(), Service { properties }).is_some() {
            return Err(Error::new(format!("service {service_id:?} is there twice: remove one or rename it")));
        }
        Ok(())
    }

    /// Its ID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Checks one service of a report. The error says what does not fit.
    pub(crate) fn check(&self, service_id: &str, properties: &[(String, Value)]) -> Result<(), String> {
        if self.services.is_empty() {
            return Ok(());
        }
        let product = &self.id;
        let Some(service) = self.services.get(service_id) else {
            return Err(format!("the model of product {product:?} has no service {service_id:?}"));
        };
        for (name, value) in properties {
            match service.properties.get(name) {
                None => return Err(format!("service {service_id:?} of product {product:?} has no property {name:?}")),
                Some(data_type) if !data_type.takes(value) => {
                    let expected = data_type.description();
                    return Err(format!("property {name:?} of service {service_id:?} must be {expected}"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

impl DataType {
    fn takes(self, value: &Value) -> bool {
        match self {
            DataType::Int => value.as_i64().is_some_and(|value| i32::try_from(value).is_ok()),
            DataType::Long => value.is_i64(),
            DataType::Decimal => value.is_number(),
            DataType::String | DataType::DateTime => value.is_string(),
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
            DataType::String | DataType::DateTime => "a string",
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
        let takes: [(DataType, &[Value], &[Value]); 9] = [
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
    fn a_model_knows_its_services_and_properties() {
        let product = Product::new("p").with_property("weather", "Speed", DataType::Decimal);
        let speed = |value| [("Speed".to_owned(), value)];
        assert_eq!(product.check("weather", &speed(json!(23.24))), Ok(()));
        assert_eq!(product.check("weather", &[]), Ok(()));
        assert!(product.check("weather", &speed(json!("fast"))).unwrap_err().contains("must be a number"));
        assert!(product.check("climate", &[]).unwrap_err().contains("no service \"climate\""));
        let unknown = [("Height".to_owned(), json!(1))];
        assert!(product.check("weather", &unknown).unwrap_err().contains("no property \"Height\""));
    }

    #[test]
    fn a_product_without_a_model_takes_anything() {
        assert_eq!(Product::new("p").check("any", &[("thing".to_owned(), json!(null))]), Ok(()));
    }
}
