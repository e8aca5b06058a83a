//! `iotda_clock_t`: a clock that the program supplies.

use std::ffi::c_void;

use iotda::Clock;

use crate::user_data::UserData;

/// Returns the current time in milliseconds since 1970-01-01T00:00:00Z, UTC.
pub type iotda_clock_t = Option<unsafe extern "C" fn(user_data: *mut c_void) -> i64>;

/// The clock callback with its data.
#[derive(Debug)]
pub(crate) struct ProgramClock {
    pub(crate) unix_ms: unsafe extern "C" fn(*mut c_void) -> i64,
    pub(crate) user_data: UserData,
}

impl Clock for ProgramClock {
    fn unix_ms(&self) -> i64 {
        // SAFETY: the promise "callbacks".
        unsafe { (self.unix_ms)(self.user_data.pointer()) }
    }
}
