//! The access token of one device: cached, invalidated, and refreshed by one caller at a time.
//!
//! Times are on the client's monotonic clock. Nothing here sends anything: [`TokenCell::acquire`] tells
//! one caller to authenticate ([`Lease::Authenticate`]) and lets the others wait for it (single flight).

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use iotda_http::{CancelToken, Condition};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};

/// A token is asked for anew this long before it expires, or a tenth of its lifetime if that is less; and
/// at random up to as long again, so that devices that started together do not authenticate together.
const REFRESH_AHEAD: Duration = Duration::from_secs(300);

/// After a refresh that failed, the old token serves this long before the next is tried, while it lasts.
const REFRESH_PAUSE: Duration = Duration::from_secs(30);

/// A token and how long it lasts. `Debug` shows nothing of its text, which is wiped when it is dropped.
pub(crate) struct Token {
    text: Zeroizing<String>,
    expires: Duration,
    refresh: Duration,
}

impl Token {
    /// A token that was asked for at `asked` and is valid for `lifetime`; `jitter` is random, from 0 up to 1.
    pub(crate) fn new(text: Zeroizing<String>, asked: Duration, lifetime: Duration, jitter: f64) -> Self {
        let ahead = REFRESH_AHEAD.min(lifetime / 10).mul_f64(1.0 + jitter.clamp(0.0, 1.0));
        Token { text, expires: asked.saturating_add(lifetime), refresh: asked.saturating_add(lifetime - ahead) }
    }

    /// As requests carry it.
    pub(crate) fn text(&self) -> &str {
        &self.text
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
}

#[derive(Debug, Default)]
struct State {
    token: Option<Arc<Token>>,
    /// A caller is authenticating.
    in_flight: bool,
    /// After a failed refresh, none is tried before this.
    no_refresh_before: Duration,
    /// Counts flights that ended, so that a waiter knows its own from an earlier one.
    flights: u64,
    /// Why the last flight failed. In a box, since most devices have none.
    failure: Option<Box<Error>>,
}

/// What a caller has to do for a token.
pub(crate) enum Lease<'a> {
    /// Nothing: here it is.
    Token(Arc<Token>),
    /// Authenticate, and tell the flight how it went.
    Authenticate(Flight<'a>),
}

/// The duty to authenticate for everyone who waits. Dropped without a word it counts as failed, so that
/// a panic leaves nobody waiting.
pub(crate) struct Flight<'a> {
    cell: &'a TokenCell,
    started: Duration,
    /// The old token, if it is still valid while a new one is asked for ahead of time.
    still_valid: Option<Arc<Token>>,
    ended: bool,
}

impl TokenCell {
    /// A token that is valid `now`, or the duty to get one. Waits for another caller's authentication,
    /// but not past `deadline`, nor after `cancel` is cancelled.
    pub(crate) fn acquire(
        &self,
        now: Duration,
        deadline: Option<Instant>,
        cancel: Option<&CancelToken>,
    ) -> Result<Lease<'_>> {
        let mut state = self.lock();
        loop {
            if let Some(token) = &state.token {
                // While one caller refreshes ahead of the expiry, the others go on with what they have.
                let refreshed = state.in_flight || now < state.no_refresh_before;
                if now < token.refresh || refreshed && now < token.expires {
                    return Ok(Lease::Token(Arc::clone(token)));
                }
            }
            if !state.in_flight {
                state.in_flight = true;
                let still_valid = state.token.clone().filter(|token| now < token.expires);
                return Ok(Lease::Authenticate(Flight { cell: self, started: now, still_valid, ended: false }));
            }
            let awaited = state.flights + 1;
            while state.flights < awaited {
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
            if let Some(failure) = &state.failure {
                // Another caller's deadline is no reason for this one to give up.
                if !matches!(failure.kind(), ErrorKind::Timeout | ErrorKind::Cancelled) {
                    return Err(Error::clone(failure));
                }
            }
        }
    }

    /// The platform refused `token`. If it has been replaced meanwhile, nothing changes.
    pub(crate) fn refused(&self, token: &Arc<Token>) {
        let mut state = self.lock();
        if state.token.as_ref().is_some_and(|current| Arc::ptr_eq(current, token)) {
            state.token = None;
        }
    }

