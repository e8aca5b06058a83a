//! The pace of reports: when the next one may be sent so that a rate limit is not met, or not met again. A function of
//! time and of what the platform answered; nothing here waits or reads a clock.
//!
//! A report takes a [`Place`] in the line of its device and in that of all devices, or in neither, and asks it when it
//! is due. Without a known rate nothing is held back until the platform refuses a report. What is learned from that
//! is [`rate`]'s; the order of those who wait, [`queue`]'s.
//!
//! The unit is the platform's: a report counts once per started 4 KB (protocol notes, "Platform facts").

mod queue;
mod rate;
mod sending;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use queue::{Queue, Stretch, seconds};
use rate::Rate;
use sending::Sending;

/// What one unit of the platform's count holds, in bytes.
const UNIT: usize = 4096;

/// Refusals that come together were caused together. The rate is decreased once in this time, the second in which the
/// platform counts: what was sent before or in it and is refused says nothing of the decreased rate.
const DECREASE_PAUSE: Duration = Duration::from_secs(1);

/// A `Retry-After` is followed up to this: a wrong one (a date in another year) would end a device's reports.
const LONGEST_HOLD: Duration = Duration::from_secs(3600);

/// Whoever waits looks again after this time: the rate may have changed, and others may have given back their places.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The pace of one device, or of all devices of a platform.
pub(crate) struct Pace {
    /// A limit is known or was met. Never unset: without one, a report takes no lock.
    limited: AtomicBool,
    /// To know the rate at which a limit is met.
    sending: Sending,
    /// From the first limit on; most devices never meet one.
    state: Mutex<Option<Box<State>>>,
}

struct State {
    rate: Rate,
    queue: Queue,
    decreased: Option<Duration>,
}

/// The place of one report in the lines of `N` paces, one after the other: it enters the second when it is due in the
/// first, so that it takes nobody's turn there before it can use it. Dropped before [`sent`](Self::sent), it is given
/// back.
pub(crate) struct Place<'a, const N: usize> {
    paces: [&'a Pace; N],
    turns: [Turn; N],
    units: f64,
    /// When it was last asked whether it is due; from [`sent`](Self::sent) on, when that was.
    asked: Duration,
    sent: bool,
}

/// A report in one line.
#[derive(Clone, Copy)]
enum Turn {
    /// It has not entered yet.
    Ahead,
    /// There was no line: no limit is known.
    Free,
    At(Stretch),
}

/// What the platform said when it refused a report because of its rate.
#[derive(Clone, Copy, Default)]
pub(crate) struct Limited {
    /// How long it asked to wait.
    pub(crate) retry_after: Option<Duration>,
    /// The limit that it named, in units per second.
    pub(crate) limit: Option<f64>,
}

/// Takes a place for a report of `units` in the lines of `paces`, or in none: `Err` with the wait, if it would be longer
/// than `longest`, which is only asked for if there is a wait. All callers name paces in the same order.
pub(crate) fn reserve<const N: usize>(
    paces: [&Pace; N],
    now: Duration,
    units: f64,
    longest: impl FnOnce() -> Duration,
) -> Result<Place<'_, N>, Duration> {
    if !paces.iter().any(|pace| pace.limited.load(Ordering::Relaxed)) {
        paces.iter().for_each(|pace| pace.sending.count(now, units));
        return Ok(Place { paces, turns: [Turn::Free; N], units, asked: now, sent: false });
    }
    let mut states = paces.map(Pace::lock);
    let waits = states.each_mut().map(|state| state.as_mut().map_or(Duration::ZERO, |state| state.wait_at_end(now)));
    let wait = waits.into_iter().max().unwrap_or_default();
    if !wait.is_zero() && wait > longest() {
        return Err(wait);
    }
    let mut turns = [Turn::Ahead; N];
    for (index, wait) in waits.into_iter().enumerate() {
        turns[index] = paces[index].enter(&mut states[index], now, units);
        if !wait.is_zero() {
            break;
        }
    }
    Ok(Place { paces, turns, units, asked: now, sent: false })
}

/// How long a report that comes `now` has to wait in `paces`.
pub(crate) fn wait<const N: usize>(paces: [&Pace; N], now: Duration) -> Duration {
    let wait_at_end = |pace: &Pace| pace.lock().as_mut().map_or(Duration::ZERO, |state| state.wait_at_end(now));
    paces.into_iter().map(wait_at_end).max().unwrap_or_default()
}

/// How often the platform counts a report of `bytes`.
pub(crate) fn units(bytes: usize) -> f64 {
    bytes.div_ceil(UNIT).max(1) as f64
}

impl Pace {
    /// `known`: the platform's rate in units per second, where the program knows it.
    pub(crate) fn new(known: Option<f64>) -> Self {
        Pace {
            limited: AtomicBool::new(known.is_some()),
            sending: Sending::default(),
            state: Mutex::new(known.map(|known| Box::new(State::new(Some(known))))),
        }
    }

