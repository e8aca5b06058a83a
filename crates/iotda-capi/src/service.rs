//! `iotda_service_t`: the properties of one service of a device.

use std::ffi::c_char;
use std::fmt::{self, Display};
use std::ops::Deref;

use iotda::Service;

use crate::arguments::{array, no_text, text};
use crate::outcome::{Outcome, reserve};

/// No time is given: the platform takes the time at which it receives the report.
pub const IOTDA_TIME_NONE: i64 = 0;

/// The properties of one service of a device.
#[repr(C)]
pub struct iotda_service_t {
    /// Required. The service's id in the product model; not empty.
    pub service_id: *const c_char,
    /// Required. A JSON object, for example from iotda_props_json. It is checked and then passed on byte for byte:
    /// numbers of any length survive.
    pub properties: *const c_char,
    /// When the values were measured: Unix time in milliseconds, in the years 2000 to 9999; or IOTDA_TIME_NONE. An
    /// earlier time is refused: it is in another unit (seconds), or of a clock that was never set.
    pub event_time_ms: i64,
}

/// Where an array of services is: an argument of its own, or of the child of this number. No text is made of it for what is
/// right.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Argument,
    Child(usize),
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Argument => f.write_str("services"),
            Place::Child(index) => write!(f, "children[{index}].services"),
        }
    }
}

/// The services of an array that is an argument of its own: nearly always one, for which nothing is allocated.
pub(crate) enum Services<'a> {
    One([Service<'a>; 1]),
    Several(Vec<Service<'a>>),
}

impl<'a> Deref for Services<'a> {
    type Target = [Service<'a>];

    fn deref(&self) -> &Self::Target {
        match self {
            Services::One(one) => one,
            Services::Several(several) => several,
        }
    }
}

/// The services of an array that is an argument of its own. One copy of it does for all functions that take one.
///
/// # Safety
///
/// The promises "arrays" and "texts", for `'a`.
#[inline(never)]
pub(crate) unsafe fn given<'a>(services: *const iotda_service_t, count: usize) -> Outcome<Services<'a>> {
    let place = Place::Argument;
    // SAFETY: the promise "arrays".
    let services = unsafe { array(services, count, &place) }?;
    if let [only] = services {
        // SAFETY: the promise "texts".
        return Ok(Services::One([unsafe { one(only, place, 0) }?]));
    }
    let mut converted = Vec::new();
    reserve(&mut converted, services.len(), &place)?;
    // SAFETY: the promise "texts".
    unsafe { convert(services, place, &mut converted) }?;
    Ok(Services::Several(converted))
}

/// Appends the services of one list to `out`, which has room for them.
///
/// # Safety
///
/// The promise "texts", for `'a`.
#[allow(clippy::needless_lifetimes)] // What the caller promises names it.
pub(crate) unsafe fn convert<'a>(services: &[iotda_service_t], place: Place, out: &mut Vec<Service<'a>>) -> Outcome {
    for (index, service) in services.iter().enumerate() {
        // SAFETY: the promise "texts".
        out.push(unsafe { one(service, place, index) }?);
    }
    Ok(())
}

/// One service, which is the one of this index in its list.
///
/// # Safety
///
/// The promise "texts", for `'a`.
unsafe fn one<'a>(service: &iotda_service_t, place: Place, index: usize) -> Outcome<Service<'a>> {
    let member = |pointer, name| {
        // SAFETY: the promise "texts".
        unsafe { text(pointer).ok_or_else(|| no_text(pointer, &format_args!("{place}[{index}].{name}"))) }
    };
    let service_id = member(service.service_id, "service_id")?;
    let mut converted = Service::new(service_id, member(service.properties, "properties")?);
    converted.event_time_ms = (service.event_time_ms != IOTDA_TIME_NONE).then_some(service.event_time_ms);
    Ok(converted)
}
