//! A platform in memory that refuses batches as the protocol page says, and counts. It plays against a
//! [`Plan`].

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::*;

/// What the platform holds against children, and its limits.
#[derive(Clone, Debug)]
pub(super) struct Platform {
    pub(super) unknown: BTreeSet<usize>,
    pub(super) invalid: BTreeSet<usize>,
    /// In force, whatever the page says.
    pub(super) children_max: usize,
    /// What the text of IOTDA.021103 names.
    pub(super) named: Option<usize>,
    pub(super) bytes_max: usize,
    /// Which of two faults in one request decides the answer.
    pub(super) data_first: bool,
    /// Whether the plan's caller remembers unknown children from the first moment.
    pub(super) remembers: bool,
}

impl Default for Platform {
    fn default() -> Self {
        Platform {
            unknown: BTreeSet::new(),
            invalid: BTreeSet::new(),
            children_max: BATCH_CHILDREN_MAX,
            named: None,
            bytes_max: BODY_LIMIT - 1,
            data_first: true,
            remembers: false,
        }
    }
}

/// What was sent, and what became of it.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) requests: Vec<Vec<usize>>,
    /// In the order in which they arrived.
    pub(super) accepted: Vec<usize>,
    pub(super) outcomes: Vec<Result<(), ErrorKind>>,
    /// Unknown children as the plan reported them.
    pub(super) found: Vec<usize>,
    pub(super) limits: Limits,
}

enum Answer {
    Accepted,
    Refused(ErrorKind),
    TooMuch(TooMuch),
}

impl Platform {
    fn answer(&self, children: &[usize], body: usize) -> Answer {
        if body > self.bytes_max {
            return Answer::TooMuch(TooMuch::Bytes);
        }
        if children.len() > self.children_max {
            return Answer::TooMuch(TooMuch::Children(self.named));
        }
        let holds = |set: &BTreeSet<usize>| children.iter().any(|child| set.contains(child));
        match (holds(&self.unknown), holds(&self.invalid)) {
            (false, false) => Answer::Accepted,
            (true, false) => Answer::Refused(ErrorKind::UnknownChild),
            (false, true) => Answer::Refused(ErrorKind::Rejected),
            (true, true) if self.data_first => Answer::Refused(ErrorKind::Rejected),
            (true, true) => Answer::Refused(ErrorKind::UnknownChild),
        }
    }

    /// Sends `children` as the plan says, with these limits known before.
    pub(super) fn play(
        &self,
        children: Vec<Result<usize, ErrorKind>>,
        limits: Limits,
        standing: impl Fn(usize) -> Standing,
    ) -> Played {
        let mut plan = Plan::new(children.into_iter(), limits).unwrap();
        let (mut requests, mut accepted) = (Vec::new(), Vec::new());
        let found = RefCell::new(Vec::new());
        while let Some(children) = plan.next_request(|child| {
            if self.remembers && found.borrow().contains(&child) { Standing::Unknown } else { standing(child) }
        }) {
            assert!(!children.is_empty() && children.is_sorted(), "{children:?}");
            assert!(children.len() <= plan.limits().children);
            let body = plan.bytes(&children) + children.len() - 1 + FRAME_LEN;
            assert!(body <= plan.limits().bytes || children.len() == 1);
            requests.push(children.clone());
            assert!(requests.len() <= 1_000_000, "the plan does not end");
            match self.answer(&children, body) {
                Answer::Accepted => {
                    accepted.extend(&children);
                    found.borrow_mut().extend(plan.accepted());
                }
                Answer::Refused(kind) => found.borrow_mut().extend(plan.refused(kind)),
                Answer::TooMuch(what) => plan.too_much(what),
            }
        }
        let limits = plan.limits();
        Played { requests, accepted, outcomes: plan.finish(ErrorKind::Internal), found: found.into_inner(), limits }
    }

    /// Sends `count` children of 100 bytes, about which nothing is known.
    pub(super) fn play_alike(&self, count: usize) -> Played {
        self.play(vec![Ok(100); count], Limits::default(), |_| Standing::Open)
    }
}

/// The most requests that any placement of `bad` unknown ones among `count` children can cost: all
/// answers that the platform could give are tried, so it is the worst case and not a sample.
pub(super) fn worst(count: usize, bad: usize) -> usize {
    Worst { known: vec![None; (count + 1) * (count + 1) * (bad + 1)], count, bad }.from(count, 0, 0)
}

/// The rest of a search depends on three numbers: how many children are left, how many of them are
/// doubtful, and how many bad ones were found.
struct Worst {
    known: Vec<Option<usize>>,
    count: usize,
    bad: usize,
}

impl Worst {
    fn from(&mut self, left: usize, doubtful: usize, found: usize) -> usize {
        if left == 0 {
            return 0;
        }
        let place = (left * (self.count + 1) + doubtful) * (self.bad + 1) + found;
        if let Some(known) = self.known[place] {
            return known;
        }
        let mut density = Density::new(self.count);
        density.add(self.count - left, found);
        let sent = density.first_of(doubtful, left);
        let to_find = self.bad - found;
        let mut worst = 0;
        // Accepted: the bad ones are behind it, at least one of them among the doubtful.
        if to_find <= left - sent && (doubtful == 0 || to_find > 0) {
            worst = match doubtful.saturating_sub(sent) {
                1 => self.from(left - sent - 1, 0, found + 1),
                doubtful => self.from(left - sent, doubtful, found),
            } + 1;
        }
        if to_find > 0 {
            let refused = if sent == 1 { self.from(left - 1, 0, found + 1) } else { self.from(left, sent, found) };
            worst = worst.max(refused + 1);
        }
        self.known[place] = Some(worst);
        worst
    }
}