    /// The platform refused a report because of this rate. The report was sent at `sent`.
    pub(crate) fn limited(&self, now: Duration, sent: Duration, said: Limited) {
        let mut state = self.lock();
        let state = state.get_or_insert_with(|| Box::new(State::new(None)));
        // Without a rate nobody has waited yet, and nothing is on the line.
        if let Some(rate) = state.rate.current() {
            state.advance(now, rate);
        }
        if let Some(wait) = said.retry_after {
            state.queue.hold(now.saturating_add(wait.min(LONGEST_HOLD)));
        }
        if state.decreased.is_some_and(|decreased| sent < decreased.saturating_add(DECREASE_PAUSE)) {
            return;
        }
        state.decreased = Some(now);
        state.rate.refused(self.sending.rate(), said.limit);
        if let Some(rate) = state.rate.current() {
            state.queue.hold(now.saturating_add(seconds(1.0 / rate)));
        }
        self.limited.store(true, Ordering::Relaxed);
    }

    /// Takes a place at the end of the line; where there is none, the report is counted.
    fn enter(&self, state: &mut Option<Box<State>>, now: Duration, units: f64) -> Turn {
        let turn = state.as_mut().and_then(|state| state.enter(units)).map_or(Turn::Free, Turn::At);
        if matches!(turn, Turn::Free) {
            self.sending.count(now, units);
        }
        turn
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<State>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(known: Option<f64>) -> Self {
        State { rate: Rate::new(known), queue: Queue::default(), decreased: None }
    }

    fn advance(&mut self, now: Duration, rate: f64) {
        self.queue.advance(now, rate, !self.rate.is_known());
    }

    fn wait_at_end(&mut self, now: Duration) -> Duration {
        let Some(rate) = self.rate.current() else { return Duration::ZERO };
        self.advance(now, rate);
        self.queue.wait(self.queue.end(), rate)
    }

    /// `None`: there is no line.
    fn enter(&mut self, units: f64) -> Option<Stretch> {
        let rate = self.rate.current()?;
        Some(self.queue.take(units, rate, !self.rate.is_known()))
    }

    fn wait(&mut self, now: Duration, stretch: Stretch) -> Duration {
        // A place on the line is only taken where there is a rate, and a rate stays.
        let Some(rate) = self.rate.current() else { return Duration::ZERO };
        self.advance(now, rate);
        self.queue.wait(stretch.start, rate)
    }

    fn use_up(&mut self, stretch: Stretch) {
        if let Some(rate) = self.rate.current() {
            self.queue.used(stretch, rate);
        }
    }
}

impl<const N: usize> Place<'_, N> {
    /// How long the report has to wait. To be asked again after that, and at least every
    /// [`LOOK_AGAIN`].
    pub(crate) fn wait(&mut self, now: Duration) -> Duration {
        self.asked = now;
        let mut longest = Duration::ZERO;
        for (pace, turn) in self.paces.iter().zip(&mut self.turns) {
            if matches!(turn, Turn::Free) {
                continue;
            }
            let mut state = pace.lock();
            let wait = match (&mut *state, &*turn) {
                (Some(state), Turn::At(stretch)) => state.wait(now, *stretch),
                (Some(state), Turn::Ahead | Turn::Free) => state.wait_at_end(now),
                (None, _) => Duration::ZERO,
            };
            if matches!(turn, Turn::Ahead) && longest.is_zero() {
                *turn = pace.enter(&mut state, now, self.units);
            }
            longest = longest.max(wait);
        }
        longest
    }

    /// The report is sent now: the place is used up.
    pub(crate) fn sent(&mut self) {
        self.sent = true;
        for (pace, stretch) in self.held() {
            pace.sending.count(self.asked, self.units);
            if let Some(state) = &mut *pace.lock() {
                state.use_up(stretch);
            }
        }
    }

    /// The platform accepted the report.
    pub(crate) fn accepted(&self) {
        for pace in self.paces.iter().filter(|pace| pace.limited.load(Ordering::Relaxed)) {
            let mut state = pace.lock();
            let Some(state) = &mut *state else { continue };
            // What was sent before a decrease proves nothing about the decreased rate.
            if state.decreased.is_some_and(|decreased| self.asked >= decreased) {
                state.rate.accepted(self.units);
            }
        }
    }

    /// When the report was sent.
    pub(crate) fn sent_at(&self) -> Duration {
        self.asked
    }

    fn held(&self) -> impl Iterator<Item = (&Pace, Stretch)> {
        self.paces.iter().zip(self.turns).filter_map(|(pace, turn)| match turn {
            Turn::At(stretch) => Some((*pace, stretch)),
            Turn::Ahead | Turn::Free => None,
        })
    }
}

impl<const N: usize> Drop for Place<'_, N> {
    fn drop(&mut self) {
        if !self.sent {
            for (pace, stretch) in self.held() {
                if let Some(state) = &mut *pace.lock() {
                    state.queue.give_back(stretch);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
