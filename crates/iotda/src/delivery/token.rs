//! The access token of one device: cached, invalidated, and refreshed by one caller at a time.
//!
//! Times are on the client's monotonic clock. Nothing here sends anything: [`TokenCell::acquire`] has one caller
//! authenticate ([`Lease::Authenticate`]) and lets the others wait for it (single flight).

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use iotda_http::{CancelToken, Condition};
use zeroize::Zeroizing;

use crate::delivery::retry;
use crate::error::{Error, ErrorKind, Result};

/// A token is asked for anew this long before it expires, or a tenth of its lifetime if that is less; and
/// at random up to as long again, so that devices that started together do not authenticate together.
const REFRESH_AHEAD: Duration = Duration::from_secs(300);

/// After a refresh that failed, the old token serves this long before the next is tried, while it lasts.
const REFRESH_PAUSE: Duration = Duration::from_secs(30);

/// A device whose new token is refused does not authenticate again before this is over, however many requests ask for
/// a token meanwhile: the next would be refused as well.
pub(crate) const REPLACE_PAUSE: Duration = Duration::from_secs(5);

/// A token and how long it lasts. `Debug` shows nothing of its text, which is wiped when it is dropped.
pub(crate) struct Token {
    text: Zeroizing<String>,
    /// [`Duration::MAX`]: not known, so it serves until it is refused, and is not refreshed ahead of time.
    expires: Duration,
    refresh: Duration,
    /// The expiry in Unix milliseconds, for a process that will have another monotonic clock; `None`: not known.
    expires_unix_ms: Option<i64>,
}

/// When and how a token was issued.
pub(crate) struct Issue {
    /// When it was asked for, monotonic.
    pub(crate) asked: Duration,
    /// The same moment in Unix milliseconds.
    pub(crate) unix_ms: i64,
    /// `None`: not known.
    pub(crate) lifetime: Option<Duration>,
    /// Random, from 0 up to 1.
    pub(crate) jitter: f64,
}

impl Token {
    pub(crate) fn issued(text: Zeroizing<String>, issue: Issue) -> Self {
        let Issue { asked, unix_ms, lifetime, jitter } = issue;
        let Some(lifetime) = lifetime else {
            return Token { text, expires: Duration::MAX, refresh: Duration::MAX, expires_unix_ms: None };
        };
        let ahead = REFRESH_AHEAD.min(lifetime / 10).mul_f64(1.0 + jitter.clamp(0.0, 1.0));
        Token {
            text,
            expires: asked.saturating_add(lifetime),
            refresh: asked.saturating_add(lifetime.saturating_sub(ahead)),
            expires_unix_ms: i64::try_from(lifetime.as_millis()).ok().and_then(|ms| unix_ms.checked_add(ms)),
        }
    }

    /// A token of an earlier process, if it is still valid at `now`, which is `unix_ms`.
    pub(crate) fn saved(
        text: Zeroizing<String>,
        expires_unix_ms: Option<i64>,
        unix_ms: i64,
        now: Duration,
    ) -> Option<Self> {
        let left = match expires_unix_ms {
            Some(expires) => {
                let left = u64::try_from(expires.saturating_sub(unix_ms)).ok().filter(|left| *left > 0)?;
                Some(Duration::from_millis(left))
            }
            None => None,
        };
        let issue = Issue { asked: now, unix_ms, lifetime: left, jitter: 0.0 };
        Some(Token { expires_unix_ms, ..Token::issued(text, issue) })
    }

    /// As requests carry it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// How long it is still valid at `now`; `None`: not known.
    pub(crate) fn remaining(&self, now: Duration) -> Option<Duration> {
        (self.expires != Duration::MAX).then(|| self.expires.saturating_sub(now))
    }

    pub(crate) fn expires_unix_ms(&self) -> Option<i64> {
        self.expires_unix_ms
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// Whether `text` can be a token: it becomes the value of a header.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
}

/// The token of one device, shared by all threads that report for it.
#[derive(Default)]
pub(crate) struct TokenCell {
    state: Mutex<State>,
    landed: Condition,
    /// Callers that wait, or are about to.
    #[cfg(test)]
    pub(crate) waiting: std::sync::atomic::AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Arc<Token>>,
    /// A caller is authenticating.
    in_flight: bool,
    /// After a failed refresh, none is tried before this.
    no_refresh_before: Duration,
    /// When a refused token was last given up for a new one.
    replaced: Option<Duration>,
    /// A new token was refused: nobody authenticates before this.
    barred_until: Duration,
    /// Counts flights that ended and tokens that came from elsewhere, so that a waiter sees what is new to it.
    news: u64,
    /// Counts tokens that were issued.
    issued: u64,
    /// Why the last flight failed. In a box, since most devices have none.
    failure: Option<Box<Error>>,
}

/// What a caller has to do for a token.
pub(crate) enum Lease<'a> {
    /// Nothing: here it is.
    Token(Arc<Token>),
    /// Authenticate, and end the flight with the result.
    Authenticate(Flight<'a>),
}

/// The duty to authenticate for everyone who waits. Dropped without a word it counts as failed, so that
/// a panic leaves nobody waiting.
pub(crate) struct Flight<'a> {
    cell: &'a TokenCell,
    started: Duration,
    /// The old token, if it is still valid while a new one is asked for ahead of time.
    still_valid: Option<Arc<Token>>,
    /// How the flight failed that this caller has waited for.
    shared_failure: Option<Box<Error>>,
    ended: bool,
}

