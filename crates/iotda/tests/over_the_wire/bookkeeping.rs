//! What a client keeps, counts and logs: saved tokens, counters, one line for each failure.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use iotda::{CallOptions, Client, Config, ErrorKind};
use iotda_platform::{Fault, HandshakeMessage, Stall};

use crate::device::{self, ID, SECRET, at_once, authentications, config, platform};

const OPTIONS: CallOptions = CallOptions::new();

/// Keeps every line.
#[derive(Debug, Default)]
struct Lines(Mutex<Vec<String>>);

impl iotda::Log for Lines {
    fn log(&self, _level: iotda::Level, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

#[test]
fn a_saved_token_that_is_damaged_is_a_warning_and_an_authentication() {
    let platform = platform();
    let client = device::client(&platform);
    client.report_message(b"x", OPTIONS).unwrap();
    let saved = client.export_token().unwrap();
    let cut = &saved[..saved.len() - 3];
    let other = saved.replace(ID, "other");
    for (text, warnings, expected) in [
        (format!("{saved}\n"), 0, 0),
        (cut.to_owned(), 1, 1),
        (saved.replace(' ', "  "), 1, 1),
        (other, 1, 1),
        ("iotda-token-1 gateway_1 99999999999999 t0k3n".to_owned(), 1, 1),
        ("\u{1F600}".to_owned(), 1, 1),
    ] {
        let lines = Arc::new(Lines::default());
        let mut config = config(&platform);
        config.token(&text).unwrap().log(iotda::Level::Warning, Arc::clone(&lines) as Arc<dyn iotda::Log>);
        let before = authentications(&platform);
        let restarted = Client::new(&config).unwrap();
        restarted.report_message(b"y", OPTIONS).unwrap();
        assert_eq!(authentications(&platform) - before, expected, "{text}");
        let lines = lines.0.lock().unwrap();
        assert_eq!(lines.len(), warnings, "{lines:?}");
        assert!(lines.iter().all(|line| line.contains("saved token") && !line.contains(text.trim())), "{lines:?}");
        // The same for a device that is opened.
        let opened = client.open_device_with_token(ID, SECRET, &text).unwrap();
        opened.report_message(b"z", OPTIONS).unwrap();
        assert_eq!(authentications(&platform) - before, 2 * expected, "{text}");
        assert_eq!(opened.tokens_issued(), expected as u64);
    }
}

#[test]
fn nothing_is_counted_that_was_not_sent() {
    // In the handshake, and at a proxy that does not listen. With a token, so that it is the report that meets it.
    let platform = platform();
    let with_token = device::client(&platform);
    with_token.authenticate(OPTIONS).unwrap();
    let mut silent = config(&platform);
    silent.token(&with_token.export_token().unwrap()).unwrap();
    let mut refusing = silent.clone();
    refusing.proxy(&format!("http://{}", iotda_http::fixtures::closed_port())).unwrap();
    platform.inject(Fault::handshake_stall(HandshakeMessage::ClientHello, Stall::ForEver)).unwrap();
    for (mut config, kind) in [(silent, ErrorKind::Timeout), (refusing, ErrorKind::Connect)] {
        config.retry(at_once(2)).unwrap().timeout(Duration::from_millis(300)).unwrap();
        let client = Client::new(&config).unwrap();
        let error = client.report_message(b"x", OPTIONS).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let stats = client.stats();
        assert_eq!((error.attempts(), stats.requests, stats.authentications, stats.body_bytes_sent), (0, 0, 0, 0));
        assert!(!error.may_have_arrived(), "{error}");
    }
}

#[test]
fn an_authentication_from_memory_has_no_status_and_every_new_token_is_counted() {
    let platform = platform();
    let client = device::client(&platform);
    assert_eq!((client.tokens_issued(), client.export_token()), (0, None));
    assert_eq!(client.token_remaining(), None);
    let authenticated = client.authenticate(OPTIONS).unwrap();
    assert_eq!((authenticated.http_status, authenticated.attempts), (200, 0));
    assert_eq!(client.authenticate(OPTIONS).unwrap(), iotda::Delivery::default());
    let saved = client.export_token();
    let lifetime = Duration::from_secs(86_399);
    let remaining = client.token_remaining().unwrap();
    assert!(remaining <= lifetime && remaining > lifetime / 2, "{remaining:?}");
    client.report_message(b"x", OPTIONS).unwrap();
    assert_eq!((client.tokens_issued(), client.export_token()), (1, saved));
    platform.expire_tokens();
    client.report_message(b"x", OPTIONS).unwrap();
    assert_eq!(client.tokens_issued(), 2);
}

#[test]
fn every_failure_is_logged_once_and_names_its_device_once() {
    let platform = platform();
    let lines = Arc::new(Lines::default());
    let mut config = config(&platform);
    config.log(iotda::Level::Error, Arc::clone(&lines) as Arc<dyn iotda::Log>);
    let client = Client::new(&config).unwrap();
    let wrong = client.open_device("device_2", b"not the secret").unwrap();
    let bad = iotda::Service::new("s", "{");
    let errors = [
        client.report_properties(&[bad], OPTIONS).unwrap_err(),
        client.report_properties_json("[]", OPTIONS).unwrap_err(),
        client.report_message(&vec![0; 2_000_000], OPTIONS).unwrap_err(),
        client.report_batch(&[], OPTIONS).unwrap_err().into(),
        client.report_batch_json("", OPTIONS).unwrap_err().into(),
        client.open_device("no id", b"x").map(drop).unwrap_err(),
        client.open_device("device_3", b"").map(drop).unwrap_err(),
        wrong.authenticate(OPTIONS).unwrap_err(),
        wrong.report_message(b"x", OPTIONS).unwrap_err(),
    ];
    let mut incomplete = Config::new();
    incomplete.log(iotda::Level::Error, Arc::clone(&lines) as Arc<dyn iotda::Log>);
    let no_endpoint = Client::new(&incomplete).unwrap_err();
    let lines = lines.0.lock().unwrap();
    assert_eq!(lines.len(), errors.len() + 1, "{lines:#?}");
    for (line, error) in lines.iter().zip(errors.iter().chain([&no_endpoint])) {
        assert!(line.ends_with(error.message()), "{line} of {error}");
        for device in [ID, "device_2", "device_3"] {
            assert!(line.matches(&format!("device \"{device}\"")).count() <= 1, "{line}");
        }
        assert!(error.message().len() < 256, "{error}");
    }
    assert!(errors[7].message().starts_with("check the device's id and secret"), "{}", errors[7]);
}

#[test]
fn reports_can_be_checked_without_sending_them() {
    let service = |properties| iotda::Service::new("s", properties);
    Client::check_properties(&[service(r#"{"a":1}"#)]).unwrap();
    assert_eq!(Client::check_properties(&[service("{")]).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(iotda::limits::BODY_LIMIT));
    assert_eq!(Client::check_properties(&[service(&large)]).unwrap_err().kind(), ErrorKind::TooLarge);
    Client::check_properties_json(r#"{"services":[{"service_id":"s","properties":{}}]}"#).unwrap();
    assert_eq!(Client::check_properties_json("{}").unwrap_err().kind(), ErrorKind::InvalidArgument);
    let child = |device_id, services| iotda::Child::new(device_id, services);
    let (good, bad, large) = ([service("{}")], [service("{")], [service(&large)]);
    let children = [child("a", &good[..]), child("b", &large), child("c c", &good), child("d", &bad), child("e", &[])];
    let report = Client::check_batch(&children).unwrap_err();
    let invalid = Err(ErrorKind::InvalidArgument);
    assert_eq!(report.children(), [Ok(()), Err(ErrorKind::TooLarge), invalid, invalid, invalid]);
    let error = report.error();
    assert!(error.kind() == ErrorKind::TooLarge && error.message().contains("children[1]"), "{error}");
    Client::check_batch(&children[..1]).unwrap();
    assert_eq!(Client::check_batch(&[]).unwrap_err().kind(), ErrorKind::InvalidArgument);
    Client::check_message(b"").unwrap();
    assert_eq!(Client::check_message(&vec![0; 2_000_000]).unwrap_err().kind(), ErrorKind::TooLarge);
}
