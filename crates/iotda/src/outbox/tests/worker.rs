//! What a worker does beside the turns: whom it wakes, what it counts, what it names, what it leaves alone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::super::book::Entry;
use super::super::coalesce::encode;
use super::super::engine::NotPut;
use super::super::frame::{LaneKey, kind};
use super::super::platform::{Deliver, Ended, Refusal, TooMuch, Verdict};
use super::super::space::Sizes;
use super::super::stats::Fate;
use super::super::worker::{Manner, Step};
use super::scripted::{Stand, accept, hash, key, manner, outage, refusal};
use super::simulated::{Failing, How, Simulated};

const MIB: u64 = 1 << 20;

/// Ends its deliveries so, one after the other.
struct Ends(Mutex<VecDeque<(Verdict, u32)>>);

impl Deliver for Ends {
    fn device_id(&self) -> &str {
        "d"
    }

    fn deliver(&self, _kind: u8, _body: &[u8], _deadline: Option<Instant>) -> Ended {
        let (verdict, requests) = self.0.lock().unwrap().pop_front().unwrap_or((Verdict::Delivered, 1));
        Ended { verdict, requests }
    }

    fn platform_ms(&self) -> Option<i64> {
        None
    }

    fn interrupt(&self) {}
}

#[test]
fn requests_and_retries_are_those_within_a_delivery_as_well() {
    for (ends, requests, retries) in [
        (vec![(Verdict::Delivered, 2)], 2, 1),
        (vec![(Verdict::Delivered, 0)], 0, 0),
        (vec![(outage(false), 3), (Verdict::Delivered, 2)], 5, 4),
        // Held up by the pace before a request, and after one that failed.
        (vec![(Verdict::Paced(1000), 0), (Verdict::Delivered, 1)], 1, 0),
        (vec![(Verdict::Paced(1000), 1), (Verdict::Delivered, 1)], 2, 1),
        (vec![(Verdict::Paced(1000), 2), (Verdict::Paced(1000), 0), (Verdict::Delivered, 1)], 3, 2),
    ] {
        let stand = Stand::new(MIB, manner(), Box::new(accept));
        stand.attach_by("d", Arc::new(Ends(Mutex::new(ends.clone().into()))));
        stand.message("d", "x").unwrap();
        stand.run(3_600_000, 1);
        let counters = stand.worker.counters();
        assert_eq!((counters.requests, counters.retries), (requests, retries), "{ends:?}");
    }
}

#[test]
fn a_put_is_an_event_where_it_brings_something_to_do() {
    let stand = Stand::new(MIB, manner(), Box::new(accept));
    let events = || stand.worker.engine.lock().events;
    stand.attach("d");
    for round in 0..3 {
        let before = events();
        stand.message("d", "first").unwrap();
        assert!(events() > before, "{round}");
        let before = events();
        stand.message("d", "behind it").unwrap();
        assert_eq!(events(), before, "whoever sends the first looks at what is behind it");
        stand.run(u64::MAX, 0);
    }
    // Of several lanes in one put, any of them may be new.
    let reading = encode(Some("child"), b"{}", &[]);
    let lane = |reported| LaneKey { sender: hash("d"), reported };
    stand.message("d", "waits").unwrap();
    for reported in [[hash("d"), 5], [6, hash("d")]] {
        let before = events();
        let entries = reported.map(|reported| Entry { lane: lane(reported), kind: kind::CHILD, payload: &reading });
        stand.put(&entries).unwrap();
        assert!(events() > before);
    }
}

#[test]
fn the_observer_is_given_the_child_where_an_entry_is_a_childs() {
    let stand = Stand::new(MIB, manner(), Box::new(accept));
    stand.attach("gateway");
    stand.reading("gateway", None, "1").unwrap();
    stand.message("gateway", "2").unwrap();
    stand.reading("gateway", Some("child"), "3").unwrap();
    stand.run(1000, 1);
    let mut reported = stand.reported.lock().unwrap().clone();
    reported.sort_unstable();
    assert_eq!(reported, ["child", "gateway", "gateway"]);
}

#[test]
fn all_of_a_device_is_discarded_as_sender_and_as_child() {
    let put = || {
        let stand = Stand::new(MIB, manner(), Box::new(accept));
        for (device, child) in [("a", None), ("a", Some("c")), ("a", Some("e")), ("b", Some("c")), ("b", None)] {
            stand.reading(device, child, "1").unwrap();
        }
        stand
    };
    for (device, discarded) in [("a", 3), ("c", 2), ("e", 1), ("b", 2), ("nobody", 0)] {
        let stand = put();
        assert_eq!(stand.worker.discard(hash(device)), discarded, "{device}");
        assert_eq!(stand.entries(), 5 - discarded);
        assert_eq!(stand.fates.lock().unwrap().len() as u64, discarded);
    }
}

