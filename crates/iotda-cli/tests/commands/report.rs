//! `iotda report`, `message` and `batch`: what arrives, what is printed, how it ends.

use std::fs;

use iotda_platform::{Close, Fault, InjectedAnswer, Part, Route, Stall};
use testkit::{Stand, scratch};

use crate::run::{Running, arrived, compare, iotda, iotda_at, run, run_with_input, wait_for};

const PROPERTIES: &str = "properties/report";
const MESSAGES: &str = "messages/up";
const BATCHES: &str = "gateway/sub-devices/properties/report";

#[test]
fn properties_arrive_as_they_are_typed() {
    let stand = Stand::start().unwrap();
    let words = ["report", "weather", "Temperature=21.50", "Raining=false", "Note=21,5", "--string", "Serial=0815"];
    compare("report", &run(&mut iotda_at(&stand, &words)), &[]);
    let at = ["report", "weather", "T:=[1, 2]", "--time", "2021-08-13T12:10:10.555+02:00", "--json"];
    compare("report_json", &run(&mut iotda_at(&stand, &at)), &[]);
    let body = r#"{"services": [{"service_id":"a","properties":{"b":1e2}}]}"#;
    assert_eq!(run_with_input(&mut iotda_at(&stand, &["report", "--body", "-", "-q"]), body.as_bytes()).stdout, "");
    assert_eq!(
        arrived(&stand, PROPERTIES),
        [
            r#"{"services":[{"service_id":"weather","properties":{"Temperature":21.50,"Raining":false,"Note":"21,5","Serial":"0815"}}]}"#,
            r#"{"services":[{"service_id":"weather","properties":{"T":[1, 2]},"event_time":"2021-08-13T10:10:10.555Z"}]}"#,
            body,
        ]
    );
    assert_eq!(stand.platform.counters().authentications, 1, "the commands share a token");
}

#[test]
fn what_is_wrong_with_properties_is_said_before_anything_is_sent() {
    let stand = Stand::start().unwrap();
    compare("report_no_assignment", &run(&mut iotda_at(&stand, &["report", "weather", "Temperature"])), &[]);
    compare("report_twice", &run(&mut iotda_at(&stand, &["report", "weather", "a=1", "a=2"])), &[]);
    compare("report_seconds", &run(&mut iotda_at(&stand, &["report", "w", "a=1", "--time", "1628849410"])), &[]);
    let misspelt = br#"{"services":[{"service_id":"a","properties":{"b":1},"eventtime":"x"}]}"#;
    assert_eq!(run_with_input(&mut iotda_at(&stand, &["report", "--body", "-"]), misspelt).code, Some(2));
    assert_eq!(run(&mut iotda_at(&stand, &["report", "weather"])).code, Some(2));
    assert_eq!(run(&mut iotda_at(&stand, &["report", "w", "a=1", "--body", "-"])).code, Some(2));
    assert!(stand.platform.requests().is_empty());
}

#[test]
fn a_message_is_any_bytes() {
    let stand = Stand::start().unwrap();
    fs::write(scratch().unwrap().join("blob"), b"\0\xff\n").unwrap();
    compare("message", &run(&mut iotda_at(&stand, &["message", "hello"])), &[]);
    assert_eq!(run(&mut iotda_at(&stand, &["message", "-f", "blob"])).code, Some(0));
    assert_eq!(run_with_input(&mut iotda_at(&stand, &["message", "-"]), b"no newline").code, Some(0));
    assert_eq!(run_with_input(&mut iotda_at(&stand, &["message", "-f", "-"]), b"").code, Some(0));
    let requests = stand.platform.requests();
    let bodies: Vec<&[u8]> =
        requests.iter().filter(|r| r.target.ends_with(MESSAGES)).map(|r| r.body.as_slice()).collect();
    assert_eq!(bodies, [b"hello".as_slice(), b"\0\xff\n", b"no newline", b""]);
    let large = run_with_input(&mut iotda_at(&stand, &["message", "-"]), &vec![b'x'; 1 << 20]);
    compare("message_too_large", &large, &[]);
    assert_eq!(run(&mut iotda_at(&stand, &["message", "x", "-f", "y"])).code, Some(2));
}

