//! What a destroyed page of 4 KiB costs in deliveries that come again: those whose records were on it, and no others.
//! That nothing else is lost, and what a page costs in entries, is [`super::crash`]'s.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::book::Entry;
use super::super::engine::{Engine, Keeping};
use super::super::frame::{LaneKey, Stamp, frame_bytes, kind};
use super::super::log::Frames;
use super::super::segment;
use super::super::settle::Settled;
use super::super::space::{Pressure, Sizes};
use super::crash::waiting;
use super::scripted;
use super::simulated::{Change, Simulated};
use super::states::PAGE;

/// The least record of an answer: what every record begins with, and one lane with the number up to which it is settled.
const LEAST_RECORD: usize = frame_bytes(24 + 24);

/// The most answers whose records a page holds, in whole or in part. Each answer has a record of its own, of at least
/// [`LEAST_RECORD`] bytes. All but the first and the last on the page lie on it in whole; of these two at least 8 bytes do, since
/// frames begin at multiples of 8.
pub(super) const RECORDS_ON_A_PAGE: usize = 2 + (PAGE - 2 * 8) / LEAST_RECORD;

/// Where the record of an answer stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    file: usize,
    bytes: Range<usize>,
}

impl Record {
    pub(super) fn is_on(&self, pages: &[(usize, usize)]) -> bool {
        let on = |page: usize| self.bytes.start < (page + 1) * PAGE && page * PAGE < self.bytes.end;
        pages.iter().any(|(file, page)| *file == self.file && on(*page))
    }
}

/// The records among these changes that say of a lane that it is settled up to a number.
pub(super) fn records(changes: &[Change], lane: LaneKey, number: u64) -> Vec<Record> {
    let mut found = Vec::new();
    for change in changes {
        let Change::Write(file, at, bytes) = change else { continue };
        let mut from = *at as usize;
        for (header, frame) in (Frames { bytes: bytes.clone() }).iter() {
            let mut settled = Settled::default();
            let is_record = header.kind == kind::SETTLED && settled.merge(header.payload(frame).unwrap());
            if is_record && settled.covers(lane, number) {
                found.push(Record { file: *file, bytes: from..from + frame.len() });
            }
            from += frame.len();
        }
    }
    found
}

const SIZES: Sizes = Sizes { log: 40 * 16 * 1024, segment: 16 * 1024, dead: 1024, entry: 3000 };

fn open(storage: &Simulated) -> Engine {
    scripted::engine(storage, Keeping { sizes: SIZES, sync_at_put: true, pad: false })
}

fn lane(number: u64) -> LaneKey {
    LaneKey { sender: number, reported: number }
}

fn put(engine: &Engine, lane: LaneKey, length: usize) -> u64 {
    let payload = &vec![7; length];
    engine.put(&[Entry { lane, kind: kind::MESSAGE, payload }], Stamp::default(), None).unwrap()
}

/// The platform takes the first entry of a lane: returns its number.
fn answer(engine: &Engine, lane: LaneKey) -> u64 {
    let mut state = engine.lock();
    let index = state.book.lanes.find(lane).unwrap();
    let number = state.book.lanes.get(index).queue.first().unwrap().number;
    assert_eq!(state.book.settle(index, number), 1);
    drop(state);
    engine.commit(false, None).unwrap();
    number
}

/// The newest segment: its index among the files that were made, and its name.
fn newest(storage: &Simulated) -> (usize, String) {
    let made = storage.changes().into_iter().filter_map(|change| match change {
        Change::Create(name, index) if segment::parse_name(&name).is_some() => Some((index, name)),
        _ => None,
    });
    // The spare one has been made, and nothing is in it.
    let mut written =
        made.filter(|(_, name)| storage.files().get(name).is_some_and(|bytes| bytes.iter().any(|byte| *byte != 0)));
    written.next_back().unwrap()
}

/// The same files with one page destroyed.
fn without(storage: &Simulated, name: &str, page: usize) -> Simulated {
    let mut files = storage.files();
    files.get_mut(name).unwrap()[page * PAGE..(page + 1) * PAGE].fill(0xa5);
    Simulated::with(files)
}

