//! What has been settled: for each lane one number up to which everything is, and one floor below which everything
//! is in every lane. Functions on values.
//!
//! All of these only grow, so records are merged by taking the larger of two numbers, in any order: a record that
//! is damaged, or read again from a file whose removal a power cut undid, does no harm.

use super::frame::{LaneKey, u32_at, u64_at};
use super::sorted::Sorted;

const HEAD: usize = 24;
const LANE: usize = 24;

/// What a set of records says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Everything below is settled.
    pub(crate) floor: u64,
    /// Numbers below this may have been handed out.
    pub(crate) reserved: u64,
    lanes: Sorted<LaneKey, u64>,
}

impl Settled {
    /// Adds what one record says; `false`: it is no record.
    pub(crate) fn merge(&mut self, payload: &[u8]) -> bool {
        let count = u32_at(payload, 16) as usize;
        if payload.len() < HEAD || payload.len() - HEAD != count.saturating_mul(LANE) {
            return false;
        }
        self.floor = self.floor.max(u64_at(payload, 0));
        self.reserved = self.reserved.max(u64_at(payload, 8));
        for lane in payload[HEAD..].chunks_exact(LANE) {
            let key = LaneKey { sender: u64_at(lane, 0), reported: u64_at(lane, 8) };
            let up_to = self.lanes.or_insert_with(key, || 0);
            *up_to = (*up_to).max(u64_at(lane, 16));
        }
        true
    }

    /// Whether the entry with this number is settled.
    pub(crate) fn covers(&self, lane: LaneKey, number: u64) -> bool {
        number < self.floor || self.lanes.get(&lane).is_some_and(|up_to| number <= *up_to)
    }

    /// The lanes with the number up to which they are settled.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = (LaneKey, u64)> + '_ {
        self.lanes.iter().map(|(key, up_to)| (*key, *up_to))
    }
}

/// The payload of a record.
pub(crate) fn record(floor: u64, reserved: u64, lanes: impl Iterator<Item = (LaneKey, u64)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD + lanes.size_hint().0 * LANE);
    out.extend_from_slice(&floor.to_le_bytes());
    out.extend_from_slice(&reserved.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    let mut count = 0_u32;
    for (key, up_to) in lanes {
        out.extend_from_slice(&key.sender.to_le_bytes());
        out.extend_from_slice(&key.reported.to_le_bytes());
        out.extend_from_slice(&up_to.to_le_bytes());
        count += 1;
    }
    out[16..20].copy_from_slice(&count.to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(number: u64) -> LaneKey {
        LaneKey { sender: number, reported: number * 3 }
    }

    #[test]
    fn what_is_no_record_changes_nothing() {
        let good = record(5, 9, [(key(1), 7)].into_iter());
        for bad in [&good[..0], &good[..HEAD - 1], &good[..good.len() - 1], &[good.clone(), vec![0]].concat()] {
            let mut settled = Settled::default();
            assert!(!settled.merge(bad));
            assert_eq!(settled, Settled::default());
        }
        let mut lying = good;
        lying[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(!Settled::default().merge(&lying));
    }

    proptest! {
        /// The model: a set of settled entries that only grows.
        #[test]
        fn records_may_come_in_any_order_and_twice(
            records in prop::collection::vec((0_u64..50, 0_u64..99, prop::collection::vec((0_u64..4, 0_u64..100), 0..5)), 0..12),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        ) {
            let encode = |(floor, reserved, lanes): &(u64, u64, Vec<(u64, u64)>)| {
                record(*floor, *reserved, lanes.iter().map(|(lane, up_to)| (key(*lane), *up_to)))
            };
            let mut straight = Settled::default();
            for record in &records {
                prop_assert!(straight.merge(&encode(record)));
            }
            let mut mixed = Settled::default();
            if !records.is_empty() {
                for index in &order {
                    mixed.merge(&encode(index.get(&records)));
                }
            }
            for record in records.iter().rev() {
                mixed.merge(&encode(record));
            }
            prop_assert_eq!(&mixed, &straight);
            for lane in 0..4 {
                for number in 0..100 {
                    let expected = records.iter().any(|(floor, _, lanes)| {
                        number < *floor || lanes.iter().any(|(other, up_to)| *other == lane && number <= *up_to)
                    });
                    prop_assert_eq!(straight.covers(key(lane), number), expected);
                }
            }
        }
    }
}
