//! What a segment begins and ends with, how long it is, and what it may take, byte by byte.

use super::super::frame::FLAG_ALL;
use super::super::segment::{Item, items};
use super::super::settle;
use super::super::tests::simulated::{Change, Simulated};
use super::*;

const SEGMENT: u64 = 20 * 1024;
const LANE: LaneKey = LaneKey { sender: 1, reported: 1 };

fn log(pad: bool) -> (Log, Simulated) {
    let storage = Simulated::default();
    (Log::new(Arc::new(storage.clone()), SEGMENT, pad, 7, None), storage)
}

fn entry(number: u64, frame: u64) -> Frames {
    let payload = vec![number as u8; frame as usize - HEADER];
    let mut frames = Frames::default();
    let header = Header { lane: LANE, ..Header::new(kind::MESSAGE, number, &payload) };
    frame::append_unsealed(&mut frames.bytes, &header, &payload);
    frames
}

fn preamble(boots: usize, lanes: u64) -> Preamble {
    let lane = |number| (LaneKey { sender: number, reported: number }, number);
    let settled = settle::record(1, 2, (1..=lanes).map(lane));
    Preamble { reserved: 2, boots: vec![[1; 32]; boots], settled }
}

/// A commit of one entry whose frame has so many bytes.
fn commit(number: u64, frame: u64, preamble: Option<Preamble>) -> Commit {
    let entries = vec![Arc::new(entry(number, frame))];
    Commit { entries, number, preamble, room: u64::MAX / 2, sync: true, ..Commit::default() }
}

fn written(log: &mut Log, commit: &Commit) -> Outcome {
    let outcome = log.write(commit);
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    outcome
}

/// Kinds and flags of what a file holds.
fn kinds(storage: &Simulated, begun: &Begun) -> Vec<(u8, u8)> {
    let kind = |item| match item {
        Item::Frame { header, .. } => (header.kind, header.flags),
        other => panic!("{other:?}"),
    };
    items(&storage.files()[&begun.name], begun.salt).map(kind).collect()
}

#[test]
fn a_segment_has_room_for_all_but_its_preamble_and_its_end() {
    for (boots, lanes) in [(0, 0), (1, 0), (3, 10)] {
        let (mut log, storage) = log(false);
        let preamble = preamble(boots, lanes);
        let outcome = written(&mut log, &commit(1, 64, Some(preamble.clone())));
        let begun = &outcome.begun[0];
        assert_eq!((log.active(), begun.place, begun.bytes), (Some(7), 7, SEGMENT));
        assert_eq!(log.left(), SEGMENT - preamble.overhead() - 64);
        assert_eq!(storage.bytes() as u64, SEGMENT, "as long as its space was counted");
        // What fits exactly does not need another.
        let left = log.left();
        written(&mut log, &commit(2, left, None));
        assert_eq!((log.left(), log.active()), (0, Some(7)));
        let expected = [(kind::RESERVATION, 0)].into_iter().chain(vec![(kind::BOOT, 0); boots]);
        let expected: Vec<_> =
            expected.chain([(kind::SETTLED, FLAG_ALL), (kind::MESSAGE, 0), (kind::MESSAGE, 0)]).collect();
        assert_eq!(kinds(&storage, begun), expected);
    }
}

#[test]
fn a_segment_ends_with_the_record_of_all_lanes_where_it_fits() {
    // The record that it ends with is the one that the next begins with: it may have grown.
    for (lanes, end) in
        [(0, &[(kind::SETTLED, FLAG_ALL), (kind::END, 0)][..]), (1, &[(kind::MESSAGE, 0), (kind::END, 0)][..])]
    {
        let (mut log, storage) = log(false);
        let first = written(&mut log, &commit(1, 64, Some(preamble(0, 0))));
        let left = log.left();
        written(&mut log, &commit(2, left, None));
        let second = written(&mut log, &commit(3, 64, Some(preamble(0, lanes))));
        assert_eq!((&*second.closed, second.begun[0].place), (&[7][..], 8));
        assert!(kinds(&storage, &first.begun[0]).ends_with(end), "{lanes}");
        assert_eq!(storage.bytes() as u64, 2 * SEGMENT);
    }
}

#[test]
fn a_segment_that_is_full_to_its_last_page_ends_without_a_record() {
    let (mut log, storage) = log(true);
    written(&mut log, &commit(1, 64, Some(preamble(0, 0))));
    let left = log.left();
    // The rest of the last page is left out.
    written(&mut log, &commit(2, left - 64, None));
    assert_eq!(log.left(), 0);
    written(&mut log, &commit(3, 64, Some(preamble(0, 0))));
    assert_eq!(storage.bytes() as u64, 2 * SEGMENT);
}

