//! A platform that answers by a script, clocks that a test moves, and outboxes on these.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::super::book::Entry;
use super::super::clock::Clocks;
use super::super::coalesce::{encode, stamp};
use super::super::dead::Dead;
use super::super::engine::{Engine, Keeping, NotPut};
use super::super::frame::{LaneKey, kind};
use super::super::platform::{Deliver, Ended, Refusal, Verdict};
use super::super::space::Sizes;
use super::super::stats::Fate;
use super::super::worker::{Manner, Step, Worker};
use super::simulated::Simulated;
use crate::report::calendar;

/// Clocks that stand still until a test moves them.
#[derive(Default)]
pub(crate) struct Virtual {
    pub(crate) boot_ms: AtomicU64,
    /// Wall time less boot time.
    pub(crate) wall_offset_ms: AtomicI64,
}

impl Clocks for Virtual {
    fn wall_ms(&self) -> i64 {
        self.boot_ms() as i64 + self.wall_offset_ms.load(Ordering::SeqCst)
    }

    fn boot_ms(&self) -> u64 {
        self.boot_ms.load(Ordering::SeqCst)
    }
}

/// Clocks that nobody moves.
pub(crate) fn still() -> Arc<dyn Clocks> {
    Arc::new(Virtual::default())
}

/// What keeps an outbox's entries in these files, on clocks that nobody moves.
pub(crate) fn engine(storage: &Simulated, keeping: Keeping) -> Engine {
    Engine::open(Arc::new(storage.clone()), keeping, Some([1; 16]), still()).unwrap().0
}

/// One request as it arrived: sender, kind, body.
pub(crate) type Arrived = (String, u8, Vec<u8>);

type Script = Box<dyn FnMut(&str, u8, &[u8]) -> Verdict + Send>;

/// The platform, and the way to it.
pub(crate) struct Platform {
    pub(crate) script: Mutex<Script>,
    /// Requests that were accepted.
    pub(crate) accepted: Mutex<Vec<Arrived>>,
    pub(crate) requests: AtomicU64,
    pub(crate) platform_ms: Mutex<Option<i64>>,
}

struct Device {
    id: String,
    platform: Arc<Platform>,
}

impl Deliver for Device {
    fn device_id(&self) -> &str {
        &self.id
    }

    fn deliver(&self, kind: u8, body: &[u8], _deadline: Option<Instant>) -> Ended {
        self.platform.requests.fetch_add(1, Ordering::SeqCst);
        let verdict = self.platform.script.lock().unwrap()(&self.id, kind, body);
        if verdict == Verdict::Delivered {
            self.platform.accepted.lock().unwrap().push((self.id.clone(), kind, body.to_vec()));
        }
        // A script's pace is the device's own, and where everything is away there is no connection.
        let nothing_sent = matches!(verdict, Verdict::Paced(_) | Verdict::Outage { everywhere: true, .. });
        let requests = u32::from(!nothing_sent);
        Ended { verdict, requests }
    }

    fn platform_ms(&self) -> Option<i64> {
        *self.platform.platform_ms.lock().unwrap()
    }

    fn interrupt(&self) {}
}

/// An outbox on all of these.
pub(crate) struct Stand {
    pub(crate) worker: Worker,
    pub(crate) clocks: Arc<Virtual>,
    pub(crate) platform: Arc<Platform>,
    pub(crate) storage: Simulated,
    pub(crate) fates: Fates,
    /// Whose entries the fates are of, in their order.
    pub(crate) reported: Arc<Mutex<Vec<String>>>,
}

type Fates = Arc<Mutex<HashMap<u64, Fate>>>;

pub(crate) fn manner() -> Manner {
    Manner { coalesce_bytes: 16_384, linger_ms: 0, max_age_ms: None, drop_oldest: false, reports_deliveries: true }
}

pub(crate) fn accept(_: &str, _: u8, _: &[u8]) -> Verdict {
    Verdict::Delivered
}

pub(crate) fn refusal() -> Verdict {
    Verdict::Refused(Refusal { code: "IOTDA.000006".into(), message: "Invalid input data.".into(), too_much: None })
}

pub(crate) fn outage(everywhere: bool) -> Verdict {
    Verdict::Outage { everywhere, asked_ms: 0, message: "no connection".into() }
}

impl Stand {
    pub(crate) fn new(max_bytes: u64, manner: Manner, script: Script) -> Self {
        Self::on(Simulated::default(), max_bytes, manner, script, 1)
    }

