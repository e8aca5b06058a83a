//! What one request goes through: paths, tokens that are refused, pace, deadlines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use iotda_http::{Arrived, Kind};

use super::*;
use crate::config::{Identity, SignType};
use crate::delivery::call::CallOptions;
use crate::delivery::fixtures::{answer, authenticated, device, manual_clock, session, token};

const LIMIT_OF_DEVICE: &str = r#"{"error_code":"IOTDA.021101"}"#;
const LIMIT_OF_TENANT: &str = r#"{"error_code":"IOTDA.021102"}"#;
const INVALID_TOKEN: &str = r#"{"error_code":"IOTDA.000004"}"#;

fn call(session: &Session) -> Call {
    Call::start(CallOptions::default(), &session.rules).unwrap()
}

fn send(session: &Session, device: &Device, call: &mut Call) -> Result<u16> {
    deliver(session, device, Target::Message, b"x", call)
}

#[test]
fn the_paths_of_the_three_reports() {
    let device = Device::new(Identity::new("deviceId_0001", b"secret").unwrap().into(), SignType::PasswordOnly, None);
    for (target, expected) in [
        (Target::Properties, "/v5/devices/deviceId_0001/sys/properties/report"),
        (Target::Message, "/v5/devices/deviceId_0001/sys/messages/up"),
        (Target::Batch, "/v5/devices/deviceId_0001/sys/gateway/sub-devices/properties/report"),
    ] {
        assert_eq!(path(&device, target).concat(), expected);
    }
}

#[test]
fn the_faults_of_one_request_are_not_those_of_the_next() {
    // Every tenth request meets one 503, and a request has three attempts.
    let count = AtomicU32::new(0);
    let session = authenticated(move |_, _| match count.fetch_add(1, Ordering::SeqCst) % 10 {
        9 => answer(503, ""),
        _ => answer(200, ""),
    });
    let (device, mut call) = (device(), call(&session));
    for part in 0..200 {
        assert_eq!(send(&session, &device, &mut call).unwrap_or_else(|error| panic!("part {part}: {error}")), 200);
    }
    assert_eq!(call.attempts, 200 + 22);
    assert!(!call.may_have_arrived, "all were delivered");
}

#[test]
fn a_token_refused_in_the_middle_of_a_call_is_replaced_once() {
    let (issued, reports) = (AtomicU32::new(0), AtomicU32::new(0));
    let session = session(move |post, _| match post.token {
        None => token(&format!("token-{}", issued.fetch_add(1, Ordering::SeqCst))),
        // The first is refused from the third request on.
        Some("token-0") if reports.fetch_add(1, Ordering::SeqCst) >= 2 => answer(403, INVALID_TOKEN),
        Some(_) => answer(200, ""),
    });
    let (device, mut call) = (device(), call(&session));
    for _ in 0..10 {
        send(&session, &device, &mut call).unwrap();
    }
    assert_eq!((call.attempts, session.monitor.stats().authentications), (11, 2));
}

#[test]
fn however_many_requests_are_refused_a_device_authenticates_at_most_once_in_some_seconds() {
    // Every token is good for one report: an accepted one does not lift the bar.
    let last = std::sync::Mutex::new(String::new());
    let issued = AtomicU32::new(0);
    let mut session = session(move |post, _| match post.token {
        None => token(&format!("token-{}", issued.fetch_add(1, Ordering::SeqCst))),
        Some(token) if *last.lock().unwrap() == token => answer(401, ""),
        Some(token) => {
            token.clone_into(&mut last.lock().unwrap());
            answer(200, "")
        }
    });
    let clock = manual_clock(&mut session);
    let (device, mut call) = (device(), call(&session));
    let mut delivered = 0;
    for _ in 0..200 {
        match send(&session, &device, &mut call) {
            Ok(_) => delivered += 1,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::TokenRejected);
                assert!(error.retry_after().is_some_and(|wait| !wait.is_zero() && wait <= REPLACE_PAUSE), "{error}");
            }
        }
        // Ten seconds in all.
        clock.advance(Duration::from_millis(50));
    }
    let authentications = session.monitor.stats().authentications;
    assert!((3..=5).contains(&authentications), "{authentications}");
    assert!(delivered >= 3, "{delivered}");
}

