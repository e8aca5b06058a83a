//! The client's own delivery as the outbox uses it: one attempt, no waiting for a pace, and what each failure means
//! for what waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use iotda_http::CancelToken;
use sha2::{Digest, Sha256};

use super::coalesce::{self, stamp};
use super::frame::{kind, u64_at};
use super::platform::{Deliver, Ended, Refusal, TooMuch, Verdict};
use crate::delivery::call::{Call, CallOptions};
use crate::delivery::deliver::{Target, deliver};
use crate::delivery::pace;
use crate::delivery::session::{Device, Session};
use crate::error::{self, Error, ErrorKind, Result};
use crate::monitor::Level;
use crate::report::encode::{self, Place};
use crate::report::{Service, calendar};

/// A lane that met a rate limit is not tried again sooner.
const RATE_PAUSE_LEAST: Duration = Duration::from_millis(100);

/// How a device is named in the files.
pub(crate) fn hash(device_id: &str) -> u64 {
    u64_at(&Sha256::digest(device_id.as_bytes()), 0)
}

/// A device that was attached. It keeps its own references until the outbox is closed.
pub(crate) struct Attached {
    session: Arc<Session>,
    device: Arc<Device>,
    /// Ends what is under way when the outbox is closed.
    cancel: CancelToken,
}

impl Attached {
    pub(crate) fn new(session: Arc<Session>, device: Arc<Device>, cancel: CancelToken) -> Self {
        Attached { session, device, cancel }
    }
}

impl Deliver for Attached {
    fn device_id(&self) -> &str {
        self.device.id()
    }

    fn deliver(&self, kind: u8, body: &[u8], deadline: Option<Instant>) -> Ended {
        let wait = pace::wait([&self.device.pace, &self.session.pace], self.session.clock.monotonic());
        if !wait.is_zero() {
            return Ended { verdict: Verdict::Paced(milliseconds(wait).max(1)), requests: 0 };
        }
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = timeout.map_or(self.session.rules.timeout, |left| left.min(self.session.rules.timeout));
        let options = CallOptions { timeout: Some(timeout), cancel: Some(self.cancel.clone()) };
        let target = match kind {
            kind::MESSAGE => Target::Message,
            kind::CHILD => Target::Batch,
            _ => Target::Properties,
        };
        let mut requests = 0;
        let sent = Call::start(options, &self.session.rules).and_then(|mut call| {
            call.is_kept = true;
            let sent = deliver(&self.session, &self.device, target, body, &mut call);
            requests = call.attempts;
            sent
        });
        let verdict = match sent {
            Ok(_) => Verdict::Delivered,
            Err(error) => {
                self.session.monitor.log(Level::Warning, || self.device.line(&error));
                let wait = pace::wait([&self.device.pace, &self.session.pace], self.session.clock.monotonic());
                verdict(&error, wait)
            }
        };
        Ended { verdict, requests }
    }

    fn platform_ms(&self) -> Option<i64> {
        self.session.server_time_ms()
    }

    fn interrupt(&self) {
        self.cancel.cancel();
    }
}

/// What a failure means. Only the platform's own codes speak of what was sent, or of the device: a status may be that
/// of a proxy. `wait`: what the paces ask for.
fn verdict(error: &Error, wait: Duration) -> Verdict {
    let code = error.platform_code().unwrap_or_default();
    let message = error.message().to_owned();
    let asked = error.retry_after().unwrap_or_default();
    let refusal = |too_much| Refusal { code: code.to_owned(), message: message.clone(), too_much };
    match (error.kind(), code) {
        (ErrorKind::Rejected, "IOTDA.000006") => Verdict::Refused(refusal(None)),
        (ErrorKind::TooLarge, "IOTDA.021103" | "IOTDA.021105") => {
            let children = error.answer().refusal == error::Refusal::TooManyChildren;
            Verdict::Refused(refusal(Some(if children { TooMuch::Children } else { TooMuch::Bytes })))
        }
        (ErrorKind::UnknownChild, "IOTDA.021104") => Verdict::UnknownChild(refusal(None)),
        (ErrorKind::AuthFailed, "IOTDA.000002") => Verdict::LockedOut(message),
        (ErrorKind::RateLimited, _) => Verdict::Paced(milliseconds(asked.max(wait).max(RATE_PAUSE_LEAST))),
        (kind, _) => {
            let everywhere = matches!(kind, ErrorKind::Dns | ErrorKind::Connect | ErrorKind::Tls | ErrorKind::Clock);
            Verdict::Outage { everywhere, asked_ms: milliseconds(asked), message }
        }
    }
}

