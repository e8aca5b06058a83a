//! What a stream has done so far, for who looks on: counters that every thread may add to, and what is said of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

/// The counters.
#[derive(Debug, Default)]
pub struct Counts {
    /// Lines that were read.
    pub lines: Count,
    /// Reports that the platform accepted.
    pub accepted: Count,
    /// Reports and lines that were refused for good.
    pub refused: Count,
    /// Reports that wait in the outbox.
    pub waiting: Count,
    /// When the oldest of them was put there, in Unix seconds; 0: none waits.
    pub oldest_s: Count,
    /// Attempts after a failure.
    pub retries: Count,
}

/// One of them.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counts {
    fn refused(&self) -> (u64, &'static str) {
        (self.refused.get(), "refused")
    }

    fn retries(&self) -> (u64, &'static str) {
        let retries = self.retries.get();
        (retries, if retries == 1 { "retry" } else { "retries" })
    }

    fn waiting(&self) -> (u64, &'static str) {
        (self.waiting.get(), "waiting")
    }

    /// While it goes on. `per_second` is of late.
    pub fn progress(&self, per_second: f64, now_s: u64) -> String {
        let mut text = format!("{} accepted, {per_second:.0}/s", grouped(self.accepted.get()));
        text.push_str(&listed([self.refused(), self.retries(), self.waiting()]));
        let oldest = self.oldest_s.get();
        if self.waiting.get() > 0 && oldest > 0 {
            text.push_str(&format!(", the oldest for {} s", now_s.saturating_sub(oldest)));
        }
        text
    }

    /// At the end, for a person.
    pub fn summary(&self, took: Duration) -> String {
        let mut text =
            format!("{} lines read, {} reports accepted", grouped(self.lines.get()), grouped(self.accepted.get()));
        text.push_str(&listed([self.refused(), self.waiting(), self.retries()]));
        text.push_str(&format!(" in {:.1} s", took.as_secs_f64()));
        text
    }

    /// The same as an object.
    pub fn object(&self, took: Duration) -> Value {
        json!({
            "lines": self.lines.get(), "accepted": self.accepted.get(), "refused": self.refused.get(),
            "waiting": self.waiting.get(), "retries": self.retries.get(), "took_ms": took.as_millis() as u64,
        })
    }
}

/// What there is of these, to be put behind something else.
fn listed(counts: [(u64, &str); 3]) -> String {
    let present = counts.into_iter().filter(|(count, _)| *count > 0);
    present.map(|(count, what)| format!(", {} {what}", grouped(count))).collect()
}

/// A number of things.
pub fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A number with commas: 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), expected);
        }
    }

    #[test]
    fn what_is_zero_is_left_out() {
        let counts = Counts::default();
        counts.accepted.set(1204);
        assert_eq!(counts.progress(120.4, 0), "1,204 accepted, 120/s");
        counts.waiting.set(5000);
        counts.oldest_s.set(88);
        counts.retries.set(3);
        assert_eq!(counts.progress(0.0, 100), "1,204 accepted, 0/s, 3 retries, 5,000 waiting, the oldest for 12 s");
        counts.lines.set(6204);
        let took = Duration::from_millis(1250);
        assert_eq!(counts.summary(took), "6,204 lines read, 1,204 reports accepted, 5,000 waiting, 3 retries in 1.2 s");
        counts.retries.set(1);
        assert_eq!(counts.summary(took), "6,204 lines read, 1,204 reports accepted, 5,000 waiting, 1 retry in 1.2 s");
        assert_eq!((&counts.object(took)["waiting"], &counts.object(took)["retries"]), (&json!(5000), &json!(1)));
    }
}
