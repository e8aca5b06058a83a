//! The answers that a fault gives instead of the platform's own.

use super::kind::Close;
use super::raw::digits;
use crate::calendar;
use crate::refusal::Refusal;
use serde::{Deserialize, Serialize};

/// An answer that the rules did not make.
///
/// With an error code its body is the documented JSON, unless [`body`](Self::body) says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[must_use]
pub struct InjectedAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body_hex: Option<Digits>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) headers: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_after: Option<RetryAfter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) close: Option<Close>,
}

/// Bytes that are written as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Digits(#[serde(with = "digits")] Vec<u8>);

/// The value of a `Retry-After` header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "seconds, { date_in_s = seconds }, or a text")]
pub enum RetryAfter {
    /// A number of seconds.
    Seconds(u64),
    /// An HTTP date.
    Date {
        /// How far ahead of the platform's time it is, in seconds.
        date_in_s: i64,
    },
    /// Anything else.
    Text(String),
}

impl InjectedAnswer {
    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    /// One of the documented refusals, such as `IOTDA.021101`, with its status and text.
    pub fn refusal(code: impl Into<String>) -> Self {
        Self { code: Some(code.into()), ..Self::default() }
    }

    /// A redirect (301, 302, 307, 308).
    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self { location: Some(location.into()), ..Self::status(status) }
    }

    /// The error code.
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// The text beside the error code. Default: the documented one.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// The body, whatever it may be: an HTML page, JSON that breaks off, nothing.
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The body, where it is not UTF-8: another encoding, a body that breaks off in the midst of a character. It goes
    /// before [`body`](Self::body).
    pub fn body_bytes(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body_hex = Some(Digits(body.into()));
        self
    }

    /// One more header field. Those that say where the body ends, `Date` and `Connection` are the platform's: an answer
    /// that has others is a [`Fault::raw`](crate::Fault::raw).
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The type of the body. Default: `text/html` if the body starts with `<`, else `application/json`.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// When the client may come again.
    pub fn retry_after(mut self, retry_after: RetryAfter) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// How the connection ends after it. Default: it is kept, unless it has to be closed; then in the way of TLS.
    pub fn close(mut self, close: Close) -> Self {
        self.close = Some(close);
        self
    }

    /// The status: the one given, or that of the code. `None` if there is neither.
    pub(crate) fn status_sent(&self) -> Option<u16> {
        self.status.or_else(|| self.documented().map(|refusal| refusal.status))
    }

    pub(crate) fn code_sent(&self) -> Option<&str> {
        self.code.as_deref()
    }

    pub(crate) fn close_after(&self) -> Option<Close> {
        self.close
    }

    pub(crate) fn body_sent(&self) -> Vec<u8> {
        if let Some(Digits(body)) = &self.body_hex {
            return body.clone();
        }
        match (&self.body, &self.code) {
            (Some(body), _) => body.clone().into_bytes(),
            (None, None) => Vec::new(),
            (None, Some(code)) => {
                let documented = self.documented().map_or_else(String::new, |refusal| refusal.text);
                Refusal::body_of(code, self.text.as_deref().unwrap_or(&documented))
            }
        }
    }

    /// The header fields that it adds to those of every answer.
    pub(crate) fn headers(&self, now_ms: i64) -> Vec<(String, String)> {
        let body = self.body_sent();
        let guess = if body.starts_with(b"<") { "text/html" } else { "application/json" };
        let content_type = match &self.content_type {
            Some(content_type) => Some(content_type.clone()),
            None => (!body.is_empty()).then(|| guess.to_owned()),
        };
        let retry_after = self.retry_after.as_ref().map(|retry_after| match retry_after {
            RetryAfter::Seconds(seconds) => seconds.to_string(),
            RetryAfter::Date { date_in_s } => {
                calendar::format_http_date(now_ms.saturating_add(date_in_s.saturating_mul(1000)))
            }
            RetryAfter::Text(text) => text.clone(),
        });
        [("content-type", content_type), ("retry-after", retry_after), ("location", self.location.clone())]
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .chain(self.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())))
            .collect()
    }

    fn documented(&self) -> Option<Refusal> {
        Refusal::documented(self.code.as_deref()?)
    }
}
