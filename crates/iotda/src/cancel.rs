//! Ending a call from another thread.
//!
//! A call that waits for something (a socket, a name look-up, another thread's authentication, a pause
//! before the next attempt) attaches it to its token; cancelling interrupts what is attached. Calls
//! without a token pay nothing.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Ends the calls that it was given to, at once and for good, from any thread.
///
/// A clone is the same token. One token may be given to many calls.
#[derive(Clone, Default)]
pub struct CancelToken {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    cancelled: AtomicBool,
    attached: Mutex<Attachments>,
}

#[derive(Default)]
struct Attachments {
    next: u64,
    targets: Vec<(u64, Arc<dyn Interrupt>)>,
}

/// Something that a call waits for.
pub(crate) trait Interrupt: Send + Sync {
    /// Ends the wait at once; the one who waits then asks whether it was cancelled.
    fn interrupt(&self);
}

/// Detaches its target when dropped.
pub(crate) struct Attached<'a> {
    token: &'a CancelToken,
    number: u64,
}

impl CancelToken {
    /// A token that has not been cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends all calls that run with this token, and those that will be given it.
    pub fn cancel(&self) {
        self.inner.cancelled.store(true, Ordering::SeqCst);
        let targets = std::mem::take(&mut self.lock().targets);
        for (_, target) in targets {
            target.interrupt();
        }
    }

    /// Whether [`cancel`](Self::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancelled.load(Ordering::SeqCst)
    }

    /// Lets `target` be interrupted until the returned value is dropped. Whoever attaches must ask
    /// [`is_cancelled`](Self::is_cancelled) afterwards: it may have happened just before.
    pub(crate) fn attach(&self, target: Arc<dyn Interrupt>) -> Attached<'_> {
        let mut attached = self.lock();
        let number = attached.next;
        attached.next += 1;
        attached.targets.push((number, target));
        Attached { token: self, number }
    }

    fn lock(&self) -> MutexGuard<'_, Attachments> {
        self.inner.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("cancelled", &self.is_cancelled()).finish()
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        self.token.lock().targets.retain(|(number, _)| *number != self.number);
    }
}

/// Sleeps for `duration`, or until `cancel` is cancelled.
pub(crate) fn pause(duration: Duration, cancel: Option<&CancelToken>) {
    let Some(cancel) = cancel else { return thread::sleep(duration) };
    let alarm = Arc::new(Alarm::default());
    let _attached = cancel.attach(Arc::clone(&alarm) as Arc<dyn Interrupt>);
    let rung = alarm.rung.lock().unwrap_or_else(PoisonError::into_inner);
    // Ends when the time is over, or when the alarm rings; either way the wait is over.
    drop(alarm.changed.wait_timeout_while(rung, duration, |rung| !*rung && !cancel.is_cancelled()));
}

#[derive(Default)]
struct Alarm {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Interrupt for Alarm {
    fn interrupt(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Interrupt for Counted {
        fn interrupt(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn what_is_attached_is_interrupted_once_and_what_is_detached_not() {
        let (token, first, second) = (CancelToken::new(), Arc::new(Counted::default()), Arc::new(Counted::default()));
        let _kept = token.attach(Arc::clone(&first) as Arc<dyn Interrupt>);
        drop(token.attach(Arc::clone(&second) as Arc<dyn Interrupt>));
        assert!(!token.is_cancelled());
        token.clone().cancel();
        token.cancel();
        assert!(token.is_cancelled());
        assert_eq!((first.0.load(Ordering::SeqCst), second.0.load(Ordering::SeqCst)), (1, 0));
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
}
