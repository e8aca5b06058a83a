//! What an open outbox shares with its threads, and what they do: deliver, and sync in time. Who starts and ends them is
//! [`super::opened`]; what happens to entries, [`super::worker`].

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use iotda_sys::fork::ForkMark;

use super::clock::Clocks;
use super::engine::NotPut;
use super::worker::{Observer, Step, Worker};

/// What was settled is on the device after this at the latest.
const SETTLED_SYNC_MS: u64 = 1_000;

/// Learns of a fault of the library in a thread, by what it said.
pub(crate) type OnFault = Box<dyn Fn(&str) + Send + Sync>;

/// How threads are run, and who learns of a fault of the library in one.
pub(crate) struct Threads {
    pub(crate) run: fn(&mut dyn FnMut()) -> Result<(), String>,
    pub(crate) fault: Option<OnFault>,
}

/// What an open outbox shares with its threads.
pub(crate) struct Shared {
    pub(crate) worker: Worker,
    pub(crate) clocks: Arc<dyn Clocks>,
    pub(crate) sync_ms: u64,
    /// When something began to wait for a sync: what was put, and what was settled.
    pub(crate) due: Mutex<Due>,
    pub(crate) closing: AtomicBool,
    /// What a thread said that met a fault of the library. What it left behind cannot be trusted.
    pub(crate) broken: OnceLock<String>,
    pub(crate) fault: Option<OnFault>,
    pub(crate) fork: ForkMark,
}

/// When something began to wait for a sync, in milliseconds since the machine's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    put: Option<u64>,
    settled: Option<u64>,
}

thread_local! {
    /// This thread runs the program's observer. (No destructor: threads may end at any time.)
    static OBSERVING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread runs the program's observer.
pub(crate) fn is_observing() -> bool {
    OBSERVING.with(Cell::get)
}

/// Marks the thread, also if what it runs panics.
struct Observing;

impl Observing {
    fn begin() -> Self {
        OBSERVING.with(|observing| observing.set(true));
        Observing
    }
}

impl Drop for Observing {
    fn drop(&mut self) {
        OBSERVING.with(|observing| observing.set(false));
    }
}

/// Marks the thread while it runs the observer.
pub(crate) fn guarded(observer: Observer) -> Observer {
    Box::new(move |id, device, fate, message| {
        let _observing = Observing::begin();
        observer(id, device, fate, message);
    })
}

impl Shared {
    fn due(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no other thread was in the midst of changing anything: for a child made by `fork`, which has no others.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.worker.is_at_rest() && self.due.try_lock().is_ok()
    }

    /// A thread met a fault of the library: calls say so from now on.
    pub(crate) fn broke(&self, fault: String) {
        if let Some(report) = &self.fault {
            report(&fault);
        }
        let _ = self.broken.set(fault);
        self.worker.engine.notify();
    }

    /// Whether threads are to end.
    fn ends(&self) -> bool {
        self.closing.load(Ordering::SeqCst) || self.broken.get().is_some()
    }

    /// Something was put that is not on the device; `true`: nothing waited for a sync before.
    pub(crate) fn was_put(&self, now: u64) -> bool {
        let mut due = self.due();
        let is_first = due.put.is_none();
        due.put.get_or_insert(now);
        is_first
    }

    /// Something was settled that the device does not know of.
    pub(crate) fn settled(&self) {
        let mut due = self.due();
        if due.settled.is_none() {
            due.settled = Some(self.clocks.boot_ms());
            drop(due);
            self.worker.engine.notify();
        }
    }

    /// Delivers one request, if one is due.
    pub(crate) fn step(&self, deadline: Option<Instant>) -> Step {
        let step = self.worker.step(deadline);
        if step == Step::Did && self.worker.engine.lock().book.settled_unsynced {
            self.settled();
        }
        step
    }

    /// When the next sync is due, in milliseconds since the machine's start.
    pub(crate) fn sync_due(&self) -> Option<u64> {
        let due = *self.due();
        let put = due.put.map(|put| put + self.sync_ms);
        let settled = due.settled.map(|settled| settled + SETTLED_SYNC_MS.max(self.sync_ms));
        [put, settled].into_iter().flatten().min()
    }

    /// Syncs what is due.
    pub(crate) fn sync_if_due(&self, now: u64) {
        if self.sync_due().is_some_and(|due| due <= now) {
            // A failure is kept in the statistics, and the next put returns it.
            let _ = self.sync(None);
        }
    }

    /// What was put, and what was settled, is on the device when this returns.
    pub(crate) fn sync(&self, deadline: Option<Instant>) -> Result<(), NotPut> {
        let before = std::mem::take(&mut *self.due());
        let result = self.worker.engine.commit(true, deadline);
        if result.is_err() {
            let now = self.clocks.boot_ms();
            let mut due = self.due();
            // It is tried again after another window.
            due.put = due.put.or(before.put.map(|_| now));
            due.settled = due.settled.or(before.settled.map(|_| now));
        }
        result
    }

    /// What a thread does that delivers.
    pub(crate) fn deliver(&self) {
        while !self.ends() {
            let seen = self.worker.engine.lock().events;
            let until = match self.step(None) {
                Step::Did => continue,
                Step::At(at) => Some(self.instant(at)),
                Step::Nothing => None,
            };
            if !self.ends() {
                self.worker.engine.wait_for_event(seen, until);
            }
        }
    }

    /// What the thread does that syncs.
    pub(crate) fn sync_in_time(&self) {
        while !self.ends() {
            let seen = self.worker.engine.lock().events;
            self.sync_if_due(self.clocks.boot_ms());
            let until = self.sync_due().map(|due| self.instant(due));
            if !self.ends() {
                self.worker.engine.wait_for_event(seen, until);
            }
        }
    }

    /// A time of the machine's clock as one to wait for.
    pub(crate) fn instant(&self, boot_ms: u64) -> Instant {
        Instant::now() + Duration::from_millis(boot_ms.saturating_sub(self.clocks.boot_ms()).max(1))
    }
}
