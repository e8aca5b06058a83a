//! Delivery through a scripted platform on a virtual clock.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::super::engine::NotPut;
use super::super::platform::{Refusal, TooMuch, Verdict};
use super::super::stats::Fate;
use super::super::turns::{PARKED_MS, UNKNOWN_MS};
use super::super::worker::{Manner, Step};
use super::scripted::{Stand, accept, manner, outage, refusal};
use super::simulated::Simulated;

const HOUR: u64 = 3_600_000;
const MIB: u64 = 1 << 20;

fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn neighbours_become_one_request_and_messages_keep_their_place() {
    let stand = Stand::new(MIB, manner(), Box::new(accept));
    stand.attach("d");
    for value in ["1", "2"] {
        stand.reading("d", None, value).unwrap();
    }
    stand.message("d", "m").unwrap();
    stand.reading("d", None, "3").unwrap();
    stand.run(HOUR, 1);
    assert_eq!(stand.values(), ["1", "2", "m", "3"]);
    assert_eq!((stand.platform.requests.load(Ordering::SeqCst), stand.entries()), (3, 0));
    assert!(stand.fates.lock().unwrap().values().all(|fate| *fate == Fate::Delivered));
}

#[test]
fn children_become_batches_of_fifty_and_the_readings_of_one_child_one_element() {
    let stand = Stand::new(4 * MIB, manner(), Box::new(accept));
    stand.attach("g");
    for round in 0..3 {
        for child in 0..120 {
            stand.reading("g", Some(&format!("c{child}")), &round.to_string()).unwrap();
        }
    }
    stand.run(HOUR, 1);
    let accepted = stand.platform.accepted.lock().unwrap();
    for (_, _, body) in accepted.iter() {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap();
        let devices = body["devices"].as_array().unwrap();
        assert!(devices.len() <= 50);
        assert!(devices.iter().all(|device| device["services"].as_array().unwrap().len() == 3));
    }
    assert!(accepted.len() <= 4, "{}", accepted.len());
}

/// An hour without a network, then the rate of the free unit; `poison`: every so many entries one is refused.
fn outage_of_an_hour(entries: u64, max_bytes: u64, poison: Option<u64>) {
    let away = Arc::new(Mutex::new(true));
    let script_away = Arc::clone(&away);
    let stand = Stand::new(
        max_bytes,
        manner(),
        Box::new(move |_, _, body| match *script_away.lock().unwrap() {
            true => outage(true),
            false if contains(body, "poison") => refusal(),
            false => Verdict::Delivered,
        }),
    );
    let devices: Vec<String> = (0..10).map(|device| format!("device-{device}")).collect();
    for device in &devices {
        stand.attach(device);
    }
    let mut poisoned = 0;
    for number in 0..entries {
        let bad = poison.is_some_and(|every| number % every == every / 2);
        poisoned += u64::from(bad);
        let value = format!("{number}{}", if bad { "poison" } else { "" });
        stand.reading(&devices[(number % 10) as usize], None, &value).unwrap();
        if number % 100 == 0 {
            stand.run(HOUR * number / entries, 1);
        }
    }
    stand.run(HOUR, 1);
    let in_vain = stand.platform.requests.swap(0, Ordering::SeqCst);
    assert!(in_vain < 120, "{in_vain} requests while the network is away");
    *away.lock().unwrap() = false;
    stand.worker.wake();
    stand.run(100 * HOUR, 100);
    assert_eq!(stand.entries(), 0);
    let values: Vec<u64> = stand.values().iter().map(|value| value.parse().unwrap()).collect();
    assert_eq!(values.len() as u64, entries - poisoned, "all arrive, once");
    for device in 0..10 {
        let of_it: Vec<u64> = values.iter().copied().filter(|value| value % 10 == device).collect();
        assert!(of_it.is_sorted(), "in order for each lane");
    }
    let sent = stand.platform.requests.load(Ordering::SeqCst);
    let in_one = values.len() as u64 / stand.platform.accepted.lock().unwrap().len() as u64;
    // 94 bytes for an element with its time, 15 around; as long as the values are.
    let body = 16_384 - 15;
    let ideal: u64 = devices
        .iter()
        .enumerate()
        .map(|(device, _)| {
            let mut bytes = 0;
            for number in (device as u64..entries).step_by(10) {
                let bad = poison.is_some_and(|every| number % every == every / 2);
                bytes += 84 + number.to_string().len() as u64 + if bad { 6 } else { 0 };
            }
            bytes.div_ceil(body)
        })
        .sum();
    let largest = body / 85;
    let search = 2 * u64::from(u64::BITS - (largest - 1).leading_zeros());
    assert!(sent <= ideal * 105 / 100 + poisoned * search + 10, "{sent} requests, ideal {ideal}, {in_one} in one");
    assert_eq!(stand.worker.counters().dead, poisoned, "dead letters exactly the poison");
}

