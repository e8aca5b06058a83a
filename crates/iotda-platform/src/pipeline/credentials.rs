//! The steps of the device authentication API: read the body, find the device, check the password. Issuing the token
//! is left to the caller.

use super::json::{self, Object};
use crate::refusal::Refusal;
use crate::registry::{Registry, is_device_id};
use crate::{calendar, password};

/// What a device says about itself. It has the documented form; whether it is true is another question.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) device_id: String,
    sign_type: SignType,
    timestamp: String,
    /// Hours since 1970.
    hour: i64,
    password: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SignType {
    /// 0: the password alone is checked.
    PasswordOnly,
    /// 1: the timestamp must also be consistent with the platform's time.
    WithTimestamp,
}

/// Reads the body of an authentication.
pub(super) fn parse(body: &[u8]) -> Result<Credentials, Refusal> {
    read(body).map_err(Refusal::invalid_input)
}

fn read(body: &[u8]) -> Result<Credentials, String> {
    let place = "the body";
    let object = Object::parse(json::utf8(body)?, place)?;
    object.only(&["device_id", "sign_type", "timestamp", "password"], place)?;
    let device_id = json::string(object.need("device_id", place)?, "device_id")?;
    if !is_device_id(&device_id) {
        return Err("device_id must be 1 to 128 letters, digits, underscores and hyphens".to_owned());
    }
    let sign_type = match object.need("sign_type", place)? {
        "0" => SignType::PasswordOnly,
        "1" => SignType::WithTimestamp,
        _ => return Err("sign_type must be the number 0 or the number 1".to_owned()),
    };
    let timestamp = json::string(object.need("timestamp", place)?, "timestamp")?;
    let hour =
        calendar::parse_timestamp_hour(&timestamp).ok_or("timestamp must be an hour in UTC of the form YYYYMMDDHH")?;
    let password = json::string(object.need("password", place)?, "password")?;
    if password.len() != 64 {
        return Err("password must have 64 characters".to_owned());
    }
    Ok(Credentials { device_id, sign_type, timestamp, hour, password })
}

/// The secret of the device that wants to authenticate.
pub(super) fn secret_of<'a>(registry: &'a Registry, device_id: &str) -> Result<&'a str, Refusal> {
    let device = registry
        .device(device_id)
        .ok_or_else(|| Refusal::authentication_failed(format!("device {device_id:?} is not registered")))?;
    device
        .secret()
        .ok_or_else(|| Refusal::authentication_failed(format!("device {device_id:?} is registered without a secret")))
}

