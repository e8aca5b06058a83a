//! How a gateway's batch becomes requests: cut by count and by bytes, and searched where the platform
//! refuses. A plan on values: who sends the requests is [`crate::delivery::batch`]'s business, what outlives
//! the call is [`crate::delivery::learned`]'s, and what the whole call amounts to is [`crate::delivery::verdict`]'s.
//!
//! The platform refuses a whole request for one child in it that is unknown (`IOTDA.021104`) or whose
//! data is invalid (`IOTDA.000006`), and does not say which. This is adaptive group testing: the plan
//! sends the first few of the refused children, and so on, until a child stands alone. What is accepted
//! on the way is delivered and never sent again; if the first few of a refused group are accepted, the
//! fault is among the others, which are not sent whole again.
//!
//! How many are sent next is decided by [`Density`]: as many as are about as likely to be accepted as to
//! be refused, since that is the request from which most is learned. Of 50 children with 1, 10 or 50
//! unknown ones, wherever they stand, at most 10, 46 or 64 requests are sent.

use std::collections::{TryReserveError, VecDeque};

use crate::error::ErrorKind;
use crate::report::limits::{BATCH_BODY_MAX, BATCH_CHILDREN_MAX, BODY_LIMIT};

#[cfg(test)]
mod played;
#[cfg(test)]
mod tests;

/// What stands before and behind the children in a request.
pub(crate) const FRAME: (&[u8], &[u8]) = (b"{\"devices\":[", b"]}");
const FRAME_LEN: usize = FRAME.0.len() + FRAME.1.len();

/// Whether a child of this encoded length fits into a request of its own.
pub(crate) fn fits_alone(size: usize) -> bool {
    size + FRAME_LEN < BODY_LIMIT
}

/// The most that a request holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) children: usize,
    /// Of the body, in bytes; a single child may pass it, up to [`BODY_LIMIT`].
    pub(crate) bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { children: BATCH_CHILDREN_MAX, bytes: BATCH_BODY_MAX }
    }
}

/// What earlier requests, of this call and others, have shown about a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing: it is sent with the others.
    Open,
    /// The platform does not know it: it is given up without a request.
    Unknown,
    /// The platform did not know it some time ago: it is sent after the others, so that it costs them
    /// nothing.
    Suspect,
}

/// What a request held too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooMuch {
    /// Children; the platform may have named its limit.
    Children(Option<usize>),
    Bytes,
}

/// What became of each child, and what is still to be sent.
///
/// The caller alternates: [`next_request`](Self::next_request), then one of [`accepted`](Self::accepted),
/// [`refused`](Self::refused) and [`too_much`](Self::too_much) for the answer to it.
pub(crate) struct Plan {
    /// Encoded length of each child, in the caller's order.
    sizes: Vec<usize>,
    /// `None` until the child is delivered or given up.
    outcomes: Vec<Option<Result<(), ErrorKind>>>,
    /// The next child to come into the window: each child is looked at once in a round.
    next: usize,
    round: Round,
    /// Children that are neither delivered nor given up, in order; a request holds the first of them.
    window: VecDeque<usize>,
    /// How many of the window the last request held.
    sent: usize,
    /// So many at the start of the window were refused together, for this; 0: none.
    doubtful: usize,
    doubt: ErrorKind,
    density: Density,
    limits: Limits,
    /// A limit that the platform named was kept: one that it names later is no better than a guess.
    limit_named: bool,
}

/// Suspects are sent when all others are done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    Others,
    Suspects,
}

impl Plan {
    /// A plan for children of these encoded lengths; those that are wrong in themselves come as what is
    /// wrong with them, and are given up at once, as are those over the platform's limit on their own.
    pub(crate) fn new(
        children: impl ExactSizeIterator<Item = Result<usize, ErrorKind>>,
        limits: Limits,
    ) -> Result<Self, TryReserveError> {
        let mut plan = Plan {
            sizes: Vec::new(),
            outcomes: Vec::new(),
            next: 0,
            round: Round::Others,
            window: VecDeque::new(),
            sent: 0,
            doubtful: 0,
            doubt: ErrorKind::UnknownChild,
            density: Density::new(children.len()),
            limits,
            limit_named: false,
        };
        plan.sizes.try_reserve_exact(children.len())?;
        plan.outcomes.try_reserve_exact(children.len())?;
        for child in children {
            let child = child.and_then(|size| if fits_alone(size) { Ok(size) } else { Err(ErrorKind::TooLarge) });
            plan.sizes.push(child.unwrap_or_default());
            plan.outcomes.push(child.err().map(Err));
        }
        Ok(plan)
    }

