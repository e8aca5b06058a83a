//! The pace against simulated platforms, minutes and hours in moments: how soon a rate returns, how soon a higher limit
//! is found, and how often a limit is met. What served before (additive increase by one unit per second, half of it
//! after a refusal) is the measure of the last.

use std::collections::VecDeque;

use super::*;

/// From a report to its answer.
const LATENCY: f64 = 0.03;

/// How a platform may count.
#[derive(Clone, Copy, Debug)]
enum Counting {
    /// A bucket of one second's worth.
    Bucket,
    /// What was accepted in the second before.
    SlidingSecond,
    /// What was accepted since the second began.
    FixedSecond,
}

const EVERY_COUNTING: [Counting; 3] = [Counting::Bucket, Counting::SlidingSecond, Counting::FixedSecond];

struct Platform {
    counting: Counting,
    limit: f64,
    level: f64,
    at: f64,
    accepted: VecDeque<f64>,
}

impl Platform {
    fn new(counting: Counting, limit: f64) -> Self {
        Platform { counting, limit, level: 0.0, at: 0.0, accepted: VecDeque::new() }
    }

    fn takes(&mut self, now: f64) -> bool {
        match self.counting {
            Counting::Bucket => self.level = (self.level - (now - self.at) * self.limit).max(0.0),
            Counting::FixedSecond if now.floor() > self.at.floor() => self.level = 0.0,
            Counting::FixedSecond => {}
            Counting::SlidingSecond => {
                while self.accepted.front().is_some_and(|time| *time <= now - 1.0) {
                    self.accepted.pop_front();
                }
                self.level = self.accepted.len() as f64;
            }
        }
        self.at = now;
        let takes = self.level + 1.0 <= self.limit;
        if takes {
            self.level += 1.0;
            self.accepted.push_back(now);
        }
        takes
    }
}

/// What decides when the next report goes.
trait Paced {
    /// When a report that is there `now` goes.
    fn send(&mut self, now: f64) -> f64;
    fn answered(&mut self, now: f64, sent: f64, accepted: bool);
}

struct Ours<'a> {
    pace: &'a Pace,
    places: VecDeque<Place<'a, 1>>,
}

impl<'a> Ours<'a> {
    fn new(pace: &'a Pace) -> Self {
        Ours { pace, places: VecDeque::new() }
    }
}

impl Paced for Ours<'_> {
    fn send(&mut self, mut now: f64) -> f64 {
        let mut place = reserve([self.pace], seconds(now), 1.0, || LONG).unwrap_or_else(|_| panic!());
        loop {
            let wait = place.wait(seconds(now));
            if wait.is_zero() {
                break;
            }
            now += wait.min(LOOK_AGAIN).as_secs_f64();
        }
        place.sent();
        self.places.push_back(place);
        now
    }

    fn answered(&mut self, now: f64, sent: f64, accepted: bool) {
        let place = self.places.pop_front().unwrap();
        match accepted {
            true => place.accepted(),
            false => self.pace.limited(seconds(now), seconds(sent), Limited::default()),
        }
    }
}

/// Additive increase, multiplicative decrease, as it was.
#[derive(Default)]
struct Additive {
    rate: Option<f64>,
    next: f64,
    decreased: Option<f64>,
    recent: VecDeque<f64>,
}

impl Paced for Additive {
    fn send(&mut self, now: f64) -> f64 {
        let now = self.next.max(now);
        if let Some(rate) = self.rate {
            self.next = now + 1.0 / rate;
        }
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|time| *time <= now - 1.0) {
            self.recent.pop_front();
        }
        now
    }

    fn answered(&mut self, now: f64, _sent: f64, accepted: bool) {
        if accepted {
            self.rate = self.rate.map(|rate| rate + 1.0 / rate);
        } else if self.decreased.is_none_or(|decreased| now - decreased >= 1.0) {
            self.decreased = Some(now);
            let rate = self.rate.unwrap_or(self.recent.len() as f64) / 2.0;
            self.rate = Some(rate.max(rate::SLOWEST));
            self.next = self.next.max(now + 1.0 / rate);
        }
    }
}

/// A program that always has a report to send, up to `demand` a second.
struct Run<P> {
    paced: P,
    platform: Platform,
    demand: f64,
    now: f64,
    answers: VecDeque<(f64, f64, bool)>,
    refusals: Vec<f64>,
    accepted: Vec<f64>,
}

impl<P: Paced> Run<P> {
    fn new(paced: P, platform: Platform, demand: f64) -> Self {
        let (answers, refusals, accepted) = Default::default();
        Run { paced, platform, demand, now: 1.0, answers, refusals, accepted }
    }

    fn until(&mut self, end: f64) -> &mut Self {
        while self.now < end {
            while self.answers.front().is_some_and(|(time, ..)| *time <= self.now) {
                let (time, sent, accepted) = self.answers.pop_front().unwrap();
                self.paced.answered(time, sent, accepted);
            }
            let sent = self.paced.send(self.now);
            let accepted = self.platform.takes(sent);
            if accepted { &mut self.accepted } else { &mut self.refusals }.push(sent);
            self.answers.push_back((sent + LATENCY, sent, accepted));
            self.now = sent.max(self.now + 1.0 / self.demand);
        }
        self
    }

