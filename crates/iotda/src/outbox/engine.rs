//! Puts the memory ([`super::book`]) and the files ([`super::log`]) together, for many threads: one of them writes
//! at a time, without a lock, and those that wait for the same sync share it.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use super::book::{Book, Entry, Room, Source};
use super::clock::{Clocks, Now};
use super::frame::{Header, LaneKey, Stamp, frame_bytes, kind};
use super::lanes::Slot;
use super::log::{Frames, Log, Outcome, is_bound, read_entry};
use super::repair::{Recovered, Unusable, recover};
use super::segment;
use super::space::{Pressure, Reclaim, Sizes, Use};
use super::storage::Storage;

/// How an outbox keeps what is put.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keeping {
    pub(crate) sizes: Sizes,
    /// A put returns when its entries are on the device.
    pub(crate) sync_at_put: bool,
    pub(crate) pad: bool,
}

/// Why the files could not be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: io::ErrorKind,
    /// The outbox's own bound, and no fault of the files.
    pub(crate) bound: bool,
    pub(crate) text: String,
}

impl From<&io::Error> for Failure {
    fn from(error: &io::Error) -> Self {
        Failure { kind: error.kind(), bound: is_bound(error), text: error.to_string() }
    }
}

/// Why a put failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotPut {
    /// An entry may take so many bytes at most.
    TooLarge(u64),
    /// There is no space, and none to be had without dropping entries.
    Full,
    Storage(Failure),
    Timeout,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Records found at the start, and segments that could not be read when they were copied.
    pub(crate) damaged: u64,
    pub(crate) syncs: u64,
    pub(crate) bytes_written: u64,
}

pub(crate) struct State {
    pub(crate) book: Book,
    /// Whoever writes takes it out.
    log: Option<Log>,
    /// Set when the present buffer is on the device, or was not written.
    ticket: Ticket,
    /// The last write failed, and no other has succeeded.
    pub(crate) failure: Option<Failure>,
    /// The last put found no space in a file, and none could be had.
    is_short: bool,
    /// Since when one of these is so, in Unix milliseconds as this machine's clock had it.
    failing_since_ms: i64,
    pub(crate) counts: Counts,
    /// Raised by each [`Engine::notify`].
    pub(crate) events: u64,
    /// Threads that wait for a change: without them, nobody is woken, which would be a system call.
    pub(crate) waiters: usize,
}

type Ticket = Arc<OnceLock<Result<(), Failure>>>;

/// One outbox's memory and files.
pub(crate) struct Engine {
    storage: Arc<dyn Storage>,
    keeping: Keeping,
    clocks: Arc<dyn Clocks>,
    state: Mutex<State>,
    changed: Condvar,
}

impl Engine {
    /// Reads the files. That the first segment cannot be begun is no error: puts will say so.
    pub(crate) fn open(
        storage: Arc<dyn Storage>,
        keeping: Keeping,
        boot: Option<[u8; 16]>,
        clocks: Arc<dyn Clocks>,
    ) -> Result<(Self, u32), Unusable> {
        let mut found: Recovered = recover(&*storage)?;
        let number = found.boots.enter(boot);
        let next_place = found.newest().map_or(0, |place| place + 1);
        let last = found.last_begun();
        let counts = Counts { damaged: found.damaged + found.unreadable(), ..Counts::default() };
        let log = Log::new(Arc::clone(&storage), keeping.sizes.segment, keeping.pad, next_place, last);
        let book = Book::new(found, keeping.sizes, keeping.sync_at_put);
        let state = State {
            book,
            log: Some(log),
            ticket: Ticket::default(),
            failure: None,
            is_short: false,
            failing_since_ms: 0,
            counts,
            events: 0,
            waiters: 0,
        };
        let engine = Engine { storage, keeping, clocks, state: Mutex::new(state), changed: Condvar::new() };
        if engine.commit(true, None).is_ok() {
            while engine.reclaim(Pressure::None).unwrap_or(false) {}
        }
        Ok((engine, number))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no other thread was in the midst of changing anything: for a child made by `fork`, which has no others.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.state.try_lock().is_ok()
    }

