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

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    unsafe extern "C" fn read(user_data: *mut c_void) -> i64 {
        // SAFETY: the test passes the address of a number.
        unsafe { *user_data.cast::<i64>() }
    }

    #[test]
    fn the_time_is_what_the_program_says() {
        let mut time = 1_800_000_000_123_i64;
        let clock = ProgramClock { unix_ms: read, user_data: UserData::new(ptr::from_mut(&mut time).cast(), None) };
        assert_eq!(clock.unix_ms(), 1_800_000_000_123);
    }
}
