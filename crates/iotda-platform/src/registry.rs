//! Who may report what: products, devices, gateways with their children, and the limits. Its text form belongs to
//! `registry::file`; what an unregistered device is answered, to `pipeline`.

mod file;

use crate::limiter::{Rate, Rates};
use crate::{Error, Product};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// What is registered with the platform.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    products: BTreeMap<String, Product>,
    devices: BTreeMap<String, Device>,
    limits: Limits,
}

/// A device: directly connected, a gateway, or a child of a gateway.
#[derive(Clone)]
pub struct Device {
    id: String,
    product: Option<String>,
    secret: Option<String>,
    gateway: Option<String>,
    takes_any_child: bool,
    rate: Option<Rate>,
}

/// What a device and a tenant may do. A rate is a number per second; `None` means without limit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Reports of one device. A report counts once per started 4 KB of its body (4,096 bytes).
    pub device_rate: Option<Rate>,
    /// Reports of all devices together, counted the same way.
    pub tenant_rate: Option<Rate>,
    /// Authentications of one device.
    pub auth_rate: Option<Rate>,
    /// Authentications of all devices together.
    pub tenant_auth_rate: Option<Rate>,
    /// Child devices in one batch of a gateway.
    pub children_per_batch: usize,
}

impl Default for Limits {
    /// No rates, and the 50 child devices of the page's table of specifications.
    fn default() -> Self {
        Self { device_rate: None, tenant_rate: None, auth_rate: None, tenant_auth_rate: None, children_per_batch: 50 }
    }
}

impl Registry {
    /// A registry with nobody in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The registry that the command uses if it is given no other, as the text of a registry file.
    pub const DEMO: &str = include_str!("registry/demo.toml");

    /// Reads the text of a registry file. Its form is described at the [crate's front page](crate).
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        file::parse(text)
    }

    /// Reads a registry file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let place = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::new(format!("the registry file {place} cannot be read: {error}")))?;
        Self::from_toml(&text).map_err(|error| Error::new(format!("the registry file {place}: {error}")))
    }

    /// Adds a product. An error if its ID is taken or no ID at all.
    pub fn add_product(&mut self, product: Product) -> Result<(), Error> {
        let id = product.id().to_owned();
        check_id("product", &id)?;
        if self.products.contains_key(&id) {
            return Err(Error::new(format!("product {id:?} is registered already: choose another ID")));
        }
        self.products.insert(id, product);
        Ok(())
    }

    /// Adds a device. An error if its ID is taken or no ID at all, or if its product or gateway is not registered.
    pub fn add_device(&mut self, device: Device) -> Result<(), Error> {
        let id = device.id.clone();
        check_id("device", &id)?;
        if self.devices.contains_key(&id) {
            return Err(Error::new(format!("device {id:?} is registered already: choose another ID")));
        }
        if device.secret.as_ref().is_some_and(String::is_empty) {
            return Err(Error::new(format!("the secret of device {id:?} is empty: give it one")));
        }
        if let Some(product) = &device.product {
            self.check_product(product).map_err(|error| Error::new(format!("device {id:?}: {error}")))?;
        }
        if let Some(gateway) = &device.gateway {
            if !self.devices.contains_key(gateway) {
                let text = format!("device {id:?}: gateway {gateway:?} is not registered: register the gateway first");
                return Err(Error::new(text));
            }
        }
        self.devices.insert(id, device);
        Ok(())
    }

    /// The devices, by ID.
    pub fn devices(&self) -> impl ExactSizeIterator<Item = &Device> {
        self.devices.values()
    }

    /// The products, by ID.
    pub fn products(&self) -> impl Iterator<Item = &Product> {
        self.products.values()
    }

    /// One device.
    pub fn device(&self, device_id: &str) -> Option<&Device> {
        self.devices.get(device_id)
    }

    /// Sets a device's own limit; `None` takes it away, and the limit for all devices holds again.
    pub fn set_device_rate(&mut self, device_id: &str, rate: Option<Rate>) -> Result<(), Error> {
        let Some(device) = self.devices.get_mut(device_id) else {
            return Err(Error::new(format!("device {device_id:?} is not registered: register it first")));
        };
        device.rate = rate;
        Ok(())
    }

    /// Gives a device another secret. The tokens that it has stay valid.
    pub fn set_secret(&mut self, device_id: &str, secret: &str) -> Result<(), Error> {
        let Some(device) = self.devices.get_mut(device_id) else {
            return Err(Error::new(format!("device {device_id:?} is not registered: register it first")));
        };
        if secret.is_empty() {
            return Err(Error::new(format!("the secret of device {device_id:?} is empty: give it one")));
        }
        device.secret = Some(secret.to_owned());
        Ok(())
    }

    /// Takes a device away. Its children stay, and are nobody's until a gateway of its ID is registered.
    pub fn remove_device(&mut self, device_id: &str) -> Result<(), Error> {
        match self.devices.remove(device_id) {
            Some(_) => Ok(()),
            None => Err(Error::new(format!("device {device_id:?} is not registered"))),
        }
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The limits, to change them.
    pub fn limits_mut(&mut self) -> &mut Limits {
        &mut self.limits
    }

    /// The model that a device's reports must fit, if there is one.
    pub(crate) fn model_of(&self, device_id: &str) -> Option<&Product> {
        self.products.get(self.devices.get(device_id)?.product.as_ref()?)
    }

    /// Whether a gateway may report for a child.
    pub(crate) fn is_child(&self, device_id: &str, gateway_id: &str) -> bool {
        match self.devices.get(device_id) {
            Some(child) => child.gateway.as_deref() == Some(gateway_id),
            None => self.devices.get(gateway_id).is_some_and(|gateway| gateway.takes_any_child),
        }
    }

    /// The limits that hold for a device's reports.
    pub(crate) fn report_rates(&self, device_id: &str) -> Rates {
        let own = self.devices.get(device_id).and_then(|device| device.rate);
        Rates { device: own.or(self.limits.device_rate), tenant: self.limits.tenant_rate }
    }

    /// The limits that hold for a device's authentications.
    pub(crate) fn auth_rates(&self) -> Rates {
        Rates { device: self.limits.auth_rate, tenant: self.limits.tenant_auth_rate }
    }

    fn check_product(&self, product: &str) -> Result<(), Error> {
        if self.products.contains_key(product) {
            return Ok(());
        }
        Err(Error::new(format!("product {product:?} is not registered: register the product first")))
    }
}

