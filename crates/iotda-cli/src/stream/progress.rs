//! How far a stream is, while it goes on: on a terminal that can show one a line that changes, otherwise a line every ten
//! seconds.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indicatif::{ProgressBar, ProgressStyle};

use super::counts::Counts;
use crate::output::Output;

/// Between two lines where nobody watches.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Between two looks on a terminal.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A thread that says how far it is, until this is dropped.
pub struct Progress {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// With --quiet, nothing is said. That no thread can be started is no reason to fail.
    pub fn start(counts: Arc<Counts>, output: Output) -> Self {
        if output.quiet {
            return Progress { stop: None, thread: None };
        }
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("progress".to_owned()).spawn(move || {
            let bar = if io::stderr().is_terminal() { visible(bar()) } else { None };
            let every = if bar.is_some() { LOOK_EVERY } else { LINE_EVERY };
            say(&stopped, every, &counts, |line| match &bar {
                Some(bar) => bar.set_message(line),
                None => output.note(&format!("iotda: {line}")),
            });
            if let Some(bar) = bar {
                bar.finish_and_clear();
            }
        });
        Progress { stop: Some(stop), thread: thread.ok() }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panics on no path, and the stream's own end is what counts.
            let _ = thread.join();
        }
    }
}

/// Says how far it is, again and again, until the other end of `stopped` is dropped.
fn say(stopped: &Receiver<()>, every: Duration, counts: &Counts, mut to: impl FnMut(String)) {
    let mut meter = Meter::new(Instant::now());
    while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
        to(counts.progress(meter.per_second(counts.accepted.get(), Instant::now()), now_s()));
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// One that is drawn: a terminal without a name (`TERM`) or a `dumb` one cannot change a line.
fn visible(bar: ProgressBar) -> Option<ProgressBar> {
    (!bar.is_hidden()).then_some(bar)
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

/// The rate over the last few looks.
struct Meter {
    last: Instant,
    seen: u64,
    rate: f64,
}

impl Meter {
    fn new(now: Instant) -> Self {
        Meter { last: now, seen: 0, rate: 0.0 }
    }

    /// Weighs what was seen before by half for each second that has passed.
    fn per_second(&mut self, total: u64, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.last).as_secs_f64();
        if passed <= 0.0 {
            return self.rate;
        }
        let present = total.saturating_sub(self.seen) as f64 / passed;
        let weight = 0.5_f64.powf(passed);
        self.rate = self.rate * weight + present * (1.0 - weight);
        (self.last, self.seen) = (now, total);
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_no_bar_is_drawn_there_are_lines() {
        assert!(visible(ProgressBar::hidden()).is_none());
    }

    #[test]
    fn how_far_it_is_is_said_again_and_again_until_the_end() {
        assert_eq!(LINE_EVERY, Duration::from_secs(10), "what the help says");
        let counts = Counts::default();
        let (stop, stopped) = mpsc::channel();
        let (mut stop, mut lines) = (Some(stop), Vec::new());
        say(&stopped, Duration::from_millis(1), &counts, |line| {
            counts.accepted.add(1);
            lines.push(line);
            if lines.len() == 3 {
                stop = None;
            }
        });
        let accepted: Vec<&str> = lines.iter().filter_map(|line| line.split(',').next()).collect();
        assert_eq!(accepted, ["0 accepted", "1 accepted", "2 accepted"]);
    }

    #[test]
    fn the_rate_follows_what_was_seen_of_late() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!((meter.per_second(1000, at(10)) - 100.0).abs() < 0.2);
        assert!((meter.per_second(1000, at(11)) - 50.0).abs() < 0.2);
        assert!(meter.per_second(1000, at(40)) < 0.1);
        assert!(meter.per_second(1000, at(40)) < 0.1, "no time has passed");
    }
}
