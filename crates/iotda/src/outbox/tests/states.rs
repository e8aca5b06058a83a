//! The states that a kill, a power cut or a damaged device may leave a [`super::simulated`] directory in.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::simulated::{Change, overwrite};

const SECTOR: usize = 512;
pub(crate) const PAGE: usize = 4096;

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

/// What is left.
pub(crate) struct Crashed {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// The pages that [`Mode::Page`] has destroyed: the file, and the page in it.
    pub(crate) destroyed: Vec<(usize, usize)>,
}

/// A file: what was written, and what is on the device for certain.
#[derive(Clone, Default)]
struct Image {
    now: Rc<Vec<u8>>,
    synced: Rc<Vec<u8>>,
    /// Sectors written since the last sync.
    touched: Vec<usize>,
}

/// The changes of a recording, done one after the other.
#[derive(Clone, Default)]
pub(crate) struct Replay {
    images: HashMap<usize, Image>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    removed: Vec<Rc<Vec<u8>>>,
}

impl Replay {
    /// Does one change more.
    pub(crate) fn advance(&mut self, change: &Change) {
        match change {
            Change::Create(name, index) => {
                self.images.insert(*index, Image::default());
                self.names.insert(name.clone(), *index);
            }
            Change::Write(index, at, bytes) => self.write(*index, *at as usize, bytes),
            Change::Length(index, length) => {
                Rc::make_mut(&mut self.images.get_mut(index).unwrap().now).resize(*length as usize, 0);
            }
            Change::Sync(index) => {
                let image = self.images.get_mut(index).unwrap();
                image.synced = Rc::clone(&image.now);
                image.touched.clear();
            }
            Change::Unlink(name) => {
                let index = self.names.remove(name).unwrap();
                self.removed.push(Rc::clone(&self.images[&index].now));
            }
            Change::SyncNames => self.synced_names = self.names.clone(),
        }
    }

    fn write(&mut self, index: usize, at: usize, bytes: &[u8]) {
        let image = self.images.get_mut(&index).unwrap();
        overwrite(Rc::make_mut(&mut image.now), at, bytes);
        image.touched.extend(at / SECTOR..(at + bytes.len()).div_ceil(SECTOR));
    }

    /// What `mode` leaves while `last` is under way, which comes after the changes until now.
    pub(crate) fn crash(&self, last: Option<&Change>, mode: Mode, random: &mut Random) -> Crashed {
        let mut state = self.clone();
        match last {
            Some(Change::Write(index, at, bytes)) if mode == Mode::Kill => {
                state.write(*index, *at as usize, &bytes[..random.below(bytes.len() + 1)]);
            }
            Some(change) => state.advance(change),
            None => {}
        }
        state.cut(mode, random)
    }

    fn cut(mut self, mode: Mode, random: &mut Random) -> Crashed {
        let mut destroyed = Vec::new();
        if matches!(mode, Mode::Lost | Mode::Strict | Mode::Page) {
            for (name, index) in &self.synced_names {
                if !self.names.contains_key(name) && random.below(2) == 0 {
                    self.names.insert(name.clone(), *index);
                }
            }
            let synced = &self.synced_names;
            self.names.retain(|name, _| synced.contains_key(name) || (mode != Mode::Strict && random.below(2) == 0));
            let mut indices: Vec<usize> = self.images.keys().copied().collect();
            // The order of a hash table is another one in each run.
            indices.sort_unstable();
            for index in indices {
                let page = self.images.get_mut(&index).unwrap().cut_power(&self.removed, mode, random);
                destroyed.extend(page.map(|page| (index, page)));
            }
        }
        let file = |index: &usize| Vec::clone(&self.images[index].now);
        let mut files: BTreeMap<String, Vec<u8>> =
            self.names.iter().map(|(name, index)| (name.clone(), file(index))).collect();
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
        Crashed { files, destroyed }
    }
}

impl Image {
    /// Returns the page that is destroyed, if one is.
    fn cut_power(&mut self, removed: &[Rc<Vec<u8>>], mode: Mode, random: &mut Random) -> Option<usize> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        if touched.is_empty() {
            return None;
        }
        let destroyed = touched[random.below(touched.len())] * SECTOR / PAGE;
        let now = Rc::make_mut(&mut self.now);
        // The longer length may not be there yet.
        if now.len() > self.synced.len() && random.below(3) == 0 {
            let more = random.below(now.len() - self.synced.len());
            now.truncate(self.synced.len() + more);
        }
        // Power that fails early loses most sectors, late only a few.
        let kept = random.below(101);
        for sector in touched {
            let range = sector * SECTOR..((sector + 1) * SECTOR).min(now.len());
            if range.is_empty() || random.below(100) < kept {
                continue;
            }
            let old = self.synced.get(range.start..).unwrap_or_default();
            let old = &old[..old.len().min(range.len())];
            let fresh = old.is_empty();
            let stale = if removed.is_empty() { None } else { removed[random.below(removed.len())].get(range.clone()) };
            let target = &mut now[range];
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
        if mode != Mode::Page || random.below(2) > 0 {
            return None;
        }
        let from = (destroyed * PAGE).min(now.len());
        let to = ((destroyed + 1) * PAGE).min(now.len());
        now[from..to].fill_with(|| random.next() as u8);
        Some(destroyed)
    }
}
