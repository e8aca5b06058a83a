//! Lists and what follows them: which records are shown, in which order, and that nothing is lost to whoever follows.

use super::{call, raw};
use crate::device::{Connection, accepted, now, platform, registry};
use iotda_platform::{Fault, Platform};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

const BATCH: &str = r#"{"devices":[{"device_id":"child_1","services":[{"service_id":"wind","properties":{"T":1}}]}]}"#;

/// A platform that has seen, in this order: an authentication, three messages, a refused report, a batch, one that a
/// fault has left without an answer, and a path that is none. With them come nine numbers.
fn seen() -> Platform {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    for body in ["one", "Two", "three"] {
        assert_eq!(connection.message("device", &token, body.as_bytes()).outcome(), accepted());
    }
    assert_eq!(connection.properties("device", &token, "{}").status, 400);
    let gateway = connection.token("gateway");
    assert_eq!(connection.batch("gateway", &gateway, BATCH).outcome(), accepted());
    assert_eq!(connection.post("/v5/other", None, b"").status, 404);
    platform.inject(Fault::request_unread(iotda_platform::Stall::For(std::time::Duration::ZERO))).expect("a fault");
    connection.write(&crate::device::message(&token, b"")).expect("it is written");
    assert_eq!(connection.rest().0, "");
    platform.clear_faults();
    platform
}

fn numbers(platform: &Platform, path: &str) -> Vec<u64> {
    let (status, list) = call(platform.inspection_url(), "GET", path, "");
    assert_eq!(status, 200, "{path}: {list}");
    list.as_array().expect("a list").iter().map(|record| record["number"].as_u64().expect("a number")).collect()
}

#[test]
fn lists_hold_what_their_query_asks_for() {
    let platform = seen();
    for (path, expected) in [
        ("/requests", &[1, 2, 3, 4, 5, 6, 7, 8, 9][..]),
        ("/log", &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("/requests?device=device", &[1, 2, 3, 4, 5, 9]),
        ("/requests?device=child_1", &[7]),
        ("/requests?device=child_2", &[]),
        ("/requests?call=message", &[2, 3, 4, 9]),
        ("/requests?call=none", &[8]),
        ("/requests?result=accepted", &[1, 2, 3, 4, 6, 7]),
        ("/requests?result=refused", &[5, 8]),
        ("/requests?result=unanswered", &[9]),
        ("/requests?status=400", &[5]),
        ("/requests?q=two", &[3]),
        ("/requests?q=services%22+is+missing", &[5]),
        ("/requests?call=message&result=accepted&q=t", &[3, 4]),
        ("/requests?after=7", &[8, 9]),
        ("/requests?after=2&limit=3", &[3, 4, 5]),
        ("/requests?before=4", &[1, 2, 3]),
        ("/requests?before=4&limit=2", &[2, 3]),
        ("/requests?limit=2", &[8, 9]),
        ("/requests?limit=2&call=message&result=accepted", &[3, 4]),
        ("/requests?after=900", &[]),
        ("/requests?since=1575315000250", &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("/requests?since=2019-12-02T19:30:00.251Z", &[]),
        ("/reports", &[1, 2, 3, 4]),
        ("/reports?device=child_1", &[4]),
        ("/reports?device=gateway", &[4]),
        ("/reports?call=message&limit=1", &[3]),
        ("/reports?after=1&limit=2", &[2, 3]),
        ("/reports?q=WIND", &[4]),
    ] {
        assert_eq!(numbers(&platform, path), expected, "{path}");
    }
    let (_, reports) = call(platform.inspection_url(), "GET", "/reports", "");
    let requests: Vec<_> = reports.as_array().expect("a list").iter().map(|report| report["request"].clone()).collect();
    assert_eq!(requests, [2, 3, 4, 7]);
    for (path, expected) in [
        ("/requests?devise=a", 400),
        ("/requests?limit=0", 400),
        ("/reports?status=200", 400),
        ("/events?device=a", 400),
    ] {
        assert_eq!(call(platform.inspection_url(), "GET", path, "").0, expected, "{path}");
    }
    // Numbers go on when all has been forgotten.
    platform.clear_records();
    assert!(numbers(&platform, "/requests").is_empty());
    Connection::open(&platform).token("device");
    assert_eq!(numbers(&platform, "/requests"), [10]);
}

#[test]
fn long_lists_come_whole_and_in_their_order() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    for number in 0..1200 {
        connection.message("device", &token, format!("{number}").as_bytes());
    }
    let all: Vec<u64> = (1..=1201).collect();
    assert_eq!(numbers(&platform, "/requests"), all);
    assert_eq!(numbers(&platform, "/requests?limit=1000"), all[201..]);
    assert_eq!(numbers(&platform, "/requests?limit=1000&before=1001"), all[..1000]);
    assert_eq!(numbers(&platform, "/requests?limit=1000&after=100"), all[100..1100]);
    assert!(numbers(&platform, "/requests?q=%221199%22").is_empty());
    assert_eq!(numbers(&platform, "/requests?q=1199"), [1201]);
}

#[test]
fn it_says_where_devices_connect_and_whom_they_trust() {
    let platform = platform();
    let (status, health) = call(platform.inspection_url(), "GET", "/health", "");
    assert_eq!((status, &health["endpoint"]), (200, &Value::from(platform.url())));
    let (_, _, ca) = raw(platform.inspection_url(), "GET /ca.pem HTTP/1.0\r\nHost: localhost\r\n\r\n");
    assert_eq!(ca, platform.ca_pem());
}

#[test]
fn a_list_can_be_waited_for() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    let url = platform.inspection_url().to_owned();
    let waiting = std::thread::spawn(move || call(&url, "GET", "/requests?call=message&after=1&wait_ms=600000", ""));
    // What does not match ends no wait.
    connection.token("another");
    connection.message("device", &token, b"it");
    let (status, list) = waiting.join().expect("it ends");
    assert_eq!((status, &list[0]["body"]), (200, &Value::from("it")));
    assert!(numbers(&platform, "/requests?after=99&wait_ms=1").is_empty());
    assert_eq!(numbers(&platform, "/reports?wait_ms=600000"), [1]);
}

