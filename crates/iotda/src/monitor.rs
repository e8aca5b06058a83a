//! What a client reports about itself: counters, and a log where the program asked for one. Nothing is
//! written anywhere else. What the connections count is in [`iotda_http::Watch`].

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

pub(crate) use iotda_http::Level;
use iotda_http::Watch;

/// Counters since the client was made, over all devices that share its connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests sent, authentications not counted.
    pub requests: u64,
    /// Authentications sent.
    pub authentications: u64,
    /// Requests that were sent again after a failure.
    pub retries: u64,
    /// Bytes of request bodies sent.
    pub body_bytes_sent: u64,
    /// Bytes handed to the network, TLS included.
    pub bytes_sent: u64,
    /// Bytes received from the network, TLS included.
    pub bytes_received: u64,
    /// TLS handshakes with a certificate.
    pub handshakes_full: u64,
    /// TLS handshakes that resumed a session.
    pub handshakes_resumed: u64,
    /// Reports that waited so as not to meet a rate limit.
    pub pacing_waits: u64,
}

/// One counter of [`Stats`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    Requests,
    Authentications,
    Retries,
    BodyBytesSent,
    PacingWaits,
}

const COUNTS: usize = Count::PacingWaits as usize + 1;

/// Shared by everything that belongs to one client.
#[derive(Default)]
pub(crate) struct Monitor {
    counts: [AtomicU64; COUNTS],
    /// The platform's Unix time minus the client's monotonic time, in milliseconds; 0: not known.
    server_time_offset_ms: AtomicI64,
    watch: Arc<Watch>,
}

impl Monitor {
    /// `watch` counts and logs for the connections as well.
    pub(crate) fn new(watch: Arc<Watch>) -> Self {
        Monitor { watch, ..Monitor::default() }
    }

    pub(crate) fn add(&self, count: Count, amount: u64) {
        self.counts[count as usize].fetch_add(amount, Ordering::Relaxed);
    }

    /// Logs a line, which is only made if somebody wants it.
    pub(crate) fn log(&self, level: Level, line: impl FnOnce() -> String) {
        self.watch.log(level, line);
    }

    pub(crate) fn stats(&self) -> Stats {
        let traffic = self.watch.counts();
        let read = |count: Count| self.counts[count as usize].load(Ordering::Relaxed);
        Stats {
            requests: read(Count::Requests),
            authentications: read(Count::Authentications),
            retries: read(Count::Retries),
            body_bytes_sent: read(Count::BodyBytesSent),
            bytes_sent: traffic.bytes_sent,
            bytes_received: traffic.bytes_received,
            handshakes_full: traffic.handshakes_full,
            handshakes_resumed: traffic.handshakes_resumed,
            pacing_waits: read(Count::PacingWaits),
        }
    }

    /// Remembers the time of the platform's clock, from an answer.
    pub(crate) fn server_told(&self, server_unix_ms: i64, monotonic_ms: i64) {
        self.server_time_offset_ms.store(server_unix_ms - monotonic_ms, Ordering::Relaxed);
    }

    /// The platform's time now, if an answer ever had it.
    pub(crate) fn server_time_ms(&self, monotonic_ms: impl FnOnce() -> i64) -> Option<i64> {
        match self.server_time_offset_ms.load(Ordering::Relaxed) {
            0 => None,
            offset => Some(offset + monotonic_ms()),
        }
    }
}
