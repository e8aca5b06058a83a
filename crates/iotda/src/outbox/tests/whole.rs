//! The outbox as a program sees it: windows, syncs, pumping, flushing, threads, statistics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use iotda_http::CancelToken;

use super::super::book::Entry;
use super::super::clock::Clocks;
use super::super::frame::{LaneKey, kind};
use super::super::opened::{Opened, Options, Refused};
use super::super::options::catching_panics;
use super::super::platform::{Deliver, Ended, Verdict};
use super::super::running::Threads;
use super::super::stats::Fate;
use super::super::worker::Observer;
use super::scripted::{Virtual, manner};
use super::simulated::{Failing, How, Simulated};

type Script = Box<dyn FnMut(&[u8]) -> Verdict + Send>;

pub(super) struct Device(Mutex<Script>);

impl Deliver for Device {
    fn device_id(&self) -> &str {
        "device"
    }

    fn deliver(&self, _kind: u8, body: &[u8], _deadline: Option<Instant>) -> Ended {
        Ended { verdict: (self.0.lock().unwrap())(body), requests: 1 }
    }

    fn platform_ms(&self) -> Option<i64> {
        None
    }

    fn interrupt(&self) {}
}

/// Does not answer until it is interrupted.
#[derive(Default)]
pub(super) struct Silent {
    pub(super) interrupted: Mutex<bool>,
    pub(super) changed: Condvar,
    pub(super) asked: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl Deliver for Silent {
    fn device_id(&self) -> &str {
        "silent"
    }

    fn deliver(&self, _kind: u8, body: &[u8], _deadline: Option<Instant>) -> Ended {
        let interrupted = self.interrupted.lock().unwrap();
        self.asked.lock().unwrap().push(String::from_utf8(body.to_vec()).unwrap());
        self.changed.notify_all();
        drop(self.changed.wait_while(interrupted, |interrupted| !*interrupted).unwrap());
        // Whoever does not wait for this thread is faster.
        (0..1000).for_each(|_| std::thread::yield_now());
        self.ended.store(true, Ordering::SeqCst);
        let verdict = Verdict::Outage { everywhere: false, asked_ms: 0, message: String::new() };
        Ended { verdict, requests: 1 }
    }

    fn platform_ms(&self) -> Option<i64> {
        None
    }

    fn interrupt(&self) {
        *self.interrupted.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

#[test]
fn close_ends_what_is_under_way_and_keeps_what_was_not_delivered() {
    let setting = Setting::new();
    let outbox = setting.open(1_000, 1, None);
    let silent = Arc::new(Silent::default());
    put(&outbox, "x").unwrap();
    outbox.attach(1, silent.clone()).unwrap();
    let waiting = silent.interrupted.lock().unwrap();
    drop(silent.changed.wait_while(waiting, |_| silent.asked.lock().unwrap().is_empty()).unwrap());
    close(outbox).unwrap();
    assert!(silent.ended.load(Ordering::SeqCst), "the thread that was at work has ended");
    assert_eq!(setting.after_a_kill(), 1);
}

fn threads() -> Threads {
    Threads { run: catching_panics, fault: None }
}

pub(super) fn close(mut outbox: Opened) -> Result<(), Refused> {
    outbox.end()
}

pub(super) fn device(script: impl FnMut(&[u8]) -> Verdict + Send + 'static) -> Arc<Device> {
    Arc::new(Device(Mutex::new(Box::new(script))))
}

pub(super) struct Setting {
    pub(super) storage: Simulated,
    pub(super) clocks: Arc<Virtual>,
    max_bytes: u64,
}

impl Setting {
    pub(super) fn new() -> Self {
        Setting { storage: Simulated::default(), clocks: Arc::default(), max_bytes: 1 << 20 }
    }

    pub(super) fn open(&self, sync_ms: u64, workers: usize, observer: Option<Observer>) -> Opened {
        self.open_with(sync_ms, workers, observer, threads())
    }

    pub(super) fn open_with(
        &self,
        sync_ms: u64,
        workers: usize,
        observer: Option<Observer>,
        threads: Threads,
    ) -> Opened {
        let max_bytes = self.max_bytes;
        let options = Options { max_bytes, sync_ms, pad_commits: false, workers, manner: manner(), observer, threads };
        let clocks: Arc<dyn Clocks> = self.clocks.clone();
        Opened::open(Arc::new(self.storage.clone()), None, options, clocks, Some([1; 16]), || 0.5).unwrap()
    }

    pub(super) fn after_a_kill(&self) -> u64 {
        let setting = Setting { storage: Simulated::with(self.storage.files()), ..Setting::new() };
        let stats = setting.open(0, 0, None).stats();
        stats.unwrap().waiting
    }
}

pub(super) fn put(outbox: &Opened, text: &str) -> Result<u64, Refused> {
    outbox.check(true)?;
    let lane = LaneKey { sender: 1, reported: 1 };
    outbox.put(&[Entry { lane, kind: kind::MESSAGE, payload: text.as_bytes() }], 0, None)
}

#[test]
fn with_window_0_a_put_is_on_the_device_when_it_returns() {
    let setting = Setting::new();
    let outbox = setting.open(0, 0, None);
    for count in 1..=3 {
        put(&outbox, "x").unwrap();
        assert_eq!(setting.after_a_kill(), count);
    }
}

#[test]
fn within_the_window_a_put_makes_no_call_and_the_sync_comes_in_time() {
    let setting = Setting::new();
    let outbox = setting.open(1_000, 0, None);
    let calls = setting.storage.calls();
    for _ in 0..100 {
        put(&outbox, "x").unwrap();
    }
    assert_eq!((setting.storage.calls(), setting.after_a_kill()), (calls, 0));
    assert_eq!(outbox.pump(None, None).unwrap(), Some(1_000), "a due sync counts");
    setting.clocks.boot_ms.store(999, Ordering::SeqCst);
    put(&outbox, "x").unwrap();
    assert_eq!(setting.after_a_kill(), 0);
    setting.clocks.boot_ms.store(1_000, Ordering::SeqCst);
    put(&outbox, "x").unwrap();
    assert_eq!(setting.after_a_kill(), 102);
    put(&outbox, "y").unwrap();
    outbox.sync(None).unwrap();
    assert_eq!(setting.after_a_kill(), 103);
    put(&outbox, "z").unwrap();
    close(outbox).unwrap();
    assert_eq!(setting.after_a_kill(), 104, "close syncs");
}

#[test]
fn at_most_256_kib_wait_in_memory() {
    let setting = Setting { max_bytes: 16 << 20, ..Setting::new() };
    let outbox = setting.open(1_000_000, 0, None);
    let text = "x".repeat(1_000);
    // There is room for more in files: with half of the first one used up, a second one is ready.
    (0..150).for_each(|_| assert!(put(&outbox, &text).is_ok()));
    outbox.sync(None).unwrap();
    let mut put_bytes = 150 * 1_056;
    for _ in 0..600 {
        put(&outbox, &text).unwrap();
        put_bytes += 1_056;
        let unsynced = outbox.shared().worker.engine.lock().book.unsynced();
        assert!(unsynced <= 256 * 1024);
    }
    assert!(setting.after_a_kill() * 1_056 >= put_bytes - 256 * 1024);
}

#[test]
fn what_is_delivered_before_its_sync_is_never_written() {
    let setting = Setting::new();
    let outbox = setting.open(1_000, 0, None);
    outbox.attach(1, device(|_| Verdict::Delivered)).unwrap();
    let before = outbox.stats().unwrap().bytes_written;
    for _ in 0..500 {
        put(&outbox, "x").unwrap();
        assert_eq!(outbox.pump(None, None).unwrap().filter(|wait| *wait < 500), None);
    }
    let stats = outbox.stats().unwrap();
    assert_eq!((stats.delivered, stats.waiting, stats.bytes_written), (500, 0, before));
}

#[test]
fn answers_are_synced_within_a_second_and_written_at_once() {
    let setting = Setting::new();
    let outbox = setting.open(0, 0, None);
    put(&outbox, "x").unwrap();
    outbox.attach(1, device(|_| Verdict::Delivered)).unwrap();
    let syncs = outbox.stats().unwrap().syncs;
    assert_eq!(outbox.pump(None, None).unwrap(), Some(1_000));
    assert_eq!((setting.after_a_kill(), outbox.stats().unwrap().syncs), (0, syncs));
    setting.clocks.boot_ms.store(1_000, Ordering::SeqCst);
    assert_eq!(outbox.pump(None, None).unwrap(), None);
    assert_eq!(outbox.stats().unwrap().syncs, syncs + 1);
}

#[test]
fn flush_delivers_all_that_was_put_or_says_that_it_could_not() {
    let setting = Setting::new();
    let outbox = setting.open(1_000, 0, None);
    put(&outbox, "x").unwrap();
    assert_eq!(outbox.flush(None, None), Err(Refused::Timeout), "nobody is attached");
    outbox.attach(1, device(|_| Verdict::Delivered)).unwrap();
    put(&outbox, "y").unwrap();
    outbox.flush(None, None).unwrap();
    assert_eq!(outbox.stats().unwrap().waiting, 0);
}

#[test]
fn the_observer_may_put_and_may_not_pump() {
    let setting = Setting::new();
    let place: Arc<Mutex<Option<Arc<Opened>>>> = Arc::default();
    let (inside, seen) = (Arc::clone(&place), Arc::new(Mutex::new(Vec::new())));
    let noted = Arc::clone(&seen);
    let observer = Box::new(move |id, device: &str, fate, _: &str| {
        let outbox = inside.lock().unwrap().clone().unwrap();
        let pumped =
            outbox.pump(None, None).is_err() && outbox.flush(None, None).is_err() && outbox.sync(None).is_err();
        noted.lock().unwrap().push((id, device.to_owned(), fate, pumped, outbox.stats().is_ok()));
        if noted.lock().unwrap().len() == 1 {
            put(&outbox, "from the observer").unwrap();
        }
    });
    let outbox = Arc::new(setting.open(1_000, 0, Some(observer)));
    *place.lock().unwrap() = Some(Arc::clone(&outbox));
    outbox.attach(1, device(|_| Verdict::Delivered)).unwrap();
    let first = put(&outbox, "x").unwrap();
    outbox.flush(None, None).unwrap();
    outbox.pump(None, None).unwrap();
    let expected = |id| (id, "device".to_owned(), Fate::Delivered, true, true);
    assert_eq!(*seen.lock().unwrap(), [expected(first), expected(first + 1)]);
    *place.lock().unwrap() = None;
}

#[test]
fn threads_deliver_and_sync_what_many_threads_put() {
    let setting = Setting::new();
    let delivered = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&delivered);
    let outbox = setting.open(50, 2, None);
    outbox
        .attach(
            1,
            device(move |body| {
                assert!(!body.is_empty());
                count.fetch_add(1, Ordering::SeqCst);
                Verdict::Delivered
            }),
        )
        .unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..100).for_each(|_| assert!(put(&outbox, "x").is_ok())));
        }
    });
    outbox.flush(Some(Instant::now() + Duration::from_secs(60)), None).unwrap();
    assert_eq!(delivered.load(Ordering::SeqCst), 800);
    close(outbox).unwrap();
    assert_eq!(setting.after_a_kill(), 0);
}

