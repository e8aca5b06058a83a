//! `iotda_clock_t`: a clock that the program supplies, and its setter.

use std::ffi::c_void;
use std::sync::Arc;

use iotda::{Clock, SystemClock};

use crate::config::iotda_config_t;
use crate::outcome::Outcome;
use crate::status::iotda_status_t;
use crate::user_data::{UserData, iotda_destroy_t};

/// Returns the current Unix time in milliseconds.
pub type iotda_clock_t = Option<unsafe extern "C" fn(user_data: *mut c_void) -> i64>;

/// Where the time comes from, for a device that gets it elsewhere than from its system. NULL (default): the system's
/// clock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_config_set_clock(
    config: *mut iotda_config_t,
    unix_ms: iotda_clock_t,
    user_data: *mut c_void,
    destroy: iotda_destroy_t,
) -> iotda_status_t {
    let user_data = UserData::new(user_data, destroy);
    setter!(config.set(Clock), "iotda_config_set_clock", |core| {
        Outcome::Ok(core.clock(match unix_ms {
            Some(unix_ms) => Arc::new(ProgramClock { unix_ms, user_data }),
            None => Arc::new(SystemClock),
        }))
    })
}

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
