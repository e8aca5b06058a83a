//! What a program sees of an outbox, by name; its puts, with their checks, are in [`put`]. Its values are in
//! [`super::options`], its errors in [`super::refusals`].

mod put;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iotda_http::{CancelToken, Clock};

use super::attached::{Attached, hash, milliseconds};
use super::clock::Clocks;
use super::directory::Directory;
use super::inspect::letter;
use super::notices;
use super::opened::{Opened, Options};
use super::options::{DeadLetter, MAX_BYTES, OutboxOptions, OutboxStats, WhenFull};
use super::refusals::{shown, unfit_error};
use super::running::Threads;
use super::sorted::Sorted;
use super::storage::Storage;
use super::worker::Manner;
use crate::client::Client;
use crate::delivery::call::{Call, CallOptions};
use crate::delivery::retry;
use crate::delivery::session::{Device, Session};
#[allow(unused_imports, reason = "for the documentation")]
use crate::error::ErrorKind;
use crate::error::Result;
use crate::monitor::Level;
use crate::report::calendar::LAST_MS;

/// Reports that outlive outages: what is put here is kept on disk until the platform has taken it. See the module
/// [`outbox`](crate::outbox) for what is guaranteed. Made by [`Client::open_outbox`](crate::Client::open_outbox).
///
/// All functions can be called from many threads at once. In a child process made by `fork` every one fails with
/// [`ErrorKind::Forked`]; dropping it there releases the directory and touches nothing else.
///
/// Dropping it closes it, as [`close`](Self::close) does.
pub struct Outbox {
    opened: Opened,
    /// Where the log is, and the clock.
    session: Arc<Session>,
    devices: Arc<Mutex<Devices>>,
    most: u64,
    sync_at_put: bool,
}

