//! An outbox that is opened after damage to its files: it opens, delivers no entry that was never put, none twice, and
//! those of a device in order; with no damage, it delivers all.

use crate::choices::Choices;
use crate::memory::Platform;
use iotda::{CallOptions, OutboxOptions};
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A directory that is removed with this value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("iotda-fuzz-outbox-{}-{number}", process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing depends on it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let scratch = Scratch::new();
    let delivered = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&delivered);
    let platform = Platform::new(usize::MAX, move |call, body| {
        assert_eq!(call, "messages/up");
        kept.lock().expect("no panic before").push(body.to_vec());
        (200, String::new())
    });
    let options = |padded: bool| {
        let mut options = OutboxOptions::new(&scratch.0);
        options.start_worker = false;
        options.sync_within = Duration::ZERO;
        options.pad_commits = padded;
        options
    };
    let padded = choices.bit();
    let put = fill(&mut choices, &platform, options(padded));
    assert!(delivered.lock().expect("no panic before").is_empty());

    let is_damaged = damage(&mut choices, &scratch.0);
    let client = platform.client();
    let outbox = client.open_outbox(options(choices.bit())).unwrap_or_else(|error| panic!("it does not open: {error}"));
    let minute = CallOptions::new().timeout(Duration::from_secs(60));
    // Entries of devices that nobody attached are there only if damage made them, and they cannot be delivered.
    let flushed = outbox.flush(minute.clone());
    let added = b"put after the damage".to_vec();
    outbox.put_message(&client, &added, CallOptions::new()).unwrap_or_else(|error| panic!("no put: {error}"));
    let flushed_again = outbox.flush(minute);
    let stats = outbox.stats().expect("counts");
    outbox.close().unwrap_or_else(|error| panic!("it does not close: {error}"));

    let delivered = std::mem::take(&mut *delivered.lock().expect("no panic before"));
    let mut expected = put.iter().chain([&added]);
    for entry in &delivered {
        let is_next = expected.any(|other| other == entry);
        assert!(is_next, "delivered twice, in another order, or never put: {}", entry.escape_ascii());
    }
    assert!(flushed.is_ok() && flushed_again.is_ok(), "{flushed:?} {flushed_again:?} {stats:?}");
    assert_eq!(delivered.last(), Some(&added), "what is put after the damage is delivered");
    if !is_damaged {
        assert_eq!(delivered.len(), put.len() + 1, "without damage, all is delivered");
        assert_eq!((stats.damaged, stats.discarded), (0, 0), "without damage, none is counted");
    }
}

/// Puts messages, all different, into a new outbox.
fn fill(choices: &mut Choices, platform: &Platform, options: OutboxOptions) -> Vec<Vec<u8>> {
    let client = platform.client();
    let outbox = client.open_outbox(options).expect("a new outbox");
    let count = 1 + choices.below(12);
    let put: Vec<Vec<u8>> = (0..count)
        .map(|number| {
            let mut body = format!("entry {number} ").into_bytes();
            body.resize(body.len() + 37 * choices.below(64), b'x');
            outbox.put_message(&client, &body, CallOptions::new()).expect("a put");
            body
        })
        .collect();
    outbox.close().expect("all is on disk");
    put
}

/// Changes the files as the input says; whether anything was changed.
fn damage(choices: &mut Choices, directory: &Path) -> bool {
    let mut is_damaged = false;
    while !choices.is_done() {
        let mut files: Vec<PathBuf> =
            fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
        files.retain(|path| path.is_file());
        files.sort();
        let Some(path) = files.get(choices.below(files.len().max(1))) else { return is_damaged };
        let before = fs::read(path).expect("a file");
        let mut bytes = before.clone();
        let at = choices.number() as usize % bytes.len().max(1);
        let end = (at + 1 + choices.below(256)).min(bytes.len());
        match choices.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << choices.below(8),
            1 if at < bytes.len() => bytes[at] = choices.byte(),
            2 => bytes.truncate(at),
            3 => bytes[at.min(end)..end].fill(0),
            // A piece again at another place.
            4 => {
                let piece = bytes[at.min(end)..end].to_vec();
                let to = choices.number() as usize % (bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            5 => bytes.extend_from_slice(choices.bytes()),
            6 => drop(bytes.drain(at.min(end)..end)),
            _ => {
                fs::remove_file(path).expect("a file is removed");
                is_damaged = true;
                continue;
            }
        }
        if bytes != before {
            fs::write(path, bytes).expect("a file is written");
            is_damaged = true;
        }
    }
    is_damaged
}
