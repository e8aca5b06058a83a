//! The pace on values: places, waits, what is given back. How the rate moves over minutes is [`simulation`]'s.

use std::sync::Barrier;
use std::thread;

use proptest::prelude::*;

use super::*;

mod simulation;

const LONG: Duration = Duration::from_secs(3600);

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Waits are compared in milliseconds, rounded.
fn ms(wait: Duration) -> u128 {
    (wait.as_micros() + 500) / 1000
}

fn place(pace: &Pace, now: Duration, units: f64) -> Place<'_, 1> {
    reserve([pace], now, units, || LONG).unwrap()
}

/// Takes a place and uses it at once, whatever its turn.
fn send(pace: &Pace, now: Duration, units: f64) {
    place(pace, now, units).sent();
}

/// How long a report that comes now has to wait; its place is given back.
fn next(pace: &Pace, now: Duration) -> u128 {
    ms(wait([pace], now))
}

/// A refusal of a report that was sent just before.
fn refuse(pace: &Pace, now: Duration) {
    pace.limited(now, now, Limited::default());
}

fn rate(pace: &Pace) -> f64 {
    pace.lock().as_ref().unwrap().rate.current().unwrap()
}

/// A pace that refusals brought to the slowest rate, and the time then.
fn at_the_floor() -> (Pace, Duration) {
    let pace = Pace::new(None);
    let mut now = at(1000);
    for _ in 0..40 {
        refuse(&pace, now);
        now += at(1000);
    }
    assert_eq!(rate(&pace), rate::SLOWEST);
    (pace, now + at(5000))
}

#[test]
fn a_report_counts_once_per_started_4_kb() {
    for (bytes, expected) in [(0, 1.0), (1, 1.0), (4096, 1.0), (4097, 2.0), (1_000_000, 245.0)] {
        assert_eq!(units(bytes), expected);
    }
}

#[test]
fn nothing_is_held_back_before_a_limit_is_met() {
    let pace = Pace::new(None);
    for _ in 0..1000 {
        let mut place = reserve([&pace], at(5), 256.0, || panic!("there is no wait")).unwrap_or_else(|_| panic!());
        assert_eq!(place.wait(at(5)), Duration::ZERO);
        place.sent();
        place.accepted();
    }
}

#[test]
fn a_known_rate_spaces_reports() {
    let pace = Pace::new(Some(10.0));
    let mut places: Vec<_> = (0..4).map(|_| place(&pace, at(1000), 1.0)).collect();
    assert_eq!(places.iter_mut().map(|place| ms(place.wait(at(1000)))).collect::<Vec<_>>(), [0, 100, 200, 300]);
    places.iter_mut().for_each(Place::sent);
    // A large report takes the places of several.
    send(&pace, at(1400), 5.0);
    assert_eq!(next(&pace, at(1400)), 500);
}

#[test]
fn an_idle_time_gives_no_credit() {
    let pace = Pace::new(Some(10.0));
    send(&pace, at(0), 1.0);
    send(&pace, at(60_000), 1.0);
    assert_eq!(next(&pace, at(60_000)), 100);
}

#[test]
fn a_place_that_comes_too_late_is_not_taken_and_says_the_whole_wait() {
    let pace = Pace::new(Some(1.0));
    send(&pace, at(0), 1.0);
    let _queued = place(&pace, at(0), 1.0);
    for _ in 0..3 {
        let wait = reserve([&pace], at(0), 1.0, || at(1999)).err().unwrap();
        assert_eq!(ms(wait), 2000, "with the one before it in the queue");
    }
    assert!(reserve([&pace], at(0), 1.0, || at(2000)).is_ok());
}

#[test]
fn a_place_is_taken_in_both_lines_or_in_neither() {
    let (device, tenant) = (Pace::new(Some(1.0)), Pace::new(Some(0.01)));
    send(&tenant, at(0), 1.0);
    for _ in 0..5 {
        assert!(reserve([&device, &tenant], at(0), 1.0, || at(5000)).is_err());
    }
    assert_eq!((next(&device, at(0)), next(&tenant, at(0))), (0, 100_000));
    // Nor in the tenant's, if the device's comes too late.
    let (device, tenant) = (Pace::new(Some(0.01)), Pace::new(Some(1.0)));
    send(&device, at(0), 1.0);
    assert!(reserve([&device, &tenant], at(0), 1.0, || at(5000)).is_err());
    assert_eq!((next(&device, at(0)), next(&tenant, at(0))), (100_000, 0));
}