/// The devices that are attached.
#[derive(Default)]
struct Devices {
    /// By id's hash. Kept, so that no address below is used again.
    kept: Sorted<u64, Arc<Device>>,
    /// By the address of the device: a put needs no hash.
    hashes: Sorted<usize, u64>,
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
            reports_deliveries: options.settled.is_some(),
        };
        let inner = Options {
            max_bytes,
            sync_ms,
            pad_commits: options.pad_commits,
            workers: if options.start_worker { options.requests_at_once } else { 0 },
            manner,
            observer: Some(notices::observer(Arc::clone(session), options.settled)),
            threads: Threads { run: options.run_thread, fault: Some(notices::fault(Arc::clone(session))) },
        };
        let storage: Arc<dyn Storage> = directory.clone();
        let abandon = Box::new(move || directory.abandon());
        let clocks = Arc::new(SystemClocks(Arc::clone(&session.clock)));
        let boot = iotda_sys::boot::id();
        let opened = Opened::open(storage, Some(abandon), inner, clocks, boot, retry::random_fraction);
        let outbox = Outbox {
            opened: opened?,
            session: Arc::clone(session),
            devices: Arc::default(),
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
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Outbox, Service};
    /// # use std::time::Duration;
    /// # fn f(outbox: Outbox, client: &Client) -> iotda::Result<()> {
    /// outbox.attach(client)?; // After a restart: what the device put before is delivered.
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`], [`ErrorKind::Internal`].
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
        self.opened.attach(hash, Arc::new(deliver))?;
        Ok(hash)
    }

    fn devices(&self) -> std::sync::MutexGuard<'_, Devices> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before any lock: nobody can say who held one when the process was forked.
    fn check(&self, from_callback: bool) -> Result<()> {
        Ok(self.opened.check(from_callback)?)
    }

    fn start(&self, session: &Session, options: CallOptions, from_callback: bool) -> Result<Call> {
        self.check(from_callback)?;
        Call::start(options, &session.rules)
    }

    /// Returns when all that was put is on the device.
    ///
    /// Blocks for as long as the storage does, up to the call's time.
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Outbox, Service};
    /// # use std::time::Duration;
    /// # fn f(outbox: Outbox, client: &Client) -> iotda::Result<()> {
    /// outbox.sync(Duration::from_secs(5))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`], [`ErrorKind::Storage`], [`ErrorKind::Forked`].
    pub fn sync(&self, options: impl Into<CallOptions>) -> Result<()> {
        let options = options.into();
        let call = self.start(&self.session, options, false)?;
        Ok(self.opened.sync(call.deadline)?)
    }

    /// Delivers what is due, within the call's time, in this thread: for programs that start no threads
    /// ([`OutboxOptions::start_worker`]). Returns after how long to pump again, for a sync that becomes due as
    /// well; `None`: nothing waits that could be sent. That something could not be delivered is no error: it waits.
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Outbox, Service};
    /// # use std::time::Duration;
    /// # fn f(outbox: Outbox, client: &Client) -> iotda::Result<()> {
    /// while let Some(pause) = outbox.pump(Duration::from_secs(30))? {
    ///     std::thread::sleep(pause); // Or measure, and put.
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Cancelled`] (looked at between requests), [`ErrorKind::Forked`].
    pub fn pump(&self, options: impl Into<CallOptions>) -> Result<Option<Duration>> {
        let options = options.into();
        let call = self.start(&self.session, options, false)?;
        let due = self.opened.pump(call.deadline, call.cancel.as_ref())?;
        Ok(due.map(Duration::from_millis))
    }

    /// Waits until all that was put before is settled; without threads it delivers in this one.
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Outbox, Service};
    /// # use std::time::Duration;
    /// # fn f(outbox: Outbox, client: &Client) -> iotda::Result<()> {
    /// if outbox.flush(Duration::from_secs(30)).is_err() {
    ///     println!("{} entries wait for the next run", outbox.stats()?.waiting);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`]: the call's time is over, or what waits is for devices that are not attached; it goes
    /// on waiting in the outbox. [`ErrorKind::Cancelled`], [`ErrorKind::Forked`].
    pub fn flush(&self, options: impl Into<CallOptions>) -> Result<()> {
        let options = options.into();
        let call = self.start(&self.session, options, false)?;
        Ok(self.opened.flush(call.deadline, call.cancel.as_ref())?)
    }

    /// The network is back: what waits for a pause is tried within a second, instead of up to five minutes later.
    ///
    /// Never blocks on the network or on disk.
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Outbox, Service};
    /// # use std::time::Duration;
    /// # fn f(outbox: Outbox, client: &Client) -> iotda::Result<()> {
    /// outbox.wake(); // The modem has said that it is connected.
    /// # Ok(())
    /// # }
    /// ```
    pub fn wake(&self) {
        self.opened.wake();
    }

    /// Gives up what waits for a device, as the one that sends or the one reported for, without delivering it; returns
    /// how many entries that were. For a device that was removed. A request that is under way may still arrive.
    ///
    /// Blocks for as long as the storage does.
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Outbox, Service};
    /// # use std::time::Duration;
    /// # fn f(outbox: Outbox, client: &Client) -> iotda::Result<()> {
    /// let given_up = outbox.discard("meter_0001")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`], [`ErrorKind::Forked`].
    pub fn discard(&self, device_id: &str) -> Result<u64> {
        self.check(false)?;
        Ok(self.opened.discard(hash(device_id))?)
    }

    /// The first dead letter after the number `cursor` (0: the first of all); `None`: there is none.
    /// Reads from disk.
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Outbox, Service};
    /// # use std::time::Duration;
    /// # fn f(outbox: Outbox, client: &Client) -> iotda::Result<()> {
    /// let mut cursor = 0;
    /// while let Some(letter) = outbox.dead_read(cursor)? {
    ///     println!("{} was refused: {} {:?}", letter.device_id, letter.platform_code, letter.reason);
    ///     cursor = letter.number;
    /// }
    /// outbox.dead_forget(cursor)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`], [`ErrorKind::Forked`].
    pub fn dead_read(&self, cursor: u64) -> Result<Option<DeadLetter>> {
        Ok(self.opened.dead_read(cursor)?.map(letter))
    }

    /// Dead letters up to this number are not needed any more.
    /// Writes to disk.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`], [`ErrorKind::Forked`].
    pub fn dead_forget(&self, up_to_number: u64) -> Result<()> {
        Ok(self.opened.dead_forget(up_to_number)?)
    }

    /// What it holds, and what it has done. Never blocks on the network.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`], [`ErrorKind::Internal`].
    pub fn stats(&self) -> Result<OutboxStats> {
        Ok(self.opened.stats()?)
    }

    /// Ends requests that are under way, ends the threads, and syncs; delivers nothing. What was not delivered is
    /// delivered when the directory is opened again. Another outbox can open it afterwards.
    ///
    /// Blocks for as long as the storage does.
    ///
    /// ```no_run
    /// # use iotda::{Child, Client, Outbox, Service};
    /// # use std::time::Duration;
    /// # fn f(outbox: Outbox, client: &Client) -> iotda::Result<()> {
    /// outbox.close()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`]: what was put since the last sync may be lost.
    pub fn close(mut self) -> Result<()> {
        Ok(self.opened.end()?)
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        if self.session.fork.is_forked() && self.devices.try_lock().is_err() {
            // Another thread was at work on them when the process was forked: nobody can say in what state they are.
            std::mem::forget(Arc::clone(&self.devices));
        }
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

fn address(device: &Arc<Device>) -> usize {
    Arc::as_ptr(device) as usize
}

#[cfg(test)]
mod tests;
