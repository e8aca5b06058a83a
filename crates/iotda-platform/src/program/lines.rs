//! The lines on the terminal: one for each request and for each handshake that failed. A terminal that is slow, or a
//! pipe that nobody reads, keeps nobody from being served: what it does not take is counted and left out.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

/// How many lines may wait.
const MOST_WAITING: usize = 10_000;

/// How long the end waits for what is still to be written.
const AT_THE_END: Duration = Duration::from_secs(2);

/// The end of the lines: what waits for it until all that was added is written.
pub struct Rest(Receiver<()>);

impl Rest {
    /// Waits until all is written, or nobody seems to read it. Nobody may have [`Lines`] any more.
    pub fn wait(self) {
        // Either way there is nothing more to be done.
        let _ = self.0.recv_timeout(AT_THE_END);
    }
}

#[derive(Clone)]
pub struct Lines {
    sender: SyncSender<String>,
    left_out: Arc<AtomicU64>,
}

impl Lines {
    /// Writes to the standard error, unless it is asked not to: a program that has started the platform reads its
    /// output, not its lines.
    pub fn start(quiet: bool, started_by_a_program: bool) -> Option<(Self, Rest)> {
        if quiet || (started_by_a_program && !std::io::stderr().is_terminal()) {
            return None;
        }
        let (sender, lines) = sync_channel::<String>(MOST_WAITING);
        let left_out = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&left_out);
        let (written, rest) = channel();
        std::thread::spawn(move || {
            // It is dropped when the last line is written: that is what is waited for.
            let _written: Sender<()> = written;
            for line in lines {
                let missing = counted.swap(0, Ordering::Relaxed);
                let note = if missing == 0 { String::new() } else { format!("({missing} lines left out)\n") };
                // Where nobody reads it any more, there is nobody to report that to either.
                let _ = std::io::stderr().lock().write_all(format!("{note}{line}\n").as_bytes());
            }
        });
        Some((Self { sender, left_out }, Rest(rest)))
    }

    pub fn add(&self, line: &str) {
        if self.sender.try_send(line.to_owned()).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}