#[test]
fn a_large_entry_gets_a_segment_that_holds_it_and_its_end() {
    for frame in (SEGMENT - 512..SEGMENT + PAGE + 512).step_by(8) {
        let (mut log, storage) = log(false);
        let outcome = written(&mut log, &commit(1, frame, Some(preamble(1, 3))));
        let begun = &outcome.begun[0];
        let needed = preamble(1, 3).overhead() + frame;
        assert_eq!(begun.bytes, needed.next_multiple_of(PAGE).max(SEGMENT));
        written(&mut log, &commit(2, SEGMENT / 2, Some(preamble(1, 3))));
        if log.active() == Some(8) {
            assert!(kinds(&storage, begun).ends_with(&[(kind::SETTLED, FLAG_ALL), (kind::END, 0)]), "{frame}");
        }
        assert_eq!(storage.files()[&begun.name].len() as u64, begun.bytes, "{frame}");
    }
}

#[test]
fn records_of_many_lanes_take_an_eighth_of_a_segment_at_most() {
    let (mut log, _) = log(false);
    let preamble = preamble(0, 600);
    let record = preamble.settled.len() as u64;
    let outcome = written(&mut log, &commit(1, 64, Some(preamble)));
    assert_eq!(outcome.begun[0].bytes, (record * 8).next_multiple_of(PAGE));
}

#[test]
fn a_segment_is_begun_within_the_commits_room_or_not_at_all() {
    for (room, begins) in [(SEGMENT, true), (SEGMENT - 1, false)] {
        let (mut log, storage) = log(false);
        let outcome = log.write(&Commit { room, ..commit(1, 64, Some(preamble(0, 0))) });
        assert_eq!((outcome.error.is_none(), outcome.refused), (begins, !begins), "{room}");
        assert_eq!(storage.files().len(), usize::from(begins));
    }
    // The spare one is counted already; it is of no use to what does not fit into it.
    for (frame, fits) in [(SEGMENT - 1024, true), (2 * SEGMENT, false)] {
        let (mut log, _) = log(false);
        written(&mut log, &commit(1, SEGMENT - 1024, Some(preamble(0, 0))));
        assert_eq!(log.prepare(2, 512, u64::MAX / 2, 0).begun.len(), 1);
        let outcome = log.write(&Commit { room: 0, ..commit(2, frame, Some(preamble(0, 0))) });
        assert_eq!((outcome.error.is_none(), outcome.refused), (fits, !fits), "{frame}");
        assert_eq!(log.active(), Some(if fits { 8 } else { 7 }));
    }
}

/// A commit of entries with frames of so many bytes.
fn commits(first: u64, frames: &[u64], room: u64) -> Commit {
    let entries = (first..).zip(frames).map(|(number, frame)| Arc::new(entry(number, *frame))).collect();
    Commit { entries, room, ..commit(first, 64, Some(preamble(0, 0))) }
}

#[test]
fn what_was_begun_by_a_commit_that_is_refused_is_not_written_to() {
    let large = SEGMENT - 1024;
    for (with_spare, frames, room) in [
        (false, &[large, large][..], SEGMENT),
        (false, &[large, large, large], 2 * SEGMENT),
        (true, &[large, large], 0),
        (true, &[large, large, large], SEGMENT),
    ] {
        let (mut log, storage) = log(false);
        let mut files = written(&mut log, &commit(1, large, Some(preamble(0, 0)))).begun;
        if with_spare {
            files.extend(log.prepare(2, 512, u64::MAX / 2, 0).begun);
        }
        let before = storage.files().len();
        let refused = log.write(&commits(2, frames, room));
        assert!(refused.refused && refused.placed.is_empty() && refused.begun.is_empty(), "{frames:?}, {room}");
        assert_eq!(storage.files().len(), before, "what was begun is gone");
        assert_eq!(log.needed_before(), Some(7), "the next one's first page can be lost");
        // What was reserved for entries in memory still is, unless it is used.
        let is_used = frames.len() > 2;
        assert_eq!(log.spare_left(512), if with_spare && !is_used { SEGMENT - 512 } else { 0 });
        let next = written(&mut log, &commit(9, 64, Some(preamble(0, 0))));
        files.extend(next.begun);
        let [placed] = next.placed[..] else { panic!("{:?}", next.placed) };
        let begun = files.iter().find(|begun| begun.place == placed.place).unwrap();
        assert_eq!(kinds(&storage, begun), [(kind::RESERVATION, 0), (kind::SETTLED, FLAG_ALL), (kind::MESSAGE, 0)]);
        assert_eq!(log.needed_before(), Some(7));
    }
}

