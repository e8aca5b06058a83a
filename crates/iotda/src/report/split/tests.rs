//! Which requests a batch becomes, with a platform that refuses children: where it is cut, and what a search costs.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::played::{Platform, Played, worst};
use super::*;

fn lengths(played: &Played) -> Vec<usize> {
    played.requests.iter().map(Vec::len).collect()
}

fn unknown(children: impl IntoIterator<Item = usize>) -> Platform {
    Platform { unknown: children.into_iter().collect(), ..Platform::default() }
}

fn open(_: usize) -> Standing {
    Standing::Open
}

#[test]
fn cut_by_count_in_order() {
    let played = Platform::default().play_alike(120);
    assert_eq!(lengths(&played), [50, 50, 20]);
    assert_eq!(played.accepted, (0..120).collect::<Vec<_>>());
}

#[test]
fn cut_by_bytes() {
    let play = |children| Platform::default().play(children, Limits::default(), open);
    assert_eq!(lengths(&play(vec![Ok(400_000); 5])), [2, 2, 1]);
    assert_eq!(lengths(&play(vec![Ok(1_000_000), Ok(10), Ok(10)])), [1, 2]);
    // To the byte: the frame and the comma count.
    let half = (BATCH_BODY_MAX - FRAME_LEN - 1) / 2;
    let rest = BATCH_BODY_MAX - FRAME_LEN - 1 - half;
    assert_eq!(lengths(&play(vec![Ok(half), Ok(rest)])), [2]);
    assert_eq!(lengths(&play(vec![Ok(half), Ok(rest + 1)])), [1, 1]);
    let third = (BATCH_BODY_MAX - FRAME_LEN - 2) / 3;
    let rest = BATCH_BODY_MAX - FRAME_LEN - 2 - 2 * third;
    assert_eq!(lengths(&play(vec![Ok(third), Ok(third), Ok(rest)])), [3]);
    assert_eq!(lengths(&play(vec![Ok(third), Ok(third), Ok(rest + 1)])), [2, 1]);
}

#[test]
fn children_that_are_wrong_in_themselves_hold_nobody_back() {
    let largest = BODY_LIMIT - FRAME_LEN - 1;
    let wrong = Err(ErrorKind::InvalidArgument);
    let children = vec![Ok(10), Ok(largest + 1), wrong, Ok(10), Ok(largest), wrong];
    let played = Platform::default().play(children, Limits::default(), open);
    assert_eq!(
        played.outcomes,
        [
            Ok(()),
            Err(ErrorKind::TooLarge),
            Err(ErrorKind::InvalidArgument),
            Ok(()),
            Ok(()),
            Err(ErrorKind::InvalidArgument)
        ]
    );
    assert_eq!(played.requests, [vec![0, 3], vec![4]]);
    let none = Platform::default().play(vec![wrong; 3], Limits::default(), open);
    assert_eq!((none.requests.len(), none.outcomes), (0, vec![Err(ErrorKind::InvalidArgument); 3]));
}

#[test]
fn one_unknown_child_step_by_step() {
    let played = unknown([5]).play_alike(8);
    // Nothing that was accepted is sent again, and nothing of which it is known that it would be refused.
    let expected: [&[usize]; 5] = [&[0, 1, 2, 3, 4, 5, 6, 7], &[0, 1, 2], &[3, 4], &[5], &[6, 7]];
    assert_eq!(played.requests, expected);
    assert_eq!(played.found, [5]);
}

#[test]
fn the_worst_placement_of_unknown_children_among_50() {
    let costs = [0, 1, 10, 25, 49, 50].map(|bad| (bad, worst(50, bad)));
    assert_eq!(costs, [(0, 1), (1, 10), (10, 46), (25, 79), (49, 64), (50, 64)]);
    for count in 1..=50 {
        let most = (0..=count).map(|bad| worst(count, bad)).max().unwrap();
        assert!(most < 2 * count, "{most} requests for {count} children");
    }
}

#[test]
fn the_worst_case_is_that_of_real_plans() {
    let mut most = [0; 11];
    for bits in 0..1 << 10 {
        let played = unknown((0..10).filter(|child| (bits >> child) & 1 == 1)).play_alike(10);
        let most = &mut most[played.found.len()];
        *most = played.requests.len().max(*most);
    }
    assert_eq!(most, std::array::from_fn(|bad| worst(10, bad)));
}

