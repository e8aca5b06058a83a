//! Settings of a client about its way to the platform: proxies and custom transports.

use std::ffi::c_char;
use std::sync::Arc;

use crate::config::iotda_config_t;
use crate::outcome::Outcome;
use crate::status::iotda_status_t;
use crate::transport::{Given, iotda_transport_t};

/// The proxy to connect through by HTTP CONNECT: "http://host:port" or "http://user:password@host:port", with what is
/// special in user and password written as %40 and so on. "" (default): none. The environment is not asked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_proxy(config: *mut iotda_config_t, url: *const c_char) -> iotda_status_t {
    setter!(config.set(Proxy), "iotda_config_set_proxy", |core| {
        let url = text!(url)?;
        core.proxy(url)
    })
}

/// Takes the proxy from the environment, now, as curl does: https_proxy, otherwise all_proxy, unless no_proxy exempts
/// the endpoint, which must have been set before; each in lower case first, then in upper case. The value is
/// "[http://][user:password@]host[:port]", the port 1080 if none is named. The only function that reads the
/// environment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_proxy_from_environment(config: *mut iotda_config_t) -> iotda_status_t {
    setter!(config.set(Proxy), "iotda_config_set_proxy_from_environment", |core| core.proxy_from_environment())
}

/// A custom transport: a modem's sockets, or a TLS stack that the device has. Refused if it is NULL, lacks a function,
/// or has a wrong struct_size. Default: the system's sockets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_transport(
    config: *mut iotda_config_t,
    transport: *const iotda_transport_t,
) -> iotda_status_t {
    // Before anything can be refused: from here on destroy is owed.
    // SAFETY: the promises "structs" and "callbacks".
    let transport = unsafe { Given::read(transport) };
    setter!(config.set(Transport), "iotda_config_set_transport", |core| {
        Outcome::Ok(core.transport(Arc::new(transport.check()?)))
    })
}
