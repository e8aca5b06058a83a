//! What batches of one gateway have taught about the platform, for those that follow: which children it
//! does not know, and how much it takes at a time. Values in memory; how a batch is divided by them is
//! decided in [`crate::report::split`].
//!
//! Only what lasts is remembered. A refusal of a child's data speaks of that data, not of the child.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::report::split::{Limits, Standing};

/// For so long a child that the platform did not know is not sent again, and limits that it has shown are
/// kept. Shorter than the 15 minutes after which the outbox tries such a child again, so that its request
/// is truly made; long enough that a lasting unknown child costs one request in ten minutes.
pub(crate) const KEPT: Duration = Duration::from_secs(10 * 60);

/// The most ids that are remembered for a gateway: 128 kB of the longest ones. Further unknown children
/// are searched for in each call.
const CHILDREN_MAX: usize = 1024;

/// The memory of one gateway.
#[derive(Default)]
pub(crate) struct Learned {
    /// In a box, since most devices are no gateways.
    state: Mutex<Option<Box<State>>>,
}

#[derive(Default)]
struct State {
    /// Sorted by id.
    unknown: Vec<Unknown>,
    limits: Limits,
    limits_until: Duration,
}

/// A child that the platform did not know.
struct Unknown {
    id: Box<str>,
    /// The (monotonic) time up to which it is not sent.
    until: Duration,
}

/// The memory at one moment, by the monotonic clock.
pub(crate) struct At<'a> {
    state: MutexGuard<'a, Option<Box<State>>>,
    now: Duration,
}

impl Learned {
    pub(crate) fn at(&self, now: Duration) -> At<'_> {
        At { state: self.state.lock().unwrap_or_else(PoisonError::into_inner), now }
    }
}

impl At<'_> {
    /// What is remembered about a child. Its id is only asked for if there is anything to remember.
    pub(crate) fn standing<'i>(&self, id: impl FnOnce() -> &'i str) -> Standing {
        if self.unknown_children().is_empty() {
            return Standing::Open;
        }
        match self.until(id()) {
            None => Standing::Open,
            Some(until) if until > self.now => Standing::Unknown,
            Some(_) => Standing::Suspect,
        }
    }

    /// How long a child will not be sent; `None`: it will be.
    pub(crate) fn not_sent_for(&self, id: &str) -> Option<Duration> {
        self.until(id)?.checked_sub(self.now).filter(|wait| !wait.is_zero())
    }

    /// The platform does not know this child.
    pub(crate) fn unknown(&mut self, id: &str) {
        let (now, until) = (self.now, self.now.saturating_add(KEPT));
        let place = self.place(id);
        let unknown = &mut self.state.get_or_insert_default().unknown;
        if let Ok(place) = place {
            unknown[place].until = until;
            return;
        }
        if unknown.len() >= CHILDREN_MAX {
            unknown.retain(|known| known.until > now);
        }
        if unknown.len() < CHILDREN_MAX {
            let place = place_of(id, unknown).unwrap_or_else(|place| place);
            unknown.insert(place, Unknown { id: id.into(), until });
        }
    }

    /// The platform accepted what these children reported.
    pub(crate) fn accepted<'i>(&mut self, ids: impl Iterator<Item = &'i str>) {
        let Some(state) = &mut *self.state else { return };
        for id in ids {
            if let Ok(place) = place_of(id, &state.unknown) {
                state.unknown.remove(place);
            }
        }
    }

    fn until(&self, id: &str) -> Option<Duration> {
        self.place(id).ok().map(|place| self.unknown_children()[place].until)
    }

    /// Where a child stands, or would stand.
    fn place(&self, id: &str) -> Result<usize, usize> {
        place_of(id, self.unknown_children())
    }

    fn unknown_children(&self) -> &[Unknown] {
        self.state.as_ref().map_or(&[], |state| &state.unknown)
    }

    /// The most that a request holds, as far as is known.
    pub(crate) fn limits(&self) -> Limits {
        let known = self.state.as_ref().filter(|state| state.limits_until > self.now);
        known.map_or_else(Limits::default, |state| state.limits)
    }

    /// The platform took no more than this.
    pub(crate) fn limited(&mut self, limits: Limits) {
        let known = self.limits(); // Another batch may have learned another one meanwhile.
        let state = self.state.get_or_insert_default();
        state.limits = Limits { children: known.children.min(limits.children), bytes: known.bytes.min(limits.bytes) };
        state.limits_until = self.now.saturating_add(KEPT);
    }
}

