//! The status numbers of the C API and their texts.

use std::ffi::{CStr, c_char};

use iotda::ErrorKind;

/// What a function returns: IOTDA_OK or one of the IOTDA_E_ constants. The numbers never change; a
/// later version may add new ones. They are grouped by what a caller does about them.
pub type iotda_status_t = i32;

/// Done. Returned by every function.
pub const IOTDA_OK: iotda_status_t = 0;

/// Mend the program: an argument is wrong. Nothing was sent. Returned by every function that takes arguments.
pub const IOTDA_E_INVALID_ARGUMENT: iotda_status_t = 1;
/// Mend the program: one report, or one child device's part of a batch, is 1 MB (1,048,576 bytes) or more.
/// Returned by the report functions.
pub const IOTDA_E_TOO_LARGE: iotda_status_t = 2;
/// Mend the configuration: a setting is missing or wrong. Returned by the config setters and iotda_init.
pub const IOTDA_E_CONFIG: iotda_status_t = 3;

/// Try again later: the host name could not be looked up. Returned by every function that uses the network.
pub const IOTDA_E_DNS: iotda_status_t = 20;
/// Try again later: no connection, or it broke. Returned by every function that uses the network.
pub const IOTDA_E_CONNECT: iotda_status_t = 21;
/// The TLS handshake failed: certificate, host name, or protocol version; the message says which.
/// Returned by every function that uses the network.
pub const IOTDA_E_TLS: iotda_status_t = 22;
/// Set the clock: it stands before the release of this library, so certificates cannot be checked.
/// Returned by every function that uses the network.
pub const IOTDA_E_CLOCK: iotda_status_t = 23;
/// The time of the call was over; what was being sent may have arrived. Returned by every function that
/// uses the network.
pub const IOTDA_E_TIMEOUT: iotda_status_t = 24;
/// The program cancelled the call; what was being sent may have arrived. Returned by every function that uses
/// the network.
pub const IOTDA_E_CANCELLED: iotda_status_t = 25;

/// The platform does not accept this device id with this secret; trying again does not help. Returned by
/// every function that uses the network.
pub const IOTDA_E_AUTH_FAILED: iotda_status_t = 40;
/// The platform refused the access token, and a new one as well. Returned by the report functions.
pub const IOTDA_E_TOKEN_REJECTED: iotda_status_t = 41;
/// Wait, then send again: the device's or the tenant's rate limit. Returned by every function that uses
/// the network.
pub const IOTDA_E_RATE_LIMITED: iotda_status_t = 42;
/// A child device does not exist on the platform or does not belong to this gateway. Returned by the batch
/// functions.
pub const IOTDA_E_UNKNOWN_CHILD: iotda_status_t = 43;
/// The platform refused this data; sending it again does not help. Returned by every function that uses
/// the network.
pub const IOTDA_E_REJECTED: iotda_status_t = 44;
/// Try again later: the platform has a fault of its own (HTTP 5xx). Returned by every function that uses
/// the network.
pub const IOTDA_E_SERVER: iotda_status_t = 45;
/// What answered does not speak the protocol: check the endpoint, or a proxy on the way. Returned by every
/// function that uses the network.
pub const IOTDA_E_PROTOCOL: iotda_status_t = 46;
/// Some child devices of a batch were delivered and others were not. Returned by the batch functions.
pub const IOTDA_E_PARTIAL: iotda_status_t = 47;

/// Reserved for reports that are kept on disk; no function of this version returns it.
pub const IOTDA_E_STORAGE: iotda_status_t = 60;
/// The client was made before a fork and is used in the child process: make a new one there. Returned by
/// every function that takes a client, except iotda_close.
pub const IOTDA_E_FORKED: iotda_status_t = 61;
/// There is no memory for a request, or this library has a fault: the message says which. After a fault the handle
/// answers every call with this status: close it, and please report the fault. Returned by every function that
/// returns a status.
pub const IOTDA_E_INTERNAL: iotda_status_t = 62;

