//! The pace of reports: how long to wait before the next one so that a rate limit is not met, or not met
//! again. A function of time and of what the platform answered; nothing here waits.
//!
//! Without a known rate nothing is held back until the platform refuses a report. Then the rate is halved
//! (multiplicative decrease), and with each second's worth of accepted reports raised by one report per
//! second (additive increase). With a known rate, that rate is never passed.
//!
//! The unit is the platform's: a report counts once per started 4 KB (protocol notes, "Platform facts").

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What one unit of the platform's count holds.
const UNIT: usize = 4096;

/// The slowest pace: one unit in five seconds.
const SLOWEST: f64 = 0.2;

/// Refusals that come together were caused together: the rate is halved once in this time.
const DECREASE_PAUSE: Duration = Duration::from_secs(1);

/// The pace of one device, or of all devices of a platform.
#[derive(Debug)]
pub(crate) struct Pace {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Units per second; `None`: not held back.
    rate: Option<f64>,
    /// The known rate, if the program gave one.
    ceiling: Option<f64>,
    /// When the next unit may be sent.
    next: Duration,
    decreased: Option<Duration>,
    /// Units sent in the second that began at `second`, to know the rate at which a limit was met.
    second: Duration,
    sent: f64,
    sent_before: f64,
}

impl Pace {
    /// `known`: the platform's rate in units per second, where the program knows it.
    pub(crate) fn new(known: Option<f64>) -> Self {
        Pace {
            state: Mutex::new(State {
                rate: known,
                ceiling: known,
                next: Duration::ZERO,
                decreased: None,
                second: Duration::ZERO,
                sent: 0.0,
                sent_before: 0.0,
            }),
        }
    }

    /// How long to wait before a report of `units` is sent; the place is taken. `Err`: the wait would be
    /// longer than `longest`, which is only asked for if there is a wait, and no place was taken.
    pub(crate) fn reserve(
        &self,
        now: Duration,
        units: f64,
        longest: impl FnOnce() -> Duration,
    ) -> Result<Duration, Duration> {
        let mut state = self.lock();
        let Some(rate) = state.rate else {
            state.count(now, units);
            return Ok(Duration::ZERO);
        };
        let wait = state.next.saturating_sub(now);
        if !wait.is_zero() && wait > longest() {
            return Err(wait);
        }
        state.next = state.next.max(now) + seconds(units / rate);
        state.count(now, units);
        Ok(wait)
    }

    /// The platform refused a report because of its rate.
    pub(crate) fn limited(&self, now: Duration) {
        let mut state = self.lock();
        if state.decreased.is_some_and(|decreased| now.saturating_sub(decreased) < DECREASE_PAUSE) {
            return;
        }
        state.decreased = Some(now);
        let met_at = state.rate.unwrap_or_else(|| state.sent.max(state.sent_before).max(1.0));
        let rate = (met_at / 2.0).max(SLOWEST);
        state.rate = Some(rate);
        state.next = state.next.max(now + seconds(1.0 / rate));
    }

    /// The platform accepted a report of `units`.
    pub(crate) fn accepted(&self, units: f64) {
        let mut state = self.lock();
        if let Some(rate) = state.rate {
            let raised = rate + units / rate;
            state.rate = Some(state.ceiling.map_or(raised, |ceiling| raised.min(ceiling)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, now: Duration, units: f64) {
        let since = now.saturating_sub(self.second);
        if since >= Duration::from_secs(1) {
            self.sent_before = if since < Duration::from_secs(2) { self.sent } else { 0.0 };
            self.sent = 0.0;
            self.second = now;
        }
        self.sent += units;
    }
}

/// How often the platform counts a report of `bytes`.
pub(crate) fn units(bytes: usize) -> f64 {
    bytes.div_ceil(UNIT).max(1) as f64
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_report_counts_once_per_started_4_kb() {
        for (bytes, expected) in [(0, 1.0), (1, 1.0), (4096, 1.0), (4097, 2.0), (1_000_000, 245.0)] {
            assert_eq!(units(bytes), expected);
        }
    }

    #[test]
    fn nothing_is_held_back_before_a_limit_is_met() {
        let pace = Pace::new(None);
        for _ in 0..1000 {
            assert_eq!(pace.reserve(at(5), 1.0, || Duration::ZERO), Ok(Duration::ZERO));
        }
    }

    #[test]
    fn a_known_rate_spaces_reports() {
        let pace = Pace::new(Some(10.0));
        let waits: Vec<_> = (0..4).map(|_| pace.reserve(at(1000), 1.0, || LONG).unwrap().as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 300]);
        // A large report takes the places of several.
        assert_eq!(pace.reserve(at(1400), 5.0, || LONG), Ok(Duration::ZERO));
        assert_eq!(pace.reserve(at(1400), 1.0, || LONG), Ok(at(500)));
    }

    #[test]
    fn a_place_that_comes_too_late_is_not_taken() {
        let pace = Pace::new(Some(1.0));
        pace.reserve(at(0), 1.0, || LONG).unwrap();
        for _ in 0..3 {
            assert_eq!(pace.reserve(at(0), 1.0, || at(999)), Err(at(1000)));
        }
        assert_eq!(pace.reserve(at(0), 1.0, || at(1000)), Ok(at(1000)));
    }

    #[test]
    fn a_limit_halves_the_rate_at_which_it_was_met_and_success_raises_it() {
        let pace = Pace::new(None);
        for _ in 0..20 {
            pace.reserve(at(100), 1.0, || LONG).unwrap();
        }
        // Fifty refusals at once are one.
        for _ in 0..50 {
            pace.limited(at(200));
        }
        assert_eq!(pace.reserve(at(200), 1.0, || LONG), Ok(at(100)), "10 a second");
        for _ in 0..10 {
            pace.accepted(1.0);
        }
        let rate = pace.lock().rate.unwrap();
        assert!((10.9..=11.0).contains(&rate), "{rate}");
        pace.limited(at(5000));
        assert!(pace.lock().rate.unwrap() < 5.6);
    }

    #[test]
    fn a_known_rate_is_never_passed_and_the_slowest_never_stops() {
        let pace = Pace::new(Some(2.0));
        pace.accepted(100.0);
        assert_eq!(pace.lock().rate, Some(2.0));
        for second in 0..20 {
            pace.limited(Duration::from_secs(second * 10));
        }
        assert_eq!(pace.lock().rate, Some(SLOWEST));
    }
}
