//! A stream through an outbox: each line is put there and kept on disk until the platform has accepted it.
//!
//! Three threads: this one puts lines, one delivers, and the keeper syncs, notes how far the input is, and moves dead
//! letters. The outbox starts none itself, so that a signal can end the delivery between two requests.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use iotda::{CallOptions, CancelToken, Client, Error, ErrorKind, Outbox, OutboxOptions, OutboxStats, Settled};

use super::columns::Report;
use super::counts::Counts;
use super::lines::Record;
use super::position::{Position, Positions};
use super::refused::Refusal;
use super::{Ended, Event, Run};
use crate::arguments::Stream;
use crate::exit::{Exit, Failure};

/// How often the position in a file is noted: so many lines are put again after a kill.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// The same where the input cannot be read again: so much of it is lost by a kill.
const SYNC_EVERY: Duration = Duration::from_millis(100);

/// Between two looks whether a signal has come.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A delivery goes on for so long before it looks around; requests have a limit of their own.
const ROUND: Duration = Duration::from_secs(3600);

/// What the threads share.
struct Shared {
    outbox: Outbox,
    notice: Arc<Notice>,
    /// Ends the delivery between two requests.
    halt: CancelToken,
}

/// What they say to each other, and who waits for what.
struct Notice {
    state: Mutex<State>,
    /// For the thread that delivers: something was put, or it is to end.
    put: Condvar,
    /// For the one that puts: something was settled.
    settled: Condvar,
    /// For the keeper: it is to end.
    ends: Condvar,
}

struct State {
    /// Counts what gives the delivery a reason to look again.
    changes: u64,
    /// Up to where the input was put, and whether that is noted.
    position: Option<Position>,
    is_noted: bool,
    /// The input is over.
    ended: bool,
    /// The delivery has ended.
    delivered: bool,
    keeper_ends: bool,
    /// When something was settled last.
    settled_at: Instant,
    /// Why the stream ends: storage fails, or, with `--on-error stop`, the first report that was refused.
    failure: Option<Failure>,
}

impl State {
    fn new() -> Self {
        State {
            changes: 0,
            position: None,
            is_noted: true,
            ended: false,
            delivered: false,
            keeper_ends: false,
            settled_at: Instant::now(),
            failure: None,
        }
    }
}

impl Notice {
    fn new() -> Self {
        let (put, settled, ends) = (Condvar::new(), Condvar::new(), Condvar::new());
        Notice { state: Mutex::new(State::new()), put, settled, ends }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was put, or is to be looked at.
    fn change(&self, how: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        how(&mut state);
        state.changes += 1;
        drop(state);
        self.put.notify_one();
    }

    /// What all wait for.
    fn end(&self, how: impl FnOnce(&mut State)) {
        self.change(how);
        self.settled.notify_one();
        self.ends.notify_one();
    }
}

fn wait<'a>(condvar: &Condvar, state: MutexGuard<'a, State>, longest: Duration) -> MutexGuard<'a, State> {
    condvar.wait_timeout(state, longest).unwrap_or_else(PoisonError::into_inner).0
}

impl Shared {
    /// Notes what waits, and how often it was tried again, for whoever looks on.
    fn note_counts(&self, counts: &Counts) -> OutboxStats {
        // A broken outbox has no statistics, and nothing of it can be delivered. Its puts return the error.
        let Ok(stats) = self.outbox.stats() else { return OutboxStats::default() };
        counts.waiting.set(stats.waiting);
        counts.oldest_s.set(stats.oldest_s);
        counts.retries.set(stats.retries);
        stats
    }
}

/// What the outbox says of entries, on the thread that delivers.
struct Settling {
    counts: Arc<Counts>,
    /// `--on-error stop`: the first refusal ends the stream.
    stops: bool,
    events: SyncSender<Event>,
    notice: Arc<Notice>,
}

impl Settling {
    fn settled(&self, settled: &Settled<'_>) {
        let mut state = self.notice.lock();
        state.settled_at = Instant::now();
        match settled.outcome {
            Ok(()) => self.counts.accepted.add(1),
            Err(kind) => {
                self.counts.refused.add(1);
                if self.stops && state.failure.is_none() {
                    let message = format!("a report of \"{}\" was refused: {}", settled.device_id, settled.message);
                    state.failure = Some(Failure::new(Exit::from(kind), message));
                    let _ = self.events.try_send(Event::Stop);
                }
            }
        }
        drop(state);
        self.notice.settled.notify_one();
    }
}

