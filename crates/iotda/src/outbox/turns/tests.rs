//! Turns on values: which entries of which lanes a request gets, and when the next comes.

use super::super::frame::LaneKey;
use super::*;

const SENDER: u64 = 7;
const OTHER: u64 = 8;

/// Lanes with entries of these kinds and lengths; all are offered.
struct Stand {
    turns: Turns,
    lanes: Lanes,
    number: u64,
}

impl Stand {
    fn new(coalesce: usize, linger_ms: u64) -> Self {
        let mut turns = Turns::new(coalesce, linger_ms);
        let lanes = Lanes::default();
        turns.attach(SENDER, &lanes);
        turns.attach(OTHER, &lanes);
        Stand { turns, lanes, number: 0 }
    }

    /// A lane of `sender` for what `reported` reports.
    fn lane(&mut self, sender: u64, reported: u64, entries: &[(u8, u32)]) -> u32 {
        let lane = self.lanes.index(LaneKey { sender, reported });
        for (kind, length) in entries {
            self.number += 1;
            self.lanes.get_mut(lane).queue.push(Slot::new(self.number, *kind, *length, 0));
        }
        lane
    }

    /// As [`lane`](Self::lane), offered at the time 0.
    fn offered(&mut self, sender: u64, reported: u64, entries: &[(u8, u32)]) -> u32 {
        let lane = self.lane(sender, reported, entries);
        self.turns.offer(lane, 0);
        lane
    }

    /// So many child lanes with one entry each.
    fn children(&mut self, count: u64) -> Vec<u32> {
        (0..count).map(|child| self.offered(SENDER, 100 + child, &[(kind::CHILD, 10)])).collect()
    }

    fn next(&mut self, now: u64) -> Next {
        self.turns.next(now, &self.lanes)
    }

    fn pick(&mut self, now: u64) -> Pick {
        match self.next(now) {
            Next::Send(pick) => pick,
            other => panic!("{other:?}"),
        }
    }

    /// The entries leave their lanes, as after a delivery.
    fn settle(&mut self, parts: &[Part]) {
        for part in parts {
            for slot in &part.slots {
                assert_eq!(self.lanes.get_mut(part.lane).queue.pop(), Some(*slot));
            }
        }
    }
}

/// Each part's lane, and how many entries of it.
fn shape(pick: &Pick) -> Vec<(u32, usize)> {
    pick.parts.iter().map(|part| (part.lane, part.slots.len())).collect()
}

#[test]
fn pauses_grow_from_a_second_to_five_minutes_and_are_drawn_from_all_of_that() {
    assert_eq!((pause_ms(1, 0.0), pause_ms(1, 1.0)), (1_000, 2_000));
    assert_eq!((pause_ms(5, 0.0), pause_ms(5, 0.5), pause_ms(5, 1.0)), (1_000, 16_500, 32_000));
    assert_eq!((pause_ms(9, 1.0), pause_ms(u32::MAX, 1.0)), (300_000, 300_000));
}

#[test]
fn a_lane_is_offered_once_and_not_while_its_request_is_under_way() {
    for linger_ms in [0, 50] {
        let mut stand = Stand::new(1000, linger_ms);
        let lane = stand.lane(SENDER, 1, &[(kind::PROPERTIES, 10)]);
        assert!(stand.turns.offer(lane, 1000) && !stand.turns.offer(lane, 1001));
        assert!(!stand.turns.is_busy(lane));
        if linger_ms > 0 {
            assert_eq!(stand.next(1000), Next::At(1050));
            assert_eq!(stand.next(1049), Next::At(1050));
        }
        let pick = stand.pick(1050);
        assert!(stand.turns.is_busy(lane));
        stand.lane(SENDER, 1, &[(kind::PROPERTIES, 10)]);
        assert!(!stand.turns.offer(lane, 1060) && stand.turns.is_busy(lane));
        assert_eq!(stand.next(2000), Next::Nothing, "one request of a lane at a time");
        stand.settle(&pick.parts);
        stand.turns.delivered(&pick, &pick.parts);
        assert!(!stand.turns.is_busy(lane));
        assert_eq!(shape(&stand.pick(2000)), [(lane, 1)]);
    }
}

#[test]
fn lanes_take_turns() {
    let mut stand = Stand::new(1, 0);
    let lanes = [1, 2, 3].map(|reported| stand.offered(SENDER, reported, &[(kind::MESSAGE, 1); 3]));
    let mut served = Vec::new();
    for _ in 0..9 {
        let pick = stand.pick(0);
        served.push(pick.parts[0].lane);
        stand.settle(&pick.parts);
        stand.turns.delivered(&pick, &pick.parts);
    }
    assert_eq!(served, [lanes, lanes, lanes].concat());
}

