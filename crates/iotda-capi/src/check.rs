//! Reports that are checked without being sent, for programs that keep them to send them later. What is checked is in
//! the core; the arguments are converted as by [`crate::report`] and [`crate::batch`].

use std::ffi::{c_char, c_void};

use iotda::{Client, Delivery};

use crate::arguments::array;
use crate::batch::ChildStatuses;
use crate::call::iotda_call_t;
use crate::child::{Converted, iotda_child_t};
use crate::service::{self, iotda_service_t};
use crate::status::iotda_status_t;

/// Whether iotda_report_props would send these services: what it refuses without asking the platform, this refuses with
/// the same status (also IOTDA_E_TOO_LARGE) and message. It needs no client. Whether the platform will accept them is
/// another matter. Of call, timeout_ms and cancel do nothing here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_check_props(
    services: *const iotda_service_t,
    count: usize,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    guarded!(call, {
        // SAFETY: the promises "arrays" and "texts".
        let converted = unsafe { service::given(services, count) }?;
        Client::check_properties(&converted)?;
        Ok(Delivery::default())
    })
}

/// As iotda_check_props, for what iotda_report_props_json takes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_check_props_json(
    json: *const c_char,
    len: usize,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    guarded!(call, {
        let json = text_of_length!(json, len)?;
        Client::check_properties_json(json)?;
        Ok(Delivery::default())
    })
}

/// As iotda_check_props, for what iotda_report_message takes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_check_message(
    data: *const c_void,
    len: usize,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    guarded!(call, {
        let data = bytes!(data, len)?;
        Client::check_message(data)?;
        Ok(Delivery::default())
    })
}

/// As iotda_check_props, for what iotda_gateway_batch takes. child_status is NULL or has room for count statuses:
/// IOTDA_OK for each child that would be sent, and otherwise why it would be left out. The call's status is that of the
/// first child that would be left out.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_check_batch(
    children: *const iotda_child_t,
    count: usize,
    child_status: *mut iotda_status_t,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    guarded!(call, {
        // SAFETY: the promise "arrays".
        let given = unsafe { array(children, count, &"children") }?;
        // SAFETY: the promise "outputs", for as many statuses as children.
        let mut statuses = unsafe { ChildStatuses::new(child_status, given.len()) }?;
        // SAFETY: the promises "arrays" and "texts".
        let converted = unsafe { Converted::new(given) };
        let converted = converted.inspect_err(|stop| statuses.all(stop.status()))?;
        let children = converted.children().inspect_err(|stop| statuses.all(stop.status()))?;
        statuses.settle(Client::check_checked_batch(&children)).map(|()| Delivery::default())
    })
}
