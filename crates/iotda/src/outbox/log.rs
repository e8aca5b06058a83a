//! Writes frames into segments: appends, syncs, begins a new segment where one is full or a write has failed.
//!
//! What is written, and what it means that it was, is decided by [`super::book`].

use std::io;
use std::sync::Arc;

use super::frame::{self, HEADER, Header, LaneKey, append, frame_bytes, kind};
use super::segment::{self, PAGE};
use super::sorted::Sorted;
use super::storage::{Storage, Stored, write_all};

/// Frames one behind the other, whose place in a file is not known yet.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    pub(crate) bytes: Vec<u8>,
}

impl Frames {
    /// Each frame's header and bytes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Header, &[u8])> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let header = Header::decode(rest.first_chunk()?);
            let (frame, more) = rest.split_at_checked(header.frame_bytes())?;
            rest = more;
            Some((header, frame))
        })
    }
}

/// What a segment begins with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Preamble {
    pub(crate) reserved: u64,
    /// Payloads of boot frames.
    pub(crate) boots: Vec<[u8; 32]>,
    /// The record of all lanes.
    pub(crate) settled: Vec<u8>,
}

impl Preamble {
    fn bytes(&self) -> usize {
        frame_bytes(8) + self.boots.len() * frame_bytes(32) + frame_bytes(self.settled.len())
    }

    /// What a segment holds beside entries: this, and the same record again with the end.
    pub(crate) fn overhead(&self) -> u64 {
        (self.bytes() + self.ending()) as u64
    }

    fn ending(&self) -> usize {
        frame_bytes(self.settled.len()) + HEADER
    }
}

/// One thing to write.
#[derive(Debug, Default)]
pub(crate) struct Commit {
    pub(crate) entries: Vec<Arc<Frames>>,
    /// Numbers among the entries that were settled in memory and need not be written.
    pub(crate) skip: Sorted<u64, ()>,
    /// A record of the lanes that changed.
    pub(crate) settled: Option<Vec<u8>>,
    /// Numbers below this are taken: written if it is more than the files say.
    pub(crate) reserve: Option<u64>,
    /// For segments that are begun; needed if what is written may not fit into the present one.
    pub(crate) preamble: Option<Preamble>,
    /// The next number.
    pub(crate) number: u64,
    /// How much the segments may grow in all.
    pub(crate) room: u64,
    pub(crate) sync: bool,
}

/// Where an entry was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) header: Header,
    pub(crate) place: u32,
    /// In units of 8 bytes.
    pub(crate) offset: u32,
}

/// A segment that was begun.
pub(crate) struct Begun {
    pub(crate) place: u32,
    pub(crate) file: Arc<dyn Stored>,
    pub(crate) salt: u32,
    pub(crate) bytes: u64,
    pub(crate) name: String,
}

/// What became of a commit. The lists are right even if it failed.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) placed: Vec<Placed>,
    pub(crate) begun: Vec<Begun>,
    /// No longer written to.
    pub(crate) closed: Vec<u32>,
    pub(crate) bytes: u64,
    pub(crate) syncs: u64,
    pub(crate) error: Option<io::Error>,
    /// The error is that the room of the commit was used up: nothing is wrong with the files.
    pub(crate) refused: bool,
}

/// A segment that is written to.
struct Open {
    place: u32,
    file: Arc<dyn Stored>,
    salt: u32,
    size: u64,
    at: u64,
    /// Written since the last sync.
    dirty: bool,
}

/// The writer of one outbox.
pub(crate) struct Log {
    storage: Arc<dyn Storage>,
    segment: u64,
    /// Commits begin at page boundaries, so that no page that was synced is written again.
    pad: bool,
    active: Option<Open>,
    spare: Option<Open>,
    /// The last one that was written to, and the one before it.
    last: Option<u32>,
    before: Option<u32>,
    /// What is kept free at the end of the active segment.
    ending: usize,
    next_place: u32,
    /// Number and salt of the segment that was made last.
    named: (u64, u32),
    names_changed: bool,
}

