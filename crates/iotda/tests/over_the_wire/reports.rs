//! Authentications, property reports and messages arrive as the page documents them.

use std::thread;

use iotda::{CallOptions, Client, ErrorKind, Service, limits};
use iotda_platform::{Device, Platform, ReportKind};

use crate::device::{self, ID, authentications, client, config, platform, registry};
use crate::scripted::{answer, authenticated};

const OPTIONS: CallOptions = CallOptions::new();

fn service(properties: &str) -> Service<'_> {
    Service::new("environment", properties)
}

#[test]
fn a_request_is_what_the_page_documents_and_nothing_more() {
    let platform = platform();
    client(&platform).report_properties(&[service(r#"{"temperature":21.5}"#)], OPTIONS).unwrap();
    let [auth, report] = platform.requests().try_into().unwrap();
    let host = platform.url().strip_prefix("https://").unwrap().to_owned();
    assert_eq!((auth.method.as_str(), auth.target.as_str(), auth.status), ("POST", "/v5/device-auth", 200));
    let names = |headers: &[(String, String)]| {
        let mut names: Vec<_> = headers.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&auth.headers), ["content-length", "content-type", "host"]);
    assert_eq!(report.target, format!("/v5/devices/{ID}/sys/properties/report"));
    assert_eq!((report.method.as_str(), report.http_version.as_str()), ("POST", "HTTP/1.1"));
    let value = |name: &str| report.headers.iter().find(|header| header.0 == name).map(|header| header.1.clone());
    assert_eq!(names(&report.headers), ["access_token", "content-length", "content-type", "host"]);
    assert_eq!(value("host"), Some(host));
    assert_eq!(value("content-type").as_deref(), Some("application/json"));
    let body = r#"{"services":[{"service_id":"environment","properties":{"temperature":21.5}}]}"#;
    assert_eq!(String::from_utf8(report.body).unwrap(), body);
    assert_eq!(value("content-length"), Some(body.len().to_string()));
}

#[test]
fn properties_arrive_byte_for_byte() {
    // The stand-in would refuse the property that is given twice.
    let server = authenticated(|_| answer(200, ""));
    let properties = r#"{"n": 12345678901234567890123, "e":1e400,"s":"é","n":1}"#;
    let delivery = server.client().report_properties(&[service(properties)], OPTIONS).unwrap();
    assert_eq!((delivery.http_status, delivery.attempts), (200, 1));
    let body = format!(r#"{{"services":[{{"service_id":"environment","properties":{properties}}}]}}"#);
    assert_eq!(server.requests()[1].body, body.as_bytes());
}

#[test]
fn the_platform_applies_the_event_time() {
    let platform = platform();
    let timed = service(r#"{"a":1}"#).event_time_ms(1_628_849_410_555);
    client(&platform).report_properties(&[timed, service(r#"{"b":2}"#)], OPTIONS).unwrap();
    let [report] = platform.reports().try_into().unwrap();
    assert_eq!(report.kind, ReportKind::Properties);
    assert_eq!(report.services[0].event_time_applied_ms, 1_628_849_410_555);
    assert_eq!(report.services[0].event_time_given.as_deref(), Some("2021-08-13T10:10:10.555Z"));
    assert_eq!(report.services[1].event_time_given, None);
    assert_eq!(report.services[1].properties, r#"{"b":2}"#);
}

#[test]
fn a_body_that_the_caller_wrote_is_sent_as_it_is() {
    let platform = platform();
    let json = " {\"services\" : [ {\"properties\":{ \"a\" : 1.50 },\n\"service_id\":\"s\"} ] }\n";
    client(&platform).report_properties_json(json, OPTIONS).unwrap();
    assert_eq!(device::reports(&platform)[0].body, json.as_bytes());
}

#[test]
fn messages_are_any_bytes() {
    let platform = platform();
    let client = client(&platform);
    let all: Vec<u8> = (0..=255).collect();
    let large = vec![b'x'; limits::BODY_LIMIT - 1];
    for message in [&b""[..], b"\0", &all, &large, b"after the large one"] {
        client.report_message(message, OPTIONS).unwrap();
        assert!(platform.reports().last().unwrap().body == message);
    }
    assert_eq!(platform.counters().connections, 1);
    assert_eq!(authentications(&platform), 1);
}

#[test]
fn a_body_at_the_limit_is_refused_before_it_is_sent() {
    let platform = platform();
    let client = client(&platform);
    let message = vec![b'x'; limits::BODY_LIMIT];
    let text = format!(r#"{{"a":"{}"}}"#, "x".repeat(limits::BODY_LIMIT));
    let json = format!(r#"{{"services":[{{"service_id":"s","properties":{text}}}]}}"#);
    for refused in [
        client.report_message(&message, OPTIONS),
        client.report_properties(&[service(&text)], OPTIONS),
        client.report_properties_json(&json, OPTIONS),
    ] {
        let error = refused.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::TooLarge, 0));
        assert!(error.message().contains("1048576"), "{error}");
    }
    assert_eq!(platform.counters().connections, 0);
}

#[test]
fn wrong_input_is_refused_before_anything_is_sent() {
    let platform = platform();
    let client = client(&platform);
    for refused in [
        client.report_properties(&[], OPTIONS),
        client.report_properties(&[service("[]")], OPTIONS),
        client.report_properties_json("{}", OPTIONS),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    assert_eq!(client.open_device("a b", b"s").unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(client.open_device("a", b"").unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(platform.counters().connections, 0);
}

#[test]
fn many_reports_use_one_connection_and_one_authentication() {
    let platform = platform();
    let client = client(&platform);
    for _ in 0..100 {
        client.report_properties(&[service(r#"{"a":1}"#)], OPTIONS).unwrap();
    }
    assert_eq!(platform.reports().len(), 100);
    assert_eq!((platform.counters().connections, authentications(&platform)), (1, 1));
}

#[test]
fn devices_opened_from_one_client_share_its_connection_but_not_its_token() {
    let platform = platform();
    let gateway = client(&platform);
    gateway.report_message(b"one", OPTIONS).unwrap();
    let second = gateway.open_device("device_2", b"second-secret").unwrap();
    drop(gateway);
    second.report_message(b"two", OPTIONS).unwrap();
    let reporters: Vec<_> = platform.reports().into_iter().map(|report| report.reporter).collect();
    assert_eq!(reporters, [ID, "device_2"]);
    assert_eq!((platform.counters().connections, authentications(&platform)), (1, 2));
}

#[test]
fn one_devices_wrong_secret_harms_no_other() {
    let platform = platform();
    let gateway = client(&platform);
    let wrong = gateway.open_device("device_2", b"not the secret").unwrap();
    let error = wrong.report_message(b"x", OPTIONS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthFailed);
    assert!(error.message().contains("device_2") && !error.message().contains("not the secret"), "{error}");
    gateway.report_message(b"y", OPTIONS).unwrap();
}

#[test]
fn a_wrong_secret_is_one_request_and_no_loop() {
    let platform = platform();
    let mut config = config(&platform);
    config.device(ID, b"wrong").unwrap();
    let client = Client::new(&config).unwrap();
    let error = client.report_message(b"x", OPTIONS).unwrap_err();
    assert_eq!(
        (error.kind(), error.http_status(), error.platform_code()),
        (ErrorKind::AuthFailed, Some(401), Some("IOTDA.000002"))
    );
    assert_eq!(error.attempts(), 0);
    assert_eq!(platform.requests().len(), 1);
    assert_eq!(client.authenticate(OPTIONS).unwrap_err().kind(), ErrorKind::AuthFailed);
    assert_eq!(platform.requests().len(), 2);
}

#[test]
fn both_sign_types_authenticate() {
    let platform = platform();
    for sign_type in [iotda::SignType::PasswordOnly, iotda::SignType::PasswordAndTime] {
        let mut config = config(&platform);
        config.sign_type(sign_type);
        Client::new(&config).unwrap().authenticate(OPTIONS).unwrap();
        let body = String::from_utf8(platform.requests().last().unwrap().body.clone()).unwrap();
        assert!(body.contains(&format!("\"sign_type\":{}", sign_type.number())), "{body}");
    }
}

#[test]
fn what_the_platform_refuses_is_told_with_its_code() {
    let mut registry = registry();
    registry
        .add_product(iotda_platform::Product::new("p").with_property(
            "environment",
            "temperature",
            iotda_platform::DataType::Decimal,
        ))
        .unwrap();
    registry.add_device(Device::new("modelled").with_secret("s").with_product("p")).unwrap();
    let platform = Platform::builder().registry(registry).strict_model().start().unwrap();
    let client = client(&platform).open_device("modelled", b"s").unwrap();
    client.report_properties(&[service(r#"{"temperature":1.5}"#)], OPTIONS).unwrap();
    let error = client.report_properties(&[service(r#"{"temperature":"hot"}"#)], OPTIONS).unwrap_err();
    assert_eq!((error.kind(), error.platform_code()), (ErrorKind::Rejected, Some("IOTDA.000006")));
    assert_eq!((error.http_status(), error.attempts()), (Some(400), 1));
}

#[test]
fn a_rate_limit_is_told_and_never_answered_by_an_authentication() {
    let platform = platform();
    let client = client(&platform);
    client.authenticate(OPTIONS).unwrap();
    platform.stop_clock();
    platform.set_device_rate(ID, Some(1)).unwrap();
    client.report_message(b"one", OPTIONS).unwrap();
    let error = client.report_message(b"two", OPTIONS).unwrap_err();
    assert_eq!((error.kind(), error.platform_code()), (ErrorKind::RateLimited, Some("IOTDA.021101")));
    platform.set_device_rate(ID, None).unwrap();
    platform.set_tenant_rate(Some(1));
    let _ = client.report_message(b"three", OPTIONS);
    let error = client.report_message(b"four", OPTIONS).unwrap_err();
    assert_eq!((error.kind(), error.platform_code()), (ErrorKind::RateLimited, Some("IOTDA.021102")));
    assert_eq!(authentications(&platform), 1);
}

#[test]
fn threads_share_one_client() {
    let platform = platform();
    let client = client(&platform);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    client.report_message(b"x", OPTIONS).unwrap();
                }
            });
        }
    });
    assert_eq!(platform.reports().len(), 200);
    assert_eq!(authentications(&platform), 1);
    assert!(platform.counters().connections <= 8);
}

#[test]
fn localhost_and_secrets_with_any_bytes() {
    let mut registry = registry();
    registry.add_device(Device::new("binary").with_secret("\u{1}\u{7f} \"é")).unwrap();
    let platform = Platform::builder().registry(registry).start().unwrap();
    let mut config = config(&platform);
    config.endpoint(&platform.url_for("localhost")).unwrap();
    config.device("binary", "\u{1}\u{7f} \"é".as_bytes()).unwrap();
    Client::new(&config).unwrap().authenticate(OPTIONS).unwrap();
}

#[test]
fn calls_of_one_client_do_not_wait_for_one_another() {
    // No report is answered before all have arrived.
    let together = std::sync::Barrier::new(6);
    let server = authenticated(move |_| {
        together.wait();
        answer(200, "")
    });
    let client = server.client();
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| client.report_message(b"x", CallOptions::new()).unwrap());
        }
    });
    assert_eq!(server.connections(), 6);
}
