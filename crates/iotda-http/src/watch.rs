//! What connections report about themselves: bytes and handshakes counted, and log lines where a log was given. Nothing
//! is written anywhere else.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A call fails.
    Error,
    /// Something went wrong and is tried again: an attempt failed, a limit was met.
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

/// One counter of [`TrafficCounts`].
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Traffic {
    BytesSent,
    BytesReceived,
    HandshakesFull,
    HandshakesResumed,
}

const COUNTS: usize = Traffic::HandshakesResumed as usize + 1;

/// The counters of all connections of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficCounts {
    /// Bytes handed to the network, TLS included.
    pub bytes_sent: u64,
    /// Bytes received from the network, TLS included.
    pub bytes_received: u64,
    /// TLS handshakes with a certificate.
    pub handshakes_full: u64,
    /// TLS handshakes that resumed a session.
    pub handshakes_resumed: u64,
}

/// Counts and logs for everything that belongs to one client.
#[derive(Default)]
pub struct Watch {
    counts: [AtomicU64; COUNTS],
    log: Option<(Level, Arc<dyn Log>)>,
}

impl Watch {
    /// `log` receives lines up to the level beside it.
    pub fn new(log: Option<(Level, Arc<dyn Log>)>) -> Self {
        Watch { log, ..Watch::default() }
    }

    pub(crate) fn add(&self, count: Traffic, amount: u64) {
        self.counts[count as usize].fetch_add(amount, Ordering::Relaxed);
    }

    /// Logs a line, which is only made if somebody wants it.
    pub fn log(&self, level: Level, line: impl FnOnce() -> String) {
        if let Some((most, log)) = &self.log {
            if level <= *most {
                log.log(level, &line());
            }
        }
    }

    /// The counters now.
    pub fn counts(&self) -> TrafficCounts {
        let read = |count: Traffic| self.counts[count as usize].load(Ordering::Relaxed);
        TrafficCounts {
            bytes_sent: read(Traffic::BytesSent),
            bytes_received: read(Traffic::BytesReceived),
            handshakes_full: read(Traffic::HandshakesFull),
            handshakes_resumed: read(Traffic::HandshakesResumed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug, Default)]
    struct Lines(Mutex<Vec<(Level, String)>>);

    impl Log for Lines {
        fn log(&self, level: Level, message: &str) {
            self.0.lock().unwrap().push((level, message.to_owned()));
        }
    }

    #[test]
    fn each_counter_counts_its_own() {
        let watch = Watch::default();
        let amounts = [
            (Traffic::BytesSent, 5),
            (Traffic::BytesReceived, 7),
            (Traffic::HandshakesFull, 11),
            (Traffic::HandshakesResumed, 13),
        ];
        for _ in 0..2 {
            amounts.iter().for_each(|(count, amount)| watch.add(*count, *amount));
        }
        let expected =
            TrafficCounts { bytes_sent: 10, bytes_received: 14, handshakes_full: 22, handshakes_resumed: 26 };
        assert_eq!(watch.counts(), expected);
    }

    #[test]
    fn a_log_is_given_what_matters_enough_and_no_other_line_is_made() {
        let lines = Arc::new(Lines::default());
        let watch = Watch::new(Some((Level::Warning, Arc::clone(&lines) as Arc<dyn Log>)));
        watch.log(Level::Error, || "fails".to_owned());
        watch.log(Level::Warning, || "is tried again".to_owned());
        watch.log(Level::Info, || panic!("nobody wants it"));
        assert_eq!(
            *lines.0.lock().unwrap(),
            [(Level::Error, "fails".to_owned()), (Level::Warning, "is tried again".to_owned())]
        );
        Watch::default().log(Level::Error, || panic!("there is no log"));
    }
}