/// Number, name and text of each status.
const TABLE: [(iotda_status_t, &CStr, &CStr); 22] = [
    (IOTDA_OK, c"IOTDA_OK", c"Done."),
    (IOTDA_E_INVALID_ARGUMENT, c"IOTDA_E_INVALID_ARGUMENT", c"An argument is wrong; nothing was sent."),
    (IOTDA_E_TOO_LARGE, c"IOTDA_E_TOO_LARGE", c"The report passes the platform's limit of 1 MB."),
    (IOTDA_E_CONFIG, c"IOTDA_E_CONFIG", c"A setting is missing or wrong."),
    (IOTDA_E_DNS, c"IOTDA_E_DNS", c"The host name could not be looked up."),
    (IOTDA_E_CONNECT, c"IOTDA_E_CONNECT", c"There is no connection to the platform, or it broke."),
    (IOTDA_E_TLS, c"IOTDA_E_TLS", c"The TLS handshake failed."),
    (IOTDA_E_CLOCK, c"IOTDA_E_CLOCK", c"The clock of this machine is not set, so certificates cannot be checked."),
    (IOTDA_E_TIMEOUT, c"IOTDA_E_TIMEOUT", c"The time of the call was over."),
    (IOTDA_E_CANCELLED, c"IOTDA_E_CANCELLED", c"The call was cancelled."),
    (IOTDA_E_AUTH_FAILED, c"IOTDA_E_AUTH_FAILED", c"The platform does not accept this device id with this secret."),
    (
        IOTDA_E_TOKEN_REJECTED,
        c"IOTDA_E_TOKEN_REJECTED",
        c"The platform refused the access token, and a new one as well.",
    ),
    (
        IOTDA_E_RATE_LIMITED,
        c"IOTDA_E_RATE_LIMITED",
        c"A rate limit of the platform was reached; wait, then send again.",
    ),
    (
        IOTDA_E_UNKNOWN_CHILD,
        c"IOTDA_E_UNKNOWN_CHILD",
        c"A child device does not exist or does not belong to this gateway.",
    ),
    (IOTDA_E_REJECTED, c"IOTDA_E_REJECTED", c"The platform refused this data."),
    (IOTDA_E_SERVER, c"IOTDA_E_SERVER", c"The platform has a fault of its own; try again later."),
    (IOTDA_E_PROTOCOL, c"IOTDA_E_PROTOCOL", c"What answered does not speak the platform's protocol."),
    (IOTDA_E_PARTIAL, c"IOTDA_E_PARTIAL", c"Some child devices were delivered and others were not."),
    (IOTDA_E_STORAGE, c"IOTDA_E_STORAGE", c"Reports kept on disk could not be read or written."),
    (IOTDA_E_FORKED, c"IOTDA_E_FORKED", c"The client was made before a fork; make a new one in the child process."),
    (IOTDA_E_INTERNAL, c"IOTDA_E_INTERNAL", c"There is no memory, or the library met a fault of its own."),
    (UNKNOWN, c"IOTDA_E_UNKNOWN", c"This is no status of this library."),
];

/// Stands at the end of the table for every number that is none of ours.
const UNKNOWN: iotda_status_t = i32::MIN;

/// The name of a status, such as "IOTDA_E_RATE_LIMITED"; "IOTDA_E_UNKNOWN" for any other number.
///
/// The text is constant: valid for as long as the program runs. Any thread; never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn iotda_status_name(status: iotda_status_t) -> *const c_char {
    row(status).1.as_ptr()
}

/// One plain sentence that says what a status means, in English.
///
/// The text is constant: valid for as long as the program runs. Any thread; never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn iotda_status_text(status: iotda_status_t) -> *const c_char {
    row(status).2.as_ptr()
}

fn row(status: iotda_status_t) -> &'static (iotda_status_t, &'static CStr, &'static CStr) {
    let [known @ .., unknown] = &TABLE;
    known.iter().find(|row| row.0 == status).unwrap_or(unknown)
}

/// The number of a kind of error.
pub(crate) fn number(kind: ErrorKind) -> iotda_status_t {
    match kind {
        ErrorKind::InvalidArgument => IOTDA_E_INVALID_ARGUMENT,
        ErrorKind::TooLarge => IOTDA_E_TOO_LARGE,
        ErrorKind::Config => IOTDA_E_CONFIG,
        ErrorKind::Dns => IOTDA_E_DNS,
        ErrorKind::Connect => IOTDA_E_CONNECT,
        ErrorKind::Tls => IOTDA_E_TLS,
        ErrorKind::Clock => IOTDA_E_CLOCK,
        ErrorKind::Timeout => IOTDA_E_TIMEOUT,
        ErrorKind::Cancelled => IOTDA_E_CANCELLED,
        ErrorKind::AuthFailed => IOTDA_E_AUTH_FAILED,
        ErrorKind::TokenRejected => IOTDA_E_TOKEN_REJECTED,
        ErrorKind::RateLimited => IOTDA_E_RATE_LIMITED,
        ErrorKind::UnknownChild => IOTDA_E_UNKNOWN_CHILD,
        ErrorKind::Rejected => IOTDA_E_REJECTED,
        ErrorKind::Server => IOTDA_E_SERVER,
        ErrorKind::Protocol => IOTDA_E_PROTOCOL,
        ErrorKind::Partial => IOTDA_E_PARTIAL,
        ErrorKind::Storage => IOTDA_E_STORAGE,
        ErrorKind::Forked => IOTDA_E_FORKED,
        // A kind that this crate does not know yet would be a fault of the build.
        ErrorKind::Internal | _ => IOTDA_E_INTERNAL,
    }
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
        let numbers: Vec<_> = TABLE.iter().take(21).map(|row| row.0).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 20, 21, 22, 23, 24, 25, 40, 41, 42, 43, 44, 45, 46, 47, 60, 61, 62]);
    }

    #[test]
    fn every_number_has_a_name_and_a_sentence() {
        assert_eq!(text(iotda_status_name(42)), "IOTDA_E_RATE_LIMITED");
        assert_eq!(text(iotda_status_name(0)), "IOTDA_OK");
        for number in [-1, 4, 1000, i32::MIN, i32::MAX] {
            assert_eq!(text(iotda_status_name(number)), "IOTDA_E_UNKNOWN");
        }
        for row in &TABLE {
            assert!(text(iotda_status_text(row.0)).ends_with('.'));
        }
    }
}
