//! When a device authenticates, how long that may take, and what is said when it fails.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use iotda_http::{Arrived, Kind};

use super::*;
use crate::config::Identity;
use crate::delivery::call::CallOptions;
use crate::delivery::fixtures::{answer, device, lines, manual_clock, session, token as issue};

fn call(session: &Session, timeout: Option<Duration>) -> Call {
    Call::start(CallOptions { timeout, cancel: None }, &session.rules).unwrap()
}

fn text(session: &Session, device: &Device, timeout: Option<Duration>) -> Result<String> {
    let token = token(session, device, &call(session, timeout), &mut Request::default())?;
    Ok(token.text().to_owned())
}

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
    for near in [-1_799_999, -1_000_000, 0, 1_799_999] {
        assert_eq!(clock_hint(refused(), near, 0).message(), "refused");
    }
    assert!(clock_hint(refused(), 1_800_000, 0).message().starts_with("set the clock"));
    let other = Error::new(ErrorKind::Server, "busy");
    assert_eq!(clock_hint(other, 7_200_000, 0).message(), "busy", "the clock was not why");
    let hint = clock_hint(refused(), 7_200_000, 0).to_string();
    assert!(hint.starts_with("set the clock") && hint.contains("is 7200 s ahead of this machine's"), "{hint}");
    let hint = clock_hint(refused(), 0, 7_200_000).to_string();
    assert!(hint.contains("is 7200 s behind this machine's"), "{hint}");
}

#[test]
fn devices_that_start_together_do_not_renew_their_tokens_together() {
    let mut session = session(|_, _| issue("t0k3n"));
    let clock = manual_clock(&mut session);
    let devices: Vec<_> = (0..40).map(|_| device()).collect();
    for device in &devices {
        text(&session, device, None).unwrap();
    }
    // The expiry is 86399 s away; they renew between 600 s and 300 s before it. Half of that time is over here.
    clock.advance(Duration::from_secs(86_399 - 450));
    for device in &devices {
        text(&session, device, None).unwrap();
    }
    let renewed = devices.iter().filter(|device| device.token.issued() == 2).count();
    assert!((1..40).contains(&renewed), "{renewed} of 40");
}

/// A session whose first token is due to be renewed, and whose later authentications `platform` answers.
fn due(
    platform: impl Fn(&Bounds<'_>) -> iotda_http::Result<iotda_http::Answer> + Send + Sync + 'static,
) -> (Session, Device) {
    let count = AtomicUsize::new(0);
    let mut session = session(move |_, bounds| match count.fetch_add(1, Ordering::SeqCst) {
        0 => issue("old"),
        _ => platform(bounds),
    });
    let clock = manual_clock(&mut session);
    let device = device();
    text(&session, &device, None).unwrap();
    clock.advance(Duration::from_secs(86_399 - 10));
    (session, device)
}

#[test]
fn a_refresh_that_fails_is_tried_once_and_the_old_token_goes_on() {
    for failure in [answer(503, ""), answer(401, ""), Err(iotda_http::Error::new(Kind::Connect, "closed"))] {
        let (mut session, device) = due(move |_| failure.clone());
        let lines = lines(&mut session);
        // So long that the test would not end.
        session.rules.retry.base_delay = Duration::from_secs(80_000);
        session.rules.retry.max_delay = Duration::from_secs(80_000);
        for _ in 0..3 {
            assert_eq!(text(&session, &device, None).unwrap(), "old");
        }
        let stats = session.monitor.stats();
        assert!(stats.authentications <= 1 && stats.retries == 0, "{stats:?}");
        let lines = lines.0.lock().unwrap();
        assert_eq!(lines.iter().filter(|line| line.contains("goes on with its token")).count(), 1, "{lines:?}");
    }
}

#[test]
fn a_refresh_may_take_a_tenth_of_the_calls_time_and_two_seconds_at_most() {
    for (timeout, most) in [(10, 1), (100, 2), (1_000_000, 2)] {
        let (session, device) = due(move |bounds| {
            let left = bounds.deadline.unwrap().saturating_duration_since(Instant::now());
            assert!(left <= Duration::from_secs(most), "{left:?} of {timeout} s");
            Err(iotda_http::Error { sent: true, ..iotda_http::Error::new(Kind::Timeout, "silent") })
        });
        assert_eq!(text(&session, &device, Some(Duration::from_secs(timeout))).unwrap(), "old");
        assert_eq!(session.monitor.stats().authentications, 2);
    }
}

#[test]
fn an_authentication_that_is_needed_has_the_whole_time_and_is_retried() {
    let count = AtomicUsize::new(0);
    let session = session(move |_, bounds| {
        assert!(bounds.deadline.unwrap() > Instant::now() + Duration::from_secs(40));
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => answer(503, ""),
            1 => answer(403, r#"{"error_code":"IOTDA.021102"}"#),
            _ => issue("t0k3n"),
        }
    });
    assert_eq!(text(&session, &device(), None).unwrap(), "t0k3n");
    assert_eq!((session.monitor.stats().authentications, session.monitor.stats().retries), (3, 2));
}

#[test]
fn a_leader_without_time_leaves_the_authentication_to_a_waiter_with_time() {
    let device = device();
    for failure in [
        answer(503, ""),
        answer(429, ""),
        Err(iotda_http::Error::new(Kind::Timeout, "over")),
        Err(iotda_http::Error::new(Kind::Dns, "no answer")),
        Err(iotda_http::Error::new(Kind::Cancelled, "cancelled")),
    ] {
        let (asked, is_asked) = std::sync::mpsc::channel();
        let (fail, may_fail) = std::sync::mpsc::channel();
        let (asked, may_fail, count) = (Mutex::new(asked), Mutex::new(may_fail), AtomicUsize::new(0));
        let mut session = session(move |_, _| match count.fetch_add(1, Ordering::SeqCst) {
            0 => {
                asked.lock().unwrap().send(()).unwrap();
                may_fail.lock().unwrap().recv().unwrap();
                failure.clone()
            }
            _ => issue("t0k3n"),
        });
        session.rules.retry.max_attempts = 1;
        let device = Device::new(device.identity.clone(), device.sign_type, None);
        thread::scope(|scope| {
            let leader = scope.spawn(|| text(&session, &device, None));
            is_asked.recv().unwrap();
            let waiters: Vec<_> = (0..10).map(|_| scope.spawn(|| text(&session, &device, None))).collect();
            while device.token.waiting.load(Ordering::SeqCst) < waiters.len() {
                thread::yield_now();
            }
            fail.send(()).unwrap();
            leader.join().unwrap().unwrap_err();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap().unwrap(), "t0k3n");
            }
        });
        assert_eq!(device.token.issued(), 1);
    }
}