#[test]
fn after_an_hour_of_outage_all_arrive_in_order_in_few_requests() {
    let entries = std::env::var("IOTDA_OUTAGE_ENTRIES").ok().and_then(|text| text.parse().ok()).unwrap_or(5_000);
    outage_of_an_hour(entries, 256 * MIB, None);
}

#[test]
fn poison_costs_a_search_and_becomes_dead_letters() {
    let entries = std::env::var("IOTDA_OUTAGE_ENTRIES").ok().and_then(|text| text.parse().ok()).unwrap_or(5_000);
    outage_of_an_hour(entries, 256 * MIB, Some(101));
}

#[test]
fn pages_of_a_proxy_are_an_outage_of_the_lane_and_no_dead_letter() {
    let away = Arc::new(Mutex::new(true));
    let script_away = Arc::clone(&away);
    let script = move |_: &str, _: u8, _: &[u8]| {
        if *script_away.lock().unwrap() { outage(false) } else { Verdict::Delivered }
    };
    let stand = Stand::new(MIB, manner(), Box::new(script));
    stand.attach("d");
    for value in 0..200 {
        stand.reading("d", None, &value.to_string()).unwrap();
    }
    stand.run(HOUR, 10);
    assert_eq!((stand.entries(), stand.worker.counters().dead), (200, 0));
    *away.lock().unwrap() = false;
    stand.run(2 * HOUR, 10);
    assert_eq!(stand.values(), (0..200).map(|value| value.to_string()).collect::<Vec<_>>());
}

#[test]
fn an_unknown_child_stops_its_lane_alone_and_is_a_dead_letter_after_a_day() {
    let script = |_: &str, _: u8, body: &[u8]| {
        if contains(body, "\"c7\"") { Verdict::UnknownChild(Refusal::default()) } else { Verdict::Delivered }
    };
    let stand = Stand::new(MIB, manner(), Box::new(script));
    stand.attach("g");
    for child in 0..50 {
        stand.reading("g", Some(&format!("c{child}")), "1").unwrap();
    }
    stand.run(HOUR / 10, 1);
    assert_eq!(stand.values().len(), 49);
    let requests = stand.platform.requests.load(Ordering::SeqCst);
    assert!(requests <= 1 + 2 * 6 + 1, "{requests}");
    stand.reading("g", Some("c8"), "2").unwrap();
    stand.run(HOUR / 8, 1);
    assert_eq!(stand.values().last().unwrap(), "c8:2", "others go on");
    stand.run(UNKNOWN_MS - PARKED_MS, 1);
    assert_eq!((stand.entries(), stand.worker.counters().dead), (1, 0));
    let tried = stand.platform.requests.load(Ordering::SeqCst) - requests - 1;
    assert!((90..=97).contains(&tried), "once in 15 minutes: {tried}");
    stand.run(UNKNOWN_MS + 2 * PARKED_MS, 1);
    assert_eq!((stand.entries(), stand.worker.counters().dead), (0, 1));
    let letter = stand.worker.dead().read(0).unwrap().unwrap();
    assert_eq!((&*letter.sender, &*letter.child, letter.unknown_child), ("g", "c7", true));
}

