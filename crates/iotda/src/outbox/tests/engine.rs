//! What happens to entries while they are written, and what the engine counts and records. Faults of the file system
//! are [`super::faults`]', crashes [`super::crash`]'s.

use std::collections::BTreeMap;
use std::thread;
use std::time::Instant;

use super::super::book::Entry;
use super::super::engine::{Keeping, NotPut};
use super::super::frame::{LaneKey, Stamp, frame_bytes, kind};
use super::super::space::{Pressure, Sizes};
use super::faults::{LANE, SIZES, open, put, settle_first, waiting};
use super::scripted;
use super::simulated::{Change, Failing, How, Simulated};

/// `write` runs until its sync, which ends after `meanwhile` has run.
fn while_written(storage: &Simulated, write: impl FnOnce() + Send, meanwhile: impl FnOnce()) {
    storage.hold_syncs(true);
    thread::scope(|scope| {
        let writer = scope.spawn(write);
        storage.wait_for_held(1);
        meanwhile();
        storage.hold_syncs(false);
        writer.join().unwrap();
    });
}

fn numbers(found: BTreeMap<u64, Vec<u8>>) -> Vec<u64> {
    found.into_keys().collect()
}

#[test]
fn a_put_that_gave_up_is_not_delivered_by_this_process() {
    let storage = Simulated::default();
    let engine = open(&storage, true);
    let mut first = 0;
    let acknowledged = || put(&engine, b"first").unwrap();
    while_written(
        &storage,
        || first = acknowledged(),
        || {
            let entry = Entry { lane: LANE, kind: kind::MESSAGE, payload: b"given up" };
            let result = engine.put(&[entry, entry], Stamp::default(), Some(Instant::now()));
            assert_eq!(result, Err(NotPut::Timeout));
        },
    );
    let last = put(&engine, b"last").unwrap();
    assert_eq!(numbers(waiting(&engine)), [first, last]);
    assert_eq!(engine.lock().book.waiting_entries, 2);
}

#[test]
fn what_is_settled_while_it_is_written_does_not_come_back() {
    for (sync_at_put, copied) in [(true, true), (false, true), (false, false)] {
        let storage = Simulated::default();
        let engine = open(&storage, sync_at_put);
        let put_some = |count| {
            for _ in 0..count {
                put(&engine, &[7; 250]).unwrap();
            }
        };
        let write: &(dyn Fn() + Sync) = if copied {
            // Most of the first segment is settled, and the rest is worth copying.
            put_some(40);
            engine.commit(true, None).unwrap();
            settle_first(&engine, 9);
            &|| assert!(engine.reclaim(Pressure::None).unwrap())
        } else {
            put_some(3);
            &|| engine.commit(true, None).unwrap()
        };
        while_written(&storage, write, || assert!(!settle_first(&engine, 1000).is_empty()));
        let case = format!("at each put: {sync_at_put}, copied: {copied}");
        assert!(waiting(&engine).is_empty(), "{case}");
        let book = &engine.lock().book;
        assert_eq!((book.waiting_entries, book.waiting, book.lanes_waiting), (0, 0, 0), "{case}");
        assert!(book.space.segments.values().all(|segment| (segment.live, segment.count) == (0, 0)), "{case}");
    }
}

#[test]
fn an_entry_that_a_copy_has_moved_is_read_where_it_is_now() {
    let engine = open(&Simulated::default(), true);
    for _ in 0..40 {
        put(&engine, &[7; 250]).unwrap();
    }
    settle_first(&engine, 9);
    let lane = engine.lock().book.lanes.find(LANE).unwrap();
    let slots = || engine.lock().book.lanes.get(lane).queue.iter().copied().collect::<Vec<_>>();
    let before = slots();
    while engine.reclaim(Pressure::None).unwrap() {}
    assert!(before != slots(), "some were moved");
    for slot in &before {
        let (header, frame) = engine.read(LANE, slot).unwrap();
        assert_eq!((header.number, header.payload(&frame)), (slot.number, Some(&[7; 250][..])));
    }
    assert_eq!(engine.lock().counts.damaged, 0);
}

#[test]
fn what_finds_no_room_for_its_copy_stays_where_it_is() {
    let mut refused = 0;
    for count in 30..44 {
        let engine = open(&Simulated::default(), true);
        for _ in 0..count {
            put(&engine, &[7; 250]).unwrap();
        }
        // One segment is worth copying where a put needs the space, and is more than half a segment.
        settle_first(&engine, 2);
        let before = waiting(&engine);
        engine.lock().book.space.sizes.log = 0;
        while let Ok(true) = engine.reclaim(Pressure::Put) {}
        refused += usize::from(engine.reclaim(Pressure::Put) == Err(NotPut::Full));
        assert_eq!(waiting(&engine), before, "{count}");
        assert_eq!(engine.lock().failure, None, "{count}");
    }
    assert!(refused > 0);
}

