//! What bounds the work of one request: its deadline, and its cancel token.

use std::io;
use std::time::{Duration, Instant};

use crate::cancel::CancelToken;

/// Handed down from the call to every place that waits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    pub(crate) deadline: Option<Instant>,
    pub(crate) cancel: Option<CancelToken>,
}

impl Context {
    /// An error if the call was cancelled.
    pub(crate) fn check(&self) -> io::Result<()> {
        match &self.cancel {
            Some(cancel) if cancel.is_cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
            _ => Ok(()),
        }
    }

    /// The time left, `None` if there is no end; an error if it is over.
    pub(crate) fn remaining(&self) -> io::Result<Option<Duration>> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        match deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            remaining => Ok(Some(remaining)),
        }
    }

    /// The same, but for `most` from now on.
    pub(crate) fn within(&self, most: Duration) -> Self {
        let ends = Instant::now().checked_add(most);
        let deadline = match (ends, self.deadline) {
            (Some(ends), Some(deadline)) => Some(ends.min(deadline)),
            (ends, deadline) => ends.or(deadline),
        };
        Context { deadline, cancel: self.cancel.clone() }
    }
}
