//! Delivers what waits: one step is one request. It reads the entries, has them made into a body
//! ([`super::coalesce`]), sends it through [`Deliver`], and settles what the answer settles.
//!
//! Whose turn it is, is decided in [`super::turns`]; how a request is sent, with tokens and pace, is the business of
//! whoever implements [`Deliver`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::book::Entry;
use super::clock::{Clocks, Now};
use super::coalesce::{Builder, TIME, decode};
use super::dead::{Dead, Letter};
use super::engine::{Engine, NotPut, State};
use super::frame::{Header, LaneKey, kind};
use super::platform::{Deliver, Ended, Refusal, TooMuch, Verdict};
use super::sorted::Sorted;
use super::stats::{Counters, Fate};
use super::turns::{Next, Part, Pick, Turns};
use crate::report::calendar;

/// Lanes whose turn does not come are looked through for entries that are too old in this interval.
const SWEEP_MS: u64 = 60_000;

/// Takes note of the fate of each entry: its number, the device reported for, and a sentence.
pub(crate) type Observer = Box<dyn Fn(u64, &str, Fate, &str) + Send + Sync>;

/// How an outbox delivers.
pub(crate) struct Manner {
    pub(crate) coalesce_bytes: usize,
    pub(crate) linger_ms: u64,
    pub(crate) max_age_ms: Option<u64>,
    pub(crate) drop_oldest: bool,
    /// The observer is called for what is delivered, too.
    pub(crate) reports_deliveries: bool,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Did,
    /// Nothing is to be done before this time of the machine's clock, in milliseconds since its start.
    At(u64),
    /// Nothing waits that could be sent.
    Nothing,
}

/// An entry that could not be read so often, with pauses of up to five minutes in between, counts as damaged, so that it
/// does not hold up its device for ever.
const READS_MOST: u32 = 12;

pub(super) struct Work {
    pub(super) turns: Turns,
    devices: Sorted<u64, Arc<dyn Deliver>>,
    counters: Counters,
    next_sweep: u64,
    /// How often entries could not be read, by their numbers.
    unreadable: Sorted<u64, u32>,
}

/// Puts and delivers.
pub(crate) struct Worker {
    pub(crate) engine: Engine,
    clocks: Arc<dyn Clocks>,
    boot: u32,
    pub(super) manner: Manner,
    dead: Mutex<Dead>,
    work: Mutex<Work>,
    observer: Option<Observer>,
    random: fn() -> f64,
}

impl Worker {
    pub(crate) fn new(
        (engine, boot): (Engine, u32),
        dead: Dead,
        clocks: Arc<dyn Clocks>,
        manner: Manner,
        observer: Option<Observer>,
        random: fn() -> f64,
    ) -> Self {
        let turns = Turns::new(manner.coalesce_bytes, manner.linger_ms);
        let work = Work {
            turns,
            devices: Sorted::default(),
            counters: Counters::default(),
            next_sweep: 0,
            unreadable: Sorted::default(),
        };
        Worker { engine, clocks, boot, manner, dead: Mutex::new(dead), work: Mutex::new(work), observer, random }
    }

