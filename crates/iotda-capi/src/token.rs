//! The access token of a client: kept over a restart, and shared between processes; and the settings about it.

use std::ffi::{CStr, c_char, c_void};

use iotda::Delivery;
use zeroize::Zeroizing;

use crate::call::iotda_call_t;
use crate::client::iotda_client_t;
use crate::config::iotda_config_t;
use crate::outcome::{Outcome, Stop, status_of};
use crate::panic::panic_if_asked;
use crate::status::iotda_status_t;
use crate::user_data::{UserData, iotda_destroy_t};

/// Receives the id of a device that was authenticated, and its new access token.
pub type iotda_token_callback_t =
    Option<unsafe extern "C" fn(user_data: *mut c_void, device_id: *const c_char, token: *const c_char)>;

/// The token callback with its data.
#[derive(Debug)]
pub(crate) struct ProgramTokens {
    pub(crate) issued: unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char),
    pub(crate) user_data: UserData,
}

impl ProgramTokens {
    pub(crate) fn issued(&self, device_id: &str, token: &str) {
        let (device_id, token) = (terminated(device_id), terminated(token));
        // SAFETY: the promise "callbacks"; the texts are terminated and live for the call.
        unsafe { (self.issued)(self.user_data.pointer(), device_id.as_ptr().cast(), token.as_ptr().cast()) };
    }
}

/// A text with the zero that C expects at its end, wiped when it is dropped. Neither ids nor tokens have one within.
fn terminated(text: &str) -> Zeroizing<Vec<u8>> {
    // Growing would leave a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() + 1));
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    bytes
}

/// A saved token of the caller's, as the core takes it. What is not UTF-8 was damaged: the core says so of any text that
/// is no token.
///
/// # Safety
///
/// The promise "texts", but for UTF-8, for `'a`.
pub(crate) unsafe fn saved_token<'a>(pointer: *const c_char, name: &str) -> Outcome<&'a str> {
    if pointer.is_null() {
        return Err(Stop::Argument(format!("pass the text of an exported token as {name}: it is NULL")));
    }
    // SAFETY: not NULL, and the promise "texts".
    let bytes = unsafe { CStr::from_ptr(pointer) }.to_bytes();
    Ok(std::str::from_utf8(bytes).unwrap_or("damaged"))
}

/// An access token that iotda_token_export wrote, or that a token callback was given: it is used while it is valid, and
/// spares an authentication. "" (default): none. One that is damaged, cut, expired, of another device or of another
/// endpoint is not used: a warning in the log, and an authentication.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_token(config: *mut iotda_config_t, token: *const c_char) -> iotda_status_t {
    setter!(config.set(Token), "iotda_config_set_token", |core| {
        // SAFETY: the promise "texts".
        let token = unsafe { saved_token(token, "token") }?;
        core.token(token)
    })
}

/// issued is called after each successful authentication of the client, and of every device opened from it, with the
/// new access token as iotda_token_export writes it: for a program that keeps tokens over restarts, or shares them
/// between processes. It is not called for a token that is imported. NULL (default): nothing is called.
///
/// It is called in the thread whose call authenticated, or in one of an outbox's, and the call goes on when it returns.
/// It may call iotda_token_import and iotda_token_export, with any client, and nothing else of the library. The token
/// is as secret as the device's secret; the text is wiped when issued returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_token_callback(
    config: *mut iotda_config_t,
    issued: iotda_token_callback_t,
    user_data: *mut c_void,
    destroy: iotda_destroy_t,
) -> iotda_status_t {
    let user_data = UserData::new(user_data, destroy);
    setter!(config.set(TokenCallback), "iotda_config_set_token_callback", |core| {
        Outcome::Ok(match issued {
            Some(issued) => {
                let program = ProgramTokens { issued, user_data };
                core.on_token(move |device_id, token| program.issued(device_id, token))
            }
            None => core.no_on_token(),
        })
    })
}

/// A report authenticates when it needs to (default).
pub const IOTDA_AUTHENTICATE_WHEN_NEEDED: i32 = 0;
/// iotda_auth alone authenticates.
pub const IOTDA_AUTHENTICATE_WHEN_ASKED: i32 = 1;

/// Who authenticates. With IOTDA_AUTHENTICATE_WHEN_ASKED, no report authenticates and no token is renewed ahead of its
/// expiry, by this client or by a device opened from it. A report without a valid token fails with
/// IOTDA_E_TOKEN_REJECTED and sends nothing (http_status 0), also while iotda_auth runs in another thread; so does one
/// whose token the platform refuses, with the platform's answer. The token is then given up until iotda_auth or
/// iotda_token_import brings another. An outbox keeps what it holds meanwhile: see iotda_token_import.
///
/// It is for devices whose token several processes share. The platform gives up a device's older token for a newer one,
/// after 30 s: the process that authenticates takes the device from the others, which then stop instead of taking it
/// back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_authentication(config: *mut iotda_config_t, when: i32) -> iotda_status_t {
    setter!(config.set(Authentication), "iotda_config_set_authentication", |core| {
        let when_asked = match when {
            IOTDA_AUTHENTICATE_WHEN_NEEDED => false,
            IOTDA_AUTHENTICATE_WHEN_ASKED => true,
            _ => {
                let advice = "pass one of the IOTDA_AUTHENTICATE_ constants as when";
                return Err(Stop::Argument(format!("{advice}: it is {when}")));
            }
        };
        Outcome::Ok(core.authenticate_when_asked(when_asked))
    })
}