    /// The children of the next request, in the caller's order, never empty; `None` when nothing is left
    /// to send. `standing` is asked about each child that could be sent.
    pub(crate) fn next_request(&mut self, standing: impl Fn(usize) -> Standing) -> Option<Vec<usize>> {
        self.give_up_known(&standing);
        self.fill(&standing);
        let most = self.fitting();
        self.sent = self.density.first_of(self.doubtful, most);
        (self.sent > 0).then(|| self.window.iter().copied().take(self.sent).collect())
    }

    /// The platform accepted the request. Returns a child that it is now seen not to know, if any.
    pub(crate) fn accepted(&mut self) -> Option<usize> {
        self.density.add(self.sent, 0);
        for child in self.window.drain(..self.sent) {
            self.outcomes[child] = Some(Ok(()));
        }
        self.doubtful = self.doubtful.saturating_sub(self.sent);
        // A child that stands alone in doubt is the unknown one: whatever else was in the refused group is
        // known. Invalid data is pinned on no child that was not refused alone: children may only have been
        // invalid together (one child twice, say).
        if self.doubtful == 1 && self.doubt == ErrorKind::UnknownChild {
            return self.give_up_first(ErrorKind::UnknownChild);
        }
        None
    }

    /// The platform refused the request for one or more of its children, for `kind`. Returns a child that
    /// it is now seen not to know, if any.
    pub(crate) fn refused(&mut self, kind: ErrorKind) -> Option<usize> {
        if self.sent > 1 {
            (self.doubtful, self.doubt) = (self.sent, kind);
            return None;
        }
        self.give_up_first(kind).filter(|_| kind == ErrorKind::UnknownChild)
    }

    /// The request held too much: what is sent from now on is smaller, unless it held a single child. That
    /// one is given up.
    pub(crate) fn too_much(&mut self, what: TooMuch) {
        if self.sent < 2 {
            self.give_up_first(ErrorKind::TooLarge);
            return;
        }
        match what {
            // A limit of 100 was named to a request of 50, with 20 in force: only one that says something new
            // is kept, and only once, or a wrong one could shrink the requests child by child.
            TooMuch::Children(Some(limit)) if (1..self.sent).contains(&limit) && !self.limit_named => {
                self.limits.children = limit;
                self.limit_named = true;
            }
            TooMuch::Children(_) => self.limits.children = self.sent / 2,
            TooMuch::Bytes => {
                let body = self.length(self.sent);
                self.limits.bytes = FRAME_LEN + (body - FRAME_LEN).div_ceil(2);
            }
        }
    }

    /// What is known of the platform's limits.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// The length of a body that holds the first `count` of the window.
    fn length(&self, count: usize) -> usize {
        let children = self.window.iter().take(count).map(|&child| self.sizes[child]);
        FRAME_LEN + children.sum::<usize>() + count.saturating_sub(1)
    }

    /// What `children` take together, without what is between and around them.
    pub(crate) fn bytes(&self, children: &[usize]) -> usize {
        children.iter().map(|&child| self.sizes[child]).sum()
    }

    /// What became of each child; those that were not sent fail for `stopped`, which ended the batch.
    pub(crate) fn finish(self, stopped: ErrorKind) -> Vec<Result<(), ErrorKind>> {
        self.outcomes.into_iter().map(|outcome| outcome.unwrap_or(Err(stopped))).collect()
    }

    fn give_up_first(&mut self, kind: ErrorKind) -> Option<usize> {
        let child = self.window.pop_front()?;
        self.outcomes[child] = Some(Err(kind));
        self.density.add(1, usize::from(kind != ErrorKind::TooLarge));
        // It may have been the only one: about those behind it nothing is known.
        self.doubtful = 0;
        Some(child)
    }

