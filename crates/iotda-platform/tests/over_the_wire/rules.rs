//! The page's rules, each through the whole of the platform.

use crate::device::{Connection, NOW_MS, PASSWORD, accepted, credentials, now, platform, refused, registry};
use iotda_platform::{Device, Outcome, Platform, ReportKind};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const REPORT: &str = r#"{"services":[{"service_id":"s","properties":{"a":1}}]}"#;

#[test]
fn an_authentication_gives_a_token() {
    let platform = platform();
    let response = Connection::open(&platform).authenticate("device");
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    let body = response.json();
    assert_eq!(body["expires_in"], 86_399);
    assert_eq!(body["access_token"].as_str().map(str::len), Some(64));
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(2));
    let request = &platform.requests()[0];
    assert_eq!((request.device_id.as_deref(), request.error_code.as_deref()), (Some("device"), None));
}

#[test]
fn tokens_differ_and_have_the_length_and_life_that_were_set() {
    let platform = Platform::builder()
        .registry(registry())
        .clock_stopped_at(now())
        .token_length(256)
        .token_lifetime(Duration::from_secs(60))
        .start()
        .expect("a platform");
    let mut connection = Connection::open(&platform);
    assert_eq!(connection.authenticate("device").json()["expires_in"], 60);
    let (first, second) = (connection.token("device"), connection.token("device"));
    assert_eq!(first.len(), 256);
    assert_ne!(first, second);
    platform.advance(Duration::from_secs(59));
    assert_eq!(connection.message("device", &second, b"").outcome(), accepted());
    platform.advance(Duration::from_secs(1));
    assert_eq!(connection.message("device", &second, b"").outcome(), refused(403, "IOTDA.000004"));
}

#[test]
fn who_cannot_authenticate() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let failed = refused(401, "IOTDA.000002");
    assert_eq!(connection.authenticate("unknown").outcome(), failed);
    // A child without a secret.
    assert_eq!(connection.authenticate("child_1").outcome(), failed);
    let mut wrong = credentials("device");
    wrong["password"] = json!(PASSWORD.replace('2', "3"));
    assert_eq!(connection.post("/v5/device-auth", None, wrong.to_string().as_bytes()).outcome(), failed);
    assert_eq!(connection.post("/v5/device-auth", None, b"{}").outcome(), refused(400, "IOTDA.000006"));
    let error = connection.authenticate("unknown").json();
    assert_eq!(error, json!({ "error_code": "IOTDA.000002", "error_msg": "Authentication failed." }));
    assert_eq!(platform.counters().authentications, 0);
}

#[test]
fn the_timestamp_is_checked_against_the_platform_s_time_if_asked_for() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let mut checked = credentials("device");
    checked["sign_type"] = json!(1);
    let mut post = || connection.post("/v5/device-auth", None, checked.to_string().as_bytes()).status;
    assert_eq!(post(), 200);
    platform.advance(Duration::from_secs(2 * 3600));
    assert_eq!(post(), 401);
    platform.set_time(now() - Duration::from_secs(3600));
    assert_eq!(post(), 200);
    assert_eq!(platform.now_ms(), i64::try_from(NOW_MS).expect("a time") - 3_600_000);
}

#[test]
fn an_old_token_has_thirty_seconds_after_a_new_one() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let (old, other) = (connection.token("device"), connection.token("another"));
    platform.advance(Duration::from_secs(100));
    let new = connection.token("device");
    platform.advance(Duration::from_millis(29_999));
    assert_eq!(connection.message("device", &old, b"").outcome(), accepted());
    platform.advance(Duration::from_millis(1));
    assert_eq!(connection.message("device", &old, b"").outcome(), refused(403, "IOTDA.000004"));
    assert_eq!(connection.message("device", &new, b"").outcome(), accepted());
    assert_eq!(connection.message("another", &other, b"").outcome(), accepted());
}

#[test]
fn tokens_that_are_not_the_device_s() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    let invalid = refused(403, "IOTDA.000004");
    let path = "/v5/devices/device/sys/messages/up";
    assert_eq!(connection.post(path, None, b"").outcome(), invalid);
    assert_eq!(connection.message("device", "wrong", b"").outcome(), invalid);
    assert_eq!(connection.message("another", &token, b"").outcome(), invalid);
    assert_eq!(connection.batch("gateway", &token, "{}").outcome(), invalid);
    assert_eq!(connection.message("device", &token, b"").outcome(), accepted());
    platform.expire_tokens();
    assert_eq!(connection.message("device", &token, b"").outcome(), invalid);
    assert_eq!(platform.reports().len(), 1);
    assert_eq!(platform.requests().len(), 7);
}

#[test]
fn a_message_may_hold_anything() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    for body in [b"".as_slice(), b"\x00\xff", "größer".as_bytes(), b"{not json"] {
        assert_eq!(connection.message("device", &token, body).outcome(), accepted());
        let report = platform.reports().pop().expect("a report");
        assert_eq!((report.kind, report.body.as_slice()), (ReportKind::Message, body));
        assert_eq!((report.reporter.as_str(), report.device_id.as_str()), ("device", "device"));
    }
}

