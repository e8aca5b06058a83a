//! `iotda_config_t`: the settings of a client. Those about trust are in [`crate::trust`], those about the way to
//! the platform in [`crate::network`].

use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::time::Duration;

use iotda::{Config, RetryPolicy, SignType, SystemClock};

use crate::arguments::handle_mut;
use crate::clock::{ProgramClock, iotda_clock_t};
use crate::failures::{Change, Failures, Setting};
use crate::handle::Handle;
use crate::log::{self, ProgramLog, iotda_log_t};
use crate::outcome::{Outcome, Stop, status_of};
use crate::panic::{self, caught, panic_if_asked};
use crate::status::iotda_status_t;
use crate::token::{ProgramTokens, iotda_token_callback_t, saved_token};
use crate::user_data::{UserData, iotda_destroy_t};

/// The settings of a client. Made by iotda_config_new, freed by iotda_config_free. Used by one thread at a time.
///
/// Every setter checks its value and copies it. A setter that fails leaves the value as it was, and the failure is
/// remembered: iotda_init then fails with its message, so that setters need not be checked one by one. A failure is
/// forgotten when the same thing is set again successfully, also by another function: iotda_config_set_ca_pem makes up
/// for iotda_config_set_ca_file and for the iotda_config_add_ca_ functions. Adding does not make up for another
/// addition that failed.
///
/// Setters never block, unless they read a file. They return IOTDA_E_INVALID_ARGUMENT (a NULL, or a value out of its
/// range), IOTDA_E_INTERNAL, and what else they name.
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

/// Makes a config with nothing but defaults. Free it with iotda_config_free. Returns NULL only without memory, or
/// after a fault of the library. Any thread; never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn iotda_config_new() -> *mut iotda_config_t {
    panic::new(|| iotda_config_t { core: Config::new(), log: None, failures: Failures::default() })
}

/// Frees a config and wipes the secret in it. NULL is fine. Clients made of it live on. Never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_free(config: *mut iotda_config_t) {
    // SAFETY: the promise "handles".
    unsafe { panic::free(config) };
}

/// Required. The platform's address as the IoTDA console shows it: "https://host" or "https://host:port". Also returns
/// IOTDA_E_CONFIG.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_endpoint(config: *mut iotda_config_t, url: *const c_char) -> iotda_status_t {
    setter!(config.set(Endpoint), "iotda_config_set_endpoint", |core| {
        let url = text!(url)?;
        core.endpoint(url)
    })
}

/// Required. The device's id, and its secret: any secret_len bytes (at least one), not necessarily text. Both are
/// copied; the copy of the secret is wiped when the config and the clients made of it are freed.
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

/// The most that a whole call may take, in milliseconds, name look-up and authentication included; at least 1.
/// Default: 30,000. A single call can set its own in iotda_call_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_timeout_ms(config: *mut iotda_config_t, total_ms: u32) -> iotda_status_t {
    setter!(config.set(Timeout), "iotda_config_set_timeout_ms", |core| core
        .timeout(Duration::from_millis(total_ms.into())))
}

/// The most that connecting may take, TCP and TLS together, in milliseconds; at least 1. Default: 10,000. The call's
/// own time is never exceeded.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_connect_timeout_ms(
    config: *mut iotda_config_t,
    connect_ms: u32,
) -> iotda_status_t {
    setter!(config.set(ConnectTimeout), "iotda_config_set_connect_timeout_ms", |core| core
        .connect_timeout(Duration::from_millis(connect_ms.into())))
}

/// The most that one attempt of a call may take, connecting included, in milliseconds; at least 1. What has not been
/// answered by then is retried in the time that is left of the call. Default: 10,000.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_attempt_timeout_ms(
    config: *mut iotda_config_t,
    attempt_ms: u32,
) -> iotda_status_t {
    setter!(config.set(AttemptTimeout), "iotda_config_set_attempt_timeout_ms", |core| core
        .attempt_timeout(Duration::from_millis(attempt_ms.into())))
}

/// How calls retry transient failures: at most max_attempts attempts in all (1: no retry), after pauses that are
/// random up to base_ms, then up to twice that, and so on up to max_ms; always within the call's timeout. Default: 10
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

/// For iotda_config_set_pool: keep as many connections as were lately used at the same time.
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

/// After idle_s seconds without traffic the system asks whether the platform is still there (TCP keep-alive). Default:
/// 0, never, so that an idle client sends nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_tcp_keepalive_s(config: *mut iotda_config_t, idle_s: u32) -> iotda_status_t {
    setter!(config.set(TcpKeepalive), "iotda_config_set_tcp_keepalive_s", |core| {
        Outcome::Ok(core.tcp_keepalive((idle_s != 0).then(|| Duration::from_secs(idle_s.into()))))
    })
}