    /// Gives up children of the window that have turned out to be unknown since they came into it: a child
    /// that stands in the batch twice, or one that another thread reports as well.
    fn give_up_known(&mut self, standing: &impl Fn(usize) -> Standing) {
        let before = self.window.len();
        let outcomes = &mut self.outcomes;
        self.window.retain(|&child| {
            let unknown = standing(child) == Standing::Unknown;
            if unknown {
                outcomes[child] = Some(Err(ErrorKind::UnknownChild));
            }
            !unknown
        });
        if self.window.len() < before {
            self.doubtful = 0;
        }
    }

    /// Fills the window as far as a request can reach.
    fn fill(&mut self, standing: &impl Fn(usize) -> Standing) {
        loop {
            while self.window.len() < self.limits.children && self.next < self.sizes.len() {
                let child = self.next;
                self.next += 1;
                if self.outcomes[child].is_some() {
                    continue;
                }
                match (standing(child), self.round) {
                    (Standing::Unknown, _) => self.outcomes[child] = Some(Err(ErrorKind::UnknownChild)),
                    (Standing::Suspect, Round::Others) => {}
                    (Standing::Open | Standing::Suspect, _) => self.window.push_back(child),
                }
            }
            if !self.window.is_empty() || self.round == Round::Suspects {
                return;
            }
            // Whatever is still open now was passed over as a suspect.
            (self.round, self.next, self.density) = (Round::Suspects, 0, self.density.of_suspects());
        }
    }

    /// How many of the window fit into one request; a single child always does.
    fn fitting(&self) -> usize {
        let mut bytes = FRAME_LEN;
        let mut count = 0;
        for &child in self.window.iter().take(self.limits.children) {
            bytes += self.sizes[child] + usize::from(count > 0); // With the comma before it.
            if bytes > self.limits.bytes && count > 0 {
                break;
            }
            count += 1;
        }
        count
    }
}

/// How many of the children that were last seen were bad.
#[derive(Clone, Copy, Debug)]
struct Density {
    bad: usize,
    seen: usize,
    /// Before anything is seen, one in so many is taken for bad.
    expected: usize,
}

impl Density {
    /// Older children than these count less and less: one bad part of a large batch is soon forgotten.
    const LATELY: usize = BATCH_CHILDREN_MAX;

    /// For a batch of `count` children. One in sixteen, or one in a smaller batch: found by trying all
    /// placements of bad children, as what costs least in the worst of them for few and for many bad
    /// children, and never twice as many requests as there are children.
    fn new(count: usize) -> Self {
        Density { bad: 0, seen: 0, expected: count.clamp(2, 16) }
    }

    /// Suspects are taken for bad until they are seen.
    fn of_suspects(self) -> Self {
        Density { bad: 10, seen: 10, ..self }
    }

    fn add(&mut self, seen: usize, bad: usize) {
        self.seen += seen;
        self.bad += bad;
        while self.seen > Self::LATELY {
            self.seen /= 2;
            self.bad /= 2;
        }
    }

    /// How many to send next, of the `fitting` that fit: the number whose chance of being accepted is
    /// nearest to one half. `doubtful`: so many of them are known to hold a bad child. Without one, and
    /// with no bad child seen lately, all that fit.
    fn first_of(self, doubtful: usize, fitting: usize) -> usize {
        if doubtful == 0 && self.bad == 0 {
            return fitting;
        }
        let good = 1.0 - (self.bad + 1) as f64 / (self.seen + self.expected) as f64;
        let power = |exponent: usize| (0..exponent).fold(1.0, |product, _| product * good);
        // The first n of a group of s with a bad child are all good with a chance of
        // (good^n - good^s) / (1 - good^s), which is one half where good^n is this.
        let (middle, most) = match doubtful {
            0 => (0.5, fitting),
            _ => ((1.0 + power(doubtful)) / 2.0, fitting.min((doubtful - 1).max(1))),
        };
        let (mut count, mut chance) = (most.min(1), good);
        while count < most {
            let next = chance * good;
            if (next - middle).abs() >= (chance - middle).abs() {
                break;
            }
            (count, chance) = (count + 1, next);
        }
        count
    }
}