#[test]
fn a_device_that_is_locked_out_stops_alone_until_it_is_attached() {
    let locked = Arc::new(Mutex::new(true));
    let script_locked = Arc::clone(&locked);
    let script = move |device: &str, _: u8, _: &[u8]| {
        let out = device == "a" && *script_locked.lock().unwrap();
        if out { Verdict::LockedOut("wrong secret".into()) } else { Verdict::Delivered }
    };
    let stand = Stand::new(MIB, manner(), Box::new(script));
    for device in ["a", "b"] {
        stand.attach(device);
        stand.message(device, device).unwrap();
    }
    stand.run(HOUR - 1, 1);
    assert_eq!(stand.values(), ["b"]);
    assert_eq!(stand.platform.requests.load(Ordering::SeqCst), 1 + 4, "at once and every 15 minutes");
    assert_eq!(stand.worker.counters().last_error, "wrong secret");
    *locked.lock().unwrap() = false;
    stand.attach("a");
    assert_eq!(stand.worker.step(None), Step::Did);
    assert_eq!(stand.values(), ["b", "a"]);
}

#[test]
fn eight_refusals_in_a_row_stop_the_lane() {
    let stand = Stand::new(MIB, Manner { coalesce_bytes: 1, ..manner() }, Box::new(|_, _, _| refusal()));
    stand.attach("d");
    for number in 0..20 {
        stand.message("d", &number.to_string()).unwrap();
    }
    stand.run(PARKED_MS - 1000, 1);
    assert_eq!((stand.worker.counters().dead, stand.entries()), (8, 12));
    stand.run(PARKED_MS + 1000, 1);
    assert_eq!((stand.worker.counters().dead, stand.entries()), (9, 11));
}

#[test]
fn a_limit_of_the_platform_is_kept_once_it_is_known() {
    let script = |_: &str, _: u8, body: &[u8]| {
        let children = body.windows(11).filter(|window| window == b"\"device_id\"").count();
        let too_much = Refusal { too_much: Some(TooMuch::Children), ..Refusal::default() };
        if children > 10 { Verdict::Refused(too_much) } else { Verdict::Delivered }
    };
    let stand = Stand::new(MIB, manner(), Box::new(script));
    stand.attach("g");
    for child in 0..200 {
        stand.reading("g", Some(&format!("c{child}")), "1").unwrap();
    }
    stand.run(HOUR, 1);
    assert_eq!((stand.values().len(), stand.worker.counters().dead), (200, 0));
    assert!(stand.platform.requests.load(Ordering::SeqCst) < 60);
}

#[test]
fn devices_that_can_never_be_delivered_leave_the_others_a_quarter_of_the_space() {
    // Absent, or there and locked out, or refused by something on the way for ever.
    let ways = [None, Some(Verdict::LockedOut("wrong secret".into())), Some(outage(false))];
    for (stuck, way) in [1, 2, 10, 50].into_iter().flat_map(|stuck| ways.clone().map(|way| (stuck, way))) {
        for drop_oldest in [false, true] {
            let verdict = way.clone().unwrap_or(Verdict::Delivered);
            let script = move |device: &str, _: u8, _: &[u8]| {
                let number: usize = device.strip_prefix("device-").unwrap().parse().unwrap();
                if number < stuck { verdict.clone() } else { Verdict::Delivered }
            };
            let stand = Stand::new(256 * 1024, Manner { drop_oldest, ..manner() }, Box::new(script));
            for device in if way.is_none() { stuck } else { 0 }..100 {
                stand.attach(&format!("device-{device}"));
            }
            for round in 0..60 {
                for device in 0..100 {
                    let name = format!("device-{device}");
                    let put = stand.message(&name, &format!("{name} {round} {}", "x".repeat(100)));
                    if device >= stuck {
                        put.unwrap_or_else(|error| {
                            let state = stand.worker.engine.lock();
                            let space = &state.book.space;
                            panic!(
                                "{stuck} stuck, round {round}, {name}: {error:?}, waiting {}, {space:?}",
                                state.book.waiting
                            )
                        });
                    }
                }
                let until = stand.clocks.boot_ms.load(Ordering::SeqCst) + 1_000;
                stand.run(until, 0);
            }
            assert_eq!(stand.values().len(), 60 * (100 - stuck), "{stuck} stuck");
            assert!(stand.storage.bytes() <= 256 * 1024);
        }
    }
}

