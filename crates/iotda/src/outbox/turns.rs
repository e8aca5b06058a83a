//! Whose turn it is: lanes round robin, those that must wait left out until they are due, and the search for the
//! entries that the platform refuses. Values only; times are milliseconds since the machine's start.

use std::collections::VecDeque;

use super::frame::kind;
use super::lanes::{Lanes, Slot};
use super::sorted::Sorted;

/// A lane that the operator must do something for is tried again after this.
pub(crate) const PARKED_MS: u64 = 15 * 60 * 1000;
/// An unknown child's entries become dead letters after this.
pub(crate) const UNKNOWN_MS: u64 = 24 * 60 * 60 * 1000;
/// So many single entries refused in a row speak of something else than the entries.
pub(crate) const REFUSED_IN_A_ROW: u32 = 8;

const PAUSE_LEAST_MS: u64 = 1_000;
const PAUSE_MOST_MS: u64 = 300_000;

/// The pause after so many failures in a row, with full jitter; `fraction` is random, from 0 up to 1.
pub(crate) fn pause_ms(failures: u32, fraction: f64) -> u64 {
    let most = PAUSE_LEAST_MS.saturating_mul(1 << failures.clamp(1, 20)).min(PAUSE_MOST_MS);
    PAUSE_LEAST_MS + ((most - PAUSE_LEAST_MS) as f64 * fraction.clamp(0.0, 1.0)) as u64
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    #[default]
    Ready,
    Busy,
    Until(u64),
}

/// What is known about one lane beside its entries.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    standing: Standing,
    queued: bool,
    failures: u32,
    refused: u32,
    /// Among so many entries at its head is one that the platform refuses; 0: not known.
    suspect: u32,
    /// So many entries at its head were in an attempt that failed for another reason than what is in them.
    tried: u32,
    unknown_since: Option<u64>,
}

/// What is known about one sending device.
#[derive(Clone, Debug)]
struct Sender {
    attached: bool,
    parked_until: u64,
    children_max: usize,
    bytes_max: usize,
    /// Lanes of a request that was refused: the entries at the head of one or more of them are why.
    suspects: Vec<u32>,
}

/// The entries of one lane in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) lane: u32,
    pub(crate) slots: Vec<Slot>,
}

/// What to send next. The body may hold fewer entries, never others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pick {
    pub(crate) sender: u64,
    pub(crate) parts: Vec<Part>,
    pub(crate) bytes_max: usize,
    pub(crate) children_max: usize,
    /// Some of it was in an attempt that failed for another reason than what is in it.
    pub(crate) is_retry: bool,
}

/// Whether something is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Send(Pick),
    /// Not before this time.
    At(u64),
    /// Nothing waits that could be sent.
    Nothing,
}

/// All turns.
#[derive(Debug)]
pub(crate) struct Turns {
    lanes: Vec<Turn>,
    ready: VecDeque<u32>,
    due: Sorted<(u64, u32), ()>,
    senders: Sorted<u64, Sender>,
    /// The network is away: nothing is sent before this.
    away_until: u64,
    away_failures: u32,
    coalesce: usize,
    linger_ms: u64,
}

impl Turns {
    pub(crate) fn new(coalesce: usize, linger_ms: u64) -> Self {
        Turns {
            lanes: Vec::new(),
            ready: VecDeque::new(),
            due: Sorted::default(),
            senders: Sorted::default(),
            away_until: 0,
            away_failures: 0,
            coalesce,
            linger_ms,
        }
    }

    fn turn(&mut self, lane: u32) -> &mut Turn {
        let index = lane as usize;
        if self.lanes.len() <= index {
            self.lanes.resize(index + 1, Turn::default());
        }
        &mut self.lanes[index]
    }

    fn sender(&mut self, sender: u64) -> &mut Sender {
        let bytes_max = self.coalesce;
        self.senders.or_insert_with(sender, || Sender {
            attached: false,
            parked_until: 0,
            children_max: 50,
            bytes_max,
            suspects: Vec::new(),
        })
    }

    /// The lane has entries; `true`: it is new that something is to be done for it.
    pub(crate) fn offer(&mut self, lane: u32, now: u64) -> bool {
        let linger = self.linger_ms;
        let turn = self.turn(lane);
        let is_new = turn.standing == Standing::Ready && !turn.queued;
        if is_new {
            if linger > 0 {
                self.wait(lane, now + linger);
            } else {
                turn.queued = true;
                self.ready.push_back(lane);
            }
        }
        is_new
    }

    /// Whether a request with entries of this lane is under way.
    pub(crate) fn is_busy(&self, lane: u32) -> bool {
        self.lanes.get(lane as usize).is_some_and(|turn| turn.standing == Standing::Busy)
    }

    /// The device is there (again): what waits for it is tried at once.
    pub(crate) fn attach(&mut self, sender: u64, lanes: &Lanes) {
        let state = self.sender(sender);
        state.attached = true;
        state.parked_until = 0;
        for (index, _) in lanes.iter().filter(|(_, lane)| lane.key.sender == sender && lane.queue.len() > 0) {
            self.release(index);
        }
    }