#[test]
fn json_is_indented_for_a_browser_and_harmless_for_a_terminal() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    let body = "{\"services\":[{\"service_id\":\"\u{9b}\u{202e}\u{7f}<script>\",\"properties\":{\"n\":18446744073709551616.10}}]}";
    assert_eq!(connection.properties("device", &token, body).outcome(), accepted());
    for accept in ["", "Accept: text/html,*/*\r\n"] {
        let request = format!("GET /reports HTTP/1.0\r\nHost: localhost\r\n{accept}\r\n");
        let (_, _, text) = raw(platform.inspection_url(), &request);
        assert_eq!(text.contains("\n    "), !accept.is_empty(), "{text}");
        assert!(text.contains("18446744073709551616.10"), "{text}");
        assert!(text.chars().all(|it| it == '\n' || !(it.is_control() || it == '\u{202e}')), "{text:?}");
        let list: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(list[0]["services"][0]["service_id"], "\u{9b}\u{202e}\u{7f}<script>");
    }
}

/// Follows the events.
struct Events(BufReader<TcpStream>);

impl Events {
    fn open(platform: &Platform, after: u64) -> Self {
        let address = platform.inspection_url().trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).expect("a connection");
        write!(stream, "GET /events?after={after} HTTP/1.0\r\nHost: localhost\r\n\r\n").expect("it is written");
        let mut events = Self(BufReader::new(stream));
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            events.0.read_line(&mut line).expect("a line");
            if line.starts_with("content-type") {
                assert_eq!(line, "content-type: text/event-stream\r\n");
            }
        }
        events
    }

    /// The next event: its name, its number, and its data.
    fn next(&mut self) -> (String, Option<u64>, Value) {
        let (mut name, mut id, mut data) = ("message".to_owned(), None, Value::Null);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("a line");
            match line.trim_end().split_once(": ") {
                Some(("event", value)) => value.clone_into(&mut name),
                Some(("id", value)) => id = Some(value.parse().expect("a number")),
                Some(("data", value)) => data = serde_json::from_str(value).expect("JSON"),
                _ => return (name, id, data),
            }
        }
    }
}

