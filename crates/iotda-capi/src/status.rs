//! The status numbers of the C API and their texts.

use std::ffi::{CStr, c_char};

use iotda::ErrorKind;

/// What a function returns: IOTDA_OK or one of the IOTDA_E_ constants. The numbers never change; a later version may
/// add new ones. They are grouped by what a caller does about them: fix the code or the configuration (1 to 19), look
/// at the connection and try again later (20 to 39), act on the platform's answer (40 to 59), look at this process (60
/// to 79). Those from 20 to 59 come from every function that uses the network, unless they name the functions.
///
/// A report that fails with IOTDA_E_CONNECT, IOTDA_E_TIMEOUT, IOTDA_E_CANCELLED, IOTDA_E_SERVER, IOTDA_E_PROTOCOL or
/// IOTDA_E_INTERNAL may have arrived all the same. With IOTDA_E_INVALID_ARGUMENT, IOTDA_E_CONFIG and IOTDA_E_FORKED
/// nothing was sent. With each other status, only an earlier attempt of the same call can have arrived. What holds of
/// one call is in iotda_call_t.may_have_arrived.
pub type iotda_status_t = i32;

/// Success.
pub const IOTDA_OK: iotda_status_t = 0;

/// Fix the calling code: an argument is wrong.
pub const IOTDA_E_INVALID_ARGUMENT: iotda_status_t = 1;
/// Send less at a time: one report, or one child's part of a batch, is 1 MB (1,048,576 bytes) or more. From functions
/// that report, check or put; iotda_outbox_dead_read: too little room.
pub const IOTDA_E_TOO_LARGE: iotda_status_t = 2;
/// Fix the configuration: a setting is missing or wrong. From setters and iotda_init.
pub const IOTDA_E_CONFIG: iotda_status_t = 3;

/// Try again later: the host name could not be resolved.
pub const IOTDA_E_DNS: iotda_status_t = 20;
/// Try again later: no connection could be made, or it broke.
pub const IOTDA_E_CONNECT: iotda_status_t = 21;
/// Check authorities, host name and TLS version: the handshake failed; the message says why.
pub const IOTDA_E_TLS: iotda_status_t = 22;
/// Set the clock: it is earlier than this library's release, so no certificate can be verified.
pub const IOTDA_E_CLOCK: iotda_status_t = 23;
/// Try again later, or allow more time: the timeout of the call expired.
pub const IOTDA_E_TIMEOUT: iotda_status_t = 24;
/// The call was ended by iotda_cancel_trigger.
pub const IOTDA_E_CANCELLED: iotda_status_t = 25;

/// Correct device id or secret: they do not belong together. Trying again does not help.
pub const IOTDA_E_AUTH_FAILED: iotda_status_t = 40;
/// Look at the device on the platform: it refused the access token, and a new one as well. Or authenticate: there is no
/// valid token, or the platform refused it, and by iotda_config_set_authentication the program alone authenticates.
/// From reports.
pub const IOTDA_E_TOKEN_REJECTED: iotda_status_t = 41;
/// Wait, then send again: a rate limit of the device or the tenant was reached.
pub const IOTDA_E_RATE_LIMITED: iotda_status_t = 42;
/// Register the child device: it does not exist, or is not this gateway's. From batches.
pub const IOTDA_E_UNKNOWN_CHILD: iotda_status_t = 43;
/// Change the data: the platform refused it, and sending it again does not help.
pub const IOTDA_E_REJECTED: iotda_status_t = 44;
/// Try again later: the platform failed to process the request (HTTP 5xx).
pub const IOTDA_E_SERVER: iotda_status_t = 45;
/// Check the endpoint, and proxies on the way: the response was not valid.
pub const IOTDA_E_PROTOCOL: iotda_status_t = 46;
/// Look at the children's statuses: some were delivered, others not. From batches.
pub const IOTDA_E_PARTIAL: iotda_status_t = 47;

/// Check the disk, or the directory's permissions: an outbox's files could not be read or written; the message says
/// which. From the outbox functions.
pub const IOTDA_E_STORAGE: iotda_status_t = 60;
/// Make a new client in this process: this one was made in the parent, before a fork. Not from iotda_close,
/// iotda_stats, iotda_server_time_ms and iotda_token_remaining_ms.
pub const IOTDA_E_FORKED: iotda_status_t = 61;
/// Free memory or send less at a time: there is none for what the call was given. Or report a fault of this library:
/// each later call on the handle then returns this status; close it and make a new one. The message says which.
pub const IOTDA_E_INTERNAL: iotda_status_t = 62;
/// Wait until something is delivered, or give the outbox more space: it has no room for what is put, which is not kept.
/// To its callback: the entry was dropped for newer ones.
pub const IOTDA_E_FULL: iotda_status_t = 63;
/// The entry became older than the outbox was to keep it. To its callback alone.
pub const IOTDA_E_EXPIRED: iotda_status_t = 64;

