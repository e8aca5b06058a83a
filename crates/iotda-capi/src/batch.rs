//! Reports of a gateway for its child devices.

use std::ffi::c_char;

use iotda::{BatchError, Error};

use crate::arguments::array;
use crate::call::iotda_call_t;
use crate::child::{Converted, iotda_child_t};
use crate::client::iotda_client_t;
use crate::outcome::{Outcome, Stop};
use crate::status::{self, IOTDA_OK, iotda_status_t};

/// As iotda_report_props, for child devices of this gateway: count children, any number from one up. They are sent in
/// order, in as many requests as the platform's limits ask for (50 children, 1 MB); the timeout is for all of them
/// together.
///
/// A child that is wrong in itself (its id, its services, a NULL), one whose own data passes 1 MB, and one that the
/// platform does not know are left out, and the others are delivered. child_status is NULL or has room for count
/// statuses. If children is not NULL and the client can be used, all of them are written: IOTDA_OK for each child that
/// was delivered, and otherwise why it was not. Also IOTDA_E_UNKNOWN_CHILD, and IOTDA_E_PARTIAL if some children were
/// delivered and others were not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_gateway_batch(
    client: *mut iotda_client_t,
    children: *const iotda_child_t,
    count: usize,
    child_status: *mut iotda_status_t,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    on_client!(client, call, |client, options| {
        // SAFETY: the promise "arrays".
        let given = unsafe { array(children, count, &"children") }?;
        // SAFETY: the promise "outputs", for as many statuses as children.
        let mut statuses = unsafe { ChildStatuses::new(child_status, given.len()) }?;
        // SAFETY: the promises "arrays" and "texts".
        let converted = unsafe { Converted::new(given) };
        let converted = converted.inspect_err(|stop| statuses.all(stop.status()))?;
        let children = converted.children().inspect_err(|stop| statuses.all(stop.status()))?;
        statuses.settle(client.core().report_checked_batch(&children, options))
    })
}

/// As iotda_gateway_batch, by a request body that the program made itself: len bytes of UTF-8, with any number of
/// children,
///
///   {"devices":[{"device_id":"…","services":[{"service_id":"…","properties":{…}}]}]}
///
/// It is checked as by iotda_report_props_json. A body that fits into one request is sent as it is; otherwise each
/// child is passed on as it is written.
///
/// child_status is NULL, or has room for capacity statuses: they become those of the children, in the order in which
/// the body has them. *child_count, unless child_count is NULL, becomes the number of children in the body; 0 if the
/// body cannot be read that far. If they are more than capacity, nothing is sent: the call is refused with
/// IOTDA_E_INVALID_ARGUMENT, and can be made again with *child_count statuses. child_status is written only up to
/// *child_count.
///
///   iotda_status_t statuses[100];
///   size_t count;
///   iotda_gateway_batch_json(client, json, strlen(json), statuses, 100, &count, &call);
///   for (size_t i = 0; i < count && i < 100; i++)
///       ...
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_gateway_batch_json(
    client: *mut iotda_client_t,
    json: *const c_char,
    len: usize,
    child_status: *mut iotda_status_t,
    capacity: usize,
    child_count: *mut usize,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    // Before anything can fail.
    write_if_wanted!(child_count, 0);
    on_client!(client, call, |client, options| {
        let json = text_of_length!(json, len)?;
        let mut statuses = None;
        let accept = |count: usize| {
            write_if_wanted!(child_count, count);
            if !child_status.is_null() && capacity < count {
                return Err(Error::invalid_argument(format!(
                    "make room for {count} statuses at child_status: the body has as many children, capacity is {capacity}"
                )));
            }
            // SAFETY: the promise "outputs", for as many statuses as children, which are no more than `capacity`.
            let room = unsafe { ChildStatuses::new(child_status, count) };
            statuses = Some(room.map_err(|stop| Error::invalid_argument(stop.message()))?);
            Ok(())
        };
        let result = client.core().report_batch_json_if(json, accept, options);
        statuses.unwrap_or_default().settle(result)
    })
}

/// The caller's place for a status for each child; nothing if there is none.
#[derive(Default)]
pub(crate) struct ChildStatuses<'a>(&'a mut [iotda_status_t]);

impl ChildStatuses<'_> {
    /// # Safety
    ///
    /// The promise "outputs", for `count` statuses.
    pub(crate) unsafe fn new(pointer: *mut iotda_status_t, count: usize) -> Outcome<Self> {
        if pointer.is_null() || count == 0 {
            return Ok(ChildStatuses(&mut []));
        }
        if !pointer.is_aligned() {
            return Err(Stop::Argument(
                "pass an array as child_status: this address is not aligned for one".to_owned(),
            ));
        }
        // The room may be uninitialized: it is written before it becomes a slice. What is left of that after a panic
        // is no success.
        // SAFETY: not NULL, aligned, and the promise "outputs" for as many elements as an array of larger ones has.
        unsafe {
            for place in 0..count {
                pointer.add(place).write(status::IOTDA_E_INTERNAL);
            }
            Ok(ChildStatuses(std::slice::from_raw_parts_mut(pointer, count)))
        }
    }

    pub(crate) fn all(&mut self, status: iotda_status_t) {
        self.0.fill(status);
    }

    /// Writes what became of the children; the result of the whole.
    pub(crate) fn settle<T>(&mut self, result: Result<T, BatchError>) -> Outcome<T> {
        match &result {
            Ok(_) => self.all(IOTDA_OK),
            Err(error) => {
                for (place, outcome) in self.0.iter_mut().zip(error.children()) {
                    *place = outcome.map_or_else(status::number, |()| IOTDA_OK);
                }
            }
        }
        Ok(result.map_err(Error::from)?)
    }
}