#[test]
fn what_was_settled_while_it_was_written_is_recorded_by_the_next_commit() {
    let storage = Simulated::default();
    let engine = open(&storage, false);
    put(&engine, b"first").unwrap();
    while_written(&storage, || engine.commit(true, None).unwrap(), || drop(settle_first(&engine, 1)));
    engine.commit(true, None).unwrap();
    assert!(waiting(&open(&Simulated::with(storage.files()), false)).is_empty());
}

#[test]
fn what_a_failed_commit_was_to_record_is_recorded_by_the_next() {
    let storage = Simulated::default();
    let engine = open(&storage, false);
    let two = [put(&engine, b"first").unwrap(), put(&engine, b"second").unwrap()];
    engine.commit(true, None).unwrap();
    settle_first(&engine, 1);
    storage.fail(Some(Failing { at: 0, times: usize::MAX, how: How::Error(5) }));
    assert!(engine.commit(true, None).is_err());
    storage.fail(None);
    engine.commit(true, None).unwrap();
    assert_eq!(numbers(waiting(&open(&Simulated::with(storage.files()), false))), two[1..]);
}

/// What a failed sync leaves in the page cache counts as clean there: only a file that is written anew is on the device.
#[test]
fn after_a_failed_sync_everything_goes_into_another_file() {
    let storage = Simulated::default();
    let engine = open(&storage, false);
    put(&engine, b"first").unwrap();
    engine.commit(true, None).unwrap();
    put(&engine, b"second").unwrap();
    // The write, then the sync.
    storage.fail(Some(Failing { at: storage.calls() + 2, times: 1, how: How::Error(5) }));
    assert!(engine.commit(true, None).is_err());
    let written = |change: &Change| match change {
        Change::Write(file, _, bytes) if bytes.windows(6).any(|text| text == b"second") => Some(*file),
        _ => None,
    };
    let before: Vec<usize> = storage.changes().iter().filter_map(written).collect();
    assert_eq!(before.len(), 1, "the sync failed, not the write");
    engine.commit(true, None).unwrap();
    let after: Vec<usize> = storage.changes().iter().filter_map(written).collect();
    assert!(after.len() == 2 && after[1] > before[0], "{after:?}");
}

#[test]
fn what_waits_is_counted_in_entries_bytes_and_lanes() {
    let engine = open(&Simulated::default(), false);
    let other = LaneKey { sender: 2, reported: 3 };
    for (lane, length) in [(LANE, 10), (LANE, 100), (other, 1000)] {
        let entry = Entry { lane, kind: kind::MESSAGE, payload: &[0; 1000][..length] };
        engine.put(&[entry], Stamp::default(), None).unwrap();
    }
    let counted = || {
        let book = &engine.lock().book;
        (book.waiting_entries, book.waiting as usize, book.lanes_waiting)
    };
    let all = [10, 100, 1000].map(frame_bytes);
    assert_eq!(counted(), (3, all.iter().sum(), 2));
    settle_first(&engine, 1);
    assert_eq!(counted(), (2, all[1] + all[2], 2));
    settle_first(&engine, 1);
    assert_eq!(counted(), (1, all[2], 1));
}

/// More entries than are reserved at a time, in the largest puts there are.
#[test]
fn numbers_are_reserved_before_they_are_used_up() {
    let storage = Simulated::default();
    let keeping = Keeping { sizes: Sizes::of(64 << 20), sync_at_put: false, pad: false };
    let engine = scripted::engine(&storage, keeping);
    let entries = vec![Entry { lane: LANE, kind: kind::MESSAGE, payload: b"" }; 10_000];
    let mut next = engine.lock().book.next_number();
    for _ in 0..8 {
        assert_eq!(engine.put(&entries, Stamp::default(), None), Ok(next));
        next += 10_000;
    }
    // The last of them are not on the device.
    let after = scripted::engine(&Simulated::with(storage.files()), keeping);
    assert!(after.lock().book.next_number() >= next);
}

/// What is put beyond the segments that are there waits in memory with the rest, in a file that is as long as what is in it.
#[test]
fn where_the_file_system_reserves_nothing_a_put_goes_on_without() {
    let storage = Simulated::default();
    storage.reserve_nothing();
    let engine = open(&storage, false);
    let mut all = Vec::new();
    for _ in 0..60 {
        all.push(put(&engine, &[7; 250]).unwrap());
        assert!(storage.files().values().all(|bytes| !bytes.is_empty()), "no segment is made before it is needed");
    }
    assert!(engine.lock().book.unsynced() > 0);
    engine.commit(true, None).unwrap();
    assert!((storage.bytes() as u64) < engine.lock().book.space.used());
    assert_eq!(numbers(waiting(&open(&Simulated::with(storage.files()), false))), all);
}

