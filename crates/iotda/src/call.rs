//! One call on its way: its deadline, its cancel token, its attempts, and the pauses between them.
//!
//! Which failures can heal, and how long the pauses are, is decided in [`crate::retry`].

use std::time::{Duration, Instant};

use crate::cancel::{self, CancelToken};
use crate::error::{Error, ErrorKind, Result};
use crate::http::context::Context;
use crate::http::exchange::cancelled;
use crate::monitor::{Count, Level, Monitor};
use crate::retry::{self, RetryPolicy};

/// What one call may be told.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    /// The most that the whole call may take; `None`: the client's.
    pub timeout: Option<Duration>,
    /// Ends the call from another thread.
    pub cancel: Option<CancelToken>,
}

/// What is known about a call that succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The HTTP status of the last answer.
    pub http_status: u16,
    /// Requests sent for this call, authentications not counted.
    pub attempts: u32,
}

/// A call from its start to its end.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// `None`: so far away that it cannot be said.
    pub(crate) deadline: Option<Instant>,
    pub(crate) cancel: Option<CancelToken>,
    /// Requests sent, authentications not counted.
    pub(crate) attempts: u32,
    /// This call has authenticated: a token that is refused now will not be better the next time.
    pub(crate) authenticated: bool,
    /// A token was refused and has been replaced.
    pub(crate) token_replaced: bool,
    failures: u32,
    rules: &'a Rules,
    monitor: &'a Monitor,
}

/// What holds for all calls of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) timeout: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) retry: RetryPolicy,
}

impl<'a> Call<'a> {
    /// Starts a call: its deadline runs from here.
    pub(crate) fn start(options: CallOptions, rules: &'a Rules, monitor: &'a Monitor) -> Result<Self> {
        let now = Instant::now();
        let call = Call {
            deadline: now.checked_add(options.timeout.unwrap_or(rules.timeout)),
            cancel: options.cancel,
            attempts: 0,
            authenticated: false,
            token_replaced: false,
            failures: 0,
            rules,
            monitor,
        };
        call.check(now)?;
        Ok(call)
    }

    /// The bounds of one attempt that begins now.
    pub(crate) fn attempt(&self) -> Result<Context> {
        let now = Instant::now();
        self.check(now)?;
        let attempt_ends = now.checked_add(self.rules.attempt_timeout);
        let deadline = match (self.deadline, attempt_ends) {
            (Some(call), Some(attempt)) => Some(call.min(attempt)),
            (call, attempt) => call.or(attempt),
        };
        Ok(Context { deadline, cancel: self.cancel.clone() })
    }

    /// How much of the call's time is left.
    pub(crate) fn time_left(&self) -> Duration {
        self.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Waits for `duration`, which must be in the call's time.
    pub(crate) fn pause(&self, duration: Duration) -> Result<()> {
        cancel::pause(duration, self.cancel.as_ref());
        self.check(Instant::now())
    }

    /// After a failed attempt: waits until it is time for the next, or gives the error back if there is
    /// none, with the pause that would have been right in it.
    pub(crate) fn pause_before_retry(&mut self, error: Error) -> Result<()> {
        if !retry::can_heal(error.kind()) {
            return Err(error);
        }
        self.failures += 1;
        let delay = self.rules.retry.delay(self.failures, retry::random_fraction(), error.retry_after());
        let left = self.time_left();
        if self.failures >= self.rules.retry.max_attempts || delay >= left || left.is_zero() {
            // A pause of nothing at all would be no advice.
            return Err(error.with_retry_after(delay.max(self.rules.retry.base_delay)));
        }
        self.monitor.add(Count::Retries, 1);
        self.monitor.log(Level::Warning, || format!("trying again in {} ms: {error}", delay.as_millis()));
        self.pause(delay)
    }

    fn check(&self, now: Instant) -> Result<()> {
        if self.cancel.as_ref().is_some_and(CancelToken::is_cancelled) {
            return Err(cancelled());
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            return Err(Error::new(
                ErrorKind::Timeout,
                "the time for this call was over before a request could be sent",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        timeout: Duration::from_secs(60),
        attempt_timeout: Duration::from_secs(10),
        retry: RetryPolicy { max_attempts: 3, base_delay: Duration::from_nanos(1), max_delay: Duration::from_nanos(1) },
    };

    fn call(monitor: &Monitor, timeout: Option<Duration>) -> Call<'_> {
        Call::start(CallOptions { timeout, cancel: None }, &RULES, monitor).unwrap()
    }

    fn limited() -> Error {
        Error::new(ErrorKind::RateLimited, "limit")
    }

    #[test]
    fn attempts_end_with_the_policy() {
        let monitor = Monitor::default();
        let mut call = call(&monitor, None);
        call.pause_before_retry(limited()).unwrap();
        call.pause_before_retry(limited()).unwrap();
        let error = call.pause_before_retry(limited()).unwrap_err();
        assert_eq!((error.kind(), error.retry_after().is_some()), (ErrorKind::RateLimited, true));
        assert_eq!(monitor.stats().retries, 2);
    }

    #[test]
    fn what_cannot_heal_is_given_back_as_it_is() {
        let monitor = Monitor::default();
        let error = call(&monitor, None).pause_before_retry(Error::new(ErrorKind::AuthFailed, "no")).unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (ErrorKind::AuthFailed, None));
    }

    #[test]
    fn a_pause_that_outlasts_the_call_is_not_begun() {
        let monitor = Monitor::default();
        let mut call = call(&monitor, Some(Duration::from_secs(50)));
        let error = call.pause_before_retry(limited().with_retry_after(Duration::from_secs(51))).unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(51)));
    }

    #[test]
    fn an_attempt_ends_before_the_call_and_never_after_it() {
        let monitor = Monitor::default();
        let long = call(&monitor, Some(Duration::from_secs(50)));
        assert!(long.attempt().unwrap().deadline.unwrap() < long.deadline.unwrap());
        let short = call(&monitor, Some(Duration::from_secs(5)));
        assert_eq!(short.attempt().unwrap().deadline, short.deadline);
    }

    #[test]
    fn a_call_that_is_over_or_cancelled_does_not_start() {
        let monitor = Monitor::default();
        let over = CallOptions { timeout: Some(Duration::ZERO), cancel: None };
        assert_eq!(Call::start(over, &RULES, &monitor).unwrap_err().kind(), ErrorKind::Timeout);
        let cancel = CancelToken::new();
        cancel.cancel();
        let cancelled = CallOptions { timeout: None, cancel: Some(cancel) };
        assert_eq!(Call::start(cancelled, &RULES, &monitor).unwrap_err().kind(), ErrorKind::Cancelled);
    }
}
