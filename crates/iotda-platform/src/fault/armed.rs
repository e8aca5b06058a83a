//! The faults that are armed: which of them a connection or a request meets, and how often each was done. Values come
//! in and go out; when to ask and what to do about it is `server`'s.

use super::kind::{Kind, Stage};
use super::{Fault, Route, Share};
use crate::Error;
use serde::Serialize;

/// How many are kept, those that are over included.
const MOST_FAULTS: usize = 1000;

/// A fault that was injected, and what became of it. It stays in the list when it has been done as often as it was to
/// be, until the faults are cleared.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ArmedFault {
    /// The number that it was given when it was injected.
    pub id: u64,
    /// The fault.
    #[serde(flatten)]
    pub fault: Fault,
    /// To how many connections or requests it was done.
    pub hits: u64,
    /// How often it will still be done; `None` if there is no end to it.
    pub remaining: Option<u64>,
    /// How often it was to choose whether it is done.
    #[serde(skip)]
    choices: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Faults {
    armed: Vec<ArmedFault>,
    last_id: u64,
    connection_hits: u64,
    request_hits: u64,
}

/// What is known of a request when it is asked which faults it meets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// `None` for a request that is none of the platform's calls.
    pub(crate) route: Option<Route>,
    pub(crate) device_id: Option<String>,
}

/// The faults that a request meets, one of each stage at most.
#[derive(Debug, PartialEq)]
pub(crate) struct Met(Vec<Kind>);

impl Met {
    pub(crate) fn of(&self, stage: Stage) -> Option<&Kind> {
        self.0.iter().find(|kind| kind.stage() == stage)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().map(|kind| kind.name().to_owned()).collect()
    }
}

impl Faults {
    /// Takes up a fault that has been checked, and gives its number. Those that are over make way where there are too
    /// many: each request looks at all of them.
    pub(crate) fn add(&mut self, fault: Fault) -> Result<u64, Error> {
        if self.armed.len() >= MOST_FAULTS {
            let over = self.armed.iter().position(|armed| armed.remaining == Some(0));
            let over = over.ok_or_else(|| {
                Error::new(format!("{MOST_FAULTS} faults are armed, and none of them is over: withdraw some"))
            })?;
            self.armed.remove(over);
        }
        self.last_id += 1;
        let remaining = fault.times;
        self.armed.push(ArmedFault { id: self.last_id, fault, hits: 0, remaining, choices: 0 });
        Ok(self.last_id)
    }

    /// Withdraws one. Whether there was one of this number.
    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let before = self.armed.len();
        self.armed.retain(|armed| armed.id != id);
        self.armed.len() < before
    }

    pub(crate) fn list(&self) -> &[ArmedFault] {
        &self.armed
    }

    /// Forgets all of them. The numbers go on, and so do the counts of what they have done.
    pub(crate) fn clear(&mut self) {
        self.armed.clear();
    }

    /// How many faults were done to connections and how many to requests.
    pub(crate) fn hits(&self) -> (u64, u64) {
        (self.connection_hits, self.request_hits)
    }

    /// What a new connection meets.
    pub(crate) fn meet_connection(&mut self) -> Vec<Kind> {
        self.meet(Stage::CONNECTION, |_| true)
    }

    /// What a request meets at its first byte: a cut that is for whatever request may come.
    pub(crate) fn meet_first_byte(&mut self) -> Option<Kind> {
        self.meet(&[Stage::Reading], Fault::is_for_first_byte).pop()
    }

    /// What a request meets when its head has been read.
    pub(crate) fn meet_head(&mut self, target: &Target) -> Option<Kind> {
        self.meet(&[Stage::Reading], |fault| !fault.is_for_first_byte() && fault.is_for(target)).pop()
    }

    /// What a request meets when all of it has been read.
    pub(crate) fn meet_request(&mut self, target: &Target) -> Met {
        Met(self.meet(Stage::REQUEST, |fault| fault.is_for(target)))
    }

    /// Of each stage, the oldest fault that `applies`.
    fn meet(&mut self, stages: &[Stage], applies: impl Fn(&Fault) -> bool) -> Vec<Kind> {
        let mut met: Vec<Kind> = Vec::new();
        for armed in &mut self.armed {
            let stage = armed.fault.kind.stage();
            let free = stages.contains(&stage) && met.iter().all(|kind| kind.stage() != stage);
            if free && applies(&armed.fault) && armed.choose() {
                met.push(armed.fault.kind.clone());
            }
        }
        let hits = met.len() as u64;
        match stages == Stage::CONNECTION {
            true => self.connection_hits += hits,
            false => self.request_hits += hits,
        }
        met
    }
}

impl Fault {
    fn is_for(&self, target: &Target) -> bool {
        (self.on == Route::Any || target.route == Some(self.on))
            && (self.device.is_none() || self.device == target.device_id)
    }

    fn is_for_first_byte(&self) -> bool {
        matches!(self.kind, Kind::RequestCut { .. }) && self.on == Route::Any && self.device.is_none()
    }
}

