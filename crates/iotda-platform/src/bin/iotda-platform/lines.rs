//! The lines on the terminal: one for each request and for each handshake that failed. A terminal that is slow, or a
//! pipe that nobody reads, keeps nobody from being served: what it does not take is counted and left out.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

/// How many lines may wait.
const MOST_WAITING: usize = 10_000;

#[derive(Clone)]
pub struct Lines {
    sender: SyncSender<String>,
    left_out: Arc<AtomicU64>,
}

impl Lines {
    /// Writes to the standard error, unless it is asked not to: a program that has started the platform reads its
    /// output, not its lines.
    pub fn start(quiet: bool, started_by_a_program: bool) -> Option<Self> {
        if quiet || (started_by_a_program && !std::io::stderr().is_terminal()) {
            return None;
        }
        let (sender, lines) = sync_channel::<String>(MOST_WAITING);
        let left_out = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&left_out);
        std::thread::spawn(move || {
            for line in lines {
                let missing = counted.swap(0, Ordering::Relaxed);
                let note = if missing == 0 { String::new() } else { format!("({missing} lines left out)\n") };
                // Where nobody reads it any more, there is nobody to be told so either.
                let _ = std::io::stderr().lock().write_all(format!("{note}{line}\n").as_bytes());
            }
        });
        Some(Self { sender, left_out })
    }

    pub fn add(&self, line: &str) {
        if self.sender.try_send(line.to_owned()).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}
