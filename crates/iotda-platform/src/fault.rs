//! Faults as values: what the platform does wrong, to whom and how often. The kinds and their parameters are in
//! `kind`, the answers that can be given instead of the platform's own in `answer`, the text forms in `grammar`, and
//! which request meets which fault is for `armed` to say. How one is carried out is left to `server`.

mod answer;
mod armed;
mod check;
mod grammar;
mod kind;
mod raw;

pub use answer::{InjectedAnswer, RetryAfter};
pub use armed::ArmedFault;
pub use kind::{
    Close, Damage, Direction, EndlessForm, HandshakeMessage, OldTls, OldTlsReply, Part, ShownCertificate, Stall,
};
pub use raw::Piece;

pub(crate) use armed::{Faults, Target};
pub(crate) use kind::{Kind, Stage};

use crate::Error;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Something that the platform does wrong, to be given to [`Platform::inject`](crate::Platform::inject).
///
/// Without more being said it is done to every request, or to every connection, until it is withdrawn. The crate's
/// front page has a table of all faults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "grammar::Members")]
#[must_use]
pub struct Fault {
    #[serde(flatten)]
    pub(crate) kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<Share>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(skip_serializing_if = "Route::is_any")]
    on: Route,
}

/// A share of what a fault could be done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Share {
    percent: u8,
    #[serde(default)]
    seed: u64,
}

/// Which of the platform's calls a fault is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// All of them, and requests that are none of them.
    #[default]
    Any,
    /// Device Authentication.
    Auth,
    /// Device Property Reporting.
    Properties,
    /// Device Message Reporting.
    Message,
    /// Gateway Reporting Child Device Property.
    Batch,
}

impl Route {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_any(&self) -> bool {
        *self == Route::Any
    }
}

/// To whom and how often.
impl Fault {
    /// Only the first `n` times, counted when it is done.
    pub fn times(mut self, n: u64) -> Self {
        self.times = Some(n);
        self
    }

    /// Only `percent` of a hundred, chosen by a generator that starts from `seed`: the same seed makes the same choice.
    pub fn share(mut self, percent: u8, seed: u64) -> Self {
        self.share = Some(Share { percent, seed });
        self
    }

    /// Only to requests of this device. No fault of a connection can be for a device: which one has connected is not
    /// known before its request.
    pub fn for_device(mut self, device_id: impl Into<String>) -> Self {
        self.device = Some(device_id.into());
        self
    }

    /// Only to requests of this call.
    pub fn on(mut self, route: Route) -> Self {
        self.on = route;
        self
    }
}

/// Faults of connections.
impl Fault {
    /// The connection is accepted, and then nothing is done.
    pub fn accept_stall(for_ms: Stall) -> Self {
        Kind::AcceptStall { for_ms }.into()
    }

    /// Of the handshake, nothing is sent beyond this message.
    pub fn handshake_stall(after: HandshakeMessage, for_ms: Stall) -> Self {
        Kind::HandshakeStall { after, for_ms }.into()
    }

    /// The connection ends after `bytes` of TCP in a direction, the handshake's counted too. Nothing that TLS would
    /// have to send can announce it.
    pub fn wire_cut(direction: Direction, bytes: u64, close: Close) -> Self {
        Kind::WireCut { direction, after: bytes, close }.into()
    }

    /// All that is sent, the handshake too, goes byte by byte, with a pause after each.
    pub fn wire_drip(every: Duration) -> Self {
        Kind::WireDrip { every_ms: whole_ms(every) }.into()
    }

    /// Another certificate is shown.
    pub fn certificate(show: ShownCertificate) -> Self {
        Kind::Certificate { show }.into()
    }

    /// The server speaks no TLS but an old version.
    pub fn old_tls(version: OldTls, reply: OldTlsReply) -> Self {
        Kind::OldTls { version, reply }.into()
    }

    /// The server speaks plain HTTP instead of TLS.
    pub fn plain_http() -> Self {
        Kind::PlainHttp {}.into()
    }

    /// After this message of the handshake, a fatal alert with this number is sent (RFC 5246 section 7.2:
    /// 40 `handshake_failure`, 48 `unknown_ca`, 80 `internal_error`), and the connection ends.
    pub fn tls_alert(after: HandshakeMessage, alert: u8) -> Self {
        Kind::TlsAlert { alert, after }.into()
    }
}

/// Faults of requests: how they are read, and what their tokens are worth.
impl Fault {
    /// The connection ends as soon as `bytes` of the request have come, head and body counted. The request is not
    /// looked at, and not recorded. To one that has fewer nothing is done, though it is counted.
    pub fn request_cut(bytes: u64, close: Close) -> Self {
        Kind::RequestCut { after: bytes, close }.into()
    }

    /// The request's head is read and nothing more, so that a long body blocks its sender; see
    /// [`narrow_window`](crate::PlatformBuilder::narrow_window).
    pub fn request_unread(for_ms: Stall) -> Self {
        Kind::RequestUnread { for_ms }.into()
    }

    /// What follows the request's head is read at this rate; see
    /// [`narrow_window`](crate::PlatformBuilder::narrow_window). The connection is as fast as before with the next
    /// request.
    pub fn request_slow(bytes_per_s: u64) -> Self {
        Kind::RequestSlow { bytes_per_s }.into()
    }

