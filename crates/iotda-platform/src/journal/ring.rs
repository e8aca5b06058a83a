//! The latest of many, within bounds, found by their numbers.

use std::collections::VecDeque;

/// How much is kept in memory. What comes beyond it takes the place of the oldest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) records: usize,
    /// All that the records take, about.
    pub(crate) bytes: usize,
}

/// What is kept has a number that is one more than that of what was kept before it.
pub(crate) trait Numbered: Clone {
    fn number(&self) -> u64;
}

#[derive(Debug)]
pub(crate) struct Ring<T> {
    /// With the bytes of each.
    items: VecDeque<(T, usize)>,
    bytes: usize,
    bounds: Bounds,
    dropped: u64,
}

impl<T: Numbered> Ring<T> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { items: VecDeque::new(), bytes: 0, bounds, dropped: 0 }
    }

    pub(super) fn push(&mut self, item: T, bytes: usize) {
        self.items.push_back((item, bytes));
        self.bytes += bytes;
        while self.items.len() > self.bounds.records || self.bytes > self.bounds.bytes {
            let Some((_, bytes)) = self.items.pop_front() else { break };
            self.bytes -= bytes;
            self.dropped += 1;
        }
    }

    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.bytes = 0;
    }

    /// How many have made way for later ones.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The number of the oldest, if there is one.
    pub(crate) fn first(&self) -> Option<u64> {
        self.items.front().map(|(item, _)| item.number())
    }

    /// Up to `count` of those that follow a number, oldest first. It takes the time of what it gives, not of what there
    /// is: it is called under the lock that devices wait for.
    pub(crate) fn after(&self, number: u64, count: usize) -> Vec<T> {
        let first = self.first().unwrap_or_default();
        let start = usize::try_from((number + 1).saturating_sub(first)).unwrap_or(usize::MAX).min(self.items.len());
        self.items.range(start..).take(count).map(|(item, _)| item.clone()).collect()
    }

    /// Up to `count` of those before a number, newest first.
    pub(crate) fn before(&self, number: u64, count: usize) -> Vec<T> {
        let first = self.first().unwrap_or_default();
        let end = usize::try_from(number.saturating_sub(first)).unwrap_or(usize::MAX).min(self.items.len());
        self.items.range(..end).rev().take(count).map(|(item, _)| item.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Numbered for u64 {
        fn number(&self) -> u64 {
            *self
        }
    }

    fn kept(ring: &Ring<u64>) -> Vec<u64> {
        ring.items.iter().map(|(item, _)| *item).collect()
    }

    #[test]
    fn the_oldest_make_way() {
        let mut ring = Ring::new(Bounds { records: 3, bytes: 100 });
        for item in 0..5 {
            ring.push(item, 1);
        }
        assert_eq!((kept(&ring), ring.dropped), (vec![2, 3, 4], 2));
        ring.push(5, 98);
        assert_eq!((kept(&ring), ring.bytes, ring.dropped), (vec![3, 4, 5], 100, 3));
        ring.push(6, 101);
        assert_eq!((kept(&ring), ring.bytes), (vec![], 0));
        ring.push(7, 1);
        ring.clear();
        assert_eq!((kept(&ring), ring.bytes), (vec![], 0));
    }

    #[test]
    fn they_are_found_by_their_numbers() {
        let mut ring = Ring::new(Bounds { records: 4, bytes: 100 });
        assert_eq!((ring.after(0, 9), ring.before(u64::MAX, 9)), (vec![], vec![]));
        for item in 1..=6 {
            ring.push(item, 1);
        }
        assert_eq!(ring.after(0, 9), [3, 4, 5, 6]);
        assert_eq!(ring.after(3, 2), [4, 5]);
        assert!(ring.after(6, 2).is_empty());
        assert!(ring.after(100, 2).is_empty());
        assert_eq!(ring.before(u64::MAX, 3), [6, 5, 4]);
        assert_eq!(ring.before(5, 9), [4, 3]);
        assert!(ring.before(2, 9).is_empty());
    }
}
