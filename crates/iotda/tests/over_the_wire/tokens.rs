//! Access tokens: kept, replaced when refused or old, asked for once however many threads wait.

use std::sync::Arc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use iotda::{CallOptions, Client, Clock, ErrorKind};
use iotda_platform::Platform;

use crate::device::{authentications, client, config, platform, registry, reports};

const OPTIONS: CallOptions = CallOptions::new();

/// Moves when the test says so.
#[derive(Debug)]
struct TestClock {
    monotonic_s: AtomicI64,
}

impl Clock for TestClock {
    fn unix_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        i64::try_from(since.as_millis()).unwrap()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.monotonic_s.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// A platform whose tokens last 1,000 s, and a client whose time the test moves.
fn with_tokens_of_1000_s() -> (Platform, Arc<TestClock>, Client) {
    let lifetime = Duration::from_secs(1000);
    let platform = Platform::builder().registry(registry()).token_lifetime(lifetime).start().unwrap();
    let clock = Arc::new(TestClock { monotonic_s: AtomicI64::new(0) });
    let mut config = config(&platform);
    config.clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let client = Client::new(&config).unwrap();
    (platform, clock, client)
}

/// Fifty threads report a message each, all at once.
fn herd(client: &Client) {
    let together = Barrier::new(50);
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                together.wait();
                client.report_message(b"x", OPTIONS).unwrap();
            });
        }
    });
}

#[test]
fn a_refused_token_is_replaced_once_and_the_report_sent_once_more() {
    let platform = platform();
    let client = client(&platform);
    client.report_message(b"one", OPTIONS).unwrap();
    platform.expire_tokens();
    let delivery = client.report_message(b"two", OPTIONS).unwrap();
    assert_eq!(delivery.attempts, 2);
    assert_eq!(authentications(&platform), 2);
    let statuses: Vec<_> = reports(&platform).iter().map(|request| request.status).collect();
    assert_eq!(statuses, [200, 403, 200]);
}

#[test]
fn a_token_is_renewed_before_it_expires() {
    let (platform, clock, client) = with_tokens_of_1000_s();
    for (now, expected) in [(0, 1), (799, 1), (900, 2), (1699, 2), (1800, 3), (100_000, 4)] {
        clock.monotonic_s.store(now, Ordering::SeqCst);
        client.report_message(b"x", OPTIONS).unwrap();
        assert_eq!(authentications(&platform), expected, "after {now} s");
    }
    assert!(reports(&platform).iter().all(|request| request.status == 200));
}

#[test]
fn fifty_threads_meet_an_expired_token() {
    let platform = platform();
    let client = client(&platform);
    client.authenticate(OPTIONS).unwrap();
    platform.expire_tokens();
    herd(&client);
    assert_eq!(platform.reports().len(), 50);
    assert_eq!(authentications(&platform), 2);
}

#[test]
fn fifty_threads_meet_a_token_that_is_due_for_renewal() {
    // The platform takes the old token for 30 s more: whoever does not authenticate goes on with it.
    let (platform, clock, client) = with_tokens_of_1000_s();
    client.authenticate(OPTIONS).unwrap();
    clock.monotonic_s.store(950, Ordering::SeqCst);
    herd(&client);
    assert_eq!((platform.reports().len(), authentications(&platform)), (50, 2));
    assert!(reports(&platform).iter().all(|request| request.status == 200));
}

#[test]
fn fifty_threads_share_the_first_authentication() {
    let platform = platform();
    let client = client(&platform);
    herd(&client);
    assert_eq!((platform.reports().len(), authentications(&platform)), (50, 1));
}

#[test]
fn a_platform_that_refuses_every_token_ends_the_call() {
    let server = crate::scripted::Scripted::start(|request| match request.target.as_str() {
        "/v5/device-auth" => crate::scripted::token(),
        _ => crate::scripted::answer(403, r#"{"error_code":"IOTDA.000004","error_msg":"Invalid access token."}"#),
    });
    let error = server.client().report_message(b"x", OPTIONS).unwrap_err();
    // The call had authenticated itself: another token would be no better.
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::TokenRejected, 1));
    assert!(error.message().contains("underscore"), "{error}");
    let client = server.client();
    client.authenticate(OPTIONS).unwrap();
    let error = client.report_message(b"x", OPTIONS).unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::TokenRejected, 2));
    assert_eq!(
        server.targets(),
        ["/v5/device-auth", "messages/up", "/v5/device-auth", "messages/up", "/v5/device-auth", "messages/up"]
    );
}

#[test]
fn every_refusal_of_a_token_is_answered_by_one_authentication_and_one_more_report() {
    // As the page has it for messages and batches, from another server, and without a word.
    for (status, body) in [
        (401, r#"{"error_code":"IOTDA.000002","error_msg":"Authentication failed."}"#),
        (401, "<html>Unauthorized</html>"),
        (401, ""),
        (403, r#"{"error_code":"IOTDA.000004","error_msg":"Invalid access token."}"#),
    ] {
        let server = crate::scripted::authenticated(move |request| match request.number {
            2 => crate::scripted::answer(status, body),
            _ => crate::scripted::answer(200, ""),
        });
        let client = server.client();
        client.report_message(b"1", OPTIONS).unwrap();
        assert_eq!(client.report_message(b"2", OPTIONS).unwrap().attempts, 2, "{status} {body}");
        assert_eq!(
            server.targets(),
            ["/v5/device-auth", "messages/up", "messages/up", "/v5/device-auth", "messages/up"],
            "{status} {body}"
        );
    }
}

#[test]
fn a_platform_that_refuses_every_token_is_not_asked_for_one_by_every_report() {
    let server = crate::scripted::authenticated(|_| crate::scripted::answer(401, ""));
    let clock = Arc::new(TestClock { monotonic_s: AtomicI64::new(0) });
    let client = Client::new(server.config().clock(Arc::clone(&clock) as Arc<dyn Clock>)).unwrap();
    for second in 0..20 {
        clock.monotonic_s.store(second, Ordering::SeqCst);
        for _ in 0..10 {
            let error = client.report_message(b"x", OPTIONS).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TokenRejected);
            assert!(error.retry_after().is_some_and(|wait| !wait.is_zero()), "{error}");
        }
    }
    let authentications = server.targets().iter().filter(|target| *target == "/v5/device-auth").count();
    assert_eq!(authentications, 4, "one in five seconds");
}
