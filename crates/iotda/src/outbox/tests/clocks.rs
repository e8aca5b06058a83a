//! The outbox under clocks that are wrong, leap, or go on while the machine sleeps.

use std::sync::atomic::Ordering;

use super::super::worker::Manner;
use super::scripted::{Stand, accept, manner, outage};
use super::simulated::Simulated;

const HOUR: u64 = 3_600_000;
const MIB: u64 = 1 << 20;
/// 2026-01-01T00:00:00Z.
const REAL: i64 = 1_767_225_600_000;

/// The event times that arrived, in their order.
fn times(stand: &Stand) -> Vec<String> {
    let accepted = stand.platform.accepted.lock().unwrap();
    let services = accepted.iter().flat_map(|(_, _, body)| {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap();
        body["services"].as_array().unwrap().clone()
    });
    services.map(|service| service["event_time"].as_str().unwrap().to_owned()).collect()
}

/// The wall clock says so now.
fn set(stand: &Stand, unix_ms: i64) {
    stand.clocks.wall_offset_ms.store(unix_ms - stand.clocks.boot_ms.load(Ordering::SeqCst) as i64, Ordering::SeqCst);
}

fn platform_says(stand: &Stand, unix_ms: i64) {
    *stand.platform.platform_ms.lock().unwrap() = Some(unix_ms);
}

fn stand() -> Stand {
    let stand = Stand::new(MIB, manner(), Box::new(accept));
    stand.attach("d");
    stand
}

#[test]
fn a_clock_of_1970_that_becomes_right_leaves_no_time_of_1970() {
    let stand = stand();
    set(&stand, 5_000);
    stand.reading("d", None, "1").unwrap();
    stand.advance(60_000);
    stand.reading("d", None, "2").unwrap();
    stand.advance(60_000);
    // The platform has said nothing yet: NTP was first.
    set(&stand, REAL);
    stand.reading("d", None, "3").unwrap();
    stand.run(HOUR, 1);
    assert_eq!(times(&stand), ["2025-12-31T23:58:00.000Z", "2025-12-31T23:59:00.000Z", "2026-01-01T00:00:00.000Z"]);
}

#[test]
fn a_wrong_clock_that_leaps_in_the_middle_of_a_lane_is_corrected_before_and_after() {
    let stand = stand();
    set(&stand, REAL - 40 * 24 * HOUR as i64);
    stand.reading("d", None, "1").unwrap();
    stand.advance(1_000);
    // Wrong in the other direction.
    set(&stand, REAL + 40 * 24 * HOUR as i64);
    stand.reading("d", None, "2").unwrap();
    stand.advance(1_000);
    set(&stand, REAL + 2_000);
    stand.reading("d", None, "3").unwrap();
    platform_says(&stand, REAL + 2_000);
    stand.run(HOUR, 1);
    assert_eq!(times(&stand), ["2026-01-01T00:00:00.000Z", "2026-01-01T00:00:01.000Z", "2026-01-01T00:00:02.000Z"]);
    assert_eq!(stand.values(), ["1", "2", "3"], "in the order of the puts, whatever the clock said");
}

#[test]
fn a_clock_that_is_off_by_less_than_a_minute_is_left_alone() {
    let stand = stand();
    set(&stand, REAL);
    stand.reading("d", None, "1").unwrap();
    platform_says(&stand, REAL + 59_000);
    stand.run(HOUR, 1);
    assert_eq!(times(&stand), ["2026-01-01T00:00:00.000Z"]);
}

#[test]
fn a_machine_that_slept_counts_its_sleep_in_ages_and_changes_no_time() {
    let stand = Stand::new(MIB, Manner { max_age_ms: Some(2 * HOUR), ..manner() }, Box::new(accept));
    set(&stand, REAL);
    stand.reading("d", None, "before").unwrap();
    // Both clocks go on while it is suspended.
    stand.advance(HOUR);
    stand.reading("d", None, "between").unwrap();
    stand.advance(HOUR + 1);
    platform_says(&stand, REAL + 2 * HOUR as i64 + 1);
    stand.attach("d");
    stand.run(5 * HOUR, 1);
    assert_eq!(
        (stand.values(), times(&stand)),
        (vec!["between".to_owned()], vec!["2026-01-01T01:00:00.000Z".to_owned()])
    );
    assert_eq!(stand.worker.counters().expired, 1);
}

#[test]
fn after_a_restart_a_wrong_time_is_corrected_if_the_platform_was_heard_in_that_start() {
    for heard in [true, false] {
        let stand = Stand::new(MIB, manner(), Box::new(|_, _, _| outage(false)));
        stand.attach("d");
        set(&stand, 5_000);
        stand.reading("d", None, "1").unwrap();
        if heard {
            platform_says(&stand, REAL);
        }
        stand.run(1, 1);
        stand.worker.engine.commit(true, None).unwrap();
        // What was learned is kept with the next segment, which damage or a full one begins.
        let again = Stand::on(Simulated::with(stand.storage.files()), MIB, manner(), Box::new(accept), 2);
        set(&again, REAL + HOUR as i64);
        platform_says(&again, REAL + HOUR as i64);
        again.attach("d");
        again.run(HOUR, 1);
        let time = &times(&again)[0];
        // Nobody can say when: the stamp stays as it was.
        let kept = "1970-01-01T00:00:05.000Z";
        assert!(if heard { time == "2026-01-01T00:00:00.000Z" || time == kept } else { time == kept }, "{time}");
    }
}

#[test]
fn what_the_platforms_clock_says_is_kept_with_the_next_segment() {
    let stand = Stand::new(MIB, manner(), Box::new(|_, _, _| outage(false)));
    stand.attach("d");
    set(&stand, 5_000);
    stand.reading("d", None, "1").unwrap();
    platform_says(&stand, REAL);
    stand.run(1, 1);
    // More than a segment holds.
    for _ in 0..10 {
        stand.message("other", &"x".repeat(10_000)).unwrap();
    }
    stand.worker.engine.commit(true, None).unwrap();
    let again = Stand::on(Simulated::with(stand.storage.files()), MIB, manner(), Box::new(accept), 2);
    again.attach("d");
    again.run(HOUR, 1);
    assert_eq!(times(&again), ["2026-01-01T00:00:00.000Z"]);
}