    /// The answer is sent before the request's body is read, and the connection closed.
    pub fn early_answer(answer: InjectedAnswer) -> Self {
        Kind::EarlyAnswer(answer).into()
    }

    /// The sender's tokens are no longer valid, or, with `grace`, not for more than 30 seconds. The rules are kept
    /// after that: the request is refused for its token.
    pub fn token_expired(grace: bool) -> Self {
        Kind::TokenExpired { grace }.into()
    }

    /// Someone else authenticates as the sender before the request is looked at: a new token is issued, and the earlier
    /// ones are valid for 30 seconds more.
    pub fn token_rotated() -> Self {
        Kind::TokenRotated {}.into()
    }
}

/// Faults of answers.
impl Fault {
    /// This answer is given instead of the platform's own. The request is not looked at.
    pub fn answer(answer: InjectedAnswer) -> Self {
        Kind::Answer(answer).into()
    }

    /// One of the documented refusals, such as `IOTDA.021101`.
    pub fn refusal(code: impl Into<String>) -> Self {
        Self::answer(InjectedAnswer::refusal(code))
    }

    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self::answer(InjectedAnswer::status(status))
    }

    /// The `Date` header is off by this many seconds.
    pub fn date(off_s: i64) -> Self {
        Kind::Date { off_s }.into()
    }

    /// `Content-Length` is larger or smaller than the body by this much. If it is larger, the connection stays open and
    /// nothing comes; if it is smaller, the rest of the body follows the answer.
    pub fn content_length(off_by: i64) -> Self {
        Kind::ContentLength { off_by }.into()
    }

    /// The body comes in chunks of so many bytes. If it is unterminated, the connection is closed instead of the
    /// last chunk.
    pub fn chunked(chunk: usize, unterminated: bool) -> Self {
        Kind::Chunked { chunk, unterminated }.into()
    }

    /// The answer is HTTP/1.0 without a length: its body ends with the connection.
    pub fn http_1_0() -> Self {
        Kind::Http10 {}.into()
    }

    /// So many `100 Continue` come before the answer.
    pub fn continue_first(count: u32) -> Self {
        Kind::ContinueFirst { count }.into()
    }

    /// The answer has a header field whose value has this many bytes.
    pub fn huge_header(bytes: usize) -> Self {
        Kind::HugeHeader { bytes }.into()
    }

    /// The answer has this many header fields more.
    pub fn many_headers(count: usize) -> Self {
        Kind::ManyHeaders { count }.into()
    }

    /// This text is sent instead of an answer, and the connection closed.
    pub fn garbage(text: impl Into<String>) -> Self {
        Kind::Garbage { text: text.into() }.into()
    }

    /// The answer is sent twice.
    pub fn duplicate() -> Self {
        Kind::Trailing { text: None }.into()
    }

    /// This text follows the answer's body.
    pub fn trailing(text: impl Into<String>) -> Self {
        Kind::Trailing { text: Some(text.into()) }.into()
    }

    /// The answer's body never ends.
    pub fn endless(form: EndlessForm) -> Self {
        Kind::Endless { form }.into()
    }

    /// These pieces are sent instead of the answer, byte for byte. The rules are kept; what they made of the
    /// request is in its record. Without `close` the connection goes on, whatever the client makes of the bytes.
    pub fn raw(pieces: impl IntoIterator<Item = Piece>, close: Option<Close>) -> Self {
        Kind::Raw { send: pieces.into_iter().collect(), close }.into()
    }

    /// A pause before the answer's header, or between its header and its body.
    pub fn delay(before: Part, for_ms: Stall) -> Self {
        Kind::Delay { before, for_ms }.into()
    }

    /// The answer goes byte by byte, each in a TLS record of its own, with a pause after each.
    pub fn drip(every: Duration) -> Self {
        Kind::Drip { every_ms: whole_ms(every) }.into()
    }

    /// The connection ends after `bytes` of the answer, header and body counted. An answer that has fewer is sent as it
    /// is, though it is counted.
    pub fn response_cut(bytes: u64, close: Close) -> Self {
        Kind::ResponseCut { after: bytes, close }.into()
    }

    /// A TLS record that nobody can decipher: the one with the answer, or one on the idle connection after it.
    pub fn damaged_record(when: Damage) -> Self {
        Kind::DamagedRecord { when }.into()
    }

    /// The connection is closed when it has been idle for a while after an answer, which has not announced it. A
    /// request that comes before that is answered, and the time begins anew.
    pub fn idle_close(after: Duration, close: Close) -> Self {
        Kind::IdleClose { after_ms: whole_ms(after), close }.into()
    }
}

impl Fault {
    /// Reads a scenario: TOML with a `[[fault]]` for each.
    pub fn from_toml(text: &str) -> Result<Vec<Self>, Error> {
        grammar::scenario(text)
    }

    /// Its name in the table of faults.
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }
}

impl From<Kind> for Fault {
    fn from(kind: Kind) -> Self {
        Self { kind, times: None, share: None, device: None, on: Route::Any }
    }
}

/// A pause that is not of whole milliseconds is rounded down.
fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
