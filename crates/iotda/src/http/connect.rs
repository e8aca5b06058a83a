//! Opens connections for `ureq`: addresses, TCP, TLS, all before one deadline.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, NextTimeout};

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::http::failure::{Failure, io_failure};
use crate::http::resolve::Addresses;
use crate::http::socket::Socket;
use crate::http::stream::TlsStream;
use crate::http::tls;

/// 2026-11-01T00:00:00Z, moved forward with each release: a clock before it cannot be right, and a
/// certificate checked against it would be accepted or refused at random.
const RELEASED_MS: i64 = 1_793_491_200_000;

/// Opens TLS connections to one server.
#[derive(Debug)]
pub(crate) struct TlsConnector {
    pub(crate) addresses: Addresses,
    pub(crate) server_name: ServerName<'static>,
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) clock: Arc<dyn Clock>,
    /// `host:port`, for messages.
    pub(crate) peer: String,
    /// The most that TCP and TLS may take together.
    pub(crate) connect_timeout: Duration,
    /// How long a whole call usually may take.
    pub(crate) usual_timeout: Duration,
}

/// The server's name as TLS checks it: a DNS name or an address.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).map_err(|_| {
        Error::config(format!("the host \"{host}\" of the endpoint is no name that a certificate can hold"))
    })
}

impl Connector for TlsConnector {
    type Out = TlsStream;

    fn connect(&self, details: &ConnectionDetails, _chained: Option<()>) -> Result<Option<TlsStream>, ureq::Error> {
        let call_ends = match details.timeout.after {
            ureq::unversioned::transport::time::Duration::Exact(left) => Instant::now().checked_add(left),
            ureq::unversioned::transport::time::Duration::NotHappening => None,
        };
        Ok(Some(self.open(call_ends)?))
    }
}

impl TlsConnector {
    fn open(&self, call_ends: Option<Instant>) -> Result<TlsStream, Failure> {
        self.check_clock()?;
        let deadline = match (Instant::now().checked_add(self.connect_timeout), call_ends) {
            (Some(connect), Some(call)) => Some(connect.min(call)),
            (connect, call) => connect.or(call),
        };
        let stream = self.open_tcp(deadline)?;
        let mut socket = Socket::new(stream, self.usual_timeout).map_err(|error| io_failure(&error, &self.peer))?;
        socket.set_deadline(deadline);
        let tls = self.handshake(&mut socket)?;
        Ok(TlsStream::new(tls, socket, self.peer.clone()))
    }

    fn check_clock(&self) -> Result<(), Failure> {
        let now = self.clock.unix_ms();
        if now >= RELEASED_MS {
            return Ok(());
        }
        Err(Failure::new(
            ErrorKind::Clock,
            format!(
                "the clock of this machine is not set (it says {} s after 1970, which was before this library was made): \
                 certificates cannot be checked; set the clock",
                now / 1000
            ),
        ))
    }

    /// Tries each address in turn; each gets an equal share of the time that is left.
    fn open_tcp(&self, deadline: Option<Instant>) -> Result<TcpStream, Failure> {
        let addresses = self.addresses.get(deadline)?;
        let mut refusals = Vec::new();
        for (index, address) in addresses.iter().enumerate() {
            let untried = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match connect_within(address, left.map(|left| left / untried)) {
                Ok(stream) => return Ok(stream),
                Err(error) => refusals.push((address, error)),
            }
        }
        self.addresses.forget();
        let timed_out = refusals.iter().all(|(_, error)| error.kind() == io::ErrorKind::TimedOut);
        let tried: Vec<_> = refusals.iter().map(|(address, error)| format!("{address}: {error}")).collect();
        let kind = if timed_out { ErrorKind::Timeout } else { ErrorKind::Connect };
        Err(Failure::new(
            kind,
            format!(
                "no connection to {} ({}); check the endpoint, the network and the firewall",
                self.peer,
                tried.join(", ")
            ),
        ))
    }

    fn handshake(&self, socket: &mut Socket) -> Result<ClientConnection, Failure> {
        let explain = |error: &rustls::Error| tls::explain(error, &self.peer);
        let mut tls = ClientConnection::new(Arc::clone(&self.config), self.server_name.clone())
            .map_err(|error| explain(&error))?;
        // Requests are gathered and measured before they come here; a limit would only cut them.
        tls.set_buffer_limit(None);
        while tls.is_handshaking() {
            while tls.wants_write() {
                tls.write_tls(socket).map_err(|error| self.handshake_broke(&error))?;
            }
            match tls.read_tls(&mut socket.by_ref()) {
                Ok(0) => return Err(self.handshake_broke(&io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(self.handshake_broke(&error)),
            }
            if let Err(error) = tls.process_new_packets() {
                // The alert tells the server why; it does not matter whether it arrives.
                let _ = tls.write_tls(socket);
                return Err(explain(&error));
            }
        }
        // After a resumed handshake our last message waits to be sent: it goes with the request.
        Ok(tls)
    }

    fn handshake_broke(&self, error: &io::Error) -> Failure {
        let failure = io_failure(error, &self.peer);
        Failure { message: format!("during the TLS handshake, {}", failure.message), ..failure }
    }
}

fn connect_within(address: &SocketAddr, left: Option<Duration>) -> io::Result<TcpStream> {
    match left {
        Some(Duration::ZERO) => Err(io::ErrorKind::TimedOut.into()),
        Some(left) => TcpStream::connect_timeout(address, left),
        None => TcpStream::connect(address),
    }
}

/// `ureq` resolves before each request, also when it then takes a kept connection; the connector does it
/// when it connects. So this finds nothing, at no cost.
#[derive(Debug)]
pub(crate) struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(
        &self,
        _uri: &ureq::http::Uri,
        _config: &ureq::config::Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}
