//! The way to a server, step by step as `connect` goes it, with what each step found. For programs that explain why a
//! device does not report; behind the feature `probe`, since no device needs it.
//!
//! Nothing here can send a secret: the one request that it makes is a `GET /` without a body, and only a verified server
//! is asked for more than its time.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::ProtocolVersion;
use rustls::client::danger::ServerCertVerifier;

use crate::bounds::Bounds;
use crate::clock::Clock;
use crate::connect::{Connector, RELEASED_MS};
use crate::error::{Error, Result, io_error};
use crate::exchange::{Answer, Settings};
use crate::proxy::Proxy;
use crate::records::Records;
use crate::request::HEAD_PIECES;
use crate::resolve::{Addresses, Lookup};
use crate::socket::Socket;
use crate::stream::Stream;
use crate::tls::{TlsSettings, with_verifier};

mod witness;

pub use witness::CertificateFault;
use witness::{Unverified, Witness};

/// The most addresses that are connected to; the others are left out.
const ADDRESSES_MAX: usize = 16;

/// Looks at the way to one server. Its steps can be taken in any order and any number of times.
pub struct Probe {
    connector: Connector,
    tls: TlsSettings,
}

/// What became of connecting to one address.
#[derive(Debug)]
pub struct Reached {
    /// Whom.
    pub address: SocketAddr,
    /// How long it took.
    pub took: Duration,
    /// The connection, or why there is none; [`io::ErrorKind::TimedOut`]: nobody answered.
    pub result: io::Result<Link>,
}

/// A TCP connection.
pub struct Link {
    socket: Socket,
    address: SocketAddr,
}

/// How a TLS handshake went.
#[derive(Debug)]
pub struct Handshake {
    /// The certificates that the server has shown, in DER and in its order, its own first. Empty: it came to none. They
    /// are here also when they were not accepted.
    pub chain: Vec<Vec<u8>>,
    /// What is wrong with them, if that was the reason.
    pub fault: Option<CertificateFault>,
    /// The connection, whose server is verified, or why there is none.
    pub result: Result<Secured>,
}

/// A connection to a verified server.
pub struct Secured {
    stream: Stream,
    version: Option<ProtocolVersion>,
}

impl Probe {
    /// Checks the settings; opens nothing. A custom transport is an error: the probe is for the system's sockets.
    pub fn new(settings: Settings) -> Result<Self> {
        if settings.route.transport.is_some() {
            return Err(Error::config(
                "probe the custom transport by its own means: only the system's sockets are looked at",
            ));
        }
        let tls = settings.tls.clone();
        Ok(Probe { connector: Connector::new(settings)?, tls })
    }

    /// Looks names up by `lookup` instead of `getaddrinfo`. It may block for as long as it likes.
    #[must_use]
    pub fn with_lookup(
        mut self,
        lookup: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        let Connector { host, port, addresses, .. } = &mut self.connector;
        *addresses = Addresses::new(host, *port, Arc::new(LookupBy(lookup)));
        self
    }

    /// What is looked up and connected to: the proxy's host if there is one, otherwise the endpoint's.
    pub fn host(&self) -> &str {
        &self.connector.host
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.connector.port
    }

    /// The proxy as `host:port`, if there is one.
    pub fn proxy(&self) -> Option<String> {
        self.connector.route.proxy.as_ref().map(Proxy::authority)
    }

    /// An error of [`Kind::Clock`](crate::Kind::Clock) if the clock is so wrong that connections are not even tried.
    pub fn check_clock(&self) -> Result<()> {
        self.connector.check_clock()
    }

    /// The addresses of the host, within `bounds`; none are kept for another call.
    pub fn look_up(&self, bounds: &Bounds<'_>) -> Result<Vec<SocketAddr>> {
        self.connector.addresses.get(bounds)
    }

    /// Connects to the first 16 of `addresses`, to all at the same time and to each for at most `most`, in threads of
    /// their own. Returns when all have ended; a cancel token does not end it.
    pub fn connect(&self, addresses: &[SocketAddr], most: Duration) -> Vec<Reached> {
        let addresses = &addresses[..addresses.len().min(ADDRESSES_MAX)];
        let connect = |address: SocketAddr| {
            let began = Instant::now();
            let result = self.connect_to(address, most);
            Reached { address, took: began.elapsed(), result }
        };
        thread::scope(|scope| {
            let connect = &connect;
            let running: Vec<_> = addresses
                .iter()
                .map(|address| thread::Builder::new().spawn_scoped(scope, move || connect(*address)))
                .collect();
            let ended = running.into_iter().zip(addresses).map(|(thread, address)| {
                let failed = |error| Reached { address: *address, took: Duration::ZERO, result: Err(error) };
                match thread {
                    Ok(thread) => thread.join().unwrap_or_else(|_| failed(io::Error::other("connecting met a fault"))),
                    Err(error) => failed(error),
                }
            });
            ended.collect()
        })
    }

