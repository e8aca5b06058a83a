//! What the files of an outbox hold, for people and tools: read as they are, without a client, a lock or a change.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::attached::hash;
use super::coalesce::{self, Builder};
use super::dead::{Dead, Kept};
use super::directory;
use super::frame::{LaneKey, frame_bytes, kind};
use super::log::read_entry;
use super::options::{DeadLetter, EntryKind};
use super::refusals::shown;
use super::repair::{Unusable, recover};
use super::storage::{Storage, Stored};
use crate::error::{Error, ErrorKind, Result};

/// What the files of an outbox hold: see [`inspect`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// Entries that wait to be delivered. After a kill some of them may have been.
    pub waiting: u64,
    /// Bytes that they take in the files.
    pub waiting_bytes: u64,
    /// When the oldest was put, in Unix milliseconds as the machine's clock had it; `None`: none waits.
    pub oldest_ms: Option<i64>,
    /// Dead letters that are kept.
    pub dead: u64,
    /// Entries and records that are damaged. While a program writes, its last one may look so.
    pub damaged: u64,
    /// Files that could not be read, or not in whole.
    pub unreadable: u64,
    /// Files, and the bytes in them.
    pub files: u64,
    /// The bytes in all files.
    pub file_bytes: u64,
}

/// An entry that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitingEntry {
    /// As the put returned it.
    pub id: u64,
    /// What it is.
    pub kind: EntryKind,
    /// The device that is reported for. The files have a hash of an id that is not a child's: `#` and that, in
    /// hexadecimal, for one that was not among the `known`.
    pub device_id: String,
    /// The gateway that reports for it, likewise; empty for a device itself.
    pub gateway_id: String,
    /// When it was put, in Unix milliseconds as the machine's clock had it.
    pub time_ms: i64,
    /// The request body, as `put_properties_json`, `put_message` and `put_batch_json` take it.
    pub body: Vec<u8>,
}

/// Reads what an outbox's directory holds, and calls `each` with every entry that waits, in order within each device.
/// `known` are ids of devices whose names the result shows: see [`WaitingEntry::device_id`].
///
/// Nothing is changed, and nothing is locked: a program may use the outbox meanwhile. One entry is in memory at a time,
/// and each file while it is read.
///
/// ```no_run
/// let directory = std::path::Path::new("/var/lib/sensor/outbox");
/// let found = iotda::outbox::inspect(directory, &["my_device"], |entry| println!("{} of {}", entry.id, entry.device_id))?;
/// println!("{} wait, {} are dead letters", found.waiting, found.dead);
/// # Ok::<(), iotda::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::Storage`]: there is no outbox, it cannot be read, or a newer version wrote it.
pub fn inspect(directory: &Path, known: &[&str], mut each: impl FnMut(WaitingEntry)) -> Result<Inspection> {
    let storage = Arc::new(ReadOnly(directory.to_owned()));
    let files = storage.files(directory)?;
    let found = Inspection {
        files: files.len() as u64,
        file_bytes: files.iter().map(|(_, length)| length).sum(),
        ..Inspection::default()
    };
    read(storage, directory, found, known, &mut each)
}

/// Adds what `storage` holds to what was `found`.
fn read(
    storage: Arc<dyn Storage>,
    directory: &Path,
    found: Inspection,
    known: &[&str],
    each: &mut dyn FnMut(WaitingEntry),
) -> Result<Inspection> {
    let recovered = recover(&*storage).map_err(|unusable| match unusable {
        Unusable::Newer => Error::new(
            ErrorKind::Storage,
            format!("use a newer version: the outbox's {} was written by one", shown(directory)),
        ),
        Unusable::Io(error) => unreadable(directory, &error),
    })?;
    let dead = Dead::open(storage, 0).map_err(|error| unreadable(directory, &error))?;
    let mut found =
        Inspection { dead: dead.count(), damaged: recovered.damaged, unreadable: recovered.unreadable(), ..found };
    let known: HashMap<u64, &str> = known.iter().map(|id| (hash(id), *id)).collect();
    let segments: HashMap<u32, _> = recovered.segments.iter().map(|segment| (segment.place, segment)).collect();
    let mut lanes: Vec<_> = recovered.waiting.into_iter().collect();
    lanes.sort_unstable_by_key(|(key, slots)| (slots.first().map(|slot| slot.number), *key));
    for (key, slots) in lanes {
        for slot in slots {
            let Some(segment) = segments.get(&slot.place) else { continue };
            let bytes = frame_bytes(slot.length()) as u64;
            let read = read_entry(&*segment.file, segment.salt, u64::from(slot.offset) * 8, bytes, (key, slot.number));
            let Ok(Some((header, frame))) = read else {
                found.damaged += 1;
                continue;
            };
            found.waiting += 1;
            found.waiting_bytes += bytes;
            let time_ms = header.stamp.wall_ms;
            found.oldest_ms = Some(found.oldest_ms.map_or(time_ms, |oldest| oldest.min(time_ms)));
            let payload = header.payload(&frame).unwrap_or_default();
            each(entry(slot.number, header.kind, key, time_ms, payload, &known));
        }
    }
    Ok(found)
}

