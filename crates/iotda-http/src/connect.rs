//! Opens connections: addresses, TCP, a proxy's tunnel, TLS, all before one deadline.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};

use crate::bounds::Bounds;
use crate::clock::Clock;
use crate::error::{Error, Kind, Result, io_error};
use crate::exchange::{Settings, Timing};
use crate::explain::explain;
use crate::proxy::Proxy;
use crate::race;
use crate::records::Records;
use crate::request::fixed_fields;
use crate::resolve::{Addresses, SystemLookup};
use crate::socket::{Bounded, Socket};
use crate::stream::Stream;
use crate::tls::Tls;
use crate::transport::{Route, Transport};
use crate::watch::{Level, Traffic, Watch};

/// 2026-11-01T00:00:00Z, moved forward with each release: a clock before it cannot be right, and a
/// certificate checked against it would be accepted or refused at random.
pub(crate) const RELEASED_MS: i64 = 1_793_491_200_000;

/// Opens connections to one server.
pub(crate) struct Connector {
    pub(crate) route: Route,
    /// What is connected to: the proxy if there is one, otherwise the endpoint.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The endpoint with its port, for a proxy.
    pub(crate) authority: String,
    pub(crate) addresses: Addresses,
    pub(crate) server_name: ServerName<'static>,
    /// `None` where a custom transport does TLS itself.
    pub(crate) tls: Option<Tls>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) watch: Arc<Watch>,
    /// `host[:port]`, for messages.
    pub(crate) peer: Arc<str>,
    pub(crate) timing: Timing,
    /// What all requests have in common.
    pub(crate) fixed_fields: String,
}

impl Connector {
    /// Checks the settings; opens nothing.
    pub(crate) fn new(settings: Settings) -> Result<Self> {
        let Settings { endpoint, route, tls, timing, kept: _, clock, watch } = settings;
        let secure = route.transport.as_ref().is_some_and(|transport| transport.is_secure());
        if secure && route.proxy.is_some() {
            return Err(Error::config(
                "let the transport connect through the proxy: a proxy is configured beside a transport that does TLS itself",
            ));
        }
        let tls = if secure { None } else { Some(Tls::new(tls, Arc::clone(&clock))?) };
        let peer = endpoint.authority();
        let (host, port) = match &route.proxy {
            Some(proxy) => (proxy.host().to_owned(), proxy.port()),
            None => (endpoint.host.clone(), endpoint.port),
        };
        let server_name = ServerName::try_from(endpoint.host.clone()).map_err(|_| {
            Error::config(format!("check the endpoint: no certificate can hold its host \"{}\"", endpoint.host))
        })?;
        let fixed_fields = fixed_fields(&peer);
        Ok(Connector {
            addresses: Addresses::new(&host, port, Arc::new(SystemLookup)),
            route,
            host,
            port,
            authority: endpoint.authority_with_port(),
            server_name,
            tls,
            clock,
            watch,
            peer: peer.into(),
            timing,
            fixed_fields,
        })
    }

    /// Opens a connection within `bounds`.
    pub(crate) fn open(&self, bounds: &Bounds<'_>) -> Result<Stream> {
        let bounds = &bounds.within(self.timing.connect);
        if self.tls.is_some() {
            self.check_clock()?;
        }
        let Some(transport) = &self.route.transport else { return self.open_system(bounds) };
        let opened = Instant::now();
        let socket = self.open_custom(&**transport, bounds)?;
        self.set_up(socket, None, opened, bounds)
    }

    /// A connection to `address`, if it is one of the system's, brought its first answer.
    pub(crate) fn answered(&self, address: Option<SocketAddr>) {
        if let Some(address) = address {
            self.addresses.won(address);
        }
    }

    /// A connection to `address`, if it is one of the system's, failed before it brought an answer.
    pub(crate) fn failed(&self, address: Option<SocketAddr>) {
        if let Some(address) = address {
            self.addresses.failed(address);
        }
    }

    /// Tries the addresses until one can be talked to: what accepts TCP may still be the wrong machine. If none can, a
    /// certificate that was refused says more than an address at which nobody answers.
    fn open_system(&self, bounds: &Bounds<'_>) -> Result<Stream> {
        let mut untried = self.addresses.get(bounds)?;
        let mut refused_certificate = None;
        loop {
            let (stream, address) = match self.open_tcp(&untried, bounds) {
                Ok(opened) => opened,
                Err(error) => return Err(refused_certificate.unwrap_or(error)),
            };
            let opened = Instant::now();
            let socket = Socket::new(stream, self.timing.patience, Arc::clone(&self.watch))
                .map_err(|error| io_error(&error, &self.peer))?;
            let error = match self.set_up(socket, Some(address), opened, bounds) {
                Ok(stream) => return Ok(stream),
                Err(error) => error,
            };
            if bounds.is_cancelled() {
                return Err(error);
            }
            // A call's own short deadline is no evidence against an address.
            let is_evidence = error.kind != Kind::Timeout || opened.elapsed() >= self.timing.connect / 2;
            if is_evidence {
                self.addresses.failed(address);
            }
            untried.retain(|other| *other != address);
            if untried.is_empty() || bounds.remaining().is_err() {
                return Err(refused_certificate.unwrap_or(error));
            }
            self.watch.log(Level::Info, || format!("{address}: {error}; trying the next address of {}", self.target()));
            if error.kind == Kind::Tls {
                refused_certificate.get_or_insert(error);
            }
        }
    }

