//! Connections that wait for their next request, and how many there are.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::bounds::Bounds;
use crate::condition::Condition;
use crate::error::{Error, Kind, Result};
use crate::exchange::KeptConnections;
use crate::stream::Stream;

/// Keeps connections for a time. The one that was used last is taken first, so that those that are not needed grow old
/// and go: what is kept is what was lately needed at once.
pub(crate) struct Pool {
    state: Mutex<State>,
    freed: Condition,
    settings: KeptConnections,
}

#[derive(Default)]
struct State {
    kept: VecDeque<Kept>,
    /// Connections that serve a request, or are being opened for one.
    in_use: usize,
    waiting: usize,
}

struct Kept {
    stream: Box<Stream>,
    since: Instant,
}

/// The right to use one connection; it ends when dropped.
pub(crate) struct Slot<'a>(&'a Pool);

impl Pool {
    pub(crate) fn new(settings: KeptConnections) -> Self {
        Pool { state: Mutex::default(), freed: Condition::default(), settings }
    }

    /// The right to use a connection, and one that the server has not closed, as far as one look can tell; `None`: a
    /// new one is to be opened. Waits, within `bounds`, while as many as allowed are in use.
    pub(crate) fn take(&self, now: Instant, bounds: &Bounds<'_>) -> Result<(Slot<'_>, Option<Box<Stream>>)> {
        let mut state = self.lock();
        while state.in_use >= self.settings.most {
            state = self.wait(state, bounds)?;
        }
        state.in_use += 1;
        let slot = Slot(self);
        if bounds.fresh {
            return Ok((slot, None));
        }
        while let Some(Kept { mut stream, since }) = state.kept.pop_back() {
            if now.saturating_duration_since(since) >= self.settings.time {
                // The others are older still. They are closed without the lock.
                let old = std::mem::take(&mut state.kept);
                drop(state);
                drop((stream, old));
                return Ok((slot, None));
            }
            drop(state);
            if stream.still_stands() {
                return Ok((slot, Some(stream)));
            }
            drop(stream);
            state = self.lock();
        }
        Ok((slot, None))
    }

    fn wait<'a>(&'a self, mut state: MutexGuard<'a, State>, bounds: &Bounds<'_>) -> Result<MutexGuard<'a, State>> {
        if bounds.is_cancelled() {
            return Err(Error::new(Kind::Cancelled, "the call was cancelled while it waited for a connection"));
        }
        if bounds.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(Error::new(
                Kind::Timeout,
                format!(
                    "allow more connections or a longer timeout: all {} were in use for the whole call",
                    self.settings.most
                ),
            ));
        }
        state.waiting += 1;
        let mut state = self.freed.wait(&self.state, state, bounds.deadline, bounds.cancel);
        state.waiting -= 1;
        Ok(state)
    }

    /// One that was opened at `opened` turned out to be dead: those that are no younger have probably gone with it, with
    /// an entry of a NAT or a modem's connection.
    pub(crate) fn distrust(&self, opened: Instant) {
        let mut state = self.lock();
        let (younger, gone): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut state.kept).into_iter().partition(|kept| kept.stream.opened() > opened);
        state.kept = younger;
        drop(state);
        drop(gone);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot<'_> {
    /// Keeps the connection, on which nothing has moved `since` then, for the next request.
    pub(crate) fn keep(self, stream: Box<Stream>, since: Instant) {
        let Pool { settings, .. } = self.0;
        let mut gone = Vec::new();
        let mut state = self.0.lock();
        // The oldest go if they are too many, or have been here too long.
        while let Some(oldest) = state.kept.front() {
            let is_old = since.saturating_duration_since(oldest.since) >= settings.time;
            if !is_old && state.kept.len() < settings.idle {
                break;
            }
            gone.extend(state.kept.pop_front());
        }
        if settings.idle > 0 {
            state.kept.push_back(Kept { stream, since });
        } else {
            gone.push(Kept { stream, since });
        }
        self.end(state);
        std::mem::forget(self);
        // Closed without the lock.
        drop(gone);
    }

    fn end(&self, mut state: MutexGuard<'_, State>) {
        state.in_use -= 1;
        let waiting = state.waiting > 0;
        drop(state);
        if waiting {
            self.0.freed.notify_all();
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.end(self.0.lock());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_gives_up_waiting_is_not_counted_any_more() {
        let pool = Pool::new(KeptConnections { most: 1, idle: 1, time: Duration::from_secs(1) });
        let slot = pool.take(Instant::now(), &Bounds::default()).unwrap().0;
        let soon = Bounds { deadline: Instant::now().checked_add(Duration::from_millis(1)), ..Bounds::default() };
        assert_eq!(pool.take(Instant::now(), &soon).map(drop).unwrap_err().kind, Kind::Timeout);
        assert_eq!(pool.lock().waiting, 0, "nobody needs to be woken");
        drop(slot);
        assert_eq!(pool.lock().in_use, 0);
    }
}
