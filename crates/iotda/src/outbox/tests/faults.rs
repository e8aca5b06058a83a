//! Calls of the file system that fail, each kind at each position: the answer to a put is true, nothing that was
//! acknowledged is lost, and the outbox works again when the file system does.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::book::Entry;
use super::super::engine::{Engine, Keeping, NotPut};
use super::super::frame::{LaneKey, Stamp, kind};
use super::super::space::{Pressure, Sizes};
use super::scripted::{self, still};
use super::simulated::{Failing, How, Simulated};
use super::states::Random;

pub(super) const LANE: LaneKey = LaneKey { sender: 1, reported: 1 };
pub(super) const SIZES: Sizes = Sizes { log: 40 * 1024, segment: 4096, dead: 1024, entry: 3000 };

pub(super) fn open(storage: &Simulated, sync_at_put: bool) -> Engine {
    scripted::engine(storage, Keeping { sizes: SIZES, sync_at_put, pad: false })
}

pub(super) fn put(engine: &Engine, payload: &[u8]) -> Result<u64, NotPut> {
    engine.put(&[Entry { lane: LANE, kind: kind::MESSAGE, payload }], Stamp::default(), None)
}

pub(super) fn settle_first(engine: &Engine, count: usize) -> Vec<u64> {
    let mut state = engine.lock();
    let Some(lane) = state.book.lanes.find(LANE) else { return Vec::new() };
    let numbers: Vec<u64> = state.book.lanes.get(lane).queue.iter().take(count).map(|slot| slot.number).collect();
    if let Some(last) = numbers.last() {
        state.book.settle(lane, *last);
    }
    numbers
}

pub(super) fn waiting(engine: &Engine) -> BTreeMap<u64, Vec<u8>> {
    let slots: Vec<_> = {
        let state = engine.lock();
        let Some(lane) = state.book.lanes.find(LANE) else { return BTreeMap::new() };
        state.book.lanes.get(lane).queue.iter().copied().collect()
    };
    let read = |slot| {
        let (header, frame) = engine.read(LANE, slot).expect("nothing is damaged");
        (slot.number, header.payload(&frame).unwrap().to_vec())
    };
    slots.iter().map(read).collect()
}

/// A life with a fault in it; returns how many calls it made.
fn life(sync_at_put: bool, failing: Option<Failing>, seed: u64) -> usize {
    life_on(&Simulated::default(), sync_at_put, failing, seed)
}

fn life_on(storage: &Simulated, sync_at_put: bool, failing: Option<Failing>, seed: u64) -> usize {
    storage.fail(failing);
    let engine = open(storage, sync_at_put);
    let mut random = Random(seed);
    let (mut acknowledged, mut failed) = (BTreeMap::new(), Vec::new());
    let context = || format!("{failing:?}, at each put: {sync_at_put}");
    for step in 0..200_u32 {
        match random.below(8) {
            0..=5 => {
                let payload = [&step.to_le_bytes()[..], &vec![7; random.below(400)]].concat();
                match put(&engine, &payload) {
                    Ok(number) => drop(acknowledged.insert(number, payload)),
                    Err(NotPut::Storage(_)) => failed.push(payload),
                    Err(NotPut::Full) => {}
                    Err(other) => panic!("{other:?}: {}", context()),
                }
            }
            6 => {
                for number in settle_first(&engine, 8) {
                    assert!(acknowledged.remove(&number).is_some(), "only what was acknowledged: {}", context());
                }
                let _ = engine.commit(false, None);
            }
            _ => drop(engine.reclaim(Pressure::None)),
        }
        assert_eq!(waiting(&engine), acknowledged, "what is delivered is what was acknowledged: {}", context());
    }
    let calls = storage.calls();
    storage.fail(None);
    // The file system works again: so does the outbox, and a kill takes nothing.
    let number = put(&engine, b"last").unwrap_or_else(|error| panic!("{error:?}: {}", context()));
    acknowledged.insert(number, b"last".to_vec());
    engine.commit(true, None).unwrap();
    assert_eq!(engine.lock().failure, None);
    let after = open(&Simulated::with(storage.files()), sync_at_put);
    for (number, payload) in waiting(&after) {
        // What was not acknowledged is there only if its put failed: it "may be delivered after a crash".
        match acknowledged.remove(&number) {
            Some(was) => assert_eq!(was, payload, "{}", context()),
            None => assert!(failed.contains(&payload), "{}", context()),
        }
    }
    assert!(acknowledged.is_empty(), "lost {:?}: {}", acknowledged.keys(), context());
    assert!(storage.bytes() as u64 <= SIZES.log + SIZES.segment, "{}", context());
    calls
}