#[test]
fn one_unknown_child_anywhere_costs_what_is_said() {
    for child in 0..50 {
        let played = unknown([child]).play_alike(50);
        assert!(played.requests.len() <= 10, "child {child}: {} requests", played.requests.len());
    }
    for child in 0..500 {
        let played = unknown([child]).play_alike(500);
        // Nine parts as ever, and the search in the tenth.
        assert!(played.requests.len() <= 9 + 13, "child {child}: {} requests", played.requests.len());
    }
}

#[test]
fn two_thousand_bad_children_cost_hardly_more_than_a_request_each() {
    let all: BTreeSet<_> = (0..2_000).collect();
    let played = unknown(all.clone()).play_alike(2_000);
    assert_eq!((played.requests.len(), played.found.len()), (2_014, 2_000));
    let invalid = Platform { invalid: all, ..Platform::default() }.play_alike(2_000);
    assert_eq!(invalid.requests.len(), 2_014);
    assert!(invalid.outcomes.iter().all(|outcome| *outcome == Err(ErrorKind::Rejected)));
    assert!(invalid.found.is_empty());
}

#[test]
fn one_bad_part_does_not_slow_the_rest_of_a_large_batch() {
    let played = unknown(0..50).play_alike(50_000);
    assert_eq!(played.accepted.len(), 49_950);
    // 999 parts, 64 requests for the bad one, and some small requests until it is forgotten.
    assert!(played.requests.len() <= 999 + 64 + 60, "{}", played.requests.len());
    assert_eq!(played.requests[played.requests.len() - 2].len(), 50);
}

#[test]
fn invalid_data_is_pinned_on_a_child_that_was_refused_alone() {
    let platform = Platform { invalid: [1].into(), ..Platform::default() };
    assert_eq!(platform.play_alike(2).requests, [vec![0, 1], vec![0], vec![1]]);
    assert_eq!(unknown([1]).play_alike(2).requests, [vec![0, 1], vec![0]]);
    // Two that are only invalid together are both delivered.
    let mut plan = Plan::new([Ok(10), Ok(10)].into_iter(), Limits::default()).unwrap();
    assert_eq!(plan.next_request(open).unwrap(), [0, 1]);
    plan.refused(ErrorKind::Rejected);
    for child in 0..2 {
        assert_eq!(plan.next_request(open).unwrap(), [child]);
        plan.accepted();
    }
    assert!(plan.next_request(open).is_none());
    assert_eq!(plan.finish(ErrorKind::Internal), [Ok(()); 2]);
}

#[test]
fn a_child_that_stands_in_the_batch_twice_is_searched_for_once() {
    let ghost = |child: usize| child % 3 == 1;
    let platform = Platform { unknown: (0..100).filter(|&child| ghost(child)).collect(), ..Platform::default() };
    let mut plan = Plan::new((0..100).map(|_| Ok(10)), Limits::default()).unwrap();
    let mut known = false;
    let mut requests = 0;
    while let Some(children) =
        plan.next_request(|child| if known && ghost(child) { Standing::Unknown } else { Standing::Open })
    {
        requests += 1;
        known |= match children.iter().any(|child| platform.unknown.contains(child)) {
            true => plan.refused(ErrorKind::UnknownChild).is_some(),
            false => plan.accepted().is_some(),
        };
    }
    assert!(requests <= 16, "{requests}");
    let outcomes = plan.finish(ErrorKind::Internal);
    assert!((0..100).all(|child| outcomes[child].is_err() == ghost(child)));
}

