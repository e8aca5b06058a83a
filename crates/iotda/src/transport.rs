//! A program's own way to the network: a modem's sockets, or a TLS stack that the device has.
//!
//! Without one, the client uses the system's sockets ([`crate::http::socket`]).

use std::fmt::Debug;
use std::io;
use std::time::Duration;

/// Opens connections for a client, in the threads that make the calls.
pub trait Transport: Debug + Send + Sync + 'static {
    /// Opens a connection within `timeout`.
    fn connect(&self, host: &str, port: u16, timeout: Duration) -> io::Result<Box<dyn Connection>>;

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