    pub(crate) fn on(storage: Simulated, max_bytes: u64, manner: Manner, script: Script, boot: u8) -> Self {
        let sizes = Sizes::of(max_bytes);
        let keeping = Keeping { sizes, sync_at_put: false, pad: false };
        let files: Arc<Simulated> = Arc::new(storage.clone());
        let clocks = Arc::new(Virtual::default());
        clocks.wall_offset_ms.store(1_800_000_000_000, Ordering::SeqCst);
        let engine = Engine::open(files.clone(), keeping, Some([boot; 16]), clocks.clone()).unwrap();
        let dead = Dead::open(files, sizes.dead).unwrap();
        let platform = Arc::new(Platform {
            script: Mutex::new(script),
            accepted: Mutex::default(),
            requests: AtomicU64::new(0),
            platform_ms: Mutex::new(None),
        });
        let fates = Fates::default();
        let seen = Arc::clone(&fates);
        let reported = Arc::new(Mutex::new(Vec::new()));
        let names = Arc::clone(&reported);
        let observer = Box::new(move |number, device: &str, fate, _: &str| {
            names.lock().unwrap().push(device.to_owned());
            assert_eq!(seen.lock().unwrap().insert(number, fate), None, "each entry has one fate");
        });
        let worker = Worker::new(engine, dead, clocks.clone(), manner, Some(observer), || 0.5);
        Stand { worker, clocks, platform, storage, fates, reported }
    }

    pub(crate) fn attach(&self, device: &str) {
        let deliver = Device { id: device.to_owned(), platform: Arc::clone(&self.platform) };
        self.worker.attach(hash(device), Arc::new(deliver));
    }

    /// A device that is served by something else than the script.
    pub(crate) fn attach_by(&self, device: &str, deliver: Arc<dyn Deliver>) {
        self.worker.attach(hash(device), deliver);
    }

    pub(crate) fn message(&self, device: &str, text: &str) -> Result<u64, NotPut> {
        self.put(&[Entry { lane: key(device), kind: kind::MESSAGE, payload: text.as_bytes() }])
    }

    /// One service with this number as its value.
    pub(crate) fn reading(&self, device: &str, child: Option<&str>, value: &str) -> Result<u64, NotPut> {
        let element = format!(r#"{{"service_id":"s","properties":{{"v":"{value}"}}}}"#);
        let now = calendar::event_time(self.clocks.wall_ms());
        let (elements, times) = stamp(&element, &now);
        let payload = encode(child, &elements, &times);
        let lane = LaneKey { sender: hash(device), reported: hash(child.unwrap_or(device)) };
        let kind = if child.is_some() { kind::CHILD } else { kind::PROPERTIES };
        self.put(&[Entry { lane, kind, payload: &payload }])
    }

    pub(crate) fn put(&self, entries: &[Entry<'_>]) -> Result<u64, NotPut> {
        self.worker.put(entries, (self.clocks.wall_ms(), self.clocks.boot_ms()), None)
    }

    pub(crate) fn advance(&self, ms: u64) {
        self.clocks.boot_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Delivers until nothing is left that could be sent before `until`, moving the clock; returns the steps.
    pub(crate) fn run(&self, until: u64, ms_for_a_request: u64) -> u64 {
        let mut steps = 0;
        while self.clocks.boot_ms() < until {
            match self.worker.step(None) {
                Step::Did => {
                    steps += 1;
                    self.advance(ms_for_a_request);
                }
                Step::At(at) => self.clocks.boot_ms.store(at.min(until), Ordering::SeqCst),
                Step::Nothing => break,
            }
        }
        steps
    }

    /// The values that arrived, in their order, of properties and children (as "child:value").
    pub(crate) fn values(&self) -> Vec<String> {
        let mut values = Vec::new();
        for (_, kind, body) in self.platform.accepted.lock().unwrap().iter() {
            if *kind == kind::MESSAGE {
                values.push(String::from_utf8(body.clone()).unwrap());
                continue;
            }
            let body: serde_json::Value = serde_json::from_slice(body).unwrap();
            let none = Vec::new();
            let devices = body["devices"].as_array().unwrap_or(&none).clone();
            for device in if devices.is_empty() { vec![body] } else { devices } {
                for service in device["services"].as_array().unwrap() {
                    let value = service["properties"]["v"].as_str().unwrap();
                    match device["device_id"].as_str() {
                        Some(child) => values.push(format!("{child}:{value}")),
                        None => values.push(value.to_owned()),
                    }
                }
            }
        }
        values
    }

    pub(crate) fn entries(&self) -> u64 {
        self.worker.engine.lock().book.waiting_entries
    }
}

/// The lane of what a device reports for itself.
pub(crate) fn key(device: &str) -> LaneKey {
    LaneKey { sender: hash(device), reported: hash(device) }
}

/// A stand-in for the hash of a device's id.
pub(crate) fn hash(device: &str) -> u64 {
    device.bytes().fold(7, |sum, byte| sum * 31 + u64::from(byte))
}
