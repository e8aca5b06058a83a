//! `iotda_config_t`: the settings of a client. Those about trust are in [`crate::trust`], those about the way to
//! the platform in [`crate::network`], those about tokens in [`crate::token`], and clock and log have their files.

use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::time::Duration;

use iotda::{Config, RetryPolicy, SignType};

use crate::arguments::handle_mut;
use crate::failures::{Change, Failures};
use crate::handle::Handle;
use crate::log::ProgramLog;
use crate::outcome::{Outcome, Stop, status_of};
use crate::panic::{self, caught, panic_if_asked};
use crate::status::iotda_status_t;

/// The settings of a client.
///
/// Every setter checks its value and copies it. A setter that fails leaves the value as it was, and the failure is
/// remembered: iotda_init then fails with its message, so that setters need not be checked one by one. A failure is
/// forgotten when the same thing is set again successfully, also by another function: iotda_config_set_ca_pem makes up
/// for iotda_config_set_ca_file and for the iotda_config_add_ca_ functions. Adding does not make up for another
/// addition that failed. Those of the endpoint, PEM, the proxy and TLS 1.3 also return IOTDA_E_CONFIG.
///
/// A callback's user_data is passed on as it is. destroy, unless NULL, is called with it once: when the config and all
/// clients made of it are freed, when the callback is set again, or before the setter returns if it fails or if the
/// callback is NULL.
pub struct iotda_config_t {
    pub(crate) core: Config,
    /// The log that the core has as well.
    pub(crate) log: Option<Arc<ProgramLog>>,
    failures: Failures,
}

impl Handle for iotda_config_t {
    const MAGIC: u64 = 0x5d20_e8b7_4a91_c33f;
    const WANTED: &'static str = "a config of iotda_config_new";
    const ENDED: &'static str = "freed";
}

impl iotda_config_t {
    /// Fails with what the first of the setters that failed said.
    pub(crate) fn check(&self) -> Outcome {
        self.failures.first().map_or(Ok(()), Err)
    }
}

/// `setter!(config.set(Proxy), "iotda_config_set_x", |core| …)`: the body of a setter, which changes the core's config.
/// `add` is for a setter that leaves what was set before.
macro_rules! setter {
    ($config:ident.$change:ident($setting:ident), $name:literal, |$core:ident| $set:expr) => {{
        let set = |config: &mut $crate::config::iotda_config_t| -> $crate::outcome::Outcome {
            let $core = &mut config.core;
            let _ = $set?;
            Ok(())
        };
        let change = $crate::failures::Change::$change($crate::failures::Setting::$setting, $name);
        // SAFETY: the promise "handles".
        unsafe { $crate::config::setter($config, change, set) }
    }};
}

/// Makes a config with nothing but defaults.
#[unsafe(no_mangle)]
pub extern "C" fn iotda_config_new() -> *mut iotda_config_t {
    panic::new(|| iotda_config_t { core: Config::new(), log: None, failures: Failures::default() })
}

/// Frees a config and wipes the secret in it. Clients made of it live on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_free(config: *mut iotda_config_t) {
    // SAFETY: the promise "handles".
    unsafe { panic::free(config) };
}

/// Required. The platform's address as the IoTDA console shows it: "https://host" or "https://host:port".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_endpoint(config: *mut iotda_config_t, url: *const c_char) -> iotda_status_t {
    setter!(config.set(Endpoint), "iotda_config_set_endpoint", |core| {
        let url = text!(url)?;
        core.endpoint(url)
    })
}

/// Required. The device's id, and its secret: any secret_len bytes (at least one), not necessarily text. The copy of
/// the secret is wiped when the config and the clients made of it are freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_device(
    config: *mut iotda_config_t,
    device_id: *const c_char,
    secret: *const c_void,
    secret_len: usize,
) -> iotda_status_t {
    setter!(config.set(Device), "iotda_config_set_device", |core| {
        let device_id = text!(device_id)?;
        let secret = bytes!(secret, secret_len)?;
        core.device(device_id, secret)
    })
}

/// 0 (default): the platform checks the password of an authentication alone, so a device whose clock is wrong can
/// authenticate. 1: it also compares the time with its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_sign_type(config: *mut iotda_config_t, sign_type: i32) -> iotda_status_t {
    setter!(config.set(SignType), "iotda_config_set_sign_type", |core| {
        let sign_type = SignType::from_number(sign_type)?;
        Outcome::Ok(core.sign_type(sign_type))
    })
}

/// The most that a whole call may take, name look-up and authentication included; at least 1. Default: 30,000. A single
/// call can set its own in iotda_call_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_timeout_ms(config: *mut iotda_config_t, total_ms: u32) -> iotda_status_t {
    setter!(config.set(Timeout), "iotda_config_set_timeout_ms", |core| core
        .timeout(Duration::from_millis(total_ms.into())))
}

