//! `iotda stream` without an outbox: what arrives, and how it ends. Among these are five faults of `mosquitto_pub -l`: it hangs
//! when the server goes, loses a last line without an end, hangs on an empty input, ends with 0 though it was refused,
//! and fails where its standard input is closed.

use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use iotda_platform::{CertificateKind, Fault, Part, Route, Stall};
use testkit::{Stand, scratch};

use crate::run::{Ended, Running, arrived, compare, iotda_at, run, run_with_input, wait_for};

pub const PROPERTIES: &str = "properties/report";
pub const BATCHES: &str = "gateway/sub-devices/properties/report";

/// The stream of a service `s`, as fast as it can.
fn stream(stand: &Stand, words: &[&str]) -> Command {
    let all = [&["stream", "--service", "s", "--rate", "0"], words].concat();
    iotda_at(stand, &all)
}

fn report(properties: &str) -> String {
    format!(r#"{{"services":[{{"service_id":"s","properties":{properties}}}]}}"#)
}

/// The same without how long it took.
pub fn without_time(mut ended: Ended) -> Ended {
    for text in [&mut ended.stdout, &mut ended.stderr] {
        let lines: Vec<String> = text
            .lines()
            .map(|line| match line.rsplit_once(" in ") {
                Some((before, seconds)) if seconds.ends_with(" s") => format!("{before} in [TIME]"),
                _ => line.to_owned(),
            })
            .collect();
        *text = lines.iter().map(|line| format!("{line}\n")).collect();
    }
    ended
}

#[test]
fn each_line_is_a_report_in_order_and_the_last_needs_no_end() {
    let stand = Stand::start().unwrap();
    let ended = run_with_input(&mut stream(&stand, &[]), b"{\"n\":1}\n\n{\"n\": 2.50}\r\n{\"n\":3}");
    compare("stream", &without_time(ended), &[]);
    assert_eq!(arrived(&stand, PROPERTIES), [r#"{"n":1}"#, r#"{"n":2.50}"#, r#"{"n":3}"#].map(report));
    assert_eq!(stand.platform.counters().authentications, 1);
}

#[test]
fn an_empty_or_a_closed_input_is_no_report_and_no_fault() {
    let stand = Stand::start().unwrap();
    compare("stream_empty", &without_time(run(&mut stream(&stand, &[]))), &[]);
    let program = env!("CARGO_BIN_EXE_iotda");
    let mut closed = Command::new("sh");
    closed.args(["-c", "exec \"$0\" stream --service s <&-", program]).env("HOME", scratch().unwrap());
    stand.configure(&mut closed);
    let ended = Running::start(&mut closed).end_by_itself();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(stand.platform.requests().is_empty());
}

#[test]
fn a_server_that_goes_ends_the_stream_with_an_error() {
    let stand = Stand::start().unwrap();
    let mut running = Running::start(&mut stream(&stand, &["--timeout", "0.3"]));
    let stdin = running.child.stdin.as_mut().unwrap();
    stdin.write_all(b"{\"n\":1}\n").unwrap();
    wait_for(&stand, "call=properties");
    drop(stand);
    running.child.stdin.as_mut().unwrap().write_all(b"{\"n\":2}\n").unwrap();
    // Its input is still open.
    let stdin = running.child.stdin.take();
    let ended = running.end_by_itself();
    drop(stdin);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.stderr.contains("line 2 of standard input was not accepted"), "{ended:?}");
}

#[test]
fn what_is_refused_ends_the_stream_or_is_left_out_or_kept_in_a_file() {
    let lines = b"{\"n\":1}\nnonsense\n{\"n\":2}\n{\"n\":3}\n";
    // The platform refuses {"n":2}; the second line is wrong in itself.
    let refusing = || {
        let stand = Stand::start().unwrap();
        let fault = Fault::refusal("IOTDA.000006").on(Route::Properties).times(1);
        (stand, fault)
    };
    let (stand, _) = refusing();
    compare("stream_stop", &without_time(run_with_input(&mut stream(&stand, &[]), lines)), &[]);
    assert_eq!(arrived(&stand, PROPERTIES), [report(r#"{"n":1}"#)]);

    for (choice, file) in [("skip", None), ("dead", Some("dead.jsonl"))] {
        let (stand, fault) = refusing();
        let mut words = vec!["--on-error", choice];
        words.extend(file.iter().flat_map(|file| ["--dead-file", *file]));
        let mut running = Running::start(&mut stream(&stand, &words));
        let mut stdin = running.child.stdin.take().unwrap();
        stdin.write_all(&lines[..8]).unwrap();
        wait_for(&stand, "call=properties");
        stand.platform.inject(fault).unwrap();
        stdin.write_all(&lines[8..]).unwrap();
        drop(stdin);
        let ended = running.end_by_itself();
        compare(&format!("stream_{choice}"), &without_time(ended), &[]);
        assert_eq!(arrived(&stand, PROPERTIES), [r#"{"n":1}"#, r#"{"n":3}"#].map(report));
    }
    let dead = fs::read_to_string(scratch().unwrap().join("dead.jsonl")).unwrap();
    let dead: Vec<serde_json::Value> = dead.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((dead.len(), &dead[0]["line"], &dead[0]["text"]), (2, &2.into(), &"nonsense".into()));
    assert_eq!((&dead[1]["line"], &dead[1]["text"]), (&3.into(), &"{\"n\":2}".into()));
    assert_eq!((&dead[1]["kind"], &dead[1]["code"]), (&"Rejected".into(), &"IOTDA.000006".into()));
    let (stand, _) = refusing();
    assert_eq!(run(&mut stream(&stand, &["--on-error", "dead"])).code, Some(2), "it names no file");
}

#[test]
fn rows_become_reports_of_the_device_and_of_its_children() {
    let stand = Stand::start().unwrap();
    let rows = "when,who,what,Speed,Serial\n\
                2021-08-13T10:10:10.555Z,child-1,wind,12.50,0815\n\
                1628849410556,test_gateway,wind,,x\n\
                ,child-2,\"odd, service\",1,\n";
    fs::write(scratch().unwrap().join("rows.csv"), rows).unwrap();
    let words = ["stream", "rows.csv", "--rate", "0", "--service-column", "what", "--device-column", "who", "-q"];
    let ended = run(&mut iotda_at(&stand, &[&words[..], &["--time-column", "when"]].concat()));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    let service = |service: &str, properties: &str, time: &str| {
        format!(r#""services":[{{"service_id":"{service}","properties":{properties}{time}}}]"#)
    };
    let first = service("wind", r#"{"Speed":12.50,"Serial":"0815"}"#, r#","event_time":"2021-08-13T10:10:10.555Z""#);
    let own = service("wind", r#"{"Serial":"x"}"#, r#","event_time":"2021-08-13T10:10:10.556Z""#);
    let last = service("odd, service", r#"{"Speed":1}"#, "");
    let child = |id: &str, services: &str| format!(r#"{{"devices":[{{"device_id":"{id}",{services}}}]}}"#);
    assert_eq!(arrived(&stand, BATCHES), [child("child-1", &first), child("child-2", &last)]);
    assert_eq!(arrived(&stand, PROPERTIES), [format!("{{{own}}}")]);
}

#[test]
fn whole_bodies_pass_through_as_they_are() {
    let stand = Stand::start().unwrap();
    let body = r#"{"services": [{"service_id":"a","properties":{"b":1e2}}]}"#;
    let ended = run_with_input(&mut iotda_at(&stand, &["stream", "--summary", "json", "-q"]), body.as_bytes());
    assert!(ended.stderr.starts_with(r#"{"accepted":1,"lines":1,"refused":0,"retries":0,"took_ms":"#), "{ended:?}");
    assert_eq!(arrived(&stand, PROPERTIES), [body]);
}

#[test]
fn the_rate_keeps_below_the_platforms_limit() {
    let stand = Stand::start().unwrap();
    stand.platform.set_device_rate(testkit::GATEWAY, Some(10)).unwrap();
    let lines: String = (0..25).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let ended = run_with_input(&mut iotda_at(&stand, &["stream", "--service", "s"]), lines.as_bytes());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!((arrived(&stand, PROPERTIES).len(), stand.platform.counters().refusals), (25, 0));
}

#[test]
fn an_interrupt_finishes_what_is_in_flight_and_a_second_one_does_not() {
    let stand = Stand::start().unwrap();
    let slow = Fault::delay(Part::Header, Stall::For(Duration::from_millis(300))).on(Route::Properties);
    stand.platform.inject(slow).unwrap();
    let mut running = Running::start(&mut stream(&stand, &[]));
    running.child.stdin.as_mut().unwrap().write_all(b"{\"n\":1}\n").unwrap();
    wait_for(&stand, "call=properties");
    running.interrupt();
    let stdin = running.child.stdin.take();
    let ended = running.end_by_itself();
    drop(stdin);
    compare("stream_interrupted", &without_time(ended), &[]);

    stand.platform.clear_faults();
    stand.platform.clear_records();
    stand.platform.inject(Fault::delay(Part::Header, Stall::ForEver).on(Route::Properties)).unwrap();
    let mut running = Running::start(&mut stream(&stand, &["--timeout", "3600"]));
    running.child.stdin.as_mut().unwrap().write_all(b"{\"n\":1}\n").unwrap();
    wait_for(&stand, "call=properties");
    // Two signals that come together may be one.
    while running.child.try_wait().unwrap().is_none() {
        running.interrupt();
    }
    assert_eq!(running.child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_stream_takes_the_token_that_another_command_was_issued() {
    let stand = Stand::start().unwrap();
    for outbox in [&[][..], &["--outbox", "kept"]] {
        stand.platform.clear_records();
        let before = stand.platform.counters().authentications;
        let mut running = Running::start(&mut stream(&stand, outbox));
        let mut stdin = running.child.stdin.take().unwrap();
        stdin.write_all(b"{\"n\":1}\n").unwrap();
        wait_for(&stand, r#"call=properties&q="n":1"#);
        assert_eq!(run(&mut iotda_at(&stand, &["auth", "--renew"])).code, Some(0));
        let renewed = stand.platform.counters().authentications;
        // The stream's own token has ended.
        stand.platform.advance(Duration::from_secs(31));
        stdin.write_all(b"{\"n\":2}\n").unwrap();
        drop(stdin);
        let ended = running.end_by_itself();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(stand.platform.counters().authentications, renewed, "it took the new one");
        assert!(renewed > before && arrived(&stand, PROPERTIES).len() == 2);
    }
}

#[test]
fn a_file_is_followed_over_its_rotation() {
    let stand = Stand::start().unwrap();
    let log = scratch().unwrap().join("log.jsonl");
    fs::write(&log, "{\"n\":1}\n{\"n\":").unwrap();
    let running = Running::start(&mut stream(&stand, &["--follow", "log.jsonl"]));
    wait_for(&stand, "call=properties");
    fs::OpenOptions::new().append(true).open(&log).unwrap().write_all(b"2}\n{\"n\":3}\n").unwrap();
    wait_for(&stand, r#"call=properties&q="n":3"#);
    fs::rename(&log, scratch().unwrap().join("log.1")).unwrap();
    fs::write(&log, "{\"n\":4}\n{\"n\":").unwrap();
    wait_for(&stand, r#"call=properties&q="n":4"#);
    running.interrupt();
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert_eq!(arrived(&stand, PROPERTIES), (1..=4).map(|n| report(&format!("{{\"n\":{n}}}"))).collect::<Vec<_>>());
}

#[test]
fn streams_that_cannot_be_are_refused_with_advice() {
    let stand = Stand::start().unwrap();
    compare("stream_follow_stdin", &run(&mut stream(&stand, &["--follow"])), &[]);
    compare("stream_no_file", &run(&mut stream(&stand, &["nowhere.csv"])), &[]);
    compare("stream_no_service", &without_time(run_with_input(&mut iotda_at(&stand, &["stream"]), b"{\"n\":1}")), &[]);
    let untrusted = Stand::start_with(CertificateKind::Expired).unwrap();
    let ended = run_with_input(&mut stream(&untrusted, &["--timeout", "0.3"]), b"{\"n\":1}\n{\"n\":2}\n");
    assert_eq!(ended.code, Some(5), "{ended:?}");
}
