//! What goes wrong on the way to the platform and back, before it becomes an [`Error`].

use std::fmt;
use std::io;

use crate::error::{Error, ErrorKind};

/// A fault with its kind and its sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    /// The request met a kept connection that the server had closed: nothing came back, and the same
    /// request on another connection may well succeed.
    pub(crate) stale: bool,
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Failure { kind, message: message.into(), stale: false }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Error::new(failure.kind, failure.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::new(error.kind(), error.message())
    }
}

/// A fault of the connection, once it stood.
pub(crate) fn io_failure(error: &io::Error, peer: &str) -> Failure {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            Failure::new(ErrorKind::Timeout, format!("{peer} did not answer before the deadline"))
        }
        io::ErrorKind::UnexpectedEof => {
            Failure::new(ErrorKind::Connect, format!("{peer} closed the connection before its answer was complete"))
        }
        _ => Failure::new(ErrorKind::Connect, format!("the connection to {peer} broke: {error}")),
    }
}
