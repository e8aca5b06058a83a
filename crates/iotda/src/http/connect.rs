//! Opens connections: addresses, TCP, TLS, all before one deadline.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use iotda_sys::socket::{IN_PROGRESS, Interest, poll};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};
use socket2::{Domain, Protocol, Socket as RawSocket, TcpKeepalive, Type};

use crate::cancel::{CancelToken, Interrupt};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::http::context::Context;
use crate::http::failure::{Failure, io_failure};
use crate::http::proxy::Proxy;
use crate::http::resolve::Addresses;
use crate::http::socket::{Bounded, Socket};
use crate::http::stream::Stream;
use crate::http::tls;
use crate::monitor::{Count, Level, Monitor};
use crate::transport::Transport;

/// 2026-11-01T00:00:00Z, moved forward with each release: a clock before it cannot be right, and a
/// certificate checked against it would be accepted or refused at random.
pub(crate) const RELEASED_MS: i64 = 1_793_491_200_000;

/// Opens connections to one server.
#[derive(Debug)]
pub(crate) struct Connector {
    /// The program's own way to the network, in the place of the system's sockets.
    pub(crate) transport: Option<Arc<dyn Transport>>,
    pub(crate) proxy: Option<Proxy>,
    /// What is connected to: the proxy if there is one, otherwise the endpoint.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The endpoint with its port, for a proxy.
    pub(crate) authority: String,
    pub(crate) addresses: Addresses,
    pub(crate) server_name: ServerName<'static>,
    /// `None` where the program's own transport sees to it.
    pub(crate) config: Option<Arc<ClientConfig>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) monitor: Arc<Monitor>,
    /// `host:port`, for messages.
    pub(crate) peer: Arc<str>,
    pub(crate) timing: Timing,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// The most that TCP and TLS may take together.
    pub(crate) connect: Duration,
    /// How long one attempt of a call usually may take.
    pub(crate) attempt: Duration,
    /// After this long without traffic the system asks whether the peer is still there; `None`: never.
    pub(crate) keepalive: Option<Duration>,
}

/// The server's name as TLS checks it: a DNS name or an address.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).map_err(|_| {
        Error::config(format!("the host \"{host}\" of the endpoint is no name that a certificate can hold"))
    })
}

impl Connector {
    /// Opens a connection within the bounds of `context`.
    pub(crate) fn open(&self, context: &Context) -> Result<Stream, Failure> {
        let context = &context.within(self.timing.connect);
        if self.config.is_some() {
            self.check_clock()?;
        }
        let mut socket = self.open_socket(context)?;
        let _attached = socket.interruptible().and_then(|target| attach(context.cancel.as_ref(), target));
        context.check().map_err(|error| self.handshake_broke(&error))?;
        if let Some(proxy) = &self.proxy {
            proxy.tunnel(&mut socket.within(context), &self.authority)?;
        }
        let Some(config) = &self.config else {
            self.monitor.log(Level::Info, || format!("connected to {} by the program's own transport", self.peer));
            return Ok(Stream::new(None, socket, Arc::clone(&self.peer)));
        };
        let tls = self.handshake(config, &mut socket.within(context))?;
        let resumed = tls.handshake_kind() == Some(HandshakeKind::Resumed);
        self.monitor.add(if resumed { Count::HandshakesResumed } else { Count::HandshakesFull }, 1);
        self.monitor.log(Level::Info, || {
            format!("connected to {} ({} TLS handshake)", self.peer, if resumed { "resumed" } else { "full" })
        });
        Ok(Stream::new(Some(tls), socket, Arc::clone(&self.peer)))
    }

