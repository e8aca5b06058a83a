//! The kinds of faults with their parameters, as serde writes and reads them, and the stage of a connection or of a
//! request at which each is done.

use super::answer::InjectedAnswer;
use super::raw::Piece;
use super::whole_ms;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Kind {
    AcceptStall {
        #[serde(default, skip_serializing_if = "Stall::is_for_ever")]
        for_ms: Stall,
    },
    HandshakeStall {
        after: HandshakeMessage,
        #[serde(default, skip_serializing_if = "Stall::is_for_ever")]
        for_ms: Stall,
    },
    WireCut {
        direction: Direction,
        after: u64,
        #[serde(default)]
        close: Close,
    },
    WireDrip {
        every_ms: u64,
    },
    Certificate {
        show: ShownCertificate,
    },
    OldTls {
        version: OldTls,
        #[serde(default)]
        reply: OldTlsReply,
    },
    PlainHttp {},
    TlsAlert {
        alert: u8,
        #[serde(default = "client_hello")]
        after: HandshakeMessage,
    },
    RequestCut {
        after: u64,
        #[serde(default)]
        close: Close,
    },
    RequestUnread {
        #[serde(default, skip_serializing_if = "Stall::is_for_ever")]
        for_ms: Stall,
    },
    RequestSlow {
        bytes_per_s: u64,
    },
    EarlyAnswer(InjectedAnswer),
    TokenExpired {
        #[serde(default)]
        grace: bool,
    },
    TokenRotated {},
    Answer(InjectedAnswer),
    Date {
        off_s: i64,
    },
    ContentLength {
        off_by: i64,
    },
    Chunked {
        chunk: usize,
        #[serde(default)]
        unterminated: bool,
    },
    #[serde(rename = "http_1_0")]
    Http10 {},
    ContinueFirst {
        #[serde(default = "one")]
        count: u32,
    },
    HugeHeader {
        bytes: usize,
    },
    ManyHeaders {
        count: usize,
    },
    Garbage {
        text: String,
    },
    Trailing {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    Endless {
        #[serde(default)]
        form: EndlessForm,
    },
    Raw {
        send: Vec<Piece>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        close: Option<Close>,
    },
    Delay {
        before: Part,
        #[serde(default, skip_serializing_if = "Stall::is_for_ever")]
        for_ms: Stall,
    },
    Drip {
        every_ms: u64,
    },
    ResponseCut {
        after: u64,
        #[serde(default)]
        close: Close,
    },
    IdleClose {
        #[serde(default)]
        after_ms: u64,
        #[serde(default = "notified")]
        close: Close,
    },
    DamagedRecord {
        #[serde(default)]
        when: Damage,
    },
}

fn one() -> u32 {
    1
}

fn notified() -> Close {
    Close::Notified
}

fn client_hello() -> HandshakeMessage {
    HandshakeMessage::ClientHello
}

/// Where in the life of a connection or of a request a fault is done. Each meets one fault of a stage at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Of a connection: before its first byte is looked at.
    Accept,
    /// Of a connection: what carries TLS.
    Wire,
    /// Of a connection.
    Tls,
    /// Of a request: before its body is read.
    Reading,
    Token,
    /// What is answered.
    Answer,
    Date,
    /// How the answer is written as HTTP.
    Form,
    /// How those bytes are sent.
    Delivery,
}

impl Stage {
    pub(crate) const CONNECTION: &[Self] = &[Self::Accept, Self::Wire, Self::Tls];
    /// Of a request that has been read.
    pub(crate) const REQUEST: &[Self] = &[Self::Token, Self::Answer, Self::Date, Self::Form, Self::Delivery];
}

impl Kind {
    pub(crate) fn stage(&self) -> Stage {
        match self {
            Kind::AcceptStall { .. } => Stage::Accept,
            Kind::WireCut { .. } | Kind::WireDrip { .. } => Stage::Wire,
            Kind::HandshakeStall { .. }
            | Kind::Certificate { .. }
            | Kind::OldTls { .. }
            | Kind::PlainHttp {}
            | Kind::TlsAlert { .. } => Stage::Tls,
            Kind::RequestCut { .. } | Kind::RequestUnread { .. } | Kind::RequestSlow { .. } | Kind::EarlyAnswer(_) => {
                Stage::Reading
            }
            Kind::TokenExpired { .. } | Kind::TokenRotated {} => Stage::Token,
            Kind::Answer(_) => Stage::Answer,
            Kind::Date { .. } => Stage::Date,
            Kind::ContentLength { .. }
            | Kind::Chunked { .. }
            | Kind::Http10 {}
            | Kind::ContinueFirst { .. }
            | Kind::HugeHeader { .. }
            | Kind::ManyHeaders { .. }
            | Kind::Garbage { .. }
            | Kind::Trailing { .. }
            | Kind::Endless { .. }
            | Kind::Raw { .. } => Stage::Form,
            Kind::Delay { .. }
            | Kind::Drip { .. }
            | Kind::ResponseCut { .. }
            | Kind::IdleClose { .. }
            | Kind::DamagedRecord { .. } => Stage::Delivery,
        }
    }