#[test]
fn puts_of_many_threads_share_a_sync() {
    let setting = Setting::new();
    let outbox = setting.open(0, 0, None);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| (0..20).for_each(|_| assert!(put(&outbox, "x").is_ok())));
        }
    });
    assert_eq!(setting.after_a_kill(), 320);
    assert!(outbox.stats().unwrap().syncs <= 330);
}

#[test]
fn a_failure_of_the_files_is_in_the_statistics_until_it_is_over() {
    let setting = Setting::new();
    setting.clocks.wall_offset_ms.store(1_800_000_000_000, Ordering::SeqCst);
    let outbox = setting.open(1_000, 0, None);
    put(&outbox, "x").unwrap();
    setting.storage.fail(Some(Failing { at: 0, times: usize::MAX, how: How::Error(30) }));
    assert!(
        matches!(outbox.sync(None), Err(Refused::Storage(failure)) if failure.kind == std::io::ErrorKind::ReadOnlyFilesystem)
    );
    assert!(matches!(put(&outbox, "y"), Err(Refused::Storage(_))));
    let stats = outbox.stats().unwrap();
    assert_eq!((stats.is_failing, stats.failing_since_s), (true, 1_800_000_000));
    setting.clocks.boot_ms.fetch_add(60_000, Ordering::SeqCst);
    assert!(outbox.sync(None).is_err());
    assert_eq!(outbox.stats().unwrap().failing_since_s, 1_800_000_000, "since the first failure");
    setting.storage.fail(None);
    put(&outbox, "z").unwrap();
    let stats = outbox.stats().unwrap();
    assert_eq!((stats.is_failing, stats.failing_since_s), (false, 0));
    outbox.sync(None).unwrap();
    assert_eq!(setting.after_a_kill(), 2);
}

