//! The access token of a client, kept over a restart.

use std::ffi::c_char;

use iotda::Delivery;

use crate::call::iotda_call_t;
use crate::client::iotda_client_t;
use crate::outcome::Stop;
use crate::status::iotda_status_t;

/// Writes the access token and its expiry to out as terminated text, for iotda_config_set_token after a
/// restart: a device that wakes, reports and sleeps then authenticates once a day. Keep it as secret as the
/// device's secret.
///
/// size is the room in out; 512 bytes are always enough. *length becomes the length of the text without its
/// end, 0 if there is no valid token (then out becomes ""). Both are written only on success; length may be
/// NULL.
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
        let token = client.export_token().map(zeroize::Zeroizing::new);
        let text = token.as_ref().map_or(&b""[..], |token| token.as_bytes());
        if out.is_null() {
            return Err(Stop::Argument("out is NULL".to_owned()));
        }
        if size <= text.len() {
            return Err(Stop::Argument(format!(
                "size is {size}: the token takes {} bytes with its end",
                text.len() + 1
            )));
        }
        // SAFETY: not NULL, and the promise "outputs" for `size` bytes, which are more than the text.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr().cast(), out, text.len());
            out.add(text.len()).write(0);
        }
        if let Ok(length) = output!(length) {
            length.write(text.len());
        }
        Ok(Delivery::default())
    })
}
