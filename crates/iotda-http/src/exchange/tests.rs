//! Which connection a request takes, and what becomes of it, over a transport in memory. `over_tls`: over sockets.

mod over_tls;

use std::collections::HashSet;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;

use super::*;
use crate::cancel::CancelToken;
use crate::transport::{Connection, Transport};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A network whose connections are numbered.
#[derive(Debug, Default)]
struct Network {
    opened: AtomicUsize,
    /// These swallow what is sent.
    dead: Mutex<HashSet<usize>>,
    /// These break instead.
    broken: Mutex<HashSet<usize>>,
    /// The connection of each request that was answered.
    served: Mutex<Vec<usize>>,
    /// What is answered; empty: [`ANSWER`].
    answer: Mutex<Vec<u8>>,
    /// These take nothing more, though they answer.
    full: Mutex<HashSet<usize>>,
    /// So many requests must be under way before one is answered.
    together: Mutex<Option<Arc<Barrier>>>,
    /// What comes without a request, once.
    unasked: Mutex<Vec<u8>>,
    /// Is cancelled when an answer is received, or the end of the connection.
    cancelled_by_answer: Mutex<Option<CancelToken>>,
}

#[derive(Debug)]
struct To(Arc<Network>);

#[derive(Debug)]
struct Wire {
    network: Arc<Network>,
    number: usize,
    pending: usize,
    /// Of the answer that is being received.
    rest: Vec<u8>,
}

impl Transport for To {
    fn connect(&self, _: &str, _: u16, _: Duration, _: Option<BorrowedFd<'_>>) -> io::Result<Box<dyn Connection>> {
        let number = self.0.opened.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Wire { network: Arc::clone(&self.0), number, pending: 0, rest: Vec::new() }))
    }

    fn is_secure(&self) -> bool {
        true
    }
}

impl Connection for Wire {
    fn send(&mut self, data: &[u8], _: Duration) -> io::Result<usize> {
        let together = self.network.together.lock().unwrap().clone();
        if let Some(barrier) = together {
            barrier.wait();
        }
        self.pending += 1;
        if self.network.full.lock().unwrap().contains(&self.number) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(data.len())
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        if self.pending > 0 {
            if let Some(cancel) = &*self.network.cancelled_by_answer.lock().unwrap() {
                cancel.cancel();
            }
        } else if self.rest.is_empty() {
            self.rest = std::mem::take(&mut *self.network.unasked.lock().unwrap());
        }
        if self.network.broken.lock().unwrap().contains(&self.number) && self.pending > 0 {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if self.rest.is_empty() {
            if self.pending == 0 || self.network.dead.lock().unwrap().contains(&self.number) {
                // As a socket: the time passes.
                thread::sleep(timeout);
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.pending -= 1;
            self.network.served.lock().unwrap().push(self.number);
            let answer = self.network.answer.lock().unwrap();
            self.rest = if answer.is_empty() { ANSWER.to_vec() } else { answer.clone() };
        }
        let amount = self.rest.len().min(buffer.len());
        buffer[..amount].copy_from_slice(&self.rest[..amount]);
        self.rest.drain(..amount);
        Ok(amount)
    }
}

impl Network {
    fn served(&self) -> Vec<usize> {
        self.served.lock().unwrap().clone()
    }

    fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }
}

fn https(most: usize) -> (Arc<Network>, Https) {
    https_keeping(most, usize::MAX)
}

/// A client that keeps so many connections that nobody uses.
fn https_keeping(most: usize, idle: usize) -> (Arc<Network>, Https) {
    let network = Arc::new(Network::default());
    let ten = Duration::from_secs(10);
    let https = Https::new(Settings {
        endpoint: Endpoint::parse("https://iot.example").unwrap(),
        route: Route { proxy: None, transport: Some(Arc::new(To(Arc::clone(&network)))) },
        tls: TlsSettings::default(),
        timing: Timing { connect: ten, patience: ten, keepalive: None },
        kept: KeptConnections { most, idle, time: Duration::from_secs(55) },
        clock: Arc::new(crate::clock::SystemClock),
        watch: Arc::new(Watch::default()),
    });
    (network, https.unwrap())
}

const POST: Post<'static> = Post { path: ["/v5", "", ""], token: None, body: b"x" };

fn impatient() -> Bounds<'static> {
    Bounds { patience: Duration::from_millis(1), ..Bounds::default() }
}

/// Opens so many connections at once and keeps them all.
fn open(network: &Network, https: &Https, count: usize) {
    *network.together.lock().unwrap() = Some(Arc::new(Barrier::new(count)));
    thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| https.post(&POST, &Bounds::default()).unwrap());
        }
    });
    *network.together.lock().unwrap() = None;
}

#[test]
fn a_connection_is_used_again_and_as_many_are_kept_as_were_needed_at_once() {
    let (network, https) = https(usize::MAX);
    for _ in 0..3 {
        https.post(&POST, &Bounds::default()).unwrap();
    }
    assert_eq!(network.opened(), 1);
    for _ in 0..3 {
        open(&network, &https, 64);
    }
    assert_eq!(network.opened(), 64);
}

