//! The registry file: TOML in, a `Registry` out, and errors that name the line. Its form is described at the crate's
//! front page.

use super::{Device, Limits, Registry};
use crate::limiter::Rate;
use crate::line::line_of;
use crate::model::Property;
use crate::{Error, Product};
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    limits: LimitsEntry,
    #[serde(default)]
    product: Vec<ProductEntry>,
    #[serde(default)]
    device: Vec<DeviceEntry>,
    #[serde(default)]
    gateway: Vec<GatewayEntry>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsEntry {
    device_rate: Option<Rate>,
    tenant_rate: Option<Rate>,
    auth_rate: Option<Rate>,
    tenant_auth_rate: Option<Rate>,
    children_per_batch: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductEntry {
    id: Spanned<String>,
    #[serde(default)]
    service: Vec<ServiceEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceEntry {
    id: Spanned<String>,
    #[serde(default)]
    properties: BTreeMap<String, Property>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceEntry {
    id: Spanned<String>,
    product: Option<String>,
    secret: Option<String>,
    gateway: Option<String>,
    rate: Option<Rate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GatewayEntry {
    id: Spanned<String>,
    product: Option<String>,
    secret: Option<String>,
    rate: Option<Rate>,
    #[serde(default)]
    children: Children,
    /// The product of those children that have no entry of their own.
    child_product: Option<String>,
}

enum Children {
    Any,
    Listed(Vec<Spanned<String>>),
}

impl Default for Children {
    fn default() -> Self {
        Children::Listed(Vec::new())
    }
}

impl<'de> Deserialize<'de> for Children {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyOrList;

        impl<'de> Visitor<'de> for AnyOrList {
            type Value = Children;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("\"any\" or a list of device IDs")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Children, E> {
                match text {
                    "any" => Ok(Children::Any),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Children, A::Error> {
                let mut children = Vec::new();
                while let Some(child) = list.next_element()? {
                    children.push(child);
                }
                Ok(Children::Listed(children))
            }
        }

        deserializer.deserialize_any(AnyOrList)
    }
}

/// Reads the text of a registry file.
pub(super) fn parse(text: &str) -> Result<Registry, Error> {
    let file: File = toml::from_str(text).map_err(|error| {
        // Its own text shows the line and points at the place.
        Error::new(format!("this is not a registry: {}", error.to_string().trim_end()))
    })?;
    let at = |span: Range<usize>, error: Error| Error::new(format!("line {}: {error}", line_of(text, span.start)));
    let mut registry = Registry::new();
    registry.limits = limits(&file.limits);
    for entry in &file.product {
        let product = product(entry).map_err(|(span, error)| at(span, error))?;
        registry.add_product(product).map_err(|error| at(entry.id.span(), error))?;
    }
    for entry in &file.gateway {
        registry.add_device(gateway(entry)).map_err(|error| at(entry.id.span(), error))?;
    }
    for entry in &file.device {
        registry.add_device(device(entry)).map_err(|error| at(entry.id.span(), error))?;
    }
    for entry in &file.gateway {
        if let Some(product) = &entry.child_product {
            registry.check_product(product).map_err(|error| at(entry.id.span(), error))?;
        }
        if let Children::Listed(children) = &entry.children {
            for child in children {
                add_child(&mut registry, entry, child.get_ref()).map_err(|error| at(child.span(), error))?;
            }
        }
    }
    Ok(registry)
}

fn limits(entry: &LimitsEntry) -> Limits {
    Limits {
        device_rate: entry.device_rate,
        tenant_rate: entry.tenant_rate,
        auth_rate: entry.auth_rate,
        tenant_auth_rate: entry.tenant_auth_rate,
        children_per_batch: entry.children_per_batch.unwrap_or(Limits::default().children_per_batch),
    }
}

fn product(entry: &ProductEntry) -> Result<Product, (Range<usize>, Error)> {
    let mut product = Product::new(entry.id.get_ref());
    for service in &entry.service {
        product
            .add_service(service.id.get_ref(), service.properties.clone())
            .map_err(|error| (service.id.span(), error))?;
    }
    Ok(product)
}

fn device(entry: &DeviceEntry) -> Device {
    Device {
        id: entry.id.get_ref().clone(),
        product: entry.product.clone(),
        secret: entry.secret.clone(),
        gateway: entry.gateway.clone(),
        takes_any_child: false,
        rate: entry.rate,
    }
}

fn gateway(entry: &GatewayEntry) -> Device {
    Device {
        id: entry.id.get_ref().clone(),
        product: entry.product.clone(),
        secret: entry.secret.clone(),
        gateway: None,
        takes_any_child: matches!(entry.children, Children::Any),
        rate: entry.rate,
    }
}

/// A child in a gateway's list has an entry of its own, or is registered by being listed.
fn add_child(registry: &mut Registry, gateway: &GatewayEntry, child: &str) -> Result<(), Error> {
    let gateway_id = gateway.id.get_ref();
    match registry.devices.get_mut(child) {
        None => {
            let mut device = Device::new(child).with_gateway(gateway_id);
            device.product.clone_from(&gateway.child_product);
            registry.add_device(device)
        }
        Some(device) => match &device.gateway {
            None if child != gateway_id => {
                device.gateway = Some(gateway_id.clone());
                Ok(())
            }
            None => Err(Error::new(format!("gateway {child:?} is among its own children: remove it there"))),
            Some(other) => {
                Err(Error::new(format!("device {child:?} is a child of gateway {other:?} already: list it once")))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text).expect_err("an error").to_string()
    }

    #[test]
    fn a_file_with_everything() {
        let registry = parse(
            r#"
            [limits]
            device_rate = 10
            tenant_rate = 100
            auth_rate = 1
            tenant_auth_rate = 5
            children_per_batch = 3

            [[product]]
            id = "weather"
            [[product.service]]
            id = "wind"
            properties = { Height = "int", Speed = "decimal", Tags = "string list" }

            [[device]]
            id = "station"
            product = "weather"
            secret = "secret"
            rate = 2

            [[device]]
            id = "child_2"
            gateway = "mast"

            [[gateway]]
            id = "mast"
            secret = "secret"
            children = ["child_1", "station"]
            child_product = "weather"

            [[gateway]]
            id = "open"
            secret = "secret"
            children = "any"
            "#,
        )
        .expect("a good file");
        let limits = registry.limits();
        assert_eq!((limits.device_rate, limits.tenant_rate), (Some(10), Some(100)));
        assert_eq!((limits.auth_rate, limits.tenant_auth_rate), (Some(1), Some(5)));
        assert_eq!(limits.children_per_batch, 3);
        assert_eq!(registry.report_rates("station").device, Some(2));
        for child in ["child_1", "child_2", "station"] {
            assert!(registry.is_child(child, "mast"), "{child}");
        }
        assert_eq!(registry.model_of("child_1").map(Product::id), Some("weather"));
        assert!(registry.model_of("child_2").is_none());
        assert!(registry.is_child("whoever", "open"));
        assert_eq!(registry.devices().count(), 5);
    }

    #[test]
    fn an_empty_file_registers_nobody() {
        assert_eq!(parse("").expect("a good file").devices().count(), 0);
    }

    #[test]
    fn errors_name_the_line_and_the_entry() {
        let duplicate = error("[[device]]\nid = \"a\"\n\n[[device]]\nid = \"a\"\n");
        assert!(duplicate.starts_with("line 5: device \"a\" is registered already"), "{duplicate}");
        let product = error("[[device]]\nid = \"a\"\nproduct = \"p\"\n");
        assert!(product.starts_with("line 2: device \"a\": product \"p\" is not registered"), "{product}");
        let service =
            error("[[product]]\nid = \"p\"\n[[product.service]]\nid = \"s\"\n[[product.service]]\nid = \"s\"");
        assert!(service.starts_with("line 6: service \"s\" is there twice"), "{service}");
        let twice = error(
            "[[gateway]]\nid = \"g\"\nchildren = [\"a\"]\n[[gateway]]\nid = \"h\"\nchildren = [\n\"b\",\n\"a\"]\n",
        );
        assert!(twice.starts_with("line 8: device \"a\" is a child of gateway \"g\" already"), "{twice}");
        let itself = error("[[gateway]]\nid = \"g\"\nchildren = [\"g\"]\n");
        assert!(itself.starts_with("line 3: gateway \"g\" is among its own children"), "{itself}");
        let child_product = error("[[gateway]]\nid = \"g\"\nchild_product = \"p\"\n");
        assert!(child_product.starts_with("line 2: product \"p\""), "{child_product}");
    }

    #[test]
    fn errors_of_form_point_at_the_place() {
        for (text, place) in [
            ("[[device]]\nid = 5\n", "line 2"),
            ("[[device]]\nid = \"a\"\nsecrets = \"b\"\n", "line 3"),
            ("[[device]]\nsecret = \"b\"\n", "line 1"),
            ("[limits]\ndevice_rate = -1\n", "line 2"),
            ("[[product]]\nid = \"p\"\n[[product.service]]\nid = \"s\"\nproperties = { a = \"integer\" }\n", "line 5"),
            ("[[gateway]]\nid = \"g\"\nchildren = \"all\"\n", "line 3"),
            ("[[device]\n", "line 1"),
        ] {
            let error = error(text);
            assert!(error.contains(place), "{text:?} gives {error}");
        }
    }
}