#[test]
fn entries_of_devices_that_are_not_attached_are_counted() {
    let stand = Stand::new(MIB, manner(), Box::new(accept));
    for device in ["here", "gone", "gone", "away"] {
        stand.message(device, "x").unwrap();
    }
    let unattached = || stand.worker.unattached(&stand.worker.engine.lock());
    assert_eq!(unattached(), 4);
    stand.attach("here");
    assert_eq!(unattached(), 3);
    stand.attach("gone");
    assert_eq!(unattached(), 1);
}

#[test]
fn whoever_holds_a_lock_is_at_work() {
    let stand = Stand::new(MIB, manner(), Box::new(accept));
    assert!(stand.worker.is_at_rest());
    let held = stand.worker.engine.lock();
    assert!(!stand.worker.is_at_rest());
    drop(held);
    let held = stand.worker.work();
    assert!(!stand.worker.is_at_rest());
    drop(held);
    let held = stand.worker.dead();
    assert!(!stand.worker.is_at_rest());
    drop(held);
    assert!(stand.worker.is_at_rest());
}

/// The first of two readings is on a page that can be read, the second is not.
#[test]
fn what_is_before_an_entry_that_cannot_be_read_is_sent_and_once() {
    let stand = Stand::new(MIB, manner(), Box::new(accept));
    stand.attach("d");
    let large = "x".repeat(9000);
    stand.reading("d", None, "first").unwrap();
    stand.reading("d", None, &large).unwrap();
    stand.worker.engine.commit(true, None).unwrap();
    let name = stand.storage.files().into_iter().find(|(_, bytes)| bytes.len() > 9000).unwrap().0;
    stand.storage.spoil(&name, 1);
    assert_eq!(stand.worker.step(None), Step::Did);
    assert_eq!((stand.values(), stand.entries()), (vec!["first".to_owned()], 1));
    stand.run(stand.clocks.boot_ms.load(std::sync::atomic::Ordering::SeqCst) + 5000, 1);
    stand.storage.restore();
    stand.run(3_600_000, 1);
    assert_eq!((stand.values(), stand.entries()), (vec!["first".to_owned(), large], 0));
}

#[test]
fn what_the_platform_takes_too_much_of_is_halved_and_not_the_other() {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let (children, bytes) = (Arc::clone(&sent), Arc::clone(&sent));
    let too_much = |what| Verdict::Refused(Refusal { too_much: Some(what), ..Refusal::default() });
    let script = move |_: &str, _: u8, body: &[u8]| {
        let count = body.windows(11).filter(|window| window == b"\"device_id\"").count();
        children.lock().unwrap().push(count);
        if count > 10 { too_much(TooMuch::Children) } else { Verdict::Delivered }
    };
    let stand = Stand::new(MIB, manner(), Box::new(script));
    stand.attach("g");
    for child in 0..60 {
        stand.reading("g", Some(&format!("c{child}")), "1").unwrap();
    }
    stand.run(3_600_000, 1);
    assert_eq!(stand.values().len(), 60);
    assert!(sent.lock().unwrap().starts_with(&[50, 25, 12, 6]), "{sent:?}");
    sent.lock().unwrap().clear();
    let script = move |_: &str, _: u8, body: &[u8]| {
        bytes.lock().unwrap().push(body.len());
        if body.len() > 3000 { too_much(TooMuch::Bytes) } else { Verdict::Delivered }
    };
    let stand = Stand::new(MIB, manner(), Box::new(script));
    stand.attach("d");
    for number in 0..200 {
        stand.reading("d", None, &format!("{number:0>100}")).unwrap();
    }
    stand.run(3_600_000, 1);
    assert_eq!((stand.values().len(), stand.worker.counters().dead), (200, 0));
    let sent = sent.lock().unwrap();
    let least = sent.iter().copied().take_while(|length| *length > 3000).collect::<Vec<_>>();
    assert!(
        least.len() == 3 && least.windows(2).all(|pair| pair[1] <= pair[0] / 2 && pair[1] > pair[0] / 3),
        "{sent:?}"
    );
    assert!(sent[3..].iter().all(|length| *length <= 3000), "{sent:?}");
}

#[test]
fn an_entry_lives_to_its_age_and_no_longer() {
    for (age, expired) in [(60_000, 0), (60_001, 1)] {
        let stand = Stand::new(MIB, Manner { max_age_ms: Some(60_000), ..manner() }, Box::new(accept));
        stand.message("d", "x").unwrap();
        stand.advance(age);
        stand.attach("d");
        stand.run(age + 1000, 1);
        assert_eq!((stand.worker.counters().expired, stand.values().len()), (expired, 1 - expired as usize));
    }
}