#[test]
fn what_may_have_arrived_is_known_of_the_whole_request() {
    let lost = || {
        Err(iotda_http::Error { sent: true, arrived: Arrived::Perhaps, ..iotda_http::Error::new(Kind::Connect, "") })
    };
    let unsent = || Err(iotda_http::Error::new(Kind::Dns, ""));
    let refused = || answer(400, r#"{"error_code":"IOTDA.000006"}"#);
    for (answers, attempts, may_have_arrived) in [
        (vec![unsent(), unsent(), unsent()], 0, false),
        (vec![unsent(), unsent(), lost()], 1, true),
        (vec![lost(), unsent(), unsent()], 1, true),
        (vec![lost(), refused()], 2, true),
        (vec![refused()], 1, false),
        (vec![answer(429, "")], 1, false),
        (vec![answer(503, ""), answer(429, "")], 2, true),
        (vec![answer(503, ""), answer(401, "")], 2, true),
    ] {
        let (next, count) = (AtomicUsize::new(0), answers.len() as u32);
        let mut session = authenticated(move |_, _| answers[next.fetch_add(1, Ordering::SeqCst)].clone());
        session.rules.retry.max_attempts = count;
        let (device, mut call) = (device(), call(&session));
        let error = send(&session, &device, &mut call).unwrap_err();
        assert_eq!((call.attempts, error.may_have_arrived()), (attempts, may_have_arrived), "{error}");
        assert_eq!(call.may_have_arrived, may_have_arrived);
        assert_eq!(session.monitor.stats().requests, u64::from(attempts));
    }
}

/// How long the second of two reports of `bytes` has to wait right after the first, if that is longer than its time.
fn wait_after(session: &Session, device: &Device, bytes: usize) -> Option<Duration> {
    let send = || {
        let options = CallOptions { timeout: Some(Duration::from_millis(100)), cancel: None };
        deliver(session, device, Target::Message, &vec![0; bytes], &mut Call::start(options, &session.rules)?)
    };
    send().unwrap();
    send().err().map(|error| {
        assert_eq!(error.kind(), ErrorKind::RateLimited, "{error}");
        error.retry_after().unwrap()
    })
}

#[test]
fn a_report_counts_by_its_size() {
    for (bytes, seconds) in [(100, 10), (4096, 10), (4097, 20), (40_000, 100)] {
        let mut session = authenticated(|_, _| answer(200, ""));
        manual_clock(&mut session);
        let device = Device::new(device().identity.clone(), SignType::PasswordOnly, Some(0.1));
        assert_eq!(wait_after(&session, &device, bytes), Some(Duration::from_secs(seconds)), "{bytes} bytes");
    }
}

#[test]
fn accepted_reports_raise_the_rate_that_a_refusal_lowered() {
    for limit in [LIMIT_OF_DEVICE, LIMIT_OF_TENANT] {
        let waits: Vec<_> = [0, 40]
            .into_iter()
            .map(|reports| {
                let refused = Arc::new(AtomicU32::new(1));
                let mut session = authenticated(move |_, _| match refused.fetch_add(1, Ordering::SeqCst) {
                    1 => answer(403, limit),
                    _ => answer(200, ""),
                });
                let clock = manual_clock(&mut session);
                session.rules.retry.max_attempts = 1;
                let device = device();
                send(&session, &device, &mut call(&session)).unwrap_err();
                for _ in 0..reports {
                    clock.advance(Duration::from_secs(10));
                    send(&session, &device, &mut call(&session)).unwrap();
                }
                clock.advance(Duration::from_secs(10));
                wait_after(&session, &device, 1).unwrap_or_default()
            })
            .collect();
        assert!(waits[1] < waits[0].mul_f64(0.8), "{limit}: {waits:?}");
    }
}

#[test]
fn a_message_names_what_was_sent() {
    let session = authenticated(|_, _| answer(400, r#"{"error_code":"IOTDA.000006"}"#));
    let device = device();
    for (target, what) in
        [(Target::Properties, "the property report"), (Target::Message, "the message"), (Target::Batch, "the batch")]
    {
        let error = deliver(&session, &device, target, b"{}", &mut call(&session)).unwrap_err();
        assert!(error.message().contains(what), "{error}");
    }
}

/// At the second look of a report that waits, the platform has asked another one of the device for a long pause.
struct Falling {
    device: Arc<Device>,
    looks: AtomicU32,
}

impl std::fmt::Debug for Falling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Falling")
    }
}

impl iotda_http::Clock for Falling {
    fn unix_ms(&self) -> i64 {
        1_600_000_000_000
    }

    fn monotonic(&self) -> Duration {
        let now = Duration::from_secs(1);
        if self.looks.fetch_add(1, Ordering::SeqCst) == 2 {
            let said = Limited { retry_after: Some(Duration::from_secs(1000)), limit: None };
            self.device.pace.limited(now, now, said);
        }
        now
    }
}

#[test]
fn a_report_whose_turn_moves_behind_the_deadline_while_it_waits_ends_at_once() {
    let mut session = authenticated(|_, _| answer(200, ""));
    let device = Arc::new(Device::new(device().identity.clone(), SignType::PasswordOnly, Some(100.0)));
    send(&session, &device, &mut call(&session)).unwrap();
    let clock = Arc::new(Falling { device: Arc::clone(&device), looks: AtomicU32::new(0) });
    session.clock = clock.clone();
    send(&session, &device, &mut call(&session)).unwrap();
    clock.looks.store(1, Ordering::SeqCst);
    let waits = session.monitor.stats().pacing_waits;
    let options = CallOptions { timeout: Some(Duration::from_secs(5)), cancel: None };
    let error = send(&session, &device, &mut Call::start(options, &session.rules).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited, "{error}");
    assert!(error.retry_after() >= Some(Duration::from_secs(1000)), "{error}");
    assert_eq!(session.monitor.stats().pacing_waits, waits + 1, "however often it looked");
}
