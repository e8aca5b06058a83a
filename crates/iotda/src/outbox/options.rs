//! What a program gives an outbox and gets of it: options, outcomes, statistics, dead letters.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::report::limits::BODY_LIMIT;

#[allow(unused_imports, reason = "for the documentation")]
use super::facade::Outbox;

/// Requests that may be under way at the same time.
const REQUESTS_MAX: usize = 64;
pub(crate) const MAX_BYTES: u64 = 16 << 20;

/// What to do with a new entry while there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Refuse it ([`ErrorKind::Full`]).
    #[default]
    Refuse,
    /// Drop the oldest entries: those of the same device, or else those of the device that holds most. A device whose
    /// entries are being sent loses none meanwhile: a new one is refused ([`ErrorKind::Full`]) if that device is above
    /// its share, or if there is no other to take from.
    DropOldest,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Settled<'a> {
    /// As the put returned it; the children of a batch have that number and the ones after it, in order.
    pub id: u64,
    /// The device that was reported for; empty if it is not known, as that of a device that is not attached.
    pub device_id: &'a str,
    /// Delivered, or why not: [`ErrorKind::Rejected`] and [`ErrorKind::UnknownChild`] (there is a dead letter, if it
    /// could be kept),
    /// [`ErrorKind::Expired`], [`ErrorKind::Full`] (dropped as oldest), [`ErrorKind::Storage`] (damaged on disk),
    /// [`ErrorKind::Cancelled`] (by [`Outbox::discard`]).
    pub outcome: Result<(), ErrorKind>,
    /// What the platform said to it; often empty.
    pub message: &'a str,
}

/// Called with what became of each entry.
pub type OnSettled = Box<dyn Fn(&Settled<'_>) + Send + Sync>;

/// How an outbox is opened. [`new`](Self::new) sets the defaults.
///
/// ```
/// use iotda::{OutboxOptions, WhenFull};
/// use std::time::Duration;
///
/// let options = OutboxOptions::new("/var/lib/sensor/outbox")
///     .max_age(Duration::from_secs(7 * 24 * 3600))
///     .when_full(WhenFull::DropOldest)
///     .settled(|settled| println!("{}: {:?}", settled.device_id, settled.outcome));
/// # assert_eq!(options.max_bytes, 16 * 1024 * 1024);
/// ```
#[non_exhaustive]
pub struct OutboxOptions {
    /// Where the entries are kept; made, with mode 0700, if it is missing (its parent is not). One outbox uses a
    /// directory at a time, and one platform: the same device ids elsewhere would be sent its entries. Local storage: on
    /// tmpfs nothing survives a restart of the machine, and network file systems are not supported.
    pub directory: PathBuf,
    /// The most bytes that all its files take together; at least 262,144 (256 KiB). Default: 16,777,216 (16 MiB).
    pub max_bytes: u64,
    /// Entries that are older are dropped. `None`, the default: they wait for as long as it takes. An entry whose age
    /// cannot be known, since a clock was not set, is kept.
    pub max_age: Option<Duration>,
    /// A put returns at once, and its entry is on the device after this time at the latest. Zero: when the put
    /// returns. Default: 1 s. What it means for flash: entries that are delivered within it are never written.
    pub sync_within: Duration,
    /// Entries are sent together in requests of up to so many bytes. 1: each by itself. Default: 16,384.
    pub coalesce_bytes: usize,
    /// How long a first entry waits for others to be sent with it. Default: zero.
    pub linger: Duration,
    /// How many requests may be under way at the same time, of different devices; 1 (the default) to 64.
    pub requests_at_once: usize,
    /// What happens to a new entry while there is no room.
    pub when_full: WhenFull,
    /// Threads deliver and sync (the default). False: no thread is started, and [`Outbox::pump`] delivers.
    pub start_worker: bool,
    /// Each write fills whole pages of 4,096 bytes, for storage that damages what lies beside a write when power fails.
    /// Costs up to 4,096 bytes for each sync. Default: false.
    pub pad_commits: bool,
    /// Runs what a thread of the outbox does, to its end; what a panic said, if there was one. The default catches panics,
    /// which the program's panic hook has printed by then. For bindings to other languages.
    #[doc(hidden)]
    pub run_thread: fn(&mut dyn FnMut()) -> Result<(), String>,
    /// Called with what became of each entry, by the thread that delivers, or inside [`Outbox::pump`] and other
    /// functions, with no lock held, and before the outcome is durable: for an entry it may come again after a crash. It
    /// may call `put_…`, `stats`, `wake`, `dead_read` and `dead_forget`; other functions of the outbox fail. It must not
    /// panic. Default: none.
    pub settled: Option<OnSettled>,
}

impl OutboxOptions {
    /// The defaults.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        OutboxOptions {
            directory: directory.into(),
            max_bytes: MAX_BYTES,
            max_age: None,
            sync_within: Duration::from_secs(1),
            coalesce_bytes: 16_384,
            linger: Duration::ZERO,
            requests_at_once: 1,
            when_full: WhenFull::Refuse,
            start_worker: true,
            pad_commits: false,
            run_thread: catching_panics,
            settled: None,
        }
    }

    /// Sets [`max_bytes`](field@Self::max_bytes).
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets [`max_age`](field@Self::max_age).
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Sets [`sync_within`](field@Self::sync_within).
    #[must_use]
    pub fn sync_within(mut self, time: Duration) -> Self {
        self.sync_within = time;
        self
    }

    /// Sets [`coalesce_bytes`](field@Self::coalesce_bytes).
    #[must_use]
    pub fn coalesce_bytes(mut self, bytes: usize) -> Self {
        self.coalesce_bytes = bytes;
        self
    }

    /// Sets [`linger`](field@Self::linger).
    #[must_use]
    pub fn linger(mut self, time: Duration) -> Self {
        self.linger = time;
        self
    }

    /// Sets [`requests_at_once`](field@Self::requests_at_once).
    #[must_use]
    pub fn requests_at_once(mut self, requests: usize) -> Self {
        self.requests_at_once = requests;
        self
    }

    /// Sets [`when_full`](field@Self::when_full).
    #[must_use]
    pub fn when_full(mut self, what: WhenFull) -> Self {
        self.when_full = what;
        self
    }

    /// Sets [`start_worker`](field@Self::start_worker).
    #[must_use]
    pub fn start_worker(mut self, start: bool) -> Self {
        self.start_worker = start;
        self
    }

    /// Sets [`pad_commits`](field@Self::pad_commits).
    #[must_use]
    pub fn pad_commits(mut self, pad: bool) -> Self {
        self.pad_commits = pad;
        self
    }

    /// Sets [`settled`](field@Self::settled).
    #[must_use]
    pub fn settled(mut self, call: impl Fn(&Settled<'_>) + Send + Sync + 'static) -> Self {
        self.settled = Some(Box::new(call));
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        if !(1..=REQUESTS_MAX).contains(&self.requests_at_once) {
            let given = self.requests_at_once;
            return Err(Error::invalid(format!("give 1 to {REQUESTS_MAX}: requests_at_once is {given}")));
        }
        if !(1..BODY_LIMIT).contains(&self.coalesce_bytes) {
            let given = self.coalesce_bytes;
            return Err(Error::invalid(format!("give 1 to {} bytes: coalesce_bytes is {given}", BODY_LIMIT - 1)));
        }
        Ok(())
    }
}