/// Puts what arrives, until it ends, and delivers.
pub fn run(
    run: &mut Run,
    arriving: &Receiver<Event>,
    stream: &Stream,
    directory: &Path,
    positions: Positions,
) -> Ended {
    let notice = Arc::new(Notice::new());
    let settling = Settling {
        counts: Arc::clone(&run.counts),
        stops: run.refused.stops(),
        events: run.events.clone(),
        notice: Arc::clone(&notice),
    };
    let mut options = OutboxOptions::new(directory);
    options.start_worker = false;
    options.max_bytes = stream.outbox_size.saturating_mul(1 << 20);
    options.settled = Some(Box::new(move |settled| settling.settled(settled)));
    let outbox = match run.connected.client.open_outbox(options) {
        Ok(outbox) => outbox,
        Err(error) => return Ended::Failed(error.into()),
    };
    let shared = Arc::new(Shared { outbox, notice, halt: CancelToken::new() });
    let keeper = Keeper { shared: Arc::clone(&shared), counts: Arc::clone(&run.counts), positions: positions.clone() };
    let threads = [deliver(&shared, &run.counts), keeper.start()];
    if threads.iter().any(Option::is_none) {
        shared.halt.cancel();
        shared.notice.end(|state| state.keeper_ends = true);
        join(threads);
        return Ended::Failed(Failure::new(Exit::Internal, "no thread can be started"));
    }
    let [delivering, keeping] = threads;

    let mut ended = put_all(run, arriving, &shared);
    if matches!(ended, Ended::Whole) {
        shared.notice.change(|state| state.ended = true);
        ended = wait_for_delivery(run, &shared, directory);
    }
    // What is in flight is finished.
    shared.halt.cancel();
    shared.notice.end(|_| {});
    join([delivering]);
    shared.notice.end(|state| state.keeper_ends = true);
    join([keeping]);
    if let Some(failure) = shared.notice.lock().failure.take() {
        ended = Ended::Failed(failure);
    }
    shared.note_counts(&run.counts);
    if let Err(failure) = move_letters(run, &shared.outbox) {
        ended = Ended::Failed(failure);
    }
    let position = shared.notice.lock().position.take();
    if let (Ended::Whole, Some(position)) = (&ended, position) {
        if let Err(error) = positions.forget(&position.path) {
            ended = Ended::Failed(unkept(&error));
        }
    }
    match Arc::into_inner(shared).map(|shared| shared.outbox.close()) {
        Some(Err(error)) => Ended::Failed(error.into()),
        _ => ended,
    }
}

fn join<const N: usize>(threads: [Option<JoinHandle<()>>; N]) {
    for thread in threads.into_iter().flatten() {
        // A panic of it has been printed, and the outbox is as it is after a crash.
        let _ = thread.join();
    }
}

fn put_all(run: &mut Run, arriving: &Receiver<Event>, shared: &Shared) -> Ended {
    for event in arriving {
        if let Some(failure) = shared.notice.lock().failure.take() {
            return Ended::Failed(failure);
        }
        let record = match event {
            Event::Record(record) if !run.stop.load(Ordering::SeqCst) => record,
            Event::Record(_) | Event::Stop => return Ended::Interrupted,
            Event::End(result) => return result.map_or_else(Ended::Failed, |()| Ended::Whole),
        };
        run.counts.lines.add(1);
        run.connected.share_token();
        match put(run, shared, &record) {
            Err(failure) => return Ended::Failed(failure),
            Ok(false) => return Ended::Interrupted,
            Ok(true) => {}
        }
        let (offset, lines) = record.end;
        shared.notice.change(|state| {
            let same = state.position.as_mut().filter(|position| {
                (position.device, position.inode) == (record.section.device, record.section.inode)
                    && position.offset >= super::source::HEAD_BYTES
            });
            match same {
                // The hash of the beginning does not change any more.
                Some(position) => (position.offset, position.lines) = (offset, lines),
                None => state.position = Position::of(&record.section, offset, lines),
            }
            state.is_noted = false;
        });
    }
    Ended::Whole
}

/// Puts one line; `false`: a signal came before there was room for it.
fn put(run: &mut Run, shared: &Shared, record: &Record) -> Result<bool, Failure> {
    let report = match &record.report {
        Ok(report) => report,
        Err(why) => return refuse(run, record, ErrorKind::InvalidArgument, why),
    };
    loop {
        let error = match put_once(&shared.outbox, &run.connected.client, report) {
            Ok(()) => return Ok(true),
            Err(error) => error,
        };
        match error.kind() {
            // Something must be delivered first.
            ErrorKind::Full | ErrorKind::Timeout => {
                let mut state = shared.notice.lock();
                if let Some(failure) = state.failure.take() {
                    return Err(failure);
                }
                // A signal is looked for as well.
                drop(wait(&shared.notice.settled, state, LOOK_AGAIN));
                if run.stop.load(Ordering::SeqCst) {
                    return Ok(false);
                }
            }
            _ if !error.is_transient() => return refuse(run, record, error.kind(), error.message()),
            kind => {
                let message = format!("line {} of {} was not kept: {error}", record.line, record.section.shown);
                return Err(Failure::new(Exit::from(kind), message));
            }
        }
    }
}

fn put_once(outbox: &Outbox, client: &Client, report: &Report) -> Result<(), Error> {
    let options = CallOptions::new();
    match report {
        Report::Properties(body) => outbox.put_properties_json(client, body, options).map(drop),
        Report::Children(body) => outbox.put_batch_json(client, body, options).map(drop),
    }
}

