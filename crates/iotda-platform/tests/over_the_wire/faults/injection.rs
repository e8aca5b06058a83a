//! The ways in which faults are injected: the library, the inspection API, a scenario.

use crate::device::{Connection, accepted, now, platform, refused, registry};
use crate::inspection::call;
use iotda_platform::{Fault, Platform, Route};
use serde_json::json;
use std::path::Path;

#[test]
fn over_the_inspection_api() {
    let platform = platform();
    let inspect = |method, body: &str| call(platform.inspection_url(), method, "/faults", body);
    assert_eq!(inspect("GET", ""), (200, json!([])));
    let fault = json!({ "kind": "answer", "code": "IOTDA.021101", "on": "message", "times": 2, "device": "device" });
    assert_eq!(inspect("POST", &fault.to_string()), (201, json!({ "id": 1 })));
    assert_eq!(inspect("POST", r#"{"kind":"plain_http","times":1}"#).1, json!({ "id": 2 }));
    platform.clear_faults();
    assert_eq!(inspect("POST", &fault.to_string()).1, json!({ "id": 3 }));

    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    assert_eq!(connection.message("device", &token, b"").outcome(), refused(403, "IOTDA.021101"));
    let mut expected = fault;
    expected.as_object_mut().expect("an object").extend([
        ("id".to_owned(), json!(3)),
        ("hits".to_owned(), json!(1)),
        ("remaining".to_owned(), json!(1)),
    ]);
    assert_eq!(inspect("GET", ""), (200, json!([expected])));
    let (_, requests) = call(platform.inspection_url(), "GET", "/requests", "");
    assert_eq!((&requests[0]["faults"], &requests[1]["faults"]), (&json!(null), &json!(["answer"])));
    assert_eq!(call(platform.inspection_url(), "GET", "/counters", "").1["request_faults"], 1);
    assert_eq!(inspect("DELETE", "").0, 200);
    assert_eq!(connection.message("device", &token, b"").outcome(), accepted());

    let (status, error) = inspect("POST", r#"{"kind":"drip","evry_ms":1}"#);
    assert_eq!(status, 400);
    assert!(error["error_msg"].as_str().is_some_and(|text| text.contains("unknown field `evry_ms`")), "{error}");
    let (status, error) = inspect("POST", r#"{"kind":"plain_http","on":"auth"}"#);
    assert_eq!(status, 400);
    assert!(error["error_msg"].as_str().is_some_and(|text| text.contains("before there is a request")), "{error}");
    assert_eq!(inspect("PUT", "").0, 405);
}

#[test]
fn by_a_scenario() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("scenario-{}.toml", std::process::id()));
    let start = |text: &str| {
        std::fs::write(&path, text).expect("a file");
        let builder = Platform::builder().registry(registry()).clock_stopped_at(now());
        builder.fault(Fault::status(502).on(Route::Auth).times(1)).scenario_file(&path).start()
    };
    let platform =
        start("[[fault]]\nkind = \"answer\"\nstatus = 503\nretry_after = 2\ntimes = 1\n").expect("a platform");
    let mut connection = Connection::open(&platform);
    assert_eq!(connection.authenticate("device").status, 502);
    let response = connection.authenticate("device");
    assert_eq!((response.status, response.header("retry-after")), (503, Some("2")));
    assert_eq!(connection.authenticate("device").status, 200);

    let error = start("\n[[fault]]\nkind = \"answer\"\n").expect_err("an error").to_string();
    let place = path.display().to_string();
    assert!(error.contains(&place) && error.contains("line 2") && error.contains("a status or"), "{error}");
    std::fs::remove_file(&path).expect("it is removed");
    let builder = Platform::builder().scenario_file(&path);
    assert!(builder.start().expect_err("no file").to_string().contains(&place));
    let builder = Platform::builder().fault(Fault::status(1));
    assert!(builder.start().expect_err("no status").to_string().contains("1 is no status"));
}

#[test]
fn what_cannot_be_carried_out_is_not_armed() {
    let platform = platform();
    assert!(platform.inject(Fault::status(503).times(0)).is_err());
    assert!(platform.inject(Fault::plain_http().for_device("device")).is_err());
    assert!(platform.faults().is_empty());
}