impl Log {
    /// A log whose segments are numbered from `next_place` on; `last` was written to last. Writes nothing.
    pub(crate) fn new(storage: Arc<dyn Storage>, segment: u64, pad: bool, next_place: u32, last: Option<u32>) -> Self {
        let (active, spare, before) = (None, None, None);
        let named = (0, 0);
        Log { storage, segment, pad, active, spare, last, before, ending: 0, next_place, named, names_changed: false }
    }

    /// The segment that is written to.
    pub(crate) fn active(&self) -> Option<u32> {
        self.active.as_ref().map(|open| open.place)
    }

    /// The segment whose records are needed as long as the first page of the next one is written to: power that fails may
    /// destroy that page, on which is all that the next one says of earlier segments.
    pub(crate) fn needed_before(&self) -> Option<u32> {
        match &self.active {
            Some(open) if open.at >= PAGE => None,
            Some(_) => self.before,
            None => self.last,
        }
    }

    /// Bytes of frames that go into the active segment.
    pub(crate) fn left(&self) -> u64 {
        self.active.as_ref().map_or(0, |open| open.size.saturating_sub(open.at + self.ending as u64))
    }

    /// Bytes of frames that go into the spare segment, which is begun when the active one is full.
    pub(crate) fn spare_left(&self, overhead: u64) -> u64 {
        self.spare.as_ref().map_or(0, |open| open.size.saturating_sub(overhead))
    }

    /// Writes `commit`. After an error nothing is appended to the segment that it happened in, nor to one that the commit
    /// began.
    pub(crate) fn write(&mut self, commit: &Commit) -> Outcome {
        let mut outcome = Outcome::default();
        let (active, last, before) = (self.active(), self.last, self.before);
        if let Err(error) = self.try_write(commit, &mut outcome) {
            outcome.refused = is_bound(&error);
            outcome.error = Some(error);
            outcome.placed.clear();
            if !outcome.refused || self.active() != active {
                self.leave_active(&mut outcome);
            }
            (self.last, self.before) = (last, before);
            // Nothing refers to what was begun in vain; trying again must not fill the directory.
            let storage = &self.storage;
            outcome.begun.retain(|begun| storage.unlink(&begun.name).is_err());
        }
        outcome
    }

    /// Ends the use of the active segment after an error.
    fn leave_active(&mut self, outcome: &mut Outcome) {
        let Some(open) = self.active.take() else { return };
        let was_made = outcome.begun.iter().any(|begun| begun.place == open.place);
        if outcome.refused && !was_made {
            // The spare one, to which nothing was written yet: what waits in memory relies on it.
            self.spare = Some(open);
        } else {
            outcome.closed.push(open.place);
        }
    }

    /// Has a second segment ready, unless half of the active one is left and `bytes` fit: so that what is acknowledged in
    /// memory finds its space reserved.
    pub(crate) fn prepare(&mut self, number: u64, overhead: u64, room: u64, bytes: u64) -> Outcome {
        let mut outcome = Outcome::default();
        let is_short = self.left() < bytes.max(self.segment / 2);
        let wanted = self.active.is_some() && self.spare.is_none() && is_short;
        let size = self.segment.max((overhead * 4).max(overhead + bytes).next_multiple_of(PAGE));
        if wanted && self.storage.zeros_reserve() && room >= size + self.segment {
            match self.create(number, size, &mut outcome) {
                Ok(open) => self.spare = Some(open),
                Err(error) => outcome.error = Some(error),
            }
        }
        outcome
    }

    /// Makes names that were created durable, before others are removed.
    pub(crate) fn sync_names(&mut self) -> io::Result<()> {
        self.storage.sync_names()?;
        self.names_changed = false;
        Ok(())
    }

