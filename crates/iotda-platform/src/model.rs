//! Products and their models: which services a device has, and which properties of which type. Functions on values;
//! the vendor's own forms of a model are read by `import`.

mod archive;
mod import;
mod inflate;
mod property;

pub(crate) use import::without_mark;
pub use property::DataType;
pub(crate) use property::Property;

use crate::Error;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A product and, if it has one, its model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Product {
    #[serde(rename = "product_id")]
    id: String,
    /// By service ID. A product without services has no model: it takes any service and any property.
    services: BTreeMap<String, Service>,
}

/// A service of a model: the names and types of its properties.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
struct Service {
    properties: BTreeMap<String, Property>,
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
        self.services.entry(service_id.into()).or_default().properties.insert(property.into(), data_type.into());
        self
    }

    /// Adds a service with these properties. An error if the model has it already or if its ID is empty.
    pub(crate) fn add_service(
        &mut self,
        service_id: &str,
        properties: BTreeMap<String, Property>,
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
                Some(property) => {
                    if let Some(expected) = property.objection(value) {
                        return Err(format!("property {name:?} of service {service_id:?} must be {expected}"));
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
