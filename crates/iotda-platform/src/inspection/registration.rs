//! The first two steps of the page's Service Flow: create a product, register a device. In JSON, on values; the console
//! and the application API of the real platform do far more.

use super::query::Query;
use super::{failure, read};
use crate::limiter::Rate;
use crate::model::Property;
use crate::registry::Registry;
use crate::state::State;
use crate::{Device, Error, Product, hex};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// A status and a JSON text.
type Answer = (u16, String);

/// Digits of an ID or a secret that the platform makes up.
const GENERATED_LENGTH: usize = 32;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewProduct {
    product_id: Option<String>,
    #[serde(default)]
    services: BTreeMap<String, BTreeMap<String, Property>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDevice {
    product_id: String,
    node_id: String,
    /// Made of the two above if it is not given.
    device_id: Option<String>,
    secret: Option<String>,
    gateway_id: Option<String>,
    rate: Option<Rate>,
    /// As the application API's AddDevice has it.
    auth_info: Option<AuthInfo>,
    // What else AddDevice may hold, and nothing here hangs on.
    #[serde(rename = "device_name")]
    _device_name: Option<IgnoredAny>,
    #[serde(rename = "description")]
    _description: Option<IgnoredAny>,
    #[serde(rename = "app_id")]
    _app_id: Option<IgnoredAny>,
    #[serde(rename = "extension_info")]
    _extension_info: Option<IgnoredAny>,
    #[serde(rename = "shadow")]
    _shadow: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct AuthInfo {
    auth_type: Option<String>,
    secret: Option<String>,
}

impl AuthInfo {
    /// The secret, if it is one that the application API takes.
    fn checked(self) -> Result<Option<String>, Error> {
        if self.auth_type.is_some_and(|auth_type| auth_type != "SECRET") {
            return Err(Error::new("auth_info.auth_type must be SECRET: over HTTPS a device has no other way"));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        match &self.secret {
            Some(secret) if !((8..=32).contains(&secret.len()) && secret.bytes().all(allowed)) => {
                Err(Error::new("auth_info.secret must be 8 to 32 letters, digits, underscores and hyphens"))
            }
            _ => Ok(self.secret),
        }
    }
}

#[derive(Serialize)]
struct Registered<'a> {
    device_id: &'a str,
    product_id: Option<&'a str>,
    gateway_id: Option<&'a str>,
    takes_any_child: bool,
}

pub(super) fn create_product(registry: &mut Registry, body: &[u8]) -> Answer {
    let object: Option<serde_json::Map<String, serde_json::Value>> = serde_json::from_slice(body).ok();
    if let Some(object) = object.filter(|object| object.contains_key("service_capabilities")) {
        return created(create_product_of_vendor(registry, &object));
    }
    let new: NewProduct = match read(body) {
        Ok(new) => new,
        Err(failure) => return failure,
    };
    let create = || {
        let product_id = match new.product_id {
            Some(product_id) => product_id,
            None => hex::random(GENERATED_LENGTH)?,
        };
        let mut product = Product::new(&product_id);
        for (service_id, properties) in new.services {
            product.add_service(&service_id, properties)?;
        }
        registry.add_product(product)?;
        Ok(json!({ "product_id": product_id }))
    };
    created(create())
}

/// The body of the application API's CreateProduct, of which the ID and the model are used.
fn create_product_of_vendor(
    registry: &mut Registry,
    object: &serde_json::Map<String, serde_json::Value>,
) -> Result<serde_json::Value, Error> {
    let product_id = match object.get("product_id").and_then(serde_json::Value::as_str) {
        Some(product_id) => product_id.to_owned(),
        None => hex::random(GENERATED_LENGTH)?,
    };
    registry.add_product(Product::from_service_capabilities(&product_id, object).map_err(Error::new)?)?;
    Ok(json!({ "product_id": product_id }))
}

/// The device ID is of the form that the page gives for those which the platform allocates: `{product_id}_{node_id}`.
pub(super) fn register_device(registry: &mut Registry, body: &[u8]) -> Answer {
    let new: NewDevice = match read(body) {
        Ok(new) => new,
        Err(failure) => return failure,
    };
    let register = || {
        let NewDevice { product_id, node_id, device_id, secret, gateway_id, rate, auth_info, .. } = new;
        let secret = match auth_info {
            Some(auth_info) => secret.or(auth_info.checked()?),
            None => secret,
        };
        let device_id = device_id.unwrap_or_else(|| format!("{product_id}_{node_id}"));
        let secret = match secret {
            Some(secret) => secret,
            None => hex::random(GENERATED_LENGTH)?,
        };
        let mut device = Device::new(&device_id).with_product(&product_id).with_secret(&secret);
        if let Some(gateway_id) = &gateway_id {
            device = device.with_gateway(gateway_id);
        }
        if let Some(rate) = rate {
            device = device.with_rate(rate);
        }
        registry.add_device(device)?;
        Ok(json!({
            "device_id": device_id,
            "node_id": node_id,
            "product_id": product_id,
            "gateway_id": gateway_id,
            "secret": secret,
            "auth_info": { "auth_type": "SECRET", "secret": secret },
        }))
    };
    created(register())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    secret: Option<String>,
    /// `null` takes the device's own limit away.
    #[serde(default, deserialize_with = "some")]
    rate: Option<Option<Rate>>,
}

/// A member that is there, even if it is `null`.
fn some<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Rate>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Changes a device's secret or its limit. Its tokens stay valid.
pub(super) fn change_device(state: &State, device_id: &str, body: &[u8]) -> Answer {
    let Change { secret, rate } = match read(body) {
        Ok(change) => change,
        Err(failure) => return failure,
    };
    let mut registry = state.registry_mut();
    if registry.device(device_id).is_none() {
        return failure(404, &format!("device {device_id:?} is not registered"));
    }
    let mut change = || {
        if let Some(secret) = &secret {
            registry.set_secret(device_id, secret)?;
        }
        rate.map_or(Ok(()), |rate| registry.set_device_rate(device_id, rate))
    };
    match change() {
        Ok(()) => (200, "{}".to_owned()),
        Err(error) => failure(400, &error.to_string()),
    }
}

/// Takes a device out of the registry, and its tokens with it.
pub(super) fn remove_device(state: &State, device_id: &str) -> Answer {
    match state.registry_mut().remove_device(device_id) {
        Ok(()) => {
            state.tokens().expire(device_id);
            (200, "{}".to_owned())
        }
        Err(error) => failure(404, &error.to_string()),
    }
}

/// Secrets are shown once, when a device is registered.
pub(super) fn list_devices(registry: &Registry, query: &Query) -> String {
    let chosen = registry.devices().filter(|device| query.finds(&[device.id().as_bytes()]));
    let devices = chosen.take(query.limit.unwrap_or(usize::MAX)).map(|device| Registered {
        device_id: device.id(),
        product_id: device.product(),
        gateway_id: device.gateway(),
        takes_any_child: device.takes_any_child(),
    });
    json!(devices.collect::<Vec<_>>()).to_string()
}

fn created(result: Result<serde_json::Value, Error>) -> Answer {
    match result {
        Ok(value) => (201, value.to_string()),
        Err(error) => failure(400, &error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspection::query::OF_DEVICES;
    use serde_json::Value;

    fn json(answer: &Answer) -> Value {
        serde_json::from_str(&answer.1).expect("an answer in JSON")
    }

    #[test]
    fn the_service_flow() {
        let mut registry = Registry::new();
        let product = create_product(&mut registry, br#"{"services":{"wind":{"Speed":"decimal"}}}"#);
        assert_eq!(product.0, 201);
        let product_id = json(&product)["product_id"].as_str().expect("an ID").to_owned();
        let body = json!({ "product_id": product_id, "node_id": "n1" }).to_string();
        let gateway = register_device(&mut registry, body.as_bytes());
        assert_eq!(gateway.0, 201);
        let gateway_id = format!("{product_id}_n1");
        assert_eq!(json(&gateway)["device_id"], *gateway_id);
        let secret = json(&gateway)["secret"].as_str().expect("a secret").to_owned();
        assert_eq!(secret.len(), 32);
        assert_eq!(registry.device(&gateway_id).and_then(Device::secret), Some(secret.as_str()));

        let body = json!({
            "product_id": product_id, "node_id": "n2", "device_id": "child", "secret": "s", "gateway_id": gateway_id
        });
        let child = register_device(&mut registry, body.to_string().as_bytes());
        assert_eq!((child.0, &json(&child)["secret"]), (201, &json!("s")));
        assert!(registry.is_child("child", &gateway_id));
        let listed = |query| list_devices(&registry, &Query::parse(query, OF_DEVICES).expect("a query"));
        let number = |query| serde_json::from_str::<Value>(&listed(query)).expect("JSON").as_array().map(Vec::len);
        assert_eq!((number(None), number(Some("q=CHILD")), number(Some("limit=1"))), (Some(2), Some(1), Some(1)));
        assert!(!listed(None).contains(&secret));
    }

    #[test]
    fn the_application_api_s_bodies() {
        let mut registry = Registry::new();
        let product = json!({ "product_id": "p", "name": "Thermometer", "device_type": "T", "protocol_type": "HTTPS",
            "data_format": "json", "service_capabilities": [{ "service_id": "t", "service_type": "t",
            "properties": [{ "property_name": "T", "data_type": "decimal", "max": "85", "method": "R" }] }] });
        assert_eq!(create_product(&mut registry, product.to_string().as_bytes()).0, 201);
        let device = |secret: &str| {
            json!({ "node_id": "n", "product_id": "p", "device_name": "d", "description": "x",
                "auth_info": { "auth_type": "SECRET", "secret": secret, "timeout": 300 } })
            .to_string()
        };
        for bad in ["1234567", &"x".repeat(33), "12345678!"] {
            let answer = register_device(&mut registry, device(bad).as_bytes());
            assert!(answer.0 == 400 && answer.1.contains("8 to 32"), "{answer:?}");
        }
        let answer = register_device(&mut registry, device("12345678").as_bytes());
        assert_eq!((answer.0, &json(&answer)["auth_info"]["secret"]), (201, &json!("12345678")));
        let model = registry.model_of("p_n").expect("its model");
        assert!(model.check("t", &[("T".to_owned(), json!(86))]).is_err());
    }

    #[test]
    fn what_cannot_be_registered_is_said() {
        let mut registry = Registry::new();
        let unknown = register_device(&mut registry, br#"{"product_id":"p","node_id":"n"}"#);
        assert_eq!(unknown.0, 400);
        assert!(unknown.1.contains("register the product first"), "{}", unknown.1);
        assert_eq!(create_product(&mut registry, br#"{"product_id":"p p"}"#).0, 400);
        assert_eq!(create_product(&mut registry, br#"{"product":"p"}"#).0, 400);
        assert_eq!(register_device(&mut registry, b"").0, 400);
    }
}
