//! How many units are sent in a second, counted without a lock: every report passes here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Units of the present second and of the one before, each beside the second's number. Two threads that meet at the
/// turn of a second may lose a count; what it is for, the rate at which a limit was met, is an estimate anyway.
#[derive(Default)]
pub(super) struct Sending {
    present: AtomicU64,
    before: AtomicU64,
}

impl Sending {
    /// `units` are sent `now`.
    pub(super) fn count(&self, now: Duration, units: f64) {
        let second = (now.as_secs() << 32) | units as u64;
        let seen = self.present.load(Ordering::Relaxed);
        if seen >> 32 == second >> 32 {
            self.present.fetch_add(units as u64, Ordering::Relaxed);
        } else {
            self.before.store(seen, Ordering::Relaxed);
            self.present.store(second, Ordering::Relaxed);
        }
    }

    /// The units of the fuller one of the last two seconds in which something was sent, if they follow one another.
    pub(super) fn rate(&self) -> f64 {
        let (present, before) = (self.present.load(Ordering::Relaxed), self.before.load(Ordering::Relaxed));
        let units = |counted: u64| counted & u64::from(u32::MAX);
        let follows = (before >> 32) + 1 == present >> 32;
        units(present).max(if follows { units(before) } else { 0 }) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuller_of_two_seconds_counts() {
        let sending = Sending::default();
        assert_eq!(sending.rate(), 0.0);
        let count = |ms: u64, units| sending.count(Duration::from_millis(ms), units);
        (0..7).for_each(|index| count(5_000 + index, 2.0));
        assert_eq!(sending.rate(), 14.0);
        count(6_000, 3.0);
        assert_eq!(sending.rate(), 14.0);
        count(7_999, 4.0);
        assert_eq!(sending.rate(), 4.0);
        // A pause in between: what was before it says nothing.
        count(9_000, 1.0);
        assert_eq!(sending.rate(), 1.0);
    }
}
