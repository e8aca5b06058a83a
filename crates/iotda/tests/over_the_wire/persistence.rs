//! Transient failures are retried, within the call's time and the policy's bounds, and never made worse.

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use iotda::{CallOptions, CancelToken, Client, Clock, Config, ErrorKind, RetryPolicy, SystemClock};
use iotda_platform::Platform;

use crate::device::{self, ID, SECRET, at_once, authentications, config, platform};
use crate::scripted::{Reply, Scripted, answer, authenticated, token};

const OPTIONS: CallOptions = CallOptions::new();

const LIMITED: &str = r#"{"error_code":"IOTDA.021101","error_msg":"Request reached the maximum rate limit."}"#;

fn client(server: &Scripted, retry: RetryPolicy) -> Client {
    let mut config = server.config();
    config.retry(retry).unwrap();
    Client::new(&config).unwrap()
}

#[test]
fn faults_that_pass_are_outlasted() {
    for reply in [
        || answer(500, ""),
        || answer(502, "<html>"),
        || answer(429, ""),
        || Reply::SendAndClose(Vec::new()),
        || Reply::SendAndClose(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()),
    ] {
        let server = authenticated(move |request| if request.number < 4 { reply() } else { answer(200, "") });
        let delivery = client(&server, at_once(10)).report_message(b"x", OPTIONS).unwrap();
        assert!(delivery.attempts >= 4, "{delivery:?}");
        assert_eq!(server.targets().iter().filter(|target| *target == "/v5/device-auth").count(), 1);
    }
}

#[test]
fn permanent_failures_are_not_retried() {
    for (status, code, kind) in [
        (400, "IOTDA.000006", ErrorKind::Rejected),
        (401, "IOTDA.000002", ErrorKind::TokenRejected),
        (403, "IOTDA.000004", ErrorKind::TokenRejected),
        (403, "IOTDA.021105", ErrorKind::TooLarge),
    ] {
        let server = authenticated(move |_| answer(status, &format!(r#"{{"error_code":"{code}"}}"#)));
        let error = client(&server, at_once(10)).report_message(b"x", OPTIONS).unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (kind, 1));
    }
}

#[test]
fn attempts_are_bounded_and_the_wait_is_told() {
    let server = authenticated(|_| answer(403, LIMITED));
    let mut config = server.config();
    config.retry(at_once(3)).unwrap().rates(None, None).unwrap();
    let error = Client::new(&config).unwrap().report_message(b"x", OPTIONS).unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::RateLimited, 3));
    assert!(error.retry_after().is_some());
    assert_eq!(server.targets().iter().filter(|target| *target == "/v5/device-auth").count(), 1);
}

#[test]
fn a_rate_limited_authentication_is_tried_a_bounded_number_of_times() {
    let server = Scripted::start(|_| answer(403, LIMITED));
    let error = client(&server, at_once(4)).report_message(b"x", OPTIONS).unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::RateLimited, 0));
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_rate_limit_that_lifts_lets_the_report_through() {
    let platform = platform();
    platform.set_device_rate(ID, Some(1)).unwrap();
    let mut config = config(&platform);
    config
        .retry(
            RetryPolicy::new()
                .max_attempts(50)
                .base_delay(Duration::from_millis(50))
                .max_delay(Duration::from_millis(200)),
        )
        .unwrap();
    let client = Client::new(&config).unwrap();
    for _ in 0..3 {
        client.report_message(b"x", OPTIONS).unwrap();
    }
    assert_eq!(platform.reports().len(), 3);
    assert_eq!(authentications(&platform), 1);
    assert!(client.stats().pacing_waits > 0 || client.stats().retries == 0, "{:?}", client.stats());
}

#[test]
fn a_known_rate_never_meets_the_limit() {
    let platform = platform();
    platform.set_device_rate(ID, Some(100)).unwrap();
    let mut config = config(&platform);
    config.rates(Some(90.0), None).unwrap();
    let client = Client::new(&config).unwrap();
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    client.report_message(b"x", OPTIONS).unwrap();
                }
            });
        }
    });
    assert!(device::reports(&platform).iter().all(|request| request.status == 200));
    // However slow the machine is: the last of 40 reports is not due earlier, but for what may be sent at once.
    assert!(begin.elapsed() >= Duration::from_millis(1000 * 30 / 90), "{:?}", begin.elapsed());
}

