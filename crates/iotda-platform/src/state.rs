//! All that one running platform keeps: who is registered, what has been issued and counted, what was received, what
//! time it is. It is the shared ground of the two servers and of the library's calls; the rules are in `pipeline`.

use crate::Error;
use crate::clock::Clock;
use crate::counters::Counters;
use crate::fault::Faults;
use crate::hex;
use crate::journal::{Entry, Incident, IncidentKind, Journal};
use crate::limiter::Limiter;
use crate::registry::Registry;
use crate::server::{Crowd, Timeouts};
use crate::terminal;
use crate::tokens::Tokens;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Who is shown a line for each request and incident. It is called by the threads that serve, and must not keep them.
pub(crate) type Observer = Box<dyn Fn(&str) + Send + Sync>;

/// What is set once, at the start.
pub(crate) struct Settings {
    pub(crate) token_lifetime_s: u32,
    /// In characters.
    pub(crate) token_length: usize,
    /// Tokens are made of it, so that each run has the same; `None` for tokens that nobody can guess.
    pub(crate) token_seed: Option<u64>,
    pub(crate) timeouts: Timeouts,
    /// What does not fit a product's model is refused, not thrown away.
    pub(crate) strict_model: bool,
    pub(crate) observer: Option<Observer>,
}

/// Each part has a lock of its own, held for one step and never during I/O on a connection. Whoever takes several takes
/// them in the order in which they stand here.
pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) settings: Settings,
    /// Another one for each run, so that whoever follows sees that the numbers begin anew.
    pub(crate) run: String,
    pub(crate) crowd: Crowd,
    tokens_issued: AtomicU64,
    faults: Mutex<Faults>,
    registry: RwLock<Registry>,
    tokens: Mutex<Tokens>,
    report_limiter: Mutex<Limiter>,
    auth_limiter: Mutex<Limiter>,
    journal: Mutex<Journal>,
    counters: Mutex<Counters>,
}

impl State {
    pub(crate) fn new(clock: Clock, registry: Registry, journal: Journal, settings: Settings) -> Result<Self, Error> {
        Ok(Self {
            clock,
            settings,
            run: hex::random(16)?,
            crowd: Crowd::default(),
            tokens_issued: AtomicU64::new(0),
            faults: Mutex::default(),
            registry: RwLock::new(registry),
            tokens: Mutex::default(),
            report_limiter: Mutex::default(),
            auth_limiter: Mutex::default(),
            journal: Mutex::new(journal),
            counters: Mutex::default(),
        })
    }

    /// The text of a token that was not issued before.
    pub(crate) fn new_token(&self) -> Result<String, Error> {
        let length = self.settings.token_length;
        match self.settings.token_seed {
            None => hex::random(length),
            Some(seed) => Ok(hex::seeded(seed, self.tokens_issued.fetch_add(1, Ordering::Relaxed), length)),
        }
    }

    /// Shows a request or an incident that was recorded.
    pub(crate) fn show(&self, entry: &Entry) {
        if let Some(observer) = &self.settings.observer {
            observer(&terminal::line(entry));
        }
    }

    /// Records what was refused before it was a request.
    pub(crate) fn note(&self, kind: IncidentKind, connection: u64, reason: String) {
        self.count(|counters| match kind {
            IncidentKind::Handshake => counters.handshakes_failed += 1,
            IncidentKind::Http => counters.http_refused += 1,
            IncidentKind::Timeout => counters.timeouts += 1,
        });
        let received_at_ms = self.clock.now_ms();
        let incident = Incident { number: 0, kind, reason, received_at_ms, connection };
        let incident = self.journal().add_incident(incident);
        self.show(&Entry::Incident(incident));
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    pub(crate) fn registry(&self) -> RwLockReadGuard<'_, Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn registry_mut(&self) -> RwLockWriteGuard<'_, Registry> {
        self.registry.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tokens(&self) -> MutexGuard<'_, Tokens> {
        lock(&self.tokens)
    }

    pub(crate) fn report_limiter(&self) -> MutexGuard<'_, Limiter> {
        lock(&self.report_limiter)
    }

    pub(crate) fn auth_limiter(&self) -> MutexGuard<'_, Limiter> {
        lock(&self.auth_limiter)
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(&self.journal)
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut lock(&self.counters));
    }

    pub(crate) fn counters(&self) -> Counters {
        let (connection_faults, request_faults) = self.faults().hits();
        let (requests_dropped, reports_dropped) = {
            let journal = self.journal();
            (journal.entries().dropped(), journal.reports().dropped())
        };
        Counters { requests_dropped, reports_dropped, connection_faults, request_faults, ..*lock(&self.counters) }
    }
}

/// A test that panics while it holds a guard must not take the platform down for the others: what the locks protect is
/// whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