    /// Puts entries, all or none; returns the first one's number.
    pub(crate) fn put(&self, entries: &[Entry<'_>], stamp: Stamp, deadline: Option<Instant>) -> Result<u64, NotPut> {
        let lengths = || entries.iter().map(|entry| entry.payload.len());
        if lengths().any(|length| frame_bytes(length) as u64 > self.keeping.sizes.entry) {
            return Err(NotPut::TooLarge(self.keeping.sizes.entry));
        }
        let mut state = self.lock();
        // Each segment is copied once at most for one put.
        let mut tries = state.book.space.segments.len() + 2;
        let mut is_reserved = false;
        loop {
            let room = if state.failure.is_some() { Room::AfterCommit } else { state.book.room(lengths()) };
            match room {
                Room::Fits => break,
                // A sync is under way, which may take long. What waits already may wait with more.
                Room::Unreserved if state.log.is_none() || is_reserved => break,
                Room::Unreserved if state.book.unsynced() == 0 => {
                    drop(state);
                    let bytes = lengths().map(|length| frame_bytes(length) as u64).sum();
                    self.reserve(bytes, deadline)?;
                    // Where the file system reserves nothing, there is nothing to wait for.
                    is_reserved = true;
                    state = self.lock();
                }
                Room::Unreserved | Room::AfterCommit => {
                    drop(state);
                    self.commit(true, deadline)?;
                    state = self.lock();
                    // The write succeeded, but giving space back failed after it: trying again would loop for ever.
                    if let Some(failure) = state.failure.clone() {
                        return Err(failure.into());
                    }
                }
                Room::NoSpace => {
                    drop(state);
                    if tries == 0 || !self.reclaim(Pressure::Put)? {
                        return Err(NotPut::Full);
                    }
                    tries -= 1;
                    state = self.lock();
                }
            }
        }
        state.is_short = false;
        let first = state.book.put(entries, stamp);
        if !self.keeping.sync_at_put {
            return Ok(first);
        }
        let ticket = Arc::clone(&state.ticket);
        drop(state);
        let result = self.wait_for(&ticket, deadline);
        if result == Err(NotPut::Timeout) {
            let mut state = self.lock();
            // It may have been written in the meantime.
            match ticket.get() {
                Some(done) => return done.clone().map(|()| first).map_err(NotPut::from),
                None => state.book.cancel(first..first + entries.len() as u64),
            }
        }
        result.map(|()| first)
    }

    /// Writes what waits to be written; with `sync` until it is on the device. Gives space back where the write
    /// needs it, or has taken what is kept free.
    pub(crate) fn commit(&self, sync: bool, deadline: Option<Instant>) -> Result<(), NotPut> {
        let mut result = self.commit_once(sync, deadline);
        for _ in 0..8 {
            let full = result == Err(NotPut::Full);
            let state = self.lock();
            let space = &state.book.space;
            let over = space.used() > space.sizes.log;
            // Two free segments are enough for copies and for what is settled meanwhile.
            let short = space.unused() < 2 * space.sizes.segment;
            drop(state);
            let pressure = if over { Pressure::Last } else { Pressure::Put };
            if !(full || short) || !self.reclaim(pressure).unwrap_or(false) {
                break;
            }
            if full {
                result = self.commit_once(sync, deadline);
            }
        }
        result
    }

    fn commit_once(&self, sync: bool, deadline: Option<Instant>) -> Result<(), NotPut> {
        let Some((mut state, mut log)) = self.take_log(deadline) else { return Err(NotPut::Timeout) };
        let Some(commit) = state.book.begin(sync, &log) else {
            drop(state);
            self.give_back(log, None);
            return Ok(());
        };
        let ticket = if sync { std::mem::take(&mut state.ticket) } else { Ticket::default() };
        drop(state);
        let outcome = log.write(&commit);
        let mut state = self.lock();
        state.book.finish(&commit, &outcome, &log);
        state.note(&outcome, sync, &*self.clocks);
        drop(state);
        let result = outcome.error.as_ref().map(Failure::from).map_or(Ok(()), Err);
        let _ = ticket.set(result.clone());
        self.changed.notify_all();
        // A failure shows at the put that needs the space.
        self.give_back(log, (result.is_ok() && sync).then_some(0));
        result.map_err(NotPut::from)
    }

    /// Has space in a file ready for frames of so many bytes.
    fn reserve(&self, bytes: u64, deadline: Option<Instant>) -> Result<(), NotPut> {
        let Some((state, log)) = self.take_log(deadline) else { return Err(NotPut::Timeout) };
        drop(state);
        let Some(error) = self.give_back(log, Some(bytes)) else { return Ok(()) };
        let mut state = self.lock();
        state.note_since(&*self.clocks);
        state.is_short = true;
        Err(error.into())
    }

    /// Gives the log back, once a segment is ready for frames of so many `bytes`. Returns why none could be made ready.
    fn give_back(&self, mut log: Log, bytes: Option<u64>) -> Option<io::Error> {
        let (mut state, mut error) = (self.lock(), None);
        if let Some(bytes) = bytes {
            let space = &state.book.space;
            let (number, overhead, room) = (state.book.next_number(), space.overhead, space.unused());
            drop(state);
            let prepared = log.prepare(number, overhead, room, bytes);
            state = self.lock();
            state.book.note_segments(&prepared, &log);
            state.counts.bytes_written += prepared.bytes;
            error = prepared.error;
        }
        state.log = Some(log);
        drop(state);
        self.changed.notify_all();
        error
    }

    /// Gives space back; `false`: there is none to be had.
    pub(crate) fn reclaim(&self, pressure: Pressure) -> Result<bool, NotPut> {
        let Some((state, mut log)) = self.take_log(None) else { return Ok(false) };
        let result = self.reclaim_with(state, &mut log, pressure);
        self.give_back(log, None);
        result
    }

    fn reclaim_with(&self, state: MutexGuard<'_, State>, log: &mut Log, pressure: Pressure) -> Result<bool, NotPut> {
        let mut state = state;
        let (places, copies) = match state.book.space.reclaim(pressure) {
            Reclaim::Nothing => return Ok(false),
            Reclaim::Remove(places) => (places, Frames::default()),
            Reclaim::Copy(place) => {
                let Some(file) = state.book.files.get(&place) else { return Ok(false) };
                let bytes = state.book.space.segments.get(&place).map_or(0, |segment| segment.bytes);
                let (file, salt) = (Arc::clone(&file.file), file.salt);
                drop(state);
                let (bytes, unreadable) = segment::read(&*file, bytes)?;
                state = self.lock();
                if unreadable {
                    // It may be readable at another time.
                    if let Some(segment) = state.book.space.segments.get_mut(&place) {
                        segment.kept = true;
                    }
                    state.counts.damaged += 1;
                    return Ok(true);
                }
                (vec![place], state.copies(place, &bytes, salt))
            }
        };
        let commit = state.book.begin_reclaim(copies, log);
        drop(state);
        let outcome = log.write(&commit);
        let mut state = self.lock();
        state.book.finish(&commit, &outcome, log);
        state.note(&outcome, true, &*self.clocks);
        // A segment in which nothing waits may go without a further record: the newest one began with one.
        let nothing_copied = commit.entries.iter().all(|frames| frames.bytes.is_empty());
        if let Some(error) = outcome.error.as_ref().filter(|_| !(outcome.refused && nothing_copied)) {
            return Err(NotPut::from(Failure::from(error)));
        }
        drop(state);
        log.sync_names()?;
        self.lock().counts.syncs += 1;
        for place in places {
            let Some((file, used)) = self.lock().book.forget_segment(place) else { continue };
            if self.storage.unlink(&file.name).is_err() {
                // It still takes its space, and holds nothing that waits.
                let used = Use { bytes: used.bytes, kept: true, ..Use::default() };
                self.lock().book.space.segments.insert(place, used);
            }
        }
        Ok(true)
    }

    /// Reads an entry; `None`: it is damaged, or cannot be read now.
    pub(crate) fn read(&self, key: LaneKey, slot: &Slot) -> Option<(Header, Vec<u8>)> {
        self.try_read(key, slot).ok().flatten()
    }

    /// Reads an entry; `None`: it is damaged. An error says that it cannot be read now, which may pass.
    pub(crate) fn try_read(&self, key: LaneKey, slot: &Slot) -> io::Result<Option<(Header, Vec<u8>)>> {
        let mut slot = *slot;
        // A copy may have moved it in between, once for each time that it is read; and what fails now may not fail again.
        for left in (0..4).rev() {
            let source = self.lock().book.source(&slot);
            let found = match source {
                Source::Memory(frame) => Ok(frame.first_chunk().map(Header::decode).map(|header| (header, frame))),
                Source::Lost => Ok(None),
                Source::File { file, salt, at, bytes } => read_entry(&*file, salt, at, bytes, (key, slot.number)),
            };
            if let Ok(Some(_)) = found {
                return found;
            }
            let mut state = self.lock();
            let Some(lane) = state.book.lanes.find(key) else { return Ok(None) };
            let Some(now) = state.book.lanes.get_mut(lane).queue.find(slot.number).copied() else { return Ok(None) };
            if now == slot {
                drop(state);
                if found.is_err() && left > 0 {
                    continue;
                }
                found?;
                break;
            }
            slot = now;
        }
        Ok(None)
    }

    /// Waits until something changes, or the deadline.
    pub(crate) fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        deadline: Option<Instant>,
    ) -> Option<MutexGuard<'a, State>> {
        let mut state = state;
        let left = match deadline {
            Some(deadline) => Some(deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?),
            None => None,
        };
        state.waiters += 1;
        let mut state = match left {
            Some(left) => self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
        state.waiters -= 1;
        Some(state)
    }

