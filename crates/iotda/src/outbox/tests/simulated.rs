//! A directory in memory that records every change and fails where a test wants it to. What a crash makes of it is in
//! [`super::states`].

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::super::storage::{Storage, Stored};
use super::states::PAGE;

/// One change, in the order in which they were made.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Create(String, usize),
    Write(usize, u64, Vec<u8>),
    Length(usize, u64),
    Sync(usize),
    Unlink(String),
    SyncNames,
}

#[derive(Default)]
struct State {
    files: Vec<Vec<u8>>,
    names: BTreeMap<String, usize>,
    changes: Vec<Change>,
    calls: usize,
    failing: Option<Failing>,
    /// Bytes that all files may have together.
    capacity: Option<usize>,
    reserves_nothing: bool,
    unreadable: Vec<(usize, usize)>,
    reads: u64,
    read_calls: usize,
    /// The read that fails, and the opening.
    failing_read: Option<usize>,
    failing_open: Option<i32>,
    panics: bool,
}

/// Where syncs of files wait while it is closed.
#[derive(Default)]
struct Gate {
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

/// Which call fails, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failing {
    pub(crate) at: usize,
    /// Calls that fail from there on.
    pub(crate) times: usize,
    pub(crate) how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Error(i32),
    /// Half of a write is done; other calls fail.
    Short,
}

/// The directory.
#[derive(Clone, Default)]
pub(crate) struct Simulated {
    state: Arc<Mutex<State>>,
    gate: Arc<Gate>,
}

struct File {
    state: Arc<Mutex<State>>,
    gate: Arc<Gate>,
    index: usize,
}

impl Simulated {
    /// A directory with these files, all of them on the device.
    pub(crate) fn with(files: BTreeMap<String, Vec<u8>>) -> Self {
        let mut state = State::default();
        for (index, (name, bytes)) in files.into_iter().enumerate() {
            state.names.insert(name, index);
            state.files.push(bytes);
        }
        Simulated { state: Arc::new(Mutex::new(state)), gate: Arc::default() }
    }

    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state.lock().unwrap();
        state.names.iter().map(|(name, index)| (name.clone(), state.files[*index].clone())).collect()
    }

    pub(crate) fn changes(&self) -> Vec<Change> {
        self.state.lock().unwrap().changes.clone()
    }

    /// The changes behind the first `from`.
    pub(crate) fn changes_from(&self, from: usize) -> Vec<Change> {
        self.state.lock().unwrap().changes[from..].to_vec()
    }

    pub(crate) fn change_count(&self) -> usize {
        self.state.lock().unwrap().changes.len()
    }

    pub(crate) fn calls(&self) -> usize {
        self.state.lock().unwrap().calls
    }

    pub(crate) fn fail(&self, failing: Option<Failing>) {
        self.state.lock().unwrap().failing = failing;
    }

    /// Reads until now.
    pub(crate) fn read_calls(&self) -> usize {
        self.state.lock().unwrap().read_calls
    }

    /// The read of this number fails, once.
    pub(crate) fn fail_read(&self, at: Option<usize>) {
        self.state.lock().unwrap().failing_read = at;
    }

    /// Files cannot be opened, for this reason.
    pub(crate) fn fail_opening(&self, error: Option<i32>) {
        self.state.lock().unwrap().failing_open = error;
    }

    /// Syncs of files take until they are let through.
    pub(crate) fn hold_syncs(&self, hold: bool) {
        self.gate.state.lock().unwrap().0 = hold;
        self.gate.changed.notify_all();
    }

    /// Waits until so many syncs are held. A busy machine may take some seconds for it.
    pub(crate) fn wait_for_held(&self, count: usize) {
        let state = self.gate.state.lock().unwrap();
        let minute = Duration::from_secs(60);
        let (mut state, waited) =
            self.gate.changed.wait_timeout_while(state, minute, |(_, held)| *held < count).unwrap();
        if waited.timed_out() {
            // The outbox is closed when the test ends, and syncs.
            state.0 = false;
            let held = state.1;
            drop(state);
            panic!("{held} syncs instead of {count}");
        }
    }

    pub(crate) fn limit(&self, capacity: Option<usize>) {
        self.state.lock().unwrap().capacity = capacity;
    }

    pub(crate) fn bytes(&self) -> usize {
        let state = self.state.lock().unwrap();
        state.names.values().map(|index| state.files[*index].len()).sum()
    }

    pub(crate) fn reads(&self) -> u64 {
        self.state.lock().unwrap().reads
    }

    /// The next sync of a file is a fault of the library.
    pub(crate) fn panic_at_next_sync(&self) {
        self.state.lock().unwrap().panics = true;
    }

    /// Reading this page of this file fails from now on.
    pub(crate) fn spoil(&self, name: &str, page: usize) {
        let mut state = self.state.lock().unwrap();
        let index = state.names[name];
        state.unreadable.push((index, page));
    }

    /// From now on zeros that are written reserve no space, as on btrfs.
    pub(crate) fn reserve_nothing(&self) {
        self.state.lock().unwrap().reserves_nothing = true;
    }

    /// Changes the first byte of a text wherever it stands.
    pub(crate) fn damage(&self, text: &[u8]) {
        for bytes in &mut self.state.lock().unwrap().files {
            if let Some(at) = bytes.windows(text.len()).position(|window| window == text) {
                bytes[at] ^= 0x10;
            }
        }
    }

    /// All pages can be read again.
    pub(crate) fn restore(&self) {
        self.state.lock().unwrap().unreadable.clear();
    }
}

