//! Finds at the start what the files hold, whatever state they are in. Damage is skipped and counted, and never
//! an error; each byte is read once, and again where its file could not be read as a whole.

use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;

use super::clock::Boots;
use super::frame::{LaneKey, kind, u64_at};
use super::lanes::Slot;
use super::segment::{self, Item, PAGE};
use super::settle::Settled;
use super::sorted::Sorted;
use super::storage::{Storage, Stored};

/// Numbers are reserved this many at a time.
pub(crate) const RESERVED_AT_ONCE: u64 = 65_536;

/// A segment that was found.
pub(crate) struct Found {
    pub(crate) place: u32,
    pub(crate) name: String,
    pub(crate) salt: u32,
    pub(crate) file: Arc<dyn Stored>,
    /// After it was cut.
    pub(crate) bytes: u64,
    /// A page of it could not be read: it stays as it is.
    pub(crate) unreadable: bool,
    /// That of its first record: when it was begun. 0: it was not, as far as can be read.
    begun: u64,
    /// Where its last frame ends.
    end: u64,
    ended: bool,
}

/// What the files hold.
#[derive(Default)]
pub(crate) struct Recovered {
    /// In the order in which they were made.
    pub(crate) segments: Vec<Found>,
    /// What waits, in order of numbers for each lane.
    pub(crate) waiting: Sorted<LaneKey, Vec<Slot>>,
    pub(crate) settled: Settled,
    /// Above all numbers that may have been handed out.
    pub(crate) next_number: u64,
    pub(crate) boots: Boots,
    /// Damaged records.
    pub(crate) damaged: u64,
}

/// Why the files cannot be used.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// A newer version of this library wrote them.
    Newer,
    Io(io::Error),
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Unusable::Io(error)
    }
}

/// Whether a file that cannot be opened never will be: it is gone, or the device or the file system has a fault. Not so
/// where the process has too many files open, or may not read it.
fn is_damage(error: &io::Error) -> bool {
    // EIO, EBADMSG and EUCLEAN, by which file systems of Linux report damage.
    error.kind() == io::ErrorKind::NotFound || matches!(error.raw_os_error(), Some(5 | 74 | 117))
}

/// Reads all segments. Nothing is changed if they are a newer version's.
pub(crate) fn recover(storage: &dyn Storage) -> Result<Recovered, Unusable> {
    let names = segment::in_order(storage, segment::parse_name)?;
    let mut found = Recovered::default();
    let mut entries: Vec<(LaneKey, Slot)> = Vec::new();
    let mut highest = 0;
    for (place, ((number, salt), (name, length))) in names.into_iter().enumerate() {
        highest = highest.max(number);
        // Without what this file holds, its entries would count as settled.
        let file = match storage.open(&name).or_else(|_| storage.open(&name)) {
            Ok(file) => file,
            Err(error) if is_damage(&error) => {
                found.damaged += 1;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let mut segment = Found {
            place: place as u32,
            name,
            salt,
            file,
            bytes: length.next_multiple_of(PAGE),
            unreadable: false,
            begun: 0,
            end: 0,
            ended: false,
        };
        match segment::read(&*segment.file, length) {
            Ok((bytes, unreadable)) => {
                segment.unreadable = unreadable;
                found.read(&mut segment, &bytes, &mut entries, &mut highest)?;
            }
            Err(_) => segment.unreadable = true,
        }
        found.segments.push(segment);
    }
    for segment in &mut found.segments {
        segment.trim();
    }
    // Reservations may be ahead of what was written by one step, which damage may have taken.
    found.next_number = found.settled.reserved.max(highest.saturating_add(1)).saturating_add(RESERVED_AT_ONCE);
    found.arrange(entries);
    Ok(found)
}

impl Recovered {
    /// The segment that was made last.
    pub(crate) fn newest(&self) -> Option<u32> {
        self.segments.last().map(|segment| segment.place)
    }

    /// The segment that was begun last. The one that was made last may be a spare one.
    pub(crate) fn last_begun(&self) -> Option<u32> {
        let begun = self.segments.iter().filter(|segment| segment.begun > 0);
        begun.max_by_key(|segment| segment.begun).map(|segment| segment.place)
    }

    /// Segments of which a page cannot be read.
    pub(crate) fn unreadable(&self) -> u64 {
        self.segments.iter().filter(|segment| segment.unreadable).count() as u64
    }

    fn read(
        &mut self,
        segment: &mut Found,
        bytes: &[u8],
        entries: &mut Vec<(LaneKey, Slot)>,
        highest: &mut u64,
    ) -> Result<(), Unusable> {
        let mut items = segment::items(bytes, segment.salt);
        for item in items.by_ref() {
            let (at, header, payload) = match item {
                Item::Frame { at, header, payload } => (at, header, payload),
                Item::Damaged { header } => {
                    *highest = (*highest).max(header.number);
                    self.damaged += 1;
                    continue;
                }
                Item::Noise => {
                    self.damaged += 1;
                    continue;
                }
            };
            *highest = (*highest).max(header.number);
            if segment.begun == 0 {
                segment.begun = header.number;
            }
            match header.kind {
                entry if kind::is_entry(entry) => {
                    self.boots.named(header.stamp.boot);
                    let slot = Slot::new(header.number, entry, header.length, header.stamp.wall_ms);
                    entries.push((header.lane, slot.at(segment.place, (at / 8) as u32)));
                }
                kind::SETTLED => self.damaged += u64::from(!self.settled.merge(payload)),
                kind::RESERVATION => self.settled.reserved = self.settled.reserved.max(u64_at(payload, 0)),
                kind::BOOT => self.boots.merge(payload),
                kind::END => segment.ended = true,
                unknown if unknown < kind::SKIPPABLE => return Err(Unusable::Newer),
                _ => {}
            }
        }
        segment.end = items.end as u64;
        Ok(())
    }

    /// Leaves out what is settled, and second copies.
    fn arrange(&mut self, entries: Vec<(LaneKey, Slot)>) {
        for (key, slot) in entries {
            if !self.settled.covers(key, slot.number) {
                self.waiting.or_insert_with(key, Vec::new).push(slot);
            }
        }
        for slots in self.waiting.values_mut() {
            // Only copies are out of order.
            if !slots.is_sorted_by_key(|slot| slot.number) {
                *slots = BinaryHeap::from(std::mem::take(slots)).into_sorted_vec();
            }
            slots.dedup_by_key(|slot| slot.number);
        }
    }
}

impl Found {
    /// Cuts what was never written to, so that starting over and over does not fill the directory, and makes
    /// durable what was found. Failures cost space, or wait for the next write.
    fn trim(&mut self) {
        if self.unreadable || self.ended {
            return;
        }
        if self.end.next_multiple_of(PAGE) < self.bytes && self.file.set_length(self.end).is_ok() {
            self.bytes = self.end.next_multiple_of(PAGE);
        }
        let _ = self.file.sync();
    }
}
