//! A gateway's batch: any number of child devices in one call, sent in as many requests as it takes.
//!
//! How the children are divided is [`crate::report::split`]'s plan; this sends what the plan says and lets it know
//! what the platform answered.

use crate::delivery::call::{Call, CallOptions, Delivery};
use crate::delivery::deliver::{Target, deliver};
use crate::delivery::session::{Device, Session};
use crate::error::{Error, ErrorKind, Refusal, Result};
use crate::report::encode::{Child, check_child, write_child};
use crate::report::limits::BATCH_BODY_MAX;
use crate::report::split::{FRAME, Plan, TooMuch};
use crate::report::validate::{self, ChildText};

/// What became of a batch.
#[derive(Debug)]
pub struct BatchReport {
    /// For each child, in the caller's order: delivered, or why not.
    pub children: Vec<Result<(), ErrorKind>>,
    /// The whole call: an error if any child was not delivered, of kind [`ErrorKind::Partial`] if others
    /// were.
    pub result: Result<Delivery>,
}

/// Children that can be written into a request, each any number of times.
trait Source {
    fn count(&self) -> usize;
    /// Checks a child, and returns how many bytes it takes.
    fn check(&self, index: usize) -> Result<usize>;
    /// Writes a child that has been checked.
    fn write(&self, index: usize, out: &mut Vec<u8>);
    /// The body of a request with all children, where the caller wrote it.
    fn whole(&self) -> Option<&str> {
        None
    }
}

impl Source for &[Child<'_>] {
    fn count(&self) -> usize {
        self.len()
    }

    fn check(&self, index: usize) -> Result<usize> {
        check_child(&self[index], index)
    }

    fn write(&self, index: usize, out: &mut Vec<u8>) {
        write_child(out, &self[index]);
    }
}

/// Children as a caller wrote them in JSON.
struct Document<'a> {
    text: &'a str,
    children: Vec<ChildText<'a>>,
}

impl Source for Document<'_> {
    fn count(&self) -> usize {
        self.children.len()
    }

    fn check(&self, index: usize) -> Result<usize> {
        match &self.children[index].check {
            Ok(()) => Ok(self.children[index].text.len()),
            Err(error) => Err(Error::clone(error)),
        }
    }

    fn write(&self, index: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(self.children[index].text.as_bytes());
    }

    fn whole(&self) -> Option<&str> {
        Some(self.text)
    }
}

/// Delivers typed children.
pub(crate) fn typed(session: &Session, device: &Device, children: &[Child<'_>], options: CallOptions) -> BatchReport {
    batch(session, device, &children, options)
}

/// Delivers the children of a body that the caller wrote, `{"devices":[…]}`.
pub(crate) fn document(session: &Session, device: &Device, json: &str, options: CallOptions) -> BatchReport {
    match session.check_process().and_then(|()| validate::children(json)) {
        Ok(children) => batch(session, device, &Document { text: json, children }, options),
        Err(error) => BatchReport { children: Vec::new(), result: Err(error) },
    }
}

fn batch(session: &Session, device: &Device, source: &dyn Source, options: CallOptions) -> BatchReport {
    let refused = |error: Error| BatchReport { children: vec![Err(error.kind()); source.count()], result: Err(error) };
    let prepared = session
        .check_process()
        .and_then(|()| Call::start(options, &session.rules))
        .and_then(|call| Ok((call, Plan::new(sizes(source)?))));
    let (mut call, mut plan) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return refused(error),
    };
    let mut first_error = None;
    let mut http_status = 0;
    while let Some(children) = plan.next_request() {
        match send_part(session, device, source, &children, &mut plan, &mut call) {
            Ok(status) => http_status = status,
            Err(error) => {
                // What is wrong with this part's data is no reason to hold back the others.
                let stop = !matches!(error.kind(), ErrorKind::Rejected | ErrorKind::TooLarge);
                plan.failed(&children, error.kind());
                first_error.get_or_insert(error);
                if stop {
                    break;
                }
            }
        }
    }
    let unsent = first_error.as_ref().map_or(ErrorKind::Internal, Error::kind);
    let outcomes = plan.finish(unsent);
    let result = summary(&outcomes, first_error, Delivery { http_status, attempts: call.attempts });
    BatchReport { children: outcomes, result }
}

/// Sends one request and lets the plan know how it went. An error is one that the plan cannot divide.
fn send_part(
    session: &Session,
    device: &Device,
    source: &dyn Source,
    children: &[usize],
    plan: &mut Plan,
    call: &mut Call,
) -> Result<u16> {
    let error = match deliver(session, device, Target::Batch, &body(source, children, plan.bytes(children))?, call) {
        Ok(status) => {
            plan.delivered(children);
            return Ok(status);
        }
        Err(error) => error,
    };
    let divided = match error.kind() {
        ErrorKind::UnknownChild => {
            plan.unknown_child(children);
            true
        }
        ErrorKind::TooLarge if error.answer().refusal == Refusal::TooManyChildren => {
            plan.too_much(children, TooMuch::Children(error.answer().children_limit))
        }
        ErrorKind::TooLarge => plan.too_much(children, TooMuch::Bytes),
        _ => false,
    };
    let http_status = error.answer().http_status;
    if divided { Ok(http_status) } else { Err(error) }
}

/// Checks every child and measures it.
fn sizes(source: &dyn Source) -> Result<Vec<usize>> {
    if source.count() == 0 {
        return Err(Error::invalid("children is empty: a batch holds at least one child device"));
    }
    (0..source.count()).map(|index| source.check(index)).collect()
}

/// The body of a request with `children`, which take `bytes` together.
fn body(source: &dyn Source, children: &[usize], bytes: usize) -> Result<Vec<u8>> {
    let all = children.len() == source.count();
    if let Some(whole) = source.whole().filter(|whole| all && whole.len() <= BATCH_BODY_MAX) {
        let mut body = Vec::new();
        body.try_reserve_exact(whole.len()).map_err(|_| Error::no_memory(whole.len()))?;
        body.extend_from_slice(whole.as_bytes());
        return Ok(body);
    }
    let size = bytes + children.len() + FRAME.0.len() + FRAME.1.len();
    let mut body = Vec::new();
    body.try_reserve(size).map_err(|_| Error::no_memory(size))?;
    body.extend_from_slice(FRAME.0);
    for (position, &child) in children.iter().enumerate() {
        if position > 0 {
            body.push(b',');
        }
        source.write(child, &mut body);
    }
    body.extend_from_slice(FRAME.1);
    Ok(body)
}

/// The result of the whole call.
fn summary(outcomes: &[Result<(), ErrorKind>], first_error: Option<Error>, delivery: Delivery) -> Result<Delivery> {
    let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    let first = outcomes.iter().enumerate().find_map(|(index, outcome)| Some((index, outcome.err()?)));
    let Some((index, kind)) = first else { return Ok(delivery) };
    let why = match (&first_error, kind) {
        (Some(error), kind) if error.kind() == kind => error.message(),
        (_, ErrorKind::TooLarge) => "it passes the platform's limit of 1 MB on its own",
        (_, ErrorKind::UnknownChild) => "it does not exist on the platform or does not belong to this gateway",
        _ => first_error.as_ref().map_or("", Error::message),
    };
    let message = format!(
        "{failed} of {} child devices were not delivered; the first is children[{index}]: {why}",
        outcomes.len()
    );
    let kind = if failed < outcomes.len() { ErrorKind::Partial } else { kind };
    let answer = first_error.map(|error| error.answer().clone()).unwrap_or_default();
    Err(Error::new(kind, message).with_answer(answer).with_attempts(delivery.attempts))
}
