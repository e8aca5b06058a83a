//! The reports: properties, messages, batches.

use std::ffi::{c_char, c_void};
use std::ops::Range;

use iotda::{Child, Client, Service};

use crate::boundary::{Outcome, Stop, array, text, text_of_length};
use crate::call::iotda_call_t;
use crate::client::{iotda_client_t, on_client};
use crate::status::{self, IOTDA_OK, iotda_status_t};

/// For iotda_service_t.event_time_ms: no time is given, the platform takes the time at which it receives the
/// report.
pub const IOTDA_TIME_NONE: i64 = 0;

/// The properties of one service of a device. Borrowed for the call alone.
#[repr(C)]
pub struct iotda_service_t {
    /// Required. The service's id in the product model; UTF-8, not empty.
    pub service_id: *const c_char,
    /// Required. A JSON object in UTF-8, for example from iotda_props_json. It is checked and then passed on
    /// byte for byte: numbers of any length survive.
    pub properties: *const c_char,
    /// When the values were measured: milliseconds since 1970-01-01T00:00:00Z, years 1970 to 9999; or
    /// IOTDA_TIME_NONE.
    pub event_time_ms: i64,
}

/// What a gateway reports for one of its child devices. Borrowed for the call alone.
#[repr(C)]
pub struct iotda_child_t {
    /// Required. The child's device id: 1 to 128 letters, digits, '_' and '-'.
    pub device_id: *const c_char,
    /// Required. Its services, at least one.
    pub services: *const iotda_service_t,
    /// The number of services.
    pub service_count: usize,
}

/// Reports properties of the device: count services, at least one.
///
/// Authenticates if needed, and again, once, if the platform refuses the token. Tries again what can heal (no
/// connection, no answer, a fault of the platform, a rate limit), with growing pauses, as
/// iotda_config_set_retry says. A report whose connection breaks may be sent twice: it arrives at least once,
/// not exactly once.
///
/// Any thread. Blocks until the platform has answered, at most for the timeout. IOTDA_E_INVALID_ARGUMENT,
/// IOTDA_E_TOO_LARGE, IOTDA_E_DNS, IOTDA_E_CONNECT, IOTDA_E_TLS, IOTDA_E_CLOCK, IOTDA_E_TIMEOUT,
/// IOTDA_E_CANCELLED, IOTDA_E_AUTH_FAILED, IOTDA_E_TOKEN_REJECTED, IOTDA_E_RATE_LIMITED, IOTDA_E_REJECTED, IOTDA_E_SERVER,
/// IOTDA_E_PROTOCOL, IOTDA_E_FORKED, IOTDA_E_INTERNAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_report_props(
    client: *mut iotda_client_t,
    services: *const iotda_service_t,
    count: usize,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    let run = |client: &Client, options| {
        let mut converted = Vec::new();
        // SAFETY: NULL or count services, as the caller promises.
        unsafe { convert_services(services, count, || "services".to_owned(), &mut converted) }?;
        Ok(client.report_properties(&converted, options)?)
    };
    // SAFETY: NULL or a client that lives for the call; NULL or a call struct of ours, as the caller promises.
    unsafe { on_client(client, call, run) }
}

/// Reports properties of the device by a request body that the program made itself: len bytes of UTF-8,
///
///   {"services":[{"service_id":"…","properties":{…},"event_time":"2021-08-13T10:10:10.555Z"}]}
///
/// It is checked, and sent as it is. event_time may be left out; in another form it is refused, because the
/// platform would silently put its own time in its place. Members that the platform does not document are
/// refused, for the same reason.
///
/// Otherwise as iotda_report_props.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_report_props_json(
    client: *mut iotda_client_t,
    json: *const c_char,
    len: usize,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    let run = |client: &Client, options| {
        // SAFETY: NULL or len bytes, as the caller promises.
        let json = unsafe { text_of_length(json, len, "json") }?;
        Ok(client.report_properties_json(json, options)?)
    };
    // SAFETY: NULL or a client that lives for the call; NULL or a call struct of ours, as the caller promises.
    unsafe { on_client(client, call, run) }
}

/// Reports a message of the device: any len bytes, also none (then data may be NULL).
///
/// Otherwise as iotda_report_props.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_report_message(
    client: *mut iotda_client_t,
    data: *const c_void,
    len: usize,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    let run = |client: &Client, options| {
        // SAFETY: NULL or len bytes, as the caller promises.
        let data = unsafe { array(data.cast::<u8>(), len, || "data".to_owned()) }?;
        Ok(client.report_message(data, options)?)
    };
    // SAFETY: NULL or a client that lives for the call; NULL or a call struct of ours, as the caller promises.
    unsafe { on_client(client, call, run) }
}

