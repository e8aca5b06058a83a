//! What can go wrong, as one type: [`ErrorKind`] says what a caller does about it, [`Error`] adds the
//! sentence for a person and the platform's answer.
//!
//! How an answer of the platform becomes a kind is decided in [`crate::delivery::classify`].

use std::fmt;
use std::time::Duration;

use iotda_http::{Arrived, Kind};

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
    ///
    /// Each kind says whether a report that failed with it may have arrived all the same; [`Error::may_have_arrived`]
    /// answers it for one call.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum ErrorKind {
        /// An argument is wrong: fix the calling code. Nothing was sent.
        InvalidArgument,
        /// One report is over the platform's limit of 1 MB (1,048,576 bytes): send less at a time. It has not arrived.
        TooLarge,
        /// The configuration is incomplete or wrong: correct it. Nothing was sent.
        Config,
        /// The host's name could not be looked up: try again later. Only an earlier attempt of the same call may have
        /// arrived.
        Dns,
        /// No connection, or it broke: try again later. If it broke under the report, that may have arrived.
        Connect,
        /// The TLS handshake failed: certificate, host name, or protocol version. Only an earlier attempt of the same
        /// call may have arrived.
        Tls,
        /// The clock of this machine is not set; certificates cannot be checked without it. Nothing was sent.
        Clock,
        /// The deadline of the call passed. The report may have arrived.
        Timeout,
        /// The call was cancelled by the program. The report may have arrived.
        Cancelled,
        /// The platform does not accept this device id with this secret: permanent until one changes. Only an earlier
        /// attempt of the same call may have arrived.
        AuthFailed,
        /// The platform refused the access token, and a new one as well. Only an earlier attempt of the same call may
        /// have arrived.
        TokenRejected,
        /// The device's or the tenant's rate limit: wait, then send again. Only an earlier attempt of the same call may
        /// have arrived.
        RateLimited,
        /// Child devices that do not exist or are not this gateway's. Their data has not arrived.
        UnknownChild,
        /// The platform refused what was sent, by a code of its own: permanent for this data, which has not arrived
        /// unless an earlier attempt of the same call brought it.
        Rejected,
        /// The platform, or something before it, has a fault of its own (HTTP 5xx): try again later. The report may have
        /// arrived.
        Server,
        /// What came back is not the platform's: a proxy, a captive portal, or a wrong endpoint. It says nothing about
        /// the data, which may have arrived.
        Protocol,
        /// Some children of a batch were delivered and others were not; each child has a status of its own.
        Partial,
        /// The files of an outbox could not be read or written: the message says which. What was put is not delivered by
        /// this process.
        Storage,
        /// The outbox has no room for what is put, which is not kept: wait until something is delivered. To an outbox's
        /// callback: the entry was dropped for newer ones.
        Full,
        /// To an outbox's callback alone: the entry became older than the outbox was asked to keep it. It has not been
        /// accepted, though it may have arrived.
        Expired,
        /// The client was made before a `fork` and is used in the child: make a new one there. Nothing was sent.
        Forked,
        /// A fault of this library, or no memory. The report may have arrived.
        Internal,
    }
}

impl ErrorKind {
    /// Whether to keep the data and send it later (true), or to drop it (false): false only for a verdict on the data
    /// itself, which the same data will meet again. It says nothing about how soon: that is [`Error::retry_after`].
    ///
    /// | kind | keep | why |
    /// |---|---|---|
    /// | `InvalidArgument` | no | the data is wrong in itself, and stays so |
    /// | `TooLarge` | no | it passes the platform's limit, and will again: divide it |
    /// | `Rejected` | no | the platform itself refused this data |
    /// | `Expired` | no | the program asked for no older data |
    /// | `UnknownChild` | yes | nothing is wrong with the data, and the child may be registered yet; bound the time |
    /// | `Config`, `Clock`, `Tls` | yes | the device's settings are at fault |
    /// | `AuthFailed`, `TokenRejected` | yes | the device's credentials, or a proxy, are at fault |
    /// | `Dns`, `Connect`, `Timeout`, `Server`, `RateLimited` | yes | it passes with time |
    /// | `Protocol` | yes | the answer is not the platform's |
    /// | `Cancelled` | yes | the program ended the call, and nobody judged the data |
    /// | `Partial` | yes | some of it was not delivered: go by each child's status |
    /// | `Full` | yes | there is room again when something is delivered |
    /// | `Storage`, `Forked`, `Internal` | yes | the program or this library is at fault |
    pub fn is_transient(self) -> bool {
        match self {
            ErrorKind::InvalidArgument | ErrorKind::TooLarge | ErrorKind::Rejected | ErrorKind::Expired => false,
            ErrorKind::Config
            | ErrorKind::Dns
            | ErrorKind::Connect
            | ErrorKind::Tls
            | ErrorKind::Clock
            | ErrorKind::Timeout
            | ErrorKind::Cancelled
            | ErrorKind::AuthFailed
            | ErrorKind::TokenRejected
            | ErrorKind::RateLimited
            | ErrorKind::UnknownChild
            | ErrorKind::Server
            | ErrorKind::Protocol
            | ErrorKind::Partial
            | ErrorKind::Storage
            | ErrorKind::Full
            | ErrorKind::Forked
            | ErrorKind::Internal => true,
        }
    }
}

