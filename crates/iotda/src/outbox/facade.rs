//! What a program sees of an outbox: options, puts with their checks, errors with their advice, statistics.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iotda_http::{CancelToken, Clock};

use super::attached::{Attached, child_payload, hash, properties_payload};
use super::book::Entry;
use super::coalesce::Builder;
use super::directory::{Directory, Unfit};
use super::engine::Failure;
use super::frame::{LaneKey, frame_bytes, kind};
use super::opened::{Opened, Options, Refused};
use super::space::UNSYNCED_MAX;
use super::storage::Storage;
use super::worker::{Clocks, Fate, Manner, Observer};
use crate::client::{Client, check_size};
use crate::delivery::batch::written_id;
use crate::delivery::call::{Call, CallOptions};
use crate::delivery::deliver::Target;
use crate::delivery::retry;
use crate::delivery::session::{Device, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::monitor::Level;
use crate::report::calendar::LAST_MS;
use crate::report::encode::{self, Child, Service};
use crate::report::limits::BODY_LIMIT;
use crate::report::validate;

/// The most children of a batch that is put at once: as many numbers are reserved ahead.
const CHILDREN_MAX: usize = 10_000;
/// Requests that may be under way at the same time.
const REQUESTS_MAX: usize = 64;
const MAX_BYTES: u64 = 16 << 20;

/// What to do with a new entry while there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Refuse it ([`ErrorKind::Full`]).
    #[default]
    Refuse,
    /// Drop the oldest entries: those of the same device, or else those of the device that holds most.
    DropOldest,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug)]
pub struct Settled<'a> {
    /// As the put returned it; the children of a batch have that number and the ones after it, in order.
    pub id: u64,
    /// The device that was reported for; empty if it is not known, as that of a device that is not attached.
    pub device_id: &'a str,
    /// Delivered, or why not: [`ErrorKind::Rejected`] and [`ErrorKind::UnknownChild`] (there is a dead letter),
    /// [`ErrorKind::Expired`], [`ErrorKind::Full`] (dropped as oldest), [`ErrorKind::Storage`] (damaged on disk),
    /// [`ErrorKind::Cancelled`] (by [`Outbox::discard`]).
    pub outcome: Result<(), ErrorKind>,
    /// What the platform said to it; often empty.
    pub message: &'a str,
}

