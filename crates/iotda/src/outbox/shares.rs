//! Who loses entries, or is refused, while space is short. How much space there is, is decided in [`super::space`].

use super::book::Entry;
use super::engine::{NotPut, State};
use super::frame::{LaneKey, frame_bytes};
use super::stats::Fate;
use super::worker::Worker;

impl Worker {
    /// While space is short: a lane above its share is refused, or loses its own oldest entries.
    pub(super) fn keep_share(&self, entry: &Entry<'_>) -> Result<Option<u32>, NotPut> {
        let bytes = frame_bytes(entry.payload.len()) as u64;
        let (lane, over) = {
            let state = self.engine.lock();
            let lane = state.book.lanes.find(entry.lane);
            let held = lane.map_or(0, |lane| state.book.lanes.get(lane).queue.bytes());
            let lanes = state.book.lanes_waiting + usize::from(held == 0);
            let share = state.book.space.share(state.book.waiting, lanes);
            (lane, share.map_or(0, |share| (held + bytes).saturating_sub(share)).min(held))
        };
        match lane {
            _ if over == 0 => Ok(lane),
            Some(lane) if self.manner.drop_oldest && !self.work().turns.is_busy(lane) => {
                self.drop_oldest(lane, over);
                Ok(Some(lane))
            }
            _ => Err(NotPut::Full),
        }
    }

    /// The lane that loses entries for others: the one that is put to, or else the largest.
    pub(super) fn victim(&self, own: Option<LaneKey>) -> Option<u32> {
        let state = self.engine.lock();
        let work = self.work();
        let free = |lane: &u32| state.book.lanes.get(*lane).queue.len() > 0 && !work.turns.is_busy(*lane);
        own.and_then(|own| state.book.lanes.find(own)).filter(free).or_else(|| largest(&state, &free))
    }

    pub(super) fn drop_oldest(&self, lane: u32, bytes: u64) {
        let up_to = {
            let state = self.engine.lock();
            let mut sum = 0;
            let enough = state.book.lanes.get(lane).queue.iter().find(|slot| {
                sum += slot.frame_bytes();
                sum >= bytes
            });
            enough.map_or(u64::MAX, |slot| slot.number)
        };
        self.give_up(lane, up_to, Fate::Dropped);
    }
}

fn largest(state: &State, free: &dyn Fn(&u32) -> bool) -> Option<u32> {
    let lanes = state.book.lanes.iter().filter(|(index, _)| free(index));
    lanes.max_by_key(|(_, lane)| lane.queue.bytes()).map(|(index, _)| index)
}