#[test]
fn names_stand_in_the_order_in_which_segments_were_made() {
    let (mut log, storage) = log(false);
    let large = SEGMENT - 1024;
    let mut made = written(&mut log, &commits(1, &[large; 20], u64::MAX / 2)).begun;
    made.extend(log.prepare(1, 512, u64::MAX / 2, 0).begun);
    made.extend(written(&mut log, &commits(2, &[large; 20], u64::MAX / 2)).begun);
    let names: Vec<String> = made.into_iter().map(|begun| begun.name).collect();
    assert_eq!((names.len(), names.is_sorted()), (40, true), "{names:?}");
    let found = segment::in_order(&storage, segment::parse_name).unwrap();
    assert_eq!(found.into_iter().map(|(_, (name, _))| name).collect::<Vec<_>>(), names);
}

#[test]
fn a_spare_segment_is_made_where_half_of_one_is_used_and_two_find_room() {
    let half = |more| {
        let (mut log, _) = log(false);
        let overhead = preamble(0, 0).overhead();
        written(&mut log, &commit(1, SEGMENT / 2 - overhead + more, Some(preamble(0, 0))));
        log
    };
    let begun = |mut log: Log, overhead, room| {
        log.prepare(2, overhead, room, 0).begun.iter().map(|begun| begun.bytes).collect::<Vec<_>>()
    };
    assert_eq!(begun(half(0), 512, u64::MAX / 2), [0; 0], "half of it is left");
    assert_eq!(begun(half(8), 512, 2 * SEGMENT), [SEGMENT]);
    assert_eq!(begun(half(8), 512, 2 * SEGMENT - 1), [0; 0], "one is for copies");
    // Of a spare one, a quarter may be for records.
    assert_eq!(begun(half(8), SEGMENT / 2, u64::MAX / 2), [2 * SEGMENT]);
    assert_eq!(begun(log(false).0, 512, u64::MAX / 2), [0; 0], "nothing was begun");
    // Or where a frame that is to be acknowledged does not fit into what is left.
    let for_frame =
        |bytes| half(0).prepare(2, 512, u64::MAX / 2, bytes).begun.iter().map(|begun| begun.bytes).sum::<u64>();
    let left = half(0).left();
    assert_eq!([for_frame(left), for_frame(left + 8), for_frame(SEGMENT)], [0, SEGMENT, SEGMENT + PAGE]);
}

#[test]
fn a_sync_is_counted_for_the_file_and_for_a_new_name() {
    let (mut log, storage) = log(false);
    assert_eq!(written(&mut log, &commit(1, 64, Some(preamble(0, 0)))).syncs, 2);
    assert_eq!(written(&mut log, &commit(2, 64, None)).syncs, 1);
    assert_eq!(written(&mut log, &Commit { sync: false, ..commit(3, 64, None) }).syncs, 0);
    let names = || storage.changes().iter().filter(|change| matches!(change, Change::SyncNames)).count();
    assert_eq!(names(), 1);
    log.sync_names().unwrap();
    assert_eq!(names(), 2, "also without a new name");
}

#[test]
fn only_the_whole_entry_that_was_asked_for_is_read() {
    let (mut log, _) = log(false);
    let outcome = written(&mut log, &commit(1, 64, Some(preamble(0, 0))));
    let (begun, placed) = (&outcome.begun[0], outcome.placed[0]);
    let at = u64::from(placed.offset) * 8;
    let read = |wanted| read_entry(&*begun.file, begun.salt, at, 64, wanted).unwrap();
    assert_eq!(read((LANE, 1)).map(|(header, _)| header.number), Some(1));
    assert_eq!(read((LANE, 2)), None);
    assert_eq!(read((LaneKey { sender: 1, reported: 2 }, 1)), None);
    begun.file.write_at(b"!", at + HEADER as u64).unwrap();
    assert_eq!(read((LANE, 1)), None, "its payload is damaged");
}

#[test]
fn a_quota_of_the_file_system_is_not_the_outboxs_own_bound() {
    assert!(is_bound(&io::ErrorKind::QuotaExceeded.into()));
    // EDQUOT.
    assert!(!is_bound(&io::Error::from_raw_os_error(122)));
    assert!(!is_bound(&io::ErrorKind::NotFound.into()));
}
