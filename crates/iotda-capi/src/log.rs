//! `iotda_log_t`: a log that the program supplies.

use std::ffi::{CString, c_char, c_void};

use iotda::{Level, Log};

use crate::user_data::UserData;

/// Receives one log line: terminated UTF-8, without an end of line, valid during the call alone. level is one of
/// the IOTDA_LOG_ constants.
pub type iotda_log_t = Option<unsafe extern "C" fn(user_data: *mut c_void, level: i32, message: *const c_char)>;

/// A call fails.
pub const IOTDA_LOG_ERROR: i32 = 1;
/// An attempt failed and is retried, or a limit was reached.
pub const IOTDA_LOG_WARNING: i32 = 2;
/// Connections and authentications.
pub const IOTDA_LOG_INFO: i32 = 3;
/// Each request.
pub const IOTDA_LOG_DEBUG: i32 = 4;

/// A level by its number.
pub(crate) fn level(number: i32) -> Option<Level> {
    Some(match number {
        IOTDA_LOG_ERROR => Level::Error,
        IOTDA_LOG_WARNING => Level::Warning,
        IOTDA_LOG_INFO => Level::Info,
        IOTDA_LOG_DEBUG => Level::Debug,
        _ => return None,
    })
}

fn number(level: Level) -> i32 {
    match level {
        Level::Error => IOTDA_LOG_ERROR,
        Level::Warning => IOTDA_LOG_WARNING,
        Level::Info => IOTDA_LOG_INFO,
        Level::Debug => IOTDA_LOG_DEBUG,
    }
}

/// The log callback with its data.
#[derive(Debug)]
pub(crate) struct ProgramLog {
    pub(crate) log: unsafe extern "C" fn(*mut c_void, i32, *const c_char),
    pub(crate) user_data: UserData,
}

impl Log for ProgramLog {
    fn log(&self, level: Level, message: &str) {
        // A line with a zero byte in it, from an odd answer, ends there.
        let line = CString::new(message).unwrap_or_else(|error| {
            let end = error.nul_position();
            CString::new(&message.as_bytes()[..end]).unwrap_or_default()
        });
        // SAFETY: the promise "callbacks"; the line is terminated and lives for the call.
        unsafe { (self.log)(self.user_data.pointer(), number(level), line.as_ptr()) };
    }
}