impl Device {
    /// A device without a secret: it cannot authenticate, and so is good for a gateway's child alone.
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        Self { id, product: None, secret: None, gateway: None, takes_any_child: false, rate: None }
    }

    /// Gives it a secret to authenticate with.
    #[must_use]
    pub fn with_secret(mut self, secret: impl Into<String>) -> Self {
        self.secret = Some(secret.into());
        self
    }

    /// Makes it a device of a product, whose model its reports must fit. Without one they may hold anything.
    #[must_use]
    pub fn with_product(mut self, product_id: impl Into<String>) -> Self {
        self.product = Some(product_id.into());
        self
    }

    /// Makes it a child of a gateway.
    #[must_use]
    pub fn with_gateway(mut self, gateway_id: impl Into<String>) -> Self {
        self.gateway = Some(gateway_id.into());
        self
    }

    /// Makes it a gateway that may report for any device that is not registered. The platform knows nothing like it:
    /// it saves a demonstration the registering of its children.
    #[must_use]
    pub fn with_any_child(mut self) -> Self {
        self.takes_any_child = true;
        self
    }

    /// Gives it a limit of its own, in place of [`Limits::device_rate`].
    #[must_use]
    pub fn with_rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Its ID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The ID of its product.
    pub fn product(&self) -> Option<&str> {
        self.product.as_deref()
    }

    /// Its secret.
    pub fn secret(&self) -> Option<&str> {
        self.secret.as_deref()
    }

    /// The ID of the gateway that reports for it.
    pub fn gateway(&self) -> Option<&str> {
        self.gateway.as_deref()
    }

    /// Whether it may report for any device that is not registered.
    pub fn takes_any_child(&self) -> bool {
        self.takes_any_child
    }
}

/// Shows everything but the secret.
impl fmt::Debug for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Device")
            .field("id", &self.id)
            .field("product", &self.product)
            .field("gateway", &self.gateway)
            .field("takes_any_child", &self.takes_any_child)
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}