fn child(id: &str) -> String {
    format!(r#"{{"device_id":"{id}","services":[{{"service_id":"s","properties":{{"n":1}}}}]}}"#)
}

#[test]
fn a_batch_names_the_children_that_were_not_delivered() {
    let stand = Stand::start().unwrap();
    let children: Vec<String> = (0..60).map(|n| child(&format!("child-{n}"))).collect();
    let all = format!("{{\"devices\":[{}]}}", children.join(","));
    compare("batch", &run_with_input(&mut iotda_at(&stand, &["batch", "-f", "-"]), all.as_bytes()), &[]);
    assert_eq!(arrived(&stand, BATCHES).len(), 2);
    // `second` is registered, and not this gateway's.
    let some = format!("{{\"devices\":[{},{},{}]}}", child("child-1"), child("second"), child("a b"));
    fs::write(scratch().unwrap().join("some.json"), &some).unwrap();
    compare("batch_some", &run(&mut iotda_at(&stand, &["batch", "-f", "some.json"])), &[]);
    compare("batch_some_json", &run(&mut iotda_at(&stand, &["batch", "-f", "some.json", "--json"])), &[]);
    let none = format!("{{\"devices\":[{}]}}", child("second"));
    assert_eq!(run_with_input(&mut iotda_at(&stand, &["batch", "-f", "-"]), none.as_bytes()).code, Some(8));
    assert_eq!(run_with_input(&mut iotda_at(&stand, &["batch", "-f", "-"]), b"{\"devices\":[]}").code, Some(2));
    compare("batch_missing", &run(&mut iotda_at(&stand, &["batch", "-f", "nowhere.json"])), &[]);
}

#[test]
fn a_dry_run_shows_the_request_and_sends_nothing() {
    let stand = Stand::start().unwrap();
    let endpoint = [(stand.platform.url(), "[ENDPOINT]")];
    let words = ["report", "weather", "Temperature=21.5", "--time", "1628849410555", "--dry-run"];
    compare("dry_run", &run(iotda_at(&stand, &words).env_remove("IOTDA_DEVICE_SECRET")), &endpoint);
    let words = ["message", "-", "--dry-run", "--json"];
    let exact = b"{\"n\":\n12345678901234567890.10}";
    compare("dry_run_json", &run_with_input(&mut iotda_at(&stand, &words), exact), &endpoint);
    let children: Vec<String> = (0..51).map(|n| child(&format!("c{n}"))).collect();
    let all = format!("{{\"devices\":[{}]}}", children.join(","));
    let ended = run_with_input(&mut iotda_at(&stand, &["batch", "-f", "-", "--dry-run"]), all.as_bytes());
    assert!(
        ended.stderr.contains("at least 2 requests") && ended.stdout.ends_with(&format!("\n\n{all}\n")),
        "{ended:?}"
    );
    // It needs no configuration at all.
    compare("dry_run_unconfigured", &run(&mut iotda(&["message", "x", "--dry-run"])), &[]);
    assert!(stand.platform.requests().is_empty());
}

#[test]
fn refusals_and_faults_have_their_codes_and_retries_are_counted() {
    let stand = Stand::start().unwrap();
    assert_eq!(run(&mut iotda_at(&stand, &["auth", "-q"])).code, Some(0));
    stand.platform.inject(Fault::refusal("IOTDA.000006").on(Route::Message).times(1)).unwrap();
    compare("message_rejected", &run(&mut iotda_at(&stand, &["message", "x"])), &[]);
    stand.platform.inject(Fault::refusal("IOTDA.000004").on(Route::Message)).unwrap();
    assert_eq!(run(&mut iotda_at(&stand, &["message", "x"])).code, Some(6));
    stand.platform.clear_faults();
    stand.platform.inject(Fault::answer(InjectedAnswer::status(503)).on(Route::Message).times(1)).unwrap();
    compare("message_retried", &run(&mut iotda_at(&stand, &["message", "x"])), &[]);
    let page = InjectedAnswer::status(200).body("<html>log in</html>").content_type("text/html");
    stand.platform.inject(Fault::answer(page).on(Route::Message)).unwrap();
    assert_eq!(run(&mut iotda_at(&stand, &["message", "x", "--timeout", "0.3"])).code, Some(9));
    stand.platform.clear_faults();
    stand.platform.inject(Fault::response_cut(0, Close::Fin).on(Route::Message)).unwrap();
    let cut = run(&mut iotda_at(&stand, &["message", "x", "--timeout", "0.3", "--json"]));
    assert!(cut.code == Some(4) && cut.stdout.contains(r#""may_have_arrived":true"#), "{cut:?}");
}

#[test]
fn an_interrupt_ends_a_call_that_waits() {
    let stand = Stand::start().unwrap();
    stand.platform.inject(Fault::delay(Part::Header, Stall::ForEver).on(Route::Message)).unwrap();
    let running = Running::start(&mut iotda_at(&stand, &["message", "x"]));
    wait_for(&stand, "call=message");
    running.interrupt();
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{ended:?}");
}

#[test]
fn nobody_who_reads_the_output_is_no_fault() {
    let stand = Stand::start().unwrap();
    let mut running = Running::start_unread(&mut iotda_at(&stand, &["message", "x"]));
    assert_eq!(running.child.wait().unwrap().code(), Some(0));
    assert_eq!(arrived(&stand, MESSAGES), ["x"]);
}
