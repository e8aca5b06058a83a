//! What waits, lane by lane, in 24 bytes for each entry. Values only; whose turn it is, is decided in
//! [`super::turns`].

use std::collections::VecDeque;

use super::frame::{LaneKey, frame_bytes};
use super::sorted::Sorted;

/// The place of an entry that is not on disk yet.
pub(crate) const MEMORY: u32 = u32::MAX;

/// One waiting entry: 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub(crate) number: u64,
    /// Which segment, or [`MEMORY`].
    pub(crate) place: u32,
    /// Of the frame, in units of 8 bytes.
    pub(crate) offset: u32,
    /// The payload's length in the lower 24 bits, the kind above.
    length_and_kind: u32,
    /// Unix time of the put in seconds, as this machine's clock had it, for statistics.
    pub(crate) wall_s: u32,
}

impl Slot {
    /// Payloads are at most 16 MiB less one byte.
    pub(crate) fn new(number: u64, kind: u8, length: u32, wall_ms: i64) -> Self {
        Slot {
            number,
            place: MEMORY,
            offset: 0,
            length_and_kind: (u32::from(kind) << 24) | (length & 0xff_ffff),
            wall_s: u32::try_from(wall_ms / 1000).unwrap_or(0),
        }
    }

    pub(crate) fn at(mut self, place: u32, offset: u32) -> Self {
        self.place = place;
        self.offset = offset;
        self
    }

    pub(crate) fn length(&self) -> usize {
        (self.length_and_kind & 0xff_ffff) as usize
    }

    pub(crate) fn kind(&self) -> u8 {
        (self.length_and_kind >> 24) as u8
    }

    /// The bytes that its frame takes.
    pub(crate) fn frame_bytes(&self) -> u64 {
        frame_bytes(self.length()) as u64
    }
}

/// First in, first out, in blocks that are never copied to grow.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    blocks: VecDeque<Vec<Slot>>,
    /// Taken from the first block.
    taken: usize,
    count: usize,
    /// Frames of all entries.
    bytes: u64,
}

const BLOCK_MIN: usize = 4;
const BLOCK_MAX: usize = 256;

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends an entry; its number must be above the last one's.
    pub(crate) fn push(&mut self, slot: Slot) {
        let full = self.blocks.back().is_none_or(|block| block.len() == block.capacity());
        if full {
            let capacity = (self.count / 4).clamp(BLOCK_MIN, BLOCK_MAX);
            self.blocks.push_back(Vec::with_capacity(capacity));
        }
        if let Some(block) = self.blocks.back_mut() {
            block.push(slot);
            self.count += 1;
            self.bytes += slot.frame_bytes();
        }
    }

    pub(crate) fn first(&self) -> Option<&Slot> {
        self.iter().next()
    }

    pub(crate) fn last(&self) -> Option<&Slot> {
        self.blocks.back().and_then(|block| block.last())
    }

    pub(crate) fn pop(&mut self) -> Option<Slot> {
        let block = self.blocks.front()?;
        let slot = *block.get(self.taken)?;
        self.taken += 1;
        self.count -= 1;
        self.bytes -= slot.frame_bytes();
        if self.taken == block.len() {
            self.blocks.pop_front();
            self.taken = 0;
        }
        Some(slot)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.blocks.iter().enumerate().flat_map(|(index, block)| {
            let from = if index == 0 { self.taken } else { 0 };
            block.get(from..).unwrap_or_default()
        })
    }

    /// The entry with this number.
    pub(crate) fn find(&mut self, number: u64) -> Option<&mut Slot> {
        let block = self.blocks.partition_point(|block| block.last().is_some_and(|last| last.number < number));
        let from = if block == 0 { self.taken } else { 0 };
        let slots = self.blocks.get_mut(block)?.get_mut(from..)?;
        let at = slots.binary_search_by_key(&number, |slot| slot.number).ok()?;
        slots.get_mut(at)
    }
}

/// One lane.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) key: LaneKey,
    pub(crate) queue: Queue,
    /// All up to this number is settled.
    pub(crate) settled: u64,
    /// Settled more than the files say.
    pub(crate) dirty: bool,
}