/// Far below what overflows when times are added.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4)
}

/// The payload of a property report, from the body that would be sent: `{"services":[…]}`, which has been checked.
pub(crate) fn properties_payload(body: &str, wall_ms: i64) -> Option<Vec<u8>> {
    payload(None, body, wall_ms)
}

/// The payload of a child reading, from an element of `devices[]` that was written for this child.
pub(crate) fn child_payload(child: &str, element: &str, wall_ms: i64) -> Option<Vec<u8>> {
    payload(Some(child), element, wall_ms)
}

fn payload(child: Option<&str>, object: &str, wall_ms: i64) -> Option<Vec<u8>> {
    let (elements, times) = stamp(services(object)?, &calendar::event_time(wall_ms));
    // Their count has two bytes.
    u16::try_from(times.len()).ok()?;
    Some(coalesce::encode(child, &elements, &times))
}

/// The payload of services, which are checked, with this time in those that have none; `None`: there are more than it
/// can hold. It is written once, where it stays.
pub(crate) fn payload_of(
    child: Option<&str>,
    services: &[Service<'_>],
    place: Place,
    wall_ms: i64,
) -> Result<Option<Vec<u8>>> {
    let length = [child.map_or(0, str::len) as u8];
    let before: &[&[u8]] = match child {
        Some(child) => &[&length, child.as_bytes()],
        None => &[],
    };
    let (mut payload, times) = encode::stamped(services, place, wall_ms, (before, coalesce::END))?;
    if u16::try_from(times.len()).is_err() {
        return Ok(None);
    }
    coalesce::end(&mut payload, &times);
    Ok(Some(payload))
}

/// What stands between the brackets of `services` in an object that has been checked: its only array.
fn services(object: &str) -> Option<&str> {
    let bytes = object.as_bytes();
    let (mut in_string, mut at, mut open) = (false, 0, None);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            b'[' if !in_string && open.is_none() => open = Some(at + 1),
            _ => {}
        }
        at += 1;
    }
    let from = open?;
    // Behind the array stand a member that is a string, or nothing, and the brace: its bracket is the last one that
    // is not in a string.
    let (mut depth, mut in_string, mut at) = (1_usize, false, from);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            b'[' if !in_string => depth += 1,
            b']' if !in_string => {
                depth -= 1;
                if depth == 0 {
                    return object.get(from..at).map(str::trim_ascii);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Identity, SignType};
    use crate::delivery::fixtures::{answer, session};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    const TOKEN: &str = r#"{"access_token":"0123456789abcdef0123456789abcdef","expires_in":86399}"#;

    /// What the platform's answer to a report means, and how many reports were sent, by its own count and by the
    /// platform's.
    fn meaning(status: u16, body: &'static str) -> (Verdict, u32) {
        let requests = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&requests);
        let session = session(move |post, _| match post.token {
            None => answer(200, TOKEN),
            Some(_) => {
                count.fetch_add(1, Ordering::SeqCst);
                answer(status, body)
            }
        });
        let device = Device::new(Identity::new("d", b"secret").unwrap().into(), SignType::PasswordOnly, None);
        let attached = Attached::new(Arc::new(session), Arc::new(device), CancelToken::new());
        let ended = attached.deliver(kind::PROPERTIES, b"{}", None);
        assert_eq!(ended.requests, requests.load(Ordering::SeqCst), "{status} {body}");
        (ended.verdict, ended.requests)
    }

    #[test]
    fn only_an_answer_of_the_platform_is_a_delivery() {
        for (status, body) in [(200, ""), (204, " "), (200, "{}"), (200, r#"{"result":"ok"}"#)] {
            assert_eq!(meaning(status, body), (Verdict::Delivered, 1), "{body}");
        }
        for (status, body) in [
            (200, "<html>sign in</html>"),
            (200, r#"{"cut"#),
            (400, "<html>"),
            (403, "<html>"),
            (404, "<html>"),
            (401, "<html>"),
            (413, "<html>"),
            (400, r#"{"error_code":"IOTDA.999999"}"#),
            (200, r#"{"error_code":"IOTDA.999999"}"#),
            (500, ""),
            (503, "busy"),
        ] {
            let (verdict, requests) = meaning(status, body);
            assert!(matches!(verdict, Verdict::Outage { everywhere: false, .. }), "{status} {body}: {verdict:?}");
            assert_eq!(requests, 1, "the outbox has pauses of its own: {status} {body}");
        }
    }

    #[test]
    fn the_platforms_codes_speak_of_what_was_sent() {
        let of = |status, body| meaning(status, body).0;
        assert!(matches!(
            of(400, r#"{"error_code":"IOTDA.000006"}"#),
            Verdict::Refused(Refusal { too_much: None, .. })
        ));
        assert!(matches!(of(200, r#"{"error_code":"IOTDA.000006"}"#), Verdict::Refused(_)), "under 200, too");
        let children = of(403, r#"{"error_code":"IOTDA.021103"}"#);
        assert!(matches!(children, Verdict::Refused(Refusal { too_much: Some(TooMuch::Children), .. })));
        let bytes = of(403, r#"{"error_code":"IOTDA.021105"}"#);
        assert!(matches!(bytes, Verdict::Refused(Refusal { too_much: Some(TooMuch::Bytes), .. })));
        assert!(matches!(of(400, r#"{"error_code":"IOTDA.021104"}"#), Verdict::UnknownChild(_)));
        assert!(matches!(of(403, r#"{"error_code":"IOTDA.021101"}"#), Verdict::Paced(100..)));
        let token = meaning(403, r#"{"error_code":"IOTDA.000004"}"#);
        assert!(matches!(token, (Verdict::Outage { everywhere: false, .. }, 1 | 2)), "{token:?}");
    }

    #[test]
    fn a_device_that_may_not_authenticate_is_locked_out_and_a_network_that_is_away_is_away_for_all() {
        let deliver = |session| {
            let device = Device::new(Identity::new("d", b"secret").unwrap().into(), SignType::PasswordOnly, None);
            let attached = Attached::new(Arc::new(session), Arc::new(device), CancelToken::new());
            let ended = attached.deliver(kind::MESSAGE, b"", None);
            assert_eq!(ended.requests, 0, "no report was sent");
            ended.verdict
        };
        let locked_out = deliver(session(|_, _| answer(401, r#"{"error_code":"IOTDA.000002"}"#)));
        assert!(matches!(locked_out, Verdict::LockedOut(_)), "{locked_out:?}");
        let proxy = deliver(session(|_, _| answer(401, "<html>")));
        assert!(matches!(proxy, Verdict::Outage { .. }), "{proxy:?}");
        let away = Error::new(ErrorKind::Connect, "no route");
        assert!(matches!(verdict(&away, Duration::ZERO), Verdict::Outage { everywhere: true, .. }));
    }

    #[test]
    fn each_kind_takes_its_path() {
        let paths = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&paths);
        let session = session(move |post, _| {
            if post.token.is_some() {
                seen.lock().unwrap().push(post.path[2].to_owned());
            }
            answer(200, TOKEN)
        });
        let device = Device::new(Identity::new("d", b"secret").unwrap().into(), SignType::PasswordOnly, None);
        let attached = Attached::new(Arc::new(session), Arc::new(device), CancelToken::new());
        for kind in [kind::PROPERTIES, kind::MESSAGE, kind::CHILD] {
            attached.deliver(kind, b"{}", None);
        }
        let ends: Vec<String> = paths.lock().unwrap().clone();
        assert!(ends[0].ends_with("properties/report") && ends[1].ends_with("messages/up"), "{ends:?}");
        assert!(ends[2].contains("gateway/sub-devices"), "{ends:?}");
    }

    #[test]
    fn services_have_the_payload_of_the_body_that_they_make() {
        use crate::report::encode::properties_body;
        let service =
            |service_id, event_time_ms| Service { event_time_ms, ..Service::new(service_id, r#"{"x":["]}"]}"#) };
        let services = [service("a\"]", None), service("b", Some(1_628_849_410_555)), service("c", None)];
        let body = String::from_utf8(properties_body(&services).unwrap()).unwrap();
        let made = payload_of(None, &services, Place::Device, 1_700_000_000_000).unwrap();
        assert_eq!(made, properties_payload(&body, 1_700_000_000_000));
        let element = format!(r#"{{"device_id":"c",{}"#, &body[1..]);
        let made = payload_of(Some("c"), &services, Place::Child(0), 1_700_000_000_000).unwrap();
        assert_eq!(made, child_payload("c", &element, 1_700_000_000_000));
    }

    #[test]
    fn the_services_are_found_behind_whatever_strings() {
        let object = r#"{"a\"[":"[\\","services":[ {"b":"]\"","c":["[\\"]} ],"d":"]"}"#;
        assert_eq!(services(object), Some(r#"{"b":"]\"","c":["[\\"]}"#));
        for none in ["{}", r#"{"services":"["}"#, r#"{"services":["#] {
            assert_eq!(services(none), None);
        }
    }

    #[test]
    fn the_clock_is_the_sessions_and_an_interruption_ends_what_is_under_way() {
        let session = session(|_, _| {
            Ok(iotda_http::Answer { server_time_ms: Some(1_900_000_000_000), ..answer(200, TOKEN).unwrap() })
        });
        let device = Device::new(Identity::new("d", b"secret").unwrap().into(), SignType::PasswordOnly, None);
        let cancel = CancelToken::new();
        let attached = Attached::new(Arc::new(session), Arc::new(device), cancel.clone());
        assert_eq!(attached.platform_ms(), None);
        assert_eq!(attached.deliver(kind::MESSAGE, b"", None).verdict, Verdict::Delivered);
        assert_eq!(attached.platform_ms(), Some(1_900_000_000_000));
        attached.interrupt();
        assert!(cancel.is_cancelled());
        let ended = attached.deliver(kind::MESSAGE, b"", None);
        assert!(matches!(ended, Ended { verdict: Verdict::Outage { .. }, requests: 0 }), "{ended:?}");
        assert_eq!(milliseconds(Duration::MAX), u64::MAX / 4);
    }

    #[test]
    fn payloads_are_made_of_what_would_be_sent() {
        let body = r#" { "services" : [ {"service_id":"a]\"[","properties":{"x":[1,[2]]}} ] } "#;
        let made = properties_payload(body, 1_628_849_410_555).unwrap();
        let element = r#"{"service_id":"a]\"[","properties":{"x":[1,[2]]},"event_time":"2021-08-13T10:10:10.555Z"}"#;
        assert!(made.starts_with(element.as_bytes()), "{}", String::from_utf8_lossy(&made));
        let child = r#"{"services":[{"service_id":"a","properties":{}}],"device_id":"c"}"#;
        let made = child_payload("c", child, 0).unwrap();
        assert_eq!(&made[..2], b"\x01c");
        assert_eq!(
            hash("deviceId_0001"),
            u64::from_le_bytes(Sha256::digest(b"deviceId_0001")[..8].try_into().unwrap())
        );
    }
}
