//! Answers that no correct platform gives, but proxies, overloaded servers and broken networks do: each
//! has a defined outcome, and none is taken for a success.

use std::time::Duration;

use iotda::{CallOptions, Client, ErrorKind};

use crate::device::at_once;
use crate::scripted::{Reply, Scripted, answer, authenticated, token};

const OPTIONS: CallOptions = CallOptions::new();

/// What a report to a server that answers with these bytes, and then closes, comes to.
fn outcome(bytes: &'static [u8]) -> Result<iotda::Delivery, iotda::Error> {
    authenticated(move |_| Reply::SendAndClose(bytes.to_vec())).client().report_message(b"x", OPTIONS)
}

#[test]
fn successes_in_every_form_of_http() {
    for bytes in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..],
        b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n{\"some\":\"object until the end\"}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"cut\":\"of",
        b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ] {
        let delivery = outcome(bytes).unwrap_or_else(|error| panic!("{}: {error}", String::from_utf8_lossy(bytes)));
        assert!((200..300).contains(&delivery.http_status));
    }
}

#[test]
fn failures_in_every_form() {
    for (bytes, kind) in [
        (&b""[..], ErrorKind::Connect),
        (b"HTTP/1.1 200 OK\r\nContent-Le", ErrorKind::Connect),
        (b"HTTP/1.1", ErrorKind::Connect),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", ErrorKind::Protocol),
        (b"\0\0\0\0\0\0\0\0\r\n\r\n", ErrorKind::Protocol),
        (
            b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n",
            ErrorKind::Protocol,
        ),
        (
            b"HTTP/1.1 307 Temporary Redirect\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n",
            ErrorKind::Protocol,
        ),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 25\r\n\r\n<html>Bad Gateway</html>\n", ErrorKind::Server),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", ErrorKind::Server),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n<html>", ErrorKind::Protocol),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", ErrorKind::Protocol),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ErrorKind::Protocol),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n<html>Login</html>", ErrorKind::Protocol),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n<html>Login</html>", ErrorKind::Protocol),
        (b"HTTP/1.0 200 OK\r\n\r\nsome text until the end", ErrorKind::Protocol),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\n{\"error_code\":\"IOTDA.0211", ErrorKind::Connect),
        (
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\n{\"error_code\":\"IOTDA.021101\",\"error_m",
            ErrorKind::RateLimited,
        ),
        (
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 55\r\n\r\n\xef\xbb\xbf{\"error_msg\":\"\xd5\x5c\",\"error_code\":\"IOTDA.021105\"}\0",
            ErrorKind::TooLarge,
        ),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n{\"error_code\":\"IOTDA.021101\"}", ErrorKind::RateLimited),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", ErrorKind::TokenRejected),
        (b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", ErrorKind::TooLarge),
    ] {
        let error = outcome(bytes).expect_err(&String::from_utf8_lossy(bytes));
        assert_eq!(error.kind(), kind, "{}: {error}", String::from_utf8_lossy(bytes));
        assert!(error.message().contains("127.0.0.1") || error.message().contains("HTTP"), "{error}");
    }
}

#[test]
fn a_wait_that_the_server_asks_for_is_told() {
    let error = outcome(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n").unwrap_err();
    assert_eq!(error.retry_after().map(|wait| wait.as_secs()), Some(7));
    let error = outcome(b"HTTP/1.1 503 Busy\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n").unwrap_err();
    // No wish that can be read: the client's own pause is the advice.
    assert_eq!(error.retry_after(), Some(crate::device::NEVER.base_delay));
}

#[test]
fn an_answer_that_needs_leniency_counts_and_ends_its_connection() {
    for (bytes, connections) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..], 1),
        (b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n", 3),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n", 3),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n", 3),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\n\n", 3),
    ] {
        let server = authenticated(move |_| Reply::Send(bytes.to_vec()));
        let client = server.client();
        for _ in 0..3 {
            client.report_message(b"x", OPTIONS).unwrap();
        }
        assert_eq!(server.connections(), connections, "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn a_time_to_come_back_is_a_wait() {
    let error = outcome(
        b"HTTP/1.1 503 Busy\r\nDate: Sun, 06 Nov 1994 08:49:07 GMT\r\n\
          Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n",
    )
    .unwrap_err();
    assert_eq!(error.retry_after().map(|wait| wait.as_secs()), Some(30));
}

#[test]
fn a_header_without_end_is_cut_off() {
    let server = authenticated(|_| {
        let mut bytes = b"HTTP/1.1 200 OK\r\n".to_vec();
        bytes.extend(b"X-Filler: 0123456789012345678901234567890123456789\r\n".repeat(10_000));
        Reply::Send(bytes)
    });
    assert_eq!(server.client().report_message(b"x", OPTIONS).unwrap_err().kind(), ErrorKind::Protocol);
}

#[test]
fn a_body_without_end_is_not_read_to_its_end() {
    let server = authenticated(|_| {
        let mut bytes = b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        bytes.extend(b"1000\r\n".iter().chain(&[b' '; 0x1000]).chain(b"\r\n").copied().collect::<Vec<_>>().repeat(100));
        Reply::Send(bytes)
    });
    assert_eq!(server.client().report_message(b"x", OPTIONS).unwrap_err().kind(), ErrorKind::Protocol);
}

#[test]
fn a_server_that_answers_no_authentication_is_told_apart() {
    for (bytes, kind) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", ErrorKind::Protocol),
        ("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"access_token\":\"abc\"", ErrorKind::Connect),
        ("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"access_token\":\"abc", ErrorKind::Protocol),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ErrorKind::Protocol),
        ("HTTP/1.1 400 Bad Request\r\n\r\n{\"error_code\":\"IOTDA.000006\"}", ErrorKind::AuthFailed),
        (
            "HTTP/1.1 403 Forbidden\r\n\r\n{\"error_code\":\"IOTDA.021102\",\"error_msg\":\"limit 10.\"}",
            ErrorKind::RateLimited,
        ),
    ] {
        let server = Scripted::start(move |_| Reply::SendAndClose(bytes.as_bytes().to_vec()));
        let error = server.client().report_message(b"x", OPTIONS).unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (kind, 0), "{bytes}");
        assert_eq!(server.requests().len(), 1, "no loop");
    }
}