/// Whether a text can be a device ID: 1 to 128 letters, digits, underscores and hyphens. From the page's parameter
/// tables.
pub(crate) fn is_device_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=128).contains(&text.len()) && text.bytes().all(allowed)
}

/// The page gives no form for product IDs. As they begin the IDs of devices, ours is the same.
fn check_id(kind: &str, id: &str) -> Result<(), Error> {
    if is_device_id(id) {
        return Ok(());
    }
    Err(Error::new(format!("{id:?} is no {kind} ID: it takes 1 to 128 letters, digits, underscores and hyphens")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(result: Result<(), Error>) -> String {
        result.expect_err("an error").to_string()
    }

    #[test]
    fn device_ids() {
        for id in ["a", "Z9_-", &"x".repeat(128)] {
            assert!(is_device_id(id), "{id}");
        }
        for id in ["", "a b", "a/b", "ä", "a.b", "%61", &"x".repeat(129)] {
            assert!(!is_device_id(id), "{id}");
        }
    }

    #[test]
    fn what_cannot_be_registered() {
        let mut registry = Registry::new();
        registry.add_product(Product::new("p")).expect("a new product");
        registry.add_device(Device::new("d")).expect("a new device");
        assert!(text(registry.add_product(Product::new("p"))).contains("registered already"));
        assert!(text(registry.add_product(Product::new(""))).contains("is no product ID"));
        assert!(text(registry.add_device(Device::new("d"))).contains("registered already"));
        assert!(text(registry.add_device(Device::new("e e"))).contains("is no device ID"));
        assert!(text(registry.add_device(Device::new("e").with_product("q"))).contains("product \"q\""));
        assert!(text(registry.add_device(Device::new("e").with_gateway("g"))).contains("gateway \"g\""));
        assert!(text(registry.add_device(Device::new("e").with_secret(""))).contains("secret"));
        assert!(text(registry.set_device_rate("e", None)).contains("not registered"));
        assert!(text(registry.set_secret("e", "s")).contains("not registered"));
        assert!(text(registry.set_secret("d", "")).contains("is empty"));
        assert!(text(registry.remove_device("e")).contains("not registered"));
        assert_eq!(registry.devices().count(), 1);
    }

    #[test]
    fn children_belong_to_one_gateway() {
        let mut registry = Registry::new();
        for device in
            [Device::new("gateway"), Device::new("open").with_any_child(), Device::new("child").with_gateway("gateway")]
        {
            registry.add_device(device).expect("a new device");
        }
        assert!(registry.is_child("child", "gateway"));
        assert!(!registry.is_child("unknown", "gateway"));
        assert!(!registry.is_child("gateway", "gateway"));
        assert!(registry.is_child("unknown", "open"));
        // What is registered for another, or for nobody, is not anybody's.
        assert!(!registry.is_child("child", "open"));
        assert!(!registry.is_child("gateway", "open"));
    }

    #[test]
    fn a_device_s_own_rate_goes_before_the_common_one() {
        let mut registry = Registry::new();
        registry.add_device(Device::new("d").with_rate(5)).expect("a new device");
        registry.limits_mut().device_rate = Some(2);
        assert_eq!(registry.report_rates("d").device, Some(5));
        assert_eq!(registry.report_rates("e").device, Some(2));
        registry.set_device_rate("d", None).expect("a known device");
        assert_eq!(registry.report_rates("d").device, Some(2));
    }

    #[test]
    fn the_demonstration_has_one_of_each() {
        let registry = Registry::from_toml(Registry::DEMO).expect("a good file");
        assert!(registry.model_of("demo_device").expect("its product").check("any", &[]).is_ok());
        assert!(registry.model_of("weather_station").expect("its product").check("any", &[]).is_err());
        assert!(registry.is_child("whoever", "demo_gateway"));
        assert!(registry.devices().all(|device| device.secret() == Some("demo-secret")));
    }

    #[test]
    fn a_secret_is_not_shown() {
        let shown = format!("{:?}", Device::new("d").with_secret("hush"));
        assert!(!shown.contains("hush"), "{shown}");
    }
}
