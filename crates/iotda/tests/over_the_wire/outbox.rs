//! The outbox against the stand-in platform, on real files: outages, kills, proxies, a full disk's worth of entries.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use iotda::{
    CallOptions, Child, Client, Config, EntryKind, ErrorKind, Level, Log, Outbox, OutboxOptions, Service, WhenFull,
};
use iotda_platform::{Close, Direction, Fault, InjectedAnswer, Platform, ReportKind};

use crate::device::{ID, SECRET, client, config, platform, reports};
use crate::scratch::{Scratch, outbox_by_hand};

const OPTIONS: CallOptions = CallOptions::new();
/// A busy machine may take this long for what takes a second.
const LONG: CallOptions = CallOptions::new().timeout(Duration::from_secs(60));

fn properties(number: usize) -> String {
    format!(r#"{{"v":{number}}}"#)
}

fn put(outbox: &Outbox, client: &Client, number: usize) -> iotda::Result<u64> {
    let properties = properties(number);
    let service = Service::new("s", &properties);
    outbox.put_properties(client, &[service], OPTIONS)
}

/// The properties that arrived, of whichever device, in their order.
fn arrived(platform: &Platform) -> Vec<String> {
    let reports = platform.reports();
    reports.iter().flat_map(|report| &report.services).map(|service| service.properties.clone()).collect()
}

fn expected(count: usize) -> Vec<String> {
    (0..count).map(properties).collect()
}

#[test]
fn what_is_put_during_an_outage_arrives_once_and_in_order_when_the_platform_is_back() {
    let platform = platform();
    let client = client(&platform);
    let scratch = Scratch::new("outage");
    platform.inject(Fault::wire_cut(Direction::Sent, 0, Close::Reset)).unwrap();
    let outbox = client.open_outbox(scratch.options()).unwrap();
    for number in 0..100 {
        put(&outbox, &client, number).unwrap();
    }
    assert_eq!(
        outbox.flush(CallOptions::new().timeout(Duration::from_millis(1))).unwrap_err().kind(),
        ErrorKind::Timeout
    );
    assert_eq!((arrived(&platform).len(), outbox.stats().unwrap().waiting), (0, 100));
    platform.clear_faults();
    outbox.wake();
    outbox.flush(LONG).unwrap();
    assert_eq!(arrived(&platform), expected(100));
    let stats = outbox.stats().unwrap();
    assert_eq!((stats.waiting, stats.delivered, stats.dead), (0, 100, 0));
    assert!(platform.reports().iter().all(|report| report.services.iter().all(|s| s.event_time_given.is_some())));
    outbox.close().unwrap();
}

const CHILD: &str = "IOTDA_OUTBOX_CHILD";

/// The process that is killed: it does nothing when it is run as a test.
#[test]
fn child_of_the_kill_test() {
    let Some(given) = std::env::var_os(CHILD) else { return };
    let given = given.into_string().unwrap();
    let (directory, url) = given.split_once('|').unwrap();
    let mut config = Config::new();
    config.endpoint(url).unwrap().device(ID, SECRET).unwrap();
    config.ca_pem(iotda_http::fixtures::authority().as_bytes()).unwrap();
    let client = Client::new(&config).unwrap();
    let mut options = OutboxOptions::new(directory);
    options.sync_within = Duration::ZERO;
    let outbox = client.open_outbox(options).unwrap();
    let base = usize::try_from(outbox.stats().unwrap().waiting).unwrap();
    let mut out = std::io::stdout();
    for number in base.. {
        put(&outbox, &client, number).unwrap();
        writeln!(out, "acknowledged {number}").unwrap();
    }
}

#[test]
fn what_a_killed_process_put_is_delivered_by_the_next_one() {
    let platform = platform();
    let scratch = Scratch::new("kill");
    let mut last = 0;
    for round in 1..=5 {
        // An address at which nobody answers: the platform is away.
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "outbox::child_of_the_kill_test", "--nocapture", "--test-threads=1"])
            .env(CHILD, format!("{}|https://127.0.0.1:1", scratch.0.display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut left = 7 * round;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let Some(number) = line.unwrap().strip_prefix("acknowledged ").map(|text| text.parse::<usize>().unwrap())
            else {
                continue;
            };
            last = number;
            left -= 1;
            if left == 0 {
                child.kill().unwrap();
            }
            left = left.max(1);
        }
        child.wait().unwrap();
    }
    assert!(last >= 7 * 15 - 1, "{last}");
    let client = client(&platform);
    let outbox = client.open_outbox(scratch.by_hand()).unwrap();
    let waiting = usize::try_from(outbox.stats().unwrap().waiting).unwrap();
    // The one that was being put when it was killed may be there as well.
    assert!(waiting > last, "{waiting} of {}", last + 1);
    outbox.flush(LONG).unwrap();
    assert_eq!(arrived(&platform), expected(waiting));
}

