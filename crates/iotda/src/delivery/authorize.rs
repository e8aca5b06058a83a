//! Gets an access token for a request: from memory, or by an authentication.
//!
//! Who authenticates and who waits is decided by [`crate::delivery::token`]; what the platform's answer means, by
//! [`crate::delivery::classify`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use iotda_http::{Bounds, Post};
use zeroize::Zeroizing;

use crate::config::SignType;
use crate::delivery::call::{Call, Request};
use crate::delivery::classify;
use crate::delivery::password;
use crate::delivery::retry::random_fraction;
use crate::delivery::saved_token;
use crate::delivery::session::{Device, Session};
use crate::delivery::token::{Flight, Issue, Lease, Token};
use crate::error::{Error, ErrorKind, Result};
use crate::monitor::{Count, Level};
use crate::report::calendar;
use crate::report::json::write;

/// Where a device authenticates.
const AUTHENTICATION: [&str; 3] = ["/v5/device-auth", "", ""];

/// The most that renewing a token ahead of its expiry may hold a call up, which has a valid one; and never more than
/// one part in [`REFRESH_SHARE`] of the time that the call has left.
const REFRESH_MOST: Duration = Duration::from_secs(2);
const REFRESH_SHARE: u32 = 10;

/// What to do where no report authenticates by itself.
pub(crate) const ASK: &str = "authenticate (iotda_auth) or import a token";

/// A token for a program that asks to be authenticated: from memory, or by an authentication, this call's or another's.
pub(crate) fn asked_for(session: &Session, device: &Device, call: &Call, request: &mut Request) -> Result<Arc<Token>> {
    lease(session.clock.monotonic(), session, device, call, request)
}

/// A token for a report that is valid now, from memory or, unless only the program may do so, by an authentication.
pub(crate) fn token(session: &Session, device: &Device, call: &Call, request: &mut Request) -> Result<Arc<Token>> {
    token_at(session.clock.monotonic(), session, device, call, request)
}

/// The same, for whoever knows the time.
pub(crate) fn token_at(
    now: Duration,
    session: &Session,
    device: &Device,
    call: &Call,
    request: &mut Request,
) -> Result<Arc<Token>> {
    if session.rules.authenticate_when_asked {
        return device.token.valid(now).ok_or_else(|| no_token(device));
    }
    lease(now, session, device, call, request)
}

/// Nothing was sent.
fn no_token(device: &Device) -> Error {
    let id = device.id();
    Error::new(
        ErrorKind::TokenRejected,
        format!("{ASK}: device \"{id}\" has none that is valid, and authenticates only when it is asked to"),
    )
}

fn lease(now: Duration, session: &Session, device: &Device, call: &Call, request: &mut Request) -> Result<Arc<Token>> {
    match device.token.acquire(now, call.deadline, call.cancel.as_ref())? {
        Lease::Token(token) => Ok(token),
        Lease::Authenticate(flight) => authenticate(session, device, flight, call, request),
    }
}

/// Authenticates for everyone who waits.
fn authenticate(
    session: &Session,
    device: &Device,
    mut flight: Flight<'_>,
    call: &Call,
    request: &mut Request,
) -> Result<Arc<Token>> {
    let issued = if flight.is_refresh() {
        refresh(session, device, call, request)
    } else {
        match flight.shared_failure() {
            // It says something about the platform, to this call as well.
            Some(failure) => call.pause_after_shared(session, failure),
            None => Ok(()),
        }
        .and_then(|()| insist(session, device, call, request))
    };
    let is_issued = issued.is_ok();
    if is_issued {
        session.monitor.log(Level::Info, || format!("device \"{}\" authenticated", device.id()));
    }
    let token = flight.end(issued)?;
    // After the flight: nobody waits for what the program does with it.
    if let (true, Some(on_token)) = (is_issued, &session.on_token) {
        on_token(device.id(), &Zeroizing::new(saved_token::text(&token, session.owner(device))));
    }
    Ok(token)
}