#[test]
fn a_report_that_is_not_due_within_its_time_is_refused_with_the_wait() {
    let platform = platform();
    let mut config = config(&platform);
    config.rates(Some(0.01), None).unwrap();
    let client = Client::new(&config).unwrap();
    client.report_message(b"x", OPTIONS).unwrap();
    let error = client.report_message(b"y", OPTIONS).unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::RateLimited, 0));
    assert!(error.retry_after().unwrap() > Duration::from_secs(60));
}

#[test]
fn a_tenants_limit_slows_all_its_devices() {
    let limited = Arc::new(AtomicBool::new(true));
    let once = Arc::clone(&limited);
    let server = authenticated(move |_| match once.swap(false, Ordering::SeqCst) {
        true => answer(403, r#"{"error_code":"IOTDA.021102","error_msg":"limit 1."}"#),
        false => answer(200, ""),
    });
    let first = server.client();
    let second = first.open_device("device", b"secret").unwrap();
    assert_eq!(first.report_message(b"x", OPTIONS).unwrap_err().platform_code(), Some("IOTDA.021102"));
    // The other device never met the limit, and is still held back: its time is too short for the pace.
    let short = CallOptions::new().timeout(Duration::from_millis(300));
    let error = second.report_message(b"y", short).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(server.targets().iter().filter(|target| *target == "messages/up").count(), 1);
}

/// A client that may report once in 100 s, and has.
fn paced(server: &Scripted, attempts: u32) -> Client {
    let mut config = server.config();
    config.retry(at_once(attempts)).unwrap().rates(Some(0.01), None).unwrap();
    Client::new(&config).unwrap()
}

/// Waits until a call of this client waits for the pace.
fn until_it_waits(client: &Client) {
    while client.stats().pacing_waits == 0 {
        thread::yield_now();
    }
}

#[test]
fn a_turn_that_comes_too_late_keeps_what_the_platform_said() {
    let server = authenticated(|_| answer(403, LIMITED));
    let error = paced(&server, 5).report_message(b"x", OPTIONS).unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::RateLimited, 1));
    assert_eq!((error.http_status(), error.platform_code()), (Some(403), Some("IOTDA.021101")));
    assert!(error.retry_after().unwrap() > Duration::from_secs(60));
}

#[test]
fn the_last_refusal_says_when_the_next_report_is_due() {
    let server = authenticated(|_| answer(403, LIMITED));
    let error = paced(&server, 1).report_message(b"x", OPTIONS).unwrap_err();
    let wait = error.retry_after().unwrap();
    assert!(wait > Duration::from_secs(90) && wait <= Duration::from_secs(100), "{wait:?}");
}

#[test]
fn a_large_report_counts_as_often_as_the_platform_counts_it() {
    let server = authenticated(|_| answer(200, ""));
    let client = paced(&server, 1);
    client.report_message(&[b'x'; 3 * 4096], OPTIONS).unwrap();
    let wait = client.report_message(b"next", OPTIONS).unwrap_err().retry_after().unwrap();
    assert!(wait > Duration::from_secs(250) && wait <= Duration::from_secs(300), "{wait:?}");
}

#[test]
fn a_retry_after_holds_the_other_reports_of_the_device_too() {
    let server = authenticated(|_| {
        let head = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3000\r\nContent-Length: 0\r\n\r\n";
        Reply::Send(head.as_bytes().to_vec())
    });
    let client = client(&server, at_once(1));
    client.report_message(b"x", OPTIONS).unwrap_err();
    let error = client.report_message(b"y", OPTIONS).unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::RateLimited, 0));
    assert!(error.retry_after().unwrap() > Duration::from_secs(2000));
}

#[test]
fn a_call_that_is_cancelled_while_it_waits_gives_its_turn_back() {
    let server = authenticated(|_| answer(200, ""));
    let client = paced(&server, 1);
    client.report_message(b"sent", OPTIONS).unwrap();
    let cancel = CancelToken::new();
    let options = CallOptions::new().timeout(Duration::from_secs(86_400)).cancel(&cancel);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| client.report_message(b"cancelled", options));
        until_it_waits(&client);
        cancel.cancel();
        assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    });
    let wait = client.report_message(b"next", OPTIONS).unwrap_err().retry_after().unwrap();
    assert!(wait <= Duration::from_secs(100), "{wait:?}");
}

/// The system's clock, and as many hours more.
#[derive(Debug, Default)]
struct Ahead(AtomicU64);

impl Clock for Ahead {
    fn unix_ms(&self) -> i64 {
        SystemClock.unix_ms()
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic() + Duration::from_secs(3600 * self.0.load(Ordering::SeqCst))
    }
}