#[test]
fn what_failed_says_whether_it_may_have_arrived() {
    for (bytes, may_have_arrived) in [
        (&b""[..], true),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", true),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", true),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n<html>Login</html>", true),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n{\"error_code\":\"IOTDA.021101\"}", false),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n{\"error_code\":\"IOTDA.000006\"}", false),
        (b"HTTP/1.1 429 Slow Down\r\nContent-Length: 0\r\n\r\n", false),
    ] {
        let error = outcome(bytes).unwrap_err();
        assert_eq!(error.may_have_arrived(), may_have_arrived, "{}: {error}", String::from_utf8_lossy(bytes));
    }
    // An attempt before the one that was refused counts as well.
    let server = authenticated(|request| match request.number {
        1 => Reply::SendAndClose(Vec::new()),
        _ => answer(400, r#"{"error_code":"IOTDA.000006"}"#),
    });
    let client = Client::new(server.config().retry(at_once(2)).unwrap()).unwrap();
    let error = client.report_message(b"x", OPTIONS).unwrap_err();
    assert_eq!((error.kind(), error.attempts(), error.may_have_arrived()), (ErrorKind::Rejected, 2, true));
    // An authentication is no report.
    let server = Scripted::start(|_| Reply::SendAndClose(Vec::new()));
    let error = server.client().report_message(b"x", OPTIONS).unwrap_err();
    assert_eq!((error.kind(), error.attempts(), error.may_have_arrived()), (ErrorKind::Connect, 0, false));
}

#[test]
fn a_kept_connection_that_the_server_closed_is_noticed() {
    // The server closes after every answer, without saying so.
    let server = authenticated(|_| Reply::SendAndClose(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()));
    let client = Client::new(server.config().retry(at_once(2)).unwrap()).unwrap();
    for _ in 0..10 {
        client.report_message(b"x", OPTIONS).unwrap();
    }
    assert_eq!(server.targets().iter().filter(|target| *target == "messages/up").count(), 10);
}

#[test]
fn a_kept_connection_that_ends_under_the_request_is_replaced() {
    // Every second report is read and answered by nothing but the end of the connection.
    let server = authenticated(|request| match request.number % 3 {
        2 => Reply::SendAndClose(Vec::new()),
        _ => answer(200, ""),
    });
    let client = Client::new(server.config().retry(at_once(2)).unwrap()).unwrap();
    client.report_message(b"1", OPTIONS).unwrap();
    let delivery = client.report_message(b"2", OPTIONS).unwrap();
    assert_eq!(delivery.attempts, 2, "sent again on a new connection");
    let bodies: Vec<_> = server.requests().into_iter().skip(1).map(|request| request.body).collect();
    assert_eq!(bodies, [b"1", b"2", b"2"]);
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_new_connection_that_ends_under_the_request_is_an_error() {
    let server = authenticated(|_| Reply::SendAndClose(Vec::new()));
    // The connection had served the authentication, so one more is tried, on a new connection; unless never again is never.
    for (attempts, connections) in [(1, 1), (2, 2)] {
        let before = server.connections();
        let client = Client::new(server.config().retry(at_once(attempts)).unwrap()).unwrap();
        let error = client.report_message(b"1", OPTIONS).unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connect, attempts));
        assert_eq!(server.connections() - before, connections);
    }
}

/// An answer to an authentication that says how long it is and ends in the middle of the token.
const HALF_A_TOKEN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 80\r\n\r\n{\"access_token\":\"tttt";

#[test]
fn half_a_token_is_asked_for_again() {
    let server = Scripted::start(|request| match request.number {
        0 => Reply::SendAndClose(HALF_A_TOKEN.to_vec()),
        _ => token(),
    });
    let mut config = server.config();
    config.retry(at_once(2)).unwrap();
    Client::new(&config).unwrap().authenticate(OPTIONS).unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn half_a_token_that_goes_no_further_ends_with_the_call() {
    let server = Scripted::start(|_| Reply::Send(HALF_A_TOKEN.to_vec()));
    let options = CallOptions::new().timeout(Duration::from_millis(300));
    let error = server.client().authenticate(options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
}