    fn open_socket(&self, context: &Context) -> Result<Socket, Failure> {
        let monitor = Arc::clone(&self.monitor);
        let Some(transport) = &self.transport else {
            let stream = self.open_tcp(context)?;
            return Socket::new(stream, self.timing.attempt, monitor).map_err(|error| io_failure(&error, &self.peer));
        };
        let left = context.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let connection =
            transport.connect(&self.host, self.port, left.unwrap_or(self.timing.connect)).map_err(|error| {
                let kind =
                    if error.kind() == io::ErrorKind::TimedOut { ErrorKind::Timeout } else { ErrorKind::Connect };
                Failure::new(
                    kind,
                    format!("the program's own transport did not connect to {}:{}: {error}", self.host, self.port),
                )
            })?;
        Ok(Socket::of_program(connection, monitor))
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
    fn open_tcp(&self, context: &Context) -> Result<TcpStream, Failure> {
        let addresses = self.addresses.get(context.deadline, context.cancel.as_ref())?;
        let mut refusals = Vec::new();
        for (index, address) in addresses.iter().enumerate() {
            let untried = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
            let left = context.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match self.connect_within(address, left.map(|left| left / untried), context.cancel.as_ref()) {
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
                self.target(),
                tried.join(", ")
            ),
        ))
    }

    fn target(&self) -> String {
        self.proxy.as_ref().map_or_else(|| self.peer.to_string(), Proxy::name)
    }

    fn connect_within(
        &self,
        address: &SocketAddr,
        left: Option<Duration>,
        cancel: Option<&CancelToken>,
    ) -> io::Result<TcpStream> {
        let socket = RawSocket::new(Domain::for_address(*address), Type::STREAM, Some(Protocol::TCP))?;
        if let Some(idle) = self.timing.keepalive {
            socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle))?;
        }
        socket.set_nonblocking(true)?;
        let pending = match socket.connect(&(*address).into()) {
            Ok(()) => false,
            Err(error) if error.raw_os_error() == Some(IN_PROGRESS) => true,
            Err(error) => return Err(error),
        };
        let socket = Arc::new(Connecting(socket));
        let attached = attach(cancel, Arc::clone(&socket));
        if cancel.is_some_and(CancelToken::is_cancelled) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if pending {
            wait_for_connection(&socket.0, left)?;
        }
        drop(attached);
        // Whoever cancelled meanwhile may still hold it for a moment; then the connection has ended anyway.
        let socket = Arc::try_unwrap(socket).map_err(|_| io::Error::from(io::ErrorKind::ConnectionAborted))?.0;
        socket.set_nonblocking(false)?;
        Ok(socket.into())
    }

    fn handshake(&self, config: &Arc<ClientConfig>, socket: &mut Bounded<'_>) -> Result<ClientConnection, Failure> {
        let explain = |error: &rustls::Error| tls::explain(error, &self.peer);
        let mut tls =
            ClientConnection::new(Arc::clone(config), self.server_name.clone()).map_err(|error| explain(&error))?;
        // Requests are gathered and measured before they come here; a limit would only cut them.
        tls.set_buffer_limit(None);
        while tls.is_handshaking() {
            while tls.wants_write() {
                tls.write_tls(socket).map_err(|error| self.handshake_broke(&error))?;
            }
            match tls.read_tls(socket) {
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

/// A socket that is being connected; another thread may end that.
struct Connecting(RawSocket);

impl Interrupt for Connecting {
    fn interrupt(&self) {
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}

fn attach(cancel: Option<&CancelToken>, target: Arc<impl Interrupt + 'static>) -> Option<crate::cancel::Attached<'_>> {
    cancel.map(|cancel| cancel.attach(target as Arc<dyn Interrupt>))
}

fn wait_for_connection(socket: &RawSocket, left: Option<Duration>) -> io::Result<()> {
    let deadline = left.and_then(|left| Instant::now().checked_add(left));
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match poll(socket.as_fd(), Interest::Writable, left) {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    match socket.take_error()? {
        Some(error) => Err(error),
        // An interrupt while connecting leaves a socket that is writable and not connected.
        None => socket.peer_addr().map(drop),
    }
}
