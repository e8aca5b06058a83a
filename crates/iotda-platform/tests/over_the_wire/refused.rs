//! What is refused before it is a request, and the connections that are silent: each is recorded with a reason, and none
//! keeps the others out.

use crate::device::{Connection, accepted, credentials, platform, refused, registry};
use iotda_platform::{IncidentKind, Platform, Timeouts};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Waits until there is an incident, and gives it.
fn incident(platform: &Platform) -> (IncidentKind, String) {
    crate::faults::wait_for_platform(platform, |platform| !platform.incidents().is_empty());
    let incident = platform.incidents().remove(0);
    (incident.kind, incident.reason)
}

#[test]
fn requests_that_http_refuses_are_recorded() {
    let long = format!("POST /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(70_000));
    let many = format!("POST / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(101));
    for request in [
        "POST /v5/device-auth HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
        "POST /v5/device-auth HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "POST /v5/device-auth HTTP/1.1\r\nHo st: a\r\n\r\n",
        "HELO there\r\n\r\n",
        &long,
        &many,
    ] {
        let platform = platform();
        let mut connection = Connection::open(&platform);
        connection.write(request.as_bytes()).expect("it is written");
        let (answer, _) = connection.rest();
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        let (kind, reason) = incident(&platform);
        assert_eq!(kind, IncidentKind::Http);
        assert!(reason.starts_with("this is not a request of HTTP: "), "{reason}");
        assert_eq!((platform.counters().http_refused, platform.requests().len()), (1, 0));
    }
}

#[test]
fn what_http_s_library_forgives_is_refused() {
    let body = credentials("device").to_string();
    let length = body.len();
    let fields = "Host: a\r\nContent-Type: application/json";
    let in_chunks = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    for (request, status, expected) in [
        (format!("POST /v5/device-auth HTTP/1.1\n{fields}\r\nContent-Length: {length}\r\n\r\n{body}"), 400, "LF alone"),
        (
            format!("POST /v5/device-auth#a HTTP/1.1\r\n{fields}\r\nContent-Length: {length}\r\n\r\n{body}"),
            400,
            "fragment",
        ),
        (
            format!(
                "POST /v5/device-auth HTTP/1.1\r\n{fields}\r\nContent-Length: {length}\r\n\
                 Transfer-Encoding: chunked\r\n\r\n{in_chunks}"
            ),
            400,
            "beside Transfer-Encoding",
        ),
        (
            format!(
                "POST /v5/device-auth HTTP/1.1\r\n{fields}\r\nExpect: nonsense\r\nContent-Length: {length}\r\n\r\n{body}"
            ),
            417,
            "nonsense",
        ),
    ] {
        let platform = platform();
        let mut connection = Connection::open(&platform);
        // Another request before it makes no difference.
        connection.token("device");
        let response = connection.exchange(request.as_bytes());
        assert_eq!(response.outcome(), refused(status, "IOTDA.000006"), "{request}");
        let reason = platform.requests().pop().and_then(|request| request.reason).expect("a reason");
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn handshakes_that_fail_are_recorded() {
    for (bytes, expected) in [
        (&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], "corrupt message"),
        (b"", "the client has closed the connection"),
        (&[22, 3, 1, 0, 5, 1, 0, 0, 1, 0], "TLS handshake has failed"),
    ] {
        let platform = platform();
        let mut tcp = TcpStream::connect(platform.address()).expect("a connection");
        tcp.write_all(bytes).expect("it is written");
        tcp.shutdown(std::net::Shutdown::Write).expect("a connection");
        let (kind, reason) = incident(&platform);
        assert_eq!(kind, IncidentKind::Handshake);
        assert!(reason.contains(expected), "{reason}");
        assert_eq!(platform.counters().handshakes_failed, 1);
    }
}

/// Short enough that a test can wait for it, for one phase, and long for all others.
fn with_timeout(change: fn(&mut Timeouts, Duration)) -> Platform {
    let mut timeouts = Timeouts::default();
    change(&mut timeouts, Duration::from_millis(50));
    Platform::builder().registry(registry()).timeouts(timeouts).start().expect("a platform")
}

#[test]
fn silent_connections_end() {
    let ended = |platform: &Platform, expected: &str| {
        let (kind, reason) = incident(platform);
        assert!(kind == IncidentKind::Timeout && reason.contains(expected), "{kind:?} {reason}");
        assert_eq!(platform.counters().timeouts, 1);
    };
    let platform = with_timeout(|timeouts, short| timeouts.handshake = short);
    let mut tcp = TcpStream::connect(platform.address()).expect("a connection");
    assert_eq!(tcp.read(&mut [0]).expect("an end"), 0);
    ended(&platform, "in the handshake");

    let platform = with_timeout(|timeouts, short| timeouts.idle = short);
    let mut connection = Connection::open(&platform);
    connection.rest();
    ended(&platform, "between two requests");

    let platform = with_timeout(|timeouts, short| timeouts.head = short);
    let mut connection = Connection::open(&platform);
    connection.token("device");
    // Byte by byte does not help. No more bytes than a head may have.
    for byte in b"POST / HTTP/1.1\r\nHost: a\r\nX: ".iter().chain(std::iter::repeat_n(&b'x', 30_000)) {
        if connection.write(&[*byte]).is_err() || !platform.incidents().is_empty() {
            break;
        }
    }
    connection.rest();
    ended(&platform, "in the head of a request");

    let platform = with_timeout(|timeouts, short| timeouts.body = short);
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    connection.write(&crate::device::message(&token, b"hello")[..]).expect("it is written");
    assert_eq!(connection.read().expect("an answer").outcome(), accepted());
    let request = crate::device::message(&token, b"hello");
    connection.write(&request[..request.len() - 1]).expect("it is written");
    connection.rest();
    ended(&platform, "in the body of a request");
}
