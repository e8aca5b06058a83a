//! A directory for an outbox's files, below the target directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use iotda::OutboxOptions;

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
