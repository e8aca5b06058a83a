//! Who is refused and who loses entries while space is short.

use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Instant;

use super::super::engine::NotPut;
use super::super::platform::{Deliver, Ended, Verdict};
use super::super::worker::{Manner, Step};
use super::scripted::{Stand, accept, key, manner};

const MIB: u64 = 1 << 20;
/// Of one message's frame.
const BYTES: u64 = 10_056;

fn message(stand: &Stand, device: &str) -> Result<u64, NotPut> {
    stand.message(device, &"x".repeat(10_000))
}

fn held(stand: &Stand, device: &str) -> u64 {
    let state = stand.worker.engine.lock();
    let lane = state.book.lanes.find(key(device));
    lane.map_or(0, |lane| state.book.lanes.get(lane).queue.bytes())
}

/// An outbox of which one device uses more than three quarters, and another one little.
fn short(drop_oldest: bool) -> Stand {
    let stand = Stand::new(MIB, Manner { drop_oldest, ..manner() }, Box::new(accept));
    message(&stand, "small").unwrap();
    let most = stand.worker.engine.lock().book.space.capacity() / 4 * 3;
    while held(&stand, "large") + BYTES <= most {
        message(&stand, "large").unwrap();
    }
    stand
}

#[test]
fn above_its_share_a_device_is_refused_or_loses_its_own_oldest() {
    let stand = short(false);
    let before = held(&stand, "large");
    assert_eq!(message(&stand, "large"), Err(NotPut::Full));
    // Below it, it is not asked what the others have.
    message(&stand, "small").unwrap();
    message(&stand, "new").unwrap();
    assert_eq!((held(&stand, "large"), held(&stand, "small")), (before, 2 * BYTES));

    let stand = short(true);
    message(&stand, "small").unwrap();
    assert_eq!((held(&stand, "large"), stand.worker.counters().dropped), (before, 0));
    let (waiting, lanes) = {
        let book = &stand.worker.engine.lock().book;
        (book.waiting, book.lanes_waiting)
    };
    let share = stand.worker.engine.lock().book.space.share(waiting, lanes).unwrap();
    message(&stand, "large").unwrap();
    assert!((share - BYTES + 1..=share).contains(&held(&stand, "large")), "{} of {share}", held(&stand, "large"));
    assert_eq!(held(&stand, "small"), 2 * BYTES);
}

/// Puts for the same device while its request is under way.
#[derive(Default)]
struct Inside {
    stand: OnceLock<Weak<Stand>>,
    refused: Mutex<Option<NotPut>>,
}

impl Deliver for Inside {
    fn device_id(&self) -> &str {
        "large"
    }

    fn deliver(&self, _kind: u8, _body: &[u8], _deadline: Option<Instant>) -> Ended {
        let stand = self.stand.get().unwrap().upgrade().unwrap();
        *self.refused.lock().unwrap() = (0..200).find_map(|_| message(&stand, "large").err());
        let small = stand.worker.engine.lock().book.lanes.find(key("small"));
        assert_eq!(stand.worker.victim(Some(key("large"))), small, "not the one whose request is under way");
        Ended { verdict: Verdict::Delivered, requests: 1 }
    }

    fn platform_ms(&self) -> Option<i64> {
        None
    }

    fn interrupt(&self) {}
}

/// Above its share, and alone.
#[test]
fn what_is_under_way_is_not_dropped() {
    let alone = Stand::new(MIB, Manner { drop_oldest: true, ..manner() }, Box::new(accept));
    message(&alone, "large").unwrap();
    for stand in [short(true), alone] {
        let stand = Arc::new(stand);
        let inside = Arc::new(Inside::default());
        inside.stand.set(Arc::downgrade(&stand)).unwrap();
        stand.attach_by("large", inside.clone());
        assert_eq!(stand.worker.step(None), Step::Did);
        assert_eq!(*inside.refused.lock().unwrap(), Some(NotPut::Full));
        assert_eq!(stand.worker.counters().dropped, 0);
    }
}

#[test]
fn a_device_of_which_nothing_waits_loses_nothing_for_others() {
    let stand = short(true);
    stand.attach("small");
    stand.run(u64::MAX, 0);
    assert_eq!(held(&stand, "small"), 0);
    let large = stand.worker.engine.lock().book.lanes.find(key("large"));
    for own in [Some(key("small")), Some(key("nobody")), None] {
        assert_eq!(stand.worker.victim(own), large);
    }
}
