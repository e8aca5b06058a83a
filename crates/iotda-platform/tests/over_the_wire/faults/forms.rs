//! Answers in forms that HTTP has, but hardly anybody expects, and in some that it does not have.

use super::{assert_done_once, authenticated, once};
use crate::device::{Connection, End, accepted, message, post};
use iotda_platform::{Close, Fault, InjectedAnswer};

const DATE: &str = "date: Mon, 02 Dec 2019 19:30:00 GMT\r\n";

/// The answer to a message with these header fields beside the date.
fn answer(fields: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{DATE}{fields}\r\n")
}

/// A fault is done to a message. What comes is this, and then the connection ends in this way, or is silent.
fn assert_answer(fault: Fault, expected: &str, end: End) {
    let (platform, mut connection, token) = authenticated();
    once(&platform, fault);
    connection.write(&message(&token, b"")).expect("a request is written");
    connection.expect(expected);
    match end {
        End::Silent => connection.expect_silence(),
        _ => assert_eq!(connection.rest(), (String::new(), end)),
    }
    // The rules were kept.
    assert_eq!((platform.reports().len(), platform.requests()[1].status), (1, 200));
    assert_done_once(&platform, &token);
}

#[test]
fn lengths_that_are_wrong() {
    assert_answer(Fault::content_length(10), &answer("content-length: 10\r\n"), End::Silent);
    let shorter = answer("content-length: 0\r\n") + "   ";
    assert_answer(Fault::content_length(-3), &shorter, End::Silent);
}

#[test]
fn chunks() {
    let (platform, mut connection, token) = authenticated();
    let injected = || InjectedAnswer::status(503).body("abcde").content_type("a/b");
    once(&platform, Fault::answer(injected()));
    once(&platform, Fault::chunked(2, false));
    connection.write(&message(&token, b"")).expect("a request is written");
    let head = format!("HTTP/1.1 503 Service Unavailable\r\n{DATE}content-type: a/b\r\ntransfer-encoding: chunked\r\n");
    connection.expect(&format!("{head}\r\n2\r\nab\r\n2\r\ncd\r\n1\r\ne\r\n0\r\n\r\n"));
    // The connection is kept.
    assert_eq!(connection.message("device", &token, b"").outcome(), accepted());

    once(&platform, Fault::answer(injected()));
    once(&platform, Fault::chunked(9, true));
    connection.write(&message(&token, b"")).expect("a request is written");
    let expected = format!("{head}connection: close\r\n\r\n5\r\nabcde\r\n");
    assert_eq!(connection.rest(), (expected, End::Notified));
    assert_done_once(&platform, &token);
}

#[test]
fn http_1_0() {
    assert_answer(Fault::http_1_0(), &format!("HTTP/1.0 200 OK\r\n{DATE}\r\n"), End::Notified);
}

#[test]
fn answers_before_the_answer() {
    let expected = "HTTP/1.1 100 Continue\r\n\r\n".repeat(2) + &answer("content-length: 0\r\n");
    assert_answer(Fault::continue_first(2), &expected, End::Silent);
}

#[test]
fn headers_that_are_huge_or_many() {
    let huge = answer(&format!("content-length: 0\r\nx-huge: {}\r\n", "x".repeat(100_000)));
    assert_answer(Fault::huge_header(100_000), &huge, End::Silent);
    let fields = (1..=1000).map(|number| format!("x-header-{number}: x\r\n")).collect::<Vec<_>>().concat();
    assert_answer(Fault::many_headers(1000), &answer(&format!("content-length: 0\r\n{fields}")), End::Silent);
}

#[test]
fn what_is_no_http() {
    assert_answer(Fault::garbage("SSH-2.0-x\r\n"), "SSH-2.0-x\r\n", End::Notified);
    assert_answer(Fault::garbage(""), "", End::Notified);
}

#[test]
fn bytes_after_the_answer() {
    let answer = answer("content-length: 0\r\n");
    assert_answer(Fault::duplicate(), &answer.repeat(2), End::Silent);
    assert_answer(Fault::trailing("more"), &(answer + "more"), End::Silent);
}

#[test]
fn a_client_that_wants_the_connection_closed_gets_its_way() {
    let (platform, mut connection, _) = authenticated();
    once(&platform, Fault::continue_first(1));
    let request = String::from_utf8(post("/v5/other", None, b"")).expect("text");
    connection.write(request.replace("Host", "Connection: close\r\nHost").as_bytes()).expect("it is written");
    let (text, end) = connection.rest();
    assert!(text.contains("\r\nconnection: close\r\n") && end == End::Notified, "{text}");
}

#[test]
fn an_answer_before_the_body() {
    let (platform, mut connection, token) = authenticated();
    once(&platform, Fault::early_answer(InjectedAnswer::refusal("IOTDA.021105")));
    let request = message(&token, &[b'x'; 100_000]);
    // Only the head: an answer comes because the body is not waited for.
    connection.write(&request[..request.len() - 100_000]).expect("a head is written");
    let (text, end) = connection.rest();
    assert!(text.starts_with("HTTP/1.1 403 Forbidden\r\n") && text.contains("IOTDA.021105"), "{text}");
    assert_eq!(end, End::Notified);
    let record = platform.requests().pop().expect("a record");
    assert_eq!((record.status, record.body.len(), record.faults), (403, 0, vec!["early_answer".to_owned()]));

    once(&platform, Fault::early_answer(InjectedAnswer::status(413)).for_device("device"));
    let mut connection = Connection::open(&platform);
    assert_eq!(connection.authenticate("device").status, 200);
    connection.write(&request[..request.len() - 99_990]).expect("a part is written");
    assert!(connection.rest().0.starts_with("HTTP/1.1 413 Payload Too Large\r\n"));
    assert_done_once(&platform, &token);
}

#[test]
fn an_answer_and_the_end_of_the_connection() {
    let (platform, mut connection, token) = authenticated();
    for (close, end) in [(Close::Fin, End::Truncated), (Close::Notified, End::Notified), (Close::Reset, End::Reset)] {
        once(&platform, Fault::answer(InjectedAnswer::status(503).close(close)));
        let response = connection.message("device", &token, b"");
        assert_eq!((response.status, response.header("connection")), (503, None));
        assert_eq!(connection.rest(), (String::new(), end));
        connection = Connection::open(&platform);
    }
    // The answer can be read while the body is still being written, as the platform reads on.
    once(&platform, Fault::early_answer(InjectedAnswer::status(413).close(Close::Half)));
    connection.write(&message(&token, &vec![b'x'; 8_000_000])).expect("the platform reads on");
    let (text, end) = connection.rest();
    assert!(text.starts_with("HTTP/1.1 413 ") && end == End::Truncated, "{text}");
    assert_done_once(&platform, &token);
}