/// Calls `each` with every dead letter that is kept, the oldest first; as [`inspect`], it changes nothing.
///
/// ```no_run
/// let directory = std::path::Path::new("/var/lib/sensor/outbox");
/// iotda::outbox::dead_letters(directory, |letter| println!("{}: {}", letter.device_id, letter.platform_code))?;
/// # Ok::<(), iotda::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::Storage`]: there is no outbox, or it cannot be read.
pub fn dead_letters(directory: &Path, mut each: impl FnMut(DeadLetter)) -> Result<()> {
    let storage = Arc::new(ReadOnly(directory.to_owned()));
    storage.files(directory)?;
    let read = |cursor, dead: &Dead| dead.read(cursor).map_err(|error| unreadable(directory, &error));
    let dead = Dead::open(storage, 0).map_err(|error| unreadable(directory, &error))?;
    let mut cursor = 0;
    while let Some(kept) = read(cursor, &dead)? {
        cursor = kept.number;
        each(letter(kept));
    }
    Ok(())
}

fn entry(id: u64, kind: u8, key: LaneKey, time_ms: i64, payload: &[u8], known: &HashMap<u64, &str>) -> WaitingEntry {
    let name = |hash: u64| known.get(&hash).map_or_else(|| format!("#{hash:016x}"), |id| (*id).to_owned());
    let child = match kind {
        kind::CHILD => {
            coalesce::decode(kind, payload).map(|reading| String::from_utf8_lossy(reading.child).into_owned())
        }
        _ => None,
    };
    let mut builder = Builder::new(usize::MAX, 1);
    builder.add(kind, payload, None);
    WaitingEntry {
        id,
        kind: entry_kind(kind),
        gateway_id: if kind == kind::CHILD { name(key.sender) } else { String::new() },
        device_id: child.unwrap_or_else(|| name(key.reported)),
        time_ms,
        body: builder.finish().1,
    }
}

/// A dead letter as programs see it.
pub(crate) fn letter(kept: Kept) -> DeadLetter {
    let mut builder = Builder::new(usize::MAX, 1);
    builder.add(kept.kind, &kept.payload, None);
    let is_child = kept.kind == kind::CHILD;
    DeadLetter {
        number: kept.number,
        id: kept.id,
        kind: entry_kind(kept.kind),
        gateway_id: if is_child { kept.sender.clone() } else { String::new() },
        device_id: if is_child { kept.child } else { kept.sender },
        time_ms: kept.time_ms,
        reason: if kept.unknown_child { ErrorKind::UnknownChild } else { ErrorKind::Rejected },
        platform_code: kept.code,
        body: builder.finish().1,
    }
}

fn entry_kind(kind: u8) -> EntryKind {
    match kind {
        kind::CHILD => EntryKind::Child,
        kind::MESSAGE => EntryKind::Message,
        _ => EntryKind::Properties,
    }
}

fn unreadable(directory: &Path, error: &io::Error) -> Error {
    Error::new(ErrorKind::Storage, format!("check the path: the outbox's {} cannot be read: {error}", shown(directory)))
}

/// The files of a directory, to be read alone.
struct ReadOnly(PathBuf);

impl ReadOnly {
    /// Those of an outbox; an error if there is none.
    fn files(&self, directory: &Path) -> Result<Vec<(String, u64)>> {
        let mut files = self.list().map_err(|error| unreadable(directory, &error))?;
        files.retain(|(name, _)| name == "outbox" || name.ends_with(".seg"));
        if files.is_empty() {
            let message = format!("name the directory of an outbox: {} is none", shown(directory));
            return Err(Error::new(ErrorKind::Storage, message));
        }
        Ok(files)
    }
}

impl Storage for ReadOnly {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        directory::files(&self.0)
    }

    fn create(&self, _: &str) -> io::Result<Arc<dyn Stored>> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Stored>> {
        Ok(Arc::new(ReadOnlyFile(File::open(self.0.join(name))?)))
    }

    fn unlink(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }

    fn zeros_reserve(&self) -> bool {
        false
    }
}

struct ReadOnlyFile(File);

impl Stored for ReadOnlyFile {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.read_at(buffer, at)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_length(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

#[cfg(test)]
mod tests;