fn refuse(run: &mut Run, record: &Record, kind: ErrorKind, why: &str) -> Result<bool, Failure> {
    run.counts.refused.add(1);
    run.refused.line(record, &Refusal { kind, code: None, message: why })?;
    Ok(true)
}

/// Waits until everything is delivered, or nothing has been for as long as one report may take.
fn wait_for_delivery(run: &Run, shared: &Shared, directory: &Path) -> Ended {
    let mut state = shared.notice.lock();
    state.settled_at = Instant::now();
    loop {
        if run.stop.load(Ordering::SeqCst) {
            return Ended::Interrupted;
        }
        if let Some(failure) = state.failure.take() {
            return Ended::Failed(failure);
        }
        if state.delivered {
            return Ended::Whole;
        }
        let idle = state.settled_at.elapsed();
        if idle >= run.patience {
            drop(state);
            let stats = shared.outbox.stats().unwrap_or_default();
            let why = if stats.last_error.is_empty() { "no answer" } else { &stats.last_error };
            let message = format!("{} wait in {}, for the next run: {why}", stats.waiting, directory.display());
            return Ended::Failed(Failure::new(Exit::Partial, message));
        }
        state = wait(&shared.notice.settled, state, (run.patience - idle).min(LOOK_AGAIN));
    }
}

/// The thread that delivers.
fn deliver(shared: &Arc<Shared>, counts: &Arc<Counts>) -> Option<JoinHandle<()>> {
    let (shared, counts) = (Arc::clone(shared), Arc::clone(counts));
    let delivering = move || {
        loop {
            let changes = shared.notice.lock().changes;
            let options = CallOptions::new().timeout(ROUND).cancel(&shared.halt);
            let due = match shared.outbox.pump(options) {
                Ok(due) => due,
                Err(error) if error.kind() == ErrorKind::Cancelled => break,
                Err(error) => {
                    shared.notice.change(|state| state.failure = Some(error.into()));
                    break;
                }
            };
            let stats = shared.note_counts(&counts);
            // Entries of devices that are not attached cannot be delivered.
            let is_delivered = stats.waiting <= stats.unattached;
            let mut state = shared.notice.lock();
            if state.ended && is_delivered && state.changes == changes {
                break;
            }
            let until = due.map(|due| Instant::now() + due);
            while state.changes == changes && !shared.halt.is_cancelled() {
                let left = until.map_or(ROUND, |until| until.saturating_duration_since(Instant::now()));
                if left.is_zero() {
                    break;
                }
                state = wait(&shared.notice.put, state, left);
            }
        }
        shared.notice.end(|state| state.delivered = true);
    };
    thread::Builder::new().name("delivery".to_owned()).spawn(delivering).ok()
}

/// The thread that makes what was put durable, and then notes how far that is; it also counts what waits.
struct Keeper {
    shared: Arc<Shared>,
    counts: Arc<Counts>,
    positions: Positions,
}

impl Keeper {
    fn start(self) -> Option<JoinHandle<()>> {
        thread::Builder::new().name("keeper".to_owned()).spawn(move || self.keep()).ok()
    }

    fn keep(&self) {
        let mut last = Instant::now();
        loop {
            let mut state = self.shared.notice.lock();
            while !state.keeper_ends {
                let every = if state.position.is_some() { NOTE_EVERY } else { SYNC_EVERY };
                let left = every.saturating_sub(last.elapsed());
                if left.is_zero() {
                    break;
                }
                state = wait(&self.shared.notice.ends, state, left);
            }
            let (position, is_noted, ends) = (state.position.clone(), state.is_noted, state.keeper_ends);
            drop(state);
            // A delivery that is always busy does not look.
            self.shared.note_counts(&self.counts);
            if !is_noted || ends {
                if let Err(failure) = self.note(position.as_ref()) {
                    self.shared.notice.change(|state| state.failure = Some(failure));
                    return;
                }
                let mut state = self.shared.notice.lock();
                state.is_noted |= state.position == position;
            }
            if ends {
                return;
            }
            last = Instant::now();
        }
    }

    /// The order matters: the position never claims what is not on disk.
    fn note(&self, position: Option<&Position>) -> Result<(), Failure> {
        self.shared.outbox.sync(CallOptions::new())?;
        position.map_or(Ok(()), |position| self.positions.write(position).map_err(|error| unkept(&error)))
    }
}

fn unkept(error: &std::io::Error) -> Failure {
    Failure::storage(format!("make room in the outbox's directory: the position cannot be written: {error}"))
}

/// Moves the outbox's dead letters to --dead-file.
fn move_letters(run: &mut Run, outbox: &Outbox) -> Result<(), Failure> {
    if !run.refused.keeps() {
        return Ok(());
    }
    let mut last = 0;
    while let Some(letter) = outbox.dead_read(last)? {
        last = letter.number;
        run.refused.letter(&letter)?;
    }
    if last > 0 {
        outbox.dead_forget(last)?;
    }
    Ok(())
}