/// A status, the kind of the core's errors that has it, and what is said of it.
struct Row {
    status: iotda_status_t,
    kind: Option<ErrorKind>,
    name: &'static CStr,
    text: &'static CStr,
}

/// A row: the constant, the kind, and the sentence. The constant's name is the status's name.
macro_rules! row {
    ($status:ident, $kind:expr, $text:literal) => {
        Row {
            status: $status,
            kind: $kind,
            name: match CStr::from_bytes_with_nul(concat!(stringify!($status), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!("a name has no zero byte"),
            },
            text: $text,
        }
    };
}

/// Every status.
const TABLE: &[Row] = &[
    row!(IOTDA_OK, None, c"Success."),
    row!(IOTDA_E_INVALID_ARGUMENT, Some(ErrorKind::InvalidArgument), c"An argument is wrong; nothing was sent."),
    row!(IOTDA_E_TOO_LARGE, Some(ErrorKind::TooLarge), c"The report passes the platform's limit of 1 MB."),
    row!(IOTDA_E_CONFIG, Some(ErrorKind::Config), c"A setting is missing or wrong."),
    row!(IOTDA_E_DNS, Some(ErrorKind::Dns), c"The host name could not be resolved."),
    row!(IOTDA_E_CONNECT, Some(ErrorKind::Connect), c"There is no connection to the platform, or it broke."),
    row!(IOTDA_E_TLS, Some(ErrorKind::Tls), c"The TLS handshake failed."),
    row!(
        IOTDA_E_CLOCK,
        Some(ErrorKind::Clock),
        c"The clock of this machine is not set, so certificates cannot be verified."
    ),
    row!(IOTDA_E_TIMEOUT, Some(ErrorKind::Timeout), c"The timeout of the call expired."),
    row!(IOTDA_E_CANCELLED, Some(ErrorKind::Cancelled), c"The call was cancelled."),
    row!(
        IOTDA_E_AUTH_FAILED,
        Some(ErrorKind::AuthFailed),
        c"The platform does not accept this device id with this secret."
    ),
    row!(
        IOTDA_E_TOKEN_REJECTED,
        Some(ErrorKind::TokenRejected),
        c"The device has no access token that the platform accepts."
    ),
    row!(
        IOTDA_E_RATE_LIMITED,
        Some(ErrorKind::RateLimited),
        c"A rate limit of the platform was reached; wait, then send again."
    ),
    row!(
        IOTDA_E_UNKNOWN_CHILD,
        Some(ErrorKind::UnknownChild),
        c"A child device does not exist or does not belong to this gateway."
    ),
    row!(IOTDA_E_REJECTED, Some(ErrorKind::Rejected), c"The platform refused this data."),
    row!(IOTDA_E_SERVER, Some(ErrorKind::Server), c"The platform failed to process the request; try again later."),
    row!(IOTDA_E_PROTOCOL, Some(ErrorKind::Protocol), c"What answered does not speak the platform's protocol."),
    row!(IOTDA_E_PARTIAL, Some(ErrorKind::Partial), c"Some child devices were delivered and others were not."),
    row!(IOTDA_E_STORAGE, Some(ErrorKind::Storage), c"Reports kept on disk could not be read or written."),
    row!(
        IOTDA_E_FORKED,
        Some(ErrorKind::Forked),
        c"The client was made before a fork; make a new one in the child process."
    ),
    row!(
        IOTDA_E_INTERNAL,
        Some(ErrorKind::Internal),
        c"There is no memory for what the call was given, or the library has a fault."
    ),
    row!(IOTDA_E_FULL, Some(ErrorKind::Full), c"The outbox has no room; wait until something is delivered."),
    row!(IOTDA_E_EXPIRED, Some(ErrorKind::Expired), c"The entry became older than the outbox was asked to keep it."),
];

// A kind of the core without a status, or with two, does not compile.
const _: () = {
    let mut kind = 0;
    while kind < ErrorKind::ALL.len() {
        let (mut row, mut found) = (0, 0);
        while row < TABLE.len() {
            if let Some(of_row) = TABLE[row].kind {
                found += (of_row as usize == ErrorKind::ALL[kind] as usize) as usize;
            }
            row += 1;
        }
        assert!(found == 1, "each kind of error has one status in TABLE");
        kind += 1;
    }
};

/// What is said of any other number.
const UNKNOWN: Row =
    Row { status: i32::MIN, kind: None, name: c"IOTDA_E_UNKNOWN", text: c"This is not a status of this library." };

/// The name of a status, such as "IOTDA_E_RATE_LIMITED"; "IOTDA_E_UNKNOWN" for any other number.
#[unsafe(no_mangle)]
pub extern "C" fn iotda_status_name(status: iotda_status_t) -> *const c_char {
    row(status).name.as_ptr()
}

/// One plain sentence that says what a status means, in English.
#[unsafe(no_mangle)]
pub extern "C" fn iotda_status_text(status: iotda_status_t) -> *const c_char {
    row(status).text.as_ptr()
}

/// Whether to keep what was to be reported and send it later (true), or to drop it (false).
///
/// false for a verdict on the data itself, which the same data would meet again (IOTDA_E_INVALID_ARGUMENT,
/// IOTDA_E_TOO_LARGE, IOTDA_E_REJECTED), for IOTDA_E_EXPIRED, and for IOTDA_OK. true for every other status, and for a
/// number that is none: no connection, no answer, a rate limit; but also what somebody has to put right first, in the
/// settings of the device (IOTDA_E_TLS, IOTDA_E_AUTH_FAILED) or on the platform (IOTDA_E_UNKNOWN_CHILD: bound how long
/// such data is kept). How soon to try again is iotda_call_t.retry_after_ms. After IOTDA_E_PARTIAL, ask for the status
/// of each child.
#[unsafe(no_mangle)]
pub extern "C" fn iotda_status_is_transient(status: iotda_status_t) -> bool {
    status != IOTDA_OK && row(status).kind.is_none_or(ErrorKind::is_transient)
}

fn row(status: iotda_status_t) -> &'static Row {
    TABLE.iter().find(|row| row.status == status).unwrap_or(&UNKNOWN)
}