#[test]
fn events_come_as_they_happen_and_are_resumed_by_number() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    let mut events = Events::open(&platform, 0);
    let (name, _, start) = events.next();
    assert_eq!((name.as_str(), &start["last"]), ("start", &Value::from(1)));
    assert_eq!(events.next().1, Some(1));
    for number in 2..500 {
        connection.message("device", &token, b"x");
        let (name, id, data) = events.next();
        assert_eq!((name.as_str(), id, &data["number"]), ("message", Some(number), &Value::from(number)));
        assert!(data.get("headers").is_none());
    }
    // From where it was left, with what has come since.
    let mut later = Events::open(&platform, 490);
    assert_eq!(later.next().0, "start");
    for number in 491..500 {
        assert_eq!(later.next().1, Some(number));
    }
    // A number of another run says that all is to be forgotten, and so does a deletion.
    let mut other = Events::open(&platform, 10_000);
    let (name, _, data) = other.next();
    assert_eq!((name.as_str(), &data["run"]), ("reset", &start["run"]));
    assert_eq!(other.next().1, Some(1));
    platform.clear_records();
    assert_eq!(events.next().0, "reset");
    connection.message("device", &token, &[b'x'; 100_000]);
    let (_, id, data) = events.next();
    assert_eq!(
        (id, data["body"].as_str().map(str::len), &data["body_length"]),
        (Some(500), Some(65_536), &100_000.into())
    );
}

#[test]
fn what_has_made_way_is_said_to_whoever_follows() {
    let platform = Platform::builder().registry(registry()).max_records(3).start().expect("a platform");
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    for _ in 0..9 {
        connection.message("device", &token, b"");
    }
    let mut events = Events::open(&platform, 2);
    assert_eq!(events.next().0, "start");
    let (name, _, data) = events.next();
    assert_eq!((name.as_str(), &data["from"], &data["to"]), ("gap", &2.into(), &8.into()));
    assert_eq!(events.next().1, Some(8));
    assert_eq!(platform.counters().requests_dropped, 7);
}

#[test]
fn no_more_than_eight_follow() {
    let platform = platform();
    let mut open: Vec<_> = (0..8).map(|_| Events::open(&platform, 0)).collect();
    for events in &mut open {
        assert_eq!(events.next().0, "start");
    }
    let ninth = || raw(platform.inspection_url(), "GET /events HTTP/1.0\r\nHost: localhost\r\n\r\n").0;
    assert_eq!(ninth(), 503);
    // One that goes leaves its place.
    open.pop();
    let mut events = None;
    for _ in 0..100_000 {
        let address = platform.inspection_url().trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.write_all(b"GET /events HTTP/1.0\r\nHost: localhost\r\n\r\n").expect("it is written");
        let mut line = String::new();
        let mut reader = BufReader::new(stream);
        reader.read_line(&mut line).expect("a line");
        if line.contains(" 200 ") {
            events = Some(reader);
            break;
        }
    }
    assert!(events.is_some());
}

#[test]
fn twenty_thousand_records_come_to_a_follower_without_a_loss() {
    let platform = Platform::builder().registry(registry()).clock_stopped_at(now()).start().expect("a platform");
    let mut events = Events::open(&platform, 0);
    assert_eq!(events.next().0, "start");
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    let sender = std::thread::spawn(move || {
        let request = crate::device::message(&token, b"").repeat(100);
        for _ in 0..200 {
            connection.write(&request).expect("they are written");
            for _ in 0..100 {
                assert_eq!(connection.read().expect("an answer").status, 200);
            }
        }
    });
    for number in 1..=20_001 {
        assert_eq!(events.next().1, Some(number));
    }
    sender.join().expect("it ends");
}
