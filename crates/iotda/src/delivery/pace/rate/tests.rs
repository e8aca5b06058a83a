//! The way back after refusals, step by step, each on a rate alone. What comes of it over minutes is the simulation's.

use super::*;

/// What a rate is about to do.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shown {
    rate: f64,
    good: f64,
    probe: f64,
    falls: u32,
    proven: bool,
}

fn shown(rate: &Rate) -> Shown {
    let Climb { rate, good, probe, falls, proven, .. } = rate.climb.unwrap();
    Shown { rate, good, probe, falls, proven }
}

fn assert_shown(rate: &Rate, expected: Shown) {
    let found = shown(rate);
    let near = |a: f64, b: f64| (a - b).abs() <= b.abs() * 1e-9;
    let same = near(found.rate, expected.rate) && near(found.good, expected.good) && near(found.probe, expected.probe);
    assert!(same && (found.falls, found.proven) == (expected.falls, expected.proven), "{found:?}, not {expected:?}");
}

/// A rate that met a limit at 100 units per second.
fn met_at_100() -> Rate {
    let mut rate = Rate::new(None);
    rate.refused(100.0, None);
    rate
}

/// So many seconds in which what the rate allows is sent, and accepted.
fn serve(rate: &mut Rate, seconds: f64) {
    let begin = rate.climb.unwrap().used;
    let left = |rate: &Rate| begin + seconds - rate.climb.unwrap().used;
    while left(rate) > 1e-9 {
        let part = left(rate).min(0.1);
        rate.accepted(rate.current().unwrap() * part);
    }
}

#[test]
fn a_first_refusal_takes_three_tenths_and_returns_to_just_below_the_limit() {
    let mut rate = met_at_100();
    assert_shown(&rate, Shown { rate: 70.0 * GOOD, good: 97.0, probe: FIRST_PROBE, falls: 0, proven: false });
    let low = rate.climb.unwrap().low;
    // Half of the way in seconds is seven eighths of the way back.
    serve(&mut rate, RECOVERY / 2.0);
    assert!((rate.current().unwrap() - (97.0 - (97.0 - low) / 8.0)).abs() < 1e-6, "{:?}", shown(&rate));
    for until in [RECOVERY, FIRST_PROBE - 0.1] {
        let used = rate.climb.unwrap().used;
        serve(&mut rate, until - used);
        assert!((rate.current().unwrap() - 97.0).abs() < 1e-6, "{:?}", shown(&rate));
    }
    // The probe doubles it in thirty seconds, slowly first.
    serve(&mut rate, 0.1 + PROBE_DOUBLES / 2.0);
    assert!((rate.current().unwrap() - 97.0 * 1.125).abs() < 1e-3, "{:?}", shown(&rate));
    serve(&mut rate, PROBE_DOUBLES / 2.0);
    assert!((rate.current().unwrap() - 97.0 * 2.0).abs() < 1e-3, "{:?}", shown(&rate));
}

#[test]
fn a_program_that_sends_less_than_it_may_loses_no_more_than_half() {
    for (sending, met) in [(1e9, 97.0), (97.0, 97.0), (60.0, 60.0), (48.5, 48.5), (10.0, 48.5), (0.0, 48.5)] {
        let mut rate = met_at_100();
        serve(&mut rate, RECOVERY + 1.0);
        rate.refused(sending, None);
        let good = met * GOOD_IF_UNPROVEN;
        assert_shown(&rate, Shown { rate: good * DECREASE, good, probe: FIRST_PROBE, falls: 0, proven: false });
    }
    // Without a rate, what was sent is all that is known, and one unit the least.
    for (sending, good) in [(0.0, GOOD), (0.5, GOOD), (40.0, 40.0 * GOOD)] {
        let mut rate = Rate::new(None);
        rate.refused(sending, None);
        assert!((rate.climb.unwrap().good - good).abs() < 1e-9, "{sending}");
    }
}

#[test]
fn a_refusal_on_the_way_back_halves_and_the_third_is_an_outage() {
    let mut rate = met_at_100();
    let mut good = 97.0;
    for (falls, probe) in [(1, FIRST_PROBE), (2, FIRST_PROBE), (3, RECOVERY), (4, RECOVERY)] {
        let met = rate.current().unwrap();
        rate.refused(met, None);
        // The first says nothing of the good rate.
        if falls > 1 {
            good = met * GOOD_IF_UNPROVEN;
        }
        assert_shown(&rate, Shown { rate: met * DECREASE_AGAIN, good, probe, falls, proven: false });
    }
    // After an outage the probe begins at once and is steep.
    let good = rate.climb.unwrap().good;
    serve(&mut rate, RECOVERY + STEEP_PROBE_DOUBLES);
    assert!((rate.current().unwrap() - 2.0 * good).abs() < good * 1e-3, "{:?}", shown(&rate));
}

#[test]
fn what_is_the_way_back_ends_near_the_good_rate_and_not_within_a_second() {
    // Near the good rate: a refusal there is one of its own.
    let mut rate = met_at_100();
    serve(&mut rate, RECOVERY);
    rate.refused(97.0, None);
    assert_eq!(shown(&rate).falls, 0);
    // Below it, whatever the time.
    let mut rate = met_at_100();
    serve(&mut rate, 2.0);
    assert!(rate.current().unwrap() < 97.0 * GOOD);
    rate.refused(97.0, None);
    assert_eq!(shown(&rate).falls, 1);
    // At the slowest rate there is no way back; a second of use is what counts.
    for (seconds, falls) in [(0.0, 1), (0.9, 1), (PROOF, 0)] {
        let mut rate = Rate::new(Some(SLOWEST));
        rate.refused(SLOWEST, None);
        assert!(rate.current().unwrap() >= rate.climb.unwrap().good * GOOD);
        serve(&mut rate, seconds);
        rate.refused(SLOWEST, None);
        assert_eq!(shown(&rate).falls, falls, "{seconds}");
    }
}