#[test]
fn a_device_that_is_full_is_in_the_statistics_while_a_put_finds_no_space() {
    let setting = Setting::new();
    setting.clocks.wall_offset_ms.store(1_800_000_000_000, Ordering::SeqCst);
    let outbox = setting.open(1_000, 0, None);
    let large = "y".repeat(200_000);
    put(&outbox, "x").unwrap();
    outbox.sync(None).unwrap();
    // Nothing waits to be written, and all that is missing is space for this one.
    setting.storage.fail(Some(Failing { at: 0, times: usize::MAX, how: How::Error(28) }));
    for _ in 0..2 {
        let refused = put(&outbox, &large);
        assert!(matches!(refused, Err(Refused::Storage(_))), "{refused:?}");
        let stats = outbox.stats().unwrap();
        assert_eq!((stats.is_failing, stats.failing_since_s), (true, 1_800_000_000), "since the first of them");
        setting.clocks.boot_ms.fetch_add(60_000, Ordering::SeqCst);
    }
    setting.storage.fail(None);
    put(&outbox, &large).unwrap();
    let stats = outbox.stats().unwrap();
    assert_eq!((stats.is_failing, stats.failing_since_s), (false, 0));
    outbox.sync(None).unwrap();
    assert_eq!(setting.after_a_kill(), 2);
}

