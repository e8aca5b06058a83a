//! All that is known in memory: what waits where, what is not on disk yet, what is settled. It decides what is
//! written and what that means; it does no I/O, so no lock over it is ever held during any.
//!
//! A commit has three steps: [`Book::begin`] says what to write, [`super::log`] writes it, [`Book::finish`] takes
//! note. Puts and answers may come in between.

use std::sync::Arc;

use super::clock::Boots;
use super::frame::{Header, LaneKey, Stamp, append_unsealed, frame_bytes, kind};
use super::lanes::{Lanes, MEMORY, Slot};
use super::log::{Commit, Frames, Log, Outcome, Preamble};
use super::repair::{RESERVED_AT_ONCE, Recovered};
use super::settle;
use super::sorted::Sorted;
use super::space::{Sizes, Space, UNSYNCED_MAX, Use};
use super::storage::Stored;

/// One entry to be put.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) lane: LaneKey,
    pub(crate) kind: u8,
    pub(crate) payload: &'a [u8],
}

/// Whether a put finds room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Fits,
    /// There is, beyond the segments that are there: the device may be full when it is written. After a commit, and once a
    /// segment is ready, it is reserved.
    Unreserved,
    /// After a commit, which makes room in memory, or reserves numbers.
    AfterCommit,
    /// After something is given back.
    NoSpace,
}

/// Where an entry is read from.
pub(crate) enum Source {
    /// Its frame.
    Memory(Vec<u8>),
    File {
        file: Arc<dyn Stored>,
        salt: u32,
        at: u64,
        bytes: u64,
    },
    Lost,
}

/// A segment file.
pub(crate) struct File {
    pub(crate) file: Arc<dyn Stored>,
    pub(crate) salt: u32,
    pub(crate) name: String,
}

/// What is not on disk yet.
#[derive(Default)]
struct Memory {
    /// Being written, or to be written again.
    kept: Vec<(u32, Arc<Frames>)>,
    current: Frames,
    /// The bytes of the largest frame in these.
    largest: u64,
    /// Where `current` begins, in units of 8 bytes, of all that was ever put; it wraps.
    base: u32,
    /// Numbers that were settled here.
    gone: Sorted<u64, ()>,
}

/// The state of one outbox.
pub(crate) struct Book {
    pub(crate) lanes: Lanes,
    pub(crate) space: Space,
    pub(crate) boots: Boots,
    pub(crate) files: Sorted<u32, File>,
    memory: Memory,
    /// Entries become visible when they are on disk, since their puts have not returned before.
    hidden: bool,
    /// Numbers of hidden entries whose puts gave up.
    cancelled: Sorted<u64, ()>,
    next_number: u64,
    /// Numbers below are reserved on disk.
    reserved: u64,
    floor: u64,
    /// Lanes of which the files do not say all that is settled.
    dirty: Vec<u32>,
    writing: Vec<u32>,
    /// Something that was settled is not synced yet.
    pub(crate) settled_unsynced: bool,
    /// Waiting bytes of frames, in memory and on disk.
    pub(crate) waiting: u64,
    pub(crate) waiting_entries: u64,
    pub(crate) lanes_waiting: usize,
}

impl Book {
    /// What was found on disk becomes the present state.
    pub(crate) fn new(found: Recovered, sizes: Sizes, hidden: bool) -> Self {
        let mut space = Space::new(sizes);
        space.newest = found.newest();
        let mut files = Sorted::default();
        for segment in found.segments {
            let used = Use { bytes: segment.bytes, kept: segment.unreadable, ..Use::default() };
            space.segments.insert(segment.place, used);
            files.insert(segment.place, File { file: segment.file, salt: segment.salt, name: segment.name });
        }
        let mut book = Book {
            lanes: Lanes::default(),
            space,
            boots: found.boots,
            files,
            memory: Memory::default(),
            hidden,
            cancelled: Sorted::default(),
            next_number: found.next_number,
            reserved: 0,
            floor: found.settled.floor,
            dirty: Vec::new(),
            writing: Vec::new(),
            settled_unsynced: false,
            waiting: 0,
            waiting_entries: 0,
            lanes_waiting: 0,
        };
        for (key, up_to) in found.settled.lanes() {
            let lane = book.lanes.index(key);
            book.lanes.get_mut(lane).settled = up_to;
        }
        for (key, slots) in found.waiting {
            for slot in slots {
                book.space.add(slot.place, slot.frame_bytes());
                book.push(key, slot);
            }
        }
        book
    }

