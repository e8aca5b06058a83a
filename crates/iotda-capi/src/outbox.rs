//! `iotda_outbox_t`: reports that are kept on disk until the platform has taken them.

use std::ffi::{c_char, c_void};

use iotda::{CallOptions, Delivery, Outbox};

use crate::arguments::{array, handle};
use crate::call::{self, iotda_call_t};
use crate::child::{Converted, iotda_child_t};
use crate::client::iotda_client_t;
use crate::handle::{Handle, Sealed};
use crate::outbox_options::{Given, iotda_outbox_options_t};
use crate::outcome::{Outcome, Stop, status_of};
use crate::panic::{self, Poison, contained};
use crate::service::{self, iotda_service_t};
use crate::status::{IOTDA_OK, iotda_status_t};

/// Reports that outlive outages, restarts and power cuts: what is put here is kept on disk until the platform has taken
/// it.
///
/// For each pair of sending device and device reported for, entries are delivered at least once and in order, several
/// in a request; between pairs, and between an outbox and the iotda_report_ functions, there is no order. Data that the
/// platform refuses by an error code of its own is found and becomes a dead letter, and the rest goes on; only such a
/// code makes one. A service without an event time gets the time of the put, corrected if the clock was wrong.
///
/// In a child process after fork every function returns IOTDA_E_FORKED; iotda_outbox_close releases the directory there
/// and touches nothing else. A child that neither calls it nor executes another program (exec) keeps the directory
/// locked.
pub struct iotda_outbox_t {
    outbox: Outbox,
    poison: Poison,
}

impl Handle for iotda_outbox_t {
    const MAGIC: u64 = 0x71d4_0c5b_92ee_a830;
    const WANTED: &'static str = "an outbox of iotda_outbox_open";
    const ENDED: &'static str = "closed";
}

/// `on_outbox!(outbox, call, |outbox, options| …)`: the body of a call of an outbox.
macro_rules! on_outbox {
    ($outbox:ident, $call:ident, |$handle:ident, $options:pat_param| $body:expr) => {{
        let mut body =
            |$handle: &iotda::Outbox, $options: iotda::CallOptions| -> $crate::outcome::Outcome<()> { $body };
        // SAFETY: the promises "handles" and "structs".
        unsafe { $crate::outbox::on_outbox($outbox, $call, &mut body) }
    }};
}

/// `put!(outbox, device, id, call, |outbox, device, options| …)`: the body of a function that puts, through the client
/// `device`, what its arguments become; the number that it returns is written to `id`.
macro_rules! put {
    ($outbox:ident, $device:ident, $id:ident, $call:ident, |$handle:ident, $core:ident, $options:ident| $body:expr) => {
        on_outbox!($outbox, $call, |$handle, $options| {
            let $core = handle!($device)?.core();
            let first: u64 = $body?;
            write_if_wanted!($id, first);
            Ok(())
        })
    };
}

/// Runs `body` on an outbox that is there and has met no fault. Not generic: one copy of it does for all functions.
///
/// # Safety
///
/// The promise "handles" for `outbox`; `call` is as for [`call::guarded`].
pub(crate) unsafe fn on_outbox(
    outbox: *const iotda_outbox_t,
    call: *mut iotda_call_t,
    body: &mut dyn FnMut(&Outbox, CallOptions) -> Outcome<()>,
) -> iotda_status_t {
    let mut run = |options: Outcome<CallOptions>| {
        let mut options = Some(options);
        // SAFETY: the promise "handles".
        unsafe { with(outbox, &mut |outbox| body(outbox, options.take().unwrap_or(Ok(CallOptions::new()))?)) }
            .map(|()| Delivery::default())
    };
    // SAFETY: `call` is as the caller promises.
    unsafe { call::guarded(call, &mut run) }
}

/// The same for functions that take no call.
///
/// # Safety
///
/// The promise "handles" for `outbox`.
unsafe fn with(outbox: *const iotda_outbox_t, body: &mut dyn FnMut(&Outbox) -> Outcome<()>) -> Outcome<()> {
    // SAFETY: the promise "handles".
    let outbox = unsafe { handle(outbox, "outbox") }?;
    let _entered = outbox.poison.enter()?;
    body(&outbox.outbox)
}

/// The same for functions whose only answer is their status.
///
/// # Safety
///
/// The promise "handles" for `outbox`.
pub(crate) unsafe fn status_on(
    outbox: *const iotda_outbox_t,
    body: &mut dyn FnMut(&Outbox) -> Outcome<()>,
) -> iotda_status_t {
    // SAFETY: the promise "handles".
    status_of(|| unsafe { with(outbox, body) })
}