#[test]
fn less_than_256_kib_is_refused() {
    let open = |max_bytes| {
        let options = Options {
            max_bytes,
            sync_ms: 0,
            pad_commits: false,
            workers: 0,
            manner: manner(),
            observer: None,
            threads: threads(),
        };
        let clocks: Arc<dyn Clocks> = Arc::new(Virtual::default());
        Opened::open(Arc::new(Simulated::default()), None, options, clocks, None, || 0.5)
    };
    assert!(matches!(open(262_143).err(), Some(Refused::InvalidArgument(_))));
    put(&open(262_144).unwrap(), "x").unwrap();
}

#[test]
fn flush_waits_for_what_waits_for_its_sync() {
    let setting = Setting::new();
    let outbox = setting.open(0, 0, None);
    setting.storage.hold_syncs(true);
    std::thread::scope(|scope| {
        let putting = scope.spawn(|| put(&outbox, "x"));
        setting.storage.wait_for_held(1);
        let flushed = outbox.flush(Some(Instant::now()), None);
        setting.storage.hold_syncs(false);
        putting.join().unwrap().unwrap();
        assert_eq!(flushed, Err(Refused::Timeout));
    });
}

/// On a clock that each request moves on.
#[test]
fn answers_are_synced_in_time_while_there_is_always_more_to_send() {
    let setting = Setting::new();
    let outbox = setting.open(0, 0, None);
    for _ in 0..20 {
        put(&outbox, "x").unwrap();
    }
    let clocks = Arc::clone(&setting.clocks);
    let slow = device(move |_| {
        clocks.boot_ms.fetch_add(500, Ordering::SeqCst);
        Verdict::Delivered
    });
    outbox.attach(1, slow).unwrap();
    let before = outbox.stats().unwrap().syncs;
    outbox.pump(None, None).unwrap();
    let stats = outbox.stats().unwrap();
    assert_eq!(stats.delivered, 20);
    assert!((5..=10).contains(&(stats.syncs - before)), "{} syncs in 10 s", stats.syncs - before);
}

#[test]
fn a_damaged_entry_is_counted_once_and_the_others_are_delivered() {
    let texts = ["first entry", "second entry", "third entry"];
    for damaged in 0..3 {
        let setting = Setting::new();
        let outbox = setting.open(0, 0, None);
        for text in texts {
            put(&outbox, text).unwrap();
        }
        setting.storage.damage(texts[damaged].as_bytes());
        outbox.attach(1, device(|_| Verdict::Delivered)).unwrap();
        outbox.flush(None, None).unwrap();
        let stats = outbox.stats().unwrap();
        assert_eq!((stats.delivered, stats.damaged, stats.waiting), (2, 1, 0));
    }
}

#[test]
fn whoever_holds_the_list_of_due_syncs_is_at_work() {
    let outbox = Setting::new().open(0, 0, None);
    let shared = outbox.shared();
    assert!(shared.is_at_rest());
    let held = shared.due.lock().unwrap();
    assert!(!shared.is_at_rest());
    drop(held);
    let held = shared.worker.work();
    assert!(!shared.is_at_rest());
    drop(held);
    assert!(shared.is_at_rest());
}

/// Three threads: one that delivers, one that syncs, one that flushes. A clock that stands still makes nothing due.
#[test]
fn threads_that_have_nothing_to_do_wait() {
    let setting = Setting::new();
    let outbox = setting.open(600_000, 1, None);
    let (cancel, busy_until) = (CancelToken::new(), Instant::now() + Duration::from_secs(30));
    let all_wait = |count| {
        while outbox.shared().worker.engine.lock().waiters != count {
            assert!(Instant::now() < busy_until, "not all of {count} wait");
            std::thread::yield_now();
        }
    };
    all_wait(2);
    put(&outbox, "for nobody").unwrap();
    all_wait(2);
    std::thread::scope(|scope| {
        let flushing = scope.spawn(|| outbox.flush(Some(busy_until), Some(&cancel)));
        all_wait(3);
        cancel.cancel();
        assert_eq!(flushing.join().unwrap(), Err(Refused::Cancelled));
    });
    outbox.attach(1, device(|_| Verdict::Paced(600_000))).unwrap();
    all_wait(2);
}