fn place_of(id: &str, unknown: &[Unknown]) -> Result<usize, usize> {
    unknown.binary_search_by(|known| (*known.id).cmp(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(7);

    fn standing(learned: &Learned, now: Duration, id: &str) -> Standing {
        learned.at(now).standing(|| id)
    }

    #[test]
    fn an_unknown_child_is_not_sent_for_ten_minutes_and_then_a_suspect() {
        let learned = Learned::default();
        assert_eq!(standing(&learned, START, "a"), Standing::Open);
        learned.at(START).unknown("a");
        let last = START + KEPT - Duration::from_nanos(1);
        for (now, expected) in
            [(START, Standing::Unknown), (last, Standing::Unknown), (START + KEPT, Standing::Suspect)]
        {
            assert_eq!(standing(&learned, now, "a"), expected, "{now:?}");
            assert_eq!(standing(&learned, now, "b"), Standing::Open);
        }
        assert_eq!(learned.at(START).not_sent_for("a"), Some(KEPT));
        assert_eq!(learned.at(START + KEPT).not_sent_for("a"), None);
        assert_eq!(learned.at(START).not_sent_for("b"), None);
        // Refused again, it rests again; accepted, it is as any other.
        learned.at(START + KEPT).unknown("a");
        assert_eq!(standing(&learned, START + KEPT, "a"), Standing::Unknown);
        learned.at(START + KEPT).accepted(["b", "a"].into_iter());
        assert_eq!(standing(&learned, START + KEPT, "a"), Standing::Open);
    }

    #[test]
    fn no_id_is_asked_for_while_nothing_is_remembered() {
        assert_eq!(Learned::default().at(START).standing(|| unreachable!()), Standing::Open);
    }

    #[test]
    fn the_memory_is_bounded_and_makes_room_of_what_is_over() {
        let learned = Learned::default();
        for n in 0..CHILDREN_MAX + 1 {
            learned.at(START).unknown(&n.to_string());
        }
        let beyond = CHILDREN_MAX.to_string();
        assert_eq!(learned.at(START).unknown_children().len(), CHILDREN_MAX);
        assert_eq!(standing(&learned, START, &beyond), Standing::Open);
        // A full memory still renews what it holds.
        let later = START + Duration::from_secs(60);
        learned.at(later).unknown("0");
        learned.at(START + KEPT).unknown(&beyond);
        assert_eq!(learned.at(START).unknown_children().len(), 2);
        assert_eq!(standing(&learned, START + KEPT, "0"), Standing::Unknown);
        assert_eq!(standing(&learned, START + KEPT, &beyond), Standing::Unknown);
    }

    #[test]
    fn limits_last_as_long() {
        let learned = Learned::default();
        assert_eq!(learned.at(START).limits(), Limits::default());
        let small = Limits { children: 20, bytes: 4_000 };
        learned.at(START).limited(small);
        assert_eq!(learned.at(START + KEPT - Duration::from_nanos(1)).limits(), small);
        assert_eq!(learned.at(START + KEPT).limits(), Limits::default());
        learned.at(START).limited(Limits { children: 50, bytes: 3_000 });
        assert_eq!(learned.at(START).limits(), Limits { children: 20, bytes: 3_000 });
        learned.at(START + KEPT * 2).limited(Limits { children: 40, ..Limits::default() });
        assert_eq!(learned.at(START + KEPT * 2).limits(), Limits { children: 40, ..Limits::default() });
    }
}
