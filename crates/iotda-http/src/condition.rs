//! A condition variable whose waits a cancel token can end as well.
//!
//! A signal handler may cancel a token, and can neither lock a mutex nor notify a condition variable. So a waiter with a
//! token polls two descriptors instead: the token's, and one of its own that [`Condition::notify_all`] makes readable.
//! A waiter without a token waits on a plain condition variable.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use iotda_sys::socket::{Interest, poll_either};
use iotda_sys::wake::Wake;

use crate::bounds::earlier;
use crate::cancel::{CANCEL_CHECK, CancelToken};

/// Used with one mutex, like a [`Condvar`].
#[derive(Default)]
pub struct Condition {
    plain: Condvar,
    /// Waiters with a token. In a box, since most conditions never have one.
    polling: Mutex<Option<Box<Polling>>>,
}

type Polling = Vec<Arc<Wake>>;

impl Condition {
    /// Ends all waits. Whoever calls it has changed, under the mutex, what the others wait for.
    pub fn notify_all(&self) {
        self.plain.notify_all();
        // Each takes itself off the list when it wakes.
        if let Some(polling) = &*self.lock() {
            polling.iter().for_each(|wake| wake.raise());
        }
    }

    /// Waits until notified, until `deadline` (`None`: without end), or until `cancel` is cancelled. It may also end for
    /// no reason: the caller looks at what it waits for, at the time and at the token, and waits again.
    pub fn wait<'a, T>(
        &self,
        mutex: &'a Mutex<T>,
        guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
        cancel: Option<&CancelToken>,
    ) -> MutexGuard<'a, T> {
        let Some(cancel) = cancel else { return self.wait_plainly(guard, deadline) };
        let wake = Arc::new(Wake::new());
        let (Ok(own), Ok(token)) = (wake.fd(), cancel.descriptor()) else {
            // No descriptor is left: the token is looked at now and then.
            return self.wait_plainly(guard, earlier(deadline, Instant::now().checked_add(CANCEL_CHECK)));
        };
        // On the list before the mutex is free, so that no notification is missed.
        self.lock().get_or_insert_default().push(Arc::clone(&wake));
        drop(guard);
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // However it ends, the caller looks.
        drop(poll_either(own, Interest::Readable, token, left));
        let mut polling = self.lock();
        if let Some(waiters) = &mut *polling {
            waiters.retain(|other| !Arc::ptr_eq(other, &wake));
            if waiters.is_empty() {
                *polling = None;
            }
        }
        drop(polling);
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_plainly<'a, T>(&self, guard: MutexGuard<'a, T>, deadline: Option<Instant>) -> MutexGuard<'a, T> {
        let Some(deadline) = deadline else {
            return self.plain.wait(guard).unwrap_or_else(PoisonError::into_inner);
        };
        match deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => guard,
            left => self.plain.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<Polling>>> {
        self.polling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const LONG: Duration = Duration::from_secs(86_400);

    /// Waits until the value is true, the token is cancelled, or a day is over; true if the value was.
    fn wait_for(condition: &Condition, value: &Mutex<bool>, cancel: Option<&CancelToken>) -> bool {
        let mut guard = value.lock().unwrap();
        while !*guard && !cancel.is_some_and(CancelToken::is_cancelled) {
            guard = condition.wait(value, guard, Instant::now().checked_add(LONG), cancel);
        }
        *guard
    }

    #[test]
    fn a_notification_ends_waits_with_and_without_a_token() {
        let (condition, value, cancel) = (Condition::default(), Mutex::new(false), CancelToken::new());
        thread::scope(|scope| {
            let with: Vec<_> = (0..4).map(|_| scope.spawn(|| wait_for(&condition, &value, Some(&cancel)))).collect();
            let without = scope.spawn(|| wait_for(&condition, &value, None));
            *value.lock().unwrap() = true;
            condition.notify_all();
            assert!(with.into_iter().all(|thread| thread.join().unwrap()) && without.join().unwrap());
        });
        assert!(condition.lock().is_none(), "nobody is left on the list");
    }

    #[test]
    fn a_token_ends_the_waits_that_were_given_it() {
        let (condition, value) = (Condition::default(), Mutex::new(false));
        let (cancel, other) = (CancelToken::new(), CancelToken::new());
        thread::scope(|scope| {
            let cancelled = scope.spawn(|| wait_for(&condition, &value, Some(&cancel)));
            let waiting = scope.spawn(|| wait_for(&condition, &value, Some(&other)));
            cancel.cancel();
            assert!(!cancelled.join().unwrap());
            *value.lock().unwrap() = true;
            condition.notify_all();
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn a_deadline_that_passed_is_no_wait() {
        let (condition, value) = (Condition::default(), Mutex::new(false));
        for cancel in [None, Some(&CancelToken::new())] {
            drop(condition.wait(&value, value.lock().unwrap(), Some(Instant::now()), cancel));
        }
    }
}
