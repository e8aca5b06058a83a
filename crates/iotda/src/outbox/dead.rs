//! Dead letters: entries that the platform refuses for good, kept for the operator in two files of a 32nd of the
//! space each. When both are full the older one is removed, with all in it. Forgetting letters removes no others: each file
//! keeps room for two records of it, and when both are used the older one is overwritten, so that one is always intact.
//!
//! # The payload of a dead letter (kind 32; the frame's number is the letter's)
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | number of the entry |
//! | 8 | 8 | Unix time of the put in milliseconds |
//! | 16 | 1 | the entry's kind |
//! | 17 | 1 | 1: the child is not known; 0: the data was refused |
//! | 18 | 1 | length of the sender's id |
//! | 19 | 1 | length of the child's id |
//! | 20 | 1 | length of the platform's code |
//! | 21 | 3 | zeros |
//! | 24 | | sender, child, code, the entry's payload |

use std::io;
use std::sync::Arc;

use super::frame::{Header, append, frame_bytes, kind, u64_at};
use super::segment::{self, Item};
use super::storage::{Storage, Stored, write_all};

/// One letter, to be kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Letter<'a> {
    pub(crate) id: u64,
    pub(crate) kind: u8,
    pub(crate) unknown_child: bool,
    pub(crate) time_ms: i64,
    pub(crate) sender: &'a str,
    pub(crate) child: &'a str,
    pub(crate) code: &'a str,
    pub(crate) payload: &'a [u8],
}

/// One letter, as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) number: u64,
    pub(crate) id: u64,
    pub(crate) kind: u8,
    pub(crate) unknown_child: bool,
    pub(crate) time_ms: i64,
    pub(crate) sender: String,
    pub(crate) child: String,
    pub(crate) code: String,
    pub(crate) payload: Vec<u8>,
}

/// The bytes of the smallest letter's frame.
const LEAST: u64 = frame_bytes(24) as u64;
/// Those of a record of what is forgotten, whose payload is the number of the last letter that is.
const FORGOTTEN: u64 = frame_bytes(8) as u64;

struct Half {
    name: String,
    salt: u32,
    file: Arc<dyn Stored>,
    length: u64,
    /// No letter in it has a higher number, whatever of it can be read.
    last: u64,
    letters: u64,
    /// Where its last two records of what is forgotten are, the older one first.
    forgotten: Vec<u64>,
    /// Nothing is appended after a write that failed, where a page cannot be read, or to a name that may not be durable.
    closed: bool,
    /// The file continues behind `length` with part of a letter, or with a damaged one.
    torn: bool,
}

/// The letters of one outbox.
pub(crate) struct Dead {
    storage: Arc<dyn Storage>,
    /// Of one file.
    most: u64,
    /// The older one first.
    halves: Vec<Half>,
    next: u64,
    forgotten: u64,
    /// Letters that went with an older file, unread.
    pub(crate) dropped: u64,
}

fn parse_name(name: &str) -> Option<(u64, u32)> {
    segment::parse_name(name.strip_prefix("dead-")?)
}

impl Dead {
    /// Finds the letters. Files that cannot be read count as empty, and stay.
    pub(crate) fn open(storage: Arc<dyn Storage>, most: u64) -> io::Result<Self> {
        let names = segment::in_order(&*storage, parse_name)?;
        let mut dead = Dead { storage, most, halves: Vec::new(), next: 1, forgotten: 0, dropped: 0 };
        for ((number, salt), (name, length)) in names {
            // As many letters as may be in a file that cannot be read, or on a page of it.
            let last = number.saturating_add(length / LEAST);
            let Ok(file) = dead.storage.open(&name) else {
                dead.next = dead.next.max(last + 1);
                continue;
            };
            let mut half =
                Half { name, salt, file, length, last, letters: 0, forgotten: Vec::new(), closed: true, torn: false };
            if let Ok((bytes, unreadable)) = segment::read(&*half.file, length) {
                if !unreadable {
                    half.last = number.saturating_sub(1);
                }
                let mut items = segment::items(&bytes, salt);
                let mut forgotten = Vec::new();
                for item in items.by_ref() {
                    let (header, payload) = match item {
                        Item::Frame { at, header, payload } => (header, Some((payload, at as u64))),
                        Item::Damaged { header } => (header, None),
                        Item::Noise => continue,
                    };
                    match (header.kind, payload) {
                        (kind::DEAD, _) => {
                            half.last = half.last.max(header.number);
                            half.letters += u64::from(payload.is_some());
                        }
                        (kind::FORGOTTEN, Some((payload, at))) => {
                            half.last = half.last.max(header.number - 1);
                            forgotten.push((u64_at(payload, 0), at));
                            dead.forgotten = dead.forgotten.max(u64_at(payload, 0));
                        }
                        _ => {}
                    }
                }
                let mut last_two = forgotten.split_off(forgotten.len().saturating_sub(2));
                last_two.sort_unstable();
                half.forgotten = last_two.into_iter().map(|(_, at)| at).collect();
                half.closed = unreadable || length == 0;
                if !unreadable {
                    half.length = items.end as u64;
                    half.torn = half.length != length;
                    half.last = half.last.saturating_add((length - half.length).div_ceil(LEAST));
                }
            }
            dead.next = dead.next.max(half.last + 1);
            dead.halves.push(half);
        }
        Ok(dead)
    }

    /// Letters that are kept and not forgotten, at least approximately after damage.
    pub(crate) fn count(&self) -> u64 {
        self.next
            .saturating_sub(1)
            .saturating_sub(self.forgotten)
            .min(self.halves.iter().map(|half| half.letters).sum())
    }