    /// The number that the next entry gets.
    pub(crate) fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Frames in memory that are not on disk.
    pub(crate) fn unsynced(&self) -> u64 {
        let kept: usize = self.memory.kept.iter().map(|(_, frames)| frames.bytes.len()).sum();
        (kept + self.memory.current.bytes.len()) as u64
    }

    /// Whether all that was put is among what waits: not so while a put waits for its sync.
    pub(crate) fn unsynced_is_visible(&self) -> bool {
        !self.hidden || self.unsynced() == 0
    }

    /// Whether entries of these payload lengths can be put now.
    pub(crate) fn room(&self, lengths: impl Iterator<Item = usize>) -> Room {
        let (mut bytes, mut largest, mut count) = (0, 0, 0);
        for length in lengths {
            let frame = frame_bytes(length) as u64;
            bytes += frame;
            largest = largest.max(frame);
            count += 1;
        }
        let unsynced = self.unsynced();
        if self.next_number + count > self.reserved {
            return Room::AfterCommit;
        }
        if unsynced > 0 && unsynced + bytes > UNSYNCED_MAX {
            return Room::AfterCommit;
        }
        if self.space.fits(unsynced + bytes, largest) {
            // What is acknowledged before it is written must fit into segments that are there.
            let is_reserved = self.space.holds(unsynced + bytes, largest.max(self.memory.largest));
            return if is_reserved { Room::Fits } else { Room::Unreserved };
        }
        if unsynced > 0 { Room::AfterCommit } else { Room::NoSpace }
    }

    /// Takes entries; room was asked for. Returns the first one's number; the others follow.
    pub(crate) fn put(&mut self, entries: &[Entry<'_>], stamp: Stamp) -> u64 {
        let first = self.next_number;
        for entry in entries {
            let header = Header { lane: entry.lane, stamp, ..Header::new(entry.kind, self.next_number, entry.payload) };
            let offset = self.memory.base.wrapping_add((self.memory.current.bytes.len() / 8) as u32);
            append_unsealed(&mut self.memory.current.bytes, &header, entry.payload);
            self.memory.largest = self.memory.largest.max(header.frame_bytes() as u64);
            if !self.hidden {
                let slot = Slot::new(header.number, entry.kind, header.length, stamp.wall_ms).at(MEMORY, offset);
                self.push(entry.lane, slot);
            }
            self.next_number += 1;
        }
        first
    }

    /// The puts of these numbers failed before they were on disk: this process does not deliver them.
    pub(crate) fn cancel(&mut self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            self.cancelled.insert(number, ());
        }
    }

    /// Settles a lane up to a number. Returns how many entries that were.
    pub(crate) fn settle(&mut self, lane: u32, up_to: u64) -> u64 {
        let mut count = 0;
        let mut on_disk = false;
        while let Some(slot) = self.lanes.get(lane).queue.first().copied().filter(|slot| slot.number <= up_to) {
            self.lanes.get_mut(lane).queue.pop();
            count += 1;
            self.waiting -= slot.frame_bytes();
            self.waiting_entries -= 1;
            if slot.place == MEMORY {
                self.memory.gone.insert(slot.number, ());
                let current = slot.offset.wrapping_sub(self.memory.base) as usize;
                on_disk |= current >= self.memory.current.bytes.len() / 8;
            } else {
                self.space.remove(slot.place, slot.frame_bytes());
                on_disk = true;
            }
        }
        if count > 0 {
            let lane_state = self.lanes.get_mut(lane);
            lane_state.settled = lane_state.settled.max(up_to);
            if lane_state.queue.len() == 0 {
                self.lanes_waiting -= 1;
            }
            if on_disk {
                self.mark_dirty(lane);
                self.settled_unsynced = true;
            }
        }
        count
    }

