//! `iotda_log_t`: a log that the program supplies, and its setter.

use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;

use iotda::{Level, Log};

use crate::config::{self, iotda_config_t};
use crate::failures::{Change, Setting};
use crate::outcome::Stop;
use crate::status::iotda_status_t;
use crate::user_data::{UserData, iotda_destroy_t};

/// Receives one log line: UTF-8, without an end of line. level is one of the IOTDA_LOG_ constants.
pub type iotda_log_t = Option<unsafe extern "C" fn(user_data: *mut c_void, level: i32, message: *const c_char)>;

/// A call fails.
pub const IOTDA_LOG_ERROR: i32 = 1;
/// An attempt failed and is retried, or a limit was reached.
pub const IOTDA_LOG_WARNING: i32 = 2;
/// Connections and authentications.
pub const IOTDA_LOG_INFO: i32 = 3;
/// Each request.
pub const IOTDA_LOG_DEBUG: i32 = 4;

/// Receives log lines up to level. No line holds a secret, a password or a token. NULL (default): no log; the library
/// then writes nothing, anywhere.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_log(
    config: *mut iotda_config_t,
    level: i32,
    log: iotda_log_t,
    user_data: *mut c_void,
    destroy: iotda_destroy_t,
) -> iotda_status_t {
    let user_data = UserData::new(user_data, destroy);
    let set = move |config: &mut iotda_config_t| {
        let Some(log) = log else {
            config.log = None;
            config.core.no_log();
            return Ok(());
        };
        let level = self::level(level)
            .ok_or_else(|| Stop::Argument(format!("pass one of the IOTDA_LOG_ constants as level: it is {level}")))?;
        let log = Arc::new(ProgramLog { log, user_data });
        config.log = Some(Arc::clone(&log));
        config.core.log(level, log);
        Ok(())
    };
    // SAFETY: the promise "handles".
    unsafe { config::setter(config, Change::set(Setting::Log, "iotda_config_set_log"), set) }
}

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

#[cfg(test)]
mod tests {
    use std::ffi::CStr;
    use std::ptr;

    use super::*;

    #[test]
    fn levels_have_the_numbers_of_the_header() {
        for number in IOTDA_LOG_ERROR..=IOTDA_LOG_DEBUG {
            assert_eq!(level(number).map(super::number), Some(number));
        }
        assert_eq!(level(IOTDA_LOG_WARNING), Some(Level::Warning));
        assert_eq!([0, 5, -1].map(level), [None; 3]);
    }

    /// Keeps a line in the `Vec` that `user_data` points to.
    unsafe extern "C" fn keep(user_data: *mut c_void, level: i32, message: *const c_char) {
        // SAFETY: the test passes the address of a `Vec`, which nothing else uses meanwhile, and the text is terminated.
        let (lines, text) = unsafe { (&mut *user_data.cast::<Vec<(i32, String)>>(), CStr::from_ptr(message)) };
        lines.push((level, text.to_str().unwrap().to_owned()));
    }

    #[test]
    fn a_line_comes_with_its_level_and_ends_at_a_zero_byte() {
        let mut lines: Vec<(i32, String)> = Vec::new();
        let log = ProgramLog { log: keep, user_data: UserData::new(ptr::from_mut(&mut lines).cast(), None) };
        log.log(Level::Info, "connected");
        log.log(Level::Error, "an odd\0answer");
        drop(log);
        assert_eq!(lines, [(IOTDA_LOG_INFO, "connected".to_owned()), (IOTDA_LOG_ERROR, "an odd".to_owned())]);
    }
}