/// Replaces the present access token of this device by one that iotda_token_export wrote, or that a token callback was
/// given, in this process or in another: for processes that share a device's token.
///
/// One that is damaged, expired, of another device or of another endpoint is refused with IOTDA_E_INVALID_ARGUMENT, and
/// the present one stays. Calls that wait for an authentication go on with it. An authentication that is under way in
/// another thread goes on, and its token replaces this one. An outbox whose deliveries for this device failed for lack
/// of a token tries again after a pause of 1 s to 5 minutes, as after any outage; iotda_outbox_attach with this client
/// has it try at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_token_import(
    client: *mut iotda_client_t,
    token: *const c_char,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    on_client!(client, call, |client, _| {
        if client.is_forked() {
            return Err(Stop::Forked);
        }
        // SAFETY: the promise "texts".
        let token = unsafe { saved_token(token, "token") }?;
        client.core().import_token(token)?;
        Ok(Delivery::default())
    })
}

/// Writes the access token and its expiry to out as terminated text, for iotda_config_set_token after a restart (a
/// device that wakes, reports and sleeps then authenticates once a day), for iotda_open_device_with_token, or for
/// iotda_token_import in another process. Keep it as secret as the device's secret. The library keeps no copy of the
/// text.
///
/// size is the room in out, in bytes. 512 are enough for a token of the length that the platform documents, 256 bytes
/// at most. *length, unless length is NULL, becomes the length of the text without its terminating zero; 0 if there is
/// no valid token (then out becomes ""). It is also written if there is too little room (IOTDA_E_INVALID_ARGUMENT):
/// *length + 1 bytes are needed (with a size of 0, out may be NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_token_export(
    client: *mut iotda_client_t,
    out: *mut c_char,
    size: usize,
    length: *mut usize,
    call: *mut iotda_call_t,
) -> iotda_status_t {
    on_client!(client, call, |client, _| {
        if client.is_forked() {
            return Err(Stop::Forked);
        }
        if out.is_null() && size > 0 {
            return Err(Stop::Argument("pass the address of an array as out, or 0 as its size: it is NULL".to_owned()));
        }
        let token = client.core().export_token().map(Zeroizing::new);
        let text = token.as_ref().map_or(&b""[..], |token| token.as_bytes());
        write_if_wanted!(length, text.len());
        if size <= text.len() {
            let needed = text.len() + 1;
            return Err(Stop::Argument(format!(
                "make room for {needed} bytes at out: the token takes them, size is {size}"
            )));
        }
        // SAFETY: not NULL, and the promise "outputs" for `size` bytes, which are more than the text.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr().cast(), out, text.len());
            out.add(text.len()).write(0);
        }
        Ok(Delivery::default())
    })
}

/// How many milliseconds the present access token is still valid, at least 1: for a program that keeps the token only
/// as long. 0 if there is no valid token, if the platform did not say how long it lasts, or for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_token_remaining_ms(client: *const iotda_client_t) -> i64 {
    let mut remaining = 0;
    let _ = status_of(|| {
        panic_if_asked();
        if let Some(valid) = handle!(client)?.core().token_remaining() {
            // Rounded up: what is valid for less than a millisecond is valid.
            remaining = i64::try_from(valid.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX);
        }
        Ok(())
    });
    remaining
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    /// Keeps both texts in the `Vec` that `user_data` points to.
    unsafe extern "C" fn keep(user_data: *mut c_void, device_id: *const c_char, token: *const c_char) {
        // SAFETY: the test passes the address of a `Vec`, which nothing else uses meanwhile, and the texts are terminated.
        unsafe {
            let texts = &mut *user_data.cast::<Vec<String>>();
            texts.extend([device_id, token].map(|text| CStr::from_ptr(text).to_str().unwrap().to_owned()));
        }
    }

    #[test]
    fn a_new_token_is_passed_on_with_its_device() {
        let mut texts: Vec<String> = Vec::new();
        let tokens = ProgramTokens { issued: keep, user_data: UserData::new(ptr::from_mut(&mut texts).cast(), None) };
        tokens.issued("a device", "a token");
        drop(tokens);
        assert_eq!(texts, ["a device", "a token"]);
    }

    #[test]
    fn a_text_ends_with_its_zero_and_was_never_moved() {
        let text = terminated("abc");
        assert_eq!((text.as_slice(), text.capacity()), (&b"abc\0"[..], 4));
    }
}