#[test]
fn a_child_found_by_another_thread_clears_the_others_of_doubt() {
    let mut plan = Plan::new([Ok(10); 10].into_iter(), Limits::default()).unwrap();
    assert_eq!(plan.next_request(open).unwrap().len(), 10);
    plan.refused(ErrorKind::UnknownChild);
    // It may have been the only unknown one: the others are not searched, and none is given up for it.
    let found = |child| if child == 1 { Standing::Unknown } else { Standing::Open };
    assert_eq!(plan.next_request(found).unwrap(), [0, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(plan.accepted(), None);
    assert!(plan.next_request(found).is_none());
    let outcomes = plan.finish(ErrorKind::Internal);
    assert!((0..10).all(|child| outcomes[child] == if child == 1 { Err(ErrorKind::UnknownChild) } else { Ok(()) }));
}

#[test]
fn a_child_that_is_too_large_says_nothing_about_the_others() {
    let children = std::iter::once(Ok(BATCH_BODY_MAX)).chain([Ok(10); 50]).collect();
    let platform = Platform { bytes_max: BATCH_BODY_MAX, ..Platform::default() };
    assert_eq!(lengths(&platform.play(children, Limits::default(), open)), [1, 50]);
}

#[test]
fn suspects_come_after_all_others_and_one_by_one() {
    let suspects = BTreeSet::from([0, 7, 60]);
    let standing = |child: usize| if suspects.contains(&child) { Standing::Suspect } else { Standing::Open };
    let played = unknown([0, 60]).play(vec![Ok(10); 103], Limits::default(), standing);
    assert_eq!(lengths(&played), [50, 50, 1, 1, 1]);
    assert_eq!(played.requests[2..], [[0], [7], [60]]);
    assert_eq!((played.found, played.accepted.last()), (vec![0, 60], Some(&7)));
}

#[test]
fn many_suspects_that_are_registered_by_now_are_sent_together_again() {
    let played = Platform::default().play(vec![Ok(10); 1_000], Limits::default(), |_| Standing::Suspect);
    assert_eq!(played.accepted.len(), 1_000);
    assert!(played.requests.len() <= 60, "{}", played.requests.len());
}

#[test]
fn children_that_are_known_to_be_unknown_cost_no_request() {
    let standing = |child: usize| if child % 2 == 0 { Standing::Unknown } else { Standing::Open };
    let played = Platform::default().play(vec![Ok(10); 120], Limits::default(), standing);
    assert_eq!(lengths(&played), [50, 10]);
    assert_eq!(played.outcomes[..2], [Err(ErrorKind::UnknownChild), Ok(())]);
}

fn limited(children_max: usize, named: Option<usize>) -> Played {
    Platform { children_max, named, ..Platform::default() }.play_alike(100)
}

#[test]
fn a_limit_of_children_is_kept_from_then_on() {
    assert_eq!(lengths(&limited(20, Some(20))), [50, 20, 20, 20, 20, 20]);
    assert_eq!(limited(20, Some(20)).limits.children, 20);
    // Without a limit, and with one that says nothing new, the requests are halved.
    for named in [None, Some(100), Some(50), Some(0)] {
        let played = limited(20, named);
        assert_eq!(lengths(&played)[..3], [50, 25, 12], "{named:?}");
        assert_eq!(played.limits.children, 12);
    }
    // A second one is not believed either: 49 is not followed by 48.
    assert_eq!(lengths(&limited(20, Some(49)))[..4], [50, 49, 24, 12]);
    let known = Limits { children: 20, ..Limits::default() };
    let played = Platform { children_max: 20, ..Platform::default() }.play(vec![Ok(10); 100], known, open);
    assert_eq!(lengths(&played), [20; 5]);
}

#[test]
fn a_limit_that_shrinks_with_each_refusal_is_halved() {
    let mut plan = Plan::new((0..50).map(|_| Ok(10)), Limits::default()).unwrap();
    let mut sent = Vec::new();
    while plan.limits().children > 1 {
        sent.push(plan.next_request(open).unwrap().len());
        plan.too_much(TooMuch::Children(Some(sent.last().unwrap() - 1)));
    }
    assert_eq!(sent, [50, 49, 24, 12, 6, 3]);
}

#[test]
fn too_many_bytes_are_halved() {
    let platform = Platform { bytes_max: 3_000, ..Platform::default() };
    let played = platform.play(vec![Ok(1_000); 8], Limits::default(), open);
    assert_eq!(lengths(&played), [8, 4, 2, 2, 2, 2]);
    // A large child among small ones: its size is not theirs.
    let played = platform.play(vec![Ok(10), Ok(3_000), Ok(10), Ok(10)], Limits::default(), open);
    assert_eq!(played.outcomes, [Ok(()), Err(ErrorKind::TooLarge), Ok(()), Ok(())]);
}

#[test]
fn a_single_child_cannot_be_divided() {
    for what in [TooMuch::Children(None), TooMuch::Children(Some(5)), TooMuch::Bytes] {
        let mut plan = Plan::new([Ok(10), Ok(999_980)].into_iter(), Limits::default()).unwrap();
        assert_eq!(plan.next_request(open).unwrap(), [0]);
        plan.too_much(what);
        assert_eq!(plan.limits(), Limits::default());
        assert_eq!(plan.next_request(open).unwrap(), [1]);
        assert_eq!(plan.finish(ErrorKind::Timeout), [Err(ErrorKind::TooLarge), Err(ErrorKind::Timeout)]);
    }
}

#[test]
fn children_that_were_not_sent_have_what_stopped_the_batch() {
    let mut plan =
        Plan::new([Ok(10), Ok(10), Err(ErrorKind::InvalidArgument), Ok(10)].into_iter(), Limits::default()).unwrap();
    plan.next_request(open);
    plan.refused(ErrorKind::UnknownChild);
    while plan.next_request(open).unwrap() != [0] {
        plan.refused(ErrorKind::UnknownChild);
    }
    plan.refused(ErrorKind::UnknownChild);
    plan.next_request(open);
    let expected = [ErrorKind::UnknownChild, ErrorKind::Cancelled, ErrorKind::InvalidArgument, ErrorKind::Cancelled];
    assert_eq!(plan.finish(ErrorKind::Cancelled), expected.map(Err));
}

#[test]
fn each_child_is_looked_at_once() {
    let looked = std::cell::Cell::new(0_usize);
    let standing = |child: usize| {
        looked.set(looked.get() + 1);
        if child == 0 || child == 49_999 { Standing::Open } else { Standing::Unknown }
    };
    let played = unknown([0]).play(vec![Ok(10); 50_000], Limits::default(), standing);
    assert_eq!(played.requests, [vec![0, 49_999], vec![0], vec![49_999]]);
    assert!(looked.get() < 50_000 + 10, "{}", looked.get());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn every_good_child_is_delivered_once_and_every_other_has_its_reason(
        kinds in prop::collection::vec(0_u8..200, 1..300),
        density in 0_u8..70,
        children_max in prop_oneof![Just(50_usize), 1_usize..=50],
        named in prop_oneof![Just(None), (0_usize..120).prop_map(Some), Just(Some(usize::MAX))],
        bytes_max in prop_oneof![Just(BODY_LIMIT - 1), 20_000_usize..1_000_000],
        data_first: bool,
        remembers: bool,
        suspects in prop::collection::btree_set(0_usize..300, 0..20),
    ) {
        let count = kinds.len();
        let of = |from: u8, to: u8| -> BTreeSet<usize> {
            (0..count).filter(|&child| (from..to).contains(&kinds[child])).collect()
        };
        // As many are unknown as have invalid data; some are both; some are wrong in themselves.
        let (unknown, invalid) = (of(0, density), of(density / 2, density + density / 2));
        let (wrong, huge) = (of(190, 195), of(195, 200));
        let children: Vec<_> = (0..count).map(|child| {
            if wrong.contains(&child) { Err(ErrorKind::InvalidArgument) }
            else if huge.contains(&child) { Ok(BODY_LIMIT) }
            else { Ok(200 + usize::from(kinds[child]) * 90) }
        }).collect();
        let named = if named == Some(usize::MAX) { Some(children_max) } else { named };
        let platform = Platform { unknown, invalid, children_max, named, bytes_max, data_first, remembers };
        let standing = |child: usize| if suspects.contains(&child) { Standing::Suspect } else { Standing::Open };
        let played = platform.play(children, Limits::default(), standing);

        let mut accepted = played.accepted.clone();
        let (last, first): (Vec<usize>, Vec<usize>) = accepted.iter().partition(|child| suspects.contains(child));
        prop_assert!(first.is_sorted() && last.is_sorted() && accepted == [first, last].concat());
        accepted.sort_unstable();
        let good: Vec<_> = (0..count).filter(|child| {
            ![&wrong, &huge, &platform.unknown, &platform.invalid].iter().any(|bad| bad.contains(child))
        }).collect();
        prop_assert_eq!(accepted, good);
        for (child, outcome) in played.outcomes.iter().enumerate() {
            let (unknown, invalid) = (platform.unknown.contains(&child), platform.invalid.contains(&child));
            let expected = match (unknown, invalid) {
                _ if wrong.contains(&child) => Err(ErrorKind::InvalidArgument),
                _ if huge.contains(&child) => Err(ErrorKind::TooLarge),
                (true, true) if data_first => Err(ErrorKind::Rejected),
                (true, _) => Err(ErrorKind::UnknownChild),
                (false, true) => Err(ErrorKind::Rejected),
                (false, false) => Ok(()),
            };
            prop_assert_eq!(*outcome, expected, "child {}", child);
        }
        let unknown = (0..count).filter(|&child| played.outcomes[child] == Err(ErrorKind::UnknownChild));
        let mut found = played.found.clone();
        found.sort_unstable();
        prop_assert_eq!(found, unknown.collect::<Vec<_>>());
        prop_assert!(played.requests.len() <= 2 * count, "{} requests for {}", played.requests.len(), count);
    }
}