#[test]
fn what_an_authentication_met_says_nothing_about_a_report() {
    for failure in [
        answer(400, r#"{"error_code":"IOTDA.000006","error_msg":"Invalid input data."}"#),
        answer(407, "<html>"),
        answer(413, ""),
        answer(503, ""),
        Err(iotda_http::Error { sent: true, arrived: Arrived::Perhaps, ..iotda_http::Error::new(Kind::Connect, "x") }),
    ] {
        let session = session(move |_, _| failure.clone());
        let error = text(&session, &device(), None).unwrap_err();
        assert!(error.is_transient() && !error.may_have_arrived(), "{error}");
        assert!(!error.message().contains("product model"), "{error}");
    }
}

#[test]
fn what_was_sent_is_never_shown() {
    // The answer repeats the whole request, and the secret, in several ways.
    let seen = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&seen);
    let mut session = session(move |post, _| {
        let body = String::from_utf8(post.body.to_vec()).unwrap();
        kept.lock().unwrap().clone_from(&body);
        let password = body.split('"').find(|word| word.len() == 64).unwrap();
        let text = format!("{} s3cr3t-of-device-1 {} {}", body.replace('"', "\\\""), password.to_uppercase(), password);
        answer(401, &format!(r#"{{"error_code":"IOTDA.000002","error_msg":"{text}"}}"#))
    });
    let lines = lines(&mut session);
    let error = text(&session, &device(), None).unwrap_err();
    let password = seen.lock().unwrap().split('"').find(|word| word.len() == 64).unwrap().to_owned();
    for line in lines.0.lock().unwrap().iter().chain([&format!("{error:?}")]) {
        let line = line.to_lowercase();
        assert!(!line.contains(&password[..16]) && !line.contains("s3cr3t"), "{line}");
    }
    assert!(error.message().contains("***"), "{error}");
}

#[test]
fn only_where_the_time_is_checked_the_clock_is_pointed_to() {
    for (sign_type, is_pointed_to) in [(SignType::PasswordAndTime, true), (SignType::PasswordOnly, false)] {
        let session = session(|_, _| {
            let refused = answer(401, r#"{"error_code":"IOTDA.000002"}"#).unwrap();
            Ok(iotda_http::Answer { server_time_ms: Some(1_700_000_000_000), ..refused })
        });
        let device = Device::new(Identity::new("d", b"secret").unwrap().into(), sign_type, None);
        let error = text(&session, &device, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AuthFailed);
        assert_eq!(error.message().contains("clock"), is_pointed_to, "{error}");
    }
}
