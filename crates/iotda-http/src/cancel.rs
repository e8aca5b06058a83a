//! Ending a request from another thread, or from a signal handler.
//!
//! Cancelling sets a flag and makes a descriptor readable. Whoever waits polls that descriptor beside what it waits for:
//! nothing is attached to a token, and no thread touches another's socket. The descriptor is made when somebody first
//! waits; requests without a token pay nothing.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use iotda_sys::socket::{Interest, poll};
use iotda_sys::wake::Wake;

/// Between two looks at a token where nothing else ends a wait: a transport that cannot watch a descriptor, or a
/// process that has none left.
pub(crate) const CANCEL_CHECK: Duration = Duration::from_millis(50);

/// Ends the calls that it was given to, at once and for good, from any thread.
///
/// A clone is the same token. One token may be given to many calls.
#[derive(Clone, Default)]
pub struct CancelToken {
    wake: Arc<Wake>,
}

impl CancelToken {
    /// A token that has not been cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends all calls that run with this token, and those that will be given it. Async-signal-safe: an atomic flag and
    /// one `write`, and `errno` is kept.
    pub fn cancel(&self) {
        self.wake.raise();
    }

    /// Whether [`cancel`](Self::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        self.wake.is_raised()
    }

    /// A descriptor that is readable once the token is cancelled, to be polled beside others and never read; open as
    /// long as the token. It is made by the first call, which fails where the process has no descriptor left.
    pub fn descriptor(&self) -> io::Result<BorrowedFd<'_>> {
        self.wake.fd()
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("cancelled", &self.is_cancelled()).finish()
    }
}

/// Sleeps for `duration`, or until `cancel` is cancelled.
pub fn pause(duration: Duration, cancel: Option<&CancelToken>) {
    let Some(cancel) = cancel else { return thread::sleep(duration) };
    let end = Instant::now().checked_add(duration);
    while !cancel.is_cancelled() {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return;
        }
        match cancel.descriptor() {
            // However it ends, the loop looks at the token and the time.
            Ok(fd) => drop(poll(fd, Interest::Readable, left)),
            Err(_) => thread::sleep(left.map_or(CANCEL_CHECK, |left| left.min(CANCEL_CHECK))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_the_same_token() {
        let token = CancelToken::new();
        assert!(!token.is_cancelled());
        token.clone().cancel();
        token.cancel();
        assert!(token.is_cancelled());
    }

    #[test]
    fn a_pause_ends_when_cancelled() {
        let token = CancelToken::new();
        thread::scope(|scope| {
            // Without the cancellation this would outlast the test run.
            let paused = scope.spawn(|| pause(Duration::from_secs(86_400), Some(&token)));
            token.cancel();
            paused.join().unwrap();
        });
        pause(Duration::from_secs(86_400), Some(&token));
    }

    #[test]
    fn a_pause_that_is_not_cancelled_ends_in_time() {
        let token = CancelToken::new();
        let start = Instant::now();
        pause(Duration::from_millis(20), Some(&token));
        assert!(start.elapsed() >= Duration::from_millis(20));
    }
}