#[test]
fn a_full_outbox_refuses_or_drops_the_oldest() {
    let stand = Stand::new(256 * 1024, manner(), Box::new(accept));
    let put = (0..10_000).take_while(|number| stand.message("d", &format!("{number:0100}")).is_ok()).count();
    assert!(put * 160 > 170 * 1024, "a single device may use all: {put}");
    assert_eq!(stand.message("d", &"x".repeat(100)), Err(NotPut::Full));
    assert_eq!(stand.message("d", &"x".repeat(70_000)), Err(NotPut::TooLarge(65_536)));
    assert!(stand.storage.bytes() <= 256 * 1024);
    stand.attach("d");
    stand.run(HOUR, 1);
    assert_eq!((stand.entries(), stand.values().len()), (0, put));
    stand.message("d", "again").unwrap();

    let stand = Stand::new(256 * 1024, Manner { drop_oldest: true, ..manner() }, Box::new(accept));
    for number in 0..5_000 {
        stand.message("d", &format!("{number:0100}")).unwrap();
        assert!(stand.storage.bytes() <= 256 * 1024);
    }
    let dropped = stand.worker.counters().dropped;
    assert_eq!(dropped + stand.entries(), 5_000);
    stand.attach("d");
    stand.run(HOUR, 0);
    let values: Vec<u64> = stand.values().iter().map(|value| value.parse().unwrap()).collect();
    assert_eq!(values, (dropped..5_000).collect::<Vec<_>>(), "the newest are kept");
}

#[test]
fn old_entries_expire_by_the_boot_clock_and_those_of_unknown_age_never() {
    let manner = || Manner { max_age_ms: Some(HOUR), ..manner() };
    let stand = Stand::new(MIB, manner(), Box::new(accept));
    stand.message("d", "old").unwrap();
    stand.advance(HOUR + 1);
    stand.clocks.wall_offset_ms.store(0, Ordering::SeqCst);
    stand.message("d", "new").unwrap();
    stand.attach("d");
    stand.run(3 * HOUR, 1);
    assert_eq!(stand.values(), ["new"]);
    assert_eq!(stand.worker.counters().expired, 1);
    stand.message("d", "of unknown age").unwrap();
    *stand.platform.script.lock().unwrap() = Box::new(|_, _, _| outage(true));
    stand.worker.engine.commit(true, None).unwrap();
    let again = Stand::on(Simulated::with(stand.storage.files()), MIB, manner(), Box::new(accept), 2);
    again.advance(50 * HOUR);
    *again.platform.platform_ms.lock().unwrap() = Some(1_900_000_000_000);
    again.attach("d");
    again.run(60 * HOUR, 1);
    assert_eq!(again.values(), ["of unknown age"]);
}

#[test]
fn entries_of_a_device_that_is_never_attached_expire_as_well() {
    let stand = Stand::new(MIB, Manner { max_age_ms: Some(HOUR), ..manner() }, Box::new(accept));
    for number in 0..3 {
        stand.message("gone", &number.to_string()).unwrap();
        stand.advance(HOUR / 4);
    }
    assert_eq!(stand.worker.step(None), Step::Nothing);
    assert_eq!(stand.entries(), 3);
    stand.advance(HOUR / 2 + 1);
    assert_eq!(stand.worker.step(None), Step::Nothing);
    assert_eq!((stand.entries(), stand.worker.counters().expired), (1, 2));
}

