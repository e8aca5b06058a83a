//! Delivers one request body: gets a token, keeps the pace, sends, reads the answer, and tries again.
//!
//! Whether and when to try again is decided by [`crate::delivery::call`]; where tokens come from, by
//! [`crate::delivery::authorize`]; what an answer means, by [`crate::delivery::classify`].

use std::time::Duration;

use iotda_http::Post;

use crate::delivery::authorize;
use crate::delivery::call::{Call, Request};
use crate::delivery::classify::{self, Asked};
use crate::delivery::pace::{self, Limited, Pace, Place};
use crate::delivery::session::{Device, Session};
use crate::delivery::token::REPLACE_PAUSE;
use crate::error::{Answered, Error, ErrorKind, Refusal, Result};
use crate::monitor::Count;

/// The calls that carry a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Properties,
    Message,
    Batch,
}

impl Target {
    /// The end of the path, after the device's id.
    fn path(self) -> &'static str {
        match self {
            Target::Properties => "/sys/properties/report",
            Target::Message => "/sys/messages/up",
            Target::Batch => "/sys/gateway/sub-devices/properties/report",
        }
    }

    /// As messages name what is sent there.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Target::Properties => "the property report",
            Target::Message => "the message",
            Target::Batch => "the batch",
        }
    }
}

/// How one attempt ended.
enum Attempt {
    /// Accepted, with this HTTP status.
    Delivered(u16),
    /// The token was refused; with another one it may go better, at once.
    WithNewToken,
    /// It may go better later.
    Failed(Error),
}

/// Sends one body until it is accepted, or the call's attempts or time are used up; returns the HTTP
/// status of the success.
pub(crate) fn deliver(session: &Session, device: &Device, target: Target, body: &[u8], call: &mut Call) -> Result<u16> {
    let mut request = Request::default();
    insist(session, device, target, body, call, &mut request).map_err(|error| {
        // Whatever ended the request, an attempt before it may have arrived.
        let may_have_arrived = request.may_have_arrived || error.may_have_arrived();
        call.may_have_arrived |= may_have_arrived;
        error.with_arrival(may_have_arrived)
    })
}

fn insist(
    session: &Session,
    device: &Device,
    target: Target,
    body: &[u8],
    call: &mut Call,
    request: &mut Request,
) -> Result<u16> {
    let mut last = Answered::default();
    loop {
        match attempt(session, device, target, body, call, request, &last)? {
            Attempt::Delivered(status) => return Ok(status),
            Attempt::WithNewToken => {}
            Attempt::Failed(error) => {
                last.clone_from(error.answer());
                call.pause_before_retry(session, request, error)
                    .map_err(|error| with_true_wait(session, device, error))?;
            }
        }
    }
}

/// Sends one body once. An error ends the call. `last`: what the platform answered to the attempt before.
fn attempt(
    session: &Session,
    device: &Device,
    target: Target,
    body: &[u8],
    call: &mut Call,
    request: &mut Request,
    last: &Answered,
) -> Result<Attempt> {
    // One look at the clock serves both: a token from memory takes no time, and after an authentication the pace is at
    // most asked a little early.
    let now = session.clock.monotonic();
    let mut token = authorize::token_at(now, session, device, call, request)?;
    let (mut place, waited) = keep_pace(session, device, pace::units(body.len()), call, last, now)?;
    if waited {
        // The token may have expired meanwhile.
        token = authorize::token(session, device, call, request)?;
    }
    let bounds = call.bounds(request, &session.rules)?;
    place.sent();
    let post = Post { path: path(device, target), token: Some(token.text()), body };
    let answer = session.post(&post, &bounds, Count::Requests);
    call.attempts += u32::from(answer.as_ref().map_or_else(|error| error.sent, |_| true));
    let accepted = answer.map_err(Error::from).and_then(|answer| {
        let (asked, sent) = (Asked::Report(target.what()), [token.text().as_bytes()]);
        classify::accepted(&answer, asked, &sent)?;
        if call.is_kept && !classify::is_whole(&answer) {
            let message = "look for a proxy that cuts answers off: the platform's was not whole, and does not count";
            return Err(Error::new(ErrorKind::Protocol, message));
        }
        Ok(answer.status)
    });
    let error = match accepted {
        Ok(status) => {
            place.accepted();
            return Ok(Attempt::Delivered(status));
        }
        Err(error) => error,
    };
    request.may_have_arrived |= error.may_have_arrived();
    match error.kind() {
        ErrorKind::TokenRejected if session.rules.authenticate_when_asked => {
            // One that was imported while the request was under way is worth a try.
            if !device.token.forget(&token) || request.token_replaced {
                return Err(error.advising(authorize::ASK));
            }
            request.token_replaced = true;
            Ok(Attempt::WithNewToken)
        }
        ErrorKind::TokenRejected => {
            let own = request.authenticated.is_some();
            let is_replaceable = device.token.refused(&token, session.clock.monotonic(), own);
            if request.token_replaced || !is_replaceable {
                return Err(error.with_retry_after(REPLACE_PAUSE));
            }
            request.token_replaced = true;
            Ok(Attempt::WithNewToken)
        }
        ErrorKind::RateLimited => {
            let of_all = error.answer().refusal == Refusal::TenantRate;
            let pace = if of_all { &session.pace } else { &device.pace };
            let said = Limited { retry_after: error.answer().retry_after, limit: error.answer().rate_limit };
            pace.limited(session.clock.monotonic(), place.sent_at(), said);
            Ok(Attempt::Failed(error))
        }
        _ => Ok(Attempt::Failed(error)),
    }
}

/// Waits until a report of `units` is due; returns its place, and whether there was a wait.
fn keep_pace<'a>(
    session: &'a Session,
    device: &'a Device,
    units: f64,
    call: &Call,
    last: &Answered,
    mut now: Duration,
) -> Result<(Place<'a, 2>, bool)> {
    let mut place =
        pace::reserve(paces(session, device), now, units, || call.time_left()).map_err(|wait| too_late(wait, last))?;
    let mut waited = false;
    loop {
        let wait = place.wait(now);
        if wait.is_zero() {
            return Ok((place, waited));
        }
        // The rate may have fallen since the place was taken.
        if wait > call.time_left() {
            return Err(too_late(wait, last));
        }
        if !waited {
            session.monitor.add(Count::PacingWaits, 1);
        }
        waited = true;
        call.pause(wait.min(pace::LOOK_AGAIN))?;
        now = session.clock.monotonic();
    }
}

/// With the wait for the next report, where that is longer than what the error says.
fn with_true_wait(session: &Session, device: &Device, error: Error) -> Error {
    if error.kind() != ErrorKind::RateLimited {
        return error;
    }
    let wait = pace::wait(paces(session, device), session.clock.monotonic());
    let said = error.retry_after().unwrap_or_default();
    error.with_retry_after(wait.max(said))
}

/// In the order in which they are asked.
fn paces<'a>(session: &'a Session, device: &'a Device) -> [&'a Pace; 2] {
    [&device.pace, &session.pace]
}

/// The report's turn comes after the call's time. What the platform said in this call is passed on.
fn too_late(wait: Duration, last: &Answered) -> Error {
    Error::new(
        ErrorKind::RateLimited,
        format!(
            "send later, or allow more time: the rate limit leaves no room for this report within the call's; the next \
             is due in {} ms",
            wait.as_millis()
        ),
    )
    .with_answer(last.clone())
    .with_retry_after(wait)
}

fn path(device: &Device, target: Target) -> [&str; 3] {
    ["/v5/devices/", device.id(), target.path()]
}

#[cfg(test)]
mod tests;