#[test]
fn ten_thousand_entries_of_140_bytes_count_at_most_400_units() {
    let platform = platform();
    let client = client(&platform);
    let scratch = Scratch::new("many");
    let mut options = scratch.options();
    options.start_worker = false;
    let outbox = client.open_outbox(options).unwrap();
    // 140 bytes with the event time.
    let filler = "x".repeat(140 - 80);
    for number in 0..10_000_usize {
        let properties = format!(r#"{{"t":"{number:0>width$}"}}"#, width = filler.len());
        let service = Service::new("s", &properties);
        outbox.put_properties(&client, &[service], OPTIONS).unwrap();
    }
    outbox.flush(LONG).unwrap();
    let arrivals = platform.arrivals();
    assert_eq!(arrivals.len(), 10_000);
    for (number, arrival) in arrivals.iter().enumerate() {
        let value = format!(r#"{{"t":"{number:0>width$}"}}"#, width = filler.len());
        assert_eq!((arrival.content.as_slice(), arrival.reports.len()), (value.as_bytes(), 1), "in order, and once");
    }
    let (requests, units) = (reports(&platform).len(), platform.counters().units);
    assert!(requests <= 100 && units <= 400, "{requests} requests, {units} units as the platform counts them");
    assert!(platform.reports().iter().all(|report| report.body.len() <= 16_384));
}

#[test]
fn a_proxys_pages_lose_nothing_and_make_no_dead_letter() {
    let (platform, client, _scratch, outbox) = outbox_by_hand("proxy");
    client.authenticate(OPTIONS).unwrap();
    for number in 0..20 {
        put(&outbox, &client, number).unwrap();
    }
    for status in [200, 400, 403, 404, 502] {
        let page = InjectedAnswer::status(status).body("<html><title>Sign in</title></html>").content_type("text/html");
        platform.inject(Fault::answer(page)).unwrap();
        outbox.attach(&client).unwrap();
        outbox.wake();
        let before = outbox.stats().unwrap().requests;
        while outbox.stats().unwrap().requests == before {
            let _ = outbox.flush(CallOptions::new().timeout(Duration::from_millis(100)));
        }
        let stats = outbox.stats().unwrap();
        assert_eq!((stats.waiting, stats.delivered, stats.dead), (20, 0, 0), "{status}");
        assert!(!stats.last_error.is_empty());
        platform.clear_faults();
    }
    let stats = outbox.stats().unwrap();
    assert_eq!(stats.requests, reports(&platform).len() as u64);
    assert_eq!(stats.retries, stats.requests - 1, "none of the first request was delivered");
    outbox.wake();
    outbox.flush(LONG).unwrap();
    assert_eq!(arrived(&platform), expected(20));
}

#[test]
fn children_become_batches_and_all_kinds_keep_their_order() {
    let (platform, client, _scratch, outbox) = outbox_by_hand("batch");
    let services = [Service::new("s", r#"{"v":1}"#)];
    let children = [Child::new("child_1", &services), Child::new("child_2", &services)];
    let first = outbox.put_batch(&client, &children, OPTIONS).unwrap();
    let json = r#"{"devices":[{"services":[{"service_id":"s","properties":{"v":2}}],"device_id":"child_1"}]}"#;
    assert_eq!(outbox.put_batch_json(&client, json, OPTIONS).unwrap(), first + 2);
    let json = r#"{"services":[{"service_id":"s","properties":{"v":3},"event_time":"2021-08-13T10:10:10.555Z"}]}"#;
    outbox.put_properties_json(&client, json, OPTIONS).unwrap();
    outbox.put_message(&client, b"\0any bytes", OPTIONS).unwrap();
    outbox.flush(LONG).unwrap();
    let seen = platform.reports();
    let of = |device: &str| -> Vec<String> {
        let its = seen.iter().filter(|report| report.device_id == device);
        its.flat_map(|report| &report.services).map(|service| service.properties.clone()).collect()
    };
    assert_eq!(of("child_1"), [r#"{"v":1}"#, r#"{"v":2}"#]);
    assert_eq!((of("child_2"), of(ID)), (vec![r#"{"v":1}"#.to_owned()], vec![r#"{"v":3}"#.to_owned()]));
    let message = seen.iter().find(|report| report.kind == ReportKind::Message).unwrap();
    assert_eq!(message.body, b"\0any bytes");
    let given = seen.iter().filter(|report| report.device_id == ID).flat_map(|report| &report.services);
    assert_eq!(given.map(|service| service.event_time_applied_ms).collect::<Vec<_>>(), [1_628_849_410_555]);
    assert_eq!(reports(&platform).len(), 3, "one batch, one property report, one message");
}

#[test]
fn what_is_wrong_is_refused_at_the_put_and_nothing_is_kept() {
    let (_platform, client, _scratch, outbox) = outbox_by_hand("wrong");
    let kind = |result: iotda::Result<u64>| result.unwrap_err().kind();
    let wrong = [Service::new("s", "[]")];
    let right = [Service::new("s", "{}")];
    assert_eq!(kind(outbox.put_properties(&client, &wrong, OPTIONS)), ErrorKind::InvalidArgument);
    assert_eq!(kind(outbox.put_properties_json(&client, "{}", OPTIONS)), ErrorKind::InvalidArgument);
    assert_eq!(kind(outbox.put_message(&client, &vec![0; 1_048_576], OPTIONS)), ErrorKind::TooLarge);
    let children = [Child::new("c", &right), Child::new("c", &wrong)];
    assert_eq!(kind(outbox.put_batch(&client, &children, OPTIONS)), ErrorKind::InvalidArgument);
    assert_eq!(kind(outbox.put_batch(&client, &[], OPTIONS)), ErrorKind::InvalidArgument);
    let many = vec![Child::new("c", &right); 10_001];
    assert_eq!(kind(outbox.put_batch(&client, &many, OPTIONS)), ErrorKind::TooLarge);
    let json = r#"{"devices":[{"device_id":"a b","services":[]}]}"#;
    assert_eq!(kind(outbox.put_batch_json(&client, json, OPTIONS)), ErrorKind::InvalidArgument);
    let crowd = format!(
        r#"{{"services":[{}{{"service_id":"s","properties":{{}}}}]}}"#,
        r#"{"service_id":"s","properties":{}},"#.repeat(29_000)
    );
    assert_eq!(kind(outbox.put_properties_json(&client, &crowd, OPTIONS)), ErrorKind::TooLarge, "with its times");
    let over = CallOptions::new().timeout(Duration::ZERO);
    assert_eq!(kind(outbox.put_message(&client, b"", over)), ErrorKind::Timeout);
    assert_eq!(outbox.stats().unwrap().waiting, 0);
}

#[test]
fn a_large_batch_is_on_disk_when_its_put_returns() {
    let platform = platform();
    let client = client(&platform);
    let scratch = Scratch::new("large");
    let mut options = scratch.by_hand();
    options.sync_within = Duration::from_secs(3_600);
    let outbox = client.open_outbox(options).unwrap();
    let properties = format!(r#"{{"v":"{}"}}"#, "x".repeat(1_000));
    let services = [Service::new("s", &properties)];
    let syncs = |outbox: &Outbox| outbox.stats().unwrap().syncs;
    let before = syncs(&outbox);
    let child = Child::new("c", &services);
    outbox.put_batch(&client, &vec![child; 100], OPTIONS).unwrap();
    assert_eq!(syncs(&outbox), before, "100 kB wait in memory");
    outbox.put_batch(&client, &vec![child; 1_000], OPTIONS).unwrap();
    assert!(syncs(&outbox) > before);
    assert_eq!(outbox.stats().unwrap().waiting, 1_100);
    let error = outbox.put_batch(&client, &vec![child; 5_000], OPTIONS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "above a quarter of max_bytes");
}

#[test]
fn a_full_outbox_refuses_or_drops_the_oldest_and_says_so() {
    let platform = platform();
    let client = client(&platform);
    for when_full in [WhenFull::Refuse, WhenFull::DropOldest] {
        let scratch = Scratch::new("full");
        let dropped = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&dropped);
        let mut options = scratch.by_hand();
        options.max_bytes = 256 * 1024;
        options.sync_within = Duration::from_secs(1);
        options.when_full = when_full;
        options.settled = Some(Box::new(move |settled| {
            seen.lock().unwrap().push((settled.id, settled.device_id.to_owned(), settled.outcome));
        }));
        let outbox = client.open_outbox(options).unwrap();
        let message = [7; 1_000];
        let results: Vec<_> = (0..400).map(|_| outbox.put_message(&client, &message, OPTIONS)).collect();
        let refused = results.iter().filter(|result| result.is_err()).count();
        if when_full == WhenFull::Refuse {
            assert!((100..300).contains(&refused), "{refused}");
            let error = results.iter().find_map(|result| result.as_ref().err()).unwrap();
            assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Full, true));
            assert!(dropped.lock().unwrap().is_empty());
        } else {
            assert_eq!(refused, 0);
            let dropped = dropped.lock().unwrap();
            assert_eq!(outbox.stats().unwrap().dropped, dropped.len() as u64);
            let first = *results[0].as_ref().unwrap();
            let all = (first..).zip(dropped.iter());
            assert!(
                all.take(100).all(|(id, one)| *one == (id, ID.to_owned(), Err(ErrorKind::Full))),
                "the oldest first"
            );
        }
        outbox.flush(LONG).unwrap();
    }
}

#[test]
fn refused_data_becomes_a_dead_letter_that_can_be_read_put_again_and_forgotten() {
    let platform = platform();
    let client = client(&platform);
    let scratch = Scratch::new("dead");
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&outcomes);
    let mut options = scratch.by_hand();
    options.settled = Some(Box::new(move |settled| seen.lock().unwrap().push((settled.id, settled.outcome))));
    let outbox = client.open_outbox(options).unwrap();
    platform.inject(Fault::refusal("IOTDA.000006").times(1)).unwrap();
    client.authenticate(OPTIONS).unwrap_err();
    client.authenticate(OPTIONS).unwrap();
    platform.inject(Fault::refusal("IOTDA.000006").times(1)).unwrap();
    let poison = put(&outbox, &client, 1).unwrap();
    outbox.flush(LONG).unwrap();
    let good = put(&outbox, &client, 2).unwrap();
    outbox.flush(LONG).unwrap();
    assert_eq!(*outcomes.lock().unwrap(), [(poison, Err(ErrorKind::Rejected)), (good, Ok(()))]);
    let letter = outbox.dead_read(0).unwrap().unwrap();
    assert_eq!((letter.id, letter.kind, letter.reason), (poison, EntryKind::Properties, ErrorKind::Rejected));
    assert_eq!((letter.device_id.as_str(), letter.gateway_id.as_str()), (ID, ""));
    assert_eq!(letter.platform_code, "IOTDA.000006");
    assert_eq!(outbox.dead_read(letter.number).unwrap(), None);
    outbox.put_properties_json(&client, std::str::from_utf8(&letter.body).unwrap(), OPTIONS).unwrap();
    outbox.dead_forget(letter.number).unwrap();
    assert_eq!((outbox.dead_read(0).unwrap(), outbox.stats().unwrap().dead_kept), (None, 0));
    outbox.flush(LONG).unwrap();
    assert_eq!(arrived(&platform), [properties(2), properties(1)]);
}

#[test]
fn entries_of_devices_that_are_not_attached_wait_and_can_be_discarded() {
    let (platform, gateway, scratch, outbox) = outbox_by_hand("attach");
    let second = gateway.open_device("device_2", b"second-secret").unwrap();
    put(&outbox, &second, 0).unwrap();
    put(&outbox, &gateway, 1).unwrap();
    outbox.close().unwrap();
    let outbox = gateway.open_outbox(scratch.by_hand()).unwrap();
    assert_eq!(outbox.pump(OPTIONS).unwrap().map(|wait| wait <= Duration::from_secs(1)), Some(true), "a sync is due");
    let stats = outbox.stats().unwrap();
    assert_eq!((stats.waiting, stats.unattached, arrived(&platform)), (1, 1, vec![properties(1)]));
    assert_eq!(outbox.flush(OPTIONS).unwrap_err().kind(), ErrorKind::Timeout);
    outbox.attach(&second).unwrap();
    outbox.flush(LONG).unwrap();
    assert_eq!(arrived(&platform), [properties(1), properties(0)]);
    put(&outbox, &second, 2).unwrap();
    assert_eq!((outbox.discard("device_2").unwrap(), outbox.discard("device_2").unwrap()), (1, 0));
    assert_eq!(outbox.stats().unwrap().waiting, 0);
}

#[test]
fn one_outbox_has_a_directory_at_a_time_and_odd_options_are_refused() {
    let platform = platform();
    let client = client(&platform);
    let scratch = Scratch::new("one");
    let outbox = client.open_outbox(scratch.options()).unwrap();
    let error = client.open_outbox(scratch.options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.message().starts_with("close the other outbox") && error.message().len() < 256, "{error}");
    drop(outbox);
    type Change = fn(&mut OutboxOptions);
    let changes: [Change; 5] = [
        |options| options.max_bytes = 1_000,
        |options| options.requests_at_once = 0,
        |options| options.requests_at_once = 65,
        |options| options.coalesce_bytes = 0,
        |options| options.coalesce_bytes = 1_048_576,
    ];
    for change in changes {
        let mut options = scratch.options();
        change(&mut options);
        assert_eq!(client.open_outbox(options).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    let below = scratch.0.join("none").join("x".repeat(200));
    let error = client.open_outbox(OutboxOptions::new(below)).unwrap_err();
    assert!(error.kind() == ErrorKind::Storage && error.message().len() < 256, "{error}");
    client.open_outbox(scratch.options()).unwrap().close().unwrap();
}

#[derive(Debug, Default)]
struct Lines(Mutex<Vec<String>>);

impl Log for Lines {
    fn log(&self, level: Level, message: &str) {
        if level <= Level::Warning {
            self.0.lock().unwrap().push(message.to_owned());
        }
    }
}

#[test]
fn the_log_says_what_was_not_delivered_and_where_nothing_survives() {
    let platform = platform();
    let lines = Arc::new(Lines::default());
    let mut config = config(&platform);
    config.log(Level::Warning, lines.clone());
    let client = Client::new(&config).unwrap();
    client.authenticate(OPTIONS).unwrap();
    let shm = PathBuf::from("/dev/shm");
    if shm.is_dir() {
        let scratch = Scratch(shm.join(format!("iotda-wire-{}", std::process::id())));
        client.open_outbox(scratch.by_hand()).unwrap();
        assert!(lines.0.lock().unwrap()[0].contains("survives a restart"), "{lines:?}");
    }
    let scratch = Scratch::new("log");
    let outbox = client.open_outbox(scratch.by_hand()).unwrap();
    lines.0.lock().unwrap().clear();
    platform.inject(Fault::refusal("IOTDA.000006").times(1)).unwrap();
    let id = put(&outbox, &client, 0).unwrap();
    outbox.flush(LONG).unwrap();
    let shown = lines.0.lock().unwrap();
    assert!(shown.iter().any(|line| line.contains(&format!("device \"{ID}\": entry {id} was refused"))), "{shown:?}");
}

#[test]
fn entries_linger_for_company() {
    let platform = platform();
    let client = client(&platform);
    let scratch = Scratch::new("linger");
    let mut options = scratch.by_hand();
    options.linger = Duration::from_secs(3_600);
    let outbox = client.open_outbox(options).unwrap();
    put(&outbox, &client, 0).unwrap();
    assert!(outbox.pump(OPTIONS).unwrap().unwrap() > Duration::from_secs(3_000));
    put(&outbox, &client, 1).unwrap();
    outbox.pump(OPTIONS).unwrap();
    assert_eq!(reports(&platform).len(), 0);
    outbox.wake();
    outbox.flush(LONG).unwrap();
    assert_eq!((reports(&platform).len(), arrived(&platform)), (1, expected(2)));
}

#[test]
fn a_cancelled_flush_ends_and_what_waits_is_kept() {
    let client = client(&platform());
    let scratch = Scratch::new("cancel");
    let outbox = client.open_outbox(scratch.options()).unwrap();
    put(&outbox, &client, 0).unwrap();
    let cancel = iotda::CancelToken::new();
    let options = CallOptions::new().timeout(Duration::from_secs(60)).cancel(&cancel);
    let error = std::thread::scope(|scope| {
        let flush = scope.spawn(|| outbox.flush(options));
        cancel.cancel();
        flush.join().unwrap().unwrap_err()
    });
    assert_eq!((error.kind(), outbox.stats().unwrap().waiting), (ErrorKind::Cancelled, 1));
}
