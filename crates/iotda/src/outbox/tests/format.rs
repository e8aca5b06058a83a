//! Files that nobody wrote, and files of format 1 that must be read for ever.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::engine::{Engine, Keeping};
use super::super::frame::{FLAG_ALL, Header, LaneKey, Stamp, append, kind};
use super::super::repair::{Recovered, Unusable, recover};
use super::super::segment;
use super::super::settle;
use super::super::space::Sizes;
use super::scripted;
use super::simulated::{Change, Failing, How, Simulated};
use super::states::Random;

const SALT: u32 = 0xa1b2_c3d4;

/// A segment as format 1 has it, byte for byte.
fn golden() -> Vec<u8> {
    let lane = LaneKey { sender: 0x1111, reported: 0x2222 };
    let stamp = Stamp { wall_ms: 1_800_000_000_000, boot_ms: 5_000, boot: 3, trusted: true };
    let mut out = Vec::new();
    let mut frame = |header: Header, payload: &[u8]| append(&mut out, &header, payload, SALT, 0);
    frame(Header::new(kind::RESERVATION, 100, &65_636_u64.to_le_bytes()), &65_636_u64.to_le_bytes());
    let settled = settle::record(100, 65_636, [(lane, 100)].into_iter());
    frame(Header { flags: FLAG_ALL, ..Header::new(kind::SETTLED, 100, &settled) }, &settled);
    for (number, kind, payload) in
        [(100, kind::MESSAGE, &b"settled"[..]), (101, kind::MESSAGE, b"message"), (102, kind::PROPERTIES, b"{}\0\0")]
    {
        frame(Header { lane, stamp, ..Header::new(kind, number, payload) }, payload);
    }
    frame(Header::new(200, 103, b"of a later version"), b"of a later version");
    frame(Header::new(kind::END, 103, b""), b"");
    out
}

/// The same, as it was written when format 1 was new: FNV-1a of the bytes, which no later version may change.
#[test]
fn format_1_is_written_as_ever() {
    let sum = golden()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    assert_eq!((golden().len(), sum), (GOLDEN_LENGTH, GOLDEN_SUM), "the format has changed");
}

const GOLDEN_LENGTH: usize = 496;
const GOLDEN_SUM: u64 = 5_145_933_984_422_791_199;

#[test]
fn format_1_is_read_for_ever() {
    let storage = Simulated::with([(segment::name(100, SALT), golden())].into());
    let found = recover(&storage).unwrap();
    let lane = LaneKey { sender: 0x1111, reported: 0x2222 };
    let numbers: Vec<(u64, u8)> =
        found.waiting.get(&lane).unwrap().iter().map(|slot| (slot.number, slot.kind())).collect();
    assert_eq!(numbers, [(101, kind::MESSAGE), (102, kind::PROPERTIES)]);
    assert_eq!((found.damaged, found.next_number), (0, 65_636 + 65_536));
}

#[test]
fn files_of_a_newer_version_are_refused_and_left_as_they_are() {
    let mut bytes = golden();
    let at = bytes.len() as u64;
    let mut more = Vec::new();
    append(&mut more, &Header::new(100, 104, b"new"), b"new", SALT, at);
    bytes.extend(more);
    bytes.resize(20_000, 0);
    let files: BTreeMap<String, Vec<u8>> = [(segment::name(100, SALT), bytes)].into();
    let storage = Simulated::with(files.clone());
    assert!(matches!(recover(&storage), Err(Unusable::Newer)));
    assert_eq!(storage.files(), files);
    assert_eq!(storage.change_count(), 0);
}

#[test]
fn the_kinds_from_128_on_are_those_that_an_older_version_may_skip() {
    for (of_later, is_skipped) in [(100, false), (127, false), (128, true), (255, true)] {
        let mut bytes = golden();
        append(&mut bytes, &Header::new(of_later, 104, b"new"), b"new", SALT, 0);
        let found = recover(&Simulated::with([(segment::name(100, SALT), bytes)].into()));
        assert_eq!(!matches!(found, Err(Unusable::Newer)), is_skipped, "{of_later}");
        assert!(found.map_or(true, |found| found.damaged == 0));
    }
}

/// A segment that was made at this number, with these frames and these bytes behind them: its name, and what it holds.
fn made(number: u64, frames: &[(Header, &[u8])], behind: &[u8]) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    for (header, payload) in frames {
        append(&mut bytes, header, payload, SALT, 0);
    }
    bytes.extend_from_slice(behind);
    (segment::name(number, SALT), bytes)
}

/// What is found of a single one.
fn found(frames: &[(Header, &[u8])], behind: &[u8]) -> (Recovered, Simulated) {
    let storage = Simulated::with([made(100, frames, behind)].into());
    (recover(&storage).unwrap(), storage)
}

#[test]
fn each_damaged_record_is_counted() {
    let message = |number| (Header::new(kind::MESSAGE, number, b"x"), &b"x"[..]);
    let no_record = (Header::new(kind::SETTLED, 102, b"no record"), &b"no record"[..]);
    let wrong_sum = (Header { payload_sum: 1, ..Header::new(kind::MESSAGE, 103, b"x") }, &b"x"[..]);
    assert_eq!(found(&[message(101)], b"").0.damaged, 0);
    assert_eq!(found(&[message(101), no_record], b"").0.damaged, 1);
    assert_eq!(found(&[no_record, no_record, wrong_sum], b"").0.damaged, 3);
    let mut between = golden();
    between[8..16].fill(0xff);
    let storage = Simulated::with([(segment::name(100, SALT), between)].into());
    assert_eq!(recover(&storage).unwrap().damaged, 1, "noise where a frame was");
}