/// Authenticates, and retries transient failures.
fn insist(session: &Session, device: &Device, call: &Call, request: &mut Request) -> Result<Token> {
    loop {
        let bounds = call.bounds(request, &session.rules)?;
        match authenticate_once(session, device, &bounds) {
            Ok((token, http_status)) => {
                request.authenticated = Some(http_status);
                return Ok(token);
            }
            Err(error) => call.pause_before_retry(session, request, error)?,
        }
    }
}

/// Authenticates once, within a small share of the call's time: there is a valid token, and the next refresh can wait.
fn refresh(session: &Session, device: &Device, call: &Call, request: &mut Request) -> Result<Token> {
    let most = REFRESH_MOST.min(call.time_left() / REFRESH_SHARE);
    let bounds = Bounds { deadline: Instant::now().checked_add(most), ..call.bounds(request, &session.rules)? };
    match authenticate_once(session, device, &bounds) {
        Ok((token, http_status)) => {
            request.authenticated = Some(http_status);
            Ok(token)
        }
        Err(error) => {
            session.monitor.log(Level::Warning, || {
                format!("device \"{}\" goes on with its token, which was to be renewed: {error}", device.id())
            });
            Err(error)
        }
    }
}

/// Authenticates once; returns the token and the HTTP status.
fn authenticate_once(session: &Session, device: &Device, bounds: &Bounds<'_>) -> Result<(Token, u16)> {
    let (asked, unix_ms) = (session.clock.monotonic(), session.clock.unix_ms());
    let timestamp = calendar::hour_stamp(unix_ms);
    let password = password::password(&device.identity.secret, &timestamp);
    let body = body(device, &timestamp, &password);
    let post = Post { path: AUTHENTICATION, token: None, body: &body };
    // Whatever became of an authentication, no report has arrived by it.
    let answer =
        session.post(&post, bounds, Count::Authentications).map_err(|error| Error::from(error).with_arrival(false))?;
    let sent = [password.as_bytes(), &device.identity.secret];
    let issued = classify::issued(&answer, device.id(), &sent).map_err(|error| match answer.server_time_ms {
        Some(server_ms) if device.sign_type == SignType::PasswordAndTime => clock_hint(error, server_ms, unix_ms),
        _ => error,
    })?;
    let issue = Issue { asked, unix_ms, lifetime: issued.lifetime, jitter: random_fraction() };
    Ok((Token::issued(issued.token, issue), answer.status))
}

/// The body of an authentication (HTTPS access page, "Device Authentication API").
fn body(device: &Device, timestamp: &[u8], password: &str) -> Zeroizing<Vec<u8>> {
    // The capacity is more than enough: growing would leave a copy behind.
    let mut body = Zeroizing::new(Vec::with_capacity(160 + device.identity.device_id.len()));
    body.extend_from_slice(b"{\"device_id\":");
    write::string(&mut body, &device.identity.device_id);
    body.extend_from_slice(b",\"sign_type\":");
    write::integer(&mut body, i64::from(device.sign_type.number()));
    body.extend_from_slice(b",\"timestamp\":\"");
    body.extend_from_slice(timestamp);
    body.extend_from_slice(b"\",\"password\":\"");
    body.extend_from_slice(password.as_bytes());
    body.extend_from_slice(b"\"}");
    body
}

/// A refused authentication whose time is far from the platform's is probably refused for that.
fn clock_hint(error: Error, server_ms: i64, our_ms: i64) -> Error {
    let apart_s = (server_ms - our_ms) / 1000;
    if error.kind() != ErrorKind::AuthFailed || apart_s.abs() < 1800 {
        return error;
    }
    let where_to = if apart_s > 0 { "ahead of" } else { "behind" };
    error.advising(&format!(
        "set the clock, or use sign type 0: the platform's is {} s {where_to} this machine's",
        apart_s.abs()
    ))
}

#[cfg(test)]
mod tests;