#[test]
fn a_device_that_waits_for_itself_takes_no_turn_from_the_others() {
    let (slow, other, tenant) = (Pace::new(Some(0.1)), Pace::new(None), Pace::new(Some(1.0)));
    let mut waiting: Vec<_> =
        (0..4).map(|_| reserve([&slow, &tenant], at(0), 1.0, || LONG).unwrap_or_else(|_| panic!())).collect();
    assert_eq!(waiting.iter_mut().map(|place| ms(place.wait(at(0)))).collect::<Vec<_>>(), [0, 10_000, 20_000, 30_000]);
    waiting[0].sent();
    let mut place = reserve([&other, &tenant], at(0), 1.0, || LONG).unwrap_or_else(|_| panic!());
    assert_eq!(ms(place.wait(at(0))), 1000);
    // In its turn the slow one enters the tenant's line, behind what is there.
    assert_eq!(ms(waiting[1].wait(at(10_000))), 0);
    assert_eq!(next(&tenant, at(10_000)), 1000);
}

#[test]
fn calls_that_give_up_leave_no_wait_behind() {
    let pace = Pace::new(Some(2.0));
    send(&pace, at(0), 1.0);
    let cancelled: Vec<_> = (0..6).map(|_| place(&pace, at(0), 1.0)).collect();
    let mut behind = place(&pace, at(0), 1.0);
    assert_eq!(ms(behind.wait(at(100))), 3400);
    drop(cancelled);
    assert_eq!(ms(behind.wait(at(100))), 400, "moves up behind the one that was sent");
    assert_eq!(next(&pace, at(100)), 900);
    drop(behind);
    assert_eq!(next(&pace, at(100)), 400);
}

#[test]
fn a_place_knows_when_its_report_was_sent() {
    let pace = Pace::new(Some(1.0));
    let mut place = place(&pace, at(500), 1.0);
    assert!(place.wait(at(1234)).is_zero());
    place.sent();
    assert_eq!(place.sent_at(), at(1234));
}

#[test]
fn what_is_given_back_late_is_not_made_up_for() {
    let pace = Pace::new(Some(1.0));
    let unused = place(&pace, at(0), 1.0);
    let mut second = place(&pace, at(0), 1.0);
    let mut third = place(&pace, at(0), 1.0);
    // For 900 ms the first held its turn.
    drop(unused);
    assert_eq!(ms(second.wait(at(900))), 0);
    second.sent();
    assert_eq!(ms(third.wait(at(900))), 1000);
}

#[test]
fn a_report_that_goes_late_holds_back_those_behind_it() {
    let pace = Pace::new(Some(1.0));
    let (mut first, mut second) = (place(&pace, at(0), 1.0), place(&pace, at(0), 1.0));
    assert_eq!(ms(first.wait(at(5000))), 0);
    first.sent();
    assert_eq!(ms(second.wait(at(5000))), 950);
}

/// Who goes after those that were behind it was counted in their turns, and now counts by its own size, once.
#[test]
fn a_report_that_was_overtaken_counts_by_its_size() {
    let pace = Pace::new(Some(1.0));
    let mut large = place(&pace, at(0), 3.0);
    let mut small: Vec<_> = (0..3).map(|_| place(&pace, at(0), 1.0)).collect();
    for (small, now) in small.iter_mut().zip([3000, 4000, 5000]) {
        assert_eq!(ms(small.wait(at(now))), 0);
        small.sent();
    }
    assert_eq!(ms(large.wait(at(5000))), 0);
    large.sent();
    assert_eq!(next(&pace, at(5000)), 4000, "one unit of the last one, and three");
}