#[test]
fn content_types() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    let mut with = |header: &str| {
        let request = format!(
            "POST /v5/devices/device/sys/messages/up HTTP/1.1\r\nHost: a\r\n{header}access_token: {token}\r\n\
             Content-Length: 1\r\n\r\na"
        );
        connection.exchange(request.as_bytes()).outcome()
    };
    assert_eq!(with("Content-Type: application/json; charset=utf-8\r\n"), accepted());
    assert_eq!(with("Content-Type: text/plain\r\n"), refused(400, "IOTDA.000006"));
    assert_eq!(with(""), refused(400, "IOTDA.000006"));
}

#[test]
fn properties_are_kept_byte_for_byte() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    let body = r#" { "services" : [ {"service_id":"a", "properties": { "n":18446744073709551616.10,"é":"\u00e9" } ,
        "event_time":"2021-08-13T10:10:10.555Z"},{"service_id":"b","properties":{},"event_time":"yesterday"}] } "#;
    let response = connection.properties("device", &token, body);
    assert_eq!(response.outcome(), accepted());
    assert_eq!((response.body.as_str(), response.header("content-length")), ("", Some("0")));
    let report = platform.reports().pop().expect("a report");
    assert_eq!((report.kind, report.body.as_slice()), (ReportKind::Properties, body.as_bytes()));
    let [a, b] = report.services.as_slice() else { panic!("two services: {report:?}") };
    assert_eq!(a.properties, r#"{ "n":18446744073709551616.10,"é":"\u00e9" }"#);
    assert_eq!(a.event_time_applied_ms, 1_628_849_410_555);
    assert_eq!(b.event_time_given.as_deref(), Some("yesterday"));
    assert_eq!(b.event_time_applied_ms, platform.now_ms());
}

#[test]
fn a_model_is_kept() {
    let body = |speed: &str| format!(r#"{{"services":[{{"service_id":"wind","properties":{{"Speed":{speed}}}}}]}}"#);
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let token = connection.token("station");
    // The vendor's manual has it that what does not fit is thrown away, not refused.
    for (report, outcome) in [
        (body("23.24"), Outcome::Accepted),
        (body("\"23.24\""), Outcome::Discarded),
        (REPORT.to_owned(), Outcome::Discarded),
    ] {
        assert_eq!(connection.properties("station", &token, &report).outcome(), accepted());
        assert_eq!(platform.requests().pop().map(|request| request.outcome()), Some(outcome));
    }
    assert_eq!((platform.reports().len(), platform.counters().discarded), (1, 2));
    let reason = platform.requests().pop().and_then(|request| request.discarded).expect("a reason");
    assert!(reason.contains("no service \"s\""), "{reason}");

    let platform =
        Platform::builder().registry(registry()).clock_stopped_at(now()).strict_model().start().expect("a platform");
    let mut connection = Connection::open(&platform);
    let token = connection.token("station");
    assert_eq!(connection.properties("station", &token, &body("23.24")).outcome(), accepted());
    assert_eq!(connection.properties("station", &token, &body("\"23.24\"")).outcome(), refused(400, "IOTDA.000006"));
    assert_eq!(connection.properties("station", &token, REPORT).outcome(), refused(400, "IOTDA.000006"));
}

fn batch(children: &[&str]) -> String {
    let services = json!([{ "service_id": "s", "properties": { "a": 1 } }]);
    let devices: Vec<_> = children.iter().map(|id| json!({ "device_id": id, "services": services })).collect();
    json!({ "devices": devices }).to_string()
}

#[test]
fn a_batch_is_accepted_or_refused_as_a_whole() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let token = connection.token("gateway");
    let foreign = refused(400, "IOTDA.021104");
    assert_eq!(connection.batch("gateway", &token, &batch(&["child_1", "child_3"])).outcome(), foreign);
    assert_eq!(connection.batch("gateway", &token, &batch(&["child_1", "device"])).outcome(), foreign);
    assert!(platform.reports().is_empty());
    assert_eq!(connection.batch("gateway", &token, &batch(&["child_2", "child_1"])).outcome(), accepted());
    let reports = platform.reports();
    let reported: Vec<_> = reports.iter().map(|report| (report.reporter.as_str(), report.device_id.as_str())).collect();
    assert_eq!(reported, [("gateway", "child_2"), ("gateway", "child_1")]);
    assert!(reports.iter().all(|report| report.kind == ReportKind::Batch));

    // A child that is registered meanwhile.
    let child = Device::new("child_3").with_gateway("gateway");
    platform.registry().add_device(child).expect("a new device");
    assert_eq!(connection.batch("gateway", &token, &batch(&["child_1", "child_3"])).outcome(), accepted());
}

