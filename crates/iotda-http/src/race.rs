//! Opens a TCP connection to one of several addresses (RFC 8305, "Happy Eyeballs").
//!
//! The first address is tried, and each next one when the one before has failed or has not answered for a moment; the
//! first that connects is used. So an address that swallows packets costs a fraction of a second and not a timeout.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use iotda_sys::descriptor::above_stdio;
use iotda_sys::socket::{First, IN_PROGRESS, poll_first};
use socket2::{Domain, Protocol, Socket as RawSocket, TcpKeepalive, Type};

use crate::bounds::{Bounds, earlier};
use crate::cancel::CANCEL_CHECK;

/// How long an address has before the next one is tried beside it (RFC 8305 section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Addresses that are tried at the same time; a name with more is unusual, and the rest have their turn when some fail.
const AT_ONCE: usize = 8;

/// How a race ended.
pub(crate) struct Outcome {
    /// The connection and its address.
    pub(crate) won: Option<(TcpStream, SocketAddr)>,
    /// The addresses that failed before that, and why. Without a winner, those that did not answer are among them.
    pub(crate) failed: Vec<(SocketAddr, io::Error)>,
}

/// Connects to one of `addresses` within `bounds`. `keepalive`: after so long without traffic, the system probes the peer.
pub(crate) fn connect(addresses: &[SocketAddr], bounds: &Bounds<'_>, keepalive: Option<Duration>) -> Outcome {
    let mut race =
        Race { untried: addresses, running: Vec::with_capacity(addresses.len().min(AT_ONCE)), failed: Vec::new() };
    let won = race.run(bounds, keepalive);
    Outcome { won, failed: race.failed }
}

struct Race<'a> {
    untried: &'a [SocketAddr],
    running: Vec<(RawSocket, SocketAddr)>,
    failed: Vec<(SocketAddr, io::Error)>,
}

impl Race<'_> {
    fn run(&mut self, bounds: &Bounds<'_>, keepalive: Option<Duration>) -> Option<(TcpStream, SocketAddr)> {
        let mut next_start = Some(Instant::now());
        loop {
            if let Err(error) = bounds.remaining().and_then(|_| bounds.check()) {
                self.give_up(error.kind());
                return None;
            }
            let now = Instant::now();
            if self.untried.is_empty() || self.running.len() == AT_ONCE {
                next_start = None;
            } else if self.running.is_empty() || next_start.is_none_or(|start| start <= now) {
                if let Some(won) = self.start(keepalive) {
                    return Some(won);
                }
                next_start = now.checked_add(HEAD_START);
                continue;
            }
            if self.running.is_empty() {
                return None;
            }
            if let Some(won) = self.wait(earlier(next_start, bounds.deadline), bounds) {
                return Some(won);
            }
        }
    }

    /// Begins to connect to the next address; returns the connection if that took no time.
    fn start(&mut self, keepalive: Option<Duration>) -> Option<(TcpStream, SocketAddr)> {
        let (address, rest) = self.untried.split_first()?;
        self.untried = rest;
        match begin(address, keepalive) {
            Ok((socket, true)) => return self.finish(socket, *address),
            Ok((socket, false)) => self.running.push((socket, *address)),
            Err(error) => self.failed.push((*address, error)),
        }
        None
    }

    /// Waits for the first connection that has come to an end, good or bad, and looks at it.
    fn wait(&mut self, until: Option<Instant>, bounds: &Bounds<'_>) -> Option<(TcpStream, SocketAddr)> {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let token = bounds.cancel.map(|cancel| cancel.descriptor());
        let (token, left) = match token {
            Some(Ok(token)) => (Some(token), left),
            // No descriptor is left: the token is looked at now and then.
            Some(Err(_)) => (None, Some(left.map_or(CANCEL_CHECK, |left| left.min(CANCEL_CHECK)))),
            None => (None, left),
        };
        let sockets: Vec<_> = self.running.iter().map(|(socket, _)| socket.as_fd()).collect();
        match poll_first(&sockets, token, left) {
            Ok(First::Socket(index)) => {
                let (socket, address) = self.running.remove(index);
                // A connection that was ended while it was made is writable and has no peer.
                let error =
                    socket.take_error().and_then(|error| error.map_or_else(|| socket.peer_addr().map(drop), Err));
                match error {
                    Ok(()) => return self.finish(socket, address),
                    Err(error) => self.failed.push((address, error)),
                }
            }
            Ok(First::Other | First::Neither) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.give_up(error.kind()),
        }
        None
    }

    fn finish(&mut self, socket: RawSocket, address: SocketAddr) -> Option<(TcpStream, SocketAddr)> {
        match socket.set_nonblocking(false) {
            Ok(()) => Some((socket.into(), address)),
            Err(error) => {
                self.failed.push((address, error));
                None
            }
        }
    }

    fn give_up(&mut self, why: io::ErrorKind) {
        self.failed.extend(self.running.drain(..).map(|(_, address)| (address, why.into())));
        self.untried = &[];
    }
}

