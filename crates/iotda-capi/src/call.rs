//! `iotda_call_t`: what one call is given and what it returns, and the frame that every such call runs in.

use std::ffi::c_char;
use std::time::Duration;

use iotda::{CallOptions, Delivery};

use crate::arguments::{handle, wrong_size};
use crate::cancel::iotda_cancel_t;
use crate::outcome::{FAULT, Outcome, Stop};
use crate::panic::caught;
use crate::status::{IOTDA_E_INTERNAL, IOTDA_OK, iotda_status_t};

/// What one call is given ("in"), and what it returns beside its status ("out": written by every call, whether it
/// succeeds or not). Optional: every function that takes one takes NULL.
///
/// Start it with IOTDA_CALL_INIT or with zeros; it may be used again for the next call. It belongs to the caller and is
/// touched only during the call; two calls that run at the same time need one each.
#[repr(C)]
pub struct iotda_call_t {
    /// in: sizeof(iotda_call_t), set by IOTDA_CALL_INIT.
    pub struct_size: usize,
    /// in: the most that the whole call may take, in milliseconds; 0: as the client's.
    pub timeout_ms: u32,
    /// in: ends the call early; NULL: nothing does. Read at the start of the call.
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
    /// out: whether a report may have arrived although the call failed: something was sent, and no answer says that it
    /// was not accepted. Sent again, it may then arrive twice. false after a failure: nothing of any attempt was
    /// accepted; of a batch, nothing beside the children whose status is IOTDA_OK. Also false on success, and for an
    /// authentication.
    pub may_have_arrived: bool,
}

/// The size of the struct's first version.
const FIRST_VERSION: usize = size_of::<iotda_call_t>();

/// `guarded!(call, { … })`: the body of a function that takes a call struct, and uses nothing of it but its outcome.
macro_rules! guarded {
    ($call:ident, $body:expr) => {{
        let mut run =
            |options: $crate::outcome::Outcome<iotda::CallOptions>| -> $crate::outcome::Outcome<iotda::Delivery> {
                $crate::panic::panic_if_asked();
                options?;
                $body
            };
        // SAFETY: the promises "structs" and "handles".
        unsafe { $crate::call::guarded($call, &mut run) }
    }};
}

/// Runs `body`, catches a panic, and writes the outcome into `call`. That `call` itself is refused is for `body` to
/// say: it may have more to say it to. Not generic: one copy of it does for all functions.
///
/// # Safety
///
/// The promise "structs" for `call`, and "handles" for its `cancel`.
pub(crate) unsafe fn guarded(
    call: *mut iotda_call_t,
    body: &mut dyn FnMut(Outcome<CallOptions>) -> Outcome<Delivery>,
) -> iotda_status_t {
    // SAFETY: the promise "structs".
    let wrong_size = unsafe { wrong_size(call, FIRST_VERSION) };
    // SAFETY: the promise "structs".
    let mut call = unsafe { call.as_mut() };
    let status = caught(|| {
        let options = match wrong_size {
            Some(size) => Err(Stop::Argument(format!(
                "start the call struct with IOTDA_CALL_INIT: its struct_size is {size}, less than any version's"
            ))),
            // SAFETY: the promise "handles".
            None => unsafe { options(call.as_deref()) },
        };
        let outcome = body(options);
        conclude(call.as_deref_mut(), outcome)
    });
    status.unwrap_or_else(|fault| {
        if let Some(call) = call {
            call.clear();
            fill(&mut call.message, &[FAULT, fault.as_str()]);
        }
        IOTDA_E_INTERNAL
    })
}

/// What a call is given.
///
/// # Safety
///
/// The promise "handles" for the struct's `cancel`.
unsafe fn options(call: Option<&iotda_call_t>) -> Outcome<CallOptions> {
    let mut options = CallOptions::new();
    let Some(call) = call else { return Ok(options) };
    if !call.cancel.is_null() {
        // SAFETY: the promise "handles".
        options.cancel = Some(unsafe { handle(call.cancel, "the call struct's cancel") }?.token());
    }
    options.timeout = (call.timeout_ms != 0).then(|| Duration::from_millis(call.timeout_ms.into()));
    Ok(options)
}

/// Writes the outcome into the caller's struct and returns the status.
fn conclude(call: Option<&mut iotda_call_t>, outcome: Outcome<Delivery>) -> iotda_status_t {
    let status = outcome.as_ref().map_or_else(Stop::status, |_| IOTDA_OK);
    let Some(call) = call else { return status };
    call.clear();
    match outcome {
        Ok(delivery) => {
            call.http_status = delivery.http_status.into();
            call.attempts = delivery.attempts;
        }
        Err(stop) => {
            if let Stop::Core(error) = &stop {
                call.http_status = error.http_status().unwrap_or(0).into();
                call.attempts = error.attempts();
                call.may_have_arrived = error.may_have_arrived();
                call.retry_after_ms = error.retry_after().map_or(0, milliseconds);
                fill(&mut call.platform_code, &[error.platform_code().unwrap_or("")]);
            }
            fill(&mut call.message, &[stop.message()]);
        }
    }
    status
}

impl iotda_call_t {
    /// Sets the fields that are "out" to what they are without an answer.
    fn clear(&mut self) {
        self.http_status = 0;
        self.attempts = 0;
        self.retry_after_ms = 0;
        self.platform_code = [0; 24];
        self.message = [0; 256];
        self.may_have_arrived = false;
    }
}

/// At least 1, since 0 means unknown.
pub(crate) fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX).max(1)
}

/// Copies as much of the texts as fits with an end, never half a character, into a field of zeros.
pub(crate) fn fill<const N: usize>(out: &mut [c_char; N], texts: &[&str]) {
    fill_room(&mut out[..N - 1], texts);
}

/// One copy of it does for fields of all lengths.
fn fill_room(out: &mut [c_char], texts: &[&str]) {
    let mut room = out;
    for text in texts {
        let mut end = text.len().min(room.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let (now, later) = room.split_at_mut(end);
        for (to, from) in now.iter_mut().zip(text.as_bytes()) {
            *to = *from as c_char;
        }
        if end < text.len() {
            return;
        }
        room = later;
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
        for (given, kept) in [
            (&[""][..], ""),
            (&["abc"], "abc"),
            (&["1234567"], "1234567"),
            (&["12345678"], "1234567"),
            (&["123456é"], "123456"),
            (&["12", "", "345"], "12345"),
            (&["12345", "é", "x"], "12345é"),
            (&["123456", "é", "x"], "123456"),
        ] {
            let mut field = [0; 8];
            fill(&mut field, given);
            assert_eq!(text(&field), kept);
            assert_eq!(field[7], 0);
        }
    }

    #[test]
    fn a_wait_is_never_reported_as_unknown() {
        assert_eq!(milliseconds(Duration::from_micros(10)), 1);
        assert_eq!(milliseconds(Duration::from_secs(2)), 2000);
        assert_eq!(milliseconds(Duration::MAX), u32::MAX);
    }
}