#[test]
fn a_fresh_connection_is_a_new_one() {
    let (network, https) = https(usize::MAX);
    https.post(&POST, &Bounds::default()).unwrap();
    https.post(&POST, &Bounds { fresh: true, ..Bounds::default() }).unwrap();
    assert_eq!(network.served(), [0, 1]);
}

/// Opens connections one after the other, so that the last one is the youngest, and keeps them all.
fn open_in_order(https: &Https, count: usize) {
    for _ in 0..count {
        https.post(&POST, &Bounds { fresh: true, ..Bounds::default() }).unwrap();
    }
}

#[test]
fn connections_that_are_no_younger_than_a_dead_one_go_with_it() {
    for silent in [true, false] {
        let (network, https) = https(usize::MAX);
        open_in_order(&https, 8);
        let gone = if silent { &network.dead } else { &network.broken };
        gone.lock().unwrap().extend(0..8);
        // The one that was used last is taken first: the youngest.
        let error = https.post(&POST, &impatient()).map(drop).unwrap_err();
        assert_eq!(error.kind, if silent { Kind::Timeout } else { Kind::Connect });
        assert!(error.kept && error.sent, "{error:?}");
        https.post(&POST, &Bounds::default()).unwrap();
        assert_eq!(network.opened(), 9, "none of the seven was tried");
    }
}

#[test]
fn connections_that_are_younger_than_a_dead_one_stay() {
    let (network, https) = https(usize::MAX);
    open_in_order(&https, 3);
    let mut taken: Vec<_> = (0..3).map(|_| https.pool.take(Instant::now(), &Bounds::default()).unwrap()).collect();
    // The oldest is put back last.
    for (slot, stream) in taken.drain(..) {
        slot.keep(stream.unwrap(), Instant::now());
    }
    network.dead.lock().unwrap().insert(0);
    https.post(&POST, &impatient()).map(drop).unwrap_err();
    https.post(&POST, &Bounds::default()).unwrap();
    assert_eq!((network.opened(), network.served().last()), (3, Some(&1)));
}

#[test]
fn a_deadline_that_is_short_says_nothing_of_the_other_connections() {
    let (network, https) = https(usize::MAX);
    open(&network, &https, 2);
    network.dead.lock().unwrap().extend(0..2);
    let deadline = Instant::now().checked_add(Duration::from_millis(5));
    let error = https.post(&POST, &Bounds { deadline, ..Bounds::default() }).map(drop).unwrap_err();
    assert!(error.kind == Kind::Timeout && !error.kept, "{error:?}");
    network.dead.lock().unwrap().clear();
    https.post(&POST, &Bounds::default()).unwrap();
    assert_eq!(network.opened(), 2, "the other one is still kept");
}

#[test]
fn a_request_that_waits_for_a_connection_is_sent_when_one_is_free() {
    let (network, https) = https(2);
    let slots = [
        https.pool.take(Instant::now(), &Bounds::default()).unwrap().0,
        https.pool.take(Instant::now(), &Bounds::default()).unwrap().0,
    ];
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..4).map(|_| scope.spawn(|| https.post(&POST, &Bounds::default()))).collect();
        drop(slots);
        assert!(waiting.into_iter().all(|thread| thread.join().unwrap().is_ok()));
    });
    assert!(network.opened() <= 2, "{} connections", network.opened());
}

#[test]
fn nobody_waits_for_a_connection_beyond_the_deadline_or_a_cancellation() {
    let (network, https) = https(1);
    let _slot = https.pool.take(Instant::now(), &Bounds::default()).unwrap().0;
    let late = Bounds { deadline: Some(Instant::now()), ..Bounds::default() };
    let error = https.post(&POST, &late).map(drop).unwrap_err();
    assert!(error.kind == Kind::Timeout && !error.sent && error.arrived == Arrived::No, "{error:?}");
    let cancel = CancelToken::new();
    thread::scope(|scope| {
        let waiting =
            scope.spawn(|| https.post(&POST, &Bounds { cancel: Some(&cancel), ..Bounds::default() }).map(drop));
        cancel.cancel();
        assert_eq!(waiting.join().unwrap().unwrap_err().kind, Kind::Cancelled);
    });
    assert_eq!(network.opened(), 0);
}

#[test]
fn what_was_sent_is_known() {
    let (network, https) = https(usize::MAX);
    network.dead.lock().unwrap().extend(0..9);
    let error = https.post(&POST, &impatient()).map(drop).unwrap_err();
    assert!(error.sent && error.arrived == Arrived::Perhaps && !error.kept, "{error:?}");
    let cancel = CancelToken::new();
    cancel.cancel();
    let error = https.post(&POST, &Bounds { cancel: Some(&cancel), ..Bounds::default() }).map(drop).unwrap_err();
    assert!(error.kind == Kind::Cancelled && !error.sent && error.arrived == Arrived::No, "{error:?}");
}