/// Lets 128 lanes be answered, each with a record in one segment, and destroys one page of it after the other. `first`: the
/// length of what stands before the records. Returns how many answers came again at most.
fn destroy_each_page(first: usize) -> usize {
    let storage = Simulated::default();
    let engine = open(&storage);
    // As long as it waits, no record says of all lanes at once that they are settled.
    let stuck = put(&engine, lane(1), 100);
    let lanes: Vec<LaneKey> = (2..130).map(lane).collect();
    for lane in &lanes {
        put(&engine, *lane, 100);
    }
    let before = newest(&storage);
    while newest(&storage) == before {
        put(&engine, lane(1), first);
    }
    let (file, name) = newest(&storage);
    let begun = storage.change_count();
    let answered: Vec<(u64, Record)> = lanes
        .iter()
        .map(|lane| {
            let number = answer(&engine, *lane);
            let found = records(&storage.changes_from(begun), *lane, number);
            assert_eq!((found.len(), found[0].file), (1, file), "each has a record of its own, in the segment");
            (number, found[0].clone())
        })
        .collect();
    engine.commit(true, None).unwrap();
    let all = waiting(&open(&Simulated::with(storage.files())));
    assert!(all.contains_key(&stuck) && answered.iter().all(|(number, _)| !all.contains_key(number)));
    let mut most = 0;
    for page in 0..16 * 1024 / PAGE {
        let on_it = answered.iter().filter(|(_, record)| record.is_on(&[(file, page)])).map(|(number, _)| *number);
        let found = waiting(&open(&without(&storage, &name, page)));
        let again = answered.iter().map(|(number, _)| *number).filter(|number| found.contains_key(number));
        let again: BTreeSet<u64> = again.collect();
        assert_eq!(again, on_it.collect(), "page {page}");
        most = most.max(again.len());
    }
    most
}

#[test]
fn a_destroyed_page_repeats_the_answers_that_were_recorded_on_it_and_no_others() {
    // Wherever on the page the first record begins.
    let most = (0..LEAST_RECORD / 8).map(|phase| destroy_each_page(100 + 8 * phase)).max();
    assert_eq!(most, Some(RECORDS_ON_A_PAGE), "and there are pages that hold so many");
}

/// Puts 2,400 entries, of each 40 so many in a lane that waits for ever: the segments that they are in stay. Then those of
/// another lane are answered, which is recorded in later segments, until the fourth of these has just begun. Returns what was
/// answered, and the segment before that one.
fn answer_behind(stuck: u64, storage: &Simulated, engine: &Engine) -> (Vec<u64>, String) {
    for number in 0..2_400 {
        put(engine, if number % 40 < stuck { lane(1) } else { lane(2) }, 100);
    }
    let (mut answered, mut begun, mut before) = (Vec::new(), 0, String::new());
    while begun < 4 {
        let newest_before = newest(storage).1;
        answered.push(answer(engine, lane(2)));
        if newest(storage).1 != newest_before {
            (begun, before) = (begun + 1, newest_before);
        }
    }
    (answered, before)
}

/// What the first page of a segment begins with is all that is known of what was settled in segments that are gone.
#[test]
fn a_destroyed_first_page_repeats_no_more_when_what_was_before_it_is_removed() {
    let storage = Simulated::default();
    let engine = open(&storage);
    let (answered, before) = answer_behind(1, &storage, &engine);
    let (_, name) = newest(&storage);
    let files = storage.files().len();
    assert!(
        engine.reclaim(Pressure::Put).unwrap() && storage.files().len() < files,
        "some in which nothing waits are removed"
    );
    let found = waiting(&open(&without(&storage, &name, 0)));
    let again = answered.iter().filter(|number| found.contains_key(number)).count();
    assert!(again <= RECORDS_ON_A_PAGE, "{again} of {} come again", answered.len());
    // The one before is given back as soon as there is a page behind the first one.
    assert!(storage.files().contains_key(&before));
    for _ in 0..RECORDS_ON_A_PAGE {
        answer(&engine, lane(2));
    }
    assert!(engine.reclaim(Pressure::Put).unwrap() && !storage.files().contains_key(&before));
    assert_eq!(newest(&storage).1, name);
}

/// The same for the segment that a start begins: the one before it is the last that was written to, not a spare one.
#[test]
fn a_destroyed_first_page_repeats_no_more_when_it_was_the_first_of_a_start() {
    let storage = Simulated::default();
    let engine = open(&storage);
    let (mut answered, _) = answer_behind(26, &storage, &engine);
    // A sync has a spare segment made where less than half of one is left.
    let is_spare = |bytes: &Vec<u8>| bytes.iter().all(|byte| *byte == 0);
    while !storage.files().values().any(is_spare) {
        answered.push(answer(&engine, lane(2)));
        engine.commit(true, None).unwrap();
    }
    drop(engine);
    let files = storage.files().len();
    drop(open(&storage));
    assert!(storage.files().len() < files, "some in which nothing waits are removed");
    let found = waiting(&open(&without(&storage, &newest(&storage).1, 0)));
    let again = answered.iter().filter(|number| found.contains_key(number)).count();
    assert!(again <= RECORDS_ON_A_PAGE, "{again} of {} come again", answered.len());
}