/// Opens an outbox in a directory, and attaches the client to it. What an earlier process put there is delivered. The
/// client's other settings (timeouts, rates, log) hold for the outbox. The options are copied. Blocks for as long as
/// the storage does: the directory is read. Also IOTDA_E_STORAGE: it cannot be written or locked, another outbox has
/// it, or a newer version wrote it; call->message says which.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_outbox_open(
    client: *mut iotda_client_t,
    options: *const iotda_outbox_options_t,
    outbox: *mut *mut iotda_outbox_t,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    // Before anything can fail: what it was given is destroyed in any case.
    // SAFETY: the promises "structs" and "callbacks".
    let mut given = unsafe { Given::read(options) };
    let status = on_client!(client, call, |client, _| {
        let place = output!(outbox)?;
        // SAFETY: the promises "texts" and "callbacks".
        let options = unsafe { given.take().check() }?;
        let opened = iotda_outbox_t { outbox: client.core().open_outbox(options)?, poison: Poison::default() };
        let none = || Stop::NoMemory("free some memory: there is none for an outbox".to_owned());
        place.write(Sealed::handle(opened).ok_or_else(none)?);
        Ok(Delivery::default())
    });
    // What was not taken is destroyed by a callback of the program.
    contained(|| drop(given));
    status
}

/// Delivers what waits for this client's device through it from now on, and at once. A put attaches its device as well;
/// after a restart, entries of devices that are not attached wait. The outbox keeps the device, with its secret, until
/// it is closed, also when the client is closed before; another client of the same id replaces it. Does not wait for
/// the network.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_outbox_attach(
    outbox: *mut iotda_outbox_t,
    device: *mut iotda_client_t,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    on_outbox!(outbox, call, |outbox, _| {
        let device = handle!(device)?;
        Ok(outbox.attach(device.core())?)
    })
}

/// Puts properties of a device: count services, at least one, which are checked as by iotda_report_props. Writes the
/// entry's id to *id, unless id is NULL.
///
/// With a sync_ms it returns at once unless 256 KiB wait to be written; otherwise it blocks for as long as the storage
/// does, at most for the timeout. After a failure this process does not deliver the entry; if it crashes then, the
/// entry may be delivered. Also IOTDA_E_TOO_LARGE (1 MB, or a quarter of max_bytes), IOTDA_E_FULL, IOTDA_E_STORAGE (a
/// full disk, a fault, read-only: the message says which), IOTDA_E_TIMEOUT, IOTDA_E_CANCELLED (before it began).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_outbox_put_props(
    outbox: *mut iotda_outbox_t,
    device: *mut iotda_client_t,
    services: *const iotda_service_t,
    count: usize,
    id: *mut u64,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    put!(outbox, device, id, call, |outbox, device, options| {
        // SAFETY: the promises "arrays" and "texts".
        let converted = unsafe { service::given(services, count) }?;
        outbox.put_properties(device, &converted, options)
    })
}

/// As iotda_outbox_put_props, by a request body as iotda_report_props_json takes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_outbox_put_props_json(
    outbox: *mut iotda_outbox_t,
    device: *mut iotda_client_t,
    json: *const c_char,
    len: usize,
    id: *mut u64,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    put!(outbox, device, id, call, |outbox, device, options| {
        let json = text_of_length!(json, len)?;
        outbox.put_properties_json(device, json, options)
    })
}

/// As iotda_outbox_put_props, for a message: any len bytes, also none (then data may be NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_outbox_put_message(
    outbox: *mut iotda_outbox_t,
    device: *mut iotda_client_t,
    data: *const c_void,
    len: usize,
    id: *mut u64,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    put!(outbox, device, id, call, |outbox, device, options| {
        let data = bytes!(data, len)?;
        outbox.put_message(device, data, options)
    })
}