    /// What is to be written now; `None`: nothing. Without `sync` that is what was settled, and nothing else.
    pub(crate) fn begin(&mut self, sync: bool, log: &Log) -> Option<Commit> {
        let mut commit = Commit { number: self.next_number, sync, room: self.space.unused(), ..Commit::default() };
        if !sync || self.unsynced() == 0 {
            commit.room = self.room_for_records(log);
        }
        if sync {
            self.floor = self.floor.max(self.first_unsettled());
            if !self.memory.current.bytes.is_empty() {
                let frames = std::mem::take(&mut self.memory.current);
                let base = self.memory.base;
                self.memory.base = base.wrapping_add((frames.bytes.len() / 8) as u32);
                self.memory.kept.push((base, Arc::new(frames)));
            }
            commit.entries = self.memory.kept.iter().map(|(_, frames)| Arc::clone(frames)).collect();
            commit.skip = self.memory.gone.clone();
            if self.next_number + RESERVED_AT_ONCE / 2 > self.reserved {
                commit.reserve = Some(self.next_number + RESERVED_AT_ONCE);
            }
        }
        let reserved = commit.reserve.unwrap_or(self.reserved);
        if !self.dirty.is_empty() || commit.reserve.is_some() {
            self.take_dirty();
            let lanes = self.writing.iter().map(|lane| self.lanes.get(*lane)).map(|lane| (lane.key, lane.settled));
            commit.settled = Some(settle::record(self.floor, reserved, lanes));
        }
        let nothing = commit.entries.is_empty() && commit.settled.is_none();
        if nothing && !(sync && self.settled_unsynced) {
            return None;
        }
        if sync {
            self.settled_unsynced = false;
        }
        self.provide_preamble(&mut commit, reserved, log);
        Some(commit)
    }

    /// The files do not say all that is settled of this lane.
    fn mark_dirty(&mut self, lane: u32) {
        let state = self.lanes.get_mut(lane);
        if !state.dirty {
            state.dirty = true;
            self.dirty.push(lane);
        }
    }

    /// What they do not say of lanes is being written.
    fn take_dirty(&mut self) {
        self.writing = std::mem::take(&mut self.dirty);
        for lane in &self.writing {
            self.lanes.get_mut(*lane).dirty = false;
        }
    }

    /// A commit that writes `copies` of entries and the record of all lanes: what must be durable before a
    /// segment is removed.
    pub(crate) fn begin_reclaim(&mut self, copies: Frames, log: &Log) -> Commit {
        self.floor = self.floor.max(self.first_unsettled());
        let mut commit = Commit {
            number: self.next_number,
            sync: true,
            room: self.room_for_records(log),
            entries: vec![Arc::new(copies)],
            ..Commit::default()
        };
        self.take_dirty();
        commit.settled = Some(self.all_lanes(self.reserved));
        self.provide_preamble(&mut commit, self.reserved, log);
        commit
    }

    /// Takes note of what became of a commit.
    pub(crate) fn finish(&mut self, commit: &Commit, outcome: &Outcome, log: &Log) {
        self.note_segments(outcome, log);
        if outcome.error.is_some() {
            for lane in std::mem::take(&mut self.writing) {
                self.mark_dirty(lane);
            }
            self.settled_unsynced = true;
            if self.hidden {
                // These puts return the error; copies are read again.
                self.memory.kept.clear();
                self.cancelled.clear();
            }
            return;
        }
        self.writing.clear();
        for placed in &outcome.placed {
            self.place(placed.header, placed.place, placed.offset);
        }
        if commit.sync {
            self.memory.kept.retain(|(_, frames)| !commit.entries.iter().any(|written| Arc::ptr_eq(written, frames)));
            for (number, ()) in commit.skip.iter() {
                self.memory.gone.remove(number);
            }
            if self.unsynced() == 0 {
                self.memory.largest = 0;
            }
            self.reserved = self.reserved.max(commit.reserve.unwrap_or(0));
            if let Some(active) = log.active() {
                self.space.newest = Some(active);
            }
        }
    }

    /// Takes note of segments that were begun or closed.
    pub(crate) fn note_segments(&mut self, outcome: &Outcome, log: &Log) {
        for begun in &outcome.begun {
            self.space.segments.insert(begun.place, Use { bytes: begun.bytes, open: true, ..Use::default() });
            let file = File { file: Arc::clone(&begun.file), salt: begun.salt, name: begun.name.clone() };
            self.files.insert(begun.place, file);
        }
        for place in &outcome.closed {
            if let Some(segment) = self.space.segments.get_mut(place) {
                segment.open = false;
            }
        }
        self.space.needed_before = log.needed_before();
        self.space.left_in_active = log.left();
        self.space.left = log.left() + log.spare_left(self.space.overhead);
    }

    /// Whether the entry waits in this place.
    pub(crate) fn waits_at(&mut self, key: LaneKey, number: u64, place: u32) -> bool {
        let Some(lane) = self.lanes.find(key) else { return false };
        self.lanes.get_mut(lane).queue.find(number).is_some_and(|slot| slot.place == place)
    }

