//! How a gateway's batch becomes requests: cut by count and by bytes, and cut further as the platform's
//! answers demand. A plan on values: who sends the requests is [`crate::delivery::batch`]'s business.
//!
//! The platform refuses a whole request when one child in it is unknown (`IOTDA.021104`) and does not
//! say which. The plan then searches: half of the refused children are sent, and so on. A half that is
//! accepted is delivered and never sent again; when the unknown child is found, everything behind it
//! is sent as if nothing had happened. One unknown child costs about log2(50) + 1, seven requests.

use std::ops::Range;

use crate::error::ErrorKind;
use crate::report::limits::{BATCH_BODY_MAX, BATCH_CHILDREN_MAX, BODY_LIMIT};

/// What stands before and behind the children in a request.
pub(crate) const FRAME: (&[u8], &[u8]) = (b"{\"devices\":[", b"]}");
const FRAME_LEN: usize = FRAME.0.len() + FRAME.1.len();

/// What became of each child, and what is still to be sent.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Encoded length of each child, in the caller's order.
    sizes: Vec<usize>,
    /// `None` until the child is delivered or given up.
    outcomes: Vec<Option<Result<(), ErrorKind>>>,
    /// Every child before this one is delivered or given up.
    next: usize,
    /// An unknown child is among the open ones from `next` to here.
    unknown_before: Option<usize>,
    children_max: usize,
    bytes_max: usize,
}

/// What a request held too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooMuch {
    /// Children; the platform may have named its limit.
    Children(Option<usize>),
    Bytes,
}

impl Plan {
    /// A plan for children of these encoded lengths. A child that is over the platform's limit on its
    /// own is given up at once; the others are not held back by it.
    pub(crate) fn new(sizes: Vec<usize>) -> Self {
        let too_large = |size: &usize| size + FRAME_LEN >= BODY_LIMIT;
        Plan {
            outcomes: sizes.iter().map(|size| too_large(size).then_some(Err(ErrorKind::TooLarge))).collect(),
            sizes,
            next: 0,
            unknown_before: None,
            children_max: BATCH_CHILDREN_MAX,
            bytes_max: BATCH_BODY_MAX,
        }
    }

    /// The children of the next request, never empty; `None` when nothing is left to send.
    pub(crate) fn next_request(&mut self) -> Option<Vec<usize>> {
        let Some(end) = self.unknown_before else { return self.fitting(self.next..self.sizes.len()) };
        let suspects: Vec<usize> = self.open(self.next..end).collect();
        match suspects.as_slice() {
            [] => self.unknown_before = None,
            [found] => self.give_up(*found, ErrorKind::UnknownChild),
            several => return self.fitting(self.next..several[several.len() / 2]),
        }
        self.next_request()
    }

    /// The platform accepted the request that holds `children`.
    pub(crate) fn delivered(&mut self, children: &[usize]) {
        for &child in children {
            self.outcomes[child] = Some(Ok(()));
            self.pass(child);
        }
    }

    /// The platform found an unknown child in the request that holds `children`.
    pub(crate) fn unknown_child(&mut self, children: &[usize]) {
        self.unknown_before = children.last().map(|last| last + 1);
    }

    /// The request that holds `children` held too much. Returns false if it cannot hold less.
    pub(crate) fn too_much(&mut self, children: &[usize], what: TooMuch) -> bool {
        if children.len() < 2 {
            return false;
        }
        match what {
            TooMuch::Children(limit) => {
                self.children_max = limit.unwrap_or(children.len() / 2).clamp(1, children.len() - 1);
            }
            TooMuch::Bytes => {
                self.bytes_max = self.bytes(children) / 2;
            }
        }
        true
    }

    /// What `children` take together, without what is between and around them.
    pub(crate) fn bytes(&self, children: &[usize]) -> usize {
        children.iter().map(|&child| self.sizes[child]).sum()
    }

    /// The request that holds `children` failed for good.
    pub(crate) fn failed(&mut self, children: &[usize], kind: ErrorKind) {
        for &child in children {
            self.give_up(child, kind);
        }
    }

    /// What became of each child; those that were not sent fail for `kind`.
    pub(crate) fn finish(self, kind: ErrorKind) -> Vec<Result<(), ErrorKind>> {
        self.outcomes.into_iter().map(|outcome| outcome.unwrap_or(Err(kind))).collect()
    }

    fn give_up(&mut self, child: usize, kind: ErrorKind) {
        self.outcomes[child] = Some(Err(kind));
        self.pass(child);
    }

    fn pass(&mut self, child: usize) {
        self.next = child + 1;
        if self.unknown_before.is_some_and(|end| end <= self.next) {
            self.unknown_before = None;
        }
    }

