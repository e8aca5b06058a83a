//! The inspection API, over plain HTTP.

mod guard;
mod looking;

use crate::device::{Connection, accepted, now, refused, registry};
use iotda_platform::Platform;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;

/// Sends one request, and gives the status and the JSON of the answer.
pub fn call(inspection_url: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
    let (status, _, body) = raw(inspection_url, &(head + body));
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
}

/// Sends these bytes, and gives the status, the head and the body of the answer. In HTTP/1.0, a body is never in chunks.
pub fn raw(inspection_url: &str, request: &str) -> (u16, String, String) {
    let address = inspection_url.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.write_all(request.as_bytes()).expect("a request is written");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("an answer is read");
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    (status, head.to_ascii_lowercase(), body.to_owned())
}

#[test]
fn what_was_received_can_be_seen_and_forgotten() {
    let platform = Platform::builder().registry(registry()).clock_stopped_at(now()).start().expect("a platform");
    let inspect = |method, path| call(platform.inspection_url(), method, path, "");
    assert_eq!(inspect("GET", "/reports"), (200, json!([])));
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    assert_eq!(connection.message("device", &token, b"hello").outcome(), accepted());
    assert_eq!(connection.properties("device", &token, "{}").outcome(), refused(400, "IOTDA.000006"));
    let report = json!({
        "number": 1, "request": 2, "kind": "message", "device_id": "device", "reporter": "device", "body": "hello",
        "received_at": "2019-12-02T19:30:00.250Z", "received_at_ms": platform.now_ms(),
    });
    assert_eq!(inspect("GET", "/reports"), (200, json!([report])));
    let (_, requests) = inspect("GET", "/requests");
    assert_eq!(requests[2]["error_code"], "IOTDA.000006");
    assert_eq!(requests[2]["reason"], "the body: \"services\" is missing");
    assert_eq!(requests[2]["target"], "/v5/devices/device/sys/properties/report");
    assert_eq!(inspect("GET", "/counters").1["messages"], 1);
    assert_eq!(inspect("DELETE", "/reports").0, 200);
    assert_eq!(inspect("GET", "/reports"), (200, json!([])));
    assert_eq!(inspect("GET", "/requests"), (200, json!([])));
}