/// Called with what became of each entry.
pub type OnSettled = Box<dyn Fn(&Settled<'_>) + Send + Sync>;

/// How an outbox is opened. [`new`](Self::new) sets the defaults.
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
    /// How long a first entry waits for company. Default: zero.
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
            settled: None,
        }
    }

    fn check(&self) -> Result<()> {
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
    /// Entries that became dead letters.
    pub dead: u64,
    /// Dead letters that are kept now.
    pub dead_kept: u64,
    /// Dead letters that could not be kept.
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

/// Reports that outlive outages: what is put here is kept on disk until the platform has taken it. See the module
/// [`outbox`](crate::outbox) for what is guaranteed. Made by [`Client::open_outbox`](crate::Client::open_outbox).
///
/// All functions can be called from many threads at once. In a child process made by `fork` every one fails with
/// [`ErrorKind::Forked`]; dropping it there gives the directory back and touches nothing else.
///
/// Dropping it closes it, as [`close`](Self::close) does.
pub struct Outbox {
    opened: Opened,
    /// Where the log is, and the clock.
    session: Arc<Session>,
    devices: Mutex<Devices>,
    most: u64,
    sync_at_put: bool,
}

/// The devices that are attached.
#[derive(Default)]
struct Devices {
    /// By id's hash. Kept, so that no address below is used again.
    kept: HashMap<u64, Arc<Device>>,
    /// By the address of the device: a put needs no hash.
    hashes: HashMap<usize, u64>,
}

struct SystemClocks(Arc<dyn Clock>);

impl Clocks for SystemClocks {
    fn wall_ms(&self) -> i64 {
        self.0.unix_ms().clamp(0, LAST_MS)
    }

    fn boot_ms(&self) -> u64 {
        milliseconds(iotda_sys::boot::time())
    }
}

impl Outbox {
    /// Opens the directory, and attaches the device. Reads each byte of it at most three times.
    pub(crate) fn open(session: &Arc<Session>, device: &Arc<Device>, options: OutboxOptions) -> Result<Self> {
        session.check_process()?;
        options.check()?;
        let path = options.directory.as_path();
        let directory = Arc::new(Directory::open(path).map_err(|unfit| unfit_error(unfit, path))?);
        if directory.is_volatile {
            session.monitor.log(Level::Warning, || {
                format!("use another file system: nothing in the outbox's {} survives a restart", shown(path))
            });
        }
        if directory.is_open_to_others {
            session.monitor.log(Level::Warning, || {
                format!("mount it with a umask: other users can read the outbox's {}, which has no modes", shown(path))
            });
        }
        let max_bytes = if options.max_bytes == 0 { MAX_BYTES } else { options.max_bytes };
        let sync_ms = milliseconds(options.sync_within);
        let manner = Manner {
            coalesce_bytes: options.coalesce_bytes,
            linger_ms: milliseconds(options.linger),
            max_age_ms: options.max_age.map(milliseconds),
            drop_oldest: options.when_full == WhenFull::DropOldest,
            tells_deliveries: options.settled.is_some(),
        };
        let inner = Options {
            max_bytes,
            sync_ms,
            pad_commits: options.pad_commits,
            workers: if options.start_worker { options.requests_at_once } else { 0 },
            manner,
            observer: Some(observer(Arc::clone(session), options.settled)),
        };
        let storage: Arc<dyn Storage> = directory.clone();
        let abandon = Box::new(move || directory.abandon());
        let clocks = Arc::new(SystemClocks(Arc::clone(&session.clock)));
        let boot = iotda_sys::boot::id();
        let opened = Opened::open(storage, Some(abandon), inner, clocks, boot, retry::random_fraction);
        let outbox = Outbox {
            opened: opened.map_err(|refused| error(refused, max_bytes / 4))?,
            session: Arc::clone(session),
            devices: Mutex::default(),
            most: max_bytes / 4,
            sync_at_put: sync_ms == 0,
        };
        outbox.attached(session, device)?;
        Ok(outbox)
    }

    /// Delivers what waits for this client's device through it, from now on, and tries at once what waits for a pause
    /// of that device. The outbox keeps the device, with its secret, until it is closed; another client for the same
    /// id replaces it.
    ///
    /// A put attaches its device as well. After a restart, entries of devices that are not attached wait.
    ///
    /// Never blocks on the network or on disk.
    pub fn attach(&self, device: &Client) -> Result<()> {
        self.check(false)?;
        let (session, device) = device.parts();
        self.devices().hashes.remove(&address(device));
        self.attached(session, device).map(drop)
    }

    /// The hash of a device, which is attached if it was not.
    fn attached(&self, session: &Arc<Session>, device: &Arc<Device>) -> Result<u64> {
        let mut devices = self.devices();
        if let Some(hash) = devices.hashes.get(&address(device)) {
            return Ok(*hash);
        }
        session.check_process()?;
        let hash = hash(device.id());
        if let Some(before) = devices.kept.insert(hash, Arc::clone(device)) {
            if !Arc::ptr_eq(&before, device) {
                devices.hashes.remove(&address(&before));
            }
        }
        devices.hashes.insert(address(device), hash);
        drop(devices);
        let deliver = Attached::new(Arc::clone(session), Arc::clone(device), CancelToken::new());
        self.opened.attach(hash, Arc::new(deliver)).map_err(|refused| self.error(refused))?;
        Ok(hash)
    }

    fn devices(&self) -> std::sync::MutexGuard<'_, Devices> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before any lock: nobody can say who held one when the process was forked.
    fn check(&self, from_callback: bool) -> Result<()> {
        self.opened.check(from_callback).map_err(|refused| self.error(refused))
    }

    fn error(&self, refused: Refused) -> Error {
        error(refused, self.most)
    }

    fn start(&self, session: &Session, options: CallOptions, from_callback: bool) -> Result<Call> {
        self.check(from_callback)?;
        Call::start(options, &session.rules)
    }

    /// Puts properties of a device; returns the entry's id. A service without an event time gets the time of the put. The
    /// device is attached.
    ///
    /// The data is checked as [`Client::report_properties`] checks it. With
    /// [`sync_within`](OutboxOptions::sync_within) it returns at once unless 256 KiB wait to be written; otherwise it
    /// blocks for as long as the storage does, up to the call's time.
    ///
    /// [`ErrorKind::InvalidArgument`]; [`ErrorKind::TooLarge`]: 1 MB or more, or above a quarter of
    /// [`max_bytes`](OutboxOptions::max_bytes); [`ErrorKind::Full`]; [`ErrorKind::Storage`]; [`ErrorKind::Timeout`];
    /// [`ErrorKind::Cancelled`] (before it began); [`ErrorKind::Forked`]. After an error this process does not deliver
    /// it; if the process then crashes, it may be delivered.
    pub fn put_properties(&self, device: &Client, services: &[Service<'_>], options: CallOptions) -> Result<u64> {
        device.noting(|| {
            let (session, device) = device.parts();
            let call = self.start(session, options, true)?;
            let body = encode::properties_body(services)?;
            let body = std::str::from_utf8(&body).map_err(|_| Error::invalid("give UTF-8: a service is none"))?;
            self.checked_properties((session, device), body, &call)
        })
    }

    /// Puts properties by a request body that the caller wrote, as [`Client::report_properties_json`] takes it.
    /// Otherwise as [`put_properties`](Self::put_properties).
    pub fn put_properties_json(&self, device: &Client, json: &str, options: CallOptions) -> Result<u64> {
        device.noting(|| {
            let (session, device) = device.parts();
            let call = self.start(session, options, true)?;
            validate::check_properties(json)?;
            self.checked_properties((session, device), json, &call)
        })
    }

    fn checked_properties(
        &self,
        (session, device): (&Arc<Session>, &Arc<Device>),
        body: &str,
        call: &Call,
    ) -> Result<u64> {
        check_size(Target::Properties, body.as_bytes())?;
        let payload = fitting(properties_payload(body, self.now_ms()))?;
        let own = self.attached(session, device)?;
        let lane = LaneKey { sender: own, reported: own };
        self.put(&[Entry { lane, kind: kind::PROPERTIES, payload: &payload }], call)
    }

    /// Puts a message: any bytes, also none. Otherwise as [`put_properties`](Self::put_properties).
    pub fn put_message(&self, device: &Client, data: &[u8], options: CallOptions) -> Result<u64> {
        device.noting(|| {
            let (session, device) = device.parts();
            let call = self.start(session, options, true)?;
            check_size(Target::Message, data)?;
            let own = self.attached(session, device)?;
            let lane = LaneKey { sender: own, reported: own };
            self.put(&[Entry { lane, kind: kind::MESSAGE, payload: data }], &call)
        })
    }

    /// Puts readings of children of a gateway, all or none, up to 10,000 in a call; returns the id of the first one's
    /// entry, and the others follow in order. They are delivered in batches, together with what else waits; a child
    /// that the platform does not know holds back no other.
    ///
    /// Otherwise as [`put_properties`](Self::put_properties). Above 256 KiB in all it blocks until they are written.
    pub fn put_batch(&self, gateway: &Client, children: &[Child<'_>], options: CallOptions) -> Result<u64> {
        gateway.noting(|| {
            let (session, device) = gateway.parts();
            let call = self.start(session, options, true)?;
            check_count(children.len())?;
            let now_ms = self.now_ms();
            let payloads = children.iter().enumerate().map(|(index, child)| {
                let mut element = Vec::with_capacity(encode::check_child(child, index)?);
                encode::write_child(&mut element, child);
                let element =
                    std::str::from_utf8(&element).map_err(|_| Error::invalid("give UTF-8: a child is none"))?;
                Ok((hash(child.device_id), fitting(child_payload(child.device_id, element, now_ms))?))
            });
            let payloads = payloads.collect::<Result<Vec<_>>>()?;
            self.readings((session, device), &payloads, &call)
        })
    }

    /// Puts a batch by a request body that the caller wrote, as [`Client::report_batch_json`] takes it. A child that is
    /// wrong in itself refuses all. Otherwise as [`put_batch`](Self::put_batch).
    pub fn put_batch_json(&self, gateway: &Client, json: &str, options: CallOptions) -> Result<u64> {
        gateway.noting(|| {
            let (session, device) = gateway.parts();
            let call = self.start(session, options, true)?;
            let children = validate::children(json)?;
            check_count(children.len())?;
            let now_ms = self.now_ms();
            let payloads = children.into_iter().map(|child| {
                child.check.map_err(|error| *error)?;
                let id = written_id(child.text).unwrap_or_default();
                Ok((hash(id), fitting(child_payload(id, child.text, now_ms))?))
            });
            let payloads = payloads.collect::<Result<Vec<_>>>()?;
            self.readings((session, device), &payloads, &call)
        })
    }

    fn readings(
        &self,
        (session, device): (&Arc<Session>, &Arc<Device>),
        payloads: &[(u64, Vec<u8>)],
        call: &Call,
    ) -> Result<u64> {
        let sender = self.attached(session, device)?;
        let entries: Vec<_> = payloads
            .iter()
            .map(|(reported, payload)| Entry {
                lane: LaneKey { sender, reported: *reported },
                kind: kind::CHILD,
                payload,
            })
            .collect();
        self.put(&entries, call)
    }

    fn put(&self, entries: &[Entry<'_>], call: &Call) -> Result<u64> {
        let bytes: u64 = entries.iter().map(|entry| frame_bytes(entry.payload.len()) as u64).sum();
        if bytes > self.most {
            return Err(self.error(Refused::TooLarge));
        }
        let first = self.opened.put(entries, call.deadline).map_err(|refused| self.error(refused))?;
        if bytes > UNSYNCED_MAX && !self.sync_at_put {
            // More than may wait in memory. If it cannot be written now it is kept there: that is what the put says, and
            // the next one reports the failure.
            let _ = self.opened.sync(call.deadline);
        }
        Ok(first)
    }

    fn now_ms(&self) -> i64 {
        self.session.clock.unix_ms().clamp(0, LAST_MS)
    }

    /// Returns when all that was put is on the device.
    ///
    /// Blocks for as long as the storage does, up to the call's time: [`ErrorKind::Timeout`], [`ErrorKind::Storage`],
    /// [`ErrorKind::Forked`].
    pub fn sync(&self, options: CallOptions) -> Result<()> {
        let call = self.start(&self.session, options, false)?;
        self.opened.sync(call.deadline).map_err(|refused| self.error(refused))
    }

    /// Delivers what is due, within the call's time, in this thread: for programs that start no threads
    /// ([`OutboxOptions::start_worker`]). Returns after how long to pump again, for a sync that becomes due as
    /// well; `None`: nothing waits that could be sent. That something could not be delivered is no error: it waits.
    ///
    /// [`ErrorKind::Cancelled`] (looked at between requests), [`ErrorKind::Forked`].
    pub fn pump(&self, options: CallOptions) -> Result<Option<Duration>> {
        let call = self.start(&self.session, options, false)?;
        let due = self.opened.pump(call.deadline, call.cancel.as_ref()).map_err(|refused| self.error(refused))?;
        Ok(due.map(Duration::from_millis))
    }

    /// Waits until all that was put before is settled; without threads it delivers in this one.
    ///
    /// [`ErrorKind::Timeout`]: the call's time is over, or what waits is for devices that are not attached; it goes
    /// on waiting in the outbox. [`ErrorKind::Cancelled`], [`ErrorKind::Forked`].
    pub fn flush(&self, options: CallOptions) -> Result<()> {
        let call = self.start(&self.session, options, false)?;
        self.opened.flush(call.deadline, call.cancel.as_ref()).map_err(|refused| self.error(refused))
    }

    /// The network is back: what waits for a pause is tried within a second, instead of up to five minutes later.
    ///
    /// Never blocks on the network or on disk.
    pub fn wake(&self) {
        self.opened.wake();
    }

    /// Gives up what waits for a device, as the one that sends or the one reported for, without delivering it; returns
    /// how many entries that were. For a device that was removed. A request that is under way may still arrive.
    ///
    /// Blocks for as long as the storage does. [`ErrorKind::Storage`], [`ErrorKind::Forked`].
    pub fn discard(&self, device_id: &str) -> Result<u64> {
        self.check(false)?;
        self.opened.discard(hash(device_id)).map_err(|refused| self.error(refused))
    }

    /// The first dead letter after the number `cursor` (0: the first of all); `None`: there is none.
    ///
    /// Reads from disk. [`ErrorKind::Storage`], [`ErrorKind::Forked`].
    pub fn dead_read(&self, cursor: u64) -> Result<Option<DeadLetter>> {
        let kept = self.opened.dead_read(cursor).map_err(|refused| self.error(refused))?;
        Ok(kept.map(|kept| {
            let mut builder = Builder::new(usize::MAX, 1);
            builder.add(kept.kind, &kept.payload, None);
            let is_child = kept.kind == kind::CHILD;
            DeadLetter {
                number: kept.number,
                id: kept.id,
                kind: match kept.kind {
                    kind::CHILD => EntryKind::Child,
                    kind::MESSAGE => EntryKind::Message,
                    _ => EntryKind::Properties,
                },
                gateway_id: if is_child { kept.sender.clone() } else { String::new() },
                device_id: if is_child { kept.child } else { kept.sender },
                time_ms: kept.time_ms,
                reason: if kept.unknown_child { ErrorKind::UnknownChild } else { ErrorKind::Rejected },
                platform_code: kept.code,
                body: builder.finish().1,
            }
        }))
    }

    /// Dead letters up to this number are not needed any more.
    ///
    /// Writes to disk. [`ErrorKind::Storage`], [`ErrorKind::Forked`].
    pub fn dead_forget(&self, up_to_number: u64) -> Result<()> {
        self.opened.dead_forget(up_to_number).map_err(|refused| self.error(refused))
    }

    /// What it holds, and what it has done. Never blocks on the network.
    pub fn stats(&self) -> Result<OutboxStats> {
        let stats = self.opened.stats().map_err(|refused| self.error(refused))?;
        let counters = stats.counters;
        Ok(OutboxStats {
            waiting: stats.waiting,
            waiting_bytes: stats.waiting_bytes,
            unattached: stats.unattached,
            oldest_s: stats.oldest_s.into(),
            file_bytes: stats.files_bytes,
            delivered: counters.delivered,
            requests: counters.requests,
            dead: counters.dead,
            dead_kept: stats.dead_kept,
            dead_dropped: counters.dead_not_kept,
            dropped: counters.dropped,
            expired: counters.expired,
            damaged: stats.damaged + counters.damaged,
            discarded: counters.discarded,
            syncs: stats.syncs,
            bytes_written: stats.bytes_written,
            is_failing: stats.failure.is_some(),
            last_error: counters.last_error,
        })
    }

    /// Ends requests that are under way, ends the threads, and syncs; delivers nothing. What was not delivered is
    /// delivered when the directory is opened again. Another outbox can open it afterwards.
    ///
    /// Blocks for as long as the storage does. [`ErrorKind::Storage`]: what was put since the last sync may be lost.
    pub fn close(self) -> Result<()> {
        let most = self.most;
        self.opened.close().map_err(|refused| error(refused, most))
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

/// Logs what is not delivered, and passes on what the program asked for.
fn observer(session: Arc<Session>, settled: Option<OnSettled>) -> Observer {
    Box::new(move |id, device_id, fate, message| {
        let outcome = match fate {
            Fate::Delivered => Ok(()),
            Fate::Refused => Err(ErrorKind::Rejected),
            Fate::UnknownChild => Err(ErrorKind::UnknownChild),
            Fate::Expired => Err(ErrorKind::Expired),
            Fate::Dropped => Err(ErrorKind::Full),
            Fate::Damaged => Err(ErrorKind::Storage),
            Fate::Discarded => Err(ErrorKind::Cancelled),
        };
        if fate != Fate::Delivered {
            let what = match fate {
                Fate::Expired => "is too old and was dropped",
                Fate::Dropped => "was dropped for newer ones: the outbox is full",
                Fate::Damaged => "is damaged on disk",
                Fate::Discarded => "was discarded",
                _ => "was refused and is a dead letter",
            };
            session.monitor.log(Level::Warning, || format!("device \"{device_id}\": entry {id} {what}; {message}"));
        }
        if let Some(settled) = &settled {
            settled(&Settled { id, device_id, outcome, message });
        }
    })
}

fn address(device: &Arc<Device>) -> usize {
    Arc::as_ptr(device) as usize
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4)
}

/// A payload that the platform takes once its times are in it.
fn fitting(payload: Option<Vec<u8>>) -> Result<Vec<u8>> {
    payload.filter(|payload| payload.len() < BODY_LIMIT - 256).ok_or_else(|| {
        Error::new(
            ErrorKind::TooLarge,
            "send less at a time: a report with its event times has 1 MB or more, or more than 65,535 services",
        )
    })
}

fn check_count(children: usize) -> Result<()> {
    match children {
        0 => Err(Error::invalid("children is empty: a batch holds at least one child device")),
        1..=CHILDREN_MAX => Ok(()),
        _ => Err(Error::new(
            ErrorKind::TooLarge,
            format!("put less at a time: the batch has {children} children, and an outbox takes {CHILDREN_MAX}"),
        )),
    }
}

/// A path as messages have it: its end, if it is long.
fn shown(path: &Path) -> String {
    let text: Vec<char> = path.to_string_lossy().chars().filter(|c| !c.is_control()).collect();
    let from = text.len().saturating_sub(60);
    let dots = if from > 0 { "…" } else { "" };
    format!("directory \"{dots}{}\"", text[from..].iter().collect::<String>())
}

fn unfit_error(unfit: Unfit, path: &Path) -> Error {
    let path = shown(path);
    let message = match unfit {
        Unfit::InUse => format!("close the other outbox, or give each a directory of its own: {path} is in use"),
        Unfit::Newer => format!("use a newer version of this library: {path} was written by one"),
        Unfit::Io(what, error) => {
            let why = why(&error.to_string());
            format!("give a directory that can be written: {path} could not be {what}: {why}")
        }
    };
    Error::new(ErrorKind::Storage, message)
}

/// What the system said, without Rust's number.
fn why(text: &str) -> String {
    text.split(" (os error").next().unwrap_or_default().chars().take(80).collect()
}

fn error(refused: Refused, most: u64) -> Error {
    match refused {
        Refused::InvalidArgument(message) => Error::invalid(message),
        Refused::TooLarge => Error::new(
            ErrorKind::TooLarge,
            format!("put less at a time, or raise max_bytes: a put may take a quarter of it, {most} bytes"),
        ),
        Refused::Full => Error::new(
            ErrorKind::Full,
            "wait until something is delivered, raise max_bytes, or let it drop the oldest: the outbox is full",
        ),
        Refused::Storage(failure) => storage(&failure),
        Refused::Timeout => Error::new(ErrorKind::Timeout, "allow more time: the call's was over; what waits is kept"),
        Refused::Cancelled => Error::new(ErrorKind::Cancelled, "the call was cancelled; what waits is kept"),
        Refused::Forked => Error::new(
            ErrorKind::Forked,
            "open another outbox in the child process, and close this one: it was opened before a fork, in the parent",
        ),
        Refused::Newer => Error::new(
            ErrorKind::Storage,
            "use a newer version of this library: the outbox's files were written by one, and are left as they are",
        ),
    }
}

fn storage(failure: &Failure) -> Error {
    use std::io::ErrorKind as Io;
    let advice = match failure.kind {
        Io::StorageFull | Io::QuotaExceeded => "free space on the device that holds the outbox",
        Io::ReadOnlyFilesystem | Io::PermissionDenied => "make the outbox's directory writable",
        _ => "check the device that holds the outbox",
    };
    Error::new(ErrorKind::Storage, format!("{advice}: its files could not be read or written: {}", why(&failure.text)))
}
