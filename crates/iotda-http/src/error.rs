//! What goes wrong on the way to the platform and back, and how far the request had come.

use std::fmt;
use std::io;

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A setting is wrong.
    Config,
    /// The host's name could not be looked up.
    Dns,
    /// No connection, or it broke.
    Connect,
    /// The TLS handshake failed for good: certificate, host name, or protocol version.
    Tls,
    /// The clock of this machine is not set; certificates cannot be checked without it.
    Clock,
    /// The deadline passed, or nothing moved for too long.
    Timeout,
    /// The request was cancelled.
    Cancelled,
    /// What came back is not HTTP.
    Protocol,
    /// A fault of this library.
    Internal,
}

/// Whether the server may have received the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrived {
    /// Nothing that could be acted on was sent.
    #[default]
    No,
    /// Some or all of it was sent, and no answer says what became of it.
    Perhaps,
}

/// A fault with its kind, its sentence, and how far the request had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What failed.
    pub kind: Kind,
    /// One sentence for a person: what failed, where, what to do.
    pub message: String,
    /// Whether a byte of the request was handed to the connection: it counts as sent.
    pub sent: bool,
    /// Whether the server may have received the request.
    pub arrived: Arrived,
    /// The request met a kept connection that turned out to be dead; on a new one it may well succeed, at once.
    pub kept: bool,
}

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error before anything of a request was sent.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), sent: false, arrived: Arrived::No, kept: false }
    }

    /// An error in a setting.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(Kind::Config, message)
    }

    /// The same error with more said about where it happened.
    #[must_use]
    pub fn within(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// A fault of the connection, once it stood.
pub(crate) fn io_error(error: &io::Error, peer: &str) -> Error {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            Error::new(Kind::Timeout, format!("{peer} did not answer before the deadline"))
        }
        io::ErrorKind::UnexpectedEof => {
            Error::new(Kind::Connect, format!("{peer} closed the connection before its answer was complete"))
        }
        _ => Error::new(Kind::Connect, format!("the connection to {peer} broke: {error}")),
    }
}
