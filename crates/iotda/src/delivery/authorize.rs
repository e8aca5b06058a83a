//! Gets an access token for a request: from memory, or by an authentication.
//!
//! Who authenticates and who waits is decided by [`crate::delivery::token`]; what the platform's answer means, by
//! [`crate::delivery::classify`].

use std::sync::Arc;
use std::time::Duration;

use iotda_http::Post;
use zeroize::Zeroizing;

use crate::config::SignType;
use crate::delivery::call::{Call, Request};
use crate::delivery::classify;
use crate::delivery::password;
use crate::delivery::retry::random_fraction;
use crate::delivery::session::{Device, Session};
use crate::delivery::token::{Flight, Lease, Token};
use crate::error::{Error, ErrorKind, Result};
use crate::monitor::{Count, Level};
use crate::report::calendar;
use crate::report::json::write;

/// Where a device authenticates.
const AUTHENTICATION: [&str; 3] = ["/v5/device-auth", "", ""];

/// A token that is valid now, from memory or by an authentication, this call's or another's.
pub(crate) fn token(session: &Session, device: &Device, call: &Call, request: &mut Request) -> Result<Arc<Token>> {
    let now = session.clock.monotonic();
    match device.token.acquire(now, call.deadline, call.cancel.as_ref())? {
        Lease::Token(token) => Ok(token),
        Lease::Authenticate(flight) => authenticate(session, device, flight, call, request),
    }
}

/// Authenticates for everyone who waits; retries transient failures.
fn authenticate(
    session: &Session,
    device: &Device,
    flight: Flight<'_>,
    call: &Call,
    request: &mut Request,
) -> Result<Arc<Token>> {
    let issued = loop {
        match authenticate_once(session, device, call, request) {
            // The old token serves for now; the next refresh can wait.
            Err(error) if flight.is_refresh() => break Err(error),
            Err(error) => match call.pause_before_retry(session, request, error) {
                Ok(()) => {}
                Err(error) => break Err(error),
            },
            Ok(token) => {
                request.authenticated = true;
                break Ok(token);
            }
        }
    };
    match &issued {
        Ok(_) => session.monitor.log(Level::Info, || format!("device \"{}\" authenticated", device.id())),
        Err(error) => session.monitor.log(Level::Warning, || format!("device \"{}\": {error}", device.id())),
    }
    flight.end(issued)
}

fn authenticate_once(session: &Session, device: &Device, call: &Call, request: &Request) -> Result<Token> {
    let asked = session.clock.monotonic();
    let unix_ms = session.clock.unix_ms();
    let timestamp = calendar::hour_stamp(unix_ms);
    let password = password::password(&device.identity.secret, &timestamp);
    let body = body(device, &timestamp, &password);
    let bounds = call.bounds(request, &session.rules)?;
    let post = Post { path: AUTHENTICATION, token: None, body: &body };
    // Whatever became of an authentication, no report has arrived by it.
    let answer =
        session.post(&post, &bounds, Count::Authentications).map_err(|error| Error::from(error).with_arrival(false))?;
    let sent = [password.as_bytes(), &device.identity.secret];
    let issued = classify::issued(&answer, device.id(), &sent).map_err(|error| match answer.server_time_ms {
        Some(server_ms) if device.sign_type == SignType::PasswordAndTime => clock_hint(error, server_ms, unix_ms),
        _ => error,
    })?;
    // Without a lifetime it serves until it is refused.
    Ok(Token::new(issued.token, asked, issued.lifetime.unwrap_or(Duration::MAX), random_fraction()))
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
mod tests {
    use super::*;
    use crate::config::Identity;

    #[test]
    fn an_authentication_as_the_page_has_it() {
        // 2019-12-02T19:30:00Z; the password is the protocol notes' second vector.
        let device = Device::new(Identity::new("d-1", b"secret").unwrap().into(), SignType::PasswordAndTime, None);
        let timestamp = calendar::hour_stamp(1_575_315_000_000);
        assert_eq!(
            String::from_utf8(body(&device, &timestamp, &password::password(b"secret", &timestamp)).to_vec()).unwrap(),
            r#"{"device_id":"d-1","sign_type":1,"timestamp":"2019120219","password":"2ae5449ce83be6d2738177a27a5558cf1e624f6fd79574a0b8603b959d8b5860"}"#
        );
    }

    #[test]
    fn a_clock_that_is_far_off_is_pointed_to() {
        let refused = || Error::new(ErrorKind::AuthFailed, "refused");
        assert_eq!(clock_hint(refused(), 1_000_000, 0).message(), "refused");
        let hint = clock_hint(refused(), 7_200_000, 0).to_string();
        assert!(hint.contains("is 7200 s ahead of this machine's"), "{hint}");
        let hint = clock_hint(refused(), 0, 7_200_000).to_string();
        assert!(hint.contains("is 7200 s behind this machine's"), "{hint}");
    }
}
