//! What a client tells about itself: counters, the platform's time, the access token.

use std::ffi::c_char;

use iotda::Delivery;

use crate::boundary::{Outcome, Stop, guarded_status, panic_if_asked, required, required_mut};
use crate::call::iotda_call_t;
use crate::client::{iotda_client_t, on_client};
use crate::status::iotda_status_t;

/// Counters since the client was made, over all devices that share its connections.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct iotda_stats_t {
    /// in: sizeof(iotda_stats_t).
    pub struct_size: usize,
    /// out: requests sent, authentications not counted.
    pub requests: u64,
    /// out: authentications sent.
    pub authentications: u64,
    /// out: attempts that were made after a failure.
    pub retries: u64,
    /// out: bytes of request bodies sent.
    pub body_bytes_sent: u64,
    /// out: bytes handed to the network, TLS included.
    pub bytes_sent: u64,
    /// out: bytes received from the network, TLS included.
    pub bytes_received: u64,
    /// out: TLS handshakes with a certificate.
    pub handshakes_full: u64,
    /// out: TLS handshakes that resumed a session.
    pub handshakes_resumed: u64,
    /// out: reports that waited so as not to meet a rate limit.
    pub pacing_waits: u64,
}

/// Reads the counters into *stats, whose struct_size must be set.
///
/// Any thread; never blocks. IOTDA_E_INVALID_ARGUMENT, IOTDA_E_INTERNAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_stats(client: *const iotda_client_t, stats: *mut iotda_stats_t) -> iotda_status_t {
    guarded_status(|| {
        panic_if_asked();
        // SAFETY: NULL or a client that lives for the call, as the caller promises.
        let client = unsafe { required(client, "client") }?;
        // SAFETY: NULL or at least the size, which is the first field, as the caller promises.
        let size = unsafe { required(stats.cast::<usize>(), "stats") }?;
        if *size < size_of::<iotda_stats_t>() {
            return Err(Stop::Argument("stats.struct_size is not sizeof(iotda_stats_t)".to_owned()));
        }
        let struct_size = *size;
        // SAFETY: whole, as its size says, and the caller's own for the call.
        let out = unsafe { required_mut(stats, "stats") }?;
        let now = client.core().stats();
        *out = iotda_stats_t {
            struct_size,
            requests: now.requests,
            authentications: now.authentications,
            retries: now.retries,
            body_bytes_sent: now.body_bytes_sent,
            bytes_sent: now.bytes_sent,
            bytes_received: now.bytes_received,
            handshakes_full: now.handshakes_full,
            handshakes_resumed: now.handshakes_resumed,
            pacing_waits: now.pacing_waits,
        };
        Ok(())
    })
}

/// The platform's time in milliseconds since 1970-01-01T00:00:00Z, from its last answer and the time that has
/// passed since; 0 if no answer told it yet, or for NULL. To the second, and late by the way of the answer.
///
/// Any thread; never blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_server_time_ms(client: *const iotda_client_t) -> i64 {
    let mut time = 0;
    let _ = guarded_status(|| {
        panic_if_asked();
        // SAFETY: NULL or a client that lives for the call, as the caller promises.
        time = unsafe { required(client, "client") }?.core().server_time_ms().unwrap_or(0);
        Ok(())
    });
    time
}

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
    let run = |client: &iotda::Client, _| -> Outcome<Delivery> {
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
        // SAFETY: not NULL, with room for `size` bytes, as the caller promises; that is more than the text.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr().cast(), out, text.len());
            out.add(text.len()).write(0);
        }
        // SAFETY: NULL or a place for a size, as the caller promises.
        if let Some(length) = unsafe { length.as_mut() } {
            *length = text.len();
        }
        Ok(Delivery::default())
    };
    // SAFETY: NULL or a client that lives for the call; NULL or a call struct of ours, as the caller promises.
    unsafe { on_client(client, call, run) }
}