const ENOSPC: i32 = 28;
const EIO: i32 = 5;
const EROFS: i32 = 30;
const EMFILE: i32 = 24;
const EDQUOT: i32 = 122;
const ERRORS: [i32; 4] = [ENOSPC, EIO, EROFS, EDQUOT];

#[test]
fn each_call_fails_once_at_each_position_and_the_answer_to_the_put_is_true() {
    for sync_at_put in [true, false] {
        let calls = life(sync_at_put, None, 3);
        assert!(calls > 40, "{calls}");
        for at in 1..=calls {
            for how in ERRORS.map(How::Error).into_iter().chain([How::Short]) {
                life(sync_at_put, Some(Failing { at, times: 1, how }), 3);
            }
        }
    }
}

#[test]
fn each_read_fails_once_and_costs_nothing() {
    let storage = Simulated::default();
    life_on(&storage, true, None, 3);
    let reads = storage.read_calls();
    assert!(reads > 500, "{reads}");
    // Each read of the files is one of its kind: of a segment as a whole, or of an entry.
    for at in (1..=reads).step_by(7) {
        let storage = Simulated::default();
        storage.fail_read(Some(at));
        life_on(&storage, true, None, 3);
    }
    let files = storage.files();
    let expected = waiting(&open(&Simulated::with(files.clone()), true));
    for at in 1..=files.len() {
        let storage = Simulated::with(files.clone());
        storage.fail_read(Some(at));
        let engine = open(&storage, true);
        assert_eq!((waiting(&engine), engine.lock().counts.damaged), (expected.clone(), 0), "the start, read {at}");
    }
}

#[test]
fn a_file_that_cannot_be_opened_now_refuses_the_start_and_one_that_never_will_be_does_not() {
    let storage = Simulated::default();
    let engine = open(&storage, true);
    for number in 0..60_u8 {
        put(&engine, &[number; 250]).unwrap();
    }
    let before = waiting(&engine);
    let files = storage.files();
    let keeping = Keeping { sizes: SIZES, sync_at_put: true, pad: false };
    let start = |error| {
        let storage = Simulated::with(files.clone());
        storage.fail_opening(Some(error));
        let started = Engine::open(Arc::new(storage.clone()), keeping, None, still());
        (started.map(|(engine, _)| engine.lock().counts.damaged).ok(), storage.files())
    };
    let (refused, untouched) = start(EMFILE);
    assert_eq!((refused, &untouched), (None, &files), "its entries would count as settled");
    assert_eq!(waiting(&open(&Simulated::with(untouched), true)), before);
    let (damaged, _) = start(EIO);
    assert!(damaged.is_some_and(|damaged| damaged > 0));
}

#[test]
fn on_a_read_only_device_what_waits_can_be_delivered_and_puts_say_what_is_wrong() {
    for sync_at_put in [true, false] {
        let storage = Simulated::default();
        let engine = open(&storage, sync_at_put);
        for number in 0..20_u8 {
            put(&engine, &[number; 100]).unwrap();
        }
        engine.commit(true, None).unwrap();
        let (before, files) = (waiting(&engine), storage.files());
        let storage = Simulated::with(files.clone());
        storage.fail(Some(Failing { at: 0, times: usize::MAX, how: How::Error(EROFS) }));
        let engine = open(&storage, sync_at_put);
        assert_eq!(waiting(&engine), before);
        let read_only = std::io::ErrorKind::ReadOnlyFilesystem;
        assert!(matches!(put(&engine, b"x"), Err(NotPut::Storage(failure)) if failure.kind == read_only));
        assert_eq!(settle_first(&engine, 5).len(), 5);
        assert!(engine.commit(false, None).is_err());
        assert_eq!((waiting(&engine).len(), storage.files()), (15, files), "delivered once by this process");
    }
}

#[test]
fn calls_that_go_on_failing_end_in_errors_and_not_in_files() {
    for sync_at_put in [true, false] {
        for at in (1..200).step_by(7) {
            for error in ERRORS {
                life(sync_at_put, Some(Failing { at, times: 40, how: How::Error(error) }), 5);
            }
        }
    }
}

#[test]
fn until_a_failed_sync_has_succeeded_every_put_fails_and_the_entries_stay() {
    // Before: none, and so many that a second segment is ready, into which more would go.
    for before in [0, 30] {
        let storage = Simulated::default();
        let engine = open(&storage, false);
        let mut acknowledged: Vec<u64> = (0..before).map(|_| put(&engine, &[1; 50]).unwrap()).collect();
        engine.commit(true, None).unwrap();
        acknowledged.push(put(&engine, b"first").unwrap());
        storage.fail(Some(Failing { at: 0, times: usize::MAX, how: How::Error(5) }));
        assert!(engine.commit(true, None).is_err());
        for _ in 0..3 {
            let refused = put(&engine, b"second");
            assert!(matches!(refused, Err(NotPut::Storage(failure)) if failure.text.contains("os error 5")));
        }
        let found = |engine: &Engine| waiting(engine).into_keys().collect::<Vec<_>>();
        assert_eq!(found(&engine), acknowledged, "it is delivered meanwhile");
        storage.fail(None);
        acknowledged.push(put(&engine, b"third").unwrap());
        engine.commit(true, None).unwrap();
        assert_eq!(found(&open(&Simulated::with(storage.files()), false)), acknowledged);
    }
}

