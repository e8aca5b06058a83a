//! `iotda_client_t`: one device and its connections.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::Arc;

use iotda::{CallOptions, Client, Delivery, Level, Log};

use crate::arguments::handle;
use crate::call::{self, iotda_call_t};
use crate::config::iotda_config_t;
use crate::handle::{Handle, Sealed};
use crate::log::ProgramLog;
use crate::outcome::{Outcome, Stop};
use crate::panic::{self, Poison};
use crate::status::iotda_status_t;
use crate::token::saved_token;

/// Reports to the platform for one device.
pub struct iotda_client_t {
    client: Client,
    /// What is refused here, before the core sees it, is logged as what the core refuses.
    log: Option<Arc<ProgramLog>>,
    poison: Poison,
    /// The process that made it.
    process: u32,
}

impl Handle for iotda_client_t {
    const MAGIC: u64 = 0x3a7e_9b04_c5d8_1f66;
    const WANTED: &'static str = "a client of iotda_init or iotda_open_device";
    const ENDED: &'static str = "closed";
}

impl iotda_client_t {
    pub(crate) fn core(&self) -> &Client {
        &self.client
    }

    /// Whether this process was forked from the one that made the client. Costs a system call.
    pub(crate) fn is_forked(&self) -> bool {
        self.process != std::process::id()
    }

    fn handle(client: Client, log: Option<Arc<ProgramLog>>) -> Outcome<*mut Self> {
        let client = iotda_client_t { client, log, poison: Poison::default(), process: std::process::id() };
        Sealed::handle(client).ok_or_else(|| Stop::NoMemory("free some memory: there is none for a client".to_owned()))
    }

    /// Runs a part of a call, and logs what it refuses. The core logs what fails there.
    pub(crate) fn noting<T>(&self, body: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        body().inspect_err(|stop| {
            if let (Some(log), false) = (&self.log, matches!(stop, Stop::Core(_))) {
                log.log(Level::Error, &format!("device \"{}\": {}", self.client.device_id(), stop.message()));
            }
        })
    }
}

/// `on_client!(client, call, |client, options| …)`: the body of a call of a client.
macro_rules! on_client {
    ($client:ident, $call:ident, |$handle:ident, $options:pat_param| $body:expr) => {{
        let mut body = |$handle: &$crate::client::iotda_client_t,
                        $options: iotda::CallOptions|
         -> $crate::outcome::Outcome<iotda::Delivery> { $body };
        // SAFETY: the promises "handles" and "structs".
        unsafe { $crate::client::on_client($client, $call, &mut body) }
    }};
}

/// Runs `body` on a client that is there and has met no fault. Not generic: one copy of it does for all functions.
///
/// # Safety
///
/// The promise "handles" for `client`; `call` is as for [`call::guarded`].
pub(crate) unsafe fn on_client(
    client: *const iotda_client_t,
    call: *mut iotda_call_t,
    body: &mut dyn FnMut(&iotda_client_t, CallOptions) -> Outcome<Delivery>,
) -> iotda_status_t {
    let mut run = |options: Outcome<CallOptions>| {
        // SAFETY: the promise "handles".
        let client = unsafe { handle(client, "client") }?;
        let _entered = client.poison.enter()?;
        client.noting(|| body(client, options?))
    };
    // SAFETY: `call` is as the caller promises.
    unsafe { call::guarded(call, &mut run) }
}

/// Makes a client of a config, which can be freed, or changed and used again. Starts no thread. Also IOTDA_E_CONFIG: a
/// required setting is missing, or a setter failed; call->message says which.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_init(
    config: *const iotda_config_t,
    client: *mut *mut iotda_client_t,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    guarded!(call, {
        let config = handle!(config)?;
        let client = output!(client)?;
        config.check()?;
        client.write(iotda_client_t::handle(Client::new(&config.core)?, config.log.clone())?);
        Ok(Delivery::default())
    })
}

/// Makes a client for another device. It shares connections, TLS sessions and addresses with the client that it was
/// opened from, and its other settings; either may be closed first. Starts no thread. The secret is copied.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_open_device(
    client: *mut iotda_client_t,
    device_id: *const c_char,
    secret: *const c_void,
    secret_len: usize,
    device: *mut *mut iotda_client_t,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    // SAFETY: the caller's promises; there is no token.
    unsafe { iotda_open_device_with_token(client, device_id, secret, secret_len, ptr::null(), device, call) }
}

/// As iotda_open_device, with an access token as iotda_config_set_token takes it. NULL or "": none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_open_device_with_token(
    client: *mut iotda_client_t,
    device_id: *const c_char,
    secret: *const c_void,
    secret_len: usize,
    token: *const c_char,
    device: *mut *mut iotda_client_t,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    on_client!(client, call, |client, _| {
        let device_id = text!(device_id)?;
        let secret = bytes!(secret, secret_len)?;
        // SAFETY: the promise "texts".
        let token = if token.is_null() { "" } else { unsafe { saved_token(token, "token") }? };
        let device = output!(device)?;
        let opened = client.core().open_device_with_token(device_id, secret, token)?;
        device.write(iotda_client_t::handle(opened, client.log.clone())?);
        Ok(Delivery::default())
    })
}

/// Authenticates the device, unless the client has an access token that is valid and not yet due to be renewed.
/// Optional: reports authenticate when they need to, unless iotda_config_set_authentication says otherwise. It shows
/// early whether endpoint, certificates, device id and secret are right. Returns what iotda_report_props returns, but
/// for IOTDA_E_TOO_LARGE and IOTDA_E_TOKEN_REJECTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_auth(client: *mut iotda_client_t, call: *mut iotda_call_t) -> iotda_status_t {
    on_client!(client, call, |client, options| Ok(client.core().authenticate(options)?))
}

/// Closes a client, wipes its secret and token, and, with the last client that shares them, closes the connections.
/// Clients opened from it, or that it was opened from, live on. In a child process after fork it leaves the parent's
/// connections alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_close(client: *mut iotda_client_t) {
    // SAFETY: the promise "handles".
    unsafe { panic::free(client) };
}