/// Reports properties of child devices of this gateway: count children, any number from one up. They are sent
/// in order, in as many requests as the platform's limits ask for (50 children, 1 MB).
///
/// All children are checked before anything is sent; one that is wrong refuses the whole call. A child whose
/// own data passes 1 MB, and one that the platform does not know, are left out and the others delivered.
///
/// child_status is NULL or has room for count statuses. Where children is not NULL and the client can be used,
/// it is always written: IOTDA_OK for each child that was delivered, and otherwise why not.
///
/// Otherwise as iotda_report_props; also IOTDA_E_UNKNOWN_CHILD, and IOTDA_E_PARTIAL if some children were
/// delivered and others were not. The timeout is for the whole call, all its requests together.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_gateway_batch(
    client: *mut iotda_client_t,
    children: *const iotda_child_t,
    count: usize,
    child_status: *mut iotda_status_t,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    let run = |client: &Client, options| {
        // SAFETY: NULL or count children, as the caller promises.
        let given = unsafe { array(children, count, || "children".to_owned()) }?;
        // SAFETY: NULL or room for count statuses, as the caller promises.
        let mut told = unsafe { ChildStatuses::new(child_status, given.len()) }?;
        let mut services = Vec::new();
        // SAFETY: the children and what they point to are valid for the call, as the caller promises.
        let ranges = unsafe { convert_children(given, &mut services) }.inspect_err(|_| told.all_invalid())?;
        let converted: Vec<_> =
            ranges.into_iter().map(|(device_id, range)| Child { device_id, services: &services[range] }).collect();
        let report = client.report_batch(&converted, options);
        told.write(&report.children);
        Ok(report.result?)
    };
    // SAFETY: NULL or a client that lives for the call; NULL or a call struct of ours, as the caller promises.
    unsafe { on_client(client, call, run) }
}

/// Reports a batch by a request body that the program made itself: len bytes of UTF-8, with any number of
/// children,
///
///   {"devices":[{"device_id":"…","services":[{"service_id":"…","properties":{…}}]}]}
///
/// It is checked as by iotda_report_props_json. A body that fits into one request is sent as it is; otherwise
/// each child is passed on as it is written.
///
/// Otherwise as iotda_gateway_batch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_gateway_batch_json(
    client: *mut iotda_client_t,
    json: *const c_char,
    len: usize,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    let run = |client: &Client, options| {
        // SAFETY: NULL or len bytes, as the caller promises.
        let json = unsafe { text_of_length(json, len, "json") }?;
        Ok(client.report_batch_json(json, options).result?)
    };
    // SAFETY: NULL or a client that lives for the call; NULL or a call struct of ours, as the caller promises.
    unsafe { on_client(client, call, run) }
}

/// Appends the services of one list to `out`.
///
/// # Safety
///
/// `services` is NULL or points to `count` services whose texts are NULL or terminated; all valid for as
/// long as what is appended.
unsafe fn convert_services(
    services: *const iotda_service_t,
    count: usize,
    place: impl Fn() -> String,
    out: &mut Vec<Service<'_>>,
) -> Outcome {
    // SAFETY: as the caller promises.
    let services = unsafe { array(services, count, &place) }?;
    out.try_reserve(services.len())
        .map_err(|_| Stop::Argument(format!("there is no memory for {count} {}", place())))?;
    for (index, service) in services.iter().enumerate() {
        out.push(Service {
            // SAFETY: as the caller promises.
            service_id: unsafe { text(service.service_id, || format!("{}[{index}].service_id", place())) }?,
            // SAFETY: as the caller promises.
            properties: unsafe { text(service.properties, || format!("{}[{index}].properties", place())) }?,
            event_time_ms: (service.event_time_ms != IOTDA_TIME_NONE).then_some(service.event_time_ms),
        });
    }
    Ok(())
}

/// Appends the services of all children to `services` and returns each child's id and its part of them.
///
/// # Safety
///
/// The pointers in `children` are NULL or valid for `'a`, as for [`convert_services`].
unsafe fn convert_children<'a>(
    children: &[iotda_child_t],
    services: &mut Vec<Service<'a>>,
) -> Outcome<Vec<(&'a str, Range<usize>)>> {
    let convert = |(index, child): (usize, &iotda_child_t)| {
        // SAFETY: as the caller promises.
        let device_id = unsafe { text(child.device_id, || format!("children[{index}].device_id")) }?;
        let before = services.len();
        let place = || format!("children[{index}].services");
        // SAFETY: as the caller promises.
        unsafe { convert_services(child.services, child.service_count, place, services) }?;
        Ok((device_id, before..services.len()))
    };
    children.iter().enumerate().map(convert).collect()
}

/// The caller's place for a status for each child; nothing if there is none.
struct ChildStatuses<'a>(&'a mut [iotda_status_t]);

impl ChildStatuses<'_> {
    /// # Safety
    ///
    /// `pointer` is NULL or has room for `count` statuses that nobody else touches during the call.
    unsafe fn new(pointer: *mut iotda_status_t, count: usize) -> Outcome<Self> {
        if pointer.is_null() || count == 0 {
            return Ok(ChildStatuses(&mut []));
        }
        if !pointer.is_aligned() {
            return Err(Stop::Argument("child_status is not aligned as its type demands".to_owned()));
        }
        // The room may be uninitialized: it is written before it becomes a slice.
        // SAFETY: not NULL, aligned, and with room for as many elements as the children, whose array is larger.
        unsafe {
            pointer.write_bytes(0, count);
            Ok(ChildStatuses(std::slice::from_raw_parts_mut(pointer, count)))
        }
    }

    fn all_invalid(&mut self) {
        self.0.fill(status::IOTDA_E_INVALID_ARGUMENT);
    }

    fn write(&mut self, outcomes: &[Result<(), iotda::ErrorKind>]) {
        for (place, outcome) in self.0.iter_mut().zip(outcomes) {
            *place = outcome.map_or_else(status::number, |()| IOTDA_OK);
        }
    }
}
