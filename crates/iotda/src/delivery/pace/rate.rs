//! The estimate of the rate that the platform takes. A function of what was accepted and refused; time and places are
//! [`super`]'s.
//!
//! After a refusal the rate falls (multiplicative decrease) and returns along a cubic curve to the last rate that was
//! good, as TCP CUBIC's window does (RFC 9438): most of the way within [`RECOVERY`]. It stays there, since that rate is
//! known to be near the limit, and then probes for a higher one, slowly first. Each time that a probe meets the limit
//! where it was, the next one comes later.
//!
//! The curve runs on *use*, not on time: a second is a second's worth of accepted units. A program that sends little
//! proves nothing about a higher rate, and does not raise it.

/// The slowest pace, in units per second: one unit in five seconds. A refusal alone never makes it slower, so that a
/// limit that others use up does not stop this process for ever.
pub(super) const SLOWEST: f64 = 0.2;

/// Units per second: ten times what the largest instance takes (protocol notes, "Platform facts"). Bounds the growth.
const FASTEST: f64 = 1_000_000.0;

/// What remains of the rate after a refusal: CUBIC's factor (RFC 9438, section 4.6). The last good rate returns in
/// seconds, so a smaller one would gain nothing.
const DECREASE: f64 = 0.7;

/// The same for a refusal on the way back: the decrease before it was not enough.
const DECREASE_AGAIN: f64 = 0.5;

/// Seconds of use from a decrease until the last good rate is reached. Three quarters of the loss are made good in the
/// first 2.2 s.
const RECOVERY: f64 = 6.0;

/// What is taken for good, as a share of the rate at which a limit was met: a little less.
const GOOD: f64 = 0.97;

/// The same where the rate had not been proven before: the limit may have been met late, with the platform's allowance
/// for bursts (often one second's worth) used up first.
const GOOD_IF_UNPROVEN: f64 = 0.9;

/// The same for the rate to which a probe came. A limiter that allows one second's worth as a burst refuses a probe at
/// 1.22 times its rate; 0.8 of that is just below the limit.
const GOOD_OF_PROBE: f64 = 0.8;

/// Seconds of use from a decrease until the first probe. A rate that lasts so long is proven.
const FIRST_PROBE: f64 = 20.0;

/// Each time that a probe confirms the limit, the time from the decrease to the next doubles, in seconds of use, up to as
/// many as the rate has units: an increase of one unit per second from half of the rate, halved at each refusal, would
/// meet the limit twice in that time. These are the bounds of that longest time.
const CONFIRMED_PROBE: (f64, f64) = (60.0, 1800.0);

/// Seconds of use in which a probe doubles the rate.
const PROBE_DOUBLES: f64 = 30.0;

/// Seconds of use without which a decreased rate has shown nothing.
const PROOF: f64 = 1.0;

/// After this many refusals on the way back, it was no limit of the kind that a probe finds but a time in which
/// nothing passed: no pause before the probe, and a steep one.
const OUTAGE: u32 = 3;

/// As [`PROBE_DOUBLES`] and [`GOOD_OF_PROBE`], after an outage. The steep probe passes the limit by more.
const STEEP_PROBE_DOUBLES: f64 = 5.0;
const GOOD_OF_STEEP_PROBE: f64 = 0.5;

/// Seconds of use for which a limit that the platform named is not passed. It may be raised after that.
const NAMED_HOLDS: f64 = 600.0;

/// One accepted report counts for this many seconds of use at most.
pub(super) const MOST_USE: f64 = 30.0;

/// The rate in units per second, as far as it is known or was learned.
pub(super) struct Rate {
    known: Option<f64>,
    climb: Option<Climb>,
}

/// The way back after a decrease.
#[derive(Clone, Copy)]
struct Climb {
    rate: f64,
    /// The rate right after the decrease.
    low: f64,
    /// The last good rate.
    good: f64,
    /// `good` was held for [`FIRST_PROBE`] before.
    proven: bool,
    /// Seconds of use since the decrease.
    used: f64,
    /// When the probe begins, on the same clock.
    probe: f64,
    /// Refusals on the way back, one after the other.
    falls: u32,
    /// The limit that the platform named.
    named: Option<f64>,
}

