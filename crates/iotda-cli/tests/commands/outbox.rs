//! `iotda stream --outbox`: what outlives an outage, a signal and a kill.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use iotda_platform::{DataType, Device, Fault, InjectedAnswer, Part, Platform, Product, Registry, Route, Stall};
use serde_json::Value;
use testkit::{GATEWAY, SECRET, Stand, children, of_call, scratch};

use crate::run::{Running, arrived, compare, iotda_at, run, run_with_input, wait_for};
use crate::stream::{BATCHES, PROPERTIES, without_time};

fn stream(stand: &Stand, words: &[&str]) -> Command {
    let all = [&["stream", "--service", "s", "--rate", "0", "--outbox", "kept"], words].concat();
    iotda_at(stand, &all)
}

/// Lines with the numbers from `first` to `last`.
fn lines(first: u64, last: u64) -> String {
    (first..=last)
        .map(|n| format!("{{\"n\":{n},\"text\":\"a line of about a hundred bytes, as sensors write them\"}}\n"))
        .collect()
}

/// How often each number was accepted.
fn numbers(stand: &Stand) -> BTreeMap<u64, u32> {
    let mut counts = BTreeMap::new();
    for body in arrived(stand, PROPERTIES) {
        let body: Value = serde_json::from_str(&body).unwrap();
        for service in body["services"].as_array().unwrap() {
            *counts.entry(service["properties"]["n"].as_u64().unwrap()).or_insert(0) += 1;
        }
    }
    counts
}

fn positions() -> Vec<PathBuf> {
    let entries = fs::read_dir(scratch().unwrap().join("kept/stream"));
    entries.map_or_else(|_| Vec::new(), |entries| entries.map(|entry| entry.unwrap().path()).collect())
}

#[test]
fn lines_are_sent_together_and_a_second_run_begins_anew() {
    let stand = Stand::start().unwrap();
    fs::write(scratch().unwrap().join("in.jsonl"), lines(1, 1000)).unwrap();
    let ended = run(&mut stream(&stand, &["in.jsonl"]));
    compare("outbox_stream", &without_time(ended), &[]);
    let requests = arrived(&stand, PROPERTIES).len();
    assert!(requests < 100, "{requests} requests for 1,000 lines");
    assert!(numbers(&stand).into_iter().eq((1..=1000).map(|n| (n, 1))), "each line once");
    assert_eq!(positions(), Vec::<PathBuf>::new());
    run(&mut stream(&stand, &["in.jsonl"]));
    assert!(numbers(&stand).values().all(|count| *count == 2));
}

#[test]
fn children_are_sent_together_whatever_their_order() {
    let stand = Stand::start().unwrap();
    let rows: String = (0..400).map(|n| format!("child-{},{n}\n", n % 80)).collect();
    let input = format!("id,n\n{rows}");
    let words = ["--format", "csv", "--device-column", "id"];
    let ended = run_with_input(&mut stream(&stand, &words), input.as_bytes());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let requests = stand.platform.requests();
    let batches = of_call(&requests, GATEWAY, BATCHES);
    assert!(batches.len() < 100, "{} batches", batches.len());
    let mut of_child: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for batch in batches {
        assert!(children(batch).unwrap().len() <= 50);
        let body: Value = serde_json::from_slice(&batch.body).unwrap();
        for device in body["devices"].as_array().unwrap() {
            let values = of_child.entry(device["device_id"].as_str().unwrap().to_owned()).or_default();
            let services = device["services"].as_array().unwrap();
            values.extend(services.iter().map(|service| service["properties"]["n"].as_u64().unwrap()));
        }
    }
    assert_eq!(of_child.len(), 80);
    assert!(of_child.values().all(|values| values.len() == 5 && values.is_sorted()), "{of_child:?}");
}

