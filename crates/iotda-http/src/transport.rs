//! Custom transports: a modem's sockets, or a TLS stack that the device has.
//!
//! Without one, connections are made over the system's sockets (`socket`).

use std::fmt::Debug;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::proxy::Proxy;

/// How the endpoint is reached.
#[derive(Clone, Default)]
pub struct Route {
    /// Connect through this proxy.
    pub proxy: Option<Proxy>,
    /// Connect by this instead of the system's sockets.
    pub transport: Option<Arc<dyn Transport>>,
}

/// Opens connections for a client, in the threads that make the calls.
pub trait Transport: Debug + Send + Sync + 'static {
    /// Opens a connection within `timeout`.
    ///
    /// `cancel` becomes readable when the call is cancelled: a transport that can poll it beside its own descriptor
    /// returns at once then (any error will do); one that cannot is waited for. It is never to be read.
    fn connect(
        &self,
        host: &str,
        port: u16,
        timeout: Duration,
        cancel: Option<BorrowedFd<'_>>,
    ) -> io::Result<Box<dyn Connection>>;

    /// Whether its connections are encrypted, and the server's certificate verified, by the transport itself.
    /// The client then puts no TLS of its own on them.
    fn is_secure(&self) -> bool {
        false
    }
}

/// One connection of a [`Transport`]; used by one thread at a time, closed when it is dropped.
///
/// A timeout of zero means not to wait. What cannot be done in time is [`io::ErrorKind::TimedOut`].
pub trait Connection: Debug + Send + Sync + 'static {
    /// Sends some of `data`, at least one byte, and returns how much.
    fn send(&mut self, data: &[u8], timeout: Duration) -> io::Result<usize>;

    /// Receives at least one byte; 0 is the end of the stream.
    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize>;
}
