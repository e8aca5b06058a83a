//! `iotda_child_t`: what a gateway reports for one of its child devices.

use std::ffi::c_char;
use std::ops::Range;

use iotda::Service;

use crate::arguments::text;
use crate::outcome::Outcome;
use crate::service::{self, iotda_service_t};

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

/// Appends the services of all children to `services` and returns each child's id and its part of them.
///
/// # Safety
///
/// The promises "arrays" and "texts" for what `children` points to, for `'a`.
pub(crate) unsafe fn convert<'a>(
    children: &[iotda_child_t],
    services: &mut Vec<Service<'a>>,
) -> Outcome<Vec<(&'a str, Range<usize>)>> {
    let convert = |(index, child): (usize, &iotda_child_t)| {
        // SAFETY: the promise "texts".
        let device_id = unsafe { text(child.device_id, || format!("children[{index}].device_id")) }?;
        let before = services.len();
        let place = || format!("children[{index}].services");
        // SAFETY: the promises "arrays" and "texts".
        unsafe { service::convert(child.services, child.service_count, place, services) }?;
        Ok((device_id, before..services.len()))
    };
    children.iter().enumerate().map(convert).collect()
}