#[test]
fn a_disk_that_is_full_in_steps_loses_nothing_and_space_is_used_when_it_is_there() {
    for sync_at_put in [true, false] {
        let storage = Simulated::default();
        storage.limit(Some(0));
        let engine = open(&storage, sync_at_put);
        let mut acknowledged = Vec::new();
        for capacity in (0..60_000).step_by(2_500) {
            storage.limit(Some(capacity));
            loop {
                match put(&engine, &[1; 300]) {
                    Ok(number) => acknowledged.push(number),
                    Err(NotPut::Storage(_) | NotPut::Full) => break,
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
        storage.limit(None);
        assert!(acknowledged.len() > 60, "{}", acknowledged.len());
        engine.commit(true, None).unwrap();
        let after = open(&Simulated::with(storage.files()), sync_at_put);
        let found = waiting(&after);
        assert!(acknowledged.iter().all(|number| found.contains_key(number)));
    }
}

/// Whatever the place at which the device has no more space: what was acknowledged in memory finds its own in the files that
/// are there.
#[test]
fn what_was_put_before_its_sync_has_its_space_in_a_file_on_a_device_that_is_full() {
    let mut put_while_full = 0;
    for length in [100, 300, 1_900] {
        for before in 0..60 {
            let storage = Simulated::default();
            let engine = open(&storage, false);
            (0..before).for_each(|_| drop(put(&engine, &vec![1; length])));
            storage.limit(Some(storage.bytes()));
            let mut acknowledged = waiting(&engine);
            let refused = loop {
                match put(&engine, &vec![2; length]) {
                    Ok(number) => drop(acknowledged.insert(number, vec![2; length])),
                    Err(refused) => break refused,
                }
                put_while_full += 1;
            };
            assert!(matches!(refused, NotPut::Storage(_) | NotPut::Full), "{refused:?}");
            let context = format!("{length} bytes, {before} before");
            assert_eq!(engine.commit(true, None), Ok(()), "{context}");
            assert_eq!(waiting(&open(&Simulated::with(storage.files()), false)), acknowledged, "{context}");
            // The next is taken once there is space, unless the outbox has used up what it may take.
            let has_room = storage.bytes() as u64 + 3 * SIZES.segment <= SIZES.log;
            storage.limit(None);
            let next = put(&engine, &vec![3; length]);
            assert!(next.is_ok() || (!has_room && next == Err(NotPut::Full)), "{context}: {next:?}");
        }
    }
    assert!(put_while_full > 300, "{put_while_full}");
}

#[test]
fn an_unreadable_page_is_skipped_and_its_file_left_in_place() {
    let storage = Simulated::default();
    let engine = open(&storage, true);
    let numbers: Vec<u64> = (0..60).map(|_| put(&engine, &[9; 250]).unwrap()).collect();
    let files = storage.files();
    let damaged = Simulated::with(files.clone());
    let name = files.keys().next().unwrap().clone();
    damaged.spoil(&name, 0);
    let after = open(&damaged, true);
    let found = waiting(&after);
    assert!(found.len() >= numbers.len() - 4096 / 312 - 1, "{}", found.len());
    assert_eq!(after.lock().counts.damaged, 1, "and counted");
    settle_first(&after, 1000);
    after.commit(true, None).unwrap();
    while after.reclaim(Pressure::Put).unwrap() {}
    assert_eq!(damaged.files().get(&name), files.get(&name));
}

#[test]
fn sixty_four_starts_with_one_entry_each_stay_below_a_mebibyte() {
    let mut files = BTreeMap::new();
    let keeping = Keeping { sizes: Sizes::of(16 << 20), sync_at_put: true, pad: false };
    for boot in 0..64_u8 {
        let storage = Simulated::with(files);
        let (engine, number) = Engine::open(Arc::new(storage.clone()), keeping, Some([boot; 16]), still()).unwrap();
        assert_eq!(number, u32::from(boot) + 1);
        put(&engine, b"one").unwrap();
        assert_eq!(waiting(&engine).len(), usize::from(boot) + 1);
        assert!(storage.bytes() < 1 << 20, "{} bytes after {boot} starts", storage.bytes());
        files = storage.files();
    }
}
