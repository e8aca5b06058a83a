//! Connections that wait for their next request.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::http::stream::Stream;

/// Keeps connections, so many and so long. The one that was used last is taken first, so that those that
/// are not needed grow old.
#[derive(Debug)]
pub(crate) struct Pool {
    kept: Mutex<VecDeque<Kept>>,
    most: usize,
    for_time: Duration,
}

#[derive(Debug)]
struct Kept {
    stream: Box<Stream>,
    since: Instant,
}

impl Pool {
    pub(crate) fn new(most: usize, for_time: Duration) -> Self {
        Pool { kept: Mutex::default(), most, for_time }
    }

    /// A connection that the server has not closed, as far as one look can tell.
    pub(crate) fn take(&self) -> Option<Box<Stream>> {
        loop {
            let Kept { mut stream, since } = self.lock().pop_back()?;
            if since.elapsed() >= self.for_time {
                // The others are older still. They are closed without the lock.
                let old = std::mem::take(&mut *self.lock());
                drop(old);
            } else if stream.still_stands() {
                return Some(stream);
            }
        }
    }

    /// Keeps a connection for the next request.
    pub(crate) fn keep(&self, stream: Box<Stream>) {
        if self.most == 0 {
            return;
        }
        let since = Instant::now();
        let mut kept = self.lock();
        // The oldest goes if it is one too many, or has been here too long.
        let is_old = |oldest: &Kept| since.saturating_duration_since(oldest.since) >= self.for_time;
        let leave = kept.len() >= self.most || kept.front().is_some_and(is_old);
        let gone = if leave { kept.pop_front() } else { None };
        kept.push_back(Kept { stream, since });
        // Closed without the lock.
        drop(kept);
        drop(gone);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
