//! `iotda_config_t`: the settings of a client.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use iotda::{Config, SignType};

use crate::boundary::{Outcome, Stop, array, guarded_drop, guarded_status, panic_if_asked, required_mut, text};
use crate::status::iotda_status_t;

/// The settings of a client. Made by iotda_config_new, freed by iotda_config_free.
///
/// Every setter checks its value and copies it. A setter that fails keeps the old value, and is remembered:
/// iotda_init then fails with its message, so that setters need not be checked one by one. Setting the
/// same thing again, rightly, forgets the failure.
///
/// A config may be used by one thread at a time.
pub struct iotda_config_t {
    pub(crate) config: Config,
    /// The setters that failed, by name.
    pub(crate) failed: Vec<(&'static str, Stop)>,
}

/// Makes a config with nothing but defaults. Free it with iotda_config_free.
///
/// Returns NULL only after a fault of the library. Any thread; never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn iotda_config_new() -> *mut iotda_config_t {
    let make = || {
        panic_if_asked();
        Box::into_raw(Box::new(iotda_config_t { config: Config::new(), failed: Vec::new() }))
    };
    std::panic::catch_unwind(make).unwrap_or(std::ptr::null_mut())
}

/// Frees a config and wipes the secret in it. NULL is fine. Clients made of it live on.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_free(config: *mut iotda_config_t) {
    if !config.is_null() {
        // SAFETY: made by iotda_config_new and not freed yet, as the caller promises.
        guarded_drop(|| drop(unsafe { Box::from_raw(config) }));
    }
}

/// Required. The platform's address as the IoTDA console shows it: "https://host" or "https://host:port".
///
/// Never blocks. IOTDA_E_INVALID_ARGUMENT, IOTDA_E_CONFIG, IOTDA_E_INTERNAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_endpoint(config: *mut iotda_config_t, url: *const c_char) -> iotda_status_t {
    let set = |config: &mut Config| {
        // SAFETY: NULL or a terminated text, as the caller promises.
        let url = unsafe { text(url, || "url".to_owned()) }?;
        Ok(config.endpoint(url).map(drop)?)
    };
    // SAFETY: NULL or a config of this library that no other thread uses, as the caller promises.
    unsafe { setter(config, "iotda_config_set_endpoint", set) }
}

/// Required. The device's id, and its secret: any secret_len bytes (at least one), not necessarily text.
///
/// Both are copied; the copy of the secret is wiped when the config and the clients made of it are freed.
/// Never blocks. IOTDA_E_INVALID_ARGUMENT, IOTDA_E_INTERNAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_device(
    config: *mut iotda_config_t,
    device_id: *const c_char,
    secret: *const c_void,
    secret_len: usize,
) -> iotda_status_t {
    let set = |config: &mut Config| {
        // SAFETY: NULL or a terminated text, as the caller promises.
        let device_id = unsafe { text(device_id, || "device_id".to_owned()) }?;
        // SAFETY: NULL or secret_len bytes, as the caller promises.
        let secret = unsafe { array(secret.cast::<u8>(), secret_len, || "secret".to_owned()) }?;
        Ok(config.device(device_id, secret).map(drop)?)
    };
    // SAFETY: NULL or a config of this library that no other thread uses, as the caller promises.
    unsafe { setter(config, "iotda_config_set_device", set) }
}

/// 0 (default): the platform checks the password of an authentication alone, so a device whose clock is
/// wrong can authenticate. 1: it also compares the time with its own.
///
/// Never blocks. IOTDA_E_INVALID_ARGUMENT, IOTDA_E_INTERNAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_sign_type(config: *mut iotda_config_t, sign_type: i32) -> iotda_status_t {
    let set = |config: &mut Config| {
        config.sign_type(SignType::from_number(sign_type)?);
        Ok(())
    };
    // SAFETY: NULL or a config of this library that no other thread uses, as the caller promises.
    unsafe { setter(config, "iotda_config_set_sign_type", set) }
}

/// The certificate authorities to trust: len bytes of PEM text with one or more certificates. They take the
/// place of the public authorities that are built in.
///
/// Never blocks. IOTDA_E_INVALID_ARGUMENT, IOTDA_E_CONFIG, IOTDA_E_INTERNAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_ca_pem(
    config: *mut iotda_config_t,
    pem: *const c_void,
    len: usize,
) -> iotda_status_t {
    let set = |config: &mut Config| {
        // SAFETY: NULL or len bytes, as the caller promises.
        let pem = unsafe { array(pem.cast::<u8>(), len, || "pem".to_owned()) }?;
        Ok(config.ca_pem(pem).map(drop)?)
    };
    // SAFETY: NULL or a config of this library that no other thread uses, as the caller promises.
    unsafe { setter(config, "iotda_config_set_ca_pem", set) }
}

/// As iotda_config_set_ca_pem, from a file, which is read at once and not again.
///
/// May block on the file system. IOTDA_E_INVALID_ARGUMENT, IOTDA_E_CONFIG, IOTDA_E_INTERNAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_ca_file(config: *mut iotda_config_t, path: *const c_char) -> iotda_status_t {
    let set = |config: &mut Config| {
        // SAFETY: NULL or a terminated text, as the caller promises.
        let path = unsafe { text(path, || "path".to_owned()) }?;
        Ok(config.ca_file(path).map(drop)?)
    };
    // SAFETY: NULL or a config of this library that no other thread uses, as the caller promises.
    unsafe { setter(config, "iotda_config_set_ca_file", set) }
}

/// The most that a whole call may take, in milliseconds, name look-up and authentication included; at least 1.
/// Default: 30,000. A single call can set its own in iotda_call_t.
///
/// Never blocks. IOTDA_E_INVALID_ARGUMENT, IOTDA_E_INTERNAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_timeout_ms(config: *mut iotda_config_t, total_ms: u32) -> iotda_status_t {
    let set = |config: &mut Config| Ok(config.timeout(Duration::from_millis(total_ms.into())).map(drop)?);
    // SAFETY: NULL or a config of this library that no other thread uses, as the caller promises.
    unsafe { setter(config, "iotda_config_set_timeout_ms", set) }
}

/// The most that connecting may take, TCP and TLS together, in milliseconds; at least 1. Default: 10,000. The
/// call's own time is never exceeded.
///
/// Never blocks. IOTDA_E_INVALID_ARGUMENT, IOTDA_E_INTERNAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_connect_timeout_ms(
    config: *mut iotda_config_t,
    connect_ms: u32,
) -> iotda_status_t {
    let set = |config: &mut Config| Ok(config.connect_timeout(Duration::from_millis(connect_ms.into())).map(drop)?);
    // SAFETY: NULL or a config of this library that no other thread uses, as the caller promises.
    unsafe { setter(config, "iotda_config_set_connect_timeout_ms", set) }
}

/// Runs one setter and remembers whether it failed.
///
/// # Safety
///
/// `config` is NULL or a config of this library that nobody else uses during the call.
unsafe fn setter(
    config: *mut iotda_config_t,
    name: &'static str,
    set: impl FnOnce(&mut Config) -> Outcome,
) -> iotda_status_t {
    guarded_status(|| {
        // SAFETY: as the caller promises.
        let config = unsafe { required_mut(config, "config") }?;
        config.failed.retain(|(failed, _)| *failed != name);
        panic_if_asked();
        set(&mut config.config).inspect_err(|stop| config.failed.push((name, stop.clone())))
    })
}