/// The most bytes of a message that is made of the platform's answer: what a C caller's struct holds.
pub(crate) const MESSAGE_MAX: usize = 255;

/// What failed, where, and what to do about it.
///
/// Neither `Display` nor `Debug` ever shows a secret, a password or a token.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    answer: Answered,
    attempts: u32,
    /// What was sent may have reached the platform and been accepted.
    may_have_arrived: bool,
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
    /// How many children the platform takes at a time, where its refusal said so.
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
        Error {
            kind,
            message: message.into(),
            answer: Answered::default(),
            attempts: 0,
            may_have_arrived: false,
            of_kept_connection: false,
        }
    }

    /// There is no memory for a request: an error, so that the program's other work goes on.
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

    /// Whether what was sent may have arrived, by this attempt or an earlier one of the same call.
    pub(crate) fn with_arrival(mut self, may_have_arrived: bool) -> Self {
        self.may_have_arrived = may_have_arrived;
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

    /// The same error with better advice before everything else; what does not fit behind it is cut.
    pub(crate) fn advising(mut self, advice: &str) -> Self {
        self.message = format!("{advice}; {}", self.message);
        let end = self.message.len().min(MESSAGE_MAX);
        self.message.truncate((0..=end).rev().find(|at| self.message.is_char_boundary(*at)).unwrap_or(0));
        self
    }

    /// An argument is wrong. For callers that check more than this crate, such as a binding to another language.
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::invalid(message)
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

    /// Whether the report may have arrived although the call failed: something was sent, and no answer that speaks for
    /// itself says that it was not accepted. Sent again, it may then arrive twice. False: nothing was accepted, of any
    /// attempt of the call. For an authentication always false.
    pub fn may_have_arrived(&self) -> bool {
        self.may_have_arrived
    }

    /// Whether to keep the data and send it later, or to drop it: see [`ErrorKind::is_transient`].
    pub fn is_transient(&self) -> bool {
        self.kind.is_transient()
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
        Error {
            may_have_arrived: error.arrived == Arrived::Perhaps,
            of_kept_connection: error.kept,
            ..Error::new(kind, error.message)
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_verdicts_on_the_data_are_not_worth_keeping_it() {
        let dropped: Vec<_> = ErrorKind::ALL.iter().filter(|kind| !kind.is_transient()).collect();
        use ErrorKind::{Expired, InvalidArgument, Rejected, TooLarge};
        assert_eq!(dropped, [&InvalidArgument, &TooLarge, &Rejected, &Expired]);
        assert!(Error::new(ErrorKind::Cancelled, "").is_transient());
        assert!(!Error::invalid("").is_transient());
    }

    #[test]
    fn what_the_connection_knows_of_the_arrival_is_kept() {
        for arrived in [Arrived::No, Arrived::Perhaps] {
            let error = iotda_http::Error { arrived, ..iotda_http::Error::new(Kind::Connect, "") };
            assert_eq!(Error::from(error).may_have_arrived(), arrived == Arrived::Perhaps);
        }
    }

    #[test]
    fn advice_comes_first_and_the_rest_is_cut_between_characters() {
        let error = Error::new(ErrorKind::Server, "é".repeat(200)).advising("do this");
        assert!(error.message().starts_with("do this; é"), "{error}");
        assert_eq!(error.message().len(), MESSAGE_MAX);
        assert_eq!(Error::new(ErrorKind::Server, "x").advising("do").message(), "do; x");
    }
}
