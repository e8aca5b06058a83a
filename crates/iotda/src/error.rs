//! What can go wrong, as one type: [`ErrorKind`] says what a caller does about it, [`Error`] adds the
//! sentence for a person and the platform's answer.
//!
//! How an answer of the platform becomes a kind is decided in [`crate::delivery::classify`].

use std::fmt;
use std::time::Duration;

use iotda_http::Kind;

/// Declares the kinds, and the list of them all: a kind cannot be in one and not in the other.
macro_rules! kinds {
    ($(#[$of_enum:meta])* pub enum $name:ident { $($(#[$of_kind:meta])* $kind:ident,)* }) => {
        $(#[$of_enum])*
        pub enum $name {
            $($(#[$of_kind])* $kind,)*
        }

        impl $name {
            /// Every kind of this version. Who gives each kind a number, a name or a text of another language can
            /// check against it, at compile time, that none is missing.
            pub const ALL: &'static [$name] = &[$($name::$kind),*];
        }
    };
}

kinds! {
    /// What failed, grouped by what a caller does about it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum ErrorKind {
        /// An argument is wrong: mend the program. Nothing was sent.
        InvalidArgument,
        /// One report is over the platform's limit of 1 MB (1,048,576 bytes): send less at a time.
        TooLarge,
        /// The configuration is incomplete or wrong: mend it. Nothing was sent.
        Config,
        /// The host's name could not be looked up: try again later.
        Dns,
        /// No connection, or it broke: try again later.
        Connect,
        /// The TLS handshake failed: certificate, host name, or protocol version.
        Tls,
        /// The clock of this machine is not set; certificates cannot be checked without it.
        Clock,
        /// The deadline of the call passed. The report may have arrived.
        Timeout,
        /// The call was cancelled by the program. The report may have arrived.
        Cancelled,
        /// The platform does not accept this device id with this secret: permanent until one changes.
        AuthFailed,
        /// The platform refused the access token, and a new one as well.
        TokenRejected,
        /// The device's or the tenant's rate limit: wait, then send again.
        RateLimited,
        /// Child devices that do not exist or are not this gateway's.
        UnknownChild,
        /// The platform refused what was sent: permanent for this data.
        Rejected,
        /// The platform, or something before it, has a fault of its own (HTTP 5xx): try again later.
        Server,
        /// What came back is not the protocol: often a proxy or a wrong endpoint.
        Protocol,
        /// Some children of a batch were delivered and others were not.
        Partial,
        /// The outbox on disk could not be read or written.
        Storage,
        /// The client was made before a `fork` and is used in the child: make a new one there.
        Forked,
        /// A fault of this library.
        Internal,
    }
}

/// What failed, where, and what to do about it.
///
/// Neither `Display` nor `Debug` ever shows a secret, a password or a token.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    answer: Answered,
    attempts: u32,
    /// The request met a kept connection that turned out to be dead.
    of_kept_connection: bool,
}

/// What the platform said, as far as it said anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answered {
    /// HTTP status; 0 if no answer arrived.
    pub(crate) http_status: u16,
    /// For example `IOTDA.000006`; empty if the answer names none.
    pub(crate) platform_code: String,
    /// How long to wait before the next attempt, where it is known.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) refusal: Refusal,
    /// How many children the platform takes at a time, where its refusal told.
    pub(crate) children_limit: Option<usize>,
    /// How many units (started 4 KB) a second the platform takes, where its refusal said.
    pub(crate) rate_limit: Option<f64>,
}

/// What distinguishes refusals of the same kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The rate of all devices, not of this one.
    TenantRate,
    /// The number of children, not of bytes.
    TooManyChildren,
    #[default]
    Other,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), answer: Answered::default(), attempts: 0, of_kept_connection: false }
    }

    /// There is no memory for a request. Told instead of ending the program: its other work goes on.
    pub(crate) fn no_memory(bytes: usize) -> Self {
        Self::new(
            ErrorKind::Internal,
            format!("there is no memory for {bytes} bytes of a request: send less at a time"),
        )
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    pub(crate) fn with_answer(mut self, answer: Answered) -> Self {
        self.answer = answer;
        self
    }

    pub(crate) fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    pub(crate) fn with_retry_after(mut self, wait: Duration) -> Self {
        self.answer.retry_after = Some(wait);
        self
    }

    pub(crate) fn is_of_kept_connection(&self) -> bool {
        self.of_kept_connection
    }

    pub(crate) fn answer(&self) -> &Answered {
        &self.answer
    }

    /// The same error without `secret`, should an answer have repeated it.
    pub(crate) fn without(mut self, secret: &str) -> Self {
        if !secret.is_empty() && self.message.contains(secret) {
            self.message = self.message.replace(secret, "***");
        }
        self
    }

    /// The same error with one more piece of advice.
    pub(crate) fn and_add(mut self, advice: &str) -> Self {
        self.message = format!("{}; {advice}", self.message);
        self
    }

    /// The same error with more said about where it happened.
    /// For callers that know more about where it happened than this crate.
    #[must_use]
    pub fn within(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// One sentence for a person: what failed, where, what to do.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The HTTP status that the platform answered with, if an answer arrived.
    pub fn http_status(&self) -> Option<u16> {
        (self.answer.http_status != 0).then_some(self.answer.http_status)
    }

    /// The platform's error code, such as `IOTDA.000006`, if the answer named one.
    pub fn platform_code(&self) -> Option<&str> {
        (!self.answer.platform_code.is_empty()).then_some(self.answer.platform_code.as_str())
    }

    /// Requests that were sent for the call that failed, authentications not counted.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How long to wait before trying again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.answer.retry_after
    }
}

impl From<iotda_http::Error> for Error {
    fn from(error: iotda_http::Error) -> Self {
        let kind = match error.kind {
            Kind::Config => ErrorKind::Config,
            Kind::Dns => ErrorKind::Dns,
            Kind::Connect => ErrorKind::Connect,
            Kind::Tls => ErrorKind::Tls,
            Kind::Clock => ErrorKind::Clock,
            Kind::Timeout => ErrorKind::Timeout,
            Kind::Cancelled => ErrorKind::Cancelled,
            Kind::Protocol => ErrorKind::Protocol,
            Kind::Internal => ErrorKind::Internal,
        };
        Error { of_kept_connection: error.kept, ..Error::new(kind, error.message) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
