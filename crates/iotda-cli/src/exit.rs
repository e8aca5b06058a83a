//! What went wrong, as the shell sees it: a sentence for a person and an exit code for a script.

use std::fmt;
use std::process::ExitCode;

use iotda::{Error, ErrorKind};

/// The exit codes. They are part of what scripts rely on: none changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Some were delivered, and others not.
    Partial = 1,
    /// The command line, or data that it names, is wrong.
    Usage = 2,
    Config = 3,
    /// No connection, or no answer in time.
    Network = 4,
    /// The connection is not to be trusted, or the clock cannot tell.
    Tls = 5,
    /// The secret or the token is refused.
    Auth = 6,
    RateLimited = 7,
    /// The platform refuses this data.
    Rejected = 8,
    /// The platform has a fault, or what answers is not the platform.
    Platform = 9,
    /// A file cannot be read or written.
    Storage = 10,
    Internal = 70,
    /// By a signal: 128 and SIGINT's number, as shells have it.
    Interrupted = 130,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidArgument => Exit::Usage,
            ErrorKind::TooLarge | ErrorKind::Rejected | ErrorKind::UnknownChild => Exit::Rejected,
            ErrorKind::Config => Exit::Config,
            ErrorKind::Dns | ErrorKind::Connect | ErrorKind::Timeout => Exit::Network,
            ErrorKind::Tls | ErrorKind::Clock => Exit::Tls,
            ErrorKind::Cancelled => Exit::Interrupted,
            ErrorKind::AuthFailed | ErrorKind::TokenRejected => Exit::Auth,
            ErrorKind::RateLimited => Exit::RateLimited,
            ErrorKind::Server | ErrorKind::Protocol => Exit::Platform,
            ErrorKind::Partial | ErrorKind::Expired => Exit::Partial,
            ErrorKind::Storage | ErrorKind::Full => Exit::Storage,
            // Kinds that a later version of the crate adds are faults of this program until it knows them.
            _ => Exit::Internal,
        }
    }
}

/// Why the command ends with an error.
#[derive(Debug)]
pub struct Failure {
    /// What the shell sees.
    pub exit: Exit,
    /// What a person reads: the advice first, then what failed and where.
    pub message: String,
    /// The call that failed, where it was one.
    pub error: Option<Box<Error>>,
    /// The standard output says so already, in a result of the command's own.
    pub is_printed: bool,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Failure { exit, message: message.into(), error: None, is_printed: false }
    }

    /// Its result is on the standard output already.
    pub fn printed(self) -> Self {
        Failure { is_printed: true, ..self }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub fn config(message: impl Into<String>) -> Self {
        Self::new(Exit::Config, message)
    }

    pub fn storage(message: impl Into<String>) -> Self {
        Self::new(Exit::Storage, message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.message().to_owned();
        Failure { exit: error.kind().into(), message, error: Some(Box::new(error)), is_printed: false }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the help says of each code, against every kind of the crate.
    #[test]
    fn every_kind_has_the_code_that_the_help_names() {
        let code = |kind: &ErrorKind| Exit::from(*kind).code();
        let codes: Vec<u8> = ErrorKind::ALL.iter().map(code).collect();
        assert_eq!(codes, [2, 8, 3, 4, 4, 5, 5, 4, 130, 6, 6, 7, 8, 8, 9, 9, 1, 10, 10, 1, 70, 70]);
    }
}