    /// Wakes whoever waits for something to do.
    pub(crate) fn notify(&self) {
        let mut state = self.lock();
        state.events += 1;
        let waits = state.waiters > 0;
        drop(state);
        if waits {
            self.changed.notify_all();
        }
    }

    /// Waits until there were more events than `seen`, or until then.
    pub(crate) fn wait_for_event(&self, seen: u64, until: Option<Instant>) {
        let mut state = self.lock();
        while state.events == seen {
            match self.wait(state, until) {
                Some(again) => state = again,
                None => return,
            }
        }
    }

    /// Notes what the platform's clock says.
    pub(crate) fn learn(&self, now: &Now) {
        self.lock().book.boots.learn(now);
    }

    fn take_log(&self, deadline: Option<Instant>) -> Option<(MutexGuard<'_, State>, Log)> {
        let mut state = self.lock();
        loop {
            if let Some(log) = state.log.take() {
                return Some((state, log));
            }
            state = self.wait(state, deadline)?;
        }
    }

    /// Waits for the sync that `ticket` is of, and does it if nobody else does.
    fn wait_for(&self, ticket: &Ticket, deadline: Option<Instant>) -> Result<(), NotPut> {
        loop {
            let state = self.lock();
            if let Some(result) = ticket.get() {
                return result.clone().map_err(NotPut::from);
            }
            if state.log.is_some() {
                drop(state);
                // Its own result is the ticket's, unless somebody else was faster.
                let _ = self.commit(true, deadline);
                continue;
            }
            if self.wait(state, deadline).is_none() {
                return Err(NotPut::Timeout);
            }
        }
    }
}

