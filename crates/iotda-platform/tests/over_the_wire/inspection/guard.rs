//! Who may use the inspection API, byte by byte: each rule that is taken out makes one of these fail.

use super::{call, raw};
use crate::device::platform;
use iotda_platform::Platform;
use serde_json::json;

/// What a browser's page of another origin would like to do.
const ATTACK: &str = r#"{"kind":"plain_http"}"#;

/// Sends a request with these header fields, and gives the status and what was said.
fn sent(platform: &Platform, method: &str, path: &str, fields: &str) -> (u16, String) {
    let length = ATTACK.len();
    let request = format!("{method} {path} HTTP/1.0\r\n{fields}Content-Length: {length}\r\n\r\n{ATTACK}");
    let (status, head, body) = raw(platform.inspection_url(), &request);
    assert!(!head.contains("access-control-"), "{head}");
    (status, body)
}

#[test]
fn whoever_is_of_this_machine_is_let_in() {
    let platform = platform();
    let own = platform.inspection_url().trim_start_matches("http://").to_owned();
    for fields in [
        format!("Host: {own}\r\n"),
        format!("Host: {own}\r\nOrigin: http://{own}\r\nSec-Fetch-Site: same-origin\r\n"),
        format!("Host: {own}\r\nSec-Fetch-Site: none\r\n"),
        "Host: localhost:1\r\nOrigin: http://localhost:1\r\n".to_owned(),
        "Host: [::1]:65535\r\n".to_owned(),
        "Host: LOCALHOST\r\n".to_owned(),
    ] {
        assert_eq!(sent(&platform, "POST", "/faults", &fields).0, 201, "{fields}");
        assert_eq!(sent(&platform, "GET", "/requests", &fields).0, 200, "{fields}");
    }
    assert_eq!(platform.faults().len(), 6);
}

#[test]
fn whoever_is_not_changes_and_reads_nothing() {
    let platform = platform();
    for (fields, rule) in [
        ("", "exactly one Host"),
        ("Host: localhost\r\nHost: localhost\r\n", "exactly one Host"),
        ("Host: evil.example\r\n", "Host header must be"),
        ("Host: localhost.evil.example\r\n", "Host header must be"),
        ("Host: localhost.\r\n", "Host header must be"),
        ("Host: 192.0.2.1\r\n", "Host header must be"),
        ("Host: box.lan\r\n", "Host header must be"),
        ("Host: localhost\r\nOrigin: http://localhost:8080\r\n", "Origin header"),
        ("Host: localhost\r\nOrigin: https://localhost\r\n", "Origin header"),
        ("Host: localhost\r\nOrigin: http://evil.example\r\n", "Origin header"),
        ("Host: localhost\r\nOrigin: null\r\n", "Origin header"),
        ("Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://localhost\r\n", "Origin header"),
        ("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site header"),
        ("Host: localhost\r\nSec-Fetch-Site: same-site\r\n", "Sec-Fetch-Site header"),
        ("Host: localhost\r\nSec-Fetch-Site: none\r\nSec-Fetch-Site: none\r\n", "Sec-Fetch-Site header"),
    ] {
        // Before routing: it makes no difference whether there is such a path.
        for (method, path) in [
            ("POST", "/faults"),
            ("GET", "/requests"),
            ("GET", "/events"),
            ("GET", "/"),
            ("GET", "/nothing"),
            ("OPTIONS", "/faults"),
            ("DELETE", "/requests"),
        ] {
            let (status, text) = sent(&platform, method, path, fields);
            assert_eq!(status, 403, "{method} {path} {fields}");
            assert!(text.contains(rule), "{fields}: {text}");
        }
    }
    let (status, text) = sent(&platform, "GET", "http://evil.example/requests", "Host: localhost\r\n");
    assert!(status == 403 && text.contains("target"), "{status} {text}");
    assert!(platform.faults().is_empty());
}

#[test]
fn one_more_name_can_be_allowed() {
    let platform = Platform::builder().inspection_host("box.lan").start().expect("a platform");
    assert_eq!(sent(&platform, "POST", "/faults", "Host: box.lan:8080\r\n").0, 201);
    assert_eq!(sent(&platform, "POST", "/faults", "Host: other.lan\r\n").0, 403);
    assert_eq!(sent(&platform, "POST", "/faults", "Host: box.lan\r\nOrigin: http://other.lan\r\n").0, 403);
}

#[test]
fn every_answer_says_what_no_other_page_may_do_with_it() {
    let platform = platform();
    for request in [
        "GET /requests HTTP/1.0\r\nHost: localhost\r\n\r\n",
        "GET /nothing HTTP/1.0\r\nHost: localhost\r\n\r\n",
        "GET /requests HTTP/1.0\r\nHost: evil.example\r\n\r\n",
        "OPTIONS /faults HTTP/1.0\r\nHost: localhost\r\n\r\n",
    ] {
        let (_, head, _) = raw(platform.inspection_url(), request);
        for field in [
            "content-security-policy: default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "cross-origin-resource-policy: same-origin",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(head.contains(field), "{field}: {head}");
        }
    }
}

#[test]
fn no_get_changes_anything() {
    let platform = platform();
    let inspect = |method, path, body| call(platform.inspection_url(), method, path, body);
    inspect("POST", "/faults", ATTACK);
    let before = inspect("GET", "/clock", "");
    for path in ["/clock/advance", "/tokens/expire", "/faults/1", "/devices/device"] {
        assert_eq!(inspect("GET", path, "").0, 405, "{path}");
    }
    assert_eq!(inspect("GET", "/clock", ""), before);
    assert_eq!(inspect("GET", "/faults", "").1[0]["hits"], json!(0));
    assert_eq!(platform.registry().devices().filter(|device| device.id() == "device").count(), 1);
}
