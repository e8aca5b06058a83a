//! The access token of a client, kept over a restart.

use std::ffi::c_char;

use iotda::Delivery;
use zeroize::Zeroizing;

use crate::call::iotda_call_t;
use crate::client::iotda_client_t;
use crate::outcome::Stop;
use crate::status::iotda_status_t;

/// Writes the access token and its expiry to out as terminated text, for iotda_config_set_token after a
/// restart: a device that wakes, reports and sleeps then authenticates once a day. Keep it as secret as the
/// device's secret. The library keeps no copy of the text.
///
/// size is the room in out, in bytes. 512 are enough for a token of the length that the platform documents, 256
/// bytes at most. *length, unless length is NULL, becomes the length of the text without its terminating zero; 0
/// if there is no valid token (then out becomes ""). out is written only on success. *length is also written if
/// there is too little room: *length + 1 bytes are needed (with a size of 0, out may be NULL).
///
/// Any thread; never blocks. IOTDA_E_INVALID_ARGUMENT (a NULL, or too little room), IOTDA_E_FORKED,
/// IOTDA_E_INTERNAL.
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
        if let Ok(length) = output!(length) {
            length.write(text.len());
        }
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
