//! `iotda_call_t`: what one call is told, and what it tells.

use std::ffi::c_char;
use std::time::Duration;

use iotda::{CallOptions, Delivery, Error, ErrorKind};

use crate::arguments::struct_size;
use crate::cancel::iotda_cancel_t;
use crate::outcome::{Outcome, Stop};
use crate::panic::caught;
use crate::status::{self, IOTDA_E_INTERNAL, IOTDA_E_INVALID_ARGUMENT, IOTDA_OK, iotda_status_t};

/// What one call is told, and what it tells. Optional: every function that takes one takes NULL.
///
/// Start it with IOTDA_CALL_INIT; it may be used again for the next call. It belongs to the caller and is
/// touched only during the call; two calls that run at the same time need one each. The fields marked
/// "out" are written by every call, whether it succeeds or not.
#[repr(C)]
pub struct iotda_call_t {
    /// in: sizeof(iotda_call_t), set by IOTDA_CALL_INIT. A larger struct, of a newer header, is fine; what this
    /// library does not know in it stays as it is.
    pub struct_size: usize,
    /// in: the most that the whole call may take, in milliseconds; 0: the client's timeout.
    pub timeout_ms: u32,
    /// in: ends the call from another thread; NULL: nothing does. Read at the start of the call.
    pub cancel: *const iotda_cancel_t,
    /// out: the HTTP status of the last answer; 0 if none arrived.
    pub http_status: i32,
    /// out: requests sent for this call, authentications not counted.
    pub attempts: u32,
    /// out: how long to wait before trying again, in milliseconds; 0: unknown.
    pub retry_after_ms: u32,
    /// out: the platform's error code, such as "IOTDA.000006"; "" if it named none.
    pub platform_code: [c_char; 24],
    /// out: a sentence for a person: what failed, where, and what to do about it; "" on success. UTF-8, always
    /// terminated, cut at the end if too long. Never holds a secret, a password or a token.
    pub message: [c_char; 256],
}

const POISONED: &str = "an earlier call on this handle met a fault of the library: close it and make a new one";
const PANICKED: &str =
    "the library met a fault of its own; the handle can no longer be used: close it, and please report this";

/// `guarded!(call, |options| …)`: the body of a function that takes a call struct.
macro_rules! guarded {
    ($call:ident, $body:expr) => {
        // SAFETY: the promises "structs" and "handles".
        unsafe { $crate::call::guarded($call, $body) }
    };
}

/// Runs `body`, catches a panic, and writes the outcome into `call`.
///
/// # Safety
///
/// The promise "structs" for `call`, and "handles" for its `cancel`.
pub(crate) unsafe fn guarded(
    call: *mut iotda_call_t,
    body: impl FnOnce(CallOptions) -> Outcome<Delivery>,
) -> iotda_status_t {
    // SAFETY: the promise "structs".
    let size = unsafe { struct_size(call, "call") }.ok();
    // The struct may be shorter than what would be written.
    if size.is_some_and(|size| size < size_of::<iotda_call_t>()) {
        return IOTDA_E_INVALID_ARGUMENT;
    }
    // SAFETY: NULL, or whole, as its size says: the promise "structs".
    let mut call = unsafe { call.as_mut() };
    // SAFETY: the promise "handles".
    let options = unsafe { options(call.as_deref()) };
    let refuse = |call: Option<&mut iotda_call_t>, kind, message: &str, status| {
        call.map_or(status, |call| refuse(call, kind, message))
    };
    match caught(|| body(options)) {
        Ok(Ok(delivery)) => conclude(call.take(), &Ok(delivery)),
        Ok(Err(Stop::Core(error))) => conclude(call.take(), &Err(error)),
        Ok(Err(Stop::Argument(why))) => refuse(call, ErrorKind::InvalidArgument, &why, IOTDA_E_INVALID_ARGUMENT),
        Ok(Err(Stop::Poisoned)) => refuse(call, ErrorKind::Internal, POISONED, IOTDA_E_INTERNAL),
        Err(fault) => refuse(call, ErrorKind::Internal, &format!("{PANICKED} ({})", fault.as_str()), IOTDA_E_INTERNAL),
    }
}

/// What a call is given.
///
/// # Safety
///
/// The promise "handles" for the struct's `cancel`.
unsafe fn options(call: Option<&iotda_call_t>) -> CallOptions {
    let Some(call) = call else { return CallOptions::default() };
    // SAFETY: the promise "handles".
    let cancel = unsafe { call.cancel.as_ref() }.map(iotda_cancel_t::token);
    let timeout = (call.timeout_ms != 0).then(|| Duration::from_millis(call.timeout_ms.into()));
    CallOptions { timeout, cancel }
}

/// Writes the outcome into the caller's struct and returns the status.
fn conclude(call: Option<&mut iotda_call_t>, result: &Result<Delivery, Error>) -> iotda_status_t {
    let status = match result {
        Ok(_) => IOTDA_OK,
        Err(error) => status::number(error.kind()),
    };
    let Some(call) = call else { return status };
    match result {
        Ok(delivery) => {
            call.http_status = delivery.http_status.into();
            call.attempts = delivery.attempts;
            call.retry_after_ms = 0;
            fill(&mut call.platform_code, "");
            fill(&mut call.message, "");
        }
        Err(error) => {
            call.http_status = error.http_status().unwrap_or(0).into();
            call.attempts = error.attempts();
            call.retry_after_ms = error.retry_after().map_or(0, milliseconds);
            fill(&mut call.platform_code, error.platform_code().unwrap_or(""));
            fill(&mut call.message, error.message());
        }
    }
    status
}

/// As [`conclude`], for a refusal that has no error of the core.
fn refuse(call: &mut iotda_call_t, kind: ErrorKind, message: &str) -> iotda_status_t {
    call.http_status = 0;
    call.attempts = 0;
    call.retry_after_ms = 0;
    fill(&mut call.platform_code, "");
    fill(&mut call.message, message);
    status::number(kind)
}

/// At least 1, since 0 means unknown.
fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX).max(1)
}

/// Copies as much of `text` as fits with its end, never half a character; the rest is set to zero.
fn fill<const N: usize>(out: &mut [c_char; N], text: &str) {
    let mut end = text.len().min(N - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    out.fill(0);
    for (to, from) in out.iter_mut().zip(&text.as_bytes()[..end]) {
        *to = *from as c_char;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<const N: usize>(field: &[c_char; N]) -> String {
        let bytes: Vec<u8> = field.iter().map(|c| *c as u8).take_while(|byte| *byte != 0).collect();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_text_is_cut_between_characters_and_always_ends() {
        let mut field = [1; 8];
        for (given, kept) in
            [("", ""), ("abc", "abc"), ("1234567", "1234567"), ("12345678", "1234567"), ("123456é", "123456")]
        {
            fill(&mut field, given);
            assert_eq!(text(&field), kept);
            assert_eq!(field[7], 0);
        }
    }

    #[test]
    fn a_wait_is_never_told_as_unknown() {
        assert_eq!(milliseconds(Duration::from_micros(10)), 1);
        assert_eq!(milliseconds(Duration::from_secs(2)), 2000);
        assert_eq!(milliseconds(Duration::MAX), u32::MAX);
    }
}