#[test]
fn of_a_long_answer_the_beginning_is_read_and_its_connection_ends() {
    let (network, https) = https(usize::MAX);
    for (length, read, opened) in [(65_536, 65_536, 1), (65_537, 65_536, 1), (200_000, 65_536, 2)] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        *network.answer.lock().unwrap() = [head.as_bytes(), &vec![b'x'; length]].concat();
        let answer = https.post(&POST, &Bounds::default()).unwrap();
        assert_eq!((answer.status, answer.body.len(), network.opened()), (200, read, opened), "{length}");
    }
}

#[test]
fn a_connection_that_took_no_more_is_heard_and_not_kept() {
    let (network, https) = https(usize::MAX);
    network.full.lock().unwrap().insert(0);
    // As a server that refuses a large body before it has come: it answers, and closes its side.
    assert_eq!(https.post(&POST, &Bounds::default()).unwrap().status, 200);
    https.post(&POST, &Bounds::default()).unwrap();
    assert_eq!(network.served(), [0, 1]);
}

#[test]
fn a_cancellation_that_comes_late_does_not_touch_the_connection() {
    let (network, https) = https(usize::MAX);
    let cancel = CancelToken::new();
    https.post(&POST, &Bounds { cancel: Some(&cancel), ..Bounds::default() }).unwrap();
    cancel.cancel();
    https.post(&POST, &Bounds::default()).unwrap();
    assert_eq!((network.opened(), network.served()), (1, vec![0, 0]));
}

#[test]
fn no_more_connections_are_kept_than_is_allowed() {
    for (idle, opened) in [(0, 4), (1, 3), (2, 2)] {
        let (network, https) = https_keeping(usize::MAX, idle);
        open(&network, &https, 2);
        open(&network, &https, 2);
        assert_eq!(network.opened(), opened, "{idle} kept");
    }
}

#[test]
fn a_connection_on_which_something_came_unasked_is_not_used() {
    let (network, https) = https(usize::MAX);
    https.post(&POST, &Bounds::default()).unwrap();
    *network.unasked.lock().unwrap() = b"HTTP/1.1 408 Request Timeout\r\n\r\n".to_vec();
    https.post(&POST, &Bounds::default()).unwrap();
    assert_eq!(network.served(), [0, 1]);
}

#[test]
fn what_comes_behind_an_answer_ends_its_connection() {
    let (network, https) = https(usize::MAX);
    *network.answer.lock().unwrap() = [ANSWER, ANSWER].concat();
    for _ in 0..2 {
        https.post(&POST, &Bounds::default()).unwrap();
    }
    assert_eq!(network.served(), [0, 1]);
}

#[test]
fn why_a_body_broke_off_is_known() {
    let (network, https) = https(usize::MAX);
    *network.answer.lock().unwrap() = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok".to_vec();
    let broken = |bounds: &Bounds<'_>| {
        let answer = https.post(&POST, bounds).unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]));
        answer.broken.map(|error| (error.kind, error.sent, error.arrived))
    };
    // Long beside what the answer takes on a machine that is busy.
    let bounds = Bounds { patience: Duration::from_secs(1), ..Bounds::default() };
    assert_eq!(broken(&bounds), Some((Kind::Timeout, true, Arrived::Perhaps)));
    let cancel = CancelToken::new();
    *network.cancelled_by_answer.lock().unwrap() = Some(cancel.clone());
    let bounds = Bounds { cancel: Some(&cancel), ..bounds };
    assert_eq!(broken(&bounds), Some((Kind::Cancelled, true, Arrived::Perhaps)));
}

#[test]
fn an_answer_that_is_whole_stays_so_when_the_call_is_cancelled() {
    let (network, https) = https(usize::MAX);
    let cancel = CancelToken::new();
    *network.cancelled_by_answer.lock().unwrap() = Some(cancel.clone());
    let answer = https.post(&POST, &Bounds { cancel: Some(&cancel), ..Bounds::default() }).unwrap();
    assert!(cancel.is_cancelled() && answer.broken.is_none());
    assert_eq!(answer.body.as_slice(), b"ok");
}

#[test]
fn a_cancellation_says_nothing_of_the_other_connections() {
    let (network, https) = https(usize::MAX);
    open_in_order(&https, 2);
    network.broken.lock().unwrap().insert(1);
    let cancel = CancelToken::new();
    *network.cancelled_by_answer.lock().unwrap() = Some(cancel.clone());
    let error = https.post(&POST, &Bounds { cancel: Some(&cancel), ..Bounds::default() }).map(drop).unwrap_err();
    assert!(error.kind == Kind::Cancelled && error.sent && !error.kept, "{error:?}");
    *network.cancelled_by_answer.lock().unwrap() = None;
    https.post(&POST, &Bounds::default()).unwrap();
    assert_eq!((network.opened(), network.served().last()), (2, Some(&0)));
}