/// The most that connecting may take, TCP and TLS together, within the call's own time; at least 1. Default: 10,000.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_connect_timeout_ms(
    config: *mut iotda_config_t,
    connect_ms: u32,
) -> iotda_status_t {
    setter!(config.set(ConnectTimeout), "iotda_config_set_connect_timeout_ms", |core| core
        .connect_timeout(Duration::from_millis(connect_ms.into())))
}

/// The most that one attempt of a call may take, connecting included; at least 1. What has not been answered by then is
/// retried in the time that is left of the call. Default: 10,000.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_attempt_timeout_ms(
    config: *mut iotda_config_t,
    attempt_ms: u32,
) -> iotda_status_t {
    setter!(config.set(AttemptTimeout), "iotda_config_set_attempt_timeout_ms", |core| core
        .attempt_timeout(Duration::from_millis(attempt_ms.into())))
}

/// How calls retry transient failures: at most max_attempts attempts in all (1: no retry), after pauses that are random
/// up to base_ms, then up to twice that, and so on up to max_ms; always within the call's timeout. Default: 10
/// attempts, 500 ms, 10,000 ms.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_retry(
    config: *mut iotda_config_t,
    max_attempts: u32,
    base_ms: u32,
    max_ms: u32,
) -> iotda_status_t {
    setter!(config.set(Retry), "iotda_config_set_retry", |core| {
        let (base, max) = (Duration::from_millis(base_ms.into()), Duration::from_millis(max_ms.into()));
        core.retry(RetryPolicy::new().max_attempts(max_attempts).base_delay(base).max_delay(max))
    })
}

/// The platform's rates where they are known, in reports per second, of each device and of all devices together; a
/// report counts once per started 4 KB. Reports then wait for their turn, within the call's timeout, instead of being
/// refused. 0 (default): not known; the client slows down when the platform refuses a report, and speeds up again step
/// by step.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_rates(
    config: *mut iotda_config_t,
    device_per_second: f64,
    tenant_per_second: f64,
) -> iotda_status_t {
    let known = |rate: f64| (rate != 0.0).then_some(rate);
    setter!(config.set(Rates), "iotda_config_set_rates", |core| core
        .rates(known(device_per_second), known(tenant_per_second)))
}

/// As many as were lately used at the same time.
pub const IOTDA_POOL_AS_USED: u32 = u32::MAX;

/// The most connections that are kept open while nobody uses them (0: none), and for how many milliseconds each.
/// Default: IOTDA_POOL_AS_USED, for 55,000, so that threads which report again and again find a connection each. What
/// is not needed any more is closed after that time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_pool(
    config: *mut iotda_config_t,
    kept_connections: u32,
    kept_ms: u32,
) -> iotda_status_t {
    setter!(config.set(Pool), "iotda_config_set_pool", |core| {
        // IOTDA_POOL_AS_USED is more than can be in use, on a processor of 32 bits as well.
        Outcome::Ok(core.kept_connections(kept_connections as usize, Duration::from_millis(kept_ms.into())))
    })
}

/// The most connections that are used at the same time, at least 1, by all clients that share them. Default: 256. A
/// call uses one while it waits for an answer; a further call waits until one is free, within its timeout
/// (IOTDA_E_TIMEOUT).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_max_connections(config: *mut iotda_config_t, most: u32) -> iotda_status_t {
    setter!(config.set(MaxConnections), "iotda_config_set_max_connections", |core| core.max_connections(most as usize))
}

/// After how many seconds without traffic the system sends keep-alive probes (TCP). Default: 0, never, so that an idle
/// client sends nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_tcp_keepalive_s(config: *mut iotda_config_t, idle_s: u32) -> iotda_status_t {
    setter!(config.set(TcpKeepalive), "iotda_config_set_tcp_keepalive_s", |core| {
        Outcome::Ok(core.tcp_keepalive((idle_s != 0).then(|| Duration::from_secs(idle_s.into()))))
    })
}

/// Runs one setter and remembers whether it failed.
///
/// # Safety
///
/// The promise "handles" for `config`.
pub(crate) unsafe fn setter(
    config: *mut iotda_config_t,
    change: Change,
    set: impl FnOnce(&mut iotda_config_t) -> Outcome,
) -> iotda_status_t {
    status_of(|| {
        let mut set = Some(set);
        // SAFETY: the promise "handles".
        unsafe { set_and_note(config, change, &mut |config| set.take().map_or(Ok(()), |set| set(config))) }
    })
}

/// Not generic: one copy of it does for all setters.
///
/// # Safety
///
/// The promise "handles" for `config`.
unsafe fn set_and_note(
    config: *mut iotda_config_t,
    change: Change,
    set: &mut dyn FnMut(&mut iotda_config_t) -> Outcome,
) -> Outcome {
    // SAFETY: the promise "handles".
    let config = unsafe { handle_mut(config, "config") }?;
    // What panics has failed as well, and is remembered.
    let outcome = caught(|| {
        panic_if_asked();
        set(config)
    });
    let outcome = outcome.unwrap_or_else(|fault| Err(Stop::fault(&fault)));
    config.failures.note(change, &outcome);
    outcome
}
