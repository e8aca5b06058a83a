//! What the book decides, commit by commit: what finds room, what is written and where it may go, what is settled.

use super::super::tests::simulated::Simulated;
use super::*;

const LANE: LaneKey = LaneKey { sender: 1, reported: 1 };
const SIZES: Sizes = Sizes { log: 40 * 1024, segment: 4096, dead: 1024, entry: 3000 };

fn book(sizes: Sizes, hidden: bool) -> (Book, Log) {
    let found = Recovered { next_number: 1, ..Recovered::default() };
    (Book::new(found, sizes, hidden), Log::new(Arc::new(Simulated::default()), sizes.segment, false, 0, None))
}

fn put(book: &mut Book, lane: LaneKey, payload: &[u8]) -> u64 {
    book.put(&[Entry { lane, kind: kind::MESSAGE, payload }], Stamp::default())
}

fn finish(book: &mut Book, log: &mut Log, commit: &Commit) {
    let outcome = log.write(commit);
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    book.finish(commit, &outcome, log);
}

fn commit(book: &mut Book, log: &mut Log) {
    let commit = book.begin(true, log).unwrap();
    finish(book, log, &commit);
}

/// What a payload's length must be for a frame of so many bytes.
fn payload_of(frame: u64) -> usize {
    frame as usize - frame_bytes(0)
}

#[test]
fn the_last_reserved_number_is_used_and_none_beyond() {
    let (mut book, _) = book(SIZES, false);
    (book.next_number, book.reserved) = (8, 10);
    book.space.left_in_active = SIZES.segment;
    assert_eq!(book.room([5; 2].into_iter()), Room::Fits);
    assert_eq!(book.room([5; 3].into_iter()), Room::AfterCommit);
}

#[test]
fn as_much_as_may_wait_in_memory_does_and_no_more() {
    let (mut book, _) = book(Sizes::of(16 << 20), false);
    book.reserved = 1000;
    let all = payload_of(UNSYNCED_MAX);
    assert_eq!(book.room([all + 8].into_iter()), Room::Unreserved, "alone it may be larger");
    book.space.left_in_active = UNSYNCED_MAX;
    assert_eq!(book.room([all].into_iter()), Room::Fits);
    book.space.left_in_active = 0;
    let first = 100_000;
    put(&mut book, LANE, &vec![0; payload_of(first)]);
    let rest = payload_of(UNSYNCED_MAX - first);
    assert_eq!(book.room([rest].into_iter()), Room::Unreserved);
    assert_eq!(book.room([rest + 8].into_iter()), Room::AfterCommit);
}

#[test]
fn what_is_acknowledged_before_it_is_written_fits_into_the_segments_that_are_open() {
    let frames = |bytes: u64, unsynced: &[u64]| {
        let (mut book, _) = book(SIZES, false);
        (book.reserved, book.space.left_in_active, book.space.left) = (1000, 1000, 3000);
        for bytes in unsynced {
            put(&mut book, LANE, &vec![0; payload_of(*bytes)]);
        }
        book.room([payload_of(bytes)].into_iter()) == Room::Fits
    };
    assert!(frames(1000, &[]) && frames(400, &[600]));
    // Into the second one, whatever is left unused at the end of the first: less than the largest frame, and than all of it.
    assert!(frames(1504, &[]) && frames(400, &[600, 500]) && frames(200, &[1400]));
    assert!(frames(2000, &[]) && !frames(2008, &[]) && !frames(800, &[600, 1008]));
    // 64 bytes go into the first, 1504 into the second, and 504 into neither.
    assert!(!frames(504, &[64, 1504]));
}

/// The largest frame of those that wait counts, and none that was written before.
#[test]
fn what_is_written_already_leaves_no_space_unused() {
    let (mut book, mut log) = book(SIZES, false);
    put(&mut book, LANE, &vec![0; payload_of(1504)]);
    commit(&mut book, &mut log);
    (book.space.left_in_active, book.space.left) = (1000, 3000);
    assert_eq!(book.room([payload_of(400); 6].into_iter()), Room::Fits);
}

#[test]
fn where_there_is_no_space_a_commit_comes_first_if_it_has_something_to_write() {
    let (mut book, _) = book(SIZES, false);
    book.reserved = 1000;
    book.space.segments.insert(0, Use { bytes: SIZES.log, ..Use::default() });
    assert_eq!(book.room([5].into_iter()), Room::NoSpace);
    put(&mut book, LANE, b"x");
    assert_eq!(book.room([5].into_iter()), Room::AfterCommit);
}

