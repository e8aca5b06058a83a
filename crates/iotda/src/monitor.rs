//! What a client tells about itself: counters, and a log where the program asked for one. Nothing is
//! written anywhere else.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A call fails.
    Error,
    /// Something went wrong and is being mended: an attempt failed, a limit was met.
    Warning,
    /// Connections and authentications.
    Info,
    /// Each request.
    Debug,
}

/// Receives log lines. Called from the threads that make the calls; no lock is held meanwhile.
pub trait Log: Debug + Send + Sync + 'static {
    /// One line, without an end of line; never with a secret, a password or a token in it.
    fn log(&self, level: Level, message: &str);
}

/// Counters since the client was made, over all devices that share its connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    BytesSent,
    BytesReceived,
    HandshakesFull,
    HandshakesResumed,
    PacingWaits,
}

const COUNTS: usize = Count::PacingWaits as usize + 1;

/// Shared by everything that belongs to one client.
#[derive(Default)]
pub(crate) struct Monitor {
    counts: [AtomicU64; COUNTS],
    /// The platform's Unix time minus the client's monotonic time, in milliseconds; 0: not known.
    server_time_offset_ms: AtomicI64,
    log: Option<(Level, Arc<dyn Log>)>,
}

impl Monitor {
    /// `log` receives lines up to the level beside it.
    pub(crate) fn new(log: Option<(Level, Arc<dyn Log>)>) -> Self {
        Monitor { log, ..Monitor::default() }
    }

    pub(crate) fn add(&self, count: Count, amount: u64) {
        self.counts[count as usize].fetch_add(amount, Ordering::Relaxed);
    }

    /// Logs a line, which is only made if somebody wants it.
    pub(crate) fn log(&self, level: Level, line: impl FnOnce() -> String) {
        if let Some((most, log)) = &self.log {
            if level <= *most {
                log.log(level, &line());
            }
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let read = |count: Count| self.counts[count as usize].load(Ordering::Relaxed);
        Stats {
            requests: read(Count::Requests),
            authentications: read(Count::Authentications),
            retries: read(Count::Retries),
            body_bytes_sent: read(Count::BodyBytesSent),
            bytes_sent: read(Count::BytesSent),
            bytes_received: read(Count::BytesReceived),
            handshakes_full: read(Count::HandshakesFull),
            handshakes_resumed: read(Count::HandshakesResumed),
            pacing_waits: read(Count::PacingWaits),
        }
    }

    /// Remembers the time that the platform told.
    pub(crate) fn server_told(&self, server_unix_ms: i64, monotonic_ms: i64) {
        self.server_time_offset_ms.store(server_unix_ms - monotonic_ms, Ordering::Relaxed);
    }

    /// The platform's time now, if it ever told it.
    pub(crate) fn server_time_ms(&self, monotonic_ms: i64) -> Option<i64> {
        match self.server_time_offset_ms.load(Ordering::Relaxed) {
            0 => None,
            offset => Some(offset + monotonic_ms),
        }
    }
}

impl Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Monitor").field(&self.stats()).finish()
    }
}