/// Begins to connect; true if it is connected already.
fn begin(address: &SocketAddr, keepalive: Option<Duration>) -> io::Result<(RawSocket, bool)> {
    let socket = RawSocket::new(Domain::for_address(*address), Type::STREAM, Some(Protocol::TCP))?;
    let socket = RawSocket::from(above_stdio(OwnedFd::from(socket))?);
    if let Some(idle) = keepalive {
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle))?;
    }
    socket.set_nonblocking(true)?;
    match socket.connect(&(*address).into()) {
        Ok(()) => Ok((socket, true)),
        Err(error) if error.raw_os_error() == Some(IN_PROGRESS) => Ok((socket, false)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancel::CancelToken;
    use crate::fixtures::{closed_port, swallowing_port};
    use std::net::TcpListener;

    fn listening() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[test]
    fn an_address_that_refuses_costs_nothing_and_is_named() {
        let (_listener, good) = listening();
        let outcome = connect(&[closed_port(), good], &Bounds::default(), None);
        assert_eq!(outcome.won.unwrap().1, good);
        assert_eq!(outcome.failed.len(), 1);
        assert_eq!(outcome.failed[0].1.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn an_address_that_cannot_be_tried_is_named_with_its_reason() {
        // TCP has no broadcast: the system refuses it before it sends anything.
        let (_listener, good) = listening();
        let outcome = connect(&[SocketAddr::from(([255, 255, 255, 255], 1)), good], &Bounds::default(), None);
        assert_eq!(outcome.won.unwrap().1, good);
        assert_eq!(outcome.failed[0].1.kind(), io::ErrorKind::NetworkUnreachable);
    }

    #[test]
    fn an_address_that_swallows_packets_is_overtaken() {
        let (_listener, good) = listening();
        let swallowing = swallowing_port();
        // Without a race this would not end before the test run.
        let bounds = Bounds { deadline: Instant::now().checked_add(Duration::from_secs(86_400)), ..Bounds::default() };
        let outcome = connect(&[swallowing.address, good], &bounds, None);
        assert_eq!(outcome.won.unwrap().1, good);
        assert!(outcome.failed.is_empty(), "not answering yet is no failure: {:?}", outcome.failed);
    }

    #[test]
    fn nobody_answers_before_the_deadline_or_the_cancellation() {
        let swallowing = swallowing_port();
        let bounds = Bounds { deadline: Instant::now().checked_add(Duration::from_millis(20)), ..Bounds::default() };
        let outcome = connect(&[swallowing.address], &bounds, None);
        assert!(outcome.won.is_none());
        assert_eq!(outcome.failed[0].1.kind(), io::ErrorKind::TimedOut);
        let cancel = CancelToken::new();
        std::thread::scope(|scope| {
            scope.spawn(|| cancel.cancel());
            let outcome = connect(&[swallowing.address], &Bounds { cancel: Some(&cancel), ..Bounds::default() }, None);
            assert!(outcome.won.is_none());
        });
    }

    #[test]
    fn idle_connections_are_probed_if_that_is_asked_for() {
        let (_listener, good) = listening();
        for idle in [None, Some(Duration::from_secs(42))] {
            let (stream, _) = connect(&[good], &Bounds::default(), idle).won.unwrap();
            let socket = socket2::SockRef::from(&stream);
            assert_eq!(socket.keepalive().unwrap(), idle.is_some());
            if idle.is_some() {
                assert_eq!(socket.tcp_keepalive_time().ok(), idle);
            }
        }
    }

    #[test]
    fn without_addresses_there_is_nothing() {
        let outcome = connect(&[], &Bounds::default(), None);
        assert!(outcome.won.is_none() && outcome.failed.is_empty());
    }

    #[test]
    fn more_addresses_than_are_tried_at_once_have_their_turn() {
        let (_listener, good) = listening();
        let mut addresses = vec![closed_port(); 3 * AT_ONCE];
        addresses.push(good);
        assert_eq!(connect(&addresses, &Bounds::default(), None).won.unwrap().1, good);
    }
}
