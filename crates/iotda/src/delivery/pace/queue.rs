//! The order in which reports get their turn: first come, first served, at a rate that may change meanwhile.
//!
//! Everything is counted in units, not in time. Places follow each other on a line; the units that are due move along
//! it at the rate. What was reserved is therefore priced anew whenever the rate changes.

use std::time::Duration;

/// Seconds: the most that reports that were sent hold back the next one, where the rate is an estimate. The largest
/// report (256 units) takes 26 s at the smallest rate that is published, 10 units per second (protocol notes,
/// "Platform facts"): an estimate by which it takes longer is more probably wrong.
pub(super) const LONGEST_CHARGE: f64 = 30.0;

/// Seconds that a report may be late without holding back those behind it: threads do not wake at the very moment, and
/// what they lose each time would be lost for the rate.
const LATE: f64 = 0.05;

/// Waits below this are over, seconds: rounding, not waiting.
const NOTHING: f64 = 1e-6;

#[derive(Default)]
pub(super) struct Queue {
    /// Time up to which `due` is counted.
    at: Duration,
    /// Nothing is due before.
    held_until: Duration,
    /// Up to here on the line, reports may be sent.
    due: f64,
    /// The end of the line.
    end: f64,
    /// The end of the last place that was used.
    sent: f64,
    /// Places that were given back before others, in the order of the line.
    gaps: Vec<Gap>,
}

struct Gap {
    start: f64,
    end: f64,
    /// Given back after `at`: until the next look, time passes as if it had not been.
    fresh: bool,
}

/// A place on the line.
#[derive(Clone, Copy)]
pub(super) struct Stretch {
    pub(super) start: f64,
    pub(super) units: f64,
}

impl Queue {
    /// Counts what has become due until `now`. `rate` in units per second; `estimated`: no known rate.
    pub(super) fn advance(&mut self, now: Duration, rate: f64, estimated: bool) {
        let from = self.at.max(self.held_until);
        self.due = self.due_if_held(now.min(self.held_until), rate);
        self.at = self.at.max(now);
        if estimated {
            self.due = self.due.max(self.sent - longest_charge(rate));
        }
        let mut left = now.saturating_sub(from).as_secs_f64() * rate;
        for gap in self.gaps.iter().take_while(|gap| !gap.fresh) {
            let before = (gap.start - self.due).max(0.0);
            if before > left {
                break;
            }
            left -= before;
            self.due = self.due.max(gap.end);
        }
        self.due += left;
        for gap in &mut self.gaps {
            gap.fresh = false;
            if gap.start <= self.due {
                self.due = self.due.max(gap.end);
            }
        }
        let due = self.due;
        self.gaps.retain(|gap| gap.start > due);
        // No credit: what nobody asked for in its time is not made up for.
        self.due = due.min(self.end);
    }

    /// Makes nothing due before `until`.
    pub(super) fn hold(&mut self, until: Duration) {
        self.held_until = self.held_until.max(until);
    }

    /// How long a place that starts at `start` has to wait, counted from the last `advance`.
    pub(super) fn wait(&self, start: f64, rate: f64) -> Duration {
        let given_back: f64 =
            self.gaps.iter().take_while(|gap| gap.start < start).map(|gap| gap.end.min(start) - gap.start).sum();
        let held = self.held_until.saturating_sub(self.at);
        let ahead = (start - self.due_if_held(self.held_until, rate) - given_back) / rate;
        if ahead < NOTHING { held } else { held.saturating_add(seconds(ahead)) }
    }

    /// What is due at `until`, where nothing may be sent before: what was sent is paid for meanwhile, and no more, so
    /// that those who wait do not go together when the hold ends.
    fn due_if_held(&self, until: Duration, rate: f64) -> f64 {
        let paid = self.due + until.saturating_sub(self.at).as_secs_f64() * rate;
        self.due.max(paid.min(self.sent))
    }

    /// The end of the line, where the next place starts.
    pub(super) fn end(&self) -> f64 {
        self.end
    }

    /// Takes the place at the end of the line.
    pub(super) fn take(&mut self, units: f64, rate: f64, estimated: bool) -> Stretch {
        let units = if estimated { units.min(longest_charge(rate)) } else { units };
        let place = Stretch { start: self.end, units };
        self.end += units;
        place
    }

    /// A report was sent in its place. Was it late, then so are those behind it: they do not follow at once.
    pub(super) fn used(&mut self, place: Stretch, rate: f64) {
        let mut due = place.start + rate * LATE;
        if place.start < self.sent {
            // Those that overtook it were counted in their own turn.
            due = due.max(self.due - place.units);
        }
        self.due = self.due.min(due);
        self.sent = self.sent.max(place.start + place.units);
    }

    /// Nothing will be sent in `place`: those behind it move up.
    pub(super) fn give_back(&mut self, place: Stretch) {
        let (start, end) = (place.start.max(self.due), place.start + place.units);
        if end >= self.end {
            self.end = start;
            while let Some(gap) = self.gaps.last().filter(|gap| gap.end >= self.end) {
                self.end = gap.start;
                self.gaps.pop();
            }
            return;
        }
        if start >= end {
            return;
        }
        let index = self.gaps.partition_point(|gap| gap.start < start);
        self.gaps.insert(index, Gap { start, end, fresh: true });
    }
}

/// What one report holds back at most, in units: never less than one.
fn longest_charge(rate: f64) -> f64 {
    (rate * LONGEST_CHARGE).max(1.0)
}

pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 4)
}
