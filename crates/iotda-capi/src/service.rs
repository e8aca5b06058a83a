//! `iotda_service_t`: the properties of one service of a device.

use std::ffi::c_char;

use iotda::Service;

use crate::arguments::{array, text};
use crate::outcome::{Outcome, Stop};

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

/// Appends the services of one list to `out`.
///
/// # Safety
///
/// The promises "arrays" and "texts", for as long as what is appended.
pub(crate) unsafe fn convert(
    services: *const iotda_service_t,
    count: usize,
    place: impl Fn() -> String,
    out: &mut Vec<Service<'_>>,
) -> Outcome {
    // SAFETY: the promise "arrays".
    let services = unsafe { array(services, count, &place) }?;
    out.try_reserve(services.len())
        .map_err(|_| Stop::Argument(format!("there is no memory for {count} {}", place())))?;
    for (index, service) in services.iter().enumerate() {
        out.push(Service {
            // SAFETY: the promise "texts".
            service_id: unsafe { text(service.service_id, || format!("{}[{index}].service_id", place())) }?,
            // SAFETY: the promise "texts".
            properties: unsafe { text(service.properties, || format!("{}[{index}].properties", place())) }?,
            event_time_ms: (service.event_time_ms != IOTDA_TIME_NONE).then_some(service.event_time_ms),
        });
    }
    Ok(())
}
