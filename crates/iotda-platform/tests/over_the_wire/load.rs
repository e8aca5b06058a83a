//! The platform under load, in a size that a test has time for: `cargo xtask load` does the same in full, where the
//! environment says how much (`IOTDA_LOAD_BATCHES`, `IOTDA_LOAD_DEVICES`, `IOTDA_LOAD_RECORDS`). Only then is a time held
//! to a limit, and only then is what was measured of interest.

use crate::device::{Connection, accepted};
use crate::inspection::{call, raw};
use crate::program::{Directory, start};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What the environment asks for, if it does.
fn asked(name: &str) -> Option<usize> {
    std::env::var(name).ok().map(|number| number.parse().expect("a number"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

/// A number of kilobytes from the system's account of a process.
fn kilobytes(process: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with(name)).expect("its size");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// Batches of a megabyte each, made of what takes the most memory for its length: services of a few bytes by the ten
/// thousand, event times that are none, services that the model does not have and of which each makes a reason, and
/// one long value.
fn batches() -> [String; 4] {
    let of = |service: &str, count: usize| {
        let services = vec![service; count].join(",");
        let child = |number| format!(r#"{{"device_id":"c{number}","services":[{services}]}}"#);
        let batch = format!(r#"{{"devices":[{}]}}"#, (0..50).map(child).collect::<Vec<_>>().join(","));
        assert!(batch.len() > 1_000_000 && batch.len() < 1_048_576, "{}", batch.len());
        batch
    };
    let long = format!(r#"{{"service_id":"s","properties":{{"T":"{}"}}}}"#, "x".repeat(20_500));
    [
        of(r#"{"service_id":"s","properties":{}}"#, 590),
        of(r#"{"service_id":"s","properties":{},"event_time":""}"#, 405),
        of(r#"{"service_id":"t","properties":{}}"#, 590),
        of(&long, 1),
    ]
}

#[test]
fn its_memory_is_what_was_promised() {
    // In full it is the audit's number of batches, and the memory that the help promises.
    let full = asked("IOTDA_LOAD_BATCHES");
    let (count, promised) = full.map_or((16, 8), |count| (count, 512));
    let directory = Directory::new("memory");
    let children: Vec<_> = (0..50).map(|number| format!("\"c{number}\"")).collect();
    let registry = format!(
        "[[product]]\nid = \"p\"\n[[product.service]]\nid = \"s\"\nproperties = {{ T = \"string\" }}\n\
         [[gateway]]\nid = \"gateway\"\nsecret = \"secret\"\nchild_product = \"p\"\nchildren = [{}]\n",
        children.join(",")
    );
    let (registry, ca) = (directory.write("registry.toml", registry), directory.0.join("ca.pem"));
    let memory = promised.to_string();
    let (mut child, values) = start(&["--max-memory", &memory, "--registry", text(&registry), "--ca-out", text(&ca)]);
    let ca = std::fs::read_to_string(&ca).expect("a certificate");
    let mut connection = Connection::open_at(values["IOTDA_ENDPOINT"].trim_start_matches("https://"), &ca);
    let token = connection.token("gateway");
    for batch in batches().iter().cycle().take(count) {
        assert_eq!(connection.batch("gateway", &token, batch).status, 200);
    }
    let counters = call(&values["IOTDA_INSPECT"], "GET", "/counters", "").1;
    assert_eq!(counters["batches"], count);
    assert_eq!(counters["discarded"], count / 4);
    assert!(counters["reports_dropped"].as_u64() > Some(400) && counters["requests_dropped"].as_u64() > Some(10));
    let peak = kilobytes(child.id(), "VmHWM:") / 1024;
    println!(
        "memory: {peak} MiB at most, after {count} batches of 1 MB, of which {promised} MiB may be kept: {counters}"
    );
    // Beside what is kept: what a batch takes while it is read, and the program itself.
    assert!(peak < promised + 64, "{peak} MiB");
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}

/// How long the processor was at work for the main thread until the command with so many devices was ready, and how long
/// that took.
fn started(directory: &Directory, devices: usize) -> (Duration, Duration) {
    let entry = |number| format!("[[device]]\nid = \"device_{number:06}\"\nsecret = \"secret-of-{number:06}\"\n");
    let file = directory.write("registry.toml", (0..devices).map(entry).collect::<String>());
    let begin = Instant::now();
    let (mut child, values) = start(&["--registry", text(&file)]);
    let took = begin.elapsed();
    let account = std::fs::read_to_string(format!("/proc/{}/schedstat", child.id())).expect("an account");
    let ns = account.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds");
    assert_eq!(call(&values["IOTDA_INSPECT"], "GET", "/counters", "").1["devices"], devices);
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
    (Duration::from_nanos(ns), took)
}

/// Ten times the devices take ten times the work, and not a hundred times.
#[test]
fn its_start_takes_what_its_devices_take() {
    let devices = asked("IOTDA_LOAD_DEVICES").unwrap_or(20_000);
    let directory = Directory::new("start");
    let (few, _) = started(&directory, devices / 10);
    let (many, took) = started(&directory, devices);
    println!(
        "start: ready with {devices} devices after {took:?}, {many:?} of it at work; with a tenth {few:?} at work"
    );
    assert!(many < few * 30, "{few:?} and {many:?}");
    if asked("IOTDA_LOAD_DEVICES").is_some() {
        // How long that takes beside what else the machine does is not the platform's.
        assert!(many < Duration::from_secs(1), "it is a second's work and more");
    }
}

/// Whoever looks at all there is, and does not read on, keeps no device waiting and takes no memory; what a list had at
/// its begin comes whole.
#[test]
fn lookers_cost_neither_time_nor_memory() {
    let records = asked("IOTDA_LOAD_RECORDS");
    // In short, few records that are long: more than the system keeps for a reader who does not read.
    let (count, length) = records.map_or((300, 20_000), |count| (count, 500));
    let directory = Directory::new("lookers");
    let ca = directory.0.join("ca.pem");
    let (mut child, values) = start(&["--device", "device=secret", "--ca-out", text(&ca)]);
    let ca = std::fs::read_to_string(&ca).expect("a certificate");
    let mut connection = Connection::open_at(values["IOTDA_ENDPOINT"].trim_start_matches("https://"), &ca);
    let token = connection.token("device");
    let body = format!(r#"{{"services":[{{"service_id":"s","properties":{{"a":"{}"}}}}]}}"#, "x".repeat(length));
    for _ in 1..count {
        assert_eq!(connection.properties("device", &token, &body).outcome(), accepted());
    }
    let before = kilobytes(child.id(), "VmHWM:");
    let lookers: Vec<_> = (0..8)
        .map(|_| {
            let address = values["IOTDA_INSPECT"].trim_start_matches("http://");
            let mut looker = TcpStream::connect(address).expect("a connection");
            looker.write_all(b"GET /requests HTTP/1.0\r\nHost: localhost\r\n\r\n").expect("it is written");
            let mut begin = [0; 1024];
            looker.read_exact(&mut begin).expect("the begin of a list");
            (looker, begin)
        })
        .collect();
    for _ in 0..100 {
        assert_eq!(connection.properties("device", &token, &body).outcome(), accepted());
    }
    let mut lists = lookers.into_iter().map(|(mut looker, begin)| {
        let mut answer = begin.to_vec();
        looker.read_to_end(&mut answer).expect("the rest of the list");
        let answer = String::from_utf8(answer).expect("text");
        answer.split_once("\r\n\r\n").expect("a head").1.to_owned()
    });
    let first = lists.next().expect("a list");
    let numbers: Vec<Numbered> = serde_json::from_str(&first).expect("a list");
    assert!(numbers.iter().map(|it| it.number).eq(1..=count), "{} records", numbers.len());
    assert!(lists.all(|list| list == first));
    if records.is_some() {
        measure_latency(&values["IOTDA_INSPECT"], &mut connection, &token, &body);
    }
    let more = (kilobytes(child.id(), "VmHWM:") - before) / 1024;
    println!("lookers: {more} MiB for eight lists of {} MiB each", first.len() >> 20);
    assert!(more < 24, "{more} MiB");
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}

#[derive(serde::Deserialize)]
struct Numbered {
    number: usize,
}

/// How long a device waits for its answer, alone and beside eight lookers who read all there is again and again.
fn measure_latency(inspect: &str, connection: &mut Connection, token: &str, body: &str) {
    let mut latency = || {
        let mut times: Vec<_> = (0..2_000)
            .map(|_| {
                let begin = Instant::now();
                assert_eq!(connection.properties("device", token, body).status, 200);
                begin.elapsed()
            })
            .collect();
        times.sort_unstable();
        (times[1_000], times[1_980])
    };
    let alone = latency();
    let stop = AtomicBool::new(false);
    let beside = std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    raw(inspect, "GET /requests HTTP/1.0\r\nHost: localhost\r\n\r\n");
                }
            });
        }
        let beside = latency();
        stop.store(true, Ordering::Relaxed);
        beside
    });
    println!("latency, median and 99th percentile: alone {alone:?}, beside eight lookers {beside:?}");
    assert!(beside.0 < alone.0 * 2, "the median is more than twice that of a device alone");
}
