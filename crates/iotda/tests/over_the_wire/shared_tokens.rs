//! Tokens that several processes share: handed on, given up for a newer one, and asked for by the program alone. A
//! process is a client of its own here.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use iotda::{CallOptions, Child, Client, Clock, Config, Error, ErrorKind, Service};
use iotda_platform::Platform;

use crate::device::{self, ID, SECRET, authentications, config, count, platform, registry, reports};
use crate::scratch::Scratch;

const OPTIONS: CallOptions = CallOptions::new();

/// Keeps each token that is issued, with its device.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<(String, String)>>>);

impl Kept {
    fn of(config: &mut Config) -> Self {
        let kept = Kept::default();
        let into = Arc::clone(&kept.0);
        config.on_token(move |device, saved| into.lock().unwrap().push((device.to_owned(), saved.to_owned())));
        kept
    }

    fn take(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A client that authenticates only when it is asked to.
fn when_asked(platform: &Platform) -> Client {
    Client::new(config(platform).authenticate_when_asked(true)).unwrap()
}

fn is_refused(result: Result<iotda::Delivery, Error>, http_status: Option<u16>) -> Error {
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.http_status()), (ErrorKind::TokenRejected, http_status), "{error}");
    assert!(error.message().starts_with("authenticate (iotda_auth) or import a token"), "{error}");
    assert!(error.is_transient() && error.message().len() < 256, "{error}");
    error
}

#[test]
fn a_token_serves_in_another_process_and_a_wrong_one_changes_nothing() {
    let (platform, elsewhere) = (platform(), platform());
    let first = device::client(&platform);
    first.authenticate(OPTIONS).unwrap();
    let saved = first.export_token().unwrap();

    let second = device::client(&platform);
    second.import_token(&format!("{saved}\n")).unwrap();
    second.report_message(b"x", OPTIONS).unwrap();
    assert_eq!((authentications(&platform), second.tokens_issued()), (1, 0));

    let other_device = second.open_device("device_2", b"second-secret").unwrap();
    other_device.authenticate(OPTIONS).unwrap();
    let other_platform = device::client(&elsewhere);
    other_platform.authenticate(OPTIONS).unwrap();
    for (text, why) in [
        (String::new(), "is not one that this version exported"),
        ("\u{1F600}".to_owned(), "is not one"),
        (saved[..saved.len() - 2].to_owned(), "is cut off or damaged"),
        (saved.replace(ID, "device_2"), "is cut off or damaged"),
        (other_device.export_token().unwrap(), "belongs to another device"),
        (other_platform.export_token().unwrap(), "was issued at another endpoint"),
    ] {
        let error = second.import_token(&text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let token = text.rsplit(' ').next().unwrap();
        assert!(error.message().contains(why) && (token.is_empty() || !error.message().contains(token)), "{error}");
        assert_eq!(second.export_token().as_ref(), Some(&saved), "{why}");
    }
    second.report_message(b"y", OPTIONS).unwrap();
    assert_eq!(reports(&platform).len(), 2);
}

/// A clock whose day the test sets.
#[derive(Debug, Default)]
struct Days(AtomicI64);

impl Clock for Days {
    fn unix_ms(&self) -> i64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        now.as_millis() as i64 + self.0.load(Ordering::SeqCst) * 86_400_000
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(86_400 * (1 + self.0.load(Ordering::SeqCst)).unsigned_abs())
    }
}

#[test]
fn an_expired_token_is_not_imported() {
    let platform = platform();
    let first = device::client(&platform);
    first.authenticate(OPTIONS).unwrap();
    let saved = first.export_token().unwrap();
    let clock = Arc::new(Days::default());
    let second = Client::new(config(&platform).clock(Arc::clone(&clock) as Arc<dyn Clock>)).unwrap();
    second.import_token(&saved).unwrap();
    clock.0.store(1, Ordering::SeqCst);
    let error = second.import_token(&saved).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains("has expired"), "{error}");
    assert_eq!(second.export_token(), None);
}

#[test]
fn each_token_that_is_issued_is_given_to_the_program_and_no_other() {
    let platform = platform();
    let mut with_callback = config(&platform);
    let kept = Kept::of(&mut with_callback);
    let client = Client::new(&with_callback).unwrap();
    let device = client.open_device("device_2", b"second-secret").unwrap();
    client.report_message(b"x", OPTIONS).unwrap();
    device.authenticate(OPTIONS).unwrap();
    let saved = |client: &Client| (client.device_id().to_owned(), client.export_token().unwrap());
    assert_eq!(kept.take(), [saved(&client), saved(&device)]);
    // From memory, or imported: nothing new.
    client.authenticate(OPTIONS).unwrap();
    device.import_token(&saved(&device).1).unwrap();
    device.report_message(b"y", OPTIONS).unwrap();
    let third = client.open_device_with_token(ID, SECRET, &saved(&client).1).unwrap();
    third.report_message(b"z", OPTIONS).unwrap();
    assert_eq!((kept.take(), authentications(&platform)), (vec![], 2));
    // Replaced, because the platform refused the old one.
    platform.expire_tokens();
    client.report_message(b"x", OPTIONS).unwrap();
    assert_eq!(kept.take(), [saved(&client)]);
    let wrong = client.open_device("device_2", b"wrong").unwrap();
    wrong.authenticate(OPTIONS).unwrap_err();
    assert_eq!(kept.take(), []);
}