impl State {
    fn note(&mut self, outcome: &Outcome, sync: bool, clocks: &dyn Clocks) {
        self.counts.bytes_written += outcome.bytes;
        self.counts.syncs += outcome.syncs;
        match &outcome.error {
            Some(_) if outcome.refused => {}
            Some(error) => {
                self.note_since(clocks);
                self.failure = Some(Failure::from(error));
            }
            None if sync => self.failure = None,
            None => {}
        }
    }

    fn note_since(&mut self, clocks: &dyn Clocks) {
        if self.failing_since_ms().is_none() {
            self.failing_since_ms = clocks.wall_ms();
        }
    }

    /// Since when puts have been failing for the storage.
    pub(crate) fn failing_since_ms(&self) -> Option<i64> {
        (self.failure.is_some() || self.is_short).then_some(self.failing_since_ms)
    }

    /// The frames of a segment that still wait in it.
    fn copies(&mut self, place: u32, bytes: &[u8], salt: u32) -> Frames {
        let mut frames = Frames::default();
        for item in segment::items(bytes, salt) {
            if let segment::Item::Frame { at, header, .. } = item {
                if kind::is_entry(header.kind) && self.book.waits_at(header.lane, header.number, place) {
                    frames.bytes.extend_from_slice(&bytes[at..at + header.frame_bytes()]);
                }
            }
        }
        frames
    }
}

impl From<Failure> for NotPut {
    fn from(failure: Failure) -> Self {
        if failure.bound { NotPut::Full } else { NotPut::Storage(failure) }
    }
}

impl From<io::Error> for NotPut {
    fn from(error: io::Error) -> Self {
        NotPut::from(Failure::from(&error))
    }
}
