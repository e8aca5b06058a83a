//! One call of the program on its way: its deadline, its cancel token and its counts; and one request of it.
//!
//! A call may make many requests (a batch does), and what one of them met says nothing about the next: so the state of a
//! request is a value of its own. Which failures are transient, and how long the pauses are, is decided in
//! [`crate::delivery::retry`].

use std::time::{Duration, Instant};

use iotda_http::{Bounds, CancelToken, pause};

use crate::delivery::retry::{self, RetryPolicy};
use crate::delivery::session::Session;
use crate::error::{Error, ErrorKind, Result};
use crate::monitor::{Count, Level};

/// What a caller may set for one call. Calls take whatever converts into it: these options, a [`Duration`] (the call's
/// timeout), a [`CancelToken`] or a reference to one.
///
/// ```
/// use iotda::{CallOptions, CancelToken};
/// use std::time::Duration;
///
/// let cancel = CancelToken::new();
/// let options = CallOptions::new().timeout(Duration::from_secs(5)).cancel(&cancel);
/// assert_eq!(options.timeout, CallOptions::from(Duration::from_secs(5)).timeout);
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CallOptions {
    /// The most that the whole call may take; `None`: the client's.
    pub timeout: Option<Duration>,
    /// Ends the call from another thread.
    pub cancel: Option<CancelToken>,
}

impl CallOptions {
    /// The client's timeout, and nothing that ends the call.
    pub const fn new() -> Self {
        CallOptions { timeout: None, cancel: None }
    }

    /// The most that the whole call may take.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Ends the call when this token, or a clone of it, is cancelled.
    #[must_use]
    pub fn cancel(mut self, cancel: &CancelToken) -> Self {
        self.cancel = Some(cancel.clone());
        self
    }
}

impl From<Duration> for CallOptions {
    fn from(timeout: Duration) -> Self {
        Self::new().timeout(timeout)
    }
}

impl From<CancelToken> for CallOptions {
    fn from(cancel: CancelToken) -> Self {
        CallOptions { cancel: Some(cancel), ..Self::new() }
    }
}

impl From<&CancelToken> for CallOptions {
    fn from(cancel: &CancelToken) -> Self {
        Self::new().cancel(cancel)
    }
}

/// What is known about a call that succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The HTTP status of the last answer; 0: nothing was sent, because a token was in memory.
    pub http_status: u16,
    /// Requests sent for this call, authentications not counted. One counts once a byte of it was handed to a
    /// connection: a look-up, a connection or a handshake that fails counts nothing.
    pub attempts: u32,
}

/// A call from its start to its end.
#[derive(Debug)]
pub(crate) struct Call {
    /// `None`: so far away that it cannot be said.
    pub(crate) deadline: Option<Instant>,
    pub(crate) cancel: Option<CancelToken>,
    /// Requests sent, authentications not counted.
    pub(crate) attempts: u32,
    /// Something that was not delivered may have arrived all the same.
    pub(crate) may_have_arrived: bool,
    /// The outbox keeps what is sent until it is delivered. A failure is then not retried within the call, since other
    /// lanes wait and the outbox has pauses of its own; and half an answer does not count as a success.
    pub(crate) is_kept: bool,
}

/// One body on its way to being accepted, or one authentication.
#[derive(Debug, Default)]
pub(crate) struct Request {
    /// It has authenticated, with this HTTP status: a token that is refused now will not be better the next time.
    pub(crate) authenticated: Option<u16>,
    /// An attempt failed that may have arrived all the same.
    pub(crate) may_have_arrived: bool,
    /// A token was refused and has been replaced.
    pub(crate) token_replaced: bool,
    /// Use a new connection: a kept one turned out to be dead.
    pub(crate) fresh: bool,
    failures: u32,
}

/// What holds for all calls of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) timeout: Duration,
    pub(crate) patience: Duration,
    pub(crate) retry: RetryPolicy,
    /// No report authenticates, nor renews a token: only the program's own call to do so.
    pub(crate) authenticate_when_asked: bool,
}

impl Call {
    /// Starts a call: its deadline runs from here.
    pub(crate) fn start(options: CallOptions, rules: &Rules) -> Result<Self> {
        let now = Instant::now();
        let deadline = now.checked_add(options.timeout.unwrap_or(rules.timeout));
        let call = Call { deadline, cancel: options.cancel, attempts: 0, may_have_arrived: false, is_kept: false };
        call.check(now)?;
        Ok(call)
    }

