//! How long a token serves, and who authenticates while many threads need one.

use super::*;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const HOUR: Duration = Duration::from_secs(3600);

fn token(asked: Duration, lifetime: Duration) -> Token {
    let issue = Issue { asked, unix_ms: 0, lifetime: Some(lifetime), jitter: 0.0 };
    Token::issued("t0k3n".to_owned().into(), issue)
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
    let issue = |jitter| Issue { asked: Duration::ZERO, unix_ms: 0, lifetime: Some(24 * HOUR), jitter };
    let refresh = |jitter| Token::issued("t".to_owned().into(), issue(jitter)).refresh;
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
fn a_token_without_an_expiry_serves_until_it_is_refused() {
    let cell = TokenCell::default();
    let issue = Issue { asked: HOUR, unix_ms: 0, lifetime: None, jitter: 0.5 };
    let token = flight(&cell, HOUR).end(Ok(Token::issued("t0k3n".to_owned().into(), issue))).unwrap();
    assert!(Arc::ptr_eq(&held(&cell, Duration::MAX - Duration::from_nanos(1)), &token));
    assert!(cell.refused(&token, 100 * HOUR, false));
    drop(flight(&cell, 100 * HOUR));
}

#[test]
fn a_refused_token_is_dropped_but_not_its_successor() {
    let cell = TokenCell::default();
    let first = flight(&cell, Duration::ZERO).end(Ok(token(Duration::ZERO, HOUR))).unwrap();
    assert!(cell.refused(&first, Duration::ZERO, false));
    let second = flight(&cell, Duration::ZERO).end(Ok(token(Duration::ZERO, HOUR))).unwrap();
    assert!(cell.refused(&first, Duration::ZERO, false), "the other is worth trying");
    assert!(Arc::ptr_eq(&held(&cell, Duration::ZERO), &second));
    assert_eq!(cell.issued(), 2);
}

#[test]
fn after_a_new_token_is_refused_nobody_authenticates_for_a_while() {
    let at = Duration::from_millis;
    // To the request that authenticated, or right after the one before it was refused.
    for own in [true, false] {
        let cell = TokenCell::default();
        if !own {
            let old = flight(&cell, at(0)).end(Ok(token(at(0), HOUR))).unwrap();
            assert!(cell.refused(&old, at(1000), false));
        }
        let new = flight(&cell, at(1000)).end(Ok(token(at(1000), HOUR))).unwrap();
        assert!(!cell.refused(&new, at(2000), own));
        let end = at(2000) + REPLACE_PAUSE;
        let error = cell.acquire(end - at(1), None, None).map(drop).unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (ErrorKind::TokenRejected, Some(at(1))));
        assert!(error.message().len() <= crate::error::MESSAGE_MAX, "{error}");
        drop(flight(&cell, end));
    }
    // One that served for longer is replaced at once.
    let cell = TokenCell::default();
    for round in 0..3 {
        let now = round * REPLACE_PAUSE;
        let token = flight(&cell, now).end(Ok(token(now, HOUR))).unwrap();
        assert!(cell.refused(&token, now + REPLACE_PAUSE, false));
    }
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

/// Has `count` threads wait for a flight that fails with `failure`; each that takes over fails in the same way.
/// Returns how many took over, each with what it learned of the failure before it, and how many shared a failure.
fn waiters(count: usize, failure: &Error) -> (Vec<Option<ErrorKind>>, usize) {
    let cell = TokenCell::default();
    let first = flight(&cell, Duration::ZERO);
    let (taken_over, shared, at_once) = (Mutex::new(Vec::new()), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| match cell.acquire(Duration::ZERO, None, None) {
                Ok(Lease::Token(token)) => panic!("{token:?}"),
                Ok(Lease::Authenticate(mut flight)) => {
                    assert_eq!(at_once.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
                    taken_over.lock().unwrap().push(flight.shared_failure().map(|error| error.kind()));
                    at_once.fetch_sub(1, Ordering::SeqCst);
                    flight.end(Err(failure.clone())).unwrap_err();
                }
                Err(error) => {
                    assert_eq!(error.kind(), failure.kind());
                    shared.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        // All of them wait: on the condition, or for the mutex that leads to it.
        while cell.waiting.load(Ordering::SeqCst) < count {
            thread::yield_now();
        }
        first.end(Err(failure.clone())).unwrap_err();
    });
    (taken_over.into_inner().unwrap(), shared.into_inner())
}

#[test]
fn after_a_passing_failure_the_next_waiter_takes_over() {
    for kind in [ErrorKind::Server, ErrorKind::Connect, ErrorKind::Dns, ErrorKind::RateLimited] {
        let (taken_over, shared) = waiters(8, &Error::new(kind, "later"));
        assert_eq!((taken_over, shared), (vec![Some(kind); 8], 0));
    }
    // Another caller's time or cancellation says nothing about the platform.
    for kind in [ErrorKind::Timeout, ErrorKind::Cancelled] {
        assert_eq!(waiters(8, &Error::new(kind, "over")), (vec![None; 8], 0));
    }
}

#[test]
fn a_permanent_failure_is_shared_by_all() {
    for kind in [ErrorKind::AuthFailed, ErrorKind::Tls, ErrorKind::Clock, ErrorKind::Protocol, ErrorKind::Internal] {
        assert_eq!(waiters(8, &Error::new(kind, "no")), (vec![], 8));
    }
}

/// The token that a thread gets that waits for a flight until `bring` has run.
fn waited_for(cell: &TokenCell, bring: impl FnOnce()) -> Arc<Token> {
    thread::scope(|scope| {
        let waiter = scope.spawn(|| held(cell, Duration::ZERO));
        while cell.waiting.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        bring();
        waiter.join().unwrap()
    })
}

#[test]
fn waiters_get_the_token_that_the_flight_brings() {
    let cell = TokenCell::default();
    let first = flight(&cell, Duration::ZERO);
    let mut token_of_flight = None;
    let awaited = waited_for(&cell, || token_of_flight = first.end(Ok(token(Duration::ZERO, HOUR))).ok());
    assert!(Arc::ptr_eq(&awaited, &token_of_flight.unwrap()));
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
    let shown = format!("{:?}", token(Duration::ZERO, HOUR));
    assert!(!shown.contains("t0k3n") && shown.contains("expires: 3600s"), "{shown}");
}

#[test]
fn a_token_from_elsewhere_serves_those_who_wait_for_a_flight() {
    let cell = TokenCell::default();
    let first = flight(&cell, Duration::ZERO);
    let imported = waited_for(&cell, || cell.set(token(Duration::ZERO, HOUR)));
    // It also serves the one who authenticates, if that fails; a token that is issued replaces it.
    let used = first.end(Err(Error::new(ErrorKind::AuthFailed, "no"))).unwrap();
    assert!(Arc::ptr_eq(&used, &imported) && Arc::ptr_eq(&held(&cell, Duration::ZERO), &imported));
    assert_eq!(cell.issued(), 0);
    cell.refused(&held(&cell, Duration::ZERO), Duration::ZERO, false);
    let second = flight(&cell, Duration::ZERO);
    cell.set(token(Duration::ZERO, HOUR));
    let issued = second.end(Ok(token(Duration::ZERO, HOUR))).unwrap();
    assert!(Arc::ptr_eq(&held(&cell, Duration::ZERO), &issued));
}

#[test]
fn a_failure_of_an_earlier_flight_is_not_that_of_an_import() {
    let cell = TokenCell::default();
    flight(&cell, Duration::ZERO).end(Err(Error::new(ErrorKind::AuthFailed, "no"))).unwrap_err();
    let second = flight(&cell, Duration::ZERO);
    waited_for(&cell, || cell.set(token(Duration::ZERO, HOUR)));
    drop(second);
}

#[test]
fn a_flight_that_ends_with_a_panic_leaves_nobody_waiting() {
    let cell = TokenCell::default();
    for _ in 0..2 {
        match cell.acquire(Duration::ZERO, Some(Instant::now()), None).unwrap() {
            Lease::Authenticate(flight) => drop(flight),
            Lease::Token(token) => panic!("{token:?}"),
        }
    }
    let first = flight(&cell, Duration::ZERO);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| cell.acquire(Duration::ZERO, Instant::now().checked_add(HOUR), None).map(drop));
        while cell.waiting.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        drop(first);
        assert_eq!(waiter.join().unwrap().unwrap_err().kind(), ErrorKind::Internal);
    });
}

#[test]
fn a_saved_token_lives_to_its_end_and_no_longer() {
    let saved = |expires| Token::saved("t0k3n".to_owned().into(), Some(expires), 5_000, HOUR);
    assert_eq!(saved(5_001).unwrap().remaining(HOUR), Some(Duration::from_millis(1)));
    for over in [5_000, 4_999, 0, i64::MIN] {
        assert!(saved(over).is_none(), "{over}");
    }
}

#[test]
fn a_token_that_is_forgotten_bars_nobody() {
    let cell = TokenCell::default();
    let first = flight(&cell, Duration::ZERO).end(Ok(token(Duration::ZERO, HOUR))).unwrap();
    for _ in 0..3 {
        assert!(!cell.forget(&held(&cell, Duration::ZERO)));
        assert!(cell.valid(Duration::ZERO).is_none());
        cell.set(token(Duration::ZERO, HOUR));
    }
    assert!(cell.forget(&first), "there is a newer one");
    held(&cell, Duration::ZERO);
}