#[test]
fn a_stamped_time_is_corrected_by_the_platforms_clock() {
    let stand = Stand::new(MIB, manner(), Box::new(accept));
    stand.clocks.wall_offset_ms.store(0, Ordering::SeqCst);
    stand.attach("d");
    stand.advance(10_000);
    stand.reading("d", None, "1").unwrap();
    stand.advance(60_000);
    *stand.platform.platform_ms.lock().unwrap() = Some(1_628_849_470_555);
    stand.run(HOUR, 1);
    let accepted = stand.platform.accepted.lock().unwrap();
    assert!(contains(&accepted[0].2, r#""event_time":"2021-08-13T10:10:10.555Z""#), "{:?}", accepted[0]);
}

#[test]
fn a_lane_that_must_wait_for_its_pace_is_passed_over() {
    let script =
        |device: &str, _: u8, _: &[u8]| if device == "slow" { Verdict::Paced(5_000) } else { Verdict::Delivered };
    let stand = Stand::new(MIB, manner(), Box::new(script));
    for device in ["slow", "fast"] {
        stand.attach(device);
        for number in 0..5 {
            stand.message(device, &number.to_string()).unwrap();
        }
    }
    for _ in 0..6 {
        assert_eq!(stand.worker.step(None), Step::Did);
    }
    assert_eq!(stand.values().len(), 5);
    assert_eq!(stand.worker.step(None), Step::At(5_000));
    assert_eq!((stand.worker.counters().requests, stand.worker.counters().retries), (5, 0), "a pace is no failure");
}

/// Requests and retries of an outbox whose platform gives these verdicts in turn, and then accepts everything.
fn counted(verdicts: Vec<Verdict>, readings: usize, manner: Manner) -> (u64, u64) {
    let mut verdicts = verdicts.into_iter();
    let script = move |_: &str, _: u8, _: &[u8]| verdicts.next().unwrap_or(Verdict::Delivered);
    let stand = Stand::new(MIB, manner, Box::new(script));
    stand.attach("d");
    for number in 0..readings {
        stand.reading("d", None, &number.to_string()).unwrap();
    }
    stand.run(HOUR, 1);
    assert_eq!(stand.entries(), 0);
    let counters = stand.worker.counters();
    (counters.requests, counters.retries)
}

#[test]
fn retries_are_what_follows_a_failure_and_requests_what_was_sent() {
    let single = || Manner { coalesce_bytes: 1, ..manner() };
    assert_eq!(counted(vec![], 3, single()), (3, 0));
    assert_eq!(counted(vec![outage(false), outage(false)], 1, manner()), (3, 2));
    assert_eq!(counted(vec![outage(true), outage(true)], 1, manner()), (1, 2), "two found no connection");
    assert_eq!(counted(vec![Verdict::LockedOut(String::new())], 1, manner()), (2, 1));
    // The first of three fails once: the two behind it were never tried before.
    assert_eq!(counted(vec![outage(false)], 3, single()), (4, 1));
    // Of four the third is bad. All four, the first two, the third, and the fourth are sent: a search.
    assert_eq!(counted(vec![refusal(), Verdict::Delivered, refusal()], 4, manner()), (4, 0));
    // What was given up was tried, and what is put then is new.
    let stand = Stand::new(MIB, manner(), Box::new(|_, _, _| outage(false)));
    stand.attach("d");
    stand.reading("d", None, "1").unwrap();
    assert_eq!(stand.worker.step(None), Step::Did);
    stand.worker.discard(super::scripted::hash("d"));
    *stand.platform.script.lock().unwrap() = Box::new(accept);
    stand.reading("d", None, "2").unwrap();
    stand.run(HOUR, 1);
    assert_eq!((stand.worker.counters().requests, stand.worker.counters().retries), (2, 0));
    // The same search with an outage in its midst.
    assert_eq!(counted(vec![refusal(), outage(false), Verdict::Delivered, refusal()], 4, manner()), (5, 1));
}

#[test]
fn what_is_discarded_is_settled_and_the_rest_stays() {
    let stand = Stand::new(MIB, manner(), Box::new(accept));
    for device in ["a", "b"] {
        for number in 0..3 {
            stand.message(device, &number.to_string()).unwrap();
        }
    }
    assert_eq!(stand.worker.discard(super::scripted::hash("a")), 3);
    assert_eq!(stand.entries(), 3);
    let again = Stand::on(Simulated::with(stand.storage.files()), MIB, manner(), Box::new(accept), 1);
    assert_eq!(again.entries(), 0, "nothing was synced, so a kill takes all");
}

/// Three messages on disk, of which the file cannot be read.
fn unreadable() -> Stand {
    let stand = Stand::new(MIB, manner(), Box::new(accept));
    stand.attach("device");
    for text in ["first", "second", "third"] {
        stand.message("device", text).unwrap();
    }
    stand.worker.engine.commit(true, None).unwrap();
    for name in stand.storage.files().keys() {
        stand.storage.spoil(name, 0);
    }
    stand
}

#[test]
fn entries_that_cannot_be_read_for_a_while_are_delivered_afterwards() {
    let stand = unreadable();
    for failures in 1..=5 {
        assert_eq!(stand.worker.step(None), Step::Did);
        let Step::At(at) = stand.worker.step(None) else { panic!("no pause after failure {failures}") };
        stand.clocks.boot_ms.store(at, Ordering::SeqCst);
    }
    assert!(stand.worker.counters().last_error.contains("storage"));
    assert_eq!(stand.worker.counters().damaged, 0);
    stand.storage.restore();
    while stand.worker.step(None) == Step::Did {}
    assert_eq!(stand.values(), ["first", "second", "third"]);
    assert!(stand.fates.lock().unwrap().values().all(|fate| *fate == Fate::Delivered));
}

#[test]
fn entries_that_can_never_be_read_hold_their_device_up_no_longer_than_some_hours() {
    let stand = unreadable();
    loop {
        match stand.worker.step(None) {
            Step::Did => {}
            Step::At(at) => stand.clocks.boot_ms.store(at, Ordering::SeqCst),
            Step::Nothing => break,
        }
    }
    assert!(stand.clocks.boot_ms.load(Ordering::SeqCst) < 3 * 3_600_000);
    assert_eq!(stand.worker.counters().damaged, 3);
    assert!(stand.fates.lock().unwrap().values().all(|fate| *fate == Fate::Damaged));
    stand.message("device", "fourth").unwrap();
    while stand.worker.step(None) == Step::Did {}
    assert_eq!(stand.values(), ["fourth"]);
}

/// The entry is read once for the request, and again for the letter: which fails, then, and does not for the next one.
#[test]
fn a_dead_letter_has_its_data_even_if_that_cannot_be_read_when_the_refusal_comes() {
    let storage = Simulated::default();
    let (spoiling, times) = (storage.clone(), Arc::new(Mutex::new(0)));
    let refused = Arc::clone(&times);
    let script = move |_: &str, _: u8, _: &[u8]| {
        let mut times = refused.lock().unwrap();
        *times += 1;
        if *times == 1 {
            spoiling.files().keys().for_each(|name| spoiling.spoil(name, 0));
        }
        refusal()
    };
    let stand = Stand::on(storage.clone(), MIB, manner(), Box::new(script), 1);
    stand.attach("d");
    stand.message("d", "the data").unwrap();
    stand.worker.engine.commit(true, None).unwrap();
    assert_eq!(stand.worker.step(None), Step::Did);
    assert_eq!((stand.entries(), stand.worker.counters().dead), (1, 0), "no letter, and nothing is settled");
    storage.restore();
    while stand.worker.step(None) == Step::Did {}
    assert_eq!((stand.entries(), stand.worker.counters().dead, *times.lock().unwrap()), (0, 1, 2));
    assert_eq!(stand.worker.dead().read(0).unwrap().unwrap().payload, b"the data");
}
