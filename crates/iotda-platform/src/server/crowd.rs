//! The connections that are open: how long each may be silent, and which one makes way when the system has no more
//! descriptors. Silence costs a client nothing, so that it must not cost everybody else the platform.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long a connection may be silent. It is real time: the platform's clock has no part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// From the connection to the end of the TLS handshake. Default: 20 s.
    pub handshake: Duration,
    /// From the first byte of a request to the end of its head. Default: 30 s.
    pub head: Duration,
    /// Between two pieces of a request's body. Default: 60 s.
    pub body: Duration,
    /// Between two requests. Default: 300 s.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { handshake: seconds(20), head: seconds(30), body: seconds(60), idle: seconds(300) }
    }
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    Handshake,
    Head,
    Body,
    Idle,
    /// The platform has something to do, if only a fault.
    Busy,
}

impl Phase {
    const ALL: [Self; 5] = [Self::Handshake, Self::Head, Self::Body, Self::Idle, Self::Busy];

    fn limit(self, timeouts: &Timeouts) -> Option<Duration> {
        match self {
            Phase::Handshake => Some(timeouts.handshake),
            Phase::Head => Some(timeouts.head),
            Phase::Body => Some(timeouts.body),
            Phase::Idle => Some(timeouts.idle),
            Phase::Busy => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Phase::Handshake => "in the handshake",
            Phase::Head => "in the head of a request",
            Phase::Body => "in the body of a request",
            Phase::Idle => "between two requests",
            Phase::Busy => "while the platform was busy",
        }
    }
}

/// One connection: what it is doing, and since when.
#[derive(Debug)]
pub(crate) struct Activity {
    started: Instant,
    /// Milliseconds after `started`.
    since_ms: AtomicU64,
    phase: AtomicU8,
    make_way: Notify,
}

impl Activity {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            since_ms: AtomicU64::new(0),
            phase: AtomicU8::new(Phase::Handshake as u8),
            make_way: Notify::new(),
        }
    }

    /// A new phase begins, or something has come in this one.
    pub(super) fn is_in(&self, phase: Phase) {
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since_ms.store(ms, Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// More of the request has come. A head has one time for all of it, so that it cannot be had byte by byte.
    pub(super) fn received(&self) {
        match self.phase() {
            Phase::Idle => self.is_in(Phase::Head),
            Phase::Body => self.is_in(Phase::Body),
            Phase::Handshake | Phase::Head | Phase::Busy => {}
        }
    }

    fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::Relaxed))]
    }

    fn since(&self) -> Instant {
        self.started + Duration::from_millis(self.since_ms.load(Ordering::Relaxed))
    }

    /// A request has come whole: whoever sent it is not to lose its answer.
    pub(crate) fn is_busy(&self) {
        self.is_in(Phase::Busy);
    }

    /// Waits until the connection has to make way.
    pub(crate) async fn made_way(&self) {
        self.make_way.notified().await;
    }

    /// Waits until the connection has been silent for too long or has to make way, and says which.
    pub(super) async fn over(&self, timeouts: &Timeouts) -> String {
        let shortest = timeouts.handshake.min(timeouts.head).min(timeouts.body).min(timeouts.idle);
        let silent = async {
            loop {
                let phase = self.phase();
                let now = Instant::now();
                let end = phase.limit(timeouts).map(|limit| (self.since() + limit, limit));
                if let Some((_, limit)) = end.filter(|(end, _)| *end <= now) {
                    return format!("nothing came for {limit:?} {}", phase.name());
                }
                // The phase may change meanwhile, and the next one's limit be shorter.
                let look_again = now + shortest;
                tokio::time::sleep_until(end.map_or(look_again, |(end, _)| end.min(look_again)).into()).await;
            }
        };
        tokio::select! {
            reason = silent => reason,
            () = self.made_way() => {
                format!("silent {} the longest when there were no more descriptors", self.phase().name())
            }
        }
    }
}

/// All connections, of devices and of whoever looks, by the address of what each is doing.
#[derive(Debug, Default)]
pub(crate) struct Crowd(Mutex<HashMap<usize, Arc<Activity>>>);

fn key(activity: &Arc<Activity>) -> usize {
    Arc::as_ptr(activity).addr()
}

impl Crowd {
    pub(crate) fn enter(&self) -> Arc<Activity> {
        let activity = Arc::new(Activity::new());
        self.all().insert(key(&activity), Arc::clone(&activity));
        activity
    }

    pub(crate) fn leave(&self, activity: &Arc<Activity>) {
        self.all().remove(&key(activity));
    }

    /// Ends the connection that has been silent the longest. Whether there was one.
    pub(super) fn make_room(&self) -> bool {
        let mut all = self.all();
        let silent = |activity: &Activity| matches!(activity.phase(), Phase::Handshake | Phase::Head | Phase::Idle);
        let oldest = all.values().filter(|it| silent(it)).min_by_key(|it| it.since()).map(key);
        // Taken out at once, so that the next call finds another.
        let oldest = oldest.and_then(|key| all.remove(&key));
        oldest.inspect(|activity| activity.make_way.notify_one()).is_some()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<usize, Arc<Activity>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silent_makes_way_and_a_busy_one_does_not() {
        let crowd = Crowd::default();
        let connections: Vec<_> = (0..4).map(|_| crowd.enter()).collect();
        for (activity, (phase, at_ms)) in
            connections.iter().zip([(Phase::Busy, 0), (Phase::Idle, 20), (Phase::Head, 10), (Phase::Body, 0)])
        {
            activity.is_in(phase);
            activity.since_ms.store(at_ms, Ordering::Relaxed);
        }
        assert!(crowd.make_room());
        assert!(crowd.all().len() == 3 && !crowd.all().contains_key(&key(&connections[2])));
        assert!(crowd.make_room());
        assert!(!crowd.make_room());
        assert_eq!(crowd.all().len(), 2);
        crowd.leave(&connections[0]);
        crowd.leave(&connections[1]);
        assert_eq!(crowd.all().len(), 1);
    }

    #[test]
    fn what_comes_prolongs_a_body_and_not_a_head() {
        let activity = Activity::new();
        activity.is_in(Phase::Idle);
        activity.received();
        assert_eq!(activity.phase(), Phase::Head);
        for (phase, prolonged) in [(Phase::Head, false), (Phase::Body, true), (Phase::Handshake, false)] {
            activity.is_in(phase);
            activity.since_ms.store(u64::MAX / 2, Ordering::Relaxed);
            activity.received();
            assert_eq!(activity.since_ms.load(Ordering::Relaxed) < 1_000_000, prolonged, "{phase:?}");
        }
    }
}
