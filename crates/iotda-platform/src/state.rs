//! All that one running platform keeps: who is registered, what has been issued and counted, what was received, what
//! time it is. It is the shared ground of the two servers and of the library's calls; the rules are in `pipeline`.

use crate::clock::Clock;
use crate::counters::Counters;
use crate::fault::Faults;
use crate::journal::Journal;
use crate::limiter::Limiter;
use crate::registry::Registry;
use crate::tokens::Tokens;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Each part has a lock of its own, held for one step and never during I/O on a connection. Whoever takes several takes
/// them in the order in which they stand here.
pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) token_lifetime_s: u32,
    /// In characters.
    pub(crate) token_length: usize,
    faults: Mutex<Faults>,
    registry: RwLock<Registry>,
    tokens: Mutex<Tokens>,
    report_limiter: Mutex<Limiter>,
    auth_limiter: Mutex<Limiter>,
    journal: Mutex<Journal>,
    counters: Mutex<Counters>,
}

impl State {
    pub(crate) fn new(
        clock: Clock,
        registry: Registry,
        journal: Journal,
        token_lifetime_s: u32,
        token_length: usize,
    ) -> Self {
        Self {
            clock,
            token_lifetime_s,
            token_length,
            faults: Mutex::default(),
            registry: RwLock::new(registry),
            tokens: Mutex::default(),
            report_limiter: Mutex::default(),
            auth_limiter: Mutex::default(),
            journal: Mutex::new(journal),
            counters: Mutex::default(),
        }
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
        let reports_dropped = self.journal().reports_dropped();
        Counters { reports_dropped, connection_faults, request_faults, ..*lock(&self.counters) }
    }
}

/// A test that panics while it holds a guard must not take the platform down for the others: what the locks protect is
/// whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