    /// Makes a connected socket ready for requests: the proxy's tunnel, TLS.
    fn set_up(
        &self,
        mut socket: Socket,
        address: Option<SocketAddr>,
        opened: Instant,
        bounds: &Bounds<'_>,
    ) -> Result<Stream> {
        bounds.check().map_err(|error| self.handshake_broke(&error))?;
        if let Some(proxy) = &self.route.proxy {
            proxy.tunnel(&mut socket.within(bounds), &self.authority)?;
        }
        let Some(config) = &self.tls else {
            self.watch.log(Level::Info, || format!("connected to {} by the custom transport", self.peer));
            return Ok(Stream::new(None, socket, Arc::clone(&self.peer), address, opened));
        };
        let mut records = Records::default();
        let tls = self.handshake(config.get()?, &mut socket.within(bounds), &mut records)?;
        let resumed = tls.handshake_kind() == Some(HandshakeKind::Resumed);
        self.watch.add(if resumed { Traffic::HandshakesResumed } else { Traffic::HandshakesFull }, 1);
        self.watch.log(Level::Info, || {
            format!("connected to {} ({} TLS handshake)", self.peer, if resumed { "resumed" } else { "full" })
        });
        Ok(Stream::new(Some((tls, records)), socket, Arc::clone(&self.peer), address, opened))
    }

    fn open_custom(&self, transport: &dyn Transport, bounds: &Bounds<'_>) -> Result<Socket> {
        let left = bounds.remaining().map_err(|error| io_error(&error, &self.peer))?.unwrap_or(self.timing.connect);
        let cancel = bounds.cancel.and_then(|cancel| cancel.descriptor().ok());
        let connection = transport.connect(&self.host, self.port, left, cancel).map_err(|error| {
            let kind = if error.kind() == io::ErrorKind::TimedOut { Kind::Timeout } else { Kind::Connect };
            Error::new(kind, format!("the custom transport did not connect to {}:{}: {error}", self.host, self.port))
        })?;
        Ok(Socket::custom(connection, Arc::clone(&self.watch)))
    }

    pub(crate) fn check_clock(&self) -> Result<()> {
        let now = self.clock.unix_ms();
        if now >= RELEASED_MS {
            return Ok(());
        }
        Err(Error::new(
            Kind::Clock,
            format!(
                "set the clock: it says {} s after 1970, which is before this library was released, so that \
                 certificates cannot be checked",
                now / 1000
            ),
        ))
    }

    fn open_tcp(&self, addresses: &[SocketAddr], bounds: &Bounds<'_>) -> Result<(TcpStream, SocketAddr)> {
        let began = Instant::now();
        let race::Outcome { won, failed } = race::connect(addresses, bounds, self.timing.keepalive);
        let patient = began.elapsed() >= self.timing.connect / 2;
        for (address, error) in &failed {
            if !bounds.is_cancelled() && (patient || error.kind() != io::ErrorKind::TimedOut) {
                self.addresses.failed(*address);
            }
        }
        if let Some(won) = won {
            return Ok(won);
        }
        let timed_out = failed.iter().all(|(_, error)| error.kind() == io::ErrorKind::TimedOut);
        let tried: Vec<_> = failed.iter().map(|(address, error)| format!("{address}: {error}")).collect();
        Err(Error::new(
            if timed_out { Kind::Timeout } else { Kind::Connect },
            format!(
                "check the endpoint, the network and the firewall: no connection to {} ({})",
                self.target(),
                tried.join(", ")
            ),
        ))
    }

    /// A TLS handshake by a configuration of the caller's, on a connection that is ready for it.
    #[cfg(feature = "probe")]
    pub(crate) fn secure(
        &self,
        config: &Arc<ClientConfig>,
        socket: &mut Socket,
        bounds: &Bounds<'_>,
    ) -> Result<(Box<ClientConnection>, Records)> {
        socket.begin(0, Instant::now(), bounds).map_err(|error| self.handshake_broke(&error))?;
        let mut records = Records::default();
        let tls = self.handshake(config, &mut socket.within(bounds), &mut records)?;
        Ok((tls, records))
    }

    fn target(&self) -> String {
        self.route.proxy.as_ref().map_or_else(|| self.peer.to_string(), Proxy::name)
    }

    fn handshake(
        &self,
        config: &Arc<ClientConfig>,
        socket: &mut Bounded<'_>,
        records: &mut Records,
    ) -> Result<Box<ClientConnection>> {
        // In a box from the beginning: moved about by value it would take a kilobyte of stack for each step.
        let tls = ClientConnection::new(Arc::clone(config), self.server_name.clone());
        let mut tls = Box::new(tls.map_err(|error| explain(&error, &self.peer, false))?);
        // Requests are gathered and measured before they come here; a limit would only cut them.
        tls.set_buffer_limit(None);
        while tls.is_handshaking() {
            while tls.wants_write() {
                tls.write_tls(socket).map_err(|error| self.handshake_broke(&error))?;
            }
            match tls.read_tls(&mut records.watching(socket)) {
                Ok(0) => return Err(self.handshake_broke(&io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(self.handshake_broke(&error)),
            }
            if let Err(error) = tls.process_new_packets() {
                // By the alert the server learns why; it does not matter whether it arrives.
                let _ = tls.write_tls(socket);
                return Err(explain(&error, &self.peer, tls.protocol_version().is_some()));
            }
        }
        // After a resumed handshake our last message waits to be sent: it goes with the request.
        Ok(tls)
    }

    fn handshake_broke(&self, error: &io::Error) -> Error {
        io_error(error, &self.peer).within("during the TLS handshake")
    }
}