#[test]
fn the_callback_can_hand_the_token_on_to_another_client() {
    let platform = platform();
    let second = device::client(&platform);
    let other = second.clone();
    let mut config = config(&platform);
    config.on_token(move |_, saved| other.import_token(saved).unwrap());
    Client::new(&config).unwrap().authenticate(OPTIONS).unwrap();
    second.report_message(b"x", OPTIONS).unwrap();
    assert_eq!(authentications(&platform), 1);
}

#[test]
fn where_only_the_program_authenticates_a_report_without_a_token_sends_nothing() {
    let platform = platform();
    let client = when_asked(&platform);
    let services = [Service::new("s", "{}")];
    let child = Child::new("child", &services);
    for _ in 0..3 {
        is_refused(client.report_message(b"x", OPTIONS), None);
        is_refused(client.report_properties(&services, OPTIONS), None);
        let batch = client.report_batch(&[child], OPTIONS).unwrap_err();
        assert_eq!(batch.children(), [Err(ErrorKind::TokenRejected)]);
        assert_eq!(batch.kind(), ErrorKind::TokenRejected);
    }
    let opened = client.open_device("device_2", b"second-secret").unwrap();
    is_refused(opened.report_message(b"x", OPTIONS), None);
    assert_eq!((platform.requests().len(), client.stats().requests), (0, 0));
    client.authenticate(OPTIONS).unwrap();
    client.report_message(b"x", OPTIONS).unwrap();
    is_refused(opened.report_message(b"x", OPTIONS), None);
    assert_eq!((authentications(&platform), reports(&platform).len()), (1, 1));
}

#[test]
fn a_process_that_was_replaced_is_refused_until_it_is_given_the_newer_token() {
    let platform = platform();
    let (old, new) = (when_asked(&platform), when_asked(&platform));
    old.authenticate(OPTIONS).unwrap();
    old.report_message(b"old", OPTIONS).unwrap();
    // The other process takes the device over; the platform's grace for the older token is over.
    platform.expire_tokens();
    new.authenticate(OPTIONS).unwrap();
    let error = is_refused(old.report_message(b"x", OPTIONS), Some(403));
    assert_eq!(error.attempts(), 1);
    assert!(!error.may_have_arrived(), "{error}");
    for _ in 0..3 {
        is_refused(old.report_message(b"x", OPTIONS), None);
    }
    assert_eq!((authentications(&platform), count(&platform, "/up")), (2, 2));
    old.import_token(&new.export_token().unwrap()).unwrap();
    old.report_message(b"old again", OPTIONS).unwrap();
    new.report_message(b"new", OPTIONS).unwrap();
    // It can take the device back, at once.
    platform.expire_tokens();
    is_refused(old.report_message(b"x", OPTIONS), Some(403));
    old.authenticate(OPTIONS).unwrap();
    old.report_message(b"old", OPTIONS).unwrap();
    assert_eq!(authentications(&platform), 3);
}

#[test]
fn where_only_the_program_authenticates_no_token_is_renewed_ahead() {
    let lifetime = Duration::from_secs(2 * 86_400);
    let platform = Platform::builder().registry(registry()).token_lifetime(lifetime).start().unwrap();
    let clock = Arc::new(Days::default());
    let mut config = config(&platform);
    config.authenticate_when_asked(true).clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let client = Client::new(&config).unwrap();
    client.authenticate(OPTIONS).unwrap();
    for day in [0, 1] {
        clock.0.store(day, Ordering::SeqCst);
        client.report_message(b"x", OPTIONS).unwrap();
    }
    clock.0.store(2, Ordering::SeqCst);
    is_refused(client.report_message(b"x", OPTIONS), None);
    assert_eq!((authentications(&platform), reports(&platform).len()), (1, 2));
    client.authenticate(OPTIONS).unwrap();
    assert_eq!(authentications(&platform), 2);
}

#[test]
fn an_outbox_waits_for_a_token_and_delivers_with_the_one_that_comes() {
    let platform = platform();
    let client = when_asked(&platform);
    let scratch = Scratch::new("shared-tokens");
    let mut options = scratch.options();
    options.start_worker = false;
    let outbox = client.open_outbox(options).unwrap();
    outbox.put_message(&client, b"kept", OPTIONS).unwrap();
    outbox.pump(OPTIONS).unwrap();
    assert_eq!((platform.requests().len(), outbox.stats().unwrap().waiting), (0, 1));
    let first = device::client(&platform);
    first.authenticate(OPTIONS).unwrap();
    client.import_token(&first.export_token().unwrap()).unwrap();
    // Attaching tries at once what waits for a pause.
    outbox.attach(&client).unwrap();
    outbox.flush(CallOptions::new().timeout(Duration::from_secs(60))).unwrap();
    assert_eq!((authentications(&platform), reports(&platform).len()), (1, 1));
    outbox.close().unwrap();
}
