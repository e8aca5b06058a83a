//! `iotda_child_t`: what a gateway reports for one of its child devices.

use std::ffi::c_char;
use std::ops::Range;

use iotda::{Child, Service};

use crate::arguments::{array, text};
use crate::outcome::{Outcome, reserve};
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

/// The children of a batch as the core takes them. [`Child`] borrows its services, so there are two steps.
pub(crate) struct Converted<'a> {
    /// The services of all children, one after the other.
    services: Vec<Service<'a>>,
    /// Each child's id and its part of the services.
    parts: Vec<(&'a str, Range<usize>)>,
}

impl<'a> Converted<'a> {
    /// # Safety
    ///
    /// The promises "arrays" and "texts" for what `children` points to, for `'a`.
    pub(crate) unsafe fn new(children: &[iotda_child_t]) -> Outcome<Self> {
        let (mut services, mut parts) = (Vec::new(), Vec::new());
        reserve(&mut parts, children.len(), || "children".to_owned())?;
        // As much as all of them need, at once. A count that is wrong is found below, where its place is known.
        let total = children.iter().fold(0_usize, |total, child| total.saturating_add(child.service_count));
        let enough = reserve(&mut services, total, || "services of children".to_owned());
        for (index, child) in children.iter().enumerate() {
            // SAFETY: the promise "texts".
            let device_id = unsafe { text(child.device_id, || format!("children[{index}].device_id")) }?;
            let before = services.len();
            let place = || format!("children[{index}].services");
            // SAFETY: the promise "arrays".
            let given = unsafe { array(child.services, child.service_count, place) }?;
            if enough.is_ok() {
                // SAFETY: the promise "texts".
                unsafe { service::convert(given, place, &mut services) }?;
            }
            parts.push((device_id, before..services.len()));
        }
        enough.map(|()| Converted { services, parts })
    }

    pub(crate) fn children(&self) -> Outcome<Vec<Child<'_>>> {
        let mut children = Vec::new();
        reserve(&mut children, self.parts.len(), || "children".to_owned())?;
        let parts = self.parts.iter();
        children.extend(parts.map(|(device_id, part)| Child { device_id, services: &self.services[part.clone()] }));
        Ok(children)
    }
}