    /// The bounds of a request that is sent now.
    pub(crate) fn bounds(&self, request: &Request, rules: &Rules) -> Result<Bounds<'_>> {
        self.check(Instant::now())?;
        Ok(Bounds {
            deadline: self.deadline,
            patience: rules.patience,
            cancel: self.cancel.as_ref(),
            fresh: request.fresh,
        })
    }

    /// How much of the call's time is left.
    pub(crate) fn time_left(&self) -> Duration {
        self.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Waits for `duration`, which must be in the call's time.
    pub(crate) fn pause(&self, duration: Duration) -> Result<()> {
        pause(duration, self.cancel.as_ref());
        self.check(Instant::now())
    }

    /// After a failed attempt: waits until it is time for the next, or gives the error back if there is
    /// none, with the pause that would have been right in it.
    pub(crate) fn pause_before_retry(&self, session: &Session, request: &mut Request, error: Error) -> Result<()> {
        if !retry::is_worth_retrying(error.kind()) {
            return Err(error);
        }
        let policy = session.rules.retry;
        request.failures += 1;
        // A dead connection says nothing of the platform: a new one is worth trying at once.
        let at_once = error.is_of_kept_connection() && !request.fresh;
        request.fresh |= at_once;
        let delay = if at_once {
            Duration::ZERO
        } else {
            policy.delay(request.failures, retry::random_fraction(), error.retry_after())
        };
        let left = self.time_left();
        let is_last = request.failures >= policy.max_attempts || (self.is_kept && !at_once);
        if is_last || delay >= left || left.is_zero() {
            // A pause of nothing at all would be no advice.
            return Err(error.with_retry_after(delay.max(policy.base_delay)));
        }
        session.monitor.add(Count::Retries, 1);
        session.monitor.log(Level::Warning, || format!("trying again in {} ms: {error}", delay.as_millis()));
        self.pause(delay)
    }

    /// After another call's failure that says something about the platform: waits as after a failure of its own, which
    /// it is not, or gives the error back if there is no time for that.
    pub(crate) fn pause_after_shared(&self, session: &Session, error: Error) -> Result<()> {
        let policy = session.rules.retry;
        let delay = policy.delay(1, retry::random_fraction(), error.retry_after());
        if delay >= self.time_left() {
            return Err(error.with_retry_after(delay.max(policy.base_delay)));
        }
        self.pause(delay)
    }

    fn check(&self, now: Instant) -> Result<()> {
        if self.cancel.as_ref().is_some_and(CancelToken::is_cancelled) {
            let message = match self.attempts {
                0 => "the call was cancelled before a request was sent",
                _ => "the call was cancelled before the next request was sent",
            };
            return Err(Error::new(ErrorKind::Cancelled, message));
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            let message = match self.attempts {
                0 => "allow more time: the call's was over before a request could be sent",
                _ => "allow more time: the call's was over before the next request could be sent",
            };
            return Err(Error::new(ErrorKind::Timeout, message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::fixtures::{RULES, answer, session};

    fn call(timeout: Option<Duration>) -> Call {
        Call::start(CallOptions { timeout, cancel: None }, &RULES).unwrap()
    }

    fn limited() -> Error {
        Error::new(ErrorKind::RateLimited, "limit")
    }

    fn any_session() -> Session {
        session(|_, _| answer(200, ""))
    }

    #[test]
    fn attempts_end_with_the_policy() {
        let (session, call, mut request) = (any_session(), call(None), Request::default());
        call.pause_before_retry(&session, &mut request, limited()).unwrap();
        call.pause_before_retry(&session, &mut request, limited()).unwrap();
        let error = call.pause_before_retry(&session, &mut request, limited()).unwrap_err();
        assert_eq!((error.kind(), error.retry_after().is_some()), (ErrorKind::RateLimited, true));
        assert_eq!(session.monitor.stats().retries, 2);
        // Another request of the same call begins anew.
        call.pause_before_retry(&session, &mut Request::default(), limited()).unwrap();
    }

    #[test]
    fn what_is_permanent_is_given_back_as_it_is() {
        let failed = Error::new(ErrorKind::AuthFailed, "no");
        let error = call(None).pause_before_retry(&any_session(), &mut Request::default(), failed).unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (ErrorKind::AuthFailed, None));
    }

    #[test]
    fn a_pause_that_outlasts_the_call_is_not_begun() {
        let call = call(Some(Duration::from_secs(50)));
        let error = call
            .pause_before_retry(
                &any_session(),
                &mut Request::default(),
                limited().with_retry_after(Duration::from_secs(51)),
            )
            .unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(51)));
    }

    #[test]
    fn pauses_are_spread_over_the_whole_range() {
        let (mut session, call) = (any_session(), call(None));
        session.rules.retry =
            RetryPolicy { max_attempts: 10, base_delay: Duration::from_secs(1), max_delay: Duration::from_secs(100) };
        let pauses: Vec<_> = (0..100)
            .map(|_| {
                let mut request = Request { failures: 9, ..Request::default() };
                call.pause_before_retry(&session, &mut request, limited()).unwrap_err().retry_after().unwrap().as_secs()
            })
            .collect();
        // With one in a hundred alike, the chance of a wrong alarm is below 10^-12.
        assert!(pauses.iter().any(|pause| *pause < 50) && pauses.iter().any(|pause| *pause >= 50), "{pauses:?}");
    }

    #[test]
    fn after_anothers_failure_a_call_waits_in_its_own_time_or_gives_up() {
        let session = any_session();
        let asked = || limited().with_retry_after(Duration::from_secs(100));
        let short = call(Some(Duration::from_secs(50)));
        let error = short.pause_after_shared(&session, asked()).unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimited, Some(Duration::from_secs(100))));
        short.pause_after_shared(&session, limited()).unwrap();
        assert_eq!(session.monitor.stats().retries, 0);
    }

    #[test]
    fn a_dead_kept_connection_is_replaced_at_once_and_once() {
        let (mut session, call, mut request) = (any_session(), call(None), Request::default());
        // So long that the test would not end.
        session.rules.retry.base_delay = Duration::from_secs(86_400);
        session.rules.retry.max_delay = Duration::from_secs(86_400);
        let dead =
            || Error::from(iotda_http::Error { kept: true, ..iotda_http::Error::new(iotda_http::Kind::Connect, "") });
        call.pause_before_retry(&session, &mut request, dead()).unwrap();
        assert!(request.fresh && call.bounds(&request, &session.rules).unwrap().fresh);
        call.pause_before_retry(&session, &mut request, dead()).unwrap_err();
        session.rules.retry.max_attempts = 1;
        call.pause_before_retry(&session, &mut Request::default(), dead()).unwrap_err();
    }

    #[test]
    fn a_call_that_is_over_or_cancelled_does_not_start() {
        let over = CallOptions { timeout: Some(Duration::ZERO), cancel: None };
        assert_eq!(Call::start(over, &RULES).unwrap_err().kind(), ErrorKind::Timeout);
        let cancel = CancelToken::new();
        cancel.cancel();
        let cancelled = CallOptions { timeout: None, cancel: Some(cancel) };
        assert_eq!(Call::start(cancelled, &RULES).unwrap_err().kind(), ErrorKind::Cancelled);
    }

    #[test]
    fn the_message_says_whether_a_request_was_sent_before() {
        let (over, cancel) = (call(Some(Duration::from_secs(50))), CancelToken::new());
        let later = Instant::now() + Duration::from_secs(60);
        for (attempts, what) in [(0, "before a request could be sent"), (1, "before the next request could be sent")] {
            let error = Call { attempts, ..call(Some(Duration::from_secs(50))) }.check(later).unwrap_err();
            assert!(error.message().ends_with(what), "{error}");
        }
        over.check(Instant::now()).unwrap();
        cancel.cancel();
        for (attempts, what) in [(0, "before a request was sent"), (1, "before the next request was sent")] {
            let cancelled = Call { attempts, cancel: Some(cancel.clone()), ..call(None) };
            assert!(cancelled.check(Instant::now()).unwrap_err().message().ends_with(what));
        }
    }

    #[test]
    fn a_timeout_or_a_token_alone_are_options() {
        let cancel = CancelToken::new();
        let from_time = CallOptions::from(Duration::from_secs(5));
        assert_eq!((from_time.timeout, from_time.cancel.is_some()), (Some(Duration::from_secs(5)), false));
        cancel.cancel();
        assert!(CallOptions::from(&cancel).cancel.unwrap().is_cancelled());
        assert!(CallOptions::from(cancel).cancel.unwrap().is_cancelled());
    }
}