/// An access token that iotda_token_export wrote before a restart: it is used while it is valid, and spares an
/// authentication. "" (default): none. One that is damaged, cut, expired, of another device or of another endpoint is
/// not used: a warning in the log, and an authentication.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_token(config: *mut iotda_config_t, token: *const c_char) -> iotda_status_t {
    setter!(config.set(Token), "iotda_config_set_token", |core| {
        // SAFETY: the promise "texts".
        let token = unsafe { saved_token(token, "token") }?;
        core.token(token)
    })
}

/// issued is called after each successful authentication of the client, and of every device opened from it, with the
/// device's id and the new access token as iotda_token_export writes it: for a program that keeps tokens over
/// restarts, or shares them between processes. It is not called for a token that is imported. NULL: nothing is called
/// (default).
///
/// It is called in the thread whose call authenticated, or in one of an outbox's, and the call goes on when it
/// returns. It may call iotda_token_import and iotda_token_export, with any client, and nothing else of the library.
/// The token is as secret as the device's secret; the text is wiped when issued returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_token_callback(
    config: *mut iotda_config_t,
    issued: iotda_token_callback_t,
    user_data: *mut c_void,
    destroy: iotda_destroy_t,
) -> iotda_status_t {
    let user_data = UserData::new(user_data, destroy);
    setter!(config.set(TokenCallback), "iotda_config_set_token_callback", |core| {
        Outcome::Ok(match issued {
            Some(issued) => {
                let program = ProgramTokens { issued, user_data };
                core.on_token(move |device_id, token| program.issued(device_id, token))
            }
            None => core.no_on_token(),
        })
    })
}

/// For iotda_config_set_authentication: a report authenticates when it needs to.
pub const IOTDA_AUTHENTICATE_WHEN_NEEDED: i32 = 0;
/// For iotda_config_set_authentication: iotda_auth alone authenticates.
pub const IOTDA_AUTHENTICATE_WHEN_ASKED: i32 = 1;

/// Who authenticates: IOTDA_AUTHENTICATE_WHEN_NEEDED (default) or IOTDA_AUTHENTICATE_WHEN_ASKED. With the latter, no
/// report authenticates and no token is renewed ahead of its expiry, by this client or by a device opened from it. A
/// report without a valid token fails with IOTDA_E_TOKEN_REJECTED and sends nothing (http_status 0), also while
/// iotda_auth runs in another thread; so does one whose token the platform refuses, with the platform's answer. The
/// token is then given up until iotda_auth or iotda_token_import brings another. An outbox keeps what it holds
/// meanwhile: see iotda_token_import.
///
/// It is for devices whose token several processes share. The platform gives up a device's older token for a newer
/// one, after 30 s: the process that authenticates takes the device from the others, which then stop instead of taking
/// it back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_authentication(config: *mut iotda_config_t, when: i32) -> iotda_status_t {
    setter!(config.set(Authentication), "iotda_config_set_authentication", |core| {
        let when_asked = match when {
            IOTDA_AUTHENTICATE_WHEN_NEEDED => false,
            IOTDA_AUTHENTICATE_WHEN_ASKED => true,
            _ => {
                let advice = "pass one of the IOTDA_AUTHENTICATE_ constants as when";
                return Err(Stop::Argument(format!("{advice}: it is {when}")));
            }
        };
        Outcome::Ok(core.authenticate_when_asked(when_asked))
    })
}

/// Where the time comes from, for a device that gets it elsewhere than from its system. NULL: the system's clock
/// (default).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_clock(
    config: *mut iotda_config_t,
    unix_ms: iotda_clock_t,
    user_data: *mut c_void,
    destroy: iotda_destroy_t,
) -> iotda_status_t {
    let user_data = UserData::new(user_data, destroy);
    setter!(config.set(Clock), "iotda_config_set_clock", |core| {
        Outcome::Ok(core.clock(match unix_ms {
            Some(unix_ms) => Arc::new(ProgramClock { unix_ms, user_data }),
            None => Arc::new(SystemClock),
        }))
    })
}

/// Receives log lines up to level, one of the IOTDA_LOG_ constants. No line holds a secret, a password or a token.
/// NULL: no log (default); the library then writes nothing, anywhere.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_log(
    config: *mut iotda_config_t,
    level: i32,
    log: iotda_log_t,
    user_data: *mut c_void,
    destroy: iotda_destroy_t,
) -> iotda_status_t {
    let user_data = UserData::new(user_data, destroy);
    let set = move |config: &mut iotda_config_t| {
        let Some(log) = log else {
            config.log = None;
            config.core.no_log();
            return Ok(());
        };
        let level = log::level(level)
            .ok_or_else(|| Stop::Argument(format!("pass one of the IOTDA_LOG_ constants as level: it is {level}")))?;
        let log = Arc::new(ProgramLog { log, user_data });
        config.log = Some(Arc::clone(&log));
        config.core.log(level, log);
        Ok(())
    };
    // SAFETY: the promise "handles".
    unsafe { setter(config, Change::set(Setting::Log, "iotda_config_set_log"), set) }
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
