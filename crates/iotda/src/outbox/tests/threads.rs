//! The threads of an outbox: what wakes them, how many requests they have under way, what becomes of a fault in one, and what
//! goes on while one syncs.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::super::book::Entry;
use super::super::frame::{LaneKey, kind};
use super::super::opened::Refused;
use super::super::options::catching_panics;
use super::super::platform::Verdict;
use super::super::running::Threads;
use super::whole::{Setting, Silent, close, device, put};

#[test]
fn a_thread_syncs_in_time_what_was_put_and_what_was_answered() {
    let setting = Setting::new();
    let outbox = setting.open(1, 1, None);
    let (asked, seen) = std::sync::mpsc::channel();
    let mut verdicts = vec![Verdict::Paced(1_000_000)].into_iter();
    let script = move |_: &[u8]| {
        asked.send(()).unwrap();
        verdicts.next().unwrap_or(Verdict::Delivered)
    };
    setting.storage.hold_syncs(true);
    put(&outbox, "first").unwrap();
    outbox.attach(1, device(script)).unwrap();
    seen.recv().unwrap();
    setting.clocks.boot_ms.store(1, Ordering::SeqCst);
    setting.storage.wait_for_held(1);
    setting.storage.hold_syncs(false);
    // Nothing is to be delivered now: only the window says that something is to be done.
    outbox.sync(None).unwrap();
    setting.storage.hold_syncs(true);
    put(&outbox, "second").unwrap();
    setting.clocks.boot_ms.store(2, Ordering::SeqCst);
    setting.storage.wait_for_held(2);
    setting.storage.hold_syncs(false);
    outbox.sync(None).unwrap();
    // What is answered is written at once, and is to be synced within a second.
    setting.storage.hold_syncs(true);
    outbox.attach(1, device(|_| Verdict::Delivered)).unwrap();
    outbox.flush(Some(Instant::now() + Duration::from_secs(60)), None).unwrap();
    setting.clocks.boot_ms.store(1_002, Ordering::SeqCst);
    outbox.wake();
    setting.storage.wait_for_held(3);
    setting.storage.hold_syncs(false);
}

#[test]
fn as_many_requests_are_under_way_as_were_asked_for_and_each_is_of_another_lane() {
    let setting = Setting::new();
    let outbox = setting.open(1_000, 3, None);
    for round in 0..2 {
        for reported in 1..=5 {
            let text = format!("{reported} {round}");
            let lane = LaneKey { sender: 1, reported };
            outbox.put(&[Entry { lane, kind: kind::MESSAGE, payload: text.as_bytes() }], 0, None).unwrap();
        }
    }
    let silent = Arc::new(Silent::default());
    outbox.attach(1, silent.clone()).unwrap();
    let waiting = silent.interrupted.lock().unwrap();
    let minute = Duration::from_secs(60);
    let fewer = |_: &mut bool| silent.asked.lock().unwrap().len() < 3;
    drop(silent.changed.wait_timeout_while(waiting, minute, fewer).unwrap());
    close(outbox).unwrap();
    let mut asked = silent.asked.lock().unwrap().clone();
    asked.sort_unstable();
    assert_eq!(asked.len(), 3, "{asked:?}");
    asked.dedup_by_key(|text| text.as_bytes()[0]);
    assert!(asked.len() == 3 && asked.iter().all(|text| text.ends_with(" 0")), "the first of each: {asked:?}");
    assert_eq!(setting.after_a_kill(), 10);
}

/// In the thread that delivers, and in the one that syncs.
#[test]
fn a_fault_of_the_library_in_a_thread_is_reported_once_and_ends_in_errors_and_not_in_silence() {
    for in_delivery in [true, false] {
        let setting = Setting::new();
        let reported: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&reported);
        let fault = Box::new(move |fault: &str| noted.lock().unwrap().push(fault.to_owned()));
        let outbox = setting.open_with(1_000, 1, None, Threads { run: catching_panics, fault: Some(fault) });
        put(&outbox, "x").unwrap();
        if in_delivery {
            outbox.attach(1, device(|_| panic!("a fault of delivery"))).unwrap();
        } else {
            setting.storage.panic_at_next_sync();
            setting.clocks.boot_ms.store(1_000, Ordering::SeqCst);
            outbox.wake();
        }
        let broken = outbox.flush(Some(Instant::now() + Duration::from_secs(60)), None).unwrap_err();
        let Refused::Broken(text) = &broken else { panic!("{broken:?}") };
        assert!(text.starts_with("a fault of"), "{text}");
        let is_broken = |result: Result<(), Refused>| assert_eq!(result, Err(broken.clone()));
        is_broken(put(&outbox, "y").map(drop));
        is_broken(outbox.sync(None));
        is_broken(outbox.pump(None, None).map(drop));
        is_broken(outbox.attach(1, device(|_| Verdict::Delivered)));
        is_broken(outbox.discard(1).map(drop));
        is_broken(outbox.dead_read(0).map(drop));
        is_broken(outbox.dead_forget(0));
        is_broken(outbox.stats().map(drop));
        assert_eq!(*reported.lock().unwrap(), std::slice::from_ref(text));
        let closed = close(outbox);
        if in_delivery {
            closed.unwrap();
            assert_eq!(setting.after_a_kill(), 1, "what was put is on the device");
        }
    }
}

/// Counted, not timed: what each of 64 threads puts is taken while a sync goes on for as long as the test likes.
#[test]
fn puts_go_on_during_a_sync_that_takes_long_until_256_kib_wait() {
    let setting = Setting::new();
    let outbox = setting.open(1_000, 0, None);
    put(&outbox, "the first").unwrap();
    // Within its call's time, which is over.
    let put_at_once = |length: usize| {
        let lane = LaneKey { sender: 1, reported: 1 };
        outbox.put(&[Entry { lane, kind: kind::MESSAGE, payload: &vec![b'x'; length] }], 0, Some(Instant::now()))
    };
    setting.storage.hold_syncs(true);
    std::thread::scope(|scope| {
        let syncing = scope.spawn(|| outbox.sync(None));
        setting.storage.wait_for_held(1);
        let threads: Vec<_> =
            (0..64).map(|_| scope.spawn(|| (0..20).filter(|_| put_at_once(100).is_ok()).count())).collect();
        let taken: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        // Until 256 KiB wait.
        let more = (0..300).take_while(|_| put_at_once(1_000).is_ok()).count();
        let refused = put_at_once(1_000);
        let unsynced = outbox.shared().worker.engine.lock().book.unsynced();
        let is_synced = syncing.is_finished();
        setting.storage.hold_syncs(false);
        syncing.join().unwrap().unwrap();
        assert_eq!((taken, is_synced), (64 * 20, false), "none has waited for the sync");
        assert_eq!(refused, Err(Refused::Timeout));
        assert!((250 * 1024..=256 * 1024).contains(&unsynced) && more > 40, "{unsynced} bytes, {more} more");
    });
    put(&outbox, "the last").unwrap();
    outbox.sync(None).unwrap();
    assert!(setting.after_a_kill() > 64 * 20 + 42);
}