#[test]
fn a_token_that_expires_during_the_wait_is_not_used() {
    let server = authenticated(|_| answer(200, ""));
    let clock = Arc::new(Ahead::default());
    let mut config = server.config();
    config.retry(at_once(1)).unwrap().rates(Some(0.01), None).unwrap().clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let client = Client::new(&config).unwrap();
    client.report_message(b"before", OPTIONS).unwrap();
    thread::scope(|scope| {
        let options = CallOptions::new().timeout(Duration::from_secs(86_400));
        let waiting = scope.spawn(|| client.report_message(b"after", options));
        until_it_waits(&client);
        clock.0.store(48, Ordering::SeqCst);
        waiting.join().unwrap().unwrap();
    });
    let targets = server.targets();
    assert_eq!(targets, ["/v5/device-auth", "messages/up", "/v5/device-auth", "messages/up"]);
}

/// Accepts connections and never says a word.
fn silent() -> (Config, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = Config::new();
    config.endpoint(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
    config.device(ID, SECRET).unwrap().ca_pem(platform().ca_pem().as_bytes()).unwrap();
    (config, listener)
}

#[test]
fn a_silent_server_is_left_after_each_attempt_and_at_the_deadline() {
    let (mut config, listener) = silent();
    config.retry(at_once(100)).unwrap().timeout(Duration::from_millis(500)).unwrap();
    config.attempt_timeout(Duration::from_millis(100)).unwrap();
    let start = Instant::now();
    let error = Client::new(&config).unwrap().report_message(b"x", OPTIONS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(start.elapsed() >= Duration::from_millis(400), "every attempt was made");
    listener.set_nonblocking(true).unwrap();
    let connections = listener.incoming().take_while(Result::is_ok).count();
    assert!((2..=6).contains(&connections), "{connections}");
}

#[test]
fn a_call_can_be_cancelled_wherever_it_waits() {
    let never = CallOptions::new().timeout(Duration::from_secs(86_400));
    let patient = RetryPolicy::new()
        .max_attempts(u32::MAX)
        .base_delay(Duration::from_secs(80_000))
        .max_delay(Duration::from_secs(80_000));
    // In the handshake.
    let (mut config, listener) = silent();
    config.attempt_timeout(Duration::from_secs(86_400)).unwrap().connect_timeout(Duration::from_secs(86_400)).unwrap();
    let cancel = CancelToken::new();
    let options = never.clone().cancel(&cancel);
    let client = Client::new(&config).unwrap();
    thread::scope(|scope| {
        let call = scope.spawn(|| client.report_message(b"x", options));
        let (mut socket, _) = listener.accept().unwrap();
        socket.read_exact(&mut [0; 1]).unwrap();
        cancel.cancel();
        assert_eq!(call.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    });

    // While the answer is awaited, and in the pause before the next attempt.
    for status in [0, 503] {
        let (asked, seen) = std::sync::mpsc::channel();
        let hold = std::sync::Mutex::new(asked);
        let release = Arc::new(std::sync::Barrier::new(2));
        let released = Arc::clone(&release);
        let server = Scripted::start(move |request| match request.target.as_str() {
            "/v5/device-auth" => token(),
            _ => {
                hold.lock().unwrap().send(()).unwrap();
                if status == 0 {
                    released.wait();
                }
                answer(status, "")
            }
        });
        let mut config = server.config();
        config.retry(patient).unwrap().attempt_timeout(Duration::from_secs(86_400)).unwrap();
        let client = Client::new(&config).unwrap();
        let cancel = CancelToken::new();
        let options = never.clone().cancel(&cancel);
        thread::scope(|scope| {
            let call = scope.spawn(|| client.report_message(b"x", options));
            seen.recv().unwrap();
            cancel.cancel();
            assert_eq!(call.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
        });
        if status == 0 {
            release.wait();
        }
        // The client is as good as before; a cancelled token stays cancelled.
        let again = never.clone().cancel(&cancel);
        assert_eq!(client.report_message(b"x", again).unwrap_err().kind(), ErrorKind::Cancelled);
    }
}

#[test]
fn a_saved_token_spares_the_authentication() {
    let platform = platform();
    let saved = {
        let client = device::client(&platform);
        assert_eq!(client.export_token(), None);
        client.report_message(b"x", OPTIONS).unwrap();
        client.export_token().unwrap()
    };
    let mut config = config(&platform);
    config.token(&saved).unwrap();
    let client = Client::new(&config).unwrap();
    client.report_message(b"y", OPTIONS).unwrap();
    assert_eq!(authentications(&platform), 1);
    // A saved token that the platform no longer takes is replaced like any other.
    platform.expire_tokens();
    client.report_message(b"z", OPTIONS).unwrap();
    assert_eq!(authentications(&platform), 2);
}

#[test]
fn a_thousand_devices_from_eight_threads() {
    let mut registry = device::registry();
    for n in 0..1000 {
        registry.add_device(iotda_platform::Device::new(format!("d{n}")).with_secret("s")).unwrap();
    }
    let platform = Platform::builder().registry(registry).start().unwrap();
    let client = device::client(&platform);
    thread::scope(|scope| {
        for worker in 0..8 {
            let client = &client;
            scope.spawn(move || {
                for n in (worker..1000).step_by(8) {
                    let device = client.open_device(&format!("d{n}"), b"s").unwrap();
                    device.report_message(b"x", OPTIONS).unwrap();
                }
            });
        }
    });
    assert_eq!((platform.reports().len(), authentications(&platform)), (1000, 1000));
    assert!(platform.counters().connections <= 8);
}

#[test]
fn connections_are_kept_as_many_and_as_long_as_configured() {
    for (kept, for_time, expected) in
        [(0, Duration::from_secs(55), 4), (8, Duration::ZERO, 4), (1, Duration::from_secs(55), 1)]
    {
        let platform = platform();
        let mut config = config(&platform);
        config.kept_connections(kept, for_time).tcp_keepalive(Some(Duration::from_secs(60)));
        let client = Client::new(&config).unwrap();
        for _ in 0..3 {
            client.report_message(b"x", OPTIONS).unwrap();
        }
        assert_eq!(platform.counters().connections, expected, "{kept} kept for {for_time:?}");
    }
}

#[test]
fn the_platforms_time_is_told_once_it_has_answered() {
    let platform = platform();
    let client = device::client(&platform);
    assert_eq!(client.server_time_ms(), None);
    client.authenticate(OPTIONS).unwrap();
    let apart = (client.server_time_ms().unwrap() - platform.now_ms()).abs();
    assert!(apart < 60_000, "{apart} ms");
}

#[test]
fn a_refusal_with_the_time_checked_points_to_the_clock() {
    let platform = platform();
    platform.set_time(std::time::SystemTime::now() + Duration::from_secs(7200));
    let mut config = config(&platform);
    config.sign_type(iotda::SignType::PasswordAndTime);
    let error = Client::new(&config).unwrap().authenticate(OPTIONS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthFailed);
    assert!(error.message().contains("ahead of this machine's"), "{error}");
}

/// Keeps every line.
#[derive(Debug, Default)]
struct Lines(std::sync::Mutex<Vec<String>>);

impl iotda::Log for Lines {
    fn log(&self, _level: iotda::Level, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

#[test]
fn nothing_secret_is_ever_told() {
    // A server that repeats what it was sent, as careless proxies do.
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let passwords = Arc::clone(&seen);
    let server = Scripted::start(move |request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        match (request.target.as_str(), request.number) {
            ("/v5/device-auth", 0) => {
                passwords.lock().unwrap().push(body);
                answer(500, "")
            }
            ("/v5/device-auth", _) => token(),
            (_, number) if number % 2 == 0 => answer(500, "t".repeat(32).as_str()),
            _ => answer(
                400,
                &format!(
                    r#"{{"error_code":"IOTDA.000006","error_msg":"bad header access_token: {}"}}"#,
                    "t".repeat(32)
                ),
            ),
        }
    });
    let lines = Arc::new(Lines::default());
    let mut config = server.config();
    config.retry(at_once(5)).unwrap().log(iotda::Level::Debug, Arc::clone(&lines) as Arc<dyn iotda::Log>);
    let client = Client::new(&config).unwrap();
    let mut shown = vec![format!("{client:?} {config:?}")];
    for _ in 0..4 {
        let error = client.report_message(b"x", OPTIONS).unwrap_err();
        shown.push(format!("{error} {error:?}"));
    }
    shown.extend(lines.0.lock().unwrap().iter().cloned());
    assert!(shown.len() > 10, "{shown:?}");
    let auth = seen.lock().unwrap()[0].clone();
    let password = auth.split('"').find(|word| word.len() == 64).unwrap().to_owned();
    for line in &shown {
        for secret in [&*password, &"t".repeat(32), "\"secret\""] {
            assert!(!line.contains(secret), "{line}");
        }
    }
}
