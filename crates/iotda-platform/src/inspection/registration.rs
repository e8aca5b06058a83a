//! The first two steps of the page's Service Flow: create a product, register a device. In JSON, on values; the console
//! and the application API of the real platform do far more.

use super::query::Query;
use super::{failure, read};
use crate::limiter::Rate;
use crate::model::DataType;
use crate::registry::Registry;
use crate::state::State;
use crate::{Device, Error, Product, hex};
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
    services: BTreeMap<String, BTreeMap<String, DataType>>,
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
}

#[derive(Serialize)]
struct Registered<'a> {
    device_id: &'a str,
    product_id: Option<&'a str>,
    gateway_id: Option<&'a str>,
    takes_any_child: bool,
}

pub(super) fn create_product(registry: &mut Registry, body: &[u8]) -> Answer {
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

/// The device ID is of the form that the page gives for those which the platform allocates: `{product_id}_{node_id}`.
pub(super) fn register_device(registry: &mut Registry, body: &[u8]) -> Answer {
    let new: NewDevice = match read(body) {
        Ok(new) => new,
        Err(failure) => return failure,
    };
    let register = || {
        let NewDevice { product_id, node_id, device_id, secret, gateway_id, rate } = new;
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

/// Secrets are told once, when a device is registered.
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