    /// Accepted per second between two times.
    fn rate(&self, from: f64, to: f64) -> f64 {
        let until = |time| self.accepted.partition_point(|accepted| *accepted < time);
        (until(to) - until(from)) as f64 / (to - from)
    }

    /// Refusals that came a second or more after the one before.
    fn meetings(&self, from: f64) -> usize {
        let mut last = f64::MIN;
        self.refusals
            .iter()
            .filter(|time| **time >= from)
            .filter(|time| (**time - std::mem::replace(&mut last, **time)) >= 1.0)
            .count()
    }

    /// The first second after `from` in which as much as `rate` was accepted.
    fn reaches(&self, rate: f64, from: f64) -> f64 {
        (0..36_000)
            .map(|tenth| f64::from(tenth) / 10.0)
            .find(|after| self.rate(from + after, from + after + 1.0) >= rate)
            .unwrap_or(f64::INFINITY)
    }
}

/// A program that always has reports, three times as many as the platform takes.
fn run(pace: &Pace, counting: Counting, limit: f64) -> Run<Ours<'_>> {
    Run::new(Ours::new(pace), Platform::new(counting, limit), limit * 3.0)
}

#[test]
fn three_refusals_within_a_second_are_made_up_for_in_seconds() {
    for apart in [0.3, 0.5] {
        for known in [None, Some(200.0)] {
            let pace = Pace::new(known);
            let mut run = Run::new(Ours::new(&pace), Platform::new(Counting::Bucket, 1e6), 200.0);
            run.until(30.0);
            for refusal in 0..3 {
                let time = 30.0 + apart * f64::from(refusal);
                run.until(time);
                pace.limited(seconds(time + LATENCY), seconds(time), Limited::default());
            }
            assert!(rate(&pace) < 180.0);
            run.until(60.0);
            let seconds = run.reaches(190.0, 30.0 + 2.0 * apart);
            assert!(seconds < 5.0, "{seconds}");
        }
    }
}

#[test]
fn a_limit_that_is_doubled_is_used_within_a_minute() {
    for counting in EVERY_COUNTING {
        let pace = Pace::new(None);
        let mut run = run(&pace, counting, 3000.0);
        run.until(5.0);
        let before = run.rate(3.0, 4.0);
        assert!(before <= 3100.0, "{counting:?} {before}");
        run.platform.limit = 6000.0;
        run.until(65.0);
        let seconds = run.reaches(5700.0, 5.0);
        assert!(seconds < 60.0, "{counting:?} {seconds}");
    }
}

#[test]
fn a_limit_is_met_no_more_often_than_by_additive_increase() {
    for (counting, limit) in EVERY_COUNTING.into_iter().flat_map(|counting| [(counting, 10.0), (counting, 200.0)]) {
        let (begin, end) = (600.0, 1800.0);
        let pace = Pace::new(None);
        let mut ours = run(&pace, counting, limit);
        ours.until(end);
        let mut before = Run::new(Additive::default(), Platform::new(counting, limit), limit * 3.0);
        before.until(end);
        let (now, then) = (ours.meetings(begin), before.meetings(begin));
        assert!(now <= then, "{counting:?} {limit}: {now}, not {then}");
        // And more gets through: at least 85 of 100.
        let (now, then) = (ours.rate(begin, end), before.rate(begin, end));
        assert!(now > then * 0.99 && now > limit * 0.85, "{counting:?} {limit}: {now}, not {then}");
        let refused = ours.refusals.iter().filter(|time| **time >= begin).count() as f64;
        assert!(refused < now * (end - begin) / 300.0, "{counting:?} {limit}: {refused}");
    }
}

#[test]
fn a_limit_that_was_lifted_is_found_from_the_slowest_rate() {
    let (pace, now) = at_the_floor();
    let mut run = Run::new(Ours::new(&pace), Platform::new(Counting::Bucket, 1e6), 200.0);
    run.now = now.as_secs_f64();
    let begin = run.now;
    run.until(begin + 120.0);
    let seconds = run.reaches(190.0, begin);
    assert!(seconds < 60.0, "{seconds}");
}

#[test]
fn others_who_use_up_the_limit_stop_nobody_for_ever() {
    let pace = Pace::new(None);
    let mut run = run(&pace, Counting::Bucket, 100.0);
    run.until(20.0);
    run.platform.limit = 0.0;
    run.until(320.0);
    assert!(run.refusals.iter().filter(|time| **time > 60.0).count() > 40, "it goes on trying");
    run.platform.limit = 100.0;
    let begin = run.now;
    run.until(begin + 90.0);
    let seconds = run.reaches(80.0, begin);
    assert!(seconds < 60.0, "{seconds}");
}

#[test]
fn a_program_that_sends_little_does_not_raise_the_rate() {
    let pace = Pace::new(None);
    let mut run = run(&pace, Counting::Bucket, 100.0);
    run.until(20.0);
    run.demand = 1.0;
    run.until(1000.0);
    assert!(rate(&pace) < 120.0, "{}", rate(&pace));
}