/// The number of a kind of error.
pub(crate) fn number(kind: ErrorKind) -> iotda_status_t {
    // The table has every kind: see above.
    TABLE.iter().find(|row| row.kind == Some(kind)).map_or(IOTDA_E_INTERNAL, |row| row.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pointer: *const c_char) -> &'static str {
        // SAFETY: both functions return constant, terminated texts.
        unsafe { CStr::from_ptr(pointer) }.to_str().unwrap()
    }

    #[test]
    fn numbers_are_fixed() {
        let numbers: Vec<_> = TABLE.iter().map(|row| row.status).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 20, 21, 22, 23, 24, 25, 40, 41, 42, 43, 44, 45, 46, 47, 60, 61, 62, 63, 64]);
    }

    #[test]
    fn every_number_has_a_name_and_a_sentence() {
        assert_eq!(text(iotda_status_name(42)), "IOTDA_E_RATE_LIMITED");
        assert_eq!(text(iotda_status_name(0)), "IOTDA_OK");
        for number in [-1, 4, 1000, i32::MIN, i32::MAX] {
            assert_eq!(text(iotda_status_name(number)), "IOTDA_E_UNKNOWN");
        }
        for row in TABLE {
            assert!(text(iotda_status_text(row.status)).ends_with('.'));
        }
    }

    #[test]
    fn only_verdicts_on_the_data_and_success_are_not_transient() {
        let dropped: Vec<_> = TABLE.iter().map(|row| row.status).filter(|s| !iotda_status_is_transient(*s)).collect();
        assert_eq!(dropped, [IOTDA_OK, IOTDA_E_INVALID_ARGUMENT, IOTDA_E_TOO_LARGE, IOTDA_E_REJECTED, IOTDA_E_EXPIRED]);
        for number in [-1, 4, 1000, i32::MIN, i32::MAX] {
            assert!(iotda_status_is_transient(number), "{number}");
        }
    }

    #[test]
    fn every_kind_of_the_core_has_the_status_of_its_name() {
        for kind in ErrorKind::ALL {
            let name = text(iotda_status_name(number(*kind))).replace("IOTDA_E_", "").replace('_', "");
            assert_eq!(name, format!("{kind:?}").to_uppercase());
        }
    }
}
