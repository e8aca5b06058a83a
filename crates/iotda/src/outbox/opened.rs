//! An outbox that is open: it starts threads where they are asked for, puts, pumps, flushes and closes. What a program
//! sees is [`super::facade`]; what the threads do, [`super::running`]; what happens to entries, [`super::worker`].

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use iotda_http::CancelToken;
use iotda_sys::fork::ForkMark;
use iotda_sys::signal;

use super::book::Entry;
use super::clock::Clocks;
use super::dead::{Dead, Kept};
use super::engine::{Engine, Failure, Keeping, NotPut};
use super::options::OutboxStats;
use super::platform::Deliver;
use super::repair::Unusable;
use super::running::{Shared, Threads, guarded, is_observing};
use super::space::{MAX_BYTES_LEAST, Sizes};
use super::storage::Storage;
use super::worker::{Manner, Observer, Step, Worker};

/// The stack of a thread that delivers: a request, TLS included.
const DELIVERY_STACK: usize = 256 * 1024;
/// The stack of the thread that does nothing but sync.
const SYNC_STACK: usize = 64 * 1024;
/// How long a cancelled call may go on waiting.
const CANCEL_LATENCY: Duration = Duration::from_millis(50);

/// How an outbox is opened.
pub(crate) struct Options {
    /// All files together; at least 256 KiB.
    pub(crate) max_bytes: u64,
    /// 0: on the device when a put returns.
    pub(crate) sync_ms: u64,
    pub(crate) pad_commits: bool,
    /// Threads that deliver; 0: [`Outbox::pump`](crate::Outbox::pump) does.
    pub(crate) workers: usize,
    pub(crate) manner: Manner,
    pub(crate) observer: Option<Observer>,
    pub(crate) threads: Threads,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    InvalidArgument(&'static str),
    /// A put may take so many bytes at most.
    TooLarge(u64),
    Full,
    Storage(Failure),
    Timeout,
    Cancelled,
    Forked,
    /// A thread met a fault of the library: what it said.
    Broken(String),
    /// The files were written by a newer version.
    Newer,
}

/// An outbox that is open.
pub(crate) struct Opened {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Gives this process's share of the lock back, in a child made by `fork`.
    abandon: Option<Box<dyn Fn() + Send + Sync>>,
}

impl From<NotPut> for Refused {
    fn from(not_put: NotPut) -> Self {
        match not_put {
            NotPut::TooLarge(most) => Refused::TooLarge(most),
            NotPut::Full => Refused::Full,
            NotPut::Storage(failure) => Refused::Storage(failure),
            NotPut::Timeout => Refused::Timeout,
        }
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Refused::Storage(Failure::from(&error))
    }
}

impl From<Unusable> for Refused {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::Newer => Refused::Newer,
            Unusable::Io(error) => error.into(),
        }
    }
}

impl Opened {
    /// Opens what the directory holds. Damage is counted and no error. `abandon`: see [`super::directory::Directory`].
    pub(crate) fn open(
        storage: Arc<dyn Storage>,
        abandon: Option<Box<dyn Fn() + Send + Sync>>,
        options: Options,
        clocks: Arc<dyn Clocks>,
        boot: Option<[u8; 16]>,
        random: fn() -> f64,
    ) -> Result<Self, Refused> {
        if options.max_bytes < MAX_BYTES_LEAST {
            return Err(Refused::InvalidArgument("max_bytes is below 262144 (256 KiB)"));
        }
        let sizes = Sizes::of(options.max_bytes);
        let keeping = Keeping { sizes, sync_at_put: options.sync_ms == 0, pad: options.pad_commits };
        let engine = Engine::open(Arc::clone(&storage), keeping, boot, Arc::clone(&clocks))?;
        let dead = Dead::open(storage, sizes.dead)?;
        let observer = options.observer.map(guarded);
        let worker = Worker::new(engine, dead, Arc::clone(&clocks), options.manner, observer, random);
        let shared = Arc::new(Shared {
            worker,
            clocks,
            sync_ms: options.sync_ms,
            due: Mutex::default(),
            closing: AtomicBool::new(false),
            broken: OnceLock::new(),
            fault: options.threads.fault,
            fork: ForkMark::new(),
        });
        let mut outbox = Opened { shared, threads: Vec::new(), abandon };
        outbox.start(options.workers, options.threads.run)?;
        Ok(outbox)
    }