#[test]
fn one_refusal_among_fifty_counts() {
    let pace = Pace::new(None);
    for _ in 0..200 {
        send(&pace, at(100), 1.0);
    }
    for _ in 0..50 {
        pace.limited(at(200), at(150), Limited::default());
    }
    let after_one = rate(&pace);
    assert!((135.0..137.0).contains(&after_one), "{after_one}");
    assert_eq!(next(&pace, at(200)), 7, "one unit at 136 per second");
    // Nor do those count that come later and were sent before, or within a second.
    pace.limited(at(9000), at(1100), Limited::default());
    assert_eq!(rate(&pace), after_one);
    pace.limited(at(9000), at(1200), Limited::default());
    assert!(rate(&pace) < after_one);
}

#[test]
fn what_was_sent_before_a_refusal_does_not_undo_it() {
    let pace = Pace::new(None);
    let mut sent: Vec<_> = (0..200).map(|_| place(&pace, at(100), 1.0)).collect();
    sent.iter_mut().for_each(Place::sent);
    pace.limited(at(200), at(100), Limited::default());
    let decreased = rate(&pace);
    sent.iter().for_each(Place::accepted);
    assert_eq!(rate(&pace), decreased);
    let mut after = place(&pace, at(1000), 1.0);
    after.wait(at(1000));
    after.sent();
    after.accepted();
    assert!(rate(&pace) > decreased);
}

#[test]
fn what_is_accepted_raises_the_rate_of_the_device_and_of_all() {
    let (device, tenant) = (Pace::new(None), Pace::new(None));
    for pace in [&device, &tenant] {
        (0..100).for_each(|_| send(pace, at(100), 1.0));
        refuse(pace, at(200));
    }
    let before = [rate(&device), rate(&tenant)];
    let mut place = reserve([&device, &tenant], at(5000), 4.0, || LONG).unwrap_or_else(|_| panic!());
    place.wait(at(5000));
    place.sent();
    place.accepted();
    assert!(rate(&device) > before[0] && rate(&tenant) > before[1]);
    assert_eq!((next(&device, at(5000)), next(&tenant, at(5000))), (58, 58), "four units at 69 per second");
}

#[test]
fn a_known_rate_is_the_ceiling_and_if_it_is_slower_also_the_floor() {
    let pace = Pace::new(Some(0.05));
    for second in [10, 100, 1000] {
        refuse(&pace, Duration::from_secs(second));
        assert_eq!(rate(&pace), 0.05);
    }
    let pace = Pace::new(Some(2.0));
    for second in 1..30 {
        refuse(&pace, Duration::from_secs(second * 10));
    }
    assert_eq!(rate(&pace), rate::SLOWEST);
    for second in 0..10_000 {
        let now = Duration::from_secs(1000 + second);
        let mut place = place(&pace, now, 1.0);
        place.wait(now);
        place.sent();
        place.accepted();
        assert!(rate(&pace) <= 2.0);
    }
    assert_eq!(rate(&pace), 2.0);
}

#[test]
fn a_large_report_at_the_slowest_rate_holds_up_nobody_for_minutes() {
    let (pace, now) = at_the_floor();
    let mut large = place(&pace, now, 256.0);
    assert_eq!(large.wait(now), Duration::ZERO);
    large.sent();
    assert_eq!(next(&pace, now), 30_000);
    // It was accepted: the same debt at the new rate.
    large.accepted();
    assert!(next(&pace, now) <= 15_000, "{}", next(&pace, now));
}

#[test]
fn a_debt_from_better_times_is_bounded_at_the_slower_rate() {
    let pace = Pace::new(None);
    for _ in 0..20 {
        send(&pace, at(1000), 1.0);
    }
    refuse(&pace, at(1500));
    let mut now = at(1700);
    let mut large = place(&pace, now, 256.0);
    large.wait(now);
    large.sent();
    for _ in 0..40 {
        now += at(1000);
        refuse(&pace, now);
    }
    assert_eq!(rate(&pace), rate::SLOWEST);
    assert!(next(&pace, now + at(5000)) <= 30_000, "{}", next(&pace, now + at(5000)));
}