    /// The network is back: what waits for a pause is tried after a short one, so that a fleet does not come
    /// back in one moment.
    pub(crate) fn wake(&mut self, now: u64, fraction: f64) {
        let soon = now + (PAUSE_LEAST_MS as f64 * fraction) as u64;
        self.away_until = self.away_until.min(soon);
        for ((at, lane), ()) in std::mem::take(&mut self.due) {
            let at = at.min(soon);
            self.turn(lane).standing = Standing::Until(at);
            self.due.insert((at, lane), ());
        }
    }

    /// What to send now.
    pub(crate) fn next(&mut self, now: u64, lanes: &Lanes) -> Next {
        while let Some((at, lane)) = self.first_due().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, lane));
            self.release(lane);
        }
        if self.away_until > now {
            // There is something: at least what the failed request held is ready again.
            return Next::At(self.away_until);
        }
        // Each is looked at once: those that are passed over come back to the end.
        for _ in 0..self.ready.len() {
            let Some(lane) = self.ready.pop_front() else { break };
            self.turn(lane).queued = false;
            let state = lanes.get(lane);
            if self.turn(lane).standing != Standing::Ready || state.queue.len() == 0 {
                continue;
            }
            let sender = self.sender(state.key.sender);
            if !sender.attached {
                // Offered again when it is attached.
                continue;
            }
            if sender.parked_until > now {
                let until = sender.parked_until;
                self.wait(lane, until);
                continue;
            }
            let pick = self.pick(lane, lanes);
            if pick.parts.iter().all(|part| part.lane != lane) {
                // Others were chosen for it, to search among them.
                self.turn(lane).queued = true;
                self.ready.push_back(lane);
            }
            if !pick.parts.is_empty() {
                return Next::Send(pick);
            }
        }
        self.first_due().map_or(Next::Nothing, |(at, _)| Next::At(at))
    }

    fn first_due(&self) -> Option<(u64, u32)> {
        self.due.iter().next().map(|(due, ())| *due)
    }

    fn pick(&mut self, lane: u32, lanes: &Lanes) -> Pick {
        let key = lanes.get(lane).key;
        let first_kind = lanes.get(lane).queue.first().map_or(0, Slot::kind);
        let sender = self.sender(key.sender);
        let (bytes_max, children_max) = (sender.bytes_max, sender.children_max);
        let suspects = sender.suspects.clone();
        let mut chosen = vec![lane];
        if first_kind == kind::CHILD {
            if suspects.contains(&lane) {
                // Half of those among which a refused one is.
                chosen = suspects.iter().copied().take((suspects.len() / 2).max(1)).collect();
            } else if self.turn(lane).suspect == 0 && bytes_max > 1 {
                let others: Vec<u32> = self.ready.iter().copied().collect();
                for other in others {
                    if chosen.len() >= children_max {
                        break;
                    }
                    let state = lanes.get(other);
                    let turn = *self.turn(other);
                    let same = state.key.sender == key.sender
                        && state.queue.first().is_some_and(|slot| slot.kind() == kind::CHILD);
                    let free = turn.standing == Standing::Ready && turn.suspect == 0 && other != lane;
                    if same && free && !suspects.contains(&other) {
                        chosen.push(other);
                    }
                }
            }
        }
        let mut parts = Vec::new();
        let mut bytes = 0;
        for lane in chosen {
            let queue = &lanes.get(lane).queue;
            let most = match self.turn(lane).suspect {
                0 => usize::MAX,
                suspect => (suspect as usize / 2).max(1),
            };
            let mut slots = Vec::new();
            for slot in queue.iter().take(most) {
                let same = slot.kind() == first_kind && (first_kind != kind::MESSAGE || slots.is_empty());
                // A few more than fit by their payloads' lengths, which have more in them than the body takes.
                if !same || (!slots.is_empty() && bytes > bytes_max + bytes_max / 8) {
                    break;
                }
                bytes += slot.length();
                slots.push(*slot);
            }
            let turn = self.turn(lane);
            let standing = turn.standing;
            if !slots.is_empty() && standing != Standing::Busy {
                turn.standing = Standing::Busy;
                if let Standing::Until(at) = standing {
                    self.due.remove(&(at, lane));
                }
                parts.push(Part { lane, slots });
            }
            if bytes > bytes_max {
                break;
            }
        }
        let is_retry = parts.iter().any(|part| self.turn(part.lane).tried > 0);
        Pick { sender: key.sender, parts, bytes_max, children_max, is_retry }
    }

    /// The parts' lanes may be served again.
    pub(crate) fn done(&mut self, pick: &Pick) {
        for part in &pick.parts {
            self.release(part.lane);
        }
    }

    /// The attempt to deliver `sent` failed: what follows is a retry.
    pub(crate) fn failed(&mut self, sent: &[Part]) {
        for part in sent {
            let turn = self.turn(part.lane);
            turn.tried = turn.tried.max(part.slots.len() as u32);
        }
    }

    /// The platform has answered to these entries, or they were given up: what was tried before counts no more.
    pub(crate) fn forget_tries(&mut self, parts: &[Part]) {
        for part in parts {
            let turn = self.turn(part.lane);
            turn.tried = turn.tried.saturating_sub(part.slots.len() as u32);
        }
    }

    /// The platform took `sent` of each lane.
    pub(crate) fn delivered(&mut self, pick: &Pick, sent: &[Part]) {
        self.away_failures = 0;
        for part in sent {
            let turn = self.turn(part.lane);
            turn.failures = 0;
            turn.refused = 0;
            turn.unknown_since = None;
            turn.suspect = turn.suspect.saturating_sub(part.slots.len() as u32);
        }
        let sent: Vec<u32> = sent.iter().map(|part| part.lane).collect();
        self.sender(pick.sender).suspects.retain(|lane| !sent.contains(lane));
        self.done(pick);
    }

    /// The platform refused the request for what is in it. The caller settles a single entry.
    pub(crate) fn refused(&mut self, pick: &Pick, sent: &[Part], now: u64) {
        self.away_failures = 0;
        self.done(pick);
        let Some(only) = self.narrowed(pick, sent) else { return };
        let turn = self.turn(only.lane);
        if only.slots.len() > 1 {
            turn.suspect = only.slots.len() as u32;
            return;
        }
        turn.suspect = 0;
        turn.refused += 1;
        if turn.refused >= REFUSED_IN_A_ROW {
            // From here on one for each time that the lane is tried.
            self.wait(only.lane, now + PARKED_MS);
        }
    }

    /// The only lane of a request that was refused: it is then no longer among the suspects. Several lanes become the
    /// suspects.
    fn narrowed<'a>(&mut self, pick: &Pick, sent: &'a [Part]) -> Option<&'a Part> {
        let suspects = &mut self.sender(pick.sender).suspects;
        match sent {
            [only] => {
                suspects.retain(|lane| *lane != only.lane);
                Some(only)
            }
            many => {
                *suspects = many.iter().map(|part| part.lane).collect();
                None
            }
        }
    }

    /// The platform takes no more than half of that at once.
    pub(crate) fn too_much(&mut self, pick: &Pick, sent: &[Part], children: bool, body: usize) {
        if children && sent.len() > 1 {
            self.sender(pick.sender).children_max = (sent.len() / 2).max(1);
        } else if !children && sent.iter().map(|part| part.slots.len()).sum::<usize>() > 1 {
            self.sender(pick.sender).bytes_max = (body / 2).max(2);
        }
    }

    /// A child in the request is not known; `true`: it is the only one, and has been unknown for too long.
    pub(crate) fn unknown_child(&mut self, pick: &Pick, sent: &[Part], now: u64) -> bool {
        self.away_failures = 0;
        self.done(pick);
        let Some(only) = self.narrowed(pick, sent) else { return false };
        let since = *self.turn(only.lane).unknown_since.get_or_insert(now);
        let is_dead = now - since >= UNKNOWN_MS;
        if !is_dead {
            self.wait(only.lane, now + PARKED_MS);
        }
        is_dead
    }

    /// The device is not let in: its lanes stop.
    pub(crate) fn locked_out(&mut self, pick: &Pick, now: u64) {
        self.sender(pick.sender).parked_until = now + PARKED_MS;
        self.done(pick);
    }

    /// The device's pace: nothing was sent.
    pub(crate) fn paced(&mut self, pick: &Pick, until: u64) {
        for part in &pick.parts {
            self.wait(part.lane, until);
        }
    }

    /// An outage, of these lanes or everywhere. `asked_ms`: what the platform asks to wait.
    pub(crate) fn outage(&mut self, pick: &Pick, everywhere: bool, asked_ms: u64, now: u64, fraction: f64) {
        if everywhere {
            self.away_failures += 1;
            self.away_until = now + pause_ms(self.away_failures, fraction).max(asked_ms);
            self.done(pick);
            return;
        }
        for part in &pick.parts {
            let turn = self.turn(part.lane);
            turn.failures += 1;
            let until = now + pause_ms(turn.failures, fraction).max(asked_ms);
            self.wait(part.lane, until);
        }
    }

    fn wait(&mut self, lane: u32, until: u64) {
        if let Standing::Until(before) = self.turn(lane).standing {
            self.due.remove(&(before, lane));
        }
        self.turn(lane).standing = Standing::Until(until);
        self.due.insert((until, lane), ());
    }

    fn release(&mut self, lane: u32) {
        if let Standing::Until(at) = self.turn(lane).standing {
            self.due.remove(&(at, lane));
        }
        let turn = self.turn(lane);
        turn.standing = Standing::Ready;
        if !turn.queued {
            turn.queued = true;
            self.ready.push_back(lane);
        }
    }
}

#[cfg(test)]
mod tests;