    /// Takes over a token, in the place of any other.
    pub(crate) fn set(&self, token: Token) {
        self.lock().token = Some(Arc::new(token));
    }

    /// The token that is valid `now`, and how long it still is.
    pub(crate) fn valid(&self, now: Duration) -> Option<(Arc<Token>, Duration)> {
        let token = self.lock().token.clone()?;
        let left = token.expires.checked_sub(now).filter(|left| !left.is_zero())?;
        Some((token, left))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn land(&self, started: Duration, result: Result<Arc<Token>>) {
        let mut state = self.lock();
        state.in_flight = false;
        state.flights += 1;
        match result {
            Ok(token) => {
                state.token = Some(token);
                state.failure = None;
            }
            Err(error) => {
                state.failure = Some(Box::new(error));
                state.no_refresh_before = started.saturating_add(REFRESH_PAUSE);
            }
        }
        drop(state);
        self.landed.notify_all();
    }
}

impl Flight<'_> {
    /// Whether the old token would do for now: then a failure can wait.
    pub(crate) fn is_refresh(&self) -> bool {
        self.still_valid.is_some()
    }

    /// Ends the flight and returns the token to use: the new one, or the old one while it lasts.
    pub(crate) fn end(mut self, result: Result<Token>) -> Result<Arc<Token>> {
        self.ended = true;
        let result = result.map(Arc::new);
        self.cell.land(self.started, result.clone());
        result.or_else(|error| self.still_valid.take().ok_or(error))
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
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    const HOUR: Duration = Duration::from_secs(3600);

    fn token(asked: Duration, lifetime: Duration) -> Token {
        Token::new("t0k3n".to_owned().into(), asked, lifetime, 0.0)
    }

    fn flight(cell: &TokenCell, now: Duration) -> Flight<'_> {
        match cell.acquire(now, None, None).unwrap() {
            Lease::Authenticate(flight) => flight,
            Lease::Token(token) => panic!("{token:?}"),
        }
    }

    fn held(cell: &TokenCell, now: Duration) -> Arc<Token> {
        match cell.acquire(now, None, None).unwrap() {
            Lease::Token(token) => token,
            Lease::Authenticate(_) => panic!("a token was expected"),
        }
    }

    #[test]
    fn a_token_serves_until_it_is_refreshed_ahead_of_its_expiry() {
        let cell = TokenCell::default();
        flight(&cell, Duration::ZERO).end(Ok(token(Duration::ZERO, 24 * HOUR))).unwrap();
        held(&cell, 23 * HOUR);
        let refresh = flight(&cell, 24 * HOUR - REFRESH_AHEAD);
        // Others do not wait while the old one is valid.
        held(&cell, 24 * HOUR - Duration::from_secs(1));
        refresh.end(Ok(token(24 * HOUR, 24 * HOUR))).unwrap();
        held(&cell, 25 * HOUR);
    }

    #[test]
    fn a_refresh_that_fails_ahead_of_time_loses_nothing() {
        let cell = TokenCell::default();
        let old = flight(&cell, Duration::ZERO).end(Ok(token(Duration::ZERO, HOUR))).unwrap();
        let failed = || Err(Error::new(ErrorKind::RateLimited, "later"));
        let used = flight(&cell, HOUR - Duration::from_secs(1)).end(failed()).unwrap();
        assert!(Arc::ptr_eq(&used, &old));
        held(&cell, HOUR - Duration::from_millis(1));
        assert_eq!(flight(&cell, HOUR).end(failed()).unwrap_err().kind(), ErrorKind::RateLimited);
    }

    #[test]
    fn a_failed_refresh_is_tried_again_after_a_pause() {
        let cell = TokenCell::default();
        flight(&cell, Duration::ZERO).end(Ok(token(Duration::ZERO, 24 * HOUR))).unwrap();
        let due = 24 * HOUR - REFRESH_AHEAD;
        flight(&cell, due).end(Err(Error::new(ErrorKind::Connect, "later"))).unwrap();
        held(&cell, due + REFRESH_PAUSE - Duration::from_millis(1));
        drop(flight(&cell, due + REFRESH_PAUSE));
    }

