//! Answers that a test writes itself, byte by byte and piece by piece. How they are sent is for `server::delivery`.

use super::whole_ms;
use crate::hex;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A piece of what is sent for an answer, in [`Fault::raw`](super::Fault::raw). Pieces between two pauses are written
/// together: up to 16 KB of them make one TLS record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// A text, sent as UTF-8.
    Text(String),
    /// Bytes. In JSON and TOML they are hexadecimal digits.
    #[serde(rename = "hex", with = "digits")]
    Bytes(Vec<u8>),
    /// A text, again and again.
    #[expect(missing_docs, reason = "the names say it")]
    Repeat { text: String, count: usize },
    /// The whole answer that the platform would have given, with its head.
    Answer,
    /// The body of that answer alone.
    Body,
    /// Nothing for so many milliseconds. What follows begins a TLS record of its own, after a pause of 0 too.
    PauseMs(u64),
}

impl Piece {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Bytes that need not be text.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bytes(bytes.into())
    }

    /// Nothing is sent for a while.
    pub fn pause(duration: Duration) -> Self {
        Self::PauseMs(whole_ms(duration))
    }

    /// How many bytes it holds of its own.
    pub(super) fn length(&self) -> usize {
        match self {
            Piece::Text(text) => text.len(),
            Piece::Bytes(bytes) => bytes.len(),
            Piece::Repeat { text, count } => text.len().saturating_mul(*count),
            Piece::Answer | Piece::Body | Piece::PauseMs(_) => 0,
        }
    }
}

/// Bytes as hexadecimal digits.
pub(super) mod digits {
    use super::hex;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(in crate::fault) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(bytes))
    }

    pub(in crate::fault) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex::decode(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is not an even number of hex digits")))
    }
}