    /// Keeps a letter: it is on the device when this returns. Returns its number.
    pub(crate) fn keep(&mut self, letter: &Letter<'_>) -> io::Result<u64> {
        let number = self.next;
        let payload = letter.encode();
        // One that failed may be on the device all the same: its number is not used again.
        self.next += 1;
        self.append(&Header::new(kind::DEAD, number, &payload), &payload)?;
        if let Some(half) = self.halves.last_mut() {
            half.last = number;
            half.letters += 1;
        }
        Ok(number)
    }

    /// The first letter after `cursor`.
    pub(crate) fn read(&self, cursor: u64) -> io::Result<Option<Kept>> {
        let after = cursor.max(self.forgotten);
        for half in self.halves.iter().filter(|half| half.last > after) {
            let (bytes, _) = segment::read(&*half.file, half.length)?;
            for item in segment::items(&bytes, half.salt) {
                if let Item::Frame { header, payload, .. } = item {
                    if header.kind == kind::DEAD && header.number > after {
                        return Ok(decode(header.number, payload));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Letters up to this number are not needed any more.
    pub(crate) fn forget(&mut self, up_to: u64) -> io::Result<()> {
        let up_to = up_to.min(self.next - 1);
        if up_to <= self.forgotten {
            return Ok(());
        }
        let payload = up_to.to_le_bytes();
        // Before it is written, since an older file may go for it: what is forgotten is not lost with that.
        let before = std::mem::replace(&mut self.forgotten, up_to);
        if let Err(error) = self.append(&Header::new(kind::FORGOTTEN, self.next, &payload), &payload) {
            self.forgotten = before;
            return Err(error);
        }
        while self.halves.len() > 1 && self.halves[0].last <= up_to {
            self.remove_older()?;
        }
        Ok(())
    }

    fn append(&mut self, header: &Header, payload: &[u8]) -> io::Result<()> {
        let is_letter = header.kind == kind::DEAD;
        let bytes = header.frame_bytes() as u64;
        let room = bytes + if is_letter { 2 * FORGOTTEN } else { 0 };
        if room > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if let Some(half) = self.halves.last_mut().filter(|half| half.torn) {
            // It would be taken for the rest of what is written over it.
            half.closed |= half.file.set_length(half.length).is_err();
            half.torn = false;
        }
        let at = match self.halves.last_mut().filter(|half| !half.closed) {
            Some(half) if half.length + room <= self.most => half.length,
            Some(half) if !is_letter && half.forgotten.len() == 2 => half.forgotten.remove(0),
            _ => {
                self.begin(header.number)?;
                0
            }
        };
        let Some(half) = self.halves.last_mut() else { return Err(io::ErrorKind::NotFound.into()) };
        let mut frame = Vec::new();
        append(&mut frame, header, payload, half.salt, at);
        let written = write_all(&*half.file, &frame, at).and_then(|()| half.file.sync());
        half.length = half.length.max(at + bytes);
        half.closed = written.is_err();
        if !is_letter {
            half.forgotten.drain(..half.forgotten.len().saturating_sub(1));
            half.forgotten.push(at);
        }
        written
    }

    /// Begins a file, whose name is durable when this returns; with two full ones the older goes. What it says of forgotten
    /// letters is of letters that have gone with it, or before.
    fn begin(&mut self, number: u64) -> io::Result<()> {
        while self.halves.len() > 1 {
            let older = &self.halves[0];
            let unread = older.letters.min(older.last.saturating_sub(self.forgotten));
            self.remove_older()?;
            self.dropped += unread;
        }
        let salt = segment::new_salt(number);
        let name = format!("dead-{}", segment::name(number, salt));
        let file = self.storage.create(&name)?;
        if let Err(error) = self.storage.sync_names() {
            // What cannot be removed now is found, and is empty, at the next start.
            let _ = self.storage.unlink(&name);
            return Err(error);
        }
        let half = Half {
            name,
            salt,
            file,
            length: 0,
            last: number.saturating_sub(1),
            letters: 0,
            forgotten: Vec::new(),
            closed: false,
            torn: false,
        };
        self.halves.push(half);
        Ok(())
    }

    fn remove_older(&mut self) -> io::Result<()> {
        self.storage.unlink(&self.halves[0].name)?;
        self.halves.remove(0);
        Ok(())
    }
}

impl Letter<'_> {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&self.time_ms.to_le_bytes());
        let lengths = [self.sender.len() as u8, self.child.len() as u8, self.code.len() as u8];
        out.extend_from_slice(&[self.kind, u8::from(self.unknown_child), lengths[0], lengths[1], lengths[2], 0, 0, 0]);
        for part in [self.sender.as_bytes(), self.child.as_bytes(), self.code.as_bytes(), self.payload] {
            out.extend_from_slice(part);
        }
        out
    }
}

fn decode(number: u64, bytes: &[u8]) -> Option<Kept> {
    let (head, rest) = bytes.split_at_checked(24)?;
    let (sender, rest) = rest.split_at_checked(usize::from(head[18]))?;
    let (child, rest) = rest.split_at_checked(usize::from(head[19]))?;
    let (code, payload) = rest.split_at_checked(usize::from(head[20]))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Kept {
        number,
        id: u64_at(head, 0),
        time_ms: u64_at(head, 8) as i64,
        kind: head[16],
        unknown_child: head[17] != 0,
        sender: text(sender),
        child: text(child),
        code: text(code),
        payload: payload.to_vec(),
    })
}

#[cfg(test)]
mod tests;