#[test]
fn a_rate_that_was_held_is_proven_and_loses_less_from_then_on() {
    let mut rate = met_at_100();
    // The probe has begun, but hardly passed the good rate: the limit is where it was, and proven.
    serve(&mut rate, FIRST_PROBE);
    let met = rate.current().unwrap();
    rate.refused(met, None);
    assert_shown(&rate, Shown { rate: 97.0 * DECREASE, good: 97.0, probe: 40.0, falls: 0, proven: true });
    // A fall on the way back does not take that away.
    let mut fallen = Rate { climb: rate.climb, ..Rate::new(None) };
    fallen.refused(fallen.current().unwrap(), None);
    assert_eq!((shown(&fallen).falls, shown(&fallen).proven), (1, true));
    // A refusal before the probe: a little below where it was met, as it is proven.
    serve(&mut rate, FIRST_PROBE + 10.0);
    rate.refused(90.0, None);
    assert_shown(
        &rate,
        Shown { rate: 90.0 * GOOD * DECREASE, good: 90.0 * GOOD, probe: FIRST_PROBE, falls: 0, proven: false },
    );
    // And not above the good rate, wherever it was met.
    let mut unproven = met_at_100();
    serve(&mut unproven, FIRST_PROBE - 1.0);
    unproven.refused(1e9, None);
    assert!((shown(&unproven).good - 97.0 * GOOD_IF_UNPROVEN).abs() < 1e-6, "{:?}", shown(&unproven));
}

#[test]
fn each_probe_that_meets_the_limit_where_it_was_comes_later() {
    // Twice as late, up to as many seconds as the rate has units, and a minute if those are fewer.
    for (limit, probes) in [(50.0, [40.0, 60.0, 60.0]), (100.0, [40.0, 80.0, 97.0]), (1e5, [40.0, 80.0, 160.0])] {
        let mut rate = Rate::new(None);
        rate.refused(limit, None);
        for probe in probes {
            let begin = shown(&rate).probe;
            // A little longer, for what additions lose.
            serve(&mut rate, begin + 0.01);
            rate.refused(limit, None);
            let good = limit * GOOD;
            assert_shown(&rate, Shown { rate: good * DECREASE, good, probe, falls: 0, proven: true });
        }
    }
    let mut rate = Rate::new(None);
    rate.refused(1e5, None);
    for _ in 0..10 {
        let begin = shown(&rate).probe;
        serve(&mut rate, begin + 0.01);
        rate.refused(1e5, None);
    }
    assert_eq!(shown(&rate).probe, 1800.0);
}

#[test]
fn a_probe_that_finds_more_makes_it_the_good_rate() {
    let mut rate = met_at_100();
    serve(&mut rate, FIRST_PROBE + PROBE_DOUBLES);
    let met = rate.current().unwrap();
    rate.refused(met, None);
    let good = met * GOOD_OF_PROBE;
    assert_shown(&rate, Shown { rate: good * DECREASE, good, probe: FIRST_PROBE, falls: 0, proven: false });
    // A steep one has passed the limit by more.
    let mut rate = met_at_100();
    for _ in 0..OUTAGE {
        rate.refused(rate.current().unwrap(), None);
    }
    serve(&mut rate, RECOVERY + 2.0 * STEEP_PROBE_DOUBLES);
    let met = rate.current().unwrap();
    rate.refused(met, None);
    let good = met * GOOD_OF_STEEP_PROBE;
    assert_shown(&rate, Shown { rate: good * DECREASE, good, probe: FIRST_PROBE, falls: 0, proven: false });
}

#[test]
fn a_named_limit_is_the_ceiling_for_ten_minutes_and_survives_refusals() {
    let mut rate = Rate::new(None);
    rate.refused(1000.0, Some(100.0));
    assert_shown(&rate, Shown { rate: 97.0 * DECREASE, good: 97.0, probe: FIRST_PROBE, falls: 0, proven: false });
    serve(&mut rate, 1.0);
    // It is not said again.
    rate.refused(1e9, None);
    serve(&mut rate, NAMED_HOLDS - 1.0);
    assert_eq!(rate.current(), Some(100.0));
    serve(&mut rate, 2.0);
    assert!(rate.current().unwrap() > 101.0);
    // What is no limit names none; one below the slowest rate is the slowest rate.
    for (named, good) in [(0.0, 970.0), (-1.0, 970.0), (f64::INFINITY, 970.0), (f64::NAN, 970.0), (1e-9, SLOWEST)] {
        let mut rate = Rate::new(None);
        rate.refused(1000.0, Some(named));
        assert!((shown(&rate).good - good).abs() < 1e-9, "{named}: {:?}", shown(&rate));
    }
    // Nor is the known rate passed because of one.
    let mut rate = Rate::new(Some(50.0));
    rate.refused(1000.0, Some(100.0));
    assert!((shown(&rate).good - 50.0 * GOOD).abs() < 1e-9);
}

#[test]
fn one_report_proves_no_more_than_the_double() {
    let mut rate = met_at_100();
    let low = rate.current().unwrap();
    rate.climb.as_mut().unwrap().good = 1e6;
    rate.accepted(low * 1e9);
    assert_eq!((rate.current(), rate.climb.unwrap().used), (Some(2.0 * low), MOST_USE));
}