#[test]
fn a_dead_letter_that_cannot_be_kept_is_counted() {
    let storage = Simulated::default();
    let full = storage.clone();
    let script = move |_: &str, _: u8, _: &[u8]| {
        full.fail(Some(Failing { at: 0, times: usize::MAX, how: How::Error(28) }));
        refusal()
    };
    let stand = Stand::on(storage.clone(), MIB, manner(), Box::new(script), 1);
    stand.attach("d");
    for count in 1..=2 {
        stand.message("d", "refused").unwrap();
        assert_eq!(stand.worker.step(None), Step::Did);
        let counters = stand.worker.counters();
        assert_eq!((counters.dead, counters.dead_not_kept), (count, count));
        storage.fail(None);
    }
    // Whoever reads of it does not look for a letter.
    assert!(stand.fates.lock().unwrap().values().all(|fate| *fate == Fate::NotKept { unknown_child: false }));
}

#[test]
fn an_entry_that_is_damaged_when_it_is_refused_is_no_dead_letter() {
    let storage = Simulated::default();
    let files = storage.clone();
    let script = move |_: &str, _: u8, body: &[u8]| {
        files.damage(body);
        refusal()
    };
    let stand = Stand::on(storage, MIB, manner(), Box::new(script), 1);
    stand.attach("d");
    let number = stand.message("d", "refused").unwrap();
    stand.worker.engine.commit(true, None).unwrap();
    stand.run(1000, 0);
    let counters = stand.worker.counters();
    assert_eq!((counters.dead, counters.damaged, stand.worker.dead().count(), stand.entries()), (0, 1, 0, 0));
    assert_eq!(stand.fates.lock().unwrap().get(&number), Some(&Fate::Damaged));
}

#[test]
fn what_is_dropped_is_the_largest_lanes_and_no_more_than_needed() {
    let stand = Stand::new(MIB, Manner { drop_oldest: true, ..manner() }, Box::new(accept));
    for device in ["a", "b", "large", "large", "large", "large", "c"] {
        stand.message(device, "x").unwrap();
    }
    let lane = |device| stand.worker.engine.lock().book.lanes.find(key(device));
    let large = lane("large");
    assert_eq!(stand.worker.victim(Some(key("b"))), lane("b"), "the one that is put to");
    for own in [None, Some(key("nobody"))] {
        assert_eq!(stand.worker.victim(own), large);
    }
    let left = || stand.worker.engine.lock().book.lanes.get(large.unwrap()).queue.len();
    let frame = super::super::frame::frame_bytes(1) as u64;
    for (bytes, expected) in [(frame + 1, 2), (frame, 1), (1, 0)] {
        stand.worker.drop_oldest(large.unwrap(), bytes);
        assert_eq!(left(), expected);
    }
    assert_eq!((stand.worker.counters().dropped, stand.entries()), (4, 3));
}

#[test]
fn an_entry_may_be_as_large_as_a_quarter_of_the_outbox() {
    let stand = Stand::new(MIB, manner(), Box::new(accept));
    let most = Sizes::of(MIB).entry as usize;
    let mut length = most;
    while super::super::frame::frame_bytes(length) > most {
        length -= 1;
    }
    stand.message("d", &"x".repeat(length)).unwrap();
    assert_eq!(stand.message("d", &"x".repeat(length + 8)), Err(NotPut::TooLarge(most as u64)));
    // As many of them as there is room for, and the directory keeps its bounds.
    while stand.message("d", &"x".repeat(length)).is_ok() {}
    assert!(stand.entries() >= 2, "{}", stand.entries());
    stand.worker.engine.commit(true, None).unwrap();
    assert!(stand.storage.bytes() as u64 <= MIB, "{}", stand.storage.bytes());
    stand.attach("d");
    stand.run(1000, 1);
    assert_eq!(stand.entries(), 0);
}

#[test]
fn ages_are_looked_at_once_a_minute_where_there_is_one() {
    for (max_age_ms, reads) in [(Some(3_600_000), [1, 0, 0, 1, 0]), (None, [0; 5])] {
        let stand = Stand::new(MIB, Manner { max_age_ms, ..manner() }, Box::new(accept));
        // Nobody is attached who would send it.
        stand.message("d", "x").unwrap();
        stand.worker.engine.commit(true, None).unwrap();
        let looks = [70_000, 70_000, 129_999, 130_000, 130_001].map(|at| {
            stand.clocks.boot_ms.store(at, std::sync::atomic::Ordering::SeqCst);
            let before = stand.storage.read_calls();
            assert_eq!(stand.worker.step(None), Step::Nothing);
            stand.storage.read_calls() - before
        });
        assert_eq!(looks, reads, "{max_age_ms:?}");
    }
}
