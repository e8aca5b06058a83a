//! An outbox for a test, and a directory for its files, below the target directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use iotda::{Client, Outbox, OutboxOptions};
use iotda_platform::Platform;

use crate::device;

/// A platform, a client, and an outbox by hand with its directory.
pub fn outbox_by_hand(name: &str) -> (Platform, Client, Scratch, Outbox) {
    let platform = device::platform();
    let client = device::client(&platform);
    let scratch = Scratch::new(name);
    let outbox = client.open_outbox(scratch.by_hand()).unwrap();
    (platform, client, scratch, outbox)
}

/// A new directory, removed at the end.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("iotda-wire-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Scratch(path)
    }

    pub fn options(&self) -> OutboxOptions {
        OutboxOptions::new(&self.0)
    }

    /// On disk when a put returns, and delivered by pump and flush alone.
    pub fn by_hand(&self) -> OutboxOptions {
        let mut options = self.options();
        options.start_worker = false;
        options.sync_within = Duration::ZERO;
        options
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