    /// The file of `place` is removed: the file, and what it took. What still waits there could not be read.
    pub(crate) fn forget_segment(&mut self, place: u32) -> Option<(File, Use)> {
        let used = self.space.segments.remove(&place)?;
        Some((self.files.remove(&place)?, used))
    }

    /// Where an entry is read from.
    pub(crate) fn source(&self, slot: &Slot) -> Source {
        if slot.place == MEMORY {
            return self.memory.frame(slot).map_or(Source::Lost, |bytes| Source::Memory(bytes.to_vec()));
        }
        match self.files.get(&slot.place) {
            Some(file) => Source::File {
                file: Arc::clone(&file.file),
                salt: file.salt,
                at: u64::from(slot.offset) * 8,
                bytes: slot.frame_bytes(),
            },
            None => Source::Lost,
        }
    }

    /// What records of what was settled may take: they give space back, so the last segment is theirs. Where there
    /// is more on disk than allowed, because a power cut undid removals or because less is allowed than before, one
    /// more is taken, without which nothing could ever be given back.
    fn room_for_records(&self, log: &Log) -> u64 {
        let room = self.space.unused_for_records();
        if log.active().is_none() { room.max(self.space.sizes.segment) } else { room }
    }

    /// Entries below this are settled, in every lane.
    fn first_unsettled(&self) -> u64 {
        let kept = self.memory.kept.iter().map(|(_, frames)| &**frames);
        let in_memory = kept.chain([&self.memory.current]).filter_map(|frames| frames.iter().next());
        let in_memory = in_memory.map(|(header, _)| header.number).min();
        [self.lanes.first_waiting(), in_memory].into_iter().flatten().min().unwrap_or(self.next_number)
    }

    fn all_lanes(&self, reserved: u64) -> Vec<u8> {
        let lanes = self.lanes.iter().filter(|(_, lane)| lane.settled >= self.floor);
        settle::record(self.floor, reserved, lanes.map(|(_, lane)| (lane.key, lane.settled)))
    }

    fn provide_preamble(&mut self, commit: &mut Commit, reserved: u64, log: &Log) {
        let entries: usize = commit.entries.iter().map(|frames| frames.bytes.len()).sum();
        let record = commit.settled.as_ref().map_or(0, |record| frame_bytes(record.len()));
        let needed = (entries + record + frame_bytes(8)) as u64;
        if log.left() < needed {
            let preamble = Preamble { reserved, boots: self.boots.payloads(), settled: self.all_lanes(reserved) };
            self.space.overhead = preamble.overhead();
            commit.preamble = Some(preamble);
        }
    }

    fn push(&mut self, key: LaneKey, slot: Slot) {
        let lane = self.lanes.index(key);
        let queue = &mut self.lanes.get_mut(lane).queue;
        if queue.len() == 0 {
            self.lanes_waiting += 1;
        }
        queue.push(slot);
        self.waiting += slot.frame_bytes();
        self.waiting_entries += 1;
    }

    fn place(&mut self, header: Header, place: u32, offset: u32) {
        if !kind::is_entry(header.kind) {
            return;
        }
        let lane = self.lanes.index(header.lane);
        let bytes = header.frame_bytes() as u64;
        if let Some(slot) = self.lanes.get_mut(lane).queue.find(header.number) {
            let before = slot.place;
            *slot = slot.at(place, offset);
            self.space.remove(before, bytes);
            self.space.add(place, bytes);
            return;
        }
        let last = self.lanes.get(lane).queue.last().map_or(0, |slot| slot.number);
        self.memory.gone.remove(&header.number);
        let settled = header.number < self.floor || header.number <= self.lanes.get(lane).settled;
        let is_new = self.hidden && !settled && header.number > last;
        if is_new && self.cancelled.remove(&header.number).is_none() {
            let slot = Slot::new(header.number, header.kind, header.length, header.stamp.wall_ms);
            self.space.add(place, bytes);
            self.push(header.lane, slot.at(place, offset));
        }
    }
}

impl Memory {
    fn frame(&self, slot: &Slot) -> Option<&[u8]> {
        let kept = self.kept.iter().map(|(base, frames)| (*base, &**frames));
        kept.chain([(self.base, &self.current)]).find_map(|(base, frames)| {
            let units = slot.offset.wrapping_sub(base) as usize;
            let from = (units < frames.bytes.len() / 8).then_some(units * 8)?;
            frames.bytes.get(from..from + frame_bytes(slot.length()))
        })
    }
}

#[cfg(test)]
mod tests;