#[test]
fn an_outage_leaves_everything_for_the_next_run() {
    let stand = Stand::start().unwrap();
    stand.platform.inject(Fault::answer(InjectedAnswer::status(503)).on(Route::Properties)).unwrap();
    let ended = run_with_input(&mut stream(&stand, &["--timeout", "0.3"]), lines(1, 300).as_bytes());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("300 wait in kept, for the next run: "), "{ended:?}");
    let mode = |path: &str| fs::metadata(scratch().unwrap().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("kept"), 0o700);
    stand.platform.clear_faults();
    let refused_once = InjectedAnswer::status(503);
    stand.platform.inject(Fault::answer(refused_once).on(Route::Properties).times(1)).unwrap();
    let ended = run(&mut stream(&stand, &["--summary", "json"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(numbers(&stand).into_iter().eq((1..=300).map(|n| (n, 1))));
    assert!(ended.stderr.contains(r#""retries":1"#), "{ended:?}");
}

/// A platform that refuses what is not in the product's model.
fn strict() -> Stand {
    let mut registry = Registry::new();
    registry.add_product(Product::new("p").with_property("s", "n", DataType::Int)).unwrap();
    registry.add_device(Device::new(GATEWAY).with_secret(SECRET).with_product("p")).unwrap();
    let platform = Platform::builder().registry(registry).strict_model().start().unwrap();
    let ca_file = scratch().unwrap().join("ca.pem");
    fs::write(&ca_file, platform.ca_pem()).unwrap();
    Stand { platform, ca_file }
}

#[test]
fn refused_reports_are_found_and_the_others_accepted() {
    let stand = strict();
    let poison = |n: u64| n % 100 == 50;
    let input: String = (1..=200)
        .map(|n| if poison(n) { format!("{{\"n\":{n},\"unknown\":true}}\n") } else { format!("{{\"n\":{n}}}\n") })
        .collect();
    let words = ["--on-error", "dead", "--dead-file", "dead.jsonl"];
    let ended = run_with_input(&mut stream(&stand, &words), format!("nonsense\n{input}").as_bytes());
    compare("outbox_refused", &without_time(ended), &[]);
    assert!(numbers(&stand).into_keys().eq((1..=200).filter(|n| !poison(*n))));
    let dead = fs::read_to_string(scratch().unwrap().join("dead.jsonl")).unwrap();
    let dead: Vec<Value> = dead.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((dead.len(), &dead[0]["text"]), (3, &"nonsense".into()));
    let refused: Vec<u64> = dead[1..]
        .iter()
        .map(|letter| {
            assert_eq!((&letter["code"], &letter["kind"]), (&"IOTDA.000006".into(), &"Rejected".into()));
            letter["body"]["services"][0]["properties"]["n"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(refused, [50, 150]);
    // With `stop` the first one ends it.
    let mut stopping = stream(&stand, &[]);
    let ended = run_with_input(&mut stopping, input.as_bytes());
    assert_eq!(ended.code, Some(8), "{ended:?}");
}

#[test]
fn an_interrupt_keeps_the_place_and_the_next_run_goes_on_there() {
    let stand = Stand::start().unwrap();
    let path = scratch().unwrap().join("log.jsonl");
    fs::write(&path, lines(1, 500)).unwrap();
    let running = Running::start(&mut stream(&stand, &["--follow", "log.jsonl"]));
    wait_for(&stand, r#"call=properties&q="n":500,"#);
    running.interrupt();
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert_eq!(positions().len(), 1);
    assert_eq!(fs::metadata(&positions()[0]).unwrap().permissions().mode() & 0o777, 0o600);
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(lines(501, 600).as_bytes()).unwrap();
    let ended = run(&mut stream(&stand, &["log.jsonl"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(numbers(&stand).into_iter().eq((1..=600).map(|n| (n, 1))), "{:?}", numbers(&stand).len());
}

/// The lines that are read, and the kills among them.
const LINES: u64 = 50_000;
const KILLS: usize = 3;

#[test]
fn nothing_is_missing_after_kills_in_the_midst_of_fifty_thousand_lines() {
    let stand = Stand::start().unwrap();
    fs::write(scratch().unwrap().join("in.jsonl"), lines(1, LINES)).unwrap();
    for kill in 0..KILLS {
        let before = stand.platform.requests().len();
        let mut running = Running::start(&mut stream(&stand, &["in.jsonl", "-q"]));
        // So that it cannot come to its end: what is sent after this has no answer.
        wait_for(&stand, &format!("call=properties&after={before}"));
        stand.platform.inject(Fault::delay(Part::Header, Stall::ForEver).on(Route::Properties)).unwrap();
        running.child.kill().unwrap();
        running.child.wait().unwrap();
        stand.platform.clear_faults();
        assert!(numbers(&stand).len() < LINES as usize, "the kill number {kill} came too late");
    }
    let ended = run(&mut stream(&stand, &["in.jsonl"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let numbers = numbers(&stand);
    assert!(numbers.keys().copied().eq(1..=LINES), "{} of {LINES} arrived", numbers.len());
}
