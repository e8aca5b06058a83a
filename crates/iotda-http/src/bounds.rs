//! What bounds the work of one request: its deadline, its patience, and its cancel token.

use std::io;
use std::time::{Duration, Instant};

use crate::cancel::CancelToken;

/// Handed down from the caller to every place that waits.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a> {
    /// When everything must be over; `None`: never.
    pub deadline: Option<Instant>,
    /// How long nothing may move, connecting included, before the request is given up. What moves slowly goes on.
    pub patience: Duration,
    /// Ends the request from another thread.
    pub cancel: Option<&'a CancelToken>,
    /// Use a new connection, not a kept one.
    pub fresh: bool,
}

impl Default for Bounds<'_> {
    /// No bounds at all.
    fn default() -> Self {
        Bounds { deadline: None, patience: Duration::MAX, cancel: None, fresh: false }
    }
}

impl<'a> Bounds<'a> {
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.is_some_and(CancelToken::is_cancelled)
    }

    /// An error if the request was cancelled.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.is_cancelled() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    /// The time left until the deadline, `None` if there is no end; an error if it is over.
    pub(crate) fn remaining(&self) -> io::Result<Option<Duration>> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        match deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            remaining => Ok(Some(remaining)),
        }
    }

    /// The same, but for `most` from now on.
    pub(crate) fn within(&self, most: Duration) -> Bounds<'a> {
        Bounds { deadline: earlier(Instant::now().checked_add(most), self.deadline), ..*self }
    }
}

/// The earlier of two moments, where `None` is never.
pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