#[test]
fn the_last_segment_is_for_records_of_what_was_settled() {
    let (mut book, mut log) = book(SIZES, false);
    let first = put(&mut book, LANE, b"first");
    let commit = book.begin(true, &log).unwrap();
    assert_eq!(commit.room, SIZES.log, "for entries");
    finish(&mut book, &mut log, &commit);
    let used = book.space.used();
    assert!(used > 0);
    put(&mut book, LANE, b"second");
    let lane = book.lanes.find(LANE).unwrap();
    book.settle(lane, first);
    let commit = book.begin(false, &log).unwrap();
    assert_eq!(commit.room, SIZES.log + SIZES.segment - used, "what was put is not written");
    assert!(commit.entries.is_empty() && commit.settled.is_some());
    finish(&mut book, &mut log, &commit);
    let copies = book.begin_reclaim(Frames::default(), &log);
    assert_eq!(copies.room, SIZES.log + SIZES.segment - book.space.used());
    finish(&mut book, &mut log, &copies);
    let commit = book.begin(true, &log).unwrap();
    assert_eq!(commit.room, SIZES.log - book.space.used(), "for entries");
    finish(&mut book, &mut log, &commit);
    book.reserved = 0;
    let commit = book.begin(true, &log).unwrap();
    assert_eq!(commit.room, SIZES.log + SIZES.segment - book.space.used(), "nothing was put");
}

#[test]
fn a_record_names_no_lane_once_all_of_it_is_settled() {
    let (mut book, mut log) = book(SIZES, false);
    let keys = [1, 2, 3].map(|reported| LaneKey { sender: 1, reported });
    let lanes = |record: &[u8]| {
        let mut settled = settle::Settled::default();
        assert!(settled.merge(record));
        (settled.floor, settled.lanes().map(|(key, _)| key).collect::<Vec<_>>())
    };
    for key in keys {
        put(&mut book, key, b"x");
    }
    commit(&mut book, &mut log);
    // The second waits on.
    for key in [keys[0], keys[2]] {
        let lane = book.lanes.find(key).unwrap();
        assert_eq!(book.settle(lane, u64::MAX - 1), 1);
    }
    commit(&mut book, &mut log);
    assert_eq!(lanes(&book.all_lanes(0)), (2, vec![keys[0], keys[2]]));
    let (mut book, mut log) = self::book(SIZES, false);
    for key in keys {
        let number = put(&mut book, key, b"x");
        commit(&mut book, &mut log);
        let lane = book.lanes.find(key).unwrap();
        assert_eq!(book.settle(lane, number), 1);
        commit(&mut book, &mut log);
    }
    commit_if_any(&mut book, &mut log);
    put(&mut book, keys[0], b"waits");
    commit(&mut book, &mut log);
    assert_eq!(lanes(&book.all_lanes(0)), (4, Vec::new()));
}

fn commit_if_any(book: &mut Book, log: &mut Log) {
    if let Some(commit) = book.begin(true, log) {
        finish(book, log, &commit);
    }
}

#[test]
fn what_is_put_while_a_commit_is_under_way_is_read_as_what_it_is() {
    let (mut book, mut log) = book(SIZES, false);
    let payloads: Vec<Vec<u8>> = (0..4_u8).map(|number| vec![number; 20]).collect();
    let mut under_way = Vec::new();
    for payload in &payloads {
        put(&mut book, LANE, payload);
        under_way = vec![book.begin(true, &log).unwrap()];
    }
    let lane = book.lanes.find(LANE).unwrap();
    let read = |book: &Book| {
        let queue = &book.lanes.get(lane).queue;
        let payload = |slot: &Slot| match book.source(slot) {
            Source::Memory(frame) => Header::decode(frame.first_chunk().unwrap()).payload(&frame).unwrap().to_vec(),
            _ => panic!("{slot:?} is not on disk"),
        };
        queue.iter().map(payload).collect::<Vec<_>>()
    };
    assert_eq!(read(&book), payloads);
    finish(&mut book, &mut log, &under_way.remove(0));
    assert_eq!(book.unsynced(), 0);
}

#[test]
fn what_is_settled_already_changes_nothing() {
    let (mut book, mut log) = book(SIZES, false);
    let other = LaneKey { sender: 1, reported: 2 };
    let numbers = [LANE, LANE, other].map(|lane| put(&mut book, lane, b"x"));
    commit(&mut book, &mut log);
    let lane = book.lanes.find(LANE).unwrap();
    assert_eq!(book.settle(lane, numbers[1]), 2);
    commit(&mut book, &mut log);
    let state = |book: &Book| (book.lanes_waiting, book.lanes.get(lane).settled, book.settled_unsynced);
    let before = state(&book);
    assert_eq!((before, book.settle(lane, u64::MAX)), ((1, numbers[1], false), 0));
    assert_eq!(state(&book), before);
}

#[test]
fn a_segment_that_is_removed_is_no_place_to_read_from() {
    let (mut book, mut log) = book(SIZES, false);
    let number = put(&mut book, LANE, b"x");
    commit(&mut book, &mut log);
    let lane = book.lanes.find(LANE).unwrap();
    let slot = *book.lanes.get_mut(lane).queue.find(number).unwrap();
    assert!(matches!(book.source(&slot), Source::File { .. }));
    let (_, used) = book.forget_segment(slot.place).unwrap();
    assert_eq!((used.bytes, used.count), (SIZES.segment, 1));
    assert!(matches!(book.source(&slot), Source::Lost));
    assert!(book.forget_segment(slot.place).is_none());
}
