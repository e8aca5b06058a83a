//! Whose entries an outbox delivers, and what its files say of them: devices that are closed, replaced or without a token,
//! secrets, modes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use iotda::{CallOptions, Child, Client, ErrorKind, Level, Log, OutboxOptions, Service};
use iotda_platform::{Fault, Route};

use crate::device::{ID, SECRET, config, platform};
use crate::scratch::{Scratch, outbox_by_hand};

const OPTIONS: CallOptions = CallOptions::new();
/// A busy machine may take this long for what takes a second.
const LONG: CallOptions = CallOptions::new().timeout(Duration::from_secs(60));

#[derive(Debug, Default)]
struct Lines(Mutex<Vec<String>>);

impl Log for Lines {
    fn log(&self, _: Level, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

#[test]
fn an_attached_device_is_delivered_for_after_its_client_is_gone() {
    let (platform, gateway, _scratch, outbox) = outbox_by_hand("gone");
    let second = gateway.open_device("device_2", b"second-secret").unwrap();
    outbox.put_message(&second, b"put", OPTIONS).unwrap();
    drop(second);
    drop(gateway);
    outbox.flush(LONG).unwrap();
    let reports = platform.reports();
    assert_eq!(reports.iter().map(|report| report.device_id.as_str()).collect::<Vec<_>>(), ["device_2"]);
}

#[test]
fn another_client_for_the_same_device_replaces_the_one_that_was_attached() {
    let (platform, gateway, _scratch, outbox) = outbox_by_hand("replaced");
    let wrong = gateway.open_device("device_2", b"no such secret").unwrap();
    outbox.put_message(&wrong, b"put", OPTIONS).unwrap();
    outbox.pump(OPTIONS).unwrap();
    assert_eq!((platform.reports().len(), outbox.stats().unwrap().waiting), (0, 1));
    let right = gateway.open_device("device_2", b"second-secret").unwrap();
    outbox.attach(&right).unwrap();
    outbox.flush(LONG).unwrap();
    assert_eq!((platform.reports().len(), outbox.stats().unwrap().waiting), (1, 0));
}

#[test]
fn a_device_without_a_token_holds_no_other_up() {
    let platform = platform();
    let gateway = Client::new(config(&platform).authenticate_when_asked(true)).unwrap();
    let second = gateway.open_device("device_2", b"second-secret").unwrap();
    let scratch = Scratch::new("no-token");
    let outbox = gateway.open_outbox(scratch.by_hand()).unwrap();
    second.authenticate(OPTIONS).unwrap();
    outbox.put_message(&gateway, b"waits", OPTIONS).unwrap();
    outbox.pump(OPTIONS).unwrap();
    outbox.put_message(&second, b"goes on", OPTIONS).unwrap();
    outbox.pump(OPTIONS).unwrap();
    let reports = platform.reports();
    assert_eq!(reports.iter().map(|report| report.device_id.as_str()).collect::<Vec<_>>(), ["device_2"]);
    assert_eq!(outbox.stats().unwrap().waiting, 1);
}

/// All bytes of all files, their names included.
fn everything(directory: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        all.extend_from_slice(entry.file_name().as_encoded_bytes());
        all.extend_from_slice(&fs::read(entry.path()).unwrap());
    }
    all
}

#[test]
fn neither_secret_nor_token_nor_endpoint_is_on_disk() {
    let (platform, gateway, scratch, outbox) = outbox_by_hand("secrets");
    let second = gateway.open_device("device_2", b"second-secret").unwrap();
    let services = [Service::new("s", r#"{"v":1}"#)];
    for _ in 0..2 {
        outbox.put_properties(&gateway, &services, OPTIONS).unwrap();
        outbox.put_batch(&gateway, &[Child::new("child_1", &services)], OPTIONS).unwrap();
        outbox.put_message(&second, b"of the second", OPTIONS).unwrap();
        // The first becomes a dead letter, the others are delivered.
        platform.inject(Fault::refusal("IOTDA.000006").times(1).on(Route::Properties)).unwrap();
        outbox.flush(LONG).unwrap();
        platform.clear_faults();
    }
    outbox.put_properties(&gateway, &services, OPTIONS).unwrap();
    outbox.sync(OPTIONS).unwrap();
    assert!(outbox.stats().unwrap().dead > 0);
    let tokens = [&gateway, &second].map(|client| client.export_token().unwrap());
    let endpoint = platform.url().strip_prefix("https://").unwrap();
    let all = everything(&scratch.0);
    let contains = |text: &[u8]| all.windows(text.len()).any(|window| window == text);
    assert!(contains(b"of the second") && contains(ID.as_bytes()), "a message, and the sender of a dead letter");
    for saved in &tokens {
        // The last word of what is exported.
        let token = saved.rsplit(' ').next().unwrap();
        assert!(token.len() >= 16 && !contains(token.as_bytes()), "a token is on disk");
    }
    for secret in [SECRET, b"second-secret", endpoint.as_bytes(), platform.ca_pem().as_bytes()] {
        assert!(!contains(secret), "{}", String::from_utf8_lossy(secret));
    }
    assert_eq!(scratch.0.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    for entry in fs::read_dir(&scratch.0).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
    }
}

/// As on vfat, no mode can be set in /proc; nor can a file be made there.
#[cfg(target_os = "linux")]
#[test]
fn a_directory_that_cannot_be_closed_to_others_is_logged() {
    let platform = platform();
    let lines = Arc::new(Lines::default());
    let mut config = config(&platform);
    config.log(Level::Warning, lines.clone());
    let client = Client::new(&config).unwrap();
    let mut options = OutboxOptions::new("/proc/self/task");
    options.start_worker = false;
    let outbox = client.open_outbox(options).unwrap();
    assert!(lines.0.lock().unwrap().iter().any(|line| line.contains("other users can read")), "{lines:?}");
    let error = outbox.put_message(&client, b"x", OPTIONS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
}