    fn open(&self, range: Range<usize>) -> impl Iterator<Item = usize> + '_ {
        range.filter(|&child| self.outcomes[child].is_none())
    }

    /// The first open children of `range` that fit into one request; a single child always does.
    fn fitting(&self, range: Range<usize>) -> Option<Vec<usize>> {
        let mut bytes = FRAME_LEN;
        let mut children = Vec::new();
        for child in self.open(range).take(self.children_max) {
            bytes += self.sizes[child] + usize::from(!children.is_empty()); // With the comma before it.
            if bytes > self.bytes_max && !children.is_empty() {
                break;
            }
            children.push(child);
        }
        (!children.is_empty()).then_some(children)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Plays the platform: which children are unknown, and how many children a request may hold.
    struct Played {
        requests: Vec<Vec<usize>>,
        accepted: Vec<usize>,
        outcomes: Vec<Result<(), ErrorKind>>,
    }

    fn play(sizes: Vec<usize>, unknown: &BTreeSet<usize>, limit: usize, names_limit: bool) -> Played {
        let mut plan = Plan::new(sizes);
        let (mut requests, mut accepted) = (Vec::new(), Vec::new());
        while let Some(children) = plan.next_request() {
            requests.push(children.clone());
            assert!(requests.len() < 100_000, "the plan does not end");
            if children.len() > limit {
                assert!(plan.too_much(&children, TooMuch::Children(names_limit.then_some(limit))));
            } else if children.iter().any(|child| unknown.contains(child)) {
                plan.unknown_child(&children);
            } else {
                accepted.extend(&children);
                plan.delivered(&children);
            }
        }
        Played { requests, accepted, outcomes: plan.finish(ErrorKind::Internal) }
    }

    fn lengths(requests: &[Vec<usize>]) -> Vec<usize> {
        requests.iter().map(Vec::len).collect()
    }

    #[test]
    fn cut_by_count_in_order() {
        let played = play(vec![100; 120], &BTreeSet::new(), 50, false);
        assert_eq!(lengths(&played.requests), [50, 50, 20]);
        assert_eq!(played.accepted, (0..120).collect::<Vec<_>>());
    }

    #[test]
    fn cut_by_bytes() {
        let played = play(vec![400_000; 5], &BTreeSet::new(), 50, false);
        assert_eq!(lengths(&played.requests), [2, 2, 1]);
        let played = play(vec![1_000_000, 10, 10], &BTreeSet::new(), 50, false);
        assert_eq!(lengths(&played.requests), [1, 2]);
    }

    #[test]
    fn a_child_over_the_limit_fails_alone() {
        let largest = BODY_LIMIT - FRAME_LEN - 1;
        let played = play(vec![10, largest + 1, 10, largest], &BTreeSet::new(), 50, false);
        assert_eq!(played.outcomes, [Ok(()), Err(ErrorKind::TooLarge), Ok(()), Ok(())]);
        assert_eq!(played.requests, [vec![0, 2], vec![3]]);
    }

    #[test]
    fn three_unknown_children_among_500() {
        let unknown = BTreeSet::from([3, 77, 480]);
        let played = play(vec![100; 500], &unknown, 50, false);
        assert_eq!(played.accepted.len(), 497);
        assert!(played.requests.len() <= 10 + 3 * 7, "{} requests", played.requests.len());
    }

    #[test]
    fn a_limit_that_the_platform_names_is_kept_from_then_on() {
        let played = play(vec![100; 100], &BTreeSet::new(), 20, true);
        assert_eq!(lengths(&played.requests), [50, 20, 20, 20, 20, 20]);
        let played = play(vec![100; 100], &BTreeSet::new(), 20, false);
        assert_eq!(played.accepted, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn too_many_bytes_are_halved() {
        let mut plan = Plan::new(vec![1_000; 8]);
        let children = plan.next_request().unwrap();
        assert_eq!(children.len(), 8);
        assert!(plan.too_much(&children, TooMuch::Bytes));
        assert_eq!(plan.next_request().unwrap(), [0, 1, 2]);
    }

    #[test]
    fn a_failure_in_a_search_goes_on_behind_it() {
        let mut plan = Plan::new(vec![10; 4]);
        plan.unknown_child(&[0, 1, 2, 3]);
        let half = plan.next_request().unwrap();
        assert_eq!(half, [0, 1]);
        plan.failed(&half, ErrorKind::Server);
        assert_eq!(plan.next_request().unwrap(), [2]);
        assert_eq!(
            plan.finish(ErrorKind::Timeout),
            [Err(ErrorKind::Server), Err(ErrorKind::Server), Err(ErrorKind::Timeout), Err(ErrorKind::Timeout)]
        );
    }

    #[test]
    fn a_single_child_cannot_be_divided() {
        let mut plan = Plan::new(vec![10]);
        let children = plan.next_request().unwrap();
        assert!(!plan.too_much(&children, TooMuch::Children(None)));
        assert!(!plan.too_much(&children, TooMuch::Bytes));
        plan.failed(&children, ErrorKind::TooLarge);
        assert!(plan.next_request().is_none());
    }

    #[test]
    fn nothing_to_send_is_no_request() {
        assert!(Plan::new(vec![BODY_LIMIT]).next_request().is_none());
    }

    proptest! {
        #[test]
        fn every_known_child_is_accepted_once_and_in_order(
            count in 1usize..400,
            unknown in prop::collection::btree_set(0usize..400, 0..12),
            big in prop::collection::btree_set(0usize..400, 0..4),
            limit in 1usize..=50,
            names_limit: bool,
        ) {
            let sizes = (0..count).map(|child| if big.contains(&child) { BODY_LIMIT } else { 30_000 }).collect();
            let played = play(sizes, &unknown, limit, names_limit);
            let expected: Vec<_> = (0..count).filter(|child| !unknown.contains(child) && !big.contains(child)).collect();
            prop_assert_eq!(played.accepted, expected);
            for (child, outcome) in played.outcomes.iter().enumerate() {
                let expected = if big.contains(&child) { Err(ErrorKind::TooLarge) }
                    else if unknown.contains(&child) { Err(ErrorKind::UnknownChild) } else { Ok(()) };
                prop_assert_eq!(*outcome, expected, "child {}", child);
            }
        }
    }
}
