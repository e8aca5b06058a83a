//! Answers that are written by hand, and records that nobody can decipher.

use super::{assert_done_once, authenticated, once};
use crate::device::{End, accepted, message};
use iotda_platform::{Close, Damage, Fault, InjectedAnswer, Piece};
use std::time::Duration;

#[test]
fn any_bytes_for_an_answer() {
    // Lines that end in LF alone, a folded field, a coding that was taken out of HTTP, a body that breaks off.
    let written = "HTTP/1.1 299 x\nx-folded: a\n  b\ntransfer-encoding: identity\ncontent-length: 9\n\nbroken";
    for (close, end) in
        [(Some(Close::Notified), End::Notified), (Some(Close::Fin), End::Truncated), (None, End::Silent)]
    {
        let (platform, mut connection, token) = authenticated();
        once(&platform, Fault::raw([Piece::text(written)], close));
        connection.write(&message(&token, b"")).expect("a request is written");
        connection.expect(written);
        match end {
            End::Silent => connection.expect_silence(),
            _ => assert_eq!(connection.rest(), (String::new(), end)),
        }
        // The rules were kept, and where the connection is, it goes on.
        assert_eq!((platform.reports().len(), platform.requests()[1].status), (1, 200));
        if close.is_none() {
            assert_eq!(connection.message("device", &token, b"").outcome(), accepted());
        }
        assert_done_once(&platform, &token);
    }
}

#[test]
fn bytes_that_are_no_text_and_bodies_of_any_length() {
    let (platform, mut connection, token) = authenticated();
    let body = [b"\xef\xbb\xbf\xb9\xe3\0".as_slice(), &[b'x'; 100_000]].concat();
    let head = format!("HTTP/1.1 500 x\r\ncontent-length: {}\r\n\r\n", body.len());
    once(
        &platform,
        Fault::raw(
            [
                Piece::text(&head),
                Piece::bytes(b"\xef\xbb\xbf\xb9\xe3\0"),
                Piece::Repeat { text: "x".to_owned(), count: 100_000 },
            ],
            None,
        ),
    );
    let mut exchange = |length: usize| {
        connection.write(&message(&token, b"")).expect("a request is written");
        let mut bytes = Vec::new();
        while bytes.len() < length {
            bytes.extend(connection.read_once());
        }
        bytes
    };
    assert_eq!(exchange(head.len() + body.len()), [head.as_bytes(), &body].concat());
    // An answer of the platform's form may hold them too.
    once(&platform, Fault::answer(InjectedAnswer::status(503).body_bytes(&b"\xb9\0"[..]).header("X-More", "yes")));
    let answer = "HTTP/1.1 503 Service Unavailable\r\ndate: Mon, 02 Dec 2019 19:30:00 GMT\r\n\
                  content-type: application/json\r\nx-more: yes\r\ncontent-length: 2\r\n\r\n";
    assert_eq!(exchange(answer.len() + 2), [answer.as_bytes(), b"\xb9\0"].concat());
    assert_done_once(&platform, &token);
}

#[test]
fn two_answers_are_one_record_and_a_pause_divides_them() {
    let (platform, mut connection, token) = authenticated();
    connection.write(&message(&token, b"")).expect("a request is written");
    let answer = connection.read_once();
    for (pieces, records) in [
        (vec![Piece::Answer, Piece::Answer], vec![answer.repeat(2)]),
        (
            vec![Piece::Answer, Piece::pause(Duration::ZERO), Piece::text("more")],
            vec![answer.clone(), b"more".to_vec()],
        ),
        (
            vec![Piece::Answer, Piece::pause(Duration::from_millis(1)), Piece::Answer],
            vec![answer.clone(), answer.clone()],
        ),
    ] {
        once(&platform, Fault::raw(pieces, None));
        connection.write(&message(&token, b"")).expect("a request is written");
        for record in records {
            assert_eq!(String::from_utf8_lossy(&connection.read_record()), String::from_utf8_lossy(&record));
        }
    }
    // A pause that nobody waits for ends with the client.
    once(&platform, Fault::raw([Piece::Answer, Piece::pause(Duration::from_secs(3600)), Piece::Answer], None));
    assert_eq!(connection.message("device", &token, b"").outcome(), accepted());
    connection.break_off();
    super::wait_for_open_connections(&platform, 0);
    assert_done_once(&platform, &token);
}

#[test]
fn pieces_meet_the_faults_of_delivery() {
    let (platform, mut connection, token) = authenticated();
    let pieces = || [Piece::text("abc"), Piece::pause(Duration::ZERO), Piece::text("defg")];
    for (delivery, expected) in [
        (Fault::response_cut(5, Close::Notified), "abcde"),
        (Fault::response_cut(8, Close::Notified), "abcdefg"),
        (Fault::drip(Duration::ZERO), "abcdefg"),
    ] {
        once(&platform, Fault::raw(pieces(), Some(Close::Notified)));
        once(&platform, delivery);
        connection.write(&message(&token, b"")).expect("a request is written");
        assert_eq!(connection.rest(), (expected.to_owned(), End::Notified));
        connection = crate::device::Connection::open(&platform);
    }
}

#[test]
fn records_that_are_damaged() {
    let (platform, mut connection, token) = authenticated();
    once(&platform, Fault::damaged_record(Damage::Answer));
    connection.write(&message(&token, b"")).expect("a request is written");
    let error = connection.read().expect_err("it cannot be deciphered");
    assert!(error.to_string().contains("decrypt"), "{error}");
    assert_done_once(&platform, &token);

    connection = crate::device::Connection::open(&platform);
    once(&platform, Fault::damaged_record(Damage::Idle));
    connection.write(&message(&token, b"")).expect("a request is written");
    // Record by record: the second may be there before the first is read.
    assert!(connection.read_record().starts_with(b"HTTP/1.1 200 OK\r\n"));
    let error = connection.read().expect_err("it cannot be deciphered");
    assert!(error.to_string().contains("decrypt"), "{error}");
    assert_done_once(&platform, &token);
}