    fn try_write(&mut self, commit: &Commit, outcome: &mut Outcome) -> io::Result<()> {
        let mut staged = Vec::new();
        for frames in &commit.entries {
            for (header, bytes) in frames.iter() {
                if commit.skip.contains_key(&header.number) {
                    continue;
                }
                let (place, at) = self.stage(bytes, commit, &mut staged, outcome)?;
                outcome.placed.push(Placed { header, place, offset: (at / 8) as u32 });
            }
        }
        let record = |kind: u8, payload: &[u8]| {
            let mut bytes = Vec::new();
            frame::append_unsealed(&mut bytes, &Header::new(kind, commit.number, payload), payload);
            bytes
        };
        if let Some(reserved) = commit.reserve {
            self.stage(&record(kind::RESERVATION, &reserved.to_le_bytes()), commit, &mut staged, outcome)?;
        }
        if let Some(settled) = &commit.settled {
            self.stage(&record(kind::SETTLED, settled), commit, &mut staged, outcome)?;
        }
        self.flush(&mut staged, outcome)?;
        if commit.sync {
            self.sync(outcome)?;
        }
        Ok(())
    }

    /// Puts a frame where it will stand, in a new segment if it must; returns the place and the offset.
    fn stage(
        &mut self,
        bytes: &[u8],
        commit: &Commit,
        staged: &mut Vec<u8>,
        outcome: &mut Outcome,
    ) -> io::Result<(u32, u64)> {
        if self.left() < (staged.len() + bytes.len()) as u64 {
            let preamble = commit.preamble.as_ref().ok_or(io::ErrorKind::InvalidInput)?;
            let needed = self.needed(preamble, bytes.len());
            let begun: u64 = outcome.begun.iter().map(|begun| begun.bytes).sum();
            let has_spare = self.spare.as_ref().is_some_and(|spare| spare.size >= needed);
            if !has_spare && begun + self.size(preamble, needed) > commit.room {
                // The active segment stays as it is; what was staged is not in it.
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
            self.flush(staged, outcome)?;
            self.end(preamble, commit.number, outcome)?;
            self.begin(preamble, commit, bytes.len(), staged, outcome)?;
        }
        let open = self.active.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let at = open.at + staged.len() as u64;
        let from = staged.len();
        staged.extend_from_slice(bytes);
        frame::seal(&mut staged[from..], open.salt, at);
        Ok((open.place, at))
    }

    /// Writes what was staged.
    fn flush(&mut self, staged: &mut Vec<u8>, outcome: &mut Outcome) -> io::Result<()> {
        if staged.is_empty() {
            return Ok(());
        }
        let open = self.active.as_mut().ok_or(io::ErrorKind::NotFound)?;
        open.dirty = true;
        write_all(&*open.file, staged, open.at)?;
        open.at += staged.len() as u64;
        outcome.bytes += staged.len() as u64;
        staged.clear();
        Ok(())
    }

    fn sync(&mut self, outcome: &mut Outcome) -> io::Result<()> {
        let Some(open) = self.active.as_mut() else { return Ok(()) };
        if open.dirty {
            open.file.sync()?;
            outcome.syncs += 1;
            open.dirty = false;
            if self.pad {
                open.at = open.at.next_multiple_of(PAGE);
            }
        }
        if self.names_changed {
            self.storage.sync_names()?;
            outcome.syncs += 1;
            self.names_changed = false;
        }
        Ok(())
    }

    /// Ends the active segment: the record of all lanes once more, if it fits, and the end.
    fn end(&mut self, preamble: &Preamble, number: u64, outcome: &mut Outcome) -> io::Result<()> {
        let Some(open) = self.active.as_ref() else { return Ok(()) };
        let (salt, at, left) = (open.salt, open.at, open.size.saturating_sub(open.at) as usize);
        let mut staged = Vec::new();
        if left >= preamble.ending() {
            append(&mut staged, &all_lanes(number, &preamble.settled), &preamble.settled, salt, at);
        }
        if left >= staged.len() + HEADER {
            append(&mut staged, &Header::new(kind::END, number, b""), b"", salt, at);
        }
        self.flush(&mut staged, outcome)?;
        self.sync(outcome)?;
        outcome.closed.extend(self.active.take().map(|open| open.place));
        Ok(())
    }

    /// What a segment must hold that begins with a frame of `bytes`.
    fn needed(&self, preamble: &Preamble, bytes: usize) -> u64 {
        (preamble.bytes() + bytes + preamble.ending()) as u64
    }

    /// The size of that segment.
    fn size(&self, preamble: &Preamble, needed: u64) -> u64 {
        needed.max(self.segment).max(preamble.settled.len() as u64 * 8).next_multiple_of(PAGE)
    }

    /// Begins a segment that has room for a frame of `bytes`.
    fn begin(
        &mut self,
        preamble: &Preamble,
        commit: &Commit,
        bytes: usize,
        staged: &mut Vec<u8>,
        outcome: &mut Outcome,
    ) -> io::Result<()> {
        let needed = self.needed(preamble, bytes);
        let size = self.size(preamble, needed);
        let open = match self.spare.take() {
            Some(spare) if spare.size >= needed => spare,
            spare => {
                self.spare = spare;
                self.create(commit.number, size, outcome)?
            }
        };
        let salt = open.salt;
        self.before = self.last.replace(open.place);
        self.active = Some(open);
        self.ending = preamble.ending();
        append(
            staged,
            &Header::new(kind::RESERVATION, commit.number, &preamble.reserved.to_le_bytes()),
            &preamble.reserved.to_le_bytes(),
            salt,
            0,
        );
        for boot in &preamble.boots {
            append(staged, &Header::new(kind::BOOT, commit.number, boot), boot, salt, 0);
        }
        append(staged, &all_lanes(commit.number, &preamble.settled), &preamble.settled, salt, 0);
        Ok(())
    }

    /// Makes a segment file, filled with zeros where that reserves its space.
    fn create(&mut self, number: u64, size: u64, outcome: &mut Outcome) -> io::Result<Open> {
        let salt = segment::salt_after(self.named, number);
        self.named = (number, salt);
        let name = segment::name(number, salt);
        let file = self.storage.create(&name)?;
        self.names_changed = true;
        if self.storage.zeros_reserve() {
            // Not a constant: that would be as long in the program.
            let zeros = vec![0; (16 * 1024).min(size as usize)];
            let mut at = 0;
            while at < size {
                let length = (size - at).min(zeros.len() as u64);
                if let Err(error) = write_all(&*file, &zeros[..length as usize], at) {
                    // What cannot be removed now is found, and is empty, at the next start.
                    let _ = self.storage.unlink(&name);
                    return Err(error);
                }
                at += length;
            }
            outcome.bytes += size;
        }
        let place = self.next_place;
        self.next_place += 1;
        outcome.begun.push(Begun { place, file: Arc::clone(&file), salt, bytes: size, name });
        Ok(Open { place, file, salt, size, at: 0, dirty: true })
    }
}

/// Whether an error says that the room of a commit is used up, which is no fault of the files.
pub(crate) fn is_bound(error: &io::Error) -> bool {
    // The kernel's own error of that kind (EDQUOT) has a number.
    error.kind() == io::ErrorKind::QuotaExceeded && error.raw_os_error().is_none()
}

fn all_lanes(number: u64, settled: &[u8]) -> Header {
    Header { flags: frame::FLAG_ALL, ..Header::new(kind::SETTLED, number, settled) }
}

/// Reads the frame of an entry again, and checks it; `None`: it is damaged.
pub(crate) fn read_entry(
    file: &dyn Stored,
    salt: u32,
    at: u64,
    bytes: u64,
    wanted: (LaneKey, u64),
) -> io::Result<Option<(Header, Vec<u8>)>> {
    let mut frame = vec![0; bytes as usize];
    let read = super::storage::read_full(file, &mut frame, at)?;
    frame.truncate(read);
    let Some(header) = frame::read_header(&frame, salt, at) else { return Ok(None) };
    let good = header.payload(&frame).is_some_and(|payload| super::crc32c::sum(payload) == header.payload_sum);
    Ok((good && (header.lane, header.number) == wanted).then_some((header, frame)))
}

#[cfg(test)]
mod tests;
