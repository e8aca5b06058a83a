//! Dead letters together with the outbox that they come from: what is durable first, how much they take, what is counted.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::dead::Dead;
use super::super::engine::Keeping;
use super::super::platform::Verdict;
use super::super::space::Sizes;
use super::crash::waiting;
use super::scripted::{self, Stand, manner, refusal};
use super::simulated::Simulated;
use super::states::{Mode, PAGE, Random, Replay};
use super::whole::{Setting, device, put};

const MAX: u64 = 256 * 1024;

/// Whatever a power cut leaves, the refused entry waits or is a letter.
#[test]
fn a_letter_is_durable_before_its_entry_is_settled() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let stand = Stand::new(MAX, manner(), Box::new(|_, _, _| refusal()));
        stand.attach("d");
        let mut numbers = Vec::new();
        for text in ["first", "second"] {
            numbers.push(stand.message("d", text).unwrap());
        }
        stand.worker.engine.commit(true, None).unwrap();
        let acknowledged = stand.storage.change_count();
        stand.run(1000, 0);
        assert_eq!((stand.entries(), stand.worker.counters().dead), (0, 2));
        stand.worker.engine.commit(true, None).unwrap();
        let changes = stand.storage.changes();
        let mut replay = Replay::default();
        changes[..acknowledged].iter().for_each(|change| replay.advance(change));
        let mut seen = BTreeSet::new();
        for change in &changes[acknowledged..] {
            for mode in [Mode::Kill, Mode::Strict] {
                let files = Simulated::with(replay.crash(Some(change), mode, &mut random).files);
                let dead = Dead::open(Arc::new(files.clone()), Sizes::of(MAX).dead).unwrap();
                let letters = [dead.read(0).unwrap(), dead.read(1).unwrap()];
                let letters: BTreeSet<u64> = letters.into_iter().flatten().map(|letter| letter.id).collect();
                let keeping = Keeping { sizes: Sizes::of(MAX), sync_at_put: false, pad: false };
                let waiting: BTreeSet<u64> = waiting(&scripted::engine(&files, keeping)).into_keys().collect();
                let kept = numbers.iter().all(|number| waiting.contains(number) || letters.contains(number));
                assert!(kept, "seed {seed}, {mode:?}: {waiting:?} wait, {letters:?} are letters, of {numbers:?}");
                seen.insert((waiting.len(), letters.len()));
            }
            replay.advance(change);
        }
        assert!(seen.contains(&(2, 0)) && seen.contains(&(0, 2)), "{seen:?}");
    }
}

/// Letters whose files are full and replaced, and entries until there is no room, take no more than they may together.
#[test]
fn letters_and_entries_take_no_more_than_the_bound_together() {
    let stand = Stand::new(
        MAX,
        manner(),
        Box::new(|device, _, _| match device {
            "bad" => refusal(),
            _ => Verdict::Delivered,
        }),
    );
    stand.attach("bad");
    let (mut most, mut refused) = (0, 0);
    for number in 0..400 {
        // Nobody delivers these.
        refused += u64::from(stand.message("away", &"x".repeat(1000)).is_err());
        let _ = stand.message("bad", &format!("{number:01000}"));
        stand.run(stand.clocks.boot_ms.load(std::sync::atomic::Ordering::SeqCst) + 3_600_000, 0);
        most = most.max(stand.storage.bytes());
    }
    let dropped = stand.worker.dead().dropped;
    assert!(refused > 100 && dropped > 10, "{refused} were refused, {dropped} letters removed");
    // The file `outbox` is not among these, and takes a page.
    assert!(most + PAGE <= MAX as usize, "{most} bytes");
}

/// Between two that are refused one is delivered, so that the pair never waits.
#[test]
fn letters_that_make_room_for_newer_ones_are_counted() {
    let setting = Setting::new();
    let outbox = setting.open(1_000, 0, None);
    let refused = |body: &[u8]| if body.starts_with(b"bad") { refusal() } else { Verdict::Delivered };
    outbox.attach(1, device(refused)).unwrap();
    for _ in 0..20 {
        put(&outbox, &format!("bad {}", "x".repeat(5_000))).unwrap();
        put(&outbox, "good").unwrap();
    }
    outbox.pump(None, None).unwrap();
    let stats = outbox.stats().unwrap();
    assert_eq!((stats.dead, stats.delivered, stats.dead_kept + stats.dead_dropped), (20, 20, 20));
    assert!(stats.dead_dropped > 0 && stats.dead_kept > 4, "{stats:?}");
}
