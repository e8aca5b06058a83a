//! What an outbox may cost in reads, bytes written and syncs: counted, so that it is the same on every machine. What a put
//! costs in instructions is held by `crates/bench/budgets.toml`.

use super::super::book::Entry;
use super::super::engine::{Engine, Keeping};
use super::super::frame::{LaneKey, Stamp, frame_bytes, kind};
use super::super::space::Sizes;
use super::scripted;
use super::simulated::Simulated;

fn open(storage: &Simulated, sync_at_put: bool) -> Engine {
    scripted::engine(storage, Keeping { sizes: Sizes::of(32 << 20), sync_at_put, pad: false })
}

fn put(engine: &Engine, payload: &[u8]) {
    let lane = LaneKey { sender: 1, reported: payload[0].into() };
    engine.put(&[Entry { lane, kind: kind::MESSAGE, payload }], Stamp::default(), None).unwrap();
}

#[test]
fn opening_reads_every_file_once() {
    let storage = Simulated::default();
    let engine = open(&storage, false);
    let mut count = 0;
    while engine.lock().book.waiting < 2 << 20 {
        put(&engine, &[(count % 100) as u8; 140]);
        count += 1;
    }
    engine.commit(true, None).unwrap();
    let after_a_kill = Simulated::with(storage.files());
    let (files, bytes) = (after_a_kill.files().len(), after_a_kill.bytes() as u64);
    let engine = open(&after_a_kill, false);
    assert_eq!(engine.lock().book.waiting_entries, count);
    assert!(bytes > 2 << 20 && files > 8);
    assert_eq!((after_a_kill.reads(), after_a_kill.read_calls()), (bytes, files));
}

#[test]
fn bytes_written_and_syncs_for_each_entry() {
    const ENTRIES: u64 = 2_000;
    const PAYLOAD: usize = 150;
    for (sync_at_put, together) in [(true, 1), (false, 10), (false, 1_000)] {
        let storage = Simulated::default();
        let engine = open(&storage, sync_at_put);
        let before = engine.lock().counts;
        for count in 1..=ENTRIES {
            put(&engine, &[7; PAYLOAD]);
            if !sync_at_put && count % together == 0 {
                engine.commit(true, None).unwrap();
            }
        }
        let after = engine.lock().counts;
        let frames = ENTRIES * frame_bytes(PAYLOAD) as u64;
        // Beside the frames: two segments that are filled with zeros first, and in each what a segment begins with.
        let beside = after.bytes_written - before.bytes_written - frames;
        assert!(beside < 2 * (256 << 10) + 1_024, "{together} together: {beside} bytes beside the frames");
        // Beside one for each commit: the two segments' names, and the end of the first one.
        let syncs = after.syncs - before.syncs;
        assert!(syncs <= ENTRIES / together + 3, "{together} together: {syncs} syncs");
    }
}