impl State {
    /// Counts a call that may fail; `Ok(true)`: do half of it.
    fn call(&mut self) -> io::Result<bool> {
        self.calls += 1;
        match self.failing {
            Some(failing) if (failing.at..failing.at + failing.times).contains(&self.calls) => match failing.how {
                How::Error(number) => Err(io::Error::from_raw_os_error(number)),
                How::Short => Ok(true),
            },
            _ => Ok(false),
        }
    }

    fn call_whole(&mut self) -> io::Result<()> {
        if self.call()? { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }
}

impl Storage for Simulated {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let state = self.state.lock().unwrap();
        Ok(state.names.iter().map(|(name, index)| (name.clone(), state.files[*index].len() as u64)).collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn Stored>> {
        let mut state = self.state.lock().unwrap();
        state.call_whole()?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let index = state.files.len();
        state.files.push(Vec::new());
        state.names.insert(name.to_owned(), index);
        state.changes.push(Change::Create(name.to_owned(), index));
        Ok(Arc::new(File { state: Arc::clone(&self.state), gate: Arc::clone(&self.gate), index }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Stored>> {
        let state = self.state.lock().unwrap();
        if let Some(error) = state.failing_open {
            return Err(io::Error::from_raw_os_error(error));
        }
        let index = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(File { state: Arc::clone(&self.state), gate: Arc::clone(&self.gate), index }))
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.call_whole()?;
        state.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        state.changes.push(Change::Unlink(name.to_owned()));
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.call_whole()?;
        state.changes.push(Change::SyncNames);
        Ok(())
    }

    fn zeros_reserve(&self) -> bool {
        !self.state.lock().unwrap().reserves_nothing
    }
}

/// Writes into a file that is as long as it must be afterwards.
pub(crate) fn overwrite(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if file.len() < at {
        file.resize(at, 0);
    }
    let inside = bytes.len().min(file.len() - at);
    file[at..at + inside].copy_from_slice(&bytes[..inside]);
    // Much faster than filling in what is overwritten at once, in a build without optimization.
    file.extend_from_slice(&bytes[inside..]);
}

impl Stored for File {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap();
        state.read_calls += 1;
        if state.failing_read == Some(state.read_calls) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let from = (at as usize).min(state.files[self.index].len());
        let length = buffer.len().min(state.files[self.index].len() - from);
        let pages = from / PAGE..(from + length).div_ceil(PAGE);
        if state.unreadable.iter().any(|(file, page)| *file == self.index && pages.contains(page)) {
            return Err(io::Error::from_raw_os_error(5));
        }
        state.reads += length as u64;
        buffer[..length].copy_from_slice(&state.files[self.index][from..from + length]);
        Ok(length)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap();
        let short = state.call()?;
        let mut length = if short && bytes.len() > 1 { bytes.len() / 2 } else { bytes.len() };
        let end = at as usize + length;
        if let Some(capacity) = state.capacity {
            let all: usize = state.names.values().map(|index| state.files[*index].len()).sum();
            let more = end.saturating_sub(state.files[self.index].len());
            if all + more > capacity {
                length = (length + capacity).saturating_sub(all + more);
                if length == 0 {
                    return Err(io::Error::from_raw_os_error(28));
                }
            }
        }
        let file = &mut state.files[self.index];
        overwrite(file, at as usize, &bytes[..length]);
        state.changes.push(Change::Write(self.index, at, bytes[..length].to_vec()));
        Ok(length)
    }

    fn sync(&self) -> io::Result<()> {
        let mut gate = self.gate.state.lock().unwrap();
        if gate.0 {
            gate.1 += 1;
            self.gate.changed.notify_all();
            gate = self.gate.changed.wait_while(gate, |(held, _)| *held).unwrap();
        }
        drop(gate);
        let mut state = self.state.lock().unwrap();
        if std::mem::take(&mut state.panics) {
            drop(state);
            panic!("a fault of syncing");
        }
        state.call_whole()?;
        state.changes.push(Change::Sync(self.index));
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.call_whole()?;
        state.files[self.index].resize(length as usize, 0);
        state.changes.push(Change::Length(self.index, length));
        Ok(())
    }
}