/// Checks timestamp and password. "Consistent with the IoTDA time" is all that the page says of the timestamp for
/// `sign_type` 1; our choice is that it may be an hour off either way, so that a clock that is a little wrong does not
/// fail at the turn of the hour.
pub(super) fn verify(credentials: &Credentials, secret: &str, now_ms: i64) -> Result<(), Refusal> {
    let off_by = credentials.hour - calendar::hour_of(now_ms);
    if credentials.sign_type == SignType::WithTimestamp && off_by.abs() > 1 {
        let (given, now) = (&credentials.timestamp, calendar::format_event_time(now_ms));
        let reason = format!("timestamp {given} is more than an hour off the platform's time, {now}");
        return Err(Refusal::authentication_failed(reason));
    }
    if !password::is_right(&credentials.password, secret.as_bytes(), &credentials.timestamp) {
        let reason = "the password is not the lower-case hex of HMAC-SHA256 with the timestamp as key and the \
                      device's secret as data";
        return Err(Refusal::authentication_failed(reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;
    use serde_json::{Value, json};

    /// Secret `12345678` at 2018072417: a vector of the protocol notes.
    const PASSWORD: &str = "cda20ea47ca2e8f01d9dd8aa9eb7e7937562f5be6982ea82d46c582c4a476b3f";
    /// 2018-07-24 17:56:20 UTC.
    const NOW_MS: i64 = 1_532_454_980_000;

    fn good() -> Value {
        json!({ "device_id": "device", "sign_type": 1, "timestamp": "2018072417", "password": PASSWORD })
    }

    fn with(name: &str, value: Value) -> Vec<u8> {
        let mut body = good();
        body[name] = value;
        body.to_string().into_bytes()
    }

    fn verified(body: &[u8], now_ms: i64) -> Result<(), (u16, &'static str)> {
        parse(body)
            .and_then(|credentials| verify(&credentials, "12345678", now_ms))
            .map_err(|refusal| (refusal.status, refusal.code))
    }

    #[test]
    fn a_right_password() {
        assert_eq!(verified(good().to_string().as_bytes(), NOW_MS), Ok(()));
    }

    #[test]
    fn a_wrong_password() {
        let failed = Err((401, "IOTDA.000002"));
        assert_eq!(verified(&with("password", json!("0".repeat(64))), NOW_MS), failed);
        assert_eq!(verified(&with("password", json!(PASSWORD.to_uppercase())), NOW_MS), failed);
        assert_eq!(verified(&with("timestamp", json!("2018072416")), NOW_MS), failed);
    }

    #[test]
    fn the_timestamp_may_be_an_hour_off_if_it_is_checked() {
        const HOUR_MS: i64 = 3_600_000;
        let hour_start = NOW_MS - NOW_MS % HOUR_MS;
        let checked = good().to_string().into_bytes();
        let failed = Err((401, "IOTDA.000002"));
        assert_eq!(verified(&checked, hour_start - HOUR_MS), Ok(()));
        assert_eq!(verified(&checked, hour_start + 2 * HOUR_MS - 1), Ok(()));
        assert_eq!(verified(&checked, hour_start - HOUR_MS - 1), failed);
        assert_eq!(verified(&checked, hour_start + 2 * HOUR_MS), failed);
        assert_eq!(verified(&with("sign_type", json!(0)), 0), Ok(()));
    }

    #[test]
    fn malformed_bodies() {
        let malformed = Err((400, "IOTDA.000006"));
        let without = |name: &str| {
            let mut body = good();
            body.as_object_mut().expect("an object").remove(name);
            body.to_string().into_bytes()
        };
        for name in ["device_id", "sign_type", "timestamp", "password"] {
            assert_eq!(verified(&without(name), NOW_MS), malformed, "without {name}");
            assert_eq!(verified(&with(name, json!(null)), NOW_MS), malformed, "{name} null");
            assert_eq!(verified(&with(name, json!("")), NOW_MS), malformed, "{name} empty");
            assert_eq!(verified(&with(name, json!([good()[name]])), NOW_MS), malformed, "{name} in a list");
        }
        for sign_type in [json!(2), json!(-1), json!("0"), json!(0.0), json!(true)] {
            assert_eq!(verified(&with("sign_type", sign_type.clone()), NOW_MS), malformed, "{sign_type}");
        }
        for timestamp in [json!(2_018_072_417), json!("2018072424"), json!("201807241756")] {
            assert_eq!(verified(&with("timestamp", timestamp.clone()), NOW_MS), malformed, "{timestamp}");
        }
        assert_eq!(verified(&with("device_id", json!("a b")), NOW_MS), malformed);
        assert_eq!(verified(&with("password", json!(&PASSWORD[1..])), NOW_MS), malformed);
        assert_eq!(verified(&with("extra", json!(1)), NOW_MS), malformed);
        assert_eq!(verified(b"", NOW_MS), malformed);
        assert_eq!(verified(b"\xff", NOW_MS), malformed);
        let twice = good().to_string().replacen('{', "{\"sign_type\":1,", 1);
        assert_eq!(verified(twice.as_bytes(), NOW_MS), malformed);
    }

    #[test]
    fn devices_that_cannot_authenticate() {
        let mut registry = Registry::new();
        registry.add_device(Device::new("child")).expect("a new device");
        registry.add_device(Device::new("device").with_secret("secret")).expect("a new device");
        assert_eq!(secret_of(&registry, "device"), Ok("secret"));
        for device_id in ["child", "unknown"] {
            assert_eq!(secret_of(&registry, device_id).expect_err("a refusal").code, "IOTDA.000002");
        }
    }
}
