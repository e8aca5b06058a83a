//! A gateway's batch: any number of child devices in one call, sent in as many requests as it takes.
//!
//! How the children are divided is [`crate::batch`]'s plan; this sends what the plan says and tells it
//! what the platform answered.

use crate::batch::{FRAME, Plan, TooMuch};
use crate::call::{Call, CallOptions, Delivery};
use crate::client::Client;
use crate::deliver::Target;
use crate::document;
use crate::error::{Error, ErrorKind, Refusal, Result};
use crate::limits::BATCH_BODY_MAX;
use crate::report::{Child, check_child, write_child};

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
    children: Vec<&'a str>,
}

impl Source for Document<'_> {
    fn count(&self) -> usize {
        self.children.len()
    }

    fn check(&self, index: usize) -> Result<usize> {
        Ok(self.children[index].len())
    }

    fn write(&self, index: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(self.children[index].as_bytes());
    }

    fn whole(&self) -> Option<&str> {
        Some(self.text)
    }
}

impl Client {
    /// Reports properties of child devices of this gateway, any number in one call.
    ///
    /// All children are checked before anything is sent; one that is wrong refuses the whole call. A child
    /// whose own data passes 1 MB, and one that the platform does not know, are left out: the others are
    /// delivered, and the report tells each.
    pub fn report_batch(&self, children: &[Child<'_>], options: CallOptions) -> BatchReport {
        self.batch(&children, options)
    }

    /// Reports a batch by a request body that the caller wrote, `{"devices":[…]}`, with any number of
    /// children. It is checked; a body that fits into one request is sent as it is.
    pub fn report_batch_json(&self, json: &str, options: CallOptions) -> BatchReport {
        match self.check_process().and_then(|()| document::children(json)) {
            Ok(children) => self.batch(&Document { text: json, children }, options),
            Err(error) => BatchReport { children: Vec::new(), result: Err(error) },
        }
    }

    fn batch(&self, source: &dyn Source, options: CallOptions) -> BatchReport {
        let refused =
            |error: Error| BatchReport { children: vec![Err(error.kind()); source.count()], result: Err(error) };
        let prepared = self.start(options).and_then(|call| Ok((call, Plan::new(sizes(source)?))));
        let (mut call, mut plan) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return refused(error),
        };
        let mut first_error = None;
        let mut http_status = 0;
        while let Some(children) = plan.next_request() {
            match self.send_part(source, &children, &mut plan, &mut call) {
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
        let result = summary(&outcomes, first_error, Delivery { http_status, attempts: call.attempts })
            .map_err(|error| self.failed(error));
        BatchReport { children: outcomes, result }
    }

    /// Sends one request and tells the plan how it went. An error is one that the plan cannot mend.
    fn send_part(&self, source: &dyn Source, children: &[usize], plan: &mut Plan, call: &mut Call<'_>) -> Result<u16> {
        let error = match self.deliver(Target::Batch, &body(source, children, plan.bytes(children))?, call) {
            Ok(status) => {
                plan.delivered(children);
                return Ok(status);
            }
            Err(error) => error,
        };
        let mended = match error.kind() {
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
        if mended { Ok(http_status) } else { Err(error) }
    }
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