impl TokenCell {
    /// A token that is valid `now`, or the duty to get one. Waits for another caller's authentication,
    /// but not past `deadline`, nor after `cancel` is cancelled.
    ///
    /// A failure that is permanent is shared by all who waited. After any other, the next of them takes over, one at a
    /// time: another caller's deadline or bad luck is no reason for this one to give up.
    pub(crate) fn acquire(
        &self,
        now: Duration,
        deadline: Option<Instant>,
        cancel: Option<&CancelToken>,
    ) -> Result<Lease<'_>> {
        let mut state = self.lock();
        let mut shared_failure = None;
        loop {
            if let Some(token) = &state.token {
                // While one caller refreshes ahead of the expiry, the others go on with what they have.
                let refreshed = state.in_flight || now < state.no_refresh_before;
                if now < token.refresh || refreshed && now < token.expires {
                    return Ok(Lease::Token(Arc::clone(token)));
                }
            }
            if now < state.barred_until {
                return Err(refused_lately(state.barred_until - now));
            }
            if !state.in_flight {
                state.in_flight = true;
                let still_valid = state.token.clone().filter(|token| now < token.expires);
                let flight = Flight { cell: self, started: now, still_valid, shared_failure, ended: false };
                return Ok(Lease::Authenticate(flight));
            }
            let seen = state.news;
            #[cfg(test)]
            self.waiting.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            while state.news == seen {
                if cancel.is_some_and(CancelToken::is_cancelled) {
                    return Err(Error::new(
                        ErrorKind::Cancelled,
                        "the call was cancelled while another thread authenticated this device",
                    ));
                }
                if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    return Err(Error::new(
                        ErrorKind::Timeout,
                        "allow more time: the call's was over while another thread authenticated this device",
                    ));
                }
                state = self.landed.wait(&self.state, state, deadline, cancel);
            }
            if state.token.as_ref().is_some_and(|token| now < token.expires) {
                continue;
            }
            shared_failure = match &state.failure {
                Some(failure)
                    if !retry::is_worth_retrying(failure.kind()) && failure.kind() != ErrorKind::Cancelled =>
                {
                    return Err(Error::clone(failure));
                }
                failure => failure.clone(),
            };
        }
    }

    /// The platform refused `token` at `now`; `own`: to the request that had authenticated for it. Whether the request
    /// may be sent once more with another: false if another would be no better.
    pub(crate) fn refused(&self, token: &Arc<Token>, now: Duration, own: bool) -> bool {
        let mut state = self.lock();
        if state.token.as_ref().is_none_or(|current| !Arc::ptr_eq(current, token)) {
            // It has been given up already, or replaced.
            return true;
        }
        state.token = None;
        let is_new = own || state.replaced.is_some_and(|replaced| now.saturating_sub(replaced) < REPLACE_PAUSE);
        if is_new {
            state.barred_until = now.saturating_add(REPLACE_PAUSE);
        } else {
            state.replaced = Some(now);
        }
        !is_new
    }

    /// Takes over a token, instead of any other; whoever waits for one has it.
    pub(crate) fn set(&self, token: Token) {
        let mut state = self.lock();
        state.token = Some(Arc::new(token));
        state.news += 1;
        drop(state);
        self.landed.notify_all();
    }

    /// As [`refused`](Self::refused), where nobody authenticates because of it. Whether there is another token, which
    /// came in the meantime.
    pub(crate) fn forget(&self, token: &Arc<Token>) -> bool {
        let mut state = self.lock();
        if state.token.as_ref().is_some_and(|current| Arc::ptr_eq(current, token)) {
            state.token = None;
        }
        state.token.is_some()
    }

    /// The token that is valid `now`.
    pub(crate) fn valid(&self, now: Duration) -> Option<Arc<Token>> {
        self.lock().token.clone().filter(|token| now < token.expires)
    }

    /// How many tokens were issued.
    pub(crate) fn issued(&self) -> u64 {
        self.lock().issued
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a flight; returns the token that is there then, if it is valid at `started`.
    fn land(&self, started: Duration, result: Result<Arc<Token>>) -> Option<Arc<Token>> {
        let mut state = self.lock();
        state.in_flight = false;
        state.news += 1;
        match result {
            Ok(token) => {
                state.token = Some(token);
                state.issued += 1;
                state.failure = None;
            }
            Err(error) => {
                state.failure = Some(Box::new(error));
                state.no_refresh_before = started.saturating_add(REFRESH_PAUSE);
            }
        }
        let held = state.token.clone().filter(|token| started < token.expires);
        drop(state);
        self.landed.notify_all();
        held
    }
}

fn refused_lately(wait: Duration) -> Error {
    Error::new(
        ErrorKind::TokenRejected,
        format!(
            "look for a proxy that drops the header access_token for its underscore: a new token was refused just now; \
             the device authenticates again in {} ms at the earliest",
            wait.as_millis()
        ),
    )
    .with_retry_after(wait)
}

impl Flight<'_> {
    /// Whether the old token would do for now: then a failure can wait.
    pub(crate) fn is_refresh(&self) -> bool {
        self.still_valid.is_some()
    }

    /// How the flight failed that this caller has waited for, if that says anything about the platform.
    pub(crate) fn shared_failure(&mut self) -> Option<Error> {
        let of_the_call = |error: &Error| matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Cancelled);
        self.shared_failure.take().map(|error| *error).filter(|error| !of_the_call(error))
    }

    /// Ends the flight and returns the token to use: the new one, or the old one while it lasts, or one that came from
    /// elsewhere meanwhile.
    pub(crate) fn end(mut self, result: Result<Token>) -> Result<Arc<Token>> {
        self.ended = true;
        let result = result.map(Arc::new);
        let held = self.cell.land(self.started, result.clone());
        result.or_else(|error| self.still_valid.take().or(held).ok_or(error))
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.cell.land(
                self.started,
                Err(Error::new(ErrorKind::Internal, "the authentication in another thread ended with a fault")),
            );
        }
    }
}

#[cfg(test)]
mod tests;