    fn connect_to(&self, address: SocketAddr, most: Duration) -> io::Result<Link> {
        if most.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let stream = TcpStream::connect_timeout(&address, most)?;
        let socket = Socket::new(stream, self.connector.timing.patience, Arc::clone(&self.connector.watch))?;
        Ok(Link { socket, address })
    }

    /// Has the proxy, if there is one, pass the connection on.
    pub fn tunnel(&self, link: &mut Link, bounds: &Bounds<'_>) -> Result<()> {
        let Some(proxy) = &self.connector.route.proxy else { return Ok(()) };
        let begun = link.socket.begin(0, Instant::now(), bounds);
        begun.map_err(|error| io_error(&error, &proxy.name()))?;
        proxy.tunnel(&mut link.socket.within(bounds), &self.connector.authority)
    }

    /// Makes the TLS handshake as a client does, and keeps what the server shows. What is not verified is not spoken to.
    pub fn handshake(&self, mut link: Link, bounds: &Bounds<'_>) -> Handshake {
        let witness = Arc::new(Mutex::new(witness::Seen::default()));
        let wrap =
            |verifier| -> Arc<dyn ServerCertVerifier> { Arc::new(Witness { verifier, seen: Arc::clone(&witness) }) };
        let clock = Arc::clone(&self.connector.clock);
        let result = with_verifier(self.tls.clone(), clock, wrap)
            .and_then(|config| self.connector.secure(&config, &mut link.socket, bounds));
        let result = result.map(|tls| {
            let version = tls.0.protocol_version();
            Secured { stream: self.stream(tls, link), version }
        });
        let seen = std::mem::take(&mut *witness.lock().unwrap_or_else(PoisonError::into_inner));
        Handshake { chain: seen.chain, fault: seen.fault, result }
    }

    /// The time that the server says it is, in Unix milliseconds, **without** verifying who it is: no more than a hint, for
    /// a machine whose clock is wrong and which cannot verify anybody until it is set. The server is sent `GET /` and
    /// nothing else, no client certificate either. `None`: its answer holds no time.
    pub fn unverified_time(&self, mut link: Link, bounds: &Bounds<'_>) -> Result<Option<i64>> {
        let bare = TlsSettings { tls_1_3: self.tls.tls_1_3, ..TlsSettings::default() };
        let wrap = |verifier| -> Arc<dyn ServerCertVerifier> { Arc::new(Unverified(verifier)) };
        let config = with_verifier(bare, Arc::new(AtRelease), wrap)?;
        let tls = self.connector.secure(&config, &mut link.socket, bounds)?;
        let answer = self.get(&mut self.stream(tls, link), bounds)?;
        Ok(answer.server_time_ms)
    }

    /// Sends `GET /` and returns the answer, whatever it is: it has the server's time, and shows what answers there.
    pub fn ask(&self, mut secured: Secured, bounds: &Bounds<'_>) -> Result<Answer> {
        self.get(&mut secured.stream, bounds)
    }

    fn get(&self, stream: &mut Stream, bounds: &Bounds<'_>) -> Result<Answer> {
        let host = self.connector.peer.as_bytes();
        let mut head: [&[u8]; HEAD_PIECES] = [b""; HEAD_PIECES];
        head[..3].copy_from_slice(&[b"GET / HTTP/1.1\r\nhost: ", host, b"\r\nconnection: close\r\n\r\n"]);
        stream.exchange(&head, b"", Instant::now(), &*self.connector.clock, bounds).map(|(answer, _)| answer)
    }

    fn stream(&self, tls: (Box<rustls::ClientConnection>, Records), link: Link) -> Stream {
        Stream::new(Some(tls), link.socket, Arc::clone(&self.connector.peer), Some(link.address), Instant::now())
    }
}

impl Link {
    /// Whom it is connected to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Secured {
    /// The version of TLS, such as `TLS 1.2`.
    pub fn version(&self) -> &'static str {
        match self.version {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS 1.2",
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("peer", &self.connector.peer).finish_non_exhaustive()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("address", &self.address).finish_non_exhaustive()
    }
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secured").field("version", &self.version()).finish_non_exhaustive()
    }
}

/// A look-up by a function.
struct LookupBy<F>(F);

impl<F: Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static> Lookup for LookupBy<F> {
    fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        (self.0)(host, port)
    }
}

/// A clock for handshakes that check no dates: rustls wants a time all the same.
#[derive(Debug)]
struct AtRelease;

impl Clock for AtRelease {
    fn unix_ms(&self) -> i64 {
        RELEASED_MS
    }
}