#[test]
fn those_who_wait_see_the_rate_that_is_now() {
    let pace = Pace::new(None);
    for _ in 0..10 {
        send(&pace, at(1000), 1.0);
    }
    refuse(&pace, at(1500));
    let mut places: Vec<_> = (0..10).map(|_| place(&pace, at(2000), 1.0)).collect();
    let before = places[9].wait(at(2000));
    refuse(&pace, at(2600));
    assert!(places[9].wait(at(2600)) > before);
}

#[test]
fn a_retry_after_holds_everything_up_to_an_hour() {
    for (asked, held) in [(7, 7_000), (86_400, 3_600_000)] {
        let pace = Pace::new(Some(100.0));
        let said = Limited { retry_after: Some(Duration::from_secs(asked)), limit: None };
        pace.limited(at(1000), at(1000), said);
        assert_eq!(next(&pace, at(1000)), held);
        assert_eq!(next(&pace, at(2000)), held - 1000);
    }
    // What was sent is paid for meanwhile; those who wait do not go together at its end.
    let pace = Pace::new(Some(1.0));
    send(&pace, at(0), 1.0);
    let mut waiting = [place(&pace, at(0), 1.0), place(&pace, at(0), 1.0)];
    pace.limited(at(0), at(0), Limited { retry_after: Some(at(10_000)), limit: None });
    let known = rate(&pace);
    for now in [at(0), at(4000), at(10_000)] {
        let waits = waiting.each_mut().map(|place| place.wait(now).as_secs_f64());
        let expected = 10.0 - now.as_secs_f64();
        assert!((waits[0] - expected).abs() < 1e-3 && (waits[1] - expected - 1.0 / known).abs() < 1e-3, "{waits:?}");
    }
    // What is paid for meanwhile counts in units of the rate: eight take as long as without the hold.
    let pace = Pace::new(Some(20.0));
    send(&pace, at(0), 8.0);
    pace.limited(at(0), at(0), Limited { retry_after: Some(at(100)), limit: None });
    let eight = (8000.0 / rate(&pace)).round() as u128;
    assert!(eight > 400 && next(&pace, at(0)) == eight && next(&pace, at(50)) == eight - 50, "{eight}");
    // Also where the refusal is not counted as another one.
    let pace = Pace::new(None);
    refuse(&pace, at(1000));
    pace.limited(at(1100), at(1000), Limited { retry_after: Some(at(9000)), limit: None });
    assert_eq!(next(&pace, at(1100)), 9000);
}

#[test]
fn a_limit_that_is_named_is_the_ceiling_for_a_while() {
    let pace = Pace::new(None);
    for _ in 0..1000 {
        send(&pace, at(1000), 1.0);
    }
    pace.limited(at(1500), at(1500), Limited { retry_after: None, limit: Some(100.0) });
    let mut now = at(2000);
    let mut reached = 0.0_f64;
    let mut accept = |for_units: f64| {
        let mut most = 0.0_f64;
        for _ in 0..for_units as u64 {
            let mut place = place(&pace, now, 1.0);
            now += place.wait(now);
            place.sent();
            place.accepted();
            most = most.max(rate(&pace));
        }
        reached = most;
        reached
    };
    let minute = accept(6_000.0);
    assert!((95.0..=100.0).contains(&minute), "{minute}");
    assert!(accept(100.0 * 480.0) <= 100.0);
    assert!(accept(100.0 * 120.0) > 110.0, "it may have been raised");
}

#[test]
fn many_threads_share_a_pace() {
    let (device, tenant) = (Pace::new(Some(50.0)), Pace::new(Some(100.0)));
    let start = Barrier::new(8);
    thread::scope(|scope| {
        for thread in 0..8 {
            let (device, tenant, start) = (&device, &tenant, &start);
            scope.spawn(move || {
                start.wait();
                for report in 0..500_u64 {
                    let now = at(report);
                    let mut place = reserve([device, tenant], now, 1.0, || LONG).unwrap_or_else(|_| panic!());
                    place.wait(now);
                    // Every other one gives up.
                    if (report + thread) % 2 == 0 {
                        place.sent();
                        place.accepted();
                    }
                }
            });
        }
    });
    // 2,000 were sent, some in the half of a second that passed; nothing of the others remains.
    let left = next(&device, at(499));
    assert!((39_000..=40_000).contains(&left), "{left}");
}