#[test]
fn numbers_are_reserved_by_either_of_two_records() {
    let reserved = 200_000_u64.to_le_bytes();
    let settled = settle::record(100, 200_000, std::iter::empty());
    for record in [
        (Header::new(kind::RESERVATION, 100, &reserved), &reserved[..]),
        (Header::new(kind::SETTLED, 100, &settled), &settled),
    ] {
        assert_eq!(found(&[record], b"").0.next_number, 200_000 + 65_536);
    }
    assert_eq!(found(&[], b"").0.next_number, 101 + 65_536, "the name has a number as well");
}

/// Records have the number of their commit; entries have lower ones, of long ago if they are copies.
#[test]
fn the_segment_that_was_begun_last_is_that_with_the_latest_first_record() {
    let reserved = 300_u64.to_le_bytes();
    let reservation = |number| (Header::new(kind::RESERVATION, number, &reserved), &reserved[..]);
    let end = (Header::new(kind::END, 200, b""), &b""[..]);
    let copy = (Header::new(kind::MESSAGE, 150, b"x"), &b"x"[..]);
    let (first, spare) = (made(100, &[reservation(100), end], b""), made(250, &[], &[0; 4096]));
    // The second one was a spare one before, or was made when it was begun.
    for number in [120, 200] {
        let second = made(number, &[reservation(200), copy], b"");
        let found = recover(&Simulated::with([first.clone(), second, spare.clone()].into())).unwrap();
        assert_eq!((found.last_begun(), found.newest()), (Some(1), Some(2)), "made at {number}");
    }
    let found = recover(&Simulated::with([spare].into())).unwrap();
    assert_eq!((found.last_begun(), found.newest()), (None, Some(0)));
}

#[test]
fn a_segment_that_did_not_end_is_cut_behind_its_last_frame() {
    let message = (Header::new(kind::MESSAGE, 101, b"x"), &b"x"[..]);
    let end = (Header::new(kind::END, 102, b""), &b""[..]);
    let cut = |changes: &[Change]| changes.iter().any(|change| matches!(change, Change::Length(..)));
    let synced = |changes: &[Change]| changes.iter().any(|change| matches!(change, Change::Sync(_)));
    for (frames, behind, bytes) in [
        (&[message][..], 20_000, 4096),
        (&[message], 4096, 4096),
        (&[message], 4096 - 64, 4096),
        (&[message], 0, 4096),
        (&[message, end], 20_000, 20_480),
    ] {
        let (found, storage) = found(frames, &vec![0; behind]);
        assert_eq!(found.segments[0].bytes, bytes, "{behind}");
        assert_eq!(synced(&storage.changes()), frames.len() == 1, "a killed process may not have done it");
        let was_cut = behind >= 4096 && frames.len() == 1;
        assert_eq!((cut(&storage.changes()), storage.bytes() == 64), (was_cut, was_cut || behind == 0), "{behind}");
    }
    // One that cannot be cut takes what it took.
    let bytes = vec![0; 20_000];
    let storage = Simulated::with([(segment::name(100, SALT), bytes)].into());
    storage.fail(Some(Failing { at: 1, times: 1, how: How::Error(30) }));
    assert_eq!(recover(&storage).unwrap().segments[0].bytes, 20_480);
}

fn open(storage: &Simulated) -> Engine {
    scripted::engine(storage, Keeping { sizes: Sizes::of(256 * 1024), sync_at_put: true, pad: false })
}

proptest! {
    /// Whatever stands in the directory: no panic, no more reads than three of each byte, and what follows works.
    #[test]
    fn arbitrary_files_are_opened(
        names in prop::collection::vec("[0-9a-f]{16}-[0-9a-f]{8}\\.seg|outbox|dead-[0-9a-f]{4}\\.seg|[ -~]{1,20}", 0..4),
        seed: u64, length in 0_usize..20_000, cut in 0_usize..600, flips in 0_usize..40,
    ) {
        let mut random = Random(seed);
        let mut files: BTreeMap<String, Vec<u8>> = names.into_iter().filter(|name| !name.contains('/')).map(|name| {
            (name, (0..length).map(|_| random.next() as u8).collect())
        }).collect();
        let mut bent = golden();
        for _ in 0..flips {
            let at = random.below(bent.len());
            bent[at] = random.next() as u8;
        }
        bent.drain(..(cut / 8 * 8).min(bent.len()));
        files.insert(segment::name(100, SALT), bent);
        let storage = Simulated::with(files.clone());
        let engine = open(&storage);
        prop_assert!(storage.reads() <= 3 * files.values().map(|file| file.len() as u64).sum::<u64>());
        let lanes: Vec<_> = {
            let state = engine.lock();
            state.book.lanes.iter().flat_map(|(_, lane)| lane.queue.iter().map(|slot| (lane.key, *slot)).collect::<Vec<_>>()).collect()
        };
        for (key, slot) in lanes {
            let (header, frame) = engine.read(key, &slot).unwrap();
            let known = [&b"settled"[..], b"message", &[123, 125, 0, 0]].contains(&header.payload(&frame).unwrap());
            prop_assert!(known);
        }
    }
}