impl Rate {
    /// `known`: the platform's rate, where the program knows it. It is never passed.
    pub(super) fn new(known: Option<f64>) -> Self {
        Rate { known, climb: None }
    }

    /// `None`: no limit is known and none was met.
    pub(super) fn current(&self) -> Option<f64> {
        self.climb.map(|climb| climb.rate).or(self.known)
    }

    /// Whether the program gave the rate: then no unit is left out of the count.
    pub(super) fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// A report of `units` was accepted that was sent at the current rate.
    pub(super) fn accepted(&mut self, units: f64) {
        let most = self.most();
        let Some(climb) = &mut self.climb else { return };
        climb.used += (units / climb.rate).min(MOST_USE);
        if climb.used >= NAMED_HOLDS {
            climb.named = None;
        }
        let most = climb.named.map_or(most, |named| named.min(most));
        // One report, however long it was waited for, proves no more than the double.
        climb.rate = climb.curve().min(climb.rate * 2.0).min(most);
    }

    /// A report was refused while `sending` units per second were sent. `limit`: what the platform named.
    pub(super) fn refused(&mut self, sending: f64, limit: Option<f64>) {
        let floor = SLOWEST.min(self.most());
        let limit = limit.filter(|limit| limit.is_finite() && *limit > 0.0).map(|limit| limit.max(floor));
        // A program that sends less than it may meets a limit that others use up: its own share is what it sent. But
        // one refusal takes no more than half: the count of one second is a poor measure of little traffic.
        let met = match self.current() {
            Some(rate) => sending.clamp(rate / 2.0, rate),
            None => sending.max(1.0),
        };
        let mut next = match self.climb {
            None => Climb { good: met * GOOD, ..Climb::first(met * DECREASE) },
            Some(climb) => climb.refused(met),
        };
        next.named = limit.or(next.named);
        let most = next.named.map_or(self.most(), |named| named.min(self.most()));
        next.good = next.good.min(most * GOOD).max(floor);
        next.low = next.low.min(next.good * DECREASE).max(floor);
        next.rate = next.low;
        self.climb = Some(next);
    }

    fn most(&self) -> f64 {
        self.known.unwrap_or(FASTEST)
    }
}

impl Climb {
    fn first(low: f64) -> Self {
        Climb { rate: low, low, good: low, proven: false, used: 0.0, probe: FIRST_PROBE, falls: 0, named: None }
    }

    /// The way back after one more refusal, at the rate `met`.
    fn refused(self, met: f64) -> Self {
        let again = Climb { named: self.named, ..Climb::first(met * DECREASE) };
        // At the slowest rate there may be no way back left, and still nothing passes.
        if self.rate < self.good * GOOD || self.used < PROOF {
            // What a first refusal on the way back says of the good rate is not clear; the second makes it so.
            let falls = self.falls + 1;
            let good = if falls > 1 { met * GOOD_IF_UNPROVEN } else { self.good };
            let probe = if falls < OUTAGE { FIRST_PROBE } else { RECOVERY };
            return Climb { good, falls, probe, low: met * DECREASE_AGAIN, proven: self.proven, ..again };
        }
        let proven = self.proven || self.used >= FIRST_PROBE;
        if self.used < self.probe {
            return Climb { good: self.good.min(met) * if proven { GOOD } else { GOOD_IF_UNPROVEN }, ..again };
        }
        let found = met * if self.is_steep() { GOOD_OF_STEEP_PROBE } else { GOOD_OF_PROBE };
        if found > self.good {
            return Climb { good: found, ..again };
        }
        let (soonest, latest) = CONFIRMED_PROBE;
        let probe = (self.probe * 2.0).clamp(FIRST_PROBE, self.good.clamp(soonest, latest));
        Climb { good: self.good, proven, probe, low: self.good * DECREASE, ..again }
    }

    fn is_steep(&self) -> bool {
        self.falls >= OUTAGE
    }

    /// The rate after `used` seconds.
    fn curve(&self) -> f64 {
        if self.used < RECOVERY {
            return self.good - (self.good - self.low) * (1.0 - self.used / RECOVERY).powi(3);
        }
        let doubles = if self.is_steep() { STEEP_PROBE_DOUBLES } else { PROBE_DOUBLES };
        self.good * (1.0 + ((self.used - self.probe).max(0.0) / doubles).powi(3))
    }
}

#[cfg(test)]
mod tests;