#[test]
fn a_device_that_is_attached_releases_its_own_lanes_only() {
    let mut stand = Stand::new(1000, 0);
    let (own, others) =
        (stand.offered(SENDER, 1, &[(kind::MESSAGE, 1)]), stand.offered(OTHER, 2, &[(kind::MESSAGE, 1)]));
    for _ in 0..2 {
        let pick = stand.pick(0);
        stand.turns.paced(&pick, 9_000);
    }
    assert_eq!(stand.next(0), Next::At(9_000));
    stand.turns.attach(SENDER, &stand.lanes);
    assert_eq!(shape(&stand.pick(0)), [(own, 1)]);
    assert_eq!(stand.next(0), Next::At(9_000));
    assert_eq!(shape(&stand.pick(9_000)), [(others, 1)]);
}

#[test]
fn when_the_network_is_back_pauses_end_within_a_second() {
    let mut stand = Stand::new(1000, 0);
    let lanes = [1, 2, 3].map(|reported| stand.offered(SENDER, reported, &[(kind::MESSAGE, 1)]));
    for until in [10_100, 60_000] {
        let pick = stand.pick(0);
        stand.turns.paced(&pick, until);
    }
    let pick = stand.pick(10_000);
    stand.turns.outage(&pick, true, 300_000, 10_000, 0.5);
    assert_eq!(stand.next(10_000), Next::At(310_000));
    stand.turns.wake(10_000, 0.5);
    assert_eq!(stand.next(10_499), Next::At(10_500));
    let sent: Vec<_> = (0..3).map(|_| stand.pick(10_500).parts[0].lane).collect();
    assert_eq!(sent, [lanes[2], lanes[0], lanes[1]]);
}

#[test]
fn a_request_takes_entries_of_one_kind_and_messages_alone() {
    use kind::{CHILD, MESSAGE, PROPERTIES};
    for (entries, expected) in [
        (vec![PROPERTIES, PROPERTIES, MESSAGE, PROPERTIES], vec![2, 1, 1]),
        (vec![MESSAGE, MESSAGE, PROPERTIES], vec![1, 1, 1]),
        (vec![CHILD, CHILD, PROPERTIES, CHILD], vec![2, 1, 1]),
    ] {
        let mut stand = Stand::new(1000, 0);
        let entries: Vec<_> = entries.into_iter().map(|kind| (kind, 10)).collect();
        let lane = stand.offered(SENDER, 1, &entries);
        for count in expected {
            let pick = stand.pick(0);
            assert_eq!(shape(&pick), [(lane, count)]);
            stand.settle(&pick.parts);
            stand.turns.delivered(&pick, &pick.parts);
        }
        assert_eq!(stand.next(0), Next::Nothing);
    }
}

#[test]
fn a_request_takes_an_eighth_more_than_its_bytes_and_one_entry_of_any_size() {
    let mut stand = Stand::new(1000, 0);
    // After eleven entries there are 1,100 of 1,125 bytes.
    stand.offered(SENDER, 1, &[(kind::PROPERTIES, 100); 30]);
    assert_eq!(stand.pick(0).parts[0].slots.len(), 12);
    stand.offered(SENDER, 2, &[(kind::PROPERTIES, 5000), (kind::PROPERTIES, 1)]);
    assert_eq!(stand.pick(0).parts[0].slots.len(), 1);
    // 1,125 exactly is not more.
    stand.offered(SENDER, 3, &[(kind::PROPERTIES, 1125), (kind::PROPERTIES, 1), (kind::PROPERTIES, 1)]);
    assert_eq!(stand.pick(0).parts[0].slots.len(), 2);
    // Lanes are added until the bytes are passed.
    for (length, parts) in [(500, 3), (501, 2), (400, 3), (5000, 1), (100, 8)] {
        let mut stand = Stand::new(1000, 0);
        for child in 0..8 {
            stand.offered(SENDER, child, &[(kind::CHILD, length)]);
        }
        assert_eq!(stand.pick(0).parts.len(), parts, "{length}");
    }
}

#[test]
fn children_of_one_sender_go_together_and_nobody_else() {
    let mut stand = Stand::new(1000, 0);
    let first = stand.offered(SENDER, 1, &[(kind::CHILD, 10)]);
    stand.offered(OTHER, 2, &[(kind::CHILD, 10)]);
    stand.offered(SENDER, 3, &[(kind::PROPERTIES, 10)]);
    let paced = stand.offered(SENDER, 4, &[(kind::CHILD, 10)]);
    stand.turns.wait(paced, 5000);
    let second = stand.offered(SENDER, 5, &[(kind::CHILD, 10), (kind::MESSAGE, 10)]);
    assert_eq!(shape(&stand.pick(0)), [(first, 1), (second, 1)]);
    // Where nothing is to be put together, each goes alone.
    let mut stand = Stand::new(1, 0);
    stand.children(3);
    assert_eq!(stand.pick(0).parts.len(), 1);
}

