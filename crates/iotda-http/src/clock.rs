//! Where the time comes from. The client never asks the system directly: a device that gets its time
//! elsewhere, and a test, pass a clock of their own.

use std::fmt::Debug;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The two times that a client needs.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Unix time in milliseconds, UTC: signs authentications and checks certificates. It may jump.
    fn unix_ms(&self) -> i64;

    /// Time since a fixed moment, never set back: tokens expire by it.
    fn monotonic(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn unix_ms(&self) -> i64 {
        // A clock before 1970 is as unset as one in 1970.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}
