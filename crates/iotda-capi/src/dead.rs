//! `iotda_dead_t`: what the platform refused for good.

use std::ffi::{c_char, c_void};
use std::ptr;

use iotda::{DeadLetter, EntryKind};

use crate::call::{fill, iotda_call_t};
use crate::outbox::{iotda_outbox_t, status_on};
use crate::outcome::Stop;
use crate::status::{IOTDA_OK, iotda_status_t, number};

/// Properties of a device itself.
pub const IOTDA_ENTRY_PROPS: i32 = 1;
/// A message.
pub const IOTDA_ENTRY_MESSAGE: i32 = 2;
/// Properties of one child of a gateway.
pub const IOTDA_ENTRY_CHILD: i32 = 3;

/// A dead letter: an entry of an outbox that the platform refused for good.
#[repr(C)]
pub struct iotda_dead_t {
    /// in: sizeof(iotda_dead_t).
    pub struct_size: usize,
    /// out: its own number, the cursor for the next one; 0: there is none.
    pub number: u64,
    /// out: the entry's id.
    pub id: u64,
    /// out: one of the IOTDA_ENTRY_ constants.
    pub kind: i32,
    /// out: the device that was reported for.
    pub device_id: [c_char; 129],
    /// out: the gateway that reported for it; "" for a device itself.
    pub gateway_id: [c_char; 129],
    /// out: when it was put: Unix time in milliseconds, as this machine's clock had it.
    pub time_ms: i64,
    /// out: IOTDA_E_REJECTED or IOTDA_E_UNKNOWN_CHILD.
    pub status: iotda_status_t,
    /// out: the platform's error code, such as "IOTDA.000006".
    pub platform_code: [c_char; 24],
}

/// The size of the struct's first version.
const FIRST_VERSION: usize = size_of::<iotda_dead_t>();

/// Reads the first dead letter after the number cursor (0: the first of all) into *dead, and its request body, as the
/// put functions for JSON and messages take it, into the size bytes at out, not terminated. *length, unless length is
/// NULL, becomes the length of the body. If there is no further letter, dead->number is 0. Reads from disk.
///
/// Also IOTDA_E_STORAGE, and IOTDA_E_TOO_LARGE if the body does not fit: *dead and *length are then written all the
/// same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_outbox_dead_read(
    outbox: *mut iotda_outbox_t,
    cursor: u64,
    dead: *mut iotda_dead_t,
    out: *mut c_void,
    size: usize,
    length: *mut usize,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    on_outbox!(outbox, call, |outbox, _| {
        let dead = sized!(dead: iotda_dead_t, FIRST_VERSION)?;
        if out.is_null() && size > 0 {
            return Err(Stop::Argument(format!(
                "pass room for the body as out, or 0 as size: it is NULL, size {size}"
            )));
        }
        let letter = outbox.dead_read(cursor)?;
        let body = letter.as_ref().map_or(&[][..], |letter| &letter.body);
        write_if_wanted!(length, body.len());
        let fits = body.len() <= size;
        if fits && !body.is_empty() {
            // SAFETY: the promise "outputs": room for `size` bytes, which are as many or more; the body is ours.
            unsafe { ptr::copy_nonoverlapping(body.as_ptr(), out.cast::<u8>(), body.len()) };
        }
        write(dead, letter.as_ref());
        if fits {
            return Ok(());
        }
        Err(Stop::TooSmall(format!("give more room: the body has {} bytes, and size is {size}", body.len())))
    })
}

fn write(dead: &mut iotda_dead_t, letter: Option<&DeadLetter>) {
    let struct_size = dead.struct_size;
    *dead = iotda_dead_t {
        struct_size,
        number: 0,
        id: 0,
        kind: 0,
        device_id: [0; 129],
        gateway_id: [0; 129],
        time_ms: 0,
        status: IOTDA_OK,
        platform_code: [0; 24],
    };
    let Some(letter) = letter else { return };
    dead.number = letter.number;
    dead.id = letter.id;
    dead.kind = match letter.kind {
        EntryKind::Properties => IOTDA_ENTRY_PROPS,
        EntryKind::Message => IOTDA_ENTRY_MESSAGE,
        EntryKind::Child => IOTDA_ENTRY_CHILD,
    };
    fill(&mut dead.device_id, &[&letter.device_id]);
    fill(&mut dead.gateway_id, &[&letter.gateway_id]);
    dead.time_ms = letter.time_ms;
    dead.status = number(letter.reason);
    fill(&mut dead.platform_code, &[&letter.platform_code]);
}

/// Forgets the dead letters up to this number: iotda_outbox_dead_read does not return them any more. Writes to disk.
/// Also IOTDA_E_STORAGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_outbox_dead_forget(outbox: *mut iotda_outbox_t, up_to_number: u64) -> iotda_status_t {
    // SAFETY: the promise "handles".
    unsafe { status_on(outbox, &mut |outbox| Ok(outbox.dead_forget(up_to_number)?)) }
}