#[test]
fn a_refused_request_is_searched_by_halves_and_what_is_delivered_is_no_suspect() {
    let mut stand = Stand::new(100_000, 0);
    let lanes = stand.children(8);
    let all = stand.pick(0);
    assert_eq!(shape(&all), lanes.iter().map(|lane| (*lane, 1)).collect::<Vec<_>>());
    stand.turns.refused(&all, &all.parts, 0);
    let half = stand.pick(0);
    assert_eq!(shape(&half), lanes[..4].iter().map(|lane| (*lane, 1)).collect::<Vec<_>>());
    // While they are under way the same are not sent again, nor are the others.
    assert_eq!(stand.next(0), Next::Nothing);
    stand.settle(&half.parts);
    stand.turns.delivered(&half, &half.parts);
    let quarter = stand.pick(0);
    assert_eq!(shape(&quarter), [(lanes[4], 1), (lanes[5], 1)]);
    stand.turns.refused(&quarter, &quarter.parts, 0);
    let one = stand.pick(0);
    assert_eq!(shape(&one), [(lanes[4], 1)]);
    stand.lane(SENDER, 104, &[(kind::CHILD, 10)]);
    // It is the one: the caller settles it, and the rest goes together.
    stand.turns.refused(&one, &one.parts, 0);
    stand.settle(&one.parts);
    let (mut sent, mut together) = (Vec::new(), false);
    while let Next::Send(pick) = stand.next(0) {
        let of = |lane| pick.parts.iter().any(|part| part.lane == lane);
        together |= of(lanes[4]) && of(lanes[6]);
        sent.extend(shape(&pick));
        stand.settle(&pick.parts);
        stand.turns.delivered(&pick, &pick.parts);
    }
    sent.sort_unstable();
    assert_eq!(sent, lanes[4..].iter().map(|lane| (*lane, 1)).collect::<Vec<_>>());
    assert!(together, "its lane is no suspect any more");
}

#[test]
fn a_refused_lane_is_searched_alone() {
    let mut stand = Stand::new(100_000, 0);
    let suspect = stand.offered(SENDER, 1, &[(kind::CHILD, 10); 6]);
    let pick = stand.pick(0);
    stand.turns.refused(&pick, &pick.parts, 0);
    let other = stand.offered(SENDER, 2, &[(kind::CHILD, 10)]);
    assert_eq!(shape(&stand.pick(0)), [(suspect, 3)]);
    assert_eq!(shape(&stand.pick(0)), [(other, 1)]);
}

#[test]
fn what_is_too_much_at_once_is_halved_where_there_is_something_to_halve() {
    for (children, is_child, lanes, entries, body, bytes_max, children_max) in [
        (true, true, 5, 1, 900, 1000, 2),
        (true, true, 2, 1, 900, 1000, 1),
        (true, true, 1, 3, 900, 1000, 50),
        (false, true, 5, 1, 900, 450, 50),
        (false, false, 1, 3, 900, 450, 50),
        (false, false, 1, 3, 3, 2, 50),
        (false, false, 1, 1, 900, 1000, 50),
    ] {
        let mut stand = Stand::new(1000, 0);
        let kind = if is_child { kind::CHILD } else { kind::PROPERTIES };
        for lane in 0..lanes {
            stand.offered(SENDER, lane, &vec![(kind, 10); entries]);
        }
        let pick = stand.pick(0);
        assert_eq!((pick.bytes_max, pick.children_max), (1000, 50));
        stand.turns.too_much(&pick, &pick.parts, children, body);
        stand.turns.done(&pick);
        let pick = stand.pick(0);
        assert_eq!((pick.bytes_max, pick.children_max), (bytes_max, children_max), "{lanes} lanes of {entries}");
        assert!(pick.parts.len() <= children_max);
        // It is known of this sender, and of no other.
        stand.offered(OTHER, 1000, &[(kind::PROPERTIES, 10)]);
        let of_other = std::iter::repeat_with(|| stand.pick(0)).find(|pick| pick.sender == OTHER).unwrap();
        assert_eq!((of_other.bytes_max, of_other.children_max), (1000, 50));
    }
}

#[test]
fn an_unknown_child_is_given_up_after_a_day_from_the_first_time() {
    let mut stand = Stand::new(1000, 0);
    let lane = stand.offered(SENDER, 1, &[(kind::CHILD, 10)]);
    let begin = 2 * UNKNOWN_MS;
    let mut now = begin;
    loop {
        let pick = stand.pick(now);
        assert_eq!(shape(&pick), [(lane, 1)]);
        if stand.turns.unknown_child(&pick, &pick.parts, now) {
            break;
        }
        assert_eq!(stand.next(now), Next::At(now + PARKED_MS));
        now += PARKED_MS;
    }
    assert_eq!(now, begin + UNKNOWN_MS);
}