#[test]
fn before_a_put_is_refused_what_was_settled_is_given_back() {
    for sync_at_put in [true, false] {
        let engine = open(&Simulated::default(), sync_at_put);
        while put(&engine, &[7; 250]).is_ok() {}
        engine.commit(true, None).unwrap();
        assert_eq!(put(&engine, &[7; 250]), Err(NotPut::Full));
        // Nothing of this is written before the put.
        settle_first(&engine, 10_000);
        put(&engine, &[7; 250]).unwrap();
    }
}

#[test]
fn each_sync_is_counted_once_however_many_files_are_removed() {
    let storage = Simulated::default();
    let engine = open(&storage, true);
    let is_sync = |change: &&Change| matches!(change, Change::Sync(_) | Change::SyncNames);
    for _ in 0..60 {
        put(&engine, &[7; 250]).unwrap();
    }
    settle_first(&engine, 50);
    let files = storage.files().len();
    assert!(engine.reclaim(Pressure::Put).unwrap() && storage.files().len() + 2 <= files, "some are removed");
    assert_eq!(engine.lock().counts.syncs, storage.changes().iter().filter(is_sync).count() as u64);
}

/// Also of a file that is longer than others, for a large entry.
#[test]
fn a_file_that_cannot_be_removed_is_counted_as_long_as_it_is() {
    let keeping = Keeping { sizes: Sizes { log: 200 * 1024, entry: 9000, ..SIZES }, sync_at_put: true, pad: false };
    let mut left = 0;
    for at in 1..=8 {
        let storage = Simulated::default();
        let engine = scripted::engine(&storage, keeping);
        let used = || engine.lock().book.space.used();
        for length in [250, 8000, 8000, 250, 250] {
            put(&engine, &vec![7; length]).unwrap();
        }
        settle_first(&engine, 3);
        let files = storage.files();
        storage.fail(Some(Failing { at: storage.calls() + at, times: 1, how: How::Error(5) }));
        let result = engine.reclaim(Pressure::Put);
        storage.fail(None);
        let kept = storage.files().keys().filter(|name| files.contains_key(*name)).count();
        left += usize::from(result == Ok(true) && kept > 1);
        assert_eq!(used(), storage.bytes() as u64, "{at}");
        while engine.reclaim(Pressure::Put).unwrap() {}
        assert_eq!(used(), storage.bytes() as u64, "{at}");
    }
    assert!(left > 0, "no removal failed");
}

#[test]
fn a_segment_that_cannot_be_read_when_it_is_copied_is_damage_once_and_stays() {
    let storage = Simulated::default();
    let engine = open(&storage, true);
    for _ in 0..40 {
        put(&engine, &[7; 250]).unwrap();
    }
    settle_first(&engine, 9);
    let files = storage.files();
    let first = files.keys().next().unwrap();
    storage.spoil(first, 0);
    let tries = (0..100).take_while(|_| engine.reclaim(Pressure::None).unwrap()).count();
    assert!(tries < 100, "it would go on without end");
    assert_eq!(engine.lock().counts.damaged, 1);
    assert_eq!(storage.files().get(first), files.get(first));
    storage.restore();
    assert_eq!(waiting(&engine).len(), 31);
}

/// After a power cut that undid removals, or with a lower bound than before.
#[test]
fn what_is_above_the_bound_is_given_back_by_one_commit() {
    let other = LaneKey { sender: 2, reported: 2 };
    // Of full segments, one goes into what is left of those in use; of emptier ones, as many as must go.
    for (settled, segments) in [(0, 1), (9, 4)] {
        let storage = Simulated::default();
        let engine = open(&storage, true);
        let space = || {
            let state = engine.lock();
            (state.book.space.used(), state.book.space.left)
        };
        // Until there is a spare segment beside the one in use.
        for number in 0.. {
            let lane = if number % 11 < settled { LANE } else { other };
            engine.put(&[Entry { lane, kind: kind::MESSAGE, payload: &[7; 250] }], Stamp::default(), None).unwrap();
            if space().0 > 5 * SIZES.segment && space().1 > SIZES.segment {
                break;
            }
        }
        settle_first(&engine, 1000);
        let waiting = engine.lock().book.waiting_entries;
        let log = space().0 - segments * SIZES.segment;
        engine.lock().book.space.sizes.log = log;
        engine.commit(true, None).unwrap();
        assert!(space().0 <= log, "{settled} of 11 settled: {} of {log} bytes", space().0);
        assert_eq!(space().0, storage.bytes() as u64);
        assert_eq!(engine.lock().book.waiting_entries, waiting);
    }
}