proptest! {
    /// Where calls gave up in good time, those behind them wait for those that are left before them and for no others,
    /// however often anybody looks.
    #[test]
    fn those_behind_move_up_by_exactly_what_was_given_back(
        per_second in 1_u32..50,
        calls in prop::collection::vec((1_u32..5, any::<bool>()), 1..12),
        looks in prop::collection::vec(1_u64..2000, 0..8),
    ) {
        let known = f64::from(per_second);
        let pace = Pace::new(Some(known));
        let places: Vec<_> = calls.iter().map(|call| Some(place(&pace, at(0), call.0.into()))).collect();
        let mut places: Vec<_> = places.into_iter().zip(&calls).map(|(place, call)| place.filter(|_| call.1)).collect();
        let mut now = at(0);
        for look in [0].into_iter().chain(looks) {
            now += at(look);
            let mut before = 0.0;
            for (place, call) in places.iter_mut().zip(&calls) {
                let Some(place) = place else { continue };
                let expected = (before / known - now.as_secs_f64()).max(0.0);
                let wait = place.wait(now).as_secs_f64();
                prop_assert!((wait - expected).abs() < 1e-3, "{wait} and not {expected} at {now:?}");
                before += f64::from(call.0);
            }
        }
    }

    /// In any stretch of time, at most what a known rate allows in it and one report more is sent. Where calls gave up,
    /// those who moved up in their sleep may be late by the time of one sleep, and come on top of it.
    #[test]
    fn a_known_rate_is_never_passed(
        per_second in 1_u32..50,
        calls in prop::collection::vec((0_u64..400, 1_u32..4, 0_u8..5), 1..60),
        patient in any::<bool>(),
    ) {
        let known = f64::from(per_second);
        let pace = Pace::new(Some(known));
        let calls = calls.into_iter().map(|(pause, size, fate)| (pause, size, if patient { 2 } else { fate }));
        let calls: Vec<_> = calls.collect();
        let gave_up = calls.iter().any(|call| call.2 < 2);
        let late = if gave_up { LOOK_AGAIN.as_secs_f64() + 3.0 / known } else { 0.0 };
        let mut waiting: Vec<(Place<'_, 1>, f64, u8, Duration)> = Vec::new();
        let mut sent: Vec<(Duration, f64)> = Vec::new();
        let mut calls = calls.into_iter();
        let mut comes = calls.next().map(|call| (at(call.0), call));
        loop {
            let wakes = waiting.iter().map(|waiter| waiter.3).min();
            let now = match (comes, wakes) {
                (Some((time, (_, size, fate))), _) if wakes.is_none_or(|wakes| time <= wakes) => {
                    waiting.push((place(&pace, time, size.into()), size.into(), fate, time));
                    comes = calls.next().map(|call| (time + at(call.0), call));
                    time
                }
                (_, Some(wakes)) => wakes,
                (_, None) => break,
            };
            for mut waiter in std::mem::take(&mut waiting) {
                if waiter.3 > now {
                    waiting.push(waiter);
                    continue;
                }
                let wait = waiter.0.wait(now);
                if waiter.2 == 0 && wait < at(700) {
                    // Cancelled while it waits.
                    continue;
                }
                if wait.is_zero() {
                    if waiter.2 == 1 { continue; }
                    waiter.0.sent();
                    sent.push((now, waiter.1));
                } else {
                    waiter.3 = now + wait.min(LOOK_AGAIN);
                    waiting.push(waiter);
                }
            }
        }
        for first in 0..sent.len() {
            let mut total = 0.0;
            for &(time, size) in &sent[first..] {
                let stretch = (time - sent[first].0).as_secs_f64();
                prop_assert!(total <= known * (stretch + late + 0.05) + 1e-3, "{total} in {stretch} s");
                total += size;
            }
        }
    }
}
