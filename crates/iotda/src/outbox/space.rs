//! Where the bytes are: what each segment takes and how much of it still waits, which one is given back next, and
//! who has more than a fair share. Values only.

use super::segment::PAGE;
use super::sorted::Sorted;

/// Up to this much waits for its first sync; then a put waits.
pub(crate) const UNSYNCED_MAX: u64 = 256 * 1024;

/// How large things may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// All segments with entries together.
    pub(crate) log: u64,
    /// One segment.
    pub(crate) segment: u64,
    /// One of the two files of dead letters.
    pub(crate) dead: u64,
    /// One entry, its frame included.
    pub(crate) entry: u64,
}

/// The least that an outbox may take, in bytes.
pub(crate) const MAX_BYTES_LEAST: u64 = 256 * 1024;

impl Sizes {
    /// The division of `max_bytes`: two 32nds for dead letters, a page for the file `outbox`, and one segment that
    /// records of what was settled may always take, since without them nothing can be given back; the rest is for
    /// entries.
    pub(crate) fn of(max_bytes: u64) -> Self {
        let segment = (max_bytes / 16).min(256 * 1024) / PAGE * PAGE;
        let dead = max_bytes / 32;
        Sizes { log: max_bytes - 2 * dead - PAGE - segment, segment, dead, entry: max_bytes / 4 }
    }
}

/// What one segment takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Use {
    /// Of the file, in whole pages.
    pub(crate) bytes: u64,
    /// Frames of waiting entries.
    pub(crate) live: u64,
    pub(crate) count: u32,
    /// Still written to.
    pub(crate) open: bool,
    /// Left in place: a page of it cannot be read.
    pub(crate) kept: bool,
}

/// What may be done to get space back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reclaim {
    /// Nothing in these waits.
    Remove(Vec<u32>),
    /// What waits in this one is written again elsewhere.
    Copy(u32),
    Nothing,
}

/// How much it matters that space is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pressure {
    /// A segment of which less than half still waits is worth copying.
    None,
    /// A put would be refused otherwise: up to 7/8.
    Put,
    /// The last segment is in use: whatever goes into it.
    Last,
}

/// The use of all segments.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) sizes: Sizes,
    pub(crate) segments: Sorted<u32, Use>,
    /// Never removed: its name bounds the numbers that were handed out.
    pub(crate) newest: Option<u32>,
    /// Not removed for now, either: see [`Log::needed_before`](super::log::Log::needed_before).
    pub(crate) needed_before: Option<u32>,
    /// What still goes into the segments that are open, and are on disk in their full length.
    pub(crate) left: u64,
    /// Of that, what goes into the one that is written to; the rest goes into the spare one.
    pub(crate) left_in_active: u64,
    /// What a new segment holds beside entries.
    pub(crate) overhead: u64,
}

impl Space {
    pub(crate) fn new(sizes: Sizes) -> Self {
        Space {
            sizes,
            segments: Sorted::default(),
            newest: None,
            needed_before: None,
            left: 0,
            left_in_active: 0,
            overhead: 512,
        }
    }

    /// Bytes of all segments.
    pub(crate) fn used(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }

    /// Bytes that may still be added to the directory, the spare segment included.
    pub(crate) fn unused(&self) -> u64 {
        self.sizes.log.saturating_sub(self.used())
    }

    /// Bytes that records of what was settled may add, the last segment included.
    pub(crate) fn unused_for_records(&self) -> u64 {
        (self.sizes.log + self.sizes.segment).saturating_sub(self.used())
    }

    /// Whether `bytes` of frames, of which `largest` is the largest, find room without anything being given back.
    /// One segment always stays free, for copies.
    pub(crate) fn fits(&self, bytes: u64, largest: u64) -> bool {
        if bytes <= self.left {
            return true;
        }
        let free = self.unused().saturating_sub(self.sizes.segment);
        let usable = self.sizes.segment.saturating_sub(self.overhead);
        if largest > usable {
            // Segments are made for the large ones alone; the others go beside them.
            return bytes + bytes / usable.max(1) * self.overhead + 2 * self.overhead + 2 * PAGE <= free;
        }
        // A frame that does not fit at a segment's end leaves up to its length unused there.
        let wasted = usable.saturating_sub(largest.min(usable / 2)).max(1);
        bytes - self.left.min(bytes) <= free / self.sizes.segment * wasted
    }

