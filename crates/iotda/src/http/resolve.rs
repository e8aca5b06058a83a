//! Addresses of a host name, within a deadline.
//!
//! The system's look-up (`getaddrinfo`) cannot be given a deadline, so it runs on a thread of its own
//! and the caller waits for it no longer than it may. There is one such thread at a time for a client,
//! however many callers wait, and none at all for addresses and for `localhost`. What was found is kept
//! for [`LIFETIME`], so that it is the rare connection, never the report, that waits for a name server.

use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use iotda_sys::signal;

use crate::cancel::{CancelToken, Interrupt};
use crate::error::{Error, ErrorKind, Result};

/// How long found addresses are used. A name server's own lifetime is not told by `getaddrinfo`.
const LIFETIME: Duration = Duration::from_secs(300);

/// Enough for `getaddrinfo` with every name service module of glibc and musl.
const LOOKUP_STACK: usize = 512 * 1024;

/// The system's way, or a test's, of looking a name up; it may block for as long as it likes.
pub(crate) trait Lookup: Debug + Send + Sync + 'static {
    fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// `getaddrinfo`.
#[derive(Debug)]
pub(crate) struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok((host, port).to_socket_addrs()?.collect())
    }
}

/// The addresses of one host.
#[derive(Debug)]
pub(crate) struct Addresses {
    host: String,
    port: u16,
    /// Set where the host needs no look-up.
    fixed: Option<Vec<SocketAddr>>,
    shared: Arc<Shared>,
    lookup: Arc<dyn Lookup>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    found: Option<(Vec<SocketAddr>, Instant)>,
    running: bool,
    /// Counts look-ups that ended, so that a waiter knows its own from an earlier one.
    ended: u64,
    failure: Option<String>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Interrupt for Shared {
    fn interrupt(&self) {
        // With the lock held, nobody is between asking and waiting.
        let _state = self.lock();
        self.changed.notify_all();
    }
}

impl Addresses {
    pub(crate) fn new(host: &str, port: u16, lookup: Arc<dyn Lookup>) -> Self {
        Addresses { host: host.to_owned(), port, fixed: fixed_addresses(host, port), shared: Arc::default(), lookup }
    }