#[test]
fn what_arrived_how_often_and_in_which_order_can_be_asked_and_what_it_counted() {
    let platform = Platform::builder().registry(registry()).clock_stopped_at(now()).start().expect("a platform");
    let inspect = |path| call(platform.inspection_url(), "GET", path, "");
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    let service = |value: &u64| format!(r#"{{"service_id":"s","properties":{{"v":{value}}}}}"#);
    let body = |values: &[u64]| {
        let services: Vec<String> = values.iter().map(service).collect();
        format!(r#"{{"services":[{}]}}"#, services.join(","))
    };
    assert_eq!(connection.properties("device", &token, &body(&[1, 2])).outcome(), accepted());
    assert_eq!(connection.message("device", &token, b"hello").outcome(), accepted());
    assert_eq!(connection.properties("device", &token, "{}").outcome(), refused(400, "IOTDA.000006"));
    assert_eq!(connection.properties("device", &token, &body(&[2, 3])).outcome(), accepted());
    assert_eq!(connection.message("device", &token, &[b'x'; 4097]).outcome(), accepted());
    let (status, arrivals) = inspect("/arrivals");
    assert_eq!(status, 200);
    let arrivals = arrivals.as_array().expect("a list");
    let seen: Vec<(&Value, &Value)> = arrivals.iter().map(|arrival| (&arrival["count"], &arrival["reports"])).collect();
    let (once, twice) = (json!(1), json!(2));
    let (first, both, second, third, fourth) = (json!([1]), json!([1, 3]), json!([2]), json!([3]), json!([4]));
    assert_eq!(seen, [(&once, &first), (&twice, &both), (&once, &second), (&once, &third), (&once, &fourth)]);
    assert_eq!(
        arrivals[1],
        json!({
            "count": 2, "reports": [1, 3], "kind": "properties", "device_id": "device", "reporter": "device",
            "service_id": "s", "properties": { "v": 2 },
        })
    );
    assert_eq!(arrivals[2]["body"], "hello");
    assert_eq!(inspect("/arrivals?call=message&q=HELLO").1, json!([arrivals[2].clone()]));
    assert_eq!(inspect("/arrivals?device=child").1, json!([]));
    assert_eq!((inspect("/arrivals?limit=1").0, inspect("/counters").1["units"].clone()), (400, json!(5)));
    assert_eq!(platform.arrivals().len(), 5);
}

#[test]
fn a_device_is_registered_and_reports() {
    let platform = Platform::builder().clock_stopped_at(now()).start().expect("a platform");
    let post = |path, body: Value| call(platform.inspection_url(), "POST", path, &body.to_string());
    assert_eq!(post("/products", json!({ "product_id": "p" })), (201, json!({ "product_id": "p" })));
    let (status, device) = post("/devices", json!({ "product_id": "p", "node_id": "n", "secret": "secret" }));
    assert_eq!((status, &device["device_id"]), (201, &json!("p_n")));
    let mut connection = Connection::open(&platform);
    let token = connection.token("p_n");
    assert_eq!(connection.message("p_n", &token, b"").outcome(), accepted());
    let (_, devices) = call(platform.inspection_url(), "GET", "/devices", "");
    assert_eq!(devices[0]["device_id"], "p_n");
    let change = |method, body| call(platform.inspection_url(), method, "/devices/p_n", body).0;
    assert_eq!(change("PUT", r#"{"rate":0}"#), 200);
    assert_eq!(connection.message("p_n", &token, b"").outcome(), refused(403, "IOTDA.021101"));
    assert_eq!(change("PUT", r#"{"rate":null,"secret":"another"}"#), 200);
    assert_eq!(connection.message("p_n", &token, b"").outcome(), accepted());
    assert_eq!(connection.authenticate("p_n").outcome(), refused(401, "IOTDA.000002"));
    assert_eq!((change("PUT", r#"{"secrets":""}"#), change("PUT", r#"{"secret":""}"#)), (400, 400));
    assert_eq!((change("DELETE", ""), change("DELETE", ""), change("PUT", "{}")), (200, 404, 404));
    assert_eq!(connection.message("p_n", &token, b"").outcome(), refused(403, "IOTDA.000004"));
    let (_, products) = call(platform.inspection_url(), "GET", "/products", "");
    assert_eq!(products, json!([{ "product_id": "p", "services": {} }]));
}

#[test]
fn the_clock_is_moved_and_tokens_expire() {
    let platform = Platform::builder().registry(registry()).clock_stopped_at(now()).start().expect("a platform");
    let inspect = |method, path, body| call(platform.inspection_url(), method, path, body);
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    let started = platform.now_ms();
    assert_eq!(
        inspect("POST", "/clock/advance", r#"{"ms":1000}"#),
        (200, json!({ "now_ms": started + 1000, "stopped": true }))
    );
    assert_eq!(connection.message("device", &token, b"").outcome(), accepted());
    assert_eq!(inspect("POST", "/tokens/expire", "").0, 200);
    assert_eq!(connection.message("device", &token, b"").outcome(), refused(403, "IOTDA.000004"));
    assert_eq!(inspect("PUT", "/clock", r#"{"now_ms":5}"#), (200, json!({ "now_ms": 5, "stopped": true })));
    assert_eq!(inspect("GET", "/clock", ""), (200, json!({ "now_ms": 5, "stopped": true })));
    assert_eq!(platform.now_ms(), 5);
}

#[test]
fn calls_that_are_none() {
    let platform = Platform::builder().start().expect("a platform");
    let inspect = |method, path, body| call(platform.inspection_url(), method, path, body).0;
    assert_eq!(inspect("GET", "/nothing", ""), 404);
    assert_eq!(inspect("PUT", "/reports", ""), 405);
    assert_eq!(inspect("OPTIONS", "/reports", ""), 405);
    assert_eq!(inspect("GET", "/counters?a=b", ""), 400);
    assert_eq!(inspect("POST", "/clock/advance", r#"{"seconds":1}"#), 400);
    assert_eq!(inspect("POST", "/clock/advance", r#"{"ms":-1}"#), 400);
}
