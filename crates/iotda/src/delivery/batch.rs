//! A gateway's batch: any number of child devices in one call, sent in as many requests as it takes.
//!
//! How the children are divided is [`crate::report::split`]'s plan; this sends what the plan says and reports the
//! platform's answers to it. [`crate::delivery::learned`] remembers what they teach, [`crate::delivery::verdict`] says what the
//! whole call amounts to.

use crate::delivery::batch_error::BatchError;
use crate::delivery::call::{Call, CallOptions, Delivery};
use crate::delivery::deliver::{Target, deliver};
use crate::delivery::learned::At;
use crate::delivery::session::{Device, Session};
use crate::delivery::verdict::{self, is_of_children, verdict};
use crate::error::{Error, ErrorKind, Refusal, Result};
use crate::report::Child;
use crate::report::encode::{check_child, write_child};
use crate::report::json::scan::Scanner;
use crate::report::limits::BODY_LIMIT;
use crate::report::split::{FRAME, Limits, Plan, TooMuch, fits_alone};
use crate::report::validate::{self, ChildText};

/// Children that can be written into a request, each any number of times.
pub(crate) trait Source {
    fn count(&self) -> usize;
    /// The id of a child; empty if it has none.
    fn id(&self, index: usize) -> &str;
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

    fn id(&self, index: usize) -> &str {
        self[index].device_id
    }

    fn check(&self, index: usize) -> Result<usize> {
        check_child(&self[index], index)
    }

    fn write(&self, index: usize, out: &mut Vec<u8>) {
        write_child(out, &self[index]);
    }
}

/// Children of which some were found wrong while they were made.
impl Source for &[Result<Child<'_>, Box<Error>>] {
    fn count(&self) -> usize {
        self.len()
    }

    fn id(&self, index: usize) -> &str {
        self[index].as_ref().map_or("", |child| child.device_id)
    }

    fn check(&self, index: usize) -> Result<usize> {
        let child = self[index].as_ref().map_err(|error| Error::clone(error))?;
        check_child(child, index)
    }

    fn write(&self, index: usize, out: &mut Vec<u8>) {
        // One that is wrong is in no request.
        if let Ok(child) = &self[index] {
            write_child(out, child);
        }
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

    fn id(&self, index: usize) -> &str {
        written_id(self.children[index].text).unwrap_or_default()
    }

    fn check(&self, index: usize) -> Result<usize> {
        let child = &self.children[index];
        child.check.as_ref().map(|()| child.text.len()).map_err(|error| Error::clone(error))
    }

    fn write(&self, index: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(self.children[index].text.as_bytes());
    }

    fn whole(&self) -> Option<&str> {
        Some(self.text)
    }
}

/// What became of a batch.
type Outcome<T = Delivery> = Result<T, BatchError>;

/// Delivers typed children.
pub(crate) fn typed(session: &Session, device: &Device, children: &[Child<'_>], options: CallOptions) -> Outcome {
    deliver_all(session, device, &children, options)
}

/// Delivers those of the children that are right.
pub(crate) fn checked(
    session: &Session,
    device: &Device,
    children: &[Result<Child<'_>, Box<Error>>],
    options: CallOptions,
) -> Outcome {
    deliver_all(session, device, &children, options)
}

/// What of the children would be left out without being sent. The failure of the whole is that of the first one.
pub(crate) fn check(source: &dyn Source) -> Outcome<()> {
    let count = source.count();
    let (mut children, mut first) = (Vec::new(), None);
    if count == 0 {
        first = Some(no_children());
    } else if children.try_reserve_exact(count).is_err() {
        first = Some(Error::no_memory(count));
    } else {
        children.extend((0..count).map(|index| {
            let checked = source.check(index).and_then(|size| match fits_alone(size) {
                true => Ok(()),
                false => Err(too_large(index, size)),
            });
            checked.map_err(|error| {
                let kind = error.kind();
                first.get_or_insert(error);
                kind
            })
        }));
    }
    first.map_or(Ok(()), |error| Err(BatchError::new(error, children)))
}

pub(crate) fn no_children() -> Error {
    Error::invalid("children is empty: a batch holds at least one child device")
}

fn too_large(index: usize, bytes: usize) -> Error {
    let message = format!(
        "send less at a time: children[{index}] has {bytes} bytes, and the platform takes less than {BODY_LIMIT} (1 MB)"
    );
    Error::new(ErrorKind::TooLarge, message)
}

/// Delivers the children of a body that the caller wrote, `{"devices":[…]}`, if `accept` takes so many.
pub(crate) fn document(
    session: &Session,
    device: &Device,
    json: &str,
    accept: impl FnOnce(usize) -> Result<()>,
    options: CallOptions,
) -> Outcome {
    let children = session.check_process().and_then(|()| validate::children(json));
    match children.and_then(|children| accept(children.len()).map(|()| children)) {
        Ok(children) => deliver_all(session, device, &Document { text: json, children }, options),
        Err(error) => Err(BatchError::new(error, Vec::new())),
    }
}

fn deliver_all(session: &Session, device: &Device, source: &dyn Source, options: CallOptions) -> Outcome {
    let mut batch = Batch { source, invalid: None, refusal: None, stopped: None, http_status: 0 };
    let prepared = session
        .check_process()
        .and_then(|()| Call::start(options, &session.rules))
        .and_then(|call| Ok((call, batch.plan(learned(session, device).limits())?)));
    let (mut call, mut plan) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            let children = vec![Err(error.kind()); source.count()];
            return Err(BatchError::new(error, children));
        }
    };
    while let Some(children) = next_request(session, device, source, &mut plan) {
        if let Err(error) = send_part(session, device, &mut batch, &children, &mut plan, &mut call) {
            batch.stopped = Some(error);
            break;
        }
    }
    let outcomes = plan.finish(batch.stopped.as_ref().map_or(ErrorKind::Internal, Error::kind));
    let delivery = Delivery { http_status: batch.http_status, attempts: call.attempts };
    match batch.failure(&outcomes, &learned(session, device)) {
        None => Ok(delivery),
        Some(error) => {
            let error = error.with_attempts(delivery.attempts).with_arrival(call.may_have_arrived);
            Err(BatchError::new(error, outcomes))
        }
    }
}

fn next_request(session: &Session, device: &Device, source: &dyn Source, plan: &mut Plan) -> Option<Vec<usize>> {
    let learned = learned(session, device);
    plan.next_request(|child| learned.standing(|| source.id(child)))
}

/// Sends one request and reports the answer to the plan. An error ends the batch.
fn send_part(
    session: &Session,
    device: &Device,
    batch: &mut Batch<'_>,
    children: &[usize],
    plan: &mut Plan,
    call: &mut Call,
) -> Result<()> {
    let source = batch.source;
    let body = body(source, children, plan)?;
    let error = match deliver(session, device, Target::Batch, &body, call) {
        Ok(status) => {
            batch.http_status = status;
            let found = plan.accepted();
            let mut learned = learned(session, device);
            learned.accepted(children.iter().map(|&child| source.id(child)));
            if let Some(child) = found {
                learned.unknown(source.id(child));
            }
            return Ok(());
        }
        Err(error) => error,
    };
    match error.kind() {
        kind if !is_of_children(kind) => return Err(error),
        ErrorKind::TooLarge => {
            let children_limit = error.answer().children_limit;
            let too_many = error.answer().refusal == Refusal::TooManyChildren;
            plan.too_much(if too_many { TooMuch::Children(children_limit) } else { TooMuch::Bytes });
            if children.len() > 1 {
                learned(session, device).limited(plan.limits());
            }
        }
        kind => {
            if let Some(child) = plan.refused(kind) {
                learned(session, device).unknown(source.id(child));
            }
        }
    }
    batch.refusal = Some(error);
    Ok(())
}

/// What this gateway's batches have learned, as of now. Not to be held over a request.
fn learned<'a>(session: &Session, device: &'a Device) -> At<'a> {
    device.learned.at(session.clock.monotonic())
}