    fn start(&mut self, workers: usize, guard: fn(&mut dyn FnMut()) -> Result<(), String>) -> io::Result<()> {
        let mut spawn = |name: &str, stack: usize, run: fn(&Shared)| {
            let shared = Arc::clone(&self.shared);
            let builder = thread::Builder::new().name(name.to_owned()).stack_size(stack);
            let run = move || {
                if let Err(fault) = guard(&mut || run(&shared)) {
                    shared.broke(fault);
                }
            };
            signal::blocked(|| builder.spawn(run)).map(|thread| self.threads.push(thread))
        };
        for _ in 0..workers {
            spawn("iotda-outbox", DELIVERY_STACK, Shared::deliver)?;
        }
        if workers > 0 {
            spawn("iotda-sync", SYNC_STACK, Shared::sync_in_time)?;
        }
        Ok(())
    }

    /// What waits for this device is delivered through `device` from now on; the same device again replaces it.
    pub(crate) fn attach(&self, sender: u64, device: Arc<dyn Deliver>) -> Result<(), Refused> {
        self.check(true)?;
        self.shared.worker.attach(sender, device);
        Ok(())
    }

    /// Puts entries of one sender, all or none; returns the first one's id, the others follow. `wall_ms`: now, in Unix
    /// milliseconds as this machine's clock has it. After [`check`](Self::check), which whoever calls this makes before
    /// it takes a lock of its own.
    pub(crate) fn put(&self, entries: &[Entry<'_>], wall_ms: i64, deadline: Option<Instant>) -> Result<u64, Refused> {
        // Each clock is read once for a put. If it waits, its sync is begun so much sooner.
        let now = self.shared.clocks.boot_ms();
        let first = self.shared.worker.put(entries, (wall_ms, now), deadline)?;
        if self.shared.sync_ms > 0 {
            let is_first = self.shared.was_put(now);
            if self.threads.is_empty() {
                self.shared.sync_if_due(now);
            } else if is_first {
                // The thread that syncs learns when.
                self.shared.worker.engine.notify();
            }
        }
        Ok(first)
    }

    /// What was put, and what was settled, is on the device when this returns.
    pub(crate) fn sync(&self, deadline: Option<Instant>) -> Result<(), Refused> {
        self.check(false)?;
        Ok(self.shared.sync(deadline)?)
    }

    /// Delivers until the deadline, or until nothing is due. Returns in how many milliseconds there is something to
    /// do again, a sync included; `None`: nothing waits that could be sent.
    pub(crate) fn pump(&self, deadline: Option<Instant>, cancel: Option<&CancelToken>) -> Result<Option<u64>, Refused> {
        self.check(false)?;
        loop {
            let now = self.shared.clocks.boot_ms();
            self.shared.sync_if_due(now);
            if cancel.is_some_and(CancelToken::is_cancelled) {
                return Err(Refused::Cancelled);
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(Some(0));
            }
            let next = match self.shared.step(deadline) {
                Step::Did => continue,
                Step::At(at) => Some(at),
                Step::Nothing => None,
            };
            let due = [next, self.shared.sync_due()].into_iter().flatten().min();
            return Ok(due.map(|due| due.saturating_sub(now).max(1)));
        }
    }

    /// Waits until all that was put before is settled. Without threads it delivers itself.
    pub(crate) fn flush(&self, deadline: Option<Instant>, cancel: Option<&CancelToken>) -> Result<(), Refused> {
        self.check(false)?;
        let target = self.shared.worker.engine.lock().book.next_number();
        loop {
            self.check(false)?;
            let seen = {
                let state = self.shared.worker.engine.lock();
                if state.book.lanes.first_waiting().is_none_or(|first| first >= target)
                    && state.book.unsynced_is_visible()
                {
                    return Ok(());
                }
                state.events
            };
            if cancel.is_some_and(CancelToken::is_cancelled) {
                return Err(Refused::Cancelled);
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(Refused::Timeout);
            }
            let due = match self.threads.is_empty().then(|| self.shared.step(deadline)) {
                Some(Step::Did) => continue,
                Some(Step::At(at)) => Some(self.shared.instant(at)),
                // Nobody else would deliver it.
                Some(Step::Nothing) => return Err(Refused::Timeout),
                None => None,
            };
            // Nothing wakes this thread when the call is cancelled.
            let look = cancel.map(|_| Instant::now() + CANCEL_LATENCY);
            self.shared.worker.engine.wait_for_event(seen, [due, deadline, look].into_iter().flatten().min());
        }
    }

    /// The network is back.
    pub(crate) fn wake(&self) {
        if self.check(true).is_ok() {
            self.shared.worker.wake();
        }
    }

    /// Settles what waits for a device without delivering it; returns how many entries that were.
    pub(crate) fn discard(&self, device: u64) -> Result<u64, Refused> {
        self.check(false)?;
        let count = self.shared.worker.discard(device);
        self.shared.settled();
        Ok(self.shared.sync(None).map(|()| count)?)
    }

    /// The first dead letter after `cursor`.
    pub(crate) fn dead_read(&self, cursor: u64) -> Result<Option<Kept>, Refused> {
        self.check(true)?;
        Ok(self.shared.worker.dead().read(cursor)?)
    }

    /// Dead letters up to this number are not needed any more.
    pub(crate) fn dead_forget(&self, up_to: u64) -> Result<(), Refused> {
        self.check(true)?;
        Ok(self.shared.worker.dead().forget(up_to)?)
    }

    /// What it shares with its threads.
    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn stats(&self) -> Result<OutboxStats, Refused> {
        self.check(true)?;
        let (dead_kept, dead_lost) = {
            let dead = self.shared.worker.dead();
            (dead.count(), dead.dropped)
        };
        let counters = self.shared.worker.counters();
        let state = self.shared.worker.engine.lock();
        let oldest = state.book.lanes.iter().filter_map(|(_, lane)| lane.queue.first());
        let failing_since_ms = state.failing_since_ms();
        Ok(OutboxStats {
            waiting: state.book.waiting_entries,
            waiting_bytes: state.book.waiting,
            unattached: self.shared.worker.unattached(&state),
            oldest_s: oldest.min_by_key(|slot| slot.number).map_or(0, |slot| slot.wall_s.into()),
            file_bytes: state.book.space.used(),
            delivered: counters.delivered,
            requests: counters.requests,
            retries: counters.retries,
            dead: counters.dead,
            dead_kept,
            dead_dropped: counters.dead_not_kept + dead_lost,
            dropped: counters.dropped,
            expired: counters.expired,
            damaged: state.counts.damaged + counters.damaged,
            discarded: counters.discarded,
            syncs: state.counts.syncs,
            bytes_written: state.counts.bytes_written,
            is_failing: failing_since_ms.is_some(),
            failing_since_s: failing_since_ms.map_or(0, |since| u64::try_from(since / 1000).unwrap_or(0)),
            last_error: counters.last_error,
        })
    }

    /// Ends the threads, and syncs; delivers nothing. In a child made by `fork` it closes descriptors alone.
    pub(crate) fn end(&mut self) -> Result<(), Refused> {
        if self.shared.fork.is_forked() {
            if let Some(abandon) = &self.abandon {
                abandon();
            }
            // The parent's threads do not exist here.
            self.threads.drain(..).for_each(std::mem::forget);
            if !self.shared.is_at_rest() {
                // One of them was at work on it: nobody can say in what state it is.
                std::mem::forget(Arc::clone(&self.shared));
            }
            return Ok(());
        }
        if self.shared.closing.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.shared.worker.interrupt();
        self.shared.worker.engine.notify();
        // Dropped by the observer: this may be one of the threads, and none waits for itself. They end by themselves.
        let waits = !is_observing();
        for thread in self.threads.drain(..).filter(|_| waits) {
            let _ = thread.join();
        }
        // A thread that met a fault may have had the files: nobody gives them back.
        Ok(self.shared.sync(self.shared.broken.get().map(|_| Instant::now()))?)
    }

    /// Fails in a child made by `fork`, before any lock is taken, and for calls that the observer may not make.
    pub(crate) fn check(&self, from_observer: bool) -> Result<(), Refused> {
        if self.shared.fork.is_forked() {
            return Err(Refused::Forked);
        }
        if let Some(fault) = self.shared.broken.get() {
            return Err(Refused::Broken(fault.clone()));
        }
        if !from_observer && is_observing() {
            return Err(Refused::InvalidArgument("this function may not be called by the outbox's callback"));
        }
        Ok(())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
