//! Dead letters: entries that the platform refuses for good, kept for the operator in two files of a 32nd of the
//! space each. When both are full the older one goes, with all in it.
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

use super::frame::{Header, append, kind, u64_at};
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

struct Half {
    name: String,
    salt: u32,
    file: Arc<dyn Stored>,
    length: u64,
    /// Of the last letter in it; without one, the number before that in its name. That in its name where a page cannot be
    /// read: the letter may be on it.
    last: u64,
    letters: u64,
    /// Nothing is appended after a write that failed, or behind what is no whole frame.
    closed: bool,
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
            let Ok(file) = dead.storage.open(&name) else { continue };
            let mut half = Half { name, salt, file, length, last: number, letters: 0, closed: true };
            if let Ok((bytes, unreadable)) = segment::read(&*half.file, length) {
                if !unreadable {
                    half.last = number.saturating_sub(1);
                }
                let mut items = segment::items(&bytes, salt);
                for item in items.by_ref() {
                    let Item::Frame { header, payload, .. } = item else { continue };
                    match header.kind {
                        kind::DEAD => {
                            half.last = half.last.max(header.number);
                            half.letters += 1;
                        }
                        kind::FORGOTTEN => dead.forgotten = dead.forgotten.max(u64_at(payload, 0)),
                        _ => {}
                    }
                }
                // What is appended behind a torn frame would be taken for the rest of it; and the name of an empty file may
                // not be durable.
                half.closed = unreadable || length == 0 || items.end as u64 != length;
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
        let bytes = header.frame_bytes() as u64;
        if bytes > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let fits = self.halves.last().is_some_and(|half| !half.closed && half.length + bytes <= self.most);
        if !fits {
            self.begin(header.number)?;
        }
        let Some(half) = self.halves.last_mut() else { return Err(io::ErrorKind::NotFound.into()) };
        let mut frame = Vec::new();
        append(&mut frame, header, payload, half.salt, half.length);
        let written = write_all(&*half.file, &frame, half.length).and_then(|()| half.file.sync());
        half.length += bytes;
        half.closed = written.is_err();
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
        let half = Half { name, salt, file, length: 0, last: number.saturating_sub(1), letters: 0, closed: false };
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
mod tests {
    use super::super::tests::simulated::{Change, Failing, How, Simulated};
    use super::*;

    fn letter(id: u64, payload: &[u8]) -> Letter<'_> {
        Letter {
            id,
            kind: kind::CHILD,
            unknown_child: true,
            time_ms: -1,
            sender: "gateway",
            child: "child",
            code: "IOTDA.021104",
            payload,
        }
    }

    fn open(storage: &Simulated) -> Dead {
        Dead::open(Arc::new(storage.clone()), 2048).unwrap()
    }

    fn ids(dead: &Dead) -> Vec<(u64, u64)> {
        let mut cursor = 0;
        let mut ids = Vec::new();
        while let Some(kept) = dead.read(cursor).unwrap() {
            cursor = kept.number;
            ids.push((kept.number, kept.id));
        }
        ids
    }

    #[test]
    fn a_letter_comes_back_after_a_restart() {
        let storage = Simulated::default();
        assert_eq!(open(&storage).keep(&letter(77, b"data")).unwrap(), 1);
        let mut dead = open(&Simulated::with(storage.files()));
        let kept = dead.read(0).unwrap().unwrap();
        assert_eq!((kept.number, kept.id, kept.time_ms, kept.unknown_child), (1, 77, -1, true));
        assert_eq!(
            (&*kept.sender, &*kept.child, &*kept.code, &*kept.payload),
            ("gateway", "child", "IOTDA.021104", &b"data"[..])
        );
        assert_eq!(dead.keep(&letter(78, b"")).unwrap(), 2);
        assert_eq!(ids(&dead), [(1, 77), (2, 78)]);
    }

    #[test]
    fn two_full_files_lose_the_older_one_and_count_it() {
        let storage = Simulated::default();
        let mut dead = open(&storage);
        for id in 100..150 {
            dead.keep(&letter(id, &[5; 200])).unwrap();
            assert!(storage.bytes() <= 2 * 2048);
        }
        let kept = ids(&dead);
        assert_eq!(kept.last(), Some(&(50, 149)));
        assert_eq!(dead.dropped as usize + kept.len(), 50);
        assert!(kept.len() >= 6);
        assert!(dead.keep(&letter(1, &[0; 2048])).is_err(), "larger than a file");
    }

    #[test]
    fn a_letter_may_be_as_large_as_a_file() {
        let payload = |length: usize| vec![5; length];
        let most = 2048 - Letter { payload: b"", ..letter(1, b"") }.encode().len() - super::super::frame::HEADER;
        let mut dead = open(&Simulated::default());
        dead.keep(&letter(1, &payload(most))).unwrap();
        assert!(dead.keep(&letter(2, &payload(most + 1))).is_err());
        assert_eq!(dead.read(0).unwrap().unwrap().payload.len(), most);
    }

    #[test]
    fn letters_of_many_starts_are_kept_until_both_files_are_full() {
        let storage = Simulated::default();
        for id in 0..8 {
            let mut dead = open(&storage);
            assert_eq!(dead.count(), id);
            dead.keep(&letter(id, &[5; 60])).unwrap();
            if id == 2 {
                dead.forget(0).unwrap();
            }
        }
        assert_eq!(ids(&open(&storage)), (0..8).map(|id| (id + 1, id)).collect::<Vec<_>>());
        let mut dead = open(&storage);
        dead.forget(2).unwrap();
        assert_eq!(ids(&dead).len(), 6, "of an older file, too");
        assert_eq!((ids(&open(&storage)).len(), dead.dropped), (6, 0));
    }

    #[test]
    fn what_is_forgotten_stays_forgotten() {
        let storage = Simulated::default();
        let mut dead = open(&storage);
        for id in 0..10 {
            dead.keep(&letter(id, &[5; 200])).unwrap();
        }
        dead.forget(8).unwrap();
        let again = open(&Simulated::with(storage.files()));
        assert_eq!(ids(&again), [(9, 8), (10, 9)]);
        dead.forget(100).unwrap();
        let mut again = open(&Simulated::with(storage.files()));
        assert_eq!((ids(&again).len(), again.count()), (0, 0));
        assert_eq!(again.keep(&letter(1, b"")).unwrap(), 11, "numbers do not start again");
    }

    #[test]
    fn a_letter_that_comes_later_is_not_forgotten() {
        for up_to in [3, 4, u64::MAX] {
            let mut dead = open(&Simulated::default());
            for id in 1..=3 {
                dead.keep(&letter(id, b"")).unwrap();
            }
            dead.forget(up_to).unwrap();
            dead.keep(&letter(4, b"")).unwrap();
            assert_eq!((ids(&dead), dead.count()), (vec![(4, 4)], 1), "{up_to}");
        }
    }

    #[test]
    fn a_file_goes_when_all_in_it_is_forgotten_and_not_before() {
        let storage = Simulated::default();
        let mut dead = open(&storage);
        while dead.halves.len() < 2 {
            dead.keep(&letter(1, &[5; 200])).unwrap();
        }
        let last = dead.halves[0].last;
        let mut left = |up_to| {
            dead.forget(up_to).unwrap();
            storage.files().len()
        };
        assert_eq!([left(last - 1), left(last), left(u64::MAX)], [2, 1, 1]);
    }

    #[test]
    fn nothing_is_appended_behind_a_torn_letter_or_to_a_name_that_may_not_be_durable() {
        let storage = Simulated::default();
        open(&storage).keep(&letter(1, &[5; 60])).unwrap();
        let (name, whole) = storage.files().into_iter().next().unwrap();
        for length in [0, 8, whole.len() - 8, whole.len() + 8] {
            let mut bytes = whole.clone();
            bytes.resize(length, 0);
            let storage = Simulated::with([(name.clone(), bytes.clone())].into());
            open(&storage).keep(&letter(2, &[6; 10])).unwrap();
            assert_eq!(storage.files()[&name], bytes, "{length}");
            assert_eq!(ids(&open(&storage)).last().map(|(_, id)| *id), Some(2), "{length}");
        }
    }

    #[test]
    fn what_is_left_is_counted_after_a_restart_whatever_file_it_was_forgotten_in() {
        for length in (0..300).step_by(8) {
            let storage = Simulated::default();
            let mut dead = open(&storage);
            while dead.halves.len() < 2 && dead.halves.first().is_none_or(|half| half.length + 56 + 48 <= 2048) {
                dead.keep(&letter(1, &vec![5; length])).unwrap();
            }
            let kept = ids(&dead);
            dead.forget(kept[1].0).unwrap();
            assert_eq!(dead.count(), kept.len() as u64 - 2, "{length}");
            let again = open(&Simulated::with(storage.files()));
            assert_eq!((again.count(), ids(&again)), (dead.count(), kept[2..].to_vec()), "{length}");
        }
    }

    /// The record of what is forgotten may not fit into the newer file. Then a third one is begun, and the older one goes.
    #[test]
    fn what_goes_with_an_older_file_is_lost_unless_it_is_forgotten() {
        let mut removed = 0;
        for length in (0..300).step_by(8) {
            for forgets in [1, 3, usize::MAX] {
                let mut dead = open(&Simulated::default());
                while dead.dropped == 0 {
                    dead.keep(&letter(1, &vec![5; length])).unwrap();
                }
                let frame = super::super::frame::frame_bytes(letter(1, &vec![5; length]).encode().len()) as u64;
                while dead.halves[1].length + frame <= 2048 {
                    dead.keep(&letter(1, &vec![5; length])).unwrap();
                }
                let (kept, dropped, older) = (ids(&dead), dead.dropped, dead.halves[0].name.clone());
                let needed = kept.iter().skip(forgets).count();
                dead.forget(kept[forgets.min(kept.len()) - 1].0).unwrap();
                let lost = (needed - ids(&dead).len()) as u64;
                assert_eq!(dead.dropped - dropped, lost, "{length} bytes, {forgets} of {} forgotten", kept.len());
                removed += usize::from(dead.halves[0].name != older && lost > 0);
            }
        }
        assert!(removed > 0);
    }

    #[test]
    fn what_could_not_be_forgotten_is_still_there() {
        let storage = Simulated::default();
        let mut dead = open(&storage);
        dead.keep(&letter(7, b"")).unwrap();
        storage.fail(Some(Failing { at: storage.calls() + 1, times: 1, how: How::Error(5) }));
        assert!(dead.forget(1).is_err());
        assert_eq!((ids(&dead), dead.count()), (vec![(1, 7)], 1));
        dead.forget(1).unwrap();
        assert_eq!(ids(&open(&Simulated::with(storage.files()))), []);
    }

    #[test]
    fn a_file_whose_name_could_not_be_made_durable_takes_no_letter() {
        let storage = Simulated::default();
        let mut dead = open(&storage);
        // The file is made, its name is synced.
        storage.fail(Some(Failing { at: storage.calls() + 2, times: 1, how: How::Error(5) }));
        assert!(dead.keep(&letter(1, b"")).is_err());
        assert!(storage.files().is_empty());
        dead.keep(&letter(2, b"")).unwrap();
        let durable = |change: &&Change| matches!(change, Change::SyncNames);
        assert_eq!(storage.changes().iter().filter(durable).count(), 1);
    }

    #[test]
    fn each_call_fails_once_and_what_was_kept_stays() {
        for at in 1..60 {
            let storage = Simulated::default();
            storage.fail(Some(Failing { at, times: 1, how: How::Error(5) }));
            let mut dead = open(&storage);
            let kept: Vec<u64> = (0..20).filter(|id| dead.keep(&letter(*id, &[5; 60])).is_ok()).collect();
            assert!(kept.len() >= 19);
            let found: Vec<u64> = ids(&open(&Simulated::with(storage.files()))).into_iter().map(|(_, id)| id).collect();
            assert!(kept.iter().rev().take(6).all(|id| found.contains(id)), "{at}: {kept:?} {found:?}");
        }
    }
}