/// What a panic said, without its place.
pub(crate) fn catching_panics(body: &mut dyn FnMut()) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|fault| {
        let text = fault.downcast_ref::<&str>().copied().or_else(|| fault.downcast_ref::<String>().map(String::as_str));
        text.unwrap_or("a panic").to_owned()
    })
}

impl fmt::Debug for OutboxOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxOptions").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// What an outbox holds, and what it has done since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxStats {
    /// Entries that wait to be delivered.
    pub waiting: u64,
    /// Bytes that they take in the files.
    pub waiting_bytes: u64,
    /// Those among them whose device is not attached.
    pub unattached: u64,
    /// When the oldest was put, in Unix seconds as this machine's clock had it; 0: nothing waits.
    pub oldest_s: u64,
    /// Bytes of the files, dead letters not counted.
    pub file_bytes: u64,
    /// Entries that were delivered.
    pub delivered: u64,
    /// Requests that were sent.
    pub requests: u64,
    /// Attempts that were made after a failure: no connection (nothing was sent then), no answer, a fault of the
    /// platform, a rate limit, a refused token. The search for an entry that is refused is none.
    pub retries: u64,
    /// Entries that became dead letters.
    pub dead: u64,
    /// Dead letters that are kept now.
    pub dead_kept: u64,
    /// Dead letters that could not be kept, or were removed, unread, for newer ones.
    pub dead_dropped: u64,
    /// Entries that were dropped as the oldest.
    pub dropped: u64,
    /// Entries that became too old.
    pub expired: u64,
    /// Entries and records that were found damaged.
    pub damaged: u64,
    /// Entries that [`Outbox::discard`] settled.
    pub discarded: u64,
    /// Syncs (fsync) of files and of the directory.
    pub syncs: u64,
    /// Bytes written to files.
    pub bytes_written: u64,
    /// The files cannot be written, so that puts fail.
    pub is_failing: bool,
    /// Since when they cannot, in Unix seconds as this machine's clock had it; 0: they can.
    pub failing_since_s: u64,
    /// Why the last request was not delivered; empty: none failed.
    pub last_error: String,
}

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Properties of the device itself.
    Properties,
    /// A message.
    Message,
    /// Properties of one child of a gateway.
    Child,
}

/// A dead letter: an entry that the platform refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Its own number: the cursor for the next [`Outbox::dead_read`].
    pub number: u64,
    /// The entry's id.
    pub id: u64,
    /// What it is.
    pub kind: EntryKind,
    /// The device that was reported for.
    pub device_id: String,
    /// The gateway that reported for it; empty for a device itself.
    pub gateway_id: String,
    /// When it was put, in Unix milliseconds as this machine's clock had it.
    pub time_ms: i64,
    /// [`ErrorKind::Rejected`] or [`ErrorKind::UnknownChild`].
    pub reason: ErrorKind,
    /// Such as `IOTDA.000006`.
    pub platform_code: String,
    /// The request body, as `put_properties_json`, `put_message` and `put_batch_json` take it.
    pub body: Vec<u8>,
}
