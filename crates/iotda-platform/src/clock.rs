//! The platform's clock: it runs beside the machine's until it is moved, and it can be stopped, so that a test moves
//! time instead of waiting for it. What the time is written as belongs to `calendar`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The years that the protocol's four digits can write, in Unix milliseconds.
const EARLIEST_MS: i64 = -62_167_219_200_000;
const LATEST_MS: i64 = 253_402_300_799_999;

#[derive(Debug)]
pub(crate) struct Clock(Mutex<Reading>);

#[derive(Clone, Copy, Debug)]
enum Reading {
    /// This many milliseconds ahead of the machine's clock.
    Running {
        ahead_ms: i64,
    },
    Stopped {
        now_ms: i64,
    },
}

impl Clock {
    /// A clock that shows the machine's time.
    pub(crate) fn running() -> Self {
        Self(Mutex::new(Reading::Running { ahead_ms: 0 }))
    }

    /// A clock that stands at `at` until it is moved.
    pub(crate) fn stopped(at: SystemTime) -> Self {
        Self(Mutex::new(Reading::Stopped { now_ms: unix_ms(at) }))
    }

    /// Unix milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        self.change(|_| {})
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.change(|now_ms| *now_ms = now_ms.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)));
    }

    /// Sets the time. A running clock goes on running from there.
    pub(crate) fn set(&self, to: SystemTime) {
        self.change(|now_ms| *now_ms = unix_ms(to));
    }

    pub(crate) fn is_stopped(&self) -> bool {
        matches!(*self.0.lock().unwrap_or_else(PoisonError::into_inner), Reading::Stopped { .. })
    }

    /// Stops the clock where it is.
    pub(crate) fn stop(&self) {
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *reading = Reading::Stopped { now_ms: reading.now_ms() };
    }

    fn change(&self, change: impl FnOnce(&mut i64)) -> i64 {
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = reading.now_ms();
        let mut now_ms = before;
        change(&mut now_ms);
        let now_ms = now_ms.clamp(EARLIEST_MS, LATEST_MS);
        match &mut *reading {
            Reading::Running { ahead_ms } => *ahead_ms += now_ms - before,
            Reading::Stopped { now_ms: at } => *at = now_ms,
        }
        now_ms
    }
}

impl Reading {
    fn now_ms(self) -> i64 {
        match self {
            Reading::Running { ahead_ms } => unix_ms(SystemTime::now()) + ahead_ms,
            Reading::Stopped { now_ms } => now_ms,
        }
    }
}

/// Milliseconds since 1970, held within the years that the protocol can write.
fn unix_ms(at: SystemTime) -> i64 {
    let ms = |length: Duration| i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    match at.duration_since(UNIX_EPOCH) {
        Ok(since) => ms(since),
        Err(before) => -ms(before.duration()),
    }
    .clamp(EARLIEST_MS, LATEST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_clock_moves_only_when_moved() {
        let clock = Clock::stopped(UNIX_EPOCH + Duration::from_millis(5_000));
        assert_eq!(clock.now_ms(), 5_000);
        clock.advance(Duration::from_millis(250));
        assert_eq!(clock.now_ms(), 5_250);
        clock.set(UNIX_EPOCH);
        assert_eq!(clock.now_ms(), 0);
    }

    #[test]
    fn a_running_clock_keeps_what_it_was_moved_by() {
        let clock = Clock::running();
        let before = clock.now_ms();
        clock.advance(Duration::from_secs(80_000));
        clock.advance(Duration::from_secs(6_400));
        assert!(clock.now_ms() >= before + 86_400_000);
        clock.stop();
        assert_eq!(clock.now_ms(), clock.now_ms());
    }

    #[test]
    fn time_stays_within_four_digit_years() {
        let clock = Clock::stopped(UNIX_EPOCH);
        clock.advance(Duration::MAX);
        assert_eq!(clock.now_ms(), LATEST_MS);
    }
}