/// All lanes.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    index: Sorted<LaneKey, u32>,
    all: Vec<Lane>,
    /// The one that was asked for last by [`index`](Lanes::index): most devices put to one lane alone.
    recent: u32,
}

impl Lanes {
    /// The lane's index, which is made if there is none.
    pub(crate) fn index(&mut self, key: LaneKey) -> u32 {
        self.recent = self.find(key).unwrap_or_else(|| self.add(key));
        self.recent
    }

    fn add(&mut self, key: LaneKey) -> u32 {
        self.all.push(Lane { key, ..Lane::default() });
        let index = (self.all.len() - 1) as u32;
        self.index.insert(key, index);
        index
    }

    pub(crate) fn find(&self, key: LaneKey) -> Option<u32> {
        match self.all.get(self.recent as usize) {
            Some(recent) if recent.key == key => Some(self.recent),
            _ => self.index.get(&key).copied(),
        }
    }

    pub(crate) fn get(&self, index: u32) -> &Lane {
        &self.all[index as usize]
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> &mut Lane {
        &mut self.all[index as usize]
    }

    /// Lanes that are known, waiting entries or not.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Lane)> {
        self.index.values().map(|index| (*index, &self.all[*index as usize]))
    }

    /// The smallest number that waits.
    pub(crate) fn first_waiting(&self) -> Option<u64> {
        self.iter().filter_map(|(_, lane)| lane.queue.first()).map(|slot| slot.number).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn memory_for_each_waiting_entry_is_24_bytes_and_200_for_a_lane() {
        assert_eq!(size_of::<Slot>(), 24);
        // The key in the index, which doubles when it grows.
        let index = 2 * size_of::<(LaneKey, u32)>();
        assert!(size_of::<Lane>() + index <= 200, "{}", size_of::<Lane>() + index);
        let mut queue = Queue::default();
        for number in 0..10_000 {
            queue.push(Slot::new(number, 1, 100, 0));
        }
        let held: usize = queue.blocks.iter().map(|block| block.capacity() * 24).sum();
        assert!(held + queue.blocks.capacity() * size_of::<Vec<Slot>>() <= 10_000 * 24 * 21 / 20, "{held}");
    }

    #[test]
    fn a_lane_keeps_its_index_whichever_was_asked_for_last() {
        let keys: Vec<LaneKey> = (0..5).map(|n| LaneKey { sender: n * 7 % 5, reported: n % 2 }).collect();
        let mut lanes = Lanes::default();
        assert_eq!(lanes.find(keys[0]), None);
        let made: Vec<u32> = keys.iter().map(|key| lanes.index(*key)).collect();
        assert_eq!(made, [0, 1, 2, 3, 4]);
        for recent in &keys {
            lanes.index(*recent);
            let found: Vec<_> = keys.iter().map(|key| lanes.find(*key).unwrap()).collect();
            assert_eq!(found, made);
            assert_eq!(lanes.get(lanes.find(*recent).unwrap()).key, *recent);
            assert_eq!(lanes.find(LaneKey { sender: 9, reported: 9 }), None);
        }
    }

    proptest! {
        #[test]
        fn a_queue_does_what_a_list_does(steps in prop::collection::vec((any::<bool>(), 1_u64..5, 0_u32..500), 0..800)) {
            let (mut queue, mut model) = (Queue::default(), VecDeque::new());
            let mut number = 0;
            for (push, step, length) in steps {
                if push {
                    number += step;
                    let slot = Slot::new(number, 2, length, 5_000).at(3, number as u32);
                    queue.push(slot);
                    model.push_back(slot);
                } else {
                    prop_assert_eq!(queue.pop(), model.pop_front());
                }
                prop_assert_eq!(queue.first(), model.front());
                prop_assert_eq!(queue.last(), model.back());
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.bytes(), model.iter().map(Slot::frame_bytes).sum::<u64>());
            }
            prop_assert!(queue.iter().eq(model.iter()));
            for wanted in 0..=number + 1 {
                let found = queue.find(wanted).map(|slot| *slot);
                prop_assert_eq!(found, model.iter().find(|slot| slot.number == wanted).copied());
            }
        }
    }
}
