//! Functions of the program that the library calls: the clock and the log.

use std::ffi::{CString, c_char, c_void};
use std::fmt;

use iotda::{Clock, Level, Log};

/// Releases what a callback's user_data points to, once nothing uses it any more. NULL: nothing to release.
pub type iotda_destroy_t = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// Tells the time: milliseconds since 1970-01-01T00:00:00Z, UTC.
pub type iotda_clock_t = Option<unsafe extern "C" fn(user_data: *mut c_void) -> i64>;

/// Receives one log line: terminated UTF-8, without an end of line, valid during the call alone. level is one of
/// the IOTDA_LOG_ constants.
pub type iotda_log_t = Option<unsafe extern "C" fn(user_data: *mut c_void, level: i32, message: *const c_char)>;

/// A call fails.
pub const IOTDA_LOG_ERROR: i32 = 1;
/// Something went wrong and is being mended: an attempt failed, a limit was met.
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

/// What a callback is given; destroyed with the last client that uses it.
pub(crate) struct UserData {
    pointer: *mut c_void,
    destroy: iotda_destroy_t,
}

// SAFETY: the header demands of the program that its callbacks can be called from any thread.
unsafe impl Send for UserData {}
// SAFETY: as above, from several threads at the same time.
unsafe impl Sync for UserData {}

impl UserData {
    pub(crate) fn new(pointer: *mut c_void, destroy: iotda_destroy_t) -> Self {
        UserData { pointer, destroy }
    }

    pub(crate) fn pointer(&self) -> *mut c_void {
        self.pointer
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(destroy) = self.destroy {
            // SAFETY: the program gave this function for this pointer, and it is called once.
            unsafe { destroy(self.pointer) };
        }
    }
}

impl fmt::Debug for UserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserData")
    }
}

/// A clock of the program's.
#[derive(Debug)]
pub(crate) struct ProgramClock {
    pub(crate) unix_ms: unsafe extern "C" fn(*mut c_void) -> i64,
    pub(crate) user_data: UserData,
}

impl Clock for ProgramClock {
    fn unix_ms(&self) -> i64 {
        // SAFETY: the program gave this function for this pointer, callable from any thread.
        unsafe { (self.unix_ms)(self.user_data.pointer) }
    }
}

/// A log of the program's.
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
        // SAFETY: the program gave this function for this pointer, callable from any thread; the line is
        // terminated and lives for the call.
        unsafe { (self.log)(self.user_data.pointer, number(level), line.as_ptr()) };
    }
}