/// A batch on its way.
struct Batch<'a> {
    source: &'a dyn Source,
    /// What is wrong with the first child that is wrong in itself.
    invalid: Option<Error>,
    /// The platform's last refusal of children.
    refusal: Option<Error>,
    /// What ended the batch before all children were sent.
    stopped: Option<Error>,
    /// Of the last request that was accepted; 0: none was.
    http_status: u16,
}

impl Batch<'_> {
    /// Checks every child, measures it, and makes the plan.
    fn plan(&mut self, limits: Limits) -> Result<Plan> {
        let count = self.source.count();
        if count == 0 {
            return Err(no_children());
        }
        let children = (0..count).map(|index| {
            self.source.check(index).map_err(|error| {
                let kind = error.kind();
                self.invalid.get_or_insert(error);
                kind
            })
        });
        Plan::new(children, limits).map_err(|_| Error::no_memory(count * size_of::<usize>()))
    }

    /// The error of the whole call; `None`: every child was delivered.
    fn failure(self, outcomes: &[Result<(), ErrorKind>], learned: &At<'_>) -> Option<Error> {
        let verdict = verdict(outcomes)?;
        let id = self.source.id(verdict.child);
        let causes = [&self.stopped, &self.refusal, &self.invalid];
        let cause = causes.into_iter().flatten().find(|error| error.kind() == verdict.reason);
        let message = verdict::message(verdict, outcomes.len(), id, cause, learned.not_sent_for(id));
        // The last answer that explains a failure; an earlier one only where the last failure had none.
        let mut answer = self.stopped.as_ref().map(|error| error.answer().clone()).unwrap_or_default();
        if answer.http_status == 0 {
            let retry_after = answer.retry_after;
            answer = self.refusal.map(|error| error.answer().clone()).unwrap_or_default();
            answer.retry_after = retry_after;
        }
        if answer.http_status == 0 {
            answer.http_status = self.http_status;
        }
        Some(Error::new(verdict.kind, message).with_answer(answer))
    }
}

/// The device id of a child that has been checked, as its JSON holds it: an id needs no escapes.
pub(crate) fn written_id(child: &str) -> Option<&str> {
    let mut scanner = Scanner::new(child);
    scanner.enter();
    let mut first = true;
    while scanner.next_item(first, b'}').ok()? {
        let name = scanner.name().ok()?;
        let value = scanner.value().ok()?;
        if name == "device_id" {
            return value.strip_prefix('"')?.strip_suffix('"');
        }
        first = false;
    }
    None
}

/// The body of a request with `children`.
fn body(source: &dyn Source, children: &[usize], plan: &Plan) -> Result<Vec<u8>> {
    let all = children.len() == source.count();
    if let Some(whole) = source.whole().filter(|whole| all && whole.len() <= plan.limits().bytes) {
        let mut body = Vec::new();
        body.try_reserve_exact(whole.len()).map_err(|_| Error::no_memory(whole.len()))?;
        body.extend_from_slice(whole.as_bytes());
        return Ok(body);
    }
    let size = plan.bytes(children) + children.len() + FRAME.0.len() + FRAME.1.len();
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

#[cfg(test)]
mod tests;