#[test]
fn a_batch_has_fifty_children_at_most() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    platform.registry().add_device(Device::new("open").with_secret("secret").with_any_child()).expect("a new device");
    let token = connection.token("open");
    let ids: Vec<String> = (0..51).map(|number| format!("child-{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    assert_eq!(connection.batch("open", &token, &batch(&ids[..50])).outcome(), accepted());
    let response = connection.batch("open", &token, &batch(&ids));
    assert_eq!(response.outcome(), refused(403, "IOTDA.021103"));
    let text = "The number of child devices in the request has reached the upper limit (50).";
    assert_eq!(response.json()["error_msg"], text);
    assert_eq!(platform.reports().len(), 50);
}

#[test]
fn rates_of_a_device() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let (device, another) = (connection.token("device"), connection.token("another"));
    platform.set_device_rate("device", Some(2)).expect("a known device");
    for _ in 0..2 {
        assert_eq!(connection.properties("device", &device, REPORT).outcome(), accepted());
    }
    assert_eq!(connection.properties("device", &device, REPORT).outcome(), refused(403, "IOTDA.021101"));
    assert_eq!(connection.properties("another", &another, REPORT).outcome(), accepted());
    platform.advance(Duration::from_secs(1));
    // 4,097 bytes count twice.
    assert_eq!(connection.message("device", &device, &[0; 4097]).outcome(), accepted());
    assert_eq!(connection.message("device", &device, b"").outcome(), refused(403, "IOTDA.021101"));
    platform.set_device_rate("device", None).expect("a known device");
    assert_eq!(connection.message("device", &device, b"").outcome(), accepted());
    assert!(platform.set_device_rate("unknown", None).is_err());
}

#[test]
fn rates_of_the_tenant() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let (device, another) = (connection.token("device"), connection.token("another"));
    platform.set_tenant_rate(Some(2));
    assert_eq!(connection.message("device", &device, b"").outcome(), accepted());
    assert_eq!(connection.message("another", &another, b"").outcome(), accepted());
    let response = connection.message("device", &device, b"");
    assert_eq!(response.outcome(), refused(403, "IOTDA.021102"));
    let text = "The request rate has reached the upper limit of the tenant, limit 2.";
    assert_eq!(response.json()["error_msg"], text);
    platform.set_tenant_rate(None);
    assert_eq!(connection.message("device", &device, b"").outcome(), accepted());
}

#[test]
fn rates_of_authentications() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    platform.registry().limits_mut().auth_rate = Some(1);
    assert_eq!(connection.authenticate("device").status, 200);
    assert_eq!(connection.authenticate("device").outcome(), refused(403, "IOTDA.021101"));
    let token = connection.token("another");
    platform.registry().limits_mut().tenant_auth_rate = Some(0);
    assert_eq!(connection.authenticate("station").outcome(), refused(403, "IOTDA.021102"));
    // Reports have rates of their own.
    assert_eq!(connection.message("another", &token, b"").outcome(), accepted());
}

#[test]
fn records_are_bounded_and_can_be_cleared() {
    let platform = Platform::builder().registry(registry()).max_records(3).start().expect("a platform");
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    for number in 0..5u8 {
        assert_eq!(connection.message("device", &token, &[number]).outcome(), accepted());
    }
    let bodies: Vec<_> = platform.reports().into_iter().map(|report| report.body).collect();
    assert_eq!(bodies, [[2], [3], [4]]);
    assert_eq!((platform.counters().messages, platform.counters().reports_dropped), (5, 2));
    platform.clear_records();
    assert!(platform.reports().is_empty() && platform.requests().is_empty());
    assert_eq!(platform.counters().requests, 6);
}

#[test]
fn accepted_reports_are_appended_to_a_file() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("record-{}.jsonl", std::process::id()));
    for body in ["first", "second"] {
        let platform = Platform::builder().registry(registry()).record_file(&path).start().expect("a platform");
        let mut connection = Connection::open(&platform);
        let token = connection.token("device");
        assert_eq!(connection.message("device", &token, body.as_bytes()).outcome(), accepted());
        assert_eq!(connection.properties("device", &token, "{}").status, 400);
    }
    let text = std::fs::read_to_string(&path).expect("a file");
    std::fs::remove_file(&path).expect("it is removed");
    let bodies: Vec<Value> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["body"].clone()).collect();
    assert_eq!(bodies, ["first", "second"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_report_that_cannot_be_recorded_is_not_accepted() {
    // A device that is always full.
    let platform = Platform::builder().registry(registry()).record_file("/dev/full").start().expect("a platform");
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    assert_eq!(connection.message("device", &token, b"").outcome(), refused(500, "IOTDA.000001"));
    assert!(platform.reports().is_empty());
    let reason = platform.requests().pop().and_then(|request| request.reason).expect("a reason");
    assert!(reason.contains("/dev/full"), "{reason}");
}

#[test]
fn a_dropped_platform_is_gone() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    connection.token("device");
    let address = platform.address();
    drop(platform);
    assert!(connection.is_closed());
    assert!(std::net::TcpStream::connect(address).is_err());
}