    /// As it is written in JSON and TOML.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Kind::AcceptStall { .. } => "accept_stall",
            Kind::HandshakeStall { .. } => "handshake_stall",
            Kind::WireCut { .. } => "wire_cut",
            Kind::WireDrip { .. } => "wire_drip",
            Kind::Certificate { .. } => "certificate",
            Kind::OldTls { .. } => "old_tls",
            Kind::PlainHttp {} => "plain_http",
            Kind::TlsAlert { .. } => "tls_alert",
            Kind::RequestCut { .. } => "request_cut",
            Kind::RequestUnread { .. } => "request_unread",
            Kind::RequestSlow { .. } => "request_slow",
            Kind::EarlyAnswer(_) => "early_answer",
            Kind::TokenExpired { .. } => "token_expired",
            Kind::TokenRotated {} => "token_rotated",
            Kind::Answer(_) => "answer",
            Kind::Date { .. } => "date",
            Kind::ContentLength { .. } => "content_length",
            Kind::Chunked { .. } => "chunked",
            Kind::Http10 {} => "http_1_0",
            Kind::ContinueFirst { .. } => "continue_first",
            Kind::HugeHeader { .. } => "huge_header",
            Kind::ManyHeaders { .. } => "many_headers",
            Kind::Garbage { .. } => "garbage",
            Kind::Trailing { .. } => "trailing",
            Kind::Endless { .. } => "endless",
            Kind::Raw { .. } => "raw",
            Kind::Delay { .. } => "delay",
            Kind::Drip { .. } => "drip",
            Kind::ResponseCut { .. } => "response_cut",
            Kind::IdleClose { .. } => "idle_close",
            Kind::DamagedRecord { .. } => "damaged_record",
        }
    }
}

/// How long nothing is done. It ends before its time when the client goes or the platform stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<u64>", into = "Option<u64>")]
pub enum Stall {
    /// Until the client goes.
    #[default]
    ForEver,
    /// For as long as this, in whole milliseconds; then all goes on as if nothing had been.
    For(Duration),
}

impl Stall {
    fn is_for_ever(&self) -> bool {
        *self == Stall::ForEver
    }
}

impl From<Option<u64>> for Stall {
    fn from(ms: Option<u64>) -> Self {
        ms.map_or(Stall::ForEver, |ms| Stall::For(Duration::from_millis(ms)))
    }
}

impl From<Stall> for Option<u64> {
    fn from(stall: Stall) -> Self {
        match stall {
            Stall::ForEver => None,
            Stall::For(duration) => Some(whole_ms(duration)),
        }
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Close {
    /// TCP's end (FIN) without a word of TLS: what TLS calls a truncation.
    #[default]
    #[serde(rename = "fin")]
    Fin,
    /// TLS's end (close_notify), then TCP's.
    #[serde(rename = "close_notify")]
    Notified,
    /// A reset (RST).
    #[serde(rename = "reset")]
    Reset,
    /// TCP's end for the platform's side alone: it goes on reading until the client goes.
    #[serde(rename = "half")]
    Half,
    /// The same after TLS's end.
    #[serde(rename = "half_close_notify")]
    HalfNotified,
    /// Not at all: the connection stays, and nothing more is read from it or sent on it, as if its packets were lost.
    /// The system still acknowledges what arrives, until its window is full.
    #[serde(rename = "silent")]
    Silent,
}

impl Close {
    pub(crate) fn notifies(self) -> bool {
        matches!(self, Close::Notified | Close::HalfNotified)
    }
}

/// A direction, as the platform sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the client.
    Received,
    /// To the client.
    Sent,
}

/// The messages of a handshake of TLS 1.2 after which the platform can stall. What follows the named one is held back;
/// a resumed handshake leaves some out, and is then held back at the first that would come later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandshakeMessage {
    /// The client's first message: the platform sends nothing at all.
    ClientHello,
    /// The platform's first message.
    ServerHello,
    /// The platform's certificate.
    Certificate,
    /// The platform's part of the key exchange.
    ServerKeyExchange,
    /// The end of the platform's first messages: the platform takes the client's, and does not finish.
    ServerHelloDone,
}

/// The certificates that a client must not accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShownCertificate {
    /// One whose time is over.
    Expired,
    /// One for another host.
    WrongName,
    /// One of another authority than [`ca_pem`](crate::Platform::ca_pem).
    UnknownCa,
}

/// Versions of TLS that are no longer spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OldTls {
    /// TLS 1.0.
    #[serde(rename = "1.0")]
    Tls10,
    /// TLS 1.1.
    #[serde(rename = "1.1")]
    Tls11,
}

/// What a server that speaks an old version alone says to a client that does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OldTlsReply {
    /// The alert `protocol_version`.
    #[default]
    Alert,
    /// A ServerHello of its version.
    ServerHello,
}

/// When a TLS record is damaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// It is the one with the answer.
    #[default]
    Answer,
    /// It follows the answer, which is good, after 50 ms, on the connection that is now idle.
    Idle,
}

/// The parts of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The status line and the header fields.
    Header,
    /// The body.
    Body,
}

/// What an answer says about a body that never ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndlessForm {
    /// That it comes in chunks.
    #[default]
    Chunked,
    /// That it has the largest length that a signed 64-bit number can say.
    Length,
    /// Nothing: it would end with the connection.
    Close,
}
