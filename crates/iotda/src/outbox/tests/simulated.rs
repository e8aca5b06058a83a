//! A directory in memory that records every change, fails where a test wants it to, and can be brought into any
//! state that a kill, a power cut or a damaged device may leave behind.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex};

use super::super::storage::{Storage, Stored};

pub(crate) const SECTOR: usize = 512;
const PAGE: usize = 4096;

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
    unreadable: Vec<(usize, usize)>,
    reads: u64,
    panics: bool,
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
}

struct File {
    state: Arc<Mutex<State>>,
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
        Simulated { state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.state.lock().unwrap();
        state.names.iter().map(|(name, index)| (name.clone(), state.files[*index].clone())).collect()
    }

    pub(crate) fn changes(&self) -> Vec<Change> {
        self.state.lock().unwrap().changes.clone()
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
        Ok(Arc::new(File { state: Arc::clone(&self.state), index }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Stored>> {
        let index = *self.state.lock().unwrap().names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(File { state: Arc::clone(&self.state), index }))
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
        true
    }
}

impl Stored for File {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap();
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
        let end = at as usize + length;
        let file = &mut state.files[self.index];
        if file.len() < end {
            file.resize(end, 0);
        }
        file[at as usize..end].copy_from_slice(&bytes[..length]);
        state.changes.push(Change::Write(self.index, at, bytes[..length].to_vec()));
        Ok(length)
    }

    fn sync(&self) -> io::Result<()> {
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

/// Numbers that look random and come back for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// What ends a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The process is killed: all changes until then are there, the last write perhaps in part.
    Kill,
    /// Power fails: of sectors that were not synced, any may be old, zeros, noise, or of a removed file.
    Lost,
    /// The same, and no name is there that was not synced.
    Strict,
    /// The same as lost, and one page that was being written is destroyed, with all that it held.
    Page,
    /// As after a kill, and one bit is flipped.
    Rot,
}

#[derive(Clone, Default)]
struct Image {
    now: Vec<u8>,
    synced: Vec<u8>,
    /// Sectors written since the last sync.
    touched: Vec<usize>,
}

/// The files after the first `count` changes on `before`, and what `mode` does to them.
pub(crate) fn crash(
    before: &BTreeMap<String, Vec<u8>>,
    changes: &[Change],
    mode: Mode,
    random: &mut Random,
) -> BTreeMap<String, Vec<u8>> {
    let mut images: HashMap<usize, Image> = HashMap::new();
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for (index, (name, bytes)) in before.iter().enumerate() {
        images.insert(index, Image { now: bytes.clone(), synced: bytes.clone(), touched: Vec::new() });
        names.insert(name.clone(), index);
    }
    let mut synced_names = names.clone();
    let mut removed: Vec<Vec<u8>> = Vec::new();
    for (position, change) in changes.iter().enumerate() {
        match change {
            Change::Create(name, index) => {
                images.insert(*index, Image::default());
                names.insert(name.clone(), *index);
            }
            Change::Write(index, at, bytes) => {
                let last = position + 1 == changes.len();
                let torn = if last && mode == Mode::Kill { random.below(bytes.len() + 1) } else { bytes.len() };
                let image = images.get_mut(index).unwrap();
                let end = *at as usize + torn;
                if image.now.len() < end {
                    image.now.resize(end, 0);
                }
                image.now[*at as usize..end].copy_from_slice(&bytes[..torn]);
                image.touched.extend(*at as usize / SECTOR..end.div_ceil(SECTOR));
            }
            Change::Length(index, length) => {
                images.get_mut(index).unwrap().now.resize(*length as usize, 0);
            }
            Change::Sync(index) => {
                let image = images.get_mut(index).unwrap();
                image.synced = image.now.clone();
                image.touched.clear();
            }
            Change::Unlink(name) => {
                let index = names.remove(name).unwrap();
                removed.push(images[&index].now.clone());
            }
            Change::SyncNames => synced_names = names.clone(),
        }
    }
    match mode {
        Mode::Kill | Mode::Rot => {}
        Mode::Lost | Mode::Page => {
            for (name, index) in &synced_names {
                if !names.contains_key(name) && random.below(2) == 0 {
                    names.insert(name.clone(), *index);
                }
            }
            names.retain(|name, _| synced_names.contains_key(name) || random.below(2) == 0);
        }
        Mode::Strict => {
            for (name, index) in &synced_names {
                if !names.contains_key(name) && random.below(2) == 0 {
                    names.insert(name.clone(), *index);
                }
            }
            names.retain(|name, _| synced_names.contains_key(name));
        }
    }
    if matches!(mode, Mode::Lost | Mode::Strict | Mode::Page) {
        for image in images.values_mut() {
            image.cut_power(&removed, mode, random);
        }
    }
    let mut files: BTreeMap<String, Vec<u8>> =
        names.into_iter().map(|(name, index)| (name, images[&index].now.clone())).collect();
    if mode == Mode::Rot {
        let bytes: usize = files.values().map(Vec::len).sum();
        let mut bit = random.below(bytes * 8);
        for file in files.values_mut() {
            if bit < file.len() * 8 {
                file[bit / 8] ^= 1 << (bit % 8);
                break;
            }
            bit -= file.len() * 8;
        }
    }
    files
}

impl Image {
    fn cut_power(&mut self, removed: &[Vec<u8>], mode: Mode, random: &mut Random) {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        if touched.is_empty() {
            return;
        }
        let destroyed = touched[random.below(touched.len())] * SECTOR / PAGE;
        // The longer length may not be there yet.
        if self.now.len() > self.synced.len() && random.below(3) == 0 {
            let more = random.below(self.now.len() - self.synced.len());
            self.now.truncate(self.synced.len() + more);
        }
        // Power that fails early loses most sectors, late only a few.
        let kept = random.below(101);
        for sector in touched {
            let range = sector * SECTOR..((sector + 1) * SECTOR).min(self.now.len());
            if range.is_empty() || random.below(100) < kept {
                continue;
            }
            let old = self.synced.get(range.start..).unwrap_or_default();
            let old = &old[..old.len().min(range.len())];
            let fresh = old.is_empty();
            let stale = if removed.is_empty() { None } else { removed[random.below(removed.len())].get(range.clone()) };
            let target = &mut self.now[range];
            match (fresh, random.below(4)) {
                (true, 0) => target.fill_with(|| random.next() as u8),
                (true, 1) if stale.is_some() => target.copy_from_slice(stale.unwrap()),
                (true, _) => target.fill(0),
                (false, _) => {
                    target.fill(0);
                    target[..old.len()].copy_from_slice(old);
                }
            }
        }
        if mode == Mode::Page && random.below(2) == 0 {
            let from = (destroyed * PAGE).min(self.now.len());
            let to = ((destroyed + 1) * PAGE).min(self.now.len());
            self.now[from..to].fill_with(|| random.next() as u8);
        }
    }
}
