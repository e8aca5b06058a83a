//! What a batch amounts to as a whole, once it is known what became of each child: its kind and its
//! sentence for a person. Functions on values.

use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::report::identifier::check_device_id;

/// The most bytes of a message: what a C caller's struct holds.
const MESSAGE_MAX: usize = 255;

/// The first child that failed for the weightiest reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Of the whole batch.
    pub(crate) kind: ErrorKind,
    pub(crate) child: usize,
    /// Why that child failed.
    pub(crate) reason: ErrorKind,
    /// How many children were not delivered.
    pub(crate) failed: usize,
}

/// The verdict on a batch; `None`: every child was delivered.
///
/// The rule: if any child was delivered, the batch is [`ErrorKind::Partial`]. If none was, it is of the kind
/// of the weightiest failure, so that a caller who looks at nothing else keeps the data as long as that
/// is right for any of it. In this order:
/// 1. what passes with time, and what the program ended itself (no connection, time over, cancelled, rate
///    limit, fault of the platform): the same data is to be sent again;
/// 2. what says nothing about the children (authentication, token, TLS, clock, configuration, …): it is to
///    be sent when the cause is gone;
/// 3. [`ErrorKind::UnknownChild`]: the child may be registered yet;
/// 4. [`ErrorKind::Rejected`], [`ErrorKind::TooLarge`], [`ErrorKind::InvalidArgument`]: this data will never
///    be accepted.
///
/// Among equals the first child decides. A batch that was cancelled or whose time was over is thereby
/// `Cancelled` or `Timeout`, unless something was delivered.
pub(crate) fn verdict(outcomes: &[Result<(), ErrorKind>]) -> Option<Verdict> {
    let mut weightiest: Option<(u8, usize, ErrorKind)> = None;
    let mut failed = 0;
    for (child, outcome) in outcomes.iter().enumerate() {
        let Err(reason) = *outcome else { continue };
        failed += 1;
        let its = weight(reason);
        if weightiest.is_none_or(|(most, ..)| most < its) {
            weightiest = Some((its, child, reason));
        }
    }
    let (_, child, reason) = weightiest?;
    let kind = if failed < outcomes.len() { ErrorKind::Partial } else { reason };
    Some(Verdict { kind, child, reason, failed })
}

fn weight(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Dns
        | ErrorKind::Connect
        | ErrorKind::Timeout
        | ErrorKind::Cancelled
        | ErrorKind::RateLimited
        | ErrorKind::Server => 6,
        ErrorKind::Config
        | ErrorKind::Tls
        | ErrorKind::Clock
        | ErrorKind::AuthFailed
        | ErrorKind::TokenRejected
        | ErrorKind::Protocol
        | ErrorKind::Partial
        | ErrorKind::Storage
        | ErrorKind::Full
        | ErrorKind::Forked
        | ErrorKind::Internal => 5,
        ErrorKind::UnknownChild => 4,
        ErrorKind::Rejected | ErrorKind::Expired => 3,
        ErrorKind::TooLarge => 2,
        ErrorKind::InvalidArgument => 1,
    }
}

/// Whether a refusal of this kind speaks of children in the request: the others of the batch are sent all
/// the same. Any other failure, after its own retries, ends the batch: the rest would meet it too.
pub(crate) fn is_of_children(kind: ErrorKind) -> bool {
    weight(kind) < 5
}