    /// The lock order is: the engine's state, then this.
    pub(super) fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn dead(&self) -> MutexGuard<'_, Dead> {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no other thread was in the midst of changing anything: for a child made by `fork`, which has no others.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.engine.is_at_rest() && self.work.try_lock().is_ok() && self.dead.try_lock().is_ok()
    }

    pub(crate) fn counters(&self) -> Counters {
        self.work().counters.clone()
    }

    /// How many entries wait for devices that are not attached.
    pub(crate) fn unattached(&self, state: &State) -> u64 {
        let work = self.work();
        let lanes = state.book.lanes.iter().filter(|(_, lane)| !work.devices.contains_key(&lane.key.sender));
        lanes.map(|(_, lane)| lane.queue.len() as u64).sum()
    }

    pub(crate) fn now(&self, platform_ms: Option<i64>) -> Now {
        Now { wall_ms: self.clocks.wall_ms(), boot_ms: self.clocks.boot_ms(), boot: self.boot, platform_ms }
    }

    /// What waits for this device is delivered by it from now on.
    pub(crate) fn attach(&self, sender: u64, device: Arc<dyn Deliver>) {
        let state = self.engine.lock();
        let mut work = self.work();
        work.devices.insert(sender, device);
        work.turns.attach(sender, &state.book.lanes);
        drop(work);
        drop(state);
        self.engine.notify();
    }

    /// Ends the requests that are under way.
    pub(crate) fn interrupt(&self) {
        let devices: Vec<_> = self.work().devices.values().cloned().collect();
        for device in devices {
            device.interrupt();
        }
    }

    /// Settles what is too old at the heads of all lanes, those of devices that are not attached included.
    fn sweep(&self, now_ms: u64) {
        let devices: Vec<_> = {
            let mut work = self.work();
            if self.manner.max_age_ms.is_none() || now_ms < work.next_sweep {
                return;
            }
            work.next_sweep = now_ms + SWEEP_MS;
            work.devices.values().cloned().collect()
        };
        let now = self.now(devices.iter().find_map(|device| device.platform_ms()));
        let lanes: Vec<(u32, LaneKey)> = {
            let state = self.engine.lock();
            state.book.lanes.iter().map(|(index, lane)| (index, lane.key)).collect()
        };
        for (lane, key) in lanes {
            loop {
                let head = {
                    let state = self.engine.lock();
                    let busy = self.work().turns.is_busy(lane);
                    state.book.lanes.get(lane).queue.first().copied().filter(|_| !busy)
                };
                let Some(slot) = head else { break };
                let Some((header, _)) = self.engine.read(key, &slot) else { break };
                if !self.too_old(&header, &now) {
                    break;
                }
                self.give_up(lane, slot.number, Fate::Expired);
            }
        }
    }

    /// The network is back.
    pub(crate) fn wake(&self) {
        self.work().turns.wake(self.clocks.boot_ms(), (self.random)());
        self.engine.notify();
    }

    /// Puts entries of one sender, all or none; returns the first one's number. `wall_ms` and `boot_ms`: now.
    pub(crate) fn put(
        &self,
        entries: &[Entry<'_>],
        (wall_ms, boot_ms): (i64, u64),
        deadline: Option<Instant>,
    ) -> Result<u64, NotPut> {
        let platform_ms = entries.first().and_then(|entry| self.work().devices.get(&entry.lane.sender)?.platform_ms());
        let now = Now { wall_ms, boot_ms, boot: self.boot, platform_ms };
        let mut known = None;
        for entry in entries {
            known = self.keep_share(entry)?;
        }
        let first = loop {
            match self.engine.put(entries, now.stamp(), deadline) {
                Err(NotPut::Full) if self.manner.drop_oldest => {
                    let own = entries.first().map(|entry| entry.lane);
                    let victim = self.victim(own).ok_or(NotPut::Full)?;
                    let segment = self.engine.lock().book.space.sizes.segment;
                    self.drop_oldest(victim, segment);
                }
                result => break result?,
            }
        };
        let is_new = match known {
            // A lane keeps its index.
            Some(lane) if entries.len() == 1 => self.work().turns.offer(lane, boot_ms),
            _ => {
                let state = self.engine.lock();
                let mut work = self.work();
                let mut is_new = false;
                for lane in entries.iter().filter_map(|entry| state.book.lanes.find(entry.lane)) {
                    is_new |= work.turns.offer(lane, boot_ms);
                }
                is_new
            }
        };
        if is_new {
            self.engine.notify();
        }
        Ok(first)
    }

    /// Settles all that waits for a device, as sender or as the one reported for; returns how many entries.
    pub(crate) fn discard(&self, device: u64) -> u64 {
        let lanes: Vec<u32> = {
            let state = self.engine.lock();
            let of_it = |key: LaneKey| key.sender == device || key.reported == device;
            state.book.lanes.iter().filter(|(_, lane)| of_it(lane.key)).map(|(index, _)| index).collect()
        };
        lanes.into_iter().map(|lane| self.give_up(lane, u64::MAX, Fate::Discarded)).sum()
    }

    /// Sends one request, if one is due.
    pub(crate) fn step(&self, deadline: Option<Instant>) -> Step {
        let now_ms = self.clocks.boot_ms();
        self.sweep(now_ms);
        let (pick, device) = {
            let state = self.engine.lock();
            let mut work = self.work();
            match work.turns.next(now_ms, &state.book.lanes) {
                Next::Nothing => return Step::Nothing,
                Next::At(at) => return Step::At(at),
                Next::Send(pick) => {
                    let device = work.devices.get(&pick.sender).cloned();
                    (pick, device)
                }
            }
        };
        let Some(device) = device else {
            self.work().turns.done(&pick);
            return Step::Nothing;
        };
        let now = self.now(device.platform_ms());
        let (sent, (kind, body), unreadable) = self.build(&pick, &now);
        if sent.is_empty() {
            let mut work = self.work();
            match unreadable {
                Some(message) => {
                    work.counters.last_error = message;
                    work.turns.outage(&pick, false, 0, now_ms, (self.random)());
                }
                None => work.turns.done(&pick),
            }
            return Step::Did;
        }
        let ended = device.deliver(kind, &body, deadline);
        let now = self.now(device.platform_ms());
        self.engine.learn(&now);
        self.answer(&pick, &sent, body.len(), ended, &*device);
        Step::Did
    }

    /// The body of a request, and the entries in it. Entries at the head of a lane that are too old or damaged are
    /// settled on the way. Last, why the head of a lane cannot be read, if it cannot.
    fn build(&self, pick: &Pick, now: &Now) -> (Vec<Part>, (u8, Vec<u8>), Option<String>) {
        let mut builder = Builder::new(pick.bytes_max, pick.children_max);
        let (mut sent, mut unreadable) = (Vec::new(), None);
        'parts: for part in &pick.parts {
            let key = self.engine.lock().book.lanes.get(part.lane).key;
            let mut slots = Vec::new();
            for slot in &part.slots {
                let read = match self.engine.try_read(key, slot) {
                    Ok(read) => read,
                    // Those before it may be sent; its turn comes again.
                    Err(_) if !slots.is_empty() => break,
                    Err(_) if self.is_given_up(slot.number) => None,
                    Err(error) => {
                        unreadable = Some(format!("check the outbox's storage: it cannot be read: {error}"));
                        continue 'parts;
                    }
                };
                let fate = match &read {
                    None => Some(Fate::Damaged),
                    Some((header, _)) => self.too_old(header, now).then_some(Fate::Expired),
                };
                if let Some(fate) = fate {
                    if !slots.is_empty() {
                        // Its turn comes when those before it are settled.
                        break;
                    }
                    self.give_up(part.lane, slot.number, fate);
                    continue;
                }
                let Some((header, frame)) = read else { continue };
                let real = self.engine.lock().book.boots.event_time_ms(&header.stamp, now);
                let time: Option<[u8; TIME]> = (real != header.stamp.wall_ms).then(|| calendar::event_time(real));
                if !builder.add(slot.kind(), header.payload(&frame).unwrap_or_default(), time.as_ref()) {
                    if !slots.is_empty() {
                        sent.push(Part { lane: part.lane, slots });
                    } else if sent.is_empty() {
                        // Alone, and no payload at all: written by somebody else.
                        self.give_up(part.lane, slot.number, Fate::Damaged);
                    }
                    break 'parts;
                }
                slots.push(*slot);
            }
            if !slots.is_empty() {
                sent.push(Part { lane: part.lane, slots });
            }
        }
        (sent, builder.finish(), unreadable)
    }

    /// Whether an entry could not be read once too often.
    fn is_given_up(&self, number: u64) -> bool {
        let mut work = self.work();
        let times = work.unreadable.or_insert_with(number, || 0);
        *times += 1;
        let is_given_up = *times >= READS_MOST;
        if is_given_up {
            work.unreadable.remove(&number);
        }
        is_given_up
    }

    fn too_old(&self, header: &Header, now: &Now) -> bool {
        let Some(most) = self.manner.max_age_ms else { return false };
        self.engine.lock().book.boots.age_ms(&header.stamp, now).is_some_and(|age| age > most)
    }

    fn answer(&self, pick: &Pick, sent: &[Part], body: usize, ended: Ended, device: &dyn Deliver) {
        let now = self.clocks.boot_ms();
        let fraction = (self.random)();
        self.count(pick, sent, &ended);
        match ended.verdict {
            Verdict::Delivered => {
                self.settle_all(sent, Fate::Delivered, "", Some(device.device_id()));
                self.work().turns.delivered(pick, sent);
            }
            Verdict::Refused(refusal) => {
                if let Some(too_much) = refusal.too_much {
                    self.work().turns.too_much(pick, sent, too_much == TooMuch::Children, body);
                }
                // The letter is durable, and its entry settled, before the lane is free for another request.
                if let ([only], true) = (sent, entries(sent) == 1) {
                    self.bury(only, Fate::Refused, &refusal, device);
                }
                self.work().turns.refused(pick, sent, now);
            }
            Verdict::UnknownChild(refusal) => {
                if self.work().turns.unknown_child(pick, sent, now) {
                    for part in sent {
                        let first = Part { lane: part.lane, slots: part.slots.iter().take(1).copied().collect() };
                        self.bury(&first, Fate::UnknownChild, &refusal, device);
                    }
                }
            }
            Verdict::LockedOut(message) => {
                let mut work = self.work();
                work.counters.last_error = message;
                work.turns.locked_out(pick, now);
            }
            Verdict::Paced(wait_ms) => self.work().turns.paced(pick, now + wait_ms),
            Verdict::Outage { everywhere, asked_ms, message } => {
                let mut work = self.work();
                work.counters.last_error = message;
                work.turns.outage(pick, everywhere, asked_ms, now, fraction);
            }
        }
    }

    fn count(&self, pick: &Pick, sent: &[Part], ended: &Ended) {
        let mut work = self.work();
        let requests = u64::from(ended.requests);
        work.counters.requests += requests;
        // Where the device's pace held it up nothing was tried.
        if requests > 0 || !matches!(ended.verdict, Verdict::Paced(_)) {
            // Each request behind the first of a delivery is one, too.
            work.counters.retries += u64::from(pick.is_retry) + requests.saturating_sub(1);
            match ended.verdict {
                // What follows a refusal is a search, not another try.
                Verdict::Delivered | Verdict::Refused(_) | Verdict::UnknownChild(_) => work.turns.forget_tries(sent),
                _ => work.turns.failed(sent),
            }
        }
    }

    /// Makes a dead letter of a part's only entry, and settles it.
    fn bury(&self, part: &Part, fate: Fate, refusal: &Refusal, device: &dyn Deliver) {
        let Some(slot) = part.slots.first() else { return };
        let key = self.engine.lock().book.lanes.get(part.lane).key;
        // One that cannot be read now waits for its next refusal: a letter without its data is none.
        let Ok(read) = self.engine.try_read(key, slot) else { return };
        let fate = match read {
            Some((header, frame)) => self.keep_letter(&header, &frame, fate, refusal, device),
            None => Fate::Damaged,
        };
        self.settle_all(std::slice::from_ref(part), fate, &refusal.message, Some(device.device_id()));
    }

    /// Returns what becomes of the entry.
    fn keep_letter(&self, header: &Header, frame: &[u8], fate: Fate, refusal: &Refusal, device: &dyn Deliver) -> Fate {
        let payload = header.payload(frame).unwrap_or_default();
        let (unknown_child, child) = (fate == Fate::UnknownChild, child_of(header.kind, payload));
        let letter = Letter {
            id: header.number,
            kind: header.kind,
            unknown_child,
            time_ms: header.stamp.wall_ms,
            sender: device.device_id(),
            child: child.as_deref().unwrap_or(""),
            code: &refusal.code,
            payload,
        };
        let is_kept = self.dead().keep(&letter).is_ok();
        let mut work = self.work();
        work.counters.dead += 1;
        work.counters.dead_not_kept += u64::from(!is_kept);
        if is_kept { fate } else { Fate::NotKept { unknown_child } }
    }

    fn settle_all(&self, sent: &[Part], fate: Fate, message: &str, sender: Option<&str>) {
        self.report(sent, fate, message, sender);
        let mut state = self.engine.lock();
        let mut count = 0;
        for part in sent {
            if let Some(last) = part.slots.last() {
                count += state.book.settle(part.lane, last.number);
            }
        }
        drop(state);
        self.work().counters.count(fate, count);
        // It is written at once, so that a kill repeats nothing; a failure shows at the next put.
        let _ = self.engine.commit(false, None);
        self.engine.notify();
    }

    /// Calls the observer for each entry, with no lock held.
    fn report(&self, parts: &[Part], fate: Fate, message: &str, sender: Option<&str>) {
        let Some(observer) = &self.observer else { return };
        if fate == Fate::Delivered && !self.manner.reports_deliveries {
            return;
        }
        for part in parts {
            let key = self.engine.lock().book.lanes.get(part.lane).key;
            let known = sender
                .map(str::to_owned)
                .or_else(|| self.work().devices.get(&key.sender).map(|device| device.device_id().to_owned()));
            for slot in &part.slots {
                let child = (slot.kind() == kind::CHILD)
                    .then(|| self.engine.read(key, slot))
                    .flatten()
                    .and_then(|(header, frame)| child_of(header.kind, header.payload(&frame).unwrap_or_default()));
                observer(slot.number, child.as_deref().or(known.as_deref()).unwrap_or(""), fate, message);
            }
        }
    }

    /// Settles the first entries of a lane without delivering them; returns how many.
    pub(super) fn give_up(&self, lane: u32, up_to: u64, fate: Fate) -> u64 {
        let slots: Vec<_> = {
            let state = self.engine.lock();
            state.book.lanes.get(lane).queue.iter().take_while(|slot| slot.number <= up_to).copied().collect()
        };
        let count = slots.len() as u64;
        if count > 0 {
            let parts = [Part { lane, slots }];
            self.work().turns.forget_tries(&parts);
            self.settle_all(&parts, fate, "", None);
        }
        count
    }
}

fn entries(parts: &[Part]) -> usize {
    parts.iter().map(|part| part.slots.len()).sum()
}

fn child_of(kind: u8, payload: &[u8]) -> Option<String> {
    let reading = decode(kind, payload).filter(|reading| !reading.child.is_empty())?;
    String::from_utf8(reading.child.to_vec()).ok()
}
