//! Figures for the design's budgets, on demand: they depend on the machine, and nothing is asserted about time.
//! `cargo test --release -p iotda --lib outbox::tests::budgets -- --ignored --nocapture`
//!
//! With the environment variable `IOTDA_BLOCK_STAT` naming a file such as `/sys/block/loop0/stat`, of a device on which
//! `TMPDIR` is, the bytes that reach the device are counted as well.

use std::sync::Arc;
use std::time::Instant;

use super::super::book::Entry;
use super::super::directory::Directory;
use super::super::directory::tests::Scratch;
use super::super::engine::{Engine, Keeping};
use super::super::frame::{LaneKey, Stamp, kind};
use super::super::space::Sizes;
use super::super::storage::Storage;
use super::scripted::still;

fn open(scratch: &Scratch, sync_at_put: bool) -> Engine {
    let keeping = Keeping { sizes: Sizes::of(32 << 20), sync_at_put, pad: false };
    Engine::open(Arc::new(Directory::open(&scratch.0).unwrap()), keeping, None, still()).unwrap().0
}

fn put(engine: &Engine, payload: &[u8]) {
    let lane = LaneKey { sender: 1, reported: payload[0].into() };
    engine.put(&[Entry { lane, kind: kind::MESSAGE, payload }], Stamp::default(), None).unwrap();
}

#[test]
#[ignore = "prints figures of this machine"]
fn opening_sixteen_mebibytes_of_entries() {
    let scratch = Scratch::new("budget-open");
    let engine = open(&scratch, false);
    let mut count = 0_u32;
    while engine.lock().book.waiting < 16 << 20 {
        let mut payload = [7; 140];
        payload[0] = (count % 100) as u8;
        put(&engine, &payload);
        count += 1;
    }
    engine.commit(true, None).unwrap();
    drop(engine);
    let start = Instant::now();
    for (name, _) in Directory::open(&scratch.0).unwrap().list().unwrap() {
        std::fs::read(scratch.0.join(name)).unwrap();
    }
    let read = start.elapsed();
    let start = Instant::now();
    let engine = open(&scratch, false);
    println!("{count} entries opened in {:?}, read in {read:?}", start.elapsed());
    assert_eq!(engine.lock().book.waiting_entries, u64::from(count));
}

/// Bytes that were written to the device; none if nobody says which.
fn on_device() -> Option<u64> {
    let stat = std::fs::read_to_string(std::env::var_os("IOTDA_BLOCK_STAT")?).ok()?;
    // The seventh number, in units of 512 bytes: Documentation/block/stat.rst of Linux.
    Some(stat.split_whitespace().nth(6)?.parse::<u64>().ok()? * 512)
}

#[test]
#[ignore = "prints figures of this machine"]
fn bytes_and_time_for_each_entry() {
    for (sync_at_put, together) in [(true, 1), (false, 10), (false, 1000)] {
        let scratch = Scratch::new("budget-put");
        let engine = open(&scratch, sync_at_put);
        let before = engine.lock().counts;
        let device_before = on_device();
        let start = Instant::now();
        for count in 1..=2_000 {
            put(&engine, &[7; 150]);
            if !sync_at_put && count % together == 0 {
                engine.commit(true, None).unwrap();
            }
        }
        let after = engine.lock().counts;
        println!(
            "{together} in a commit: {} bytes handed to the file system, {:?} to the device, and {:.2} syncs for an entry, \
             {:?}",
            (after.bytes_written - before.bytes_written) / 2_000,
            on_device().zip(device_before).map(|(after, before)| (after - before) / 2_000),
            (after.syncs - before.syncs) as f64 / 2_000.0,
            start.elapsed() / 2_000
        );
    }
}