impl ArmedFault {
    /// Whether it is done this time; if so it is counted.
    fn choose(&mut self) -> bool {
        if self.remaining == Some(0) {
            return false;
        }
        self.choices += 1;
        if self.fault.share.is_some_and(|share| !share.holds(self.choices)) {
            return false;
        }
        self.hits += 1;
        self.remaining = self.remaining.map(|remaining| remaining - 1);
        true
    }
}

impl Share {
    /// The choice of the given number, by SplitMix64: each number gives a value that looks independent of the others.
    fn holds(self, number: u64) -> bool {
        let mut value = self.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % 100 < u64::from(self.percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Close, Part, Stall};

    fn faults(list: impl IntoIterator<Item = Fault>) -> Faults {
        let mut faults = Faults::default();
        for fault in list {
            faults.add(fault).expect("there is room");
        }
        faults
    }

    fn target(route: Route, device_id: &str) -> Target {
        Target { route: Some(route), device_id: Some(device_id.to_owned()) }
    }

    #[test]
    fn one_fault_of_a_stage_and_the_oldest_first() {
        let mut faults = faults([
            Fault::status(500).times(1),
            Fault::status(501),
            Fault::delay(Part::Header, Stall::ForEver),
            Fault::plain_http(),
        ]);
        let anyone = Target::default();
        let both = faults.meet_request(&anyone);
        assert_eq!(both.names(), ["answer", "delay"]);
        assert_eq!(both.of(Stage::Answer), Some(&Fault::status(500).kind));
        assert_eq!(faults.meet_request(&anyone).of(Stage::Answer), Some(&Fault::status(501).kind));
        let counts: Vec<_> = faults.list().iter().map(|armed| (armed.id, armed.hits, armed.remaining)).collect();
        assert_eq!(counts, [(1, 1, Some(0)), (2, 1, None), (3, 2, None), (4, 0, None)]);
        assert_eq!(faults.meet_connection(), [Kind::PlainHttp {}]);
        assert_eq!(faults.hits(), (1, 4));
        faults.clear();
        assert_eq!(faults.meet_request(&anyone), Met(Vec::new()));
        assert_eq!(faults.add(Fault::status(500)), Ok(5));
        assert_eq!((faults.remove(5), faults.remove(5)), (true, false));
        assert!(faults.list().is_empty());
    }

    #[test]
    fn there_are_no_more_than_so_many() {
        let mut faults = faults((0..MOST_FAULTS).map(|_| Fault::status(500).times(1)));
        // One is over, and makes way.
        faults.meet_request(&Target::default());
        faults.add(Fault::status(501)).expect("room");
        assert_eq!((faults.list().len(), faults.list()[0].id), (MOST_FAULTS, 2));
        assert!(faults.add(Fault::status(502)).unwrap_err().to_string().contains("withdraw some"));
    }

    #[test]
    fn devices_and_routes() {
        let mut faults = faults([Fault::status(500).for_device("a").on(Route::Batch)]);
        for other in [target(Route::Batch, "b"), target(Route::Auth, "a"), Target::default()] {
            assert!(faults.meet_request(&other).0.is_empty(), "{other:?}");
        }
        assert_eq!(faults.meet_request(&target(Route::Batch, "a")).names(), ["answer"]);
    }

    #[test]
    fn a_cut_for_everyone_comes_with_the_first_byte() {
        let cut = || Fault::request_cut(1, Close::Fin);
        let mut everyone = faults([cut()]);
        assert!(everyone.meet_head(&Target::default()).is_none());
        assert!(everyone.meet_first_byte().is_some());
        let mut one = faults([cut().on(Route::Auth)]);
        assert!(one.meet_first_byte().is_none());
        assert!(one.meet_head(&target(Route::Auth, "a")).is_some());
    }

    #[test]
    fn a_share_is_about_the_share_and_the_same_each_time() {
        let run = |percent, seed| -> Vec<bool> {
            let mut faults = faults([Fault::status(500).share(percent, seed)]);
            (0..1000).map(|_| !faults.meet_request(&Target::default()).0.is_empty()).collect()
        };
        let hits = |percent, seed| run(percent, seed).iter().filter(|hit| **hit).count();
        assert_eq!((hits(0, 1), hits(100, 1)), (0, 1000));
        assert!((230..370).contains(&hits(30, 1)), "{}", hits(30, 1));
        assert_eq!(run(30, 1), run(30, 1));
        assert_ne!(run(30, 1), run(30, 2));
    }

    #[test]
    fn times_counts_what_was_done() {
        let mut faults = faults([Fault::status(500).share(50, 3).times(5)]);
        let done = (0..1000).filter(|_| !faults.meet_request(&Target::default()).0.is_empty()).count();
        assert_eq!((done, faults.list()[0].hits, faults.list()[0].remaining), (5, 5, Some(0)));
    }
}
