//! HTTP: versions, connections that are kept, bodies in every form, paths and methods.

use crate::device::{Connection, accepted, credentials, platform, refused};

const MIB: usize = 1_048_576;

#[test]
fn one_connection_serves_many_requests() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    for _ in 0..20 {
        assert_eq!(connection.message("device", &token, b"hello").outcome(), accepted());
    }
    let requests = platform.requests();
    assert_eq!(requests.len(), 21);
    assert!(requests.iter().all(|request| request.connection == 1 && request.http_version == "HTTP/1.1"));
    assert_eq!(platform.counters().connections, 1);
}

#[test]
fn requests_may_be_sent_before_the_answers_are_read() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let body = credentials("device").to_string();
    let request = format!(
        "POST /v5/device-auth HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write(request.repeat(3).as_bytes()).expect("requests are written");
    for _ in 0..3 {
        assert_eq!(connection.read().expect("an answer").status, 200);
    }
}

#[test]
fn http_1_0_closes_unless_asked_to_keep_alive() {
    let platform = platform();
    let body = credentials("device").to_string();
    let request = |more: &str| {
        format!(
            "POST /v5/device-auth HTTP/1.0\r\nContent-Type: application/json\r\n{more}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let mut connection = Connection::open(&platform);
    let response = connection.exchange(request("Connection: keep-alive\r\n").as_bytes());
    assert_eq!((response.version.as_str(), response.status), ("HTTP/1.0", 200));
    assert_eq!(response.header("connection"), Some("keep-alive"));
    let response = connection.exchange(request("").as_bytes());
    assert_eq!((response.version.as_str(), response.status), ("HTTP/1.0", 200));
    assert!(connection.is_closed());
    assert_eq!(platform.requests()[0].http_version, "HTTP/1.0");
}

#[test]
fn http_1_1_without_a_host_is_malformed() {
    let platform = platform();
    let request = b"POST /v5/device-auth HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    let response = Connection::open(&platform).exchange(request);
    assert_eq!(response.outcome(), refused(400, "IOTDA.000006"));
    assert!(platform.requests()[0].reason.as_ref().is_some_and(|reason| reason.contains("Host")));
}

#[test]
fn a_target_may_be_a_whole_url() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let response =
        connection.post("https://localhost/v5/device-auth", None, credentials("device").to_string().as_bytes());
    assert_eq!(response.status, 200);
    assert_eq!(platform.requests()[0].target, "https://localhost/v5/device-auth");
}

#[test]
fn a_body_may_come_in_chunks() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    let request = format!(
        "POST /v5/devices/device/sys/messages/up HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
         ACCESS_TOKEN: {token}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    );
    assert_eq!(connection.exchange(request.as_bytes()).outcome(), accepted());
    assert_eq!(platform.reports()[0].body, b"abcde");
}

#[test]
fn other_paths_and_methods() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    assert_eq!(connection.post("/v5/other", None, b"{}").outcome(), refused(404, "IOTDA.000008"));
    let response = connection.exchange(b"GET /v5/device-auth HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(response.outcome(), refused(405, "IOTDA.000008"));
    assert_eq!(response.header("allow"), Some("POST"));
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(platform.requests().iter().map(|request| request.status).collect::<Vec<_>>(), [404, 405]);
}

#[test]
fn the_date_is_the_platform_s() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let dates: Vec<_> =
        connection.authenticate("device").headers.into_iter().filter(|(name, _)| name == "date").collect();
    assert_eq!(dates, [("date".to_owned(), "Mon, 02 Dec 2019 19:30:00 GMT".to_owned())]);
}

