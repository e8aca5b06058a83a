//! `iotda_child_t`: what a gateway reports for one of its child devices.

use std::ffi::c_char;
use std::ops::Range;

use iotda::{Child, Error, Service};

use crate::arguments::{array, no_text, text};
use crate::outcome::{Outcome, reserve};
use crate::service::{self, Place, iotda_service_t};

/// What a gateway reports for one of its child devices.
#[repr(C)]
pub struct iotda_child_t {
    /// Required. The child's device id: 1 to 128 letters, digits, '_' and '-'.
    pub device_id: *const c_char,
    /// Required. service_count services, at least one.
    pub services: *const iotda_service_t,
    /// The number of services.
    pub service_count: usize,
}

/// A child, or why it is none.
pub(crate) type Checked<'a> = Result<Child<'a>, Box<Error>>;

type Part<'a> = Result<(&'a str, Range<usize>), Box<Error>>;

/// The children of a batch as the core takes them. [`Child`] borrows its services, so there are two steps.
pub(crate) struct Converted<'a> {
    /// The services of all children, one after the other.
    services: Vec<Service<'a>>,
    /// Each child's id and its part of the services; or what is wrong with it, which holds no other child up.
    parts: Vec<Part<'a>>,
}

#[allow(clippy::needless_lifetimes)] // What the caller promises names it.
impl<'a> Converted<'a> {
    /// # Safety
    ///
    /// The promises "arrays" and "texts" for what `children` points to, for `'a`.
    pub(crate) unsafe fn new(children: &[iotda_child_t]) -> Outcome<Self> {
        let (mut services, mut parts) = (Vec::new(), Vec::new());
        reserve(&mut parts, children.len(), &"children")?;
        // As much as all of them need, at once; what is no array needs nothing.
        let counts = children.iter().map(|child| {
            // SAFETY: the promise "arrays".
            let services = unsafe { array(child.services, child.service_count, &"") };
            services.map_or(0, <[_]>::len)
        });
        let total = counts.fold(0_usize, usize::saturating_add);
        reserve(&mut services, total, &"services of children")?;
        for (index, child) in children.iter().enumerate() {
            let before = services.len();
            // SAFETY: the promises "arrays" and "texts".
            parts.push(match unsafe { convert(child, index, &mut services) } {
                Ok(device_id) => Ok((device_id, before..services.len())),
                Err(stop) => {
                    services.truncate(before);
                    Err(Box::new(Error::invalid_argument(stop.message())))
                }
            });
        }
        Ok(Converted { services, parts })
    }

    pub(crate) fn children(&self) -> Outcome<Vec<Checked<'_>>> {
        let mut children = Vec::new();
        reserve(&mut children, self.parts.len(), &"children")?;
        children.extend(self.parts.iter().map(|part| match part {
            Ok((device_id, part)) => Ok(Child::new(device_id, &self.services[part.clone()])),
            Err(error) => Err(error.clone()),
        }));
        Ok(children)
    }
}

/// The id of one child; its services are appended to `services`, which has room for them.
///
/// # Safety
///
/// The promises "arrays" and "texts", for `'a`.
unsafe fn convert<'a>(child: &iotda_child_t, index: usize, services: &mut Vec<Service<'a>>) -> Outcome<&'a str> {
    // SAFETY: the promise "texts".
    let device_id = unsafe {
        text(child.device_id).ok_or_else(|| no_text(child.device_id, &format_args!("children[{index}].device_id")))
    }?;
    let place = Place::Child(index);
    // SAFETY: the promise "arrays".
    let given = unsafe { array(child.services, child.service_count, &place) }?;
    // SAFETY: the promise "texts".
    unsafe { service::convert(given, place, services) }?;
    Ok(device_id)
}