    /// Whether `bytes` of frames, of which `largest` is the largest, find their space in the segments that are open. A frame
    /// that does not fit at the end of the active one leaves up to its length unused there.
    pub(crate) fn holds(&self, bytes: u64, largest: u64) -> bool {
        bytes <= self.left_in_active || bytes + largest.min(self.left_in_active) <= self.left
    }

    /// A frame of a waiting entry is in `place`.
    pub(crate) fn add(&mut self, place: u32, bytes: u64) {
        if let Some(segment) = self.segments.get_mut(&place) {
            segment.live += bytes;
            segment.count += 1;
        }
    }

    /// A frame in `place` waits no longer, or waits elsewhere.
    pub(crate) fn remove(&mut self, place: u32, bytes: u64) {
        if let Some(segment) = self.segments.get_mut(&place) {
            segment.live = segment.live.saturating_sub(bytes);
            segment.count = segment.count.saturating_sub(1);
        }
    }

    /// What to give back next.
    pub(crate) fn reclaim(&self, pressure: Pressure) -> Reclaim {
        let needed = |place: &u32| [self.newest, self.needed_before].contains(&Some(*place));
        let closed = |place: &u32, segment: &Use| !segment.open && !segment.kept && !needed(place);
        let empty: Vec<u32> = self
            .segments
            .iter()
            .filter(|(place, segment)| closed(place, segment) && segment.count == 0)
            .map(|(place, _)| *place)
            .collect();
        if !empty.is_empty() {
            return Reclaim::Remove(empty);
        }
        let emptiest = self
            .segments
            .iter()
            .filter(|(place, segment)| closed(place, segment))
            .min_by(|(_, a), (_, b)| (a.live * b.bytes).cmp(&(b.live * a.bytes)));
        let Some((place, segment)) = emptiest else { return Reclaim::Nothing };
        // What every segment holds beside entries is nothing to be gained.
        let filled = segment.live + self.overhead;
        let worth = match pressure {
            Pressure::None => filled * 2 < segment.bytes,
            Pressure::Put => filled * 8 < segment.bytes * 7,
            Pressure::Last => segment.live <= self.left,
        };
        if worth { Reclaim::Copy(*place) } else { Reclaim::Nothing }
    }

    /// What waiting entries can take in all: without the spare segment, and with 7/8 of what segments have beside
    /// their records.
    pub(crate) fn capacity(&self) -> u64 {
        let segments = (self.sizes.log / self.sizes.segment).saturating_sub(1);
        segments * self.sizes.segment.saturating_sub(self.overhead) / 8 * 7
    }