/// A property report of exactly this many bytes.
fn report_of(length: usize) -> String {
    let empty = r#"{"services":[{"service_id":"s","properties":{"a":""}}]}"#;
    empty.replace(r#""""#, &format!("\"{}\"", "x".repeat(length - empty.len())))
}

#[test]
fn a_report_may_have_one_mebibyte() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    assert_eq!(report_of(MIB).len(), MIB);
    assert_eq!(connection.properties("device", &token, &report_of(MIB)).outcome(), accepted());
    let response = connection.properties("device", &token, &report_of(MIB + 1));
    assert_eq!(response.outcome(), refused(403, "IOTDA.021105"));
    assert!(connection.is_closed());

    let mut connection = Connection::open(&platform);
    let response = connection.batch("device", &token, &report_of(MIB + 1));
    assert_eq!(response.outcome(), refused(403, "IOTDA.021105"));
    assert_eq!(platform.reports().len(), 1);
    // Of a body that is too large, the start is kept.
    assert_eq!(platform.requests().last().expect("a request").body.len(), MIB);
}

#[test]
fn a_message_must_be_smaller_than_one_mebibyte() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    assert_eq!(connection.message("device", &token, &vec![0; MIB - 1]).outcome(), accepted());
    assert_eq!(connection.message("device", &token, &vec![0; MIB]).outcome(), refused(400, "IOTDA.000006"));
    assert_eq!(connection.message("device", &token, &vec![0; MIB + 1]).outcome(), refused(400, "IOTDA.000006"));
    assert_eq!(platform.reports().len(), 1);
}

/// The head of a report that announces a body of this length.
fn head(connection: &mut Connection, length: usize, more: &str) -> String {
    let token = connection.token("device");
    format!(
        "POST /v5/devices/device/sys/properties/report HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
         access_token: {token}\r\n{more}Content-Length: {length}\r\n\r\n"
    )
}

#[test]
fn a_body_far_over_the_limit_is_not_waited_for() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let head = head(&mut connection, 1_000_000_000, "");
    // Not one byte of the body is sent: an answer comes only if the platform does not wait for it.
    assert_eq!(connection.exchange(head.as_bytes()).outcome(), refused(403, "IOTDA.021105"));
    assert!(connection.is_closed());
}

#[test]
fn a_body_without_a_declared_length_is_not_read_for_ever() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    let head = format!(
        "POST /v5/devices/device/sys/properties/report HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
         access_token: {token}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    connection.write(head.as_bytes()).expect("a head is written");
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; MIB], b"\r\n"].concat();
    // It has to break off: the last chunk never comes.
    while platform.requests().len() < 2 {
        if connection.write(&chunk).is_err() {
            break;
        }
    }
    let request = platform.requests().pop().expect("a request");
    assert_eq!((request.status, request.error_code.as_deref()), (403, Some("IOTDA.021105")));
    assert_eq!(request.body.len(), MIB);
}

#[test]
fn a_client_that_waits_for_leave_gets_it_only_for_a_body_that_may_come() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let body = report_of(100);
    let good = head(&mut connection, body.len(), "Expect: 100-continue\r\n");
    assert_eq!(connection.exchange(good.as_bytes()).status, 100);
    assert_eq!(connection.exchange(body.as_bytes()).outcome(), accepted());
    let large = head(&mut connection, 2 * MIB, "Expect: 100-continue\r\n");
    assert_eq!(connection.exchange(large.as_bytes()).outcome(), refused(403, "IOTDA.021105"));
}

#[test]
fn a_device_that_breaks_off_reports_nothing() {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let head = head(&mut connection, 100, "");
    connection.write(head.as_bytes()).expect("a head is written");
    connection.write(&report_of(100).as_bytes()[..60]).expect("a part of a body is written");
    connection.break_off();
    // The platform serves others meanwhile, and in the end has recorded the broken request.
    let mut other = Connection::open(&platform);
    let broken = (0..10_000).find_map(|_| {
        assert_eq!(other.authenticate("another").status, 200);
        platform.requests().into_iter().find(|request| request.status == 400)
    });
    let broken = broken.expect("the broken request");
    assert_eq!(broken.body, report_of(100).as_bytes()[..60]);
    assert!(platform.reports().is_empty());
}