/// The sentence for a person: what to do, how many children, which one, and why. `cause` is the error that
/// speaks of that child, `id` its id, and `not_sent_for` says how long it will be given up unsent.
pub(crate) fn message(
    verdict: Verdict,
    count: usize,
    id: &str,
    cause: Option<&Error>,
    not_sent_for: Option<Duration>,
) -> String {
    let Verdict { child, reason, failed, .. } = verdict;
    let id = if check_device_id(id, &"").is_ok() { format!(" \"{id}\"") } else { String::new() };
    let (first, all) =
        (format!("children[{child}]{id}"), format!("{failed} of {count} child devices were not delivered"));
    let cause = cause.map_or("", Error::message);
    let mut message = match reason {
        ErrorKind::UnknownChild => {
            let again = not_sent_for.map_or_else(String::new, |wait| {
                format!(" (sent again in {} min)", wait.as_secs().div_ceil(60).max(1))
            });
            format!("register {first} on the platform as a child of this gateway{again}; {all}")
        }
        ErrorKind::Rejected => format!("compare what {first} reports with its product model; {all}: {cause}"),
        ErrorKind::TooLarge => format!("send less at a time for {first}, which passes the platform's limit; {all}"),
        // The cause names the child and what is wrong with it.
        ErrorKind::InvalidArgument => format!("{cause}; {all}"),
        _ => format!("send again what was not delivered, from {first} on; {all}: {cause}"),
    };
    let mut end = message.len().min(MESSAGE_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.truncate(end);
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use ErrorKind::*;

    const OK: Result<(), ErrorKind> = Ok(());

    fn kind(outcomes: &[Result<(), ErrorKind>]) -> Option<ErrorKind> {
        verdict(outcomes).map(|verdict| verdict.kind)
    }

    /// All kinds that a child can have, in groups, from the lightest to the weightiest.
    const GROUPS: [&[ErrorKind]; 6] = [
        &[InvalidArgument],
        &[TooLarge],
        &[Rejected],
        &[UnknownChild],
        &[Config, Tls, Clock, AuthFailed, TokenRejected, Protocol, Storage, Forked, Internal],
        &[Dns, Connect, Timeout, Cancelled, RateLimited, Server],
    ];

    #[test]
    fn every_pair_of_kinds_in_either_order() {
        for (light, group) in GROUPS.iter().enumerate() {
            for (heavy, other) in GROUPS.iter().enumerate().skip(light) {
                for &a in *group {
                    for &b in *other {
                        let expected = if light == heavy { (a, b) } else { (b, b) };
                        assert_eq!(kind(&[Err(a), Err(b)]), Some(expected.0), "{a:?} {b:?}");
                        assert_eq!(kind(&[Err(b), Err(a)]), Some(expected.1), "{b:?} {a:?}");
                        assert_eq!(kind(&[Err(b), OK, Err(a)]), Some(Partial), "{b:?} {a:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn one_kind_is_the_batch_s_and_none_is_success() {
        assert_eq!(verdict(&[OK, OK]), None);
        assert_eq!(kind(&[Err(UnknownChild); 3]), Some(UnknownChild));
        assert_eq!(kind(&[OK, Err(Server)]), Some(Partial));
    }

    #[test]
    fn the_child_is_the_first_of_those_that_decide() {
        let outcomes = [OK, Err(UnknownChild), Err(InvalidArgument), Err(Server), Err(Server)];
        assert_eq!(verdict(&outcomes), Some(Verdict { kind: Partial, child: 3, reason: Server, failed: 4 }));
        let outcomes = [Err(InvalidArgument), Err(Rejected), Err(Rejected)];
        assert_eq!(verdict(&outcomes), Some(Verdict { kind: Rejected, child: 1, reason: Rejected, failed: 3 }));
    }

    #[test]
    fn what_speaks_of_children_does_not_end_a_batch() {
        for (group, kinds) in GROUPS.iter().enumerate() {
            assert!(kinds.iter().all(|kind| is_of_children(*kind) == (group < 4)));
        }
    }

    fn say(reason: ErrorKind, id: &str, cause: &str) -> String {
        let verdict = Verdict { kind: Partial, child: 49_999, reason, failed: 12_345 };
        let message = message(verdict, 50_000, id, Some(&Error::new(reason, cause)), Some(Duration::from_secs(421)));
        assert!(message.len() <= MESSAGE_MAX, "{}", message.len());
        message
    }

    #[test]
    fn the_advice_comes_first_and_the_child_is_named() {
        let id = "i".repeat(64);
        let long = "é".repeat(300);
        for (reason, start) in [
            (
                UnknownChild,
                format!(
                    "register children[49999] \"{id}\" on the platform as a child of this gateway (sent again in 8 min); 12345 of 50000 child devices were not delivered"
                ),
            ),
            (
                Rejected,
                format!(
                    "compare what children[49999] \"{id}\" reports with its product model; 12345 of 50000 child devices were not delivered: é"
                ),
            ),
            (
                TooLarge,
                format!(
                    "send less at a time for children[49999] \"{id}\", which passes the platform's limit; 12345 of 50000 child devices were not delivered"
                ),
            ),
            (
                Timeout,
                format!(
                    "send again what was not delivered, from children[49999] \"{id}\" on; 12345 of 50000 child devices were not delivered: é"
                ),
            ),
            (InvalidArgument, "é".repeat(127)),
        ] {
            let said = say(reason, &id, &long);
            assert!(said.starts_with(&start), "{said}");
        }
        // With the longest id, what is cut is at the end.
        assert!(say(Timeout, &"i".repeat(128), &long).contains("12345 of 50000"));
        // An id that is none is not repeated.
        assert!(say(TooLarge, "a\nb", "").starts_with("send less at a time for children[49999], "));
    }
}