    #[test]
    fn jitter_spreads_refreshes() {
        let refresh = |jitter| Token::new("t".to_owned().into(), Duration::ZERO, 24 * HOUR, jitter).refresh;
        assert_eq!(refresh(0.0), 24 * HOUR - REFRESH_AHEAD);
        assert_eq!(refresh(1.0), 24 * HOUR - 2 * REFRESH_AHEAD);
    }

    #[test]
    fn a_waiter_can_be_cancelled() {
        let (cell, cancel) = (Arc::new(TokenCell::default()), CancelToken::new());
        let _first = flight(&cell, Duration::ZERO);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| cell.acquire(Duration::ZERO, None, Some(&cancel)).map(drop));
            cancel.cancel();
            assert_eq!(waiter.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
        });
    }

    #[test]
    fn a_short_lived_token_is_used_for_most_of_its_life() {
        let cell = TokenCell::default();
        flight(&cell, Duration::ZERO).end(Ok(token(Duration::ZERO, Duration::from_secs(10)))).unwrap();
        held(&cell, Duration::from_millis(8_999));
        drop(flight(&cell, Duration::from_secs(9)));
    }

    #[test]
    fn a_refused_token_is_dropped_but_not_its_successor() {
        let cell = TokenCell::default();
        let first = flight(&cell, Duration::ZERO).end(Ok(token(Duration::ZERO, HOUR))).unwrap();
        cell.refused(&first);
        let second = flight(&cell, Duration::ZERO).end(Ok(token(Duration::ZERO, HOUR))).unwrap();
        cell.refused(&first);
        assert!(Arc::ptr_eq(&held(&cell, Duration::ZERO), &second));
    }

    #[test]
    fn many_threads_one_flight() {
        let cell = TokenCell::default();
        let (flights, together) = (AtomicUsize::new(0), Barrier::new(50));
        thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| {
                    together.wait();
                    match cell.acquire(Duration::ZERO, None, None).unwrap() {
                        Lease::Token(_) => {}
                        Lease::Authenticate(flight) => {
                            flights.fetch_add(1, Ordering::SeqCst);
                            flight.end(Ok(token(Duration::ZERO, HOUR))).unwrap();
                        }
                    }
                });
            }
        });
        assert_eq!(flights.load(Ordering::SeqCst), 1);
    }

    /// What a second caller gets while the first one's flight ends with `result`.
    fn waiter_gets(result: Option<Result<Token>>) -> Result<Option<Arc<Token>>> {
        let cell = TokenCell::default();
        let first = flight(&cell, Duration::ZERO);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| match cell.acquire(Duration::ZERO, None, None) {
                Ok(Lease::Token(token)) => Ok(Some(token)),
                Ok(Lease::Authenticate(flight)) => {
                    let _ = flight.end(Err(Error::new(ErrorKind::Connect, "again")));
                    Ok(None)
                }
                Err(error) => Err(error),
            });
            match result {
                Some(result) => drop(first.end(result)),
                None => drop(first),
            }
            waiter.join().unwrap()
        })
    }

    #[test]
    fn waiters_share_what_the_flight_brings_and_take_over_when_its_time_was_up() {
        // The waiter may also come after the flight has ended and then has one of its own: both are right.
        assert!(waiter_gets(Some(Ok(token(Duration::ZERO, HOUR)))).unwrap().is_some());
        for failure in [Some(Err(Error::new(ErrorKind::AuthFailed, "no"))), None] {
            match waiter_gets(failure) {
                Ok(own_flight) => assert!(own_flight.is_none()),
                Err(error) => assert!(matches!(error.kind(), ErrorKind::AuthFailed | ErrorKind::Internal)),
            }
        }
        assert!(waiter_gets(Some(Err(Error::new(ErrorKind::Timeout, "late")))).unwrap().is_none());
    }

    #[test]
    fn a_waiter_keeps_its_deadline() {
        let cell = TokenCell::default();
        let _first = flight(&cell, Duration::ZERO);
        let error = cell.acquire(Duration::ZERO, Some(Instant::now()), None).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
    }

    #[test]
    fn debug_shows_no_token() {
        assert!(!format!("{:?}", token(Duration::ZERO, HOUR)).contains("t0k3n"));
    }
}