    /// The share of each of `lanes`, if more than three quarters are used, counting `waiting` bytes of frames: an
    /// equal part of these three quarters, so that lanes that wait for ever leave one quarter to those that come
    /// and go.
    pub(crate) fn share(&self, waiting: u64, lanes: usize) -> Option<u64> {
        let most = self.capacity() / 4 * 3;
        (waiting > most && lanes > 1).then(|| most / lanes as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KIB: u64 = 1024;

    fn space(max_bytes: u64, segments: &[(u64, u64)]) -> Space {
        let mut space = Space::new(Sizes::of(max_bytes));
        for (place, (bytes, live)) in segments.iter().enumerate() {
            let used = Use { bytes: *bytes, live: *live, count: u32::from(*live > 0), ..Use::default() };
            space.segments.insert(place as u32, used);
        }
        space
    }

    #[test]
    fn the_division_of_the_space() {
        for (max, segment) in [(256 * KIB, 16 * KIB), (MIB, 64 * KIB), (16 * MIB, 256 * KIB), (256 * MIB, 256 * KIB)] {
            let sizes = Sizes::of(max);
            assert_eq!((sizes.segment, sizes.dead, sizes.entry), (segment, max / 32, max / 4));
            assert!(sizes.log + sizes.segment + 2 * sizes.dead + PAGE <= max);
        }
    }

    const MIB: u64 = 1024 * KIB;

    #[test]
    fn empty_segments_come_first_then_the_emptiest_if_it_is_under_half() {
        let mut space = space(256 * KIB, &[(16 * KIB, 7 * KIB), (16 * KIB, 0), (16 * KIB, 6 * KIB), (16 * KIB, 0)]);
        space.newest = Some(3);
        assert_eq!(space.reclaim(Pressure::None), Reclaim::Remove(vec![1]));
        space.segments.remove(&1);
        assert_eq!(space.reclaim(Pressure::None), Reclaim::Copy(2));
        space.segments.get_mut(&2).unwrap().kept = true;
        assert_eq!(space.reclaim(Pressure::None), Reclaim::Copy(0));
        space.segments.get_mut(&0).unwrap().live = 8 * KIB - space.overhead;
        assert_eq!(space.reclaim(Pressure::None), Reclaim::Nothing);
        assert_eq!(space.reclaim(Pressure::Put), Reclaim::Copy(0));
        space.segments.get_mut(&0).unwrap().live = 14 * KIB - space.overhead;
        assert_eq!(space.reclaim(Pressure::Put), Reclaim::Nothing);
        space.segments.get_mut(&0).unwrap().open = true;
        space.segments.get_mut(&0).unwrap().live = 0;
        assert_eq!(space.reclaim(Pressure::Put), Reclaim::Nothing);
    }

    #[test]
    fn a_share_is_asked_only_when_three_quarters_are_used_and_never_of_a_single_device() {
        let space = space(256 * KIB, &[]);
        let capacity = space.capacity();
        assert_eq!(space.share(capacity / 4 * 3, 10), None);
        assert_eq!(space.share(capacity / 4 * 3 + 1, 10), Some(capacity / 4 * 3 / 10));
        assert_eq!(space.share(capacity, 1), None);
    }

    #[test]
    fn what_can_wait_in_the_least_outbox_there_is() {
        let mut space = space(256 * KIB, &[]);
        let (log, segment) = (220 * KIB, 16 * KIB);
        assert_eq!((space.sizes.log, space.sizes.segment, space.overhead), (log, segment, 512));
        // Seven eighths of 12 of 13 segments, but for their records.
        assert_eq!(space.capacity(), 12 * (segment - 512) / 8 * 7);
        // Small frames fill segments, larger ones leave up to half unused.
        space.left = 1000;
        for (largest, wasted) in [(64, 64), (7000, 7000), (12_000, 7936), (segment - 512, 7936)] {
            let most = 1000 + 12 * (segment - 512 - wasted);
            assert!(space.fits(most, largest) && !space.fits(most + 8, largest), "{largest}");
        }
        for (used, left) in [(0, log + segment), (log, segment), (log + segment + 1, 0)] {
            space.segments.insert(0, Use { bytes: used, ..Use::default() });
            assert_eq!(space.unused_for_records(), left);
        }
    }

    #[test]
    fn an_entry_larger_than_a_segment_fits_where_its_segments_and_two_pages_do() {
        let empty = space(MIB, &[]);
        let (segment, overhead) = (empty.sizes.segment, empty.overhead);
        let (usable, free) = (segment - overhead, empty.unused() - segment);
        for parts in 1..5 {
            // Each segment's worth may need a segment of its own, and what is at the ends fills its pages.
            let largest = parts * usable + usable / 2;
            let needed = largest + (parts + 2) * overhead + 2 * PAGE;
            for spare in [0, 1, PAGE] {
                let used = Use { bytes: free - needed - spare, ..Use::default() };
                let mut space = space(MIB, &[]);
                space.segments.insert(0, used);
                assert!(space.fits(largest, largest), "{parts} {spare}");
                space.segments.insert(1, Use { bytes: spare + 1, ..Use::default() });
                assert!(!space.fits(largest, largest), "{parts} {spare}");
                space.left = largest;
                assert!(space.fits(largest, largest), "it goes into what is open");
            }
        }
    }

    proptest! {
        /// What fits by the count does fit when it is laid out, segment by segment.
        #[test]
        fn what_fits_can_be_written(lengths in prop::collection::vec(64_u64..9000, 1..80), taken in 0_u64..16, left in 0_u64..12_000) {
            let mut space = space(256 * KIB, &[]);
            space.segments.insert(0, Use { bytes: taken * 16 * KIB, ..Use::default() });
            space.left = left;
            let largest = lengths.iter().copied().max().unwrap_or(0);
            if space.fits(lengths.iter().sum(), largest) && largest <= space.sizes.segment - space.overhead {
                let (mut left, mut free) = (left, space.unused().saturating_sub(space.sizes.segment));
                for length in &lengths {
                    if *length > left {
                        prop_assert!(free >= space.sizes.segment, "spare");
                        free -= space.sizes.segment;
                        left = space.sizes.segment - space.overhead;
                    }
                    left -= length;
                }
            }
        }
    }
}
