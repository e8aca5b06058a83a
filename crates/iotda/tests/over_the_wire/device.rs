//! A platform with a gateway on it, and a client for that gateway.

use std::time::Duration;

use crate::by_ureq::trust;
use iotda::{Client, Config, RetryPolicy};
use iotda_platform::{Device, Platform, Registry, RequestRecord};

pub const ID: &str = "gateway_1";
/// Most tests look at what one attempt comes to.
pub const NEVER: RetryPolicy =
    RetryPolicy::new().max_attempts(1).base_delay(Duration::from_millis(1)).max_delay(Duration::from_millis(1));

/// Try again as often as that, at once.
pub fn at_once(max_attempts: u32) -> RetryPolicy {
    NEVER.max_attempts(max_attempts)
}

pub const SECRET: &[u8] = b"gateway-secret";

/// A gateway that may report for any child, and a second device.
pub fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.add_device(Device::new(ID).with_secret("gateway-secret").with_any_child()).unwrap();
    registry.add_device(Device::new("device_2").with_secret("second-secret")).unwrap();
    registry
}

pub fn platform() -> Platform {
    Platform::builder().registry(registry()).start().unwrap()
}

pub fn config(platform: &Platform) -> Config {
    let mut config = Config::new();
    config.endpoint(platform.url()).unwrap().device(ID, SECRET).unwrap();
    trust(&mut config, platform.ca_pem());
    config.retry(NEVER).unwrap();
    config
}

pub fn client(platform: &Platform) -> Client {
    Client::new(&config(platform)).unwrap()
}

/// How often each of the paths' last words was asked for.
pub fn count(platform: &Platform, target: &str) -> usize {
    platform.requests().iter().filter(|request| request.target.ends_with(target)).count()
}

pub fn authentications(platform: &Platform) -> usize {
    count(platform, "/device-auth")
}

/// All requests but authentications.
pub fn reports(platform: &Platform) -> Vec<RequestRecord> {
    platform.requests().into_iter().filter(|request| !request.target.ends_with("/device-auth")).collect()
}