/// As iotda_outbox_put_props, for child devices of a gateway, all or none, up to 10,000 in a call. Writes the id of the
/// first child's entry to *first_id, unless that is NULL; those of the others follow it in order. They are delivered in
/// batches; a child that the platform does not know holds back no other. Above 256 KiB in all it blocks until they are
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_outbox_put_batch(
    outbox: *mut iotda_outbox_t,
    gateway: *mut iotda_client_t,
    children: *const iotda_child_t,
    count: usize,
    first_id: *mut u64,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    put!(outbox, gateway, first_id, call, |outbox, gateway, options| {
        // SAFETY: the promise "arrays".
        let given = unsafe { array(children, count, &"children") }?;
        // SAFETY: the promises "arrays" and "texts".
        let converted = unsafe { Converted::new(given) }?;
        let children: Result<Vec<_>, _> = converted.children()?.into_iter().collect();
        let children = children.map_err(|error| Stop::Core(*error))?;
        outbox.put_batch(gateway, &children, options)
    })
}

/// As iotda_outbox_put_batch, by a request body as iotda_gateway_batch_json takes it. A child that is wrong in itself
/// refuses all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_outbox_put_batch_json(
    outbox: *mut iotda_outbox_t,
    gateway: *mut iotda_client_t,
    json: *const c_char,
    len: usize,
    first_id: *mut u64,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    put!(outbox, gateway, first_id, call, |outbox, gateway, options| {
        let json = text_of_length!(json, len)?;
        outbox.put_batch_json(gateway, json, options)
    })
}

/// Returns when all that was put is on disk. Blocks for as long as the storage does, at most for the timeout. Also
/// IOTDA_E_STORAGE, IOTDA_E_TIMEOUT, IOTDA_E_CANCELLED (before it began).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_outbox_sync(outbox: *mut iotda_outbox_t, call: *mut iotda_call_t) -> iotda_status_t {
    on_outbox!(outbox, call, |outbox, options| Ok(outbox.sync(options)?))
}

/// Delivers what is due, in this thread, within the timeout: for programs without threads (start_worker). Writes to
/// call->retry_after_ms when to pump again, for a sync that becomes due as well; 0: nothing waits that could be sent.
/// That something could not be delivered is no failure: it waits. Also IOTDA_E_TIMEOUT (over before it began),
/// IOTDA_E_CANCELLED (seen between requests).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_outbox_pump(outbox: *mut iotda_outbox_t, call: *mut iotda_call_t) -> iotda_status_t {
    let mut again = 0;
    let status = on_outbox!(outbox, call, |outbox, options| {
        again = outbox.pump(options)?.map_or(0, call::milliseconds);
        Ok(())
    });
    // SAFETY: the promise "structs".
    if let (IOTDA_OK, Some(call)) = (status, unsafe { call.as_mut() }) {
        call.retry_after_ms = again;
    }
    status
}

/// Waits until all that was put before is settled, at most for the timeout; without threads it delivers in this one.
/// Also IOTDA_E_TIMEOUT (or what waits is for devices that are not attached; it goes on waiting in the outbox),
/// IOTDA_E_CANCELLED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_outbox_flush(outbox: *mut iotda_outbox_t, call: *mut iotda_call_t) -> iotda_status_t {
    on_outbox!(outbox, call, |outbox, options| Ok(outbox.flush(options)?))
}

/// The network is back: what waits for a pause is tried within a second, instead of up to five minutes later. Does not
/// wait for the network.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_outbox_wake(outbox: *mut iotda_outbox_t) {
    contained(|| {
        let mut wake = |outbox: &Outbox| {
            outbox.wake();
            Ok(())
        };
        // What is no outbox has nothing to be woken.
        // SAFETY: the promise "handles".
        let _ = unsafe { with(outbox, &mut wake) };
    });
}

/// Gives up what waits for a device, as the one that sends or the one reported for, without delivering it; writes to
/// *count, unless count is NULL, how many entries that were. For a device that was removed. A request that is under way
/// may still arrive. Blocks for as long as the storage does. Also IOTDA_E_STORAGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_outbox_discard(
    outbox: *mut iotda_outbox_t,
    device_id: *const c_char,
    count: *mut u64,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    on_outbox!(outbox, call, |outbox, _| {
        let device_id = text!(device_id)?;
        let discarded = outbox.discard(device_id)?;
        write_if_wanted!(count, discarded);
        Ok(())
    })
}

/// Closes an outbox: ends requests that are under way, ends the threads, and syncs; it delivers nothing. What was not
/// delivered is delivered when the directory is opened again. Blocks for as long as the storage does. A process that
/// ends without it counts as a crash: what was put since the last sync may be lost. iotda_outbox_sync says whether it
/// is on disk, which this cannot.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_outbox_close(outbox: *mut iotda_outbox_t) {
    // SAFETY: the promise "handles".
    unsafe { panic::free(outbox) };
}