    /// The addresses, from memory or from a look-up that is waited for until `deadline`, or until
    /// `cancel` is cancelled.
    pub(crate) fn get(&self, deadline: Option<Instant>, cancel: Option<&CancelToken>) -> Result<Vec<SocketAddr>> {
        if let Some(fixed) = &self.fixed {
            return Ok(fixed.clone());
        }
        let _attached = cancel.map(|cancel| cancel.attach(Arc::clone(&self.shared) as Arc<dyn Interrupt>));
        let mut state = self.shared.lock();
        if let Some((found, at)) = &state.found {
            if at.elapsed() < LIFETIME {
                return Ok(found.clone());
            }
        }
        if !state.running {
            self.start().map_err(|error| {
                Error::new(ErrorKind::Dns, format!("no thread could be started to look up \"{}\": {error}", self.host))
            })?;
            state.running = true;
        }
        let awaited = state.ended + 1;
        while state.ended < awaited {
            if cancel.is_some_and(CancelToken::is_cancelled) {
                return Err(Error::new(
                    ErrorKind::Cancelled,
                    "the call was cancelled while the host name was looked up",
                ));
            }
            state = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => {
                    return Err(Error::new(
                        ErrorKind::Timeout,
                        format!(
                            "looking up the host name \"{}\" took longer than the call may: check the name server",
                            self.host
                        ),
                    ));
                }
                Some(left) => self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        match (&state.found, &state.failure) {
            (Some((found, _)), None) => Ok(found.clone()),
            (_, failure) => {
                let why = failure.as_deref().unwrap_or("no address was found");
                Err(Error::new(
                    ErrorKind::Dns,
                    format!(
                        "the host name \"{}\" could not be looked up: {why}; check the endpoint and the name server",
                        self.host
                    ),
                ))
            }
        }
    }

    /// Forgets what was found: the addresses no longer answer.
    pub(crate) fn forget(&self) {
        self.shared.lock().found = None;
    }

    fn start(&self) -> io::Result<()> {
        let (host, port) = (self.host.clone(), self.port);
        let (shared, lookup) = (Arc::clone(&self.shared), Arc::clone(&self.lookup));
        let run = move || {
            let result = lookup.lookup(&host, port);
            let mut state = shared.lock();
            state.running = false;
            state.ended += 1;
            state.found = None;
            state.failure = None;
            match result {
                Ok(found) if !found.is_empty() => state.found = Some((found, Instant::now())),
                Ok(_) => {}
                Err(error) => state.failure = Some(error.to_string()),
            }
            drop(state);
            shared.changed.notify_all();
        };
        let thread = thread::Builder::new().name("iotda-lookup".into()).stack_size(LOOKUP_STACK);
        signal::blocked(|| thread.spawn(run)).map(drop)
    }
}

/// Addresses that are written out, and those of `localhost` (RFC 6761 section 6.3: always the loopback).
fn fixed_addresses(host: &str, port: u16) -> Option<Vec<SocketAddr>> {
    let bare = host.strip_suffix('.').unwrap_or(host);
    let addresses = if bare == "localhost" || bare.ends_with(".localhost") {
        vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
    } else {
        vec![host.parse::<IpAddr>().ok()?]
    };
    Some(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Answers each look-up with what the test sends, and counts them.
    #[derive(Debug)]
    struct Scripted {
        answers: Mutex<Receiver<io::Result<Vec<SocketAddr>>>>,
        asked: AtomicUsize,
    }

    impl Lookup for Scripted {
        fn lookup(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.answers.lock().unwrap().recv().unwrap_or_else(|_| Err(io::ErrorKind::NotFound.into()))
        }
    }

    fn scripted() -> (Arc<Scripted>, Sender<io::Result<Vec<SocketAddr>>>, Addresses) {
        let (sender, receiver) = channel();
        let lookup = Arc::new(Scripted { answers: Mutex::new(receiver), asked: AtomicUsize::new(0) });
        let addresses = Addresses::new("iot.example", 443, Arc::clone(&lookup) as Arc<dyn Lookup>);
        (lookup, sender, addresses)
    }

    #[test]
    fn addresses_and_localhost_need_no_look_up() {
        let none: Arc<dyn Lookup> = scripted().0;
        for (host, expected) in [
            ("127.0.0.1", vec!["127.0.0.1:8"]),
            ("::1", vec!["[::1]:8"]),
            ("localhost", vec!["127.0.0.1:8", "[::1]:8"]),
            ("a.localhost.", vec!["127.0.0.1:8", "[::1]:8"]),
        ] {
            let expected: Vec<SocketAddr> = expected.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(Addresses::new(host, 8, Arc::clone(&none)).get(None, None).unwrap(), expected);
        }
    }

    #[test]
    fn a_name_is_looked_up_once_and_again_when_forgotten() {
        let (lookup, answers, addresses) = scripted();
        let found: Vec<SocketAddr> = vec!["192.0.2.1:443".parse().unwrap()];
        answers.send(Ok(found.clone())).unwrap();
        for _ in 0..3 {
            assert_eq!(addresses.get(None, None).unwrap(), found);
        }
        assert_eq!(lookup.asked.load(Ordering::SeqCst), 1);
        addresses.forget();
        answers.send(Ok(found.clone())).unwrap();
        assert_eq!(addresses.get(None, None).unwrap(), found);
        assert_eq!(lookup.asked.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_stuck_name_server_holds_nobody_and_is_asked_once() {
        let (lookup, answers, addresses) = scripted();
        for _ in 0..3 {
            let error = addresses.get(Some(Instant::now() + Duration::from_millis(5)), None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout);
            assert!(error.message().contains("iot.example"), "{error}");
        }
        answers.send(Ok(vec!["192.0.2.1:443".parse().unwrap()])).unwrap();
        assert_eq!(addresses.get(None, None).unwrap().len(), 1);
        assert_eq!(lookup.asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_look_up_is_not_waited_for_when_cancelled() {
        let (_lookup, _answers, addresses) = scripted();
        let cancel = CancelToken::new();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| addresses.get(None, Some(&cancel)));
            cancel.cancel();
            assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
        });
    }

    #[test]
    fn failures_are_told_and_not_kept() {
        let (_lookup, answers, addresses) = scripted();
        answers.send(Err(io::Error::other("no such host"))).unwrap();
        let error = addresses.get(None, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Dns);
        assert!(error.message().contains("iot.example") && error.message().contains("no such host"), "{error}");
        answers.send(Ok(Vec::new())).unwrap();
        assert_eq!(addresses.get(None, None).unwrap_err().kind(), ErrorKind::Dns);
        answers.send(Ok(vec!["192.0.2.1:443".parse().unwrap()])).unwrap();
        assert_eq!(addresses.get(None, None).unwrap().len(), 1);
    }
}
