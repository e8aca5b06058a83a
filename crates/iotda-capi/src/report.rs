//! Reports of a device itself: properties and messages.

use std::ffi::{c_char, c_void};

use crate::call::iotda_call_t;
use crate::client::iotda_client_t;
use crate::service::{self, iotda_service_t};
use crate::status::iotda_status_t;

/// Reports properties of the device: count services, at least one.
///
/// Authenticates if needed, and once more if the platform refuses the token. Retries transient failures (no connection,
/// no answer, HTTP 5xx, a rate limit) with growing pauses, as set by iotda_config_set_retry. A report whose connection
/// breaks may be sent twice: it arrives at least once, not exactly once. Also IOTDA_E_TOO_LARGE, IOTDA_E_DNS,
/// IOTDA_E_CONNECT, IOTDA_E_TLS, IOTDA_E_CLOCK, IOTDA_E_TIMEOUT, IOTDA_E_CANCELLED, IOTDA_E_AUTH_FAILED,
/// IOTDA_E_TOKEN_REJECTED, IOTDA_E_RATE_LIMITED, IOTDA_E_REJECTED, IOTDA_E_SERVER, IOTDA_E_PROTOCOL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_report_props(
    client: *mut iotda_client_t,
    services: *const iotda_service_t,
    count: usize,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    on_client!(client, call, |client, options| {
        // SAFETY: the promises "arrays" and "texts".
        let converted = unsafe { service::given(services, count) }?;
        Ok(client.core().report_properties(&converted, options)?)
    })
}

/// As iotda_report_props, by a request body that the program made itself: len bytes of UTF-8,
///
///   {"services":[{"service_id":"…","properties":{…},"event_time":"2021-08-13T10:10:10.555Z"}]}
///
/// It is checked, and sent as it is. event_time may be left out; in another form it is refused, because the platform
/// would silently use its own time instead. Members that the platform does not document are refused, for the same
/// reason.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_report_props_json(
    client: *mut iotda_client_t,
    json: *const c_char,
    len: usize,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    on_client!(client, call, |client, options| {
        let json = text_of_length!(json, len)?;
        Ok(client.core().report_properties_json(json, options)?)
    })
}

/// As iotda_report_props, for a message of the device: any len bytes, also none (then data may be NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_report_message(
    client: *mut iotda_client_t,
    data: *const c_void,
    len: usize,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    on_client!(client, call, |client, options| {
        let data = bytes!(data, len)?;
        Ok(client.core().report_message(data, options)?)
    })
}
