//! Connections on which nothing happens for a while, or for ever.

use super::{assert_done_once, authenticated, client_hello, counts, once, wait_for, wait_for_open_connections};
use crate::device::{Connection, End, SILENCE, accepted, message, now, platform, post, read_to_end, registry, tls};
use iotda_platform::{
    Close, Direction, EndlessForm, Fault, HandshakeMessage, OldTls, OldTlsReply, Part, Platform, Route, Stall,
};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use rustls::version::TLS12;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

const BRIEFLY: Stall = Stall::For(Duration::from_millis(1));

#[test]
fn nothing_after_the_connection_is_accepted() {
    let platform = platform();
    once(&platform, Fault::accept_stall(Stall::ForEver));
    let mut tcp = TcpStream::connect(platform.address()).expect("a connection");
    tcp.set_read_timeout(Some(SILENCE)).expect("a socket");
    tcp.write_all(&client_hello(&platform)).expect("it is written");
    assert_eq!(read_to_end(&mut tcp), (Vec::new(), End::Silent));
    drop(tcp);
    wait_for_open_connections(&platform, 0);
    assert_eq!((counts(&platform), platform.counters().handshakes_failed), (vec![(1, Some(0))], 1));

    once(&platform, Fault::accept_stall(BRIEFLY));
    let token = Connection::open(&platform).token("device");
    assert_done_once(&platform, &token);
}

/// Reads a record with a handshake message and nothing else, and gives the message's type.
fn message_type(tcp: &mut TcpStream) -> u8 {
    let mut header = [0; 9];
    tcp.read_exact(&mut header).expect("a record");
    let [22, 3, 3, high, low, message_type, 0, message_high, message_low] = header else { panic!("{header:?}") };
    let length = u16::from_be_bytes([message_high, message_low]);
    assert_eq!(u16::from_be_bytes([high, low]), length + 4);
    tcp.read_exact(&mut vec![0; length.into()]).expect("a message");
    message_type
}

const MESSAGES: [HandshakeMessage; 5] = [
    HandshakeMessage::ClientHello,
    HandshakeMessage::ServerHello,
    HandshakeMessage::Certificate,
    HandshakeMessage::ServerKeyExchange,
    HandshakeMessage::ServerHelloDone,
];

#[test]
fn nothing_after_a_message_of_the_handshake() {
    let platform = platform();
    let config = Arc::new(tls(&platform, &[&TLS12]));
    for (number, after) in MESSAGES.into_iter().enumerate() {
        once(&platform, Fault::handshake_stall(after, Stall::ForEver));
        let mut tcp = TcpStream::connect(platform.address()).expect("a connection");
        tcp.write_all(&client_hello(&platform)).expect("it is written");
        for expected in &[2, 11, 12, 14][..number] {
            assert_eq!(message_type(&mut tcp), *expected, "{after:?}");
        }
        tcp.set_read_timeout(Some(SILENCE)).expect("a socket");
        assert_eq!(read_to_end(&mut tcp), (Vec::new(), End::Silent), "{after:?}");
    }
    wait_for_open_connections(&platform, 0);
    // And instead of the last messages, where the client has nothing more to say.
    once(&platform, Fault::handshake_stall(HandshakeMessage::ServerHelloDone, Stall::ForEver));
    let mut tcp = TcpStream::connect(platform.address()).expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = ClientConnection::new(config, name).expect("a client");
    while client.wants_write() || client.peer_certificates().is_none() {
        if client.wants_write() {
            client.write_tls(&mut tcp).expect("it is written");
        } else {
            client.read_tls(&mut tcp).expect("something is read");
            client.process_new_packets().expect("it is TLS");
        }
    }
    tcp.set_read_timeout(Some(SILENCE)).expect("a socket");
    assert_eq!(read_to_end(&mut tcp), (Vec::new(), End::Silent));
    drop(tcp);
    wait_for_open_connections(&platform, 0);
    assert_eq!(platform.counters().handshakes_failed, 6);
}

#[test]
fn a_handshake_goes_on_after_a_while() {
    let platform = platform();
    let config = Arc::new(tls(&platform, &[&TLS12]));
    for after in MESSAGES {
        // The second time, the session is resumed.
        for _ in 0..2 {
            once(&platform, Fault::handshake_stall(after, BRIEFLY));
            let connection = Connection::open_with(&platform, Arc::clone(&config), "localhost");
            let token = connection.expect("a connection").token("device");
            assert_done_once(&platform, &token);
        }
    }
    assert!(platform.counters().handshakes_resumed > 0);
}

#[test]
fn nothing_before_the_header_or_the_body() {
    let (platform, mut connection, _) = authenticated();
    let request = post("/v5/other", None, b"");
    let head = connection.exchange(&request).head();
    for (number, (before, seen)) in [(Part::Header, ""), (Part::Body, head.as_str())].into_iter().enumerate() {
        once(&platform, Fault::delay(before, Stall::ForEver));
        connection.write(&request).expect("a request is written");
        connection.expect(seen);
        connection.expect_silence();
        wait_for(&platform, |counters| counters.request_faults == 2 * number as u64 + 1);
        connection = Connection::open(&platform);
        wait_for_open_connections(&platform, 1);

        once(&platform, Fault::delay(before, BRIEFLY));
        assert_eq!(connection.exchange(&request).status, 404);
        // The connection is as good as before, and so is what comes over it.
        assert_eq!(connection.exchange(&request.repeat(2)).status, 404);
        assert_eq!(connection.read().expect("the second answer").status, 404);
    }
    assert_eq!(counts(&platform), [(1, Some(0)); 4]);
}

#[test]
fn requests_that_come_during_a_delay_are_answered_after_it() {
    let (platform, mut connection, token) = authenticated();
    once(&platform, Fault::delay(Part::Header, BRIEFLY));
    connection.write(&[message(&token, b"first"), message(&token, b"second")].concat()).expect("they are written");
    for _ in 0..2 {
        assert_eq!(connection.read().expect("an answer").outcome(), accepted());
    }
    let bodies: Vec<_> = platform.reports().into_iter().map(|report| report.body).collect();
    assert_eq!(bodies, [b"first".as_slice(), b"second"]);
}

#[test]
fn an_answer_comes_byte_by_byte() {
    let (platform, mut connection, token) = authenticated();
    once(&platform, Fault::drip(Duration::ZERO));
    connection.write(&message(&token, b"")).expect("a request is written");
    assert_eq!(connection.read().expect("an answer").outcome(), accepted());
    assert_eq!(connection.message("device", &token, b"").outcome(), accepted());
    assert_done_once(&platform, &token);

    // A drip that takes longer than anybody waits ends with the client.
    once(&platform, Fault::drip(Duration::from_secs(3600)));
    connection.write(&message(&token, b"")).expect("a request is written");
    assert_eq!(connection.read_once(), b"H");
    drop(connection);
    wait_for_open_connections(&platform, 0);
}

#[test]
fn the_wire_drips() {
    let platform = platform();
    once(&platform, Fault::wire_drip(Duration::from_secs(3600)));
    let mut tcp = TcpStream::connect(platform.address()).expect("a connection");
    tcp.write_all(&client_hello(&platform)).expect("it is written");
    let mut buffer = [0; 100];
    assert_eq!(tcp.read(&mut buffer).expect("a byte"), 1);
    tcp.set_read_timeout(Some(SILENCE)).expect("a socket");
    assert_eq!(read_to_end(&mut tcp).1, End::Silent);

    once(&platform, Fault::wire_drip(Duration::ZERO));
    let token = Connection::open(&platform).token("device");
    assert_done_once(&platform, &token);
}

#[test]
fn a_body_without_an_end() {
    for form in [EndlessForm::Chunked, EndlessForm::Length, EndlessForm::Close] {
        let (platform, mut connection, token) = authenticated();
        once(&platform, Fault::endless(form));
        connection.write(&message(&token, b"")).expect("a request is written");
        let mut length = 0;
        while length < 3_000_000 {
            let bytes = connection.read_once();
            assert!(!bytes.is_empty(), "{form:?} has ended after {length} bytes");
            length += bytes.len();
        }
        drop(connection);
        wait_for_open_connections(&platform, 0);
        assert_done_once(&platform, &token);
    }
}

#[test]
fn a_request_that_is_not_read_blocks_its_sender() {
    let platform =
        Platform::builder().registry(registry()).clock_stopped_at(now()).narrow_window().start().expect("a platform");
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    once(&platform, Fault::request_unread(Stall::ForEver));
    connection.tcp().set_write_timeout(Some(SILENCE)).expect("a socket");
    connection.tcp().set_read_timeout(Some(SILENCE)).expect("a socket");
    let error = connection.write(&message(&token, &[b'x'; 1_000_000])).expect_err("nobody reads it");
    assert!(matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut), "{error}");
    wait_for(&platform, |counters| counters.requests == 2);
    let record = platform.requests().pop().expect("a record");
    assert_eq!((record.status, record.faults), (0, vec!["request_unread".to_owned()]));
    assert_done_once(&platform, &token);
}

#[test]
fn a_request_that_is_read_slowly_is_taken_whole_or_blocks_its_sender() {
    let (platform, mut connection, token) = authenticated();
    // As fast as the machine: what matters is that nothing is lost in the pieces, and nothing of the next request.
    once(&platform, Fault::request_slow(50_000_000));
    let bodies = [vec![b'x'; 1_000_000], b"next".to_vec()];
    connection.write(&bodies.clone().map(|body| message(&token, &body)).concat()).expect("they are written");
    for body in bodies {
        assert_eq!(connection.read().expect("an answer").outcome(), accepted());
        assert!(platform.reports().iter().any(|report| report.body == body));
    }
    let faults: Vec<_> = platform.requests().into_iter().map(|request| request.faults).collect();
    assert_eq!(faults, [vec![], vec!["request_slow".to_owned()], vec![]]);

    // So slow that nothing but the first bytes is ever read.
    let platform =
        Platform::builder().registry(registry()).clock_stopped_at(now()).narrow_window().start().expect("a platform");
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    once(&platform, Fault::request_slow(1).on(Route::Message));
    connection.tcp().set_write_timeout(Some(SILENCE)).expect("a socket");
    connection.tcp().set_read_timeout(Some(SILENCE)).expect("a socket");
    let error = connection.write(&message(&token, &[b'x'; 1_000_000])).expect_err("hardly anything is read");
    assert!(matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut), "{error}");
    assert_done_once(&platform, &token);
}

#[test]
fn a_request_that_is_not_read_ends_with_its_sender_or_its_time() {
    let (platform, mut connection, token) = authenticated();
    once(&platform, Fault::request_unread(Stall::ForEver));
    connection.write(&message(&token, &[b'x'; 20_000])).expect("it is written");
    connection.expect_silence();
    wait_for(&platform, |counters| counters.requests == 2);
    connection = Connection::open(&platform);
    wait_for_open_connections(&platform, 1);

    once(&platform, Fault::request_unread(BRIEFLY));
    connection.write(&message(&token, b"")).expect("it is written");
    assert_eq!(connection.rest(), (String::new(), End::Reset));
    assert_done_once(&platform, &token);
}

#[test]
fn the_platform_stops_whatever_it_stalls_on() {
    let (platform, _, token) = authenticated();
    let mut open = Vec::new();
    for (number, fault) in [
        Fault::delay(Part::Header, Stall::ForEver),
        Fault::drip(Duration::from_secs(3600)),
        Fault::request_unread(Stall::ForEver),
        Fault::endless(EndlessForm::Length),
        Fault::content_length(1),
        Fault::response_cut(0, Close::Half),
    ]
    .into_iter()
    .enumerate()
    {
        once(&platform, fault);
        let mut connection = Connection::open(&platform);
        connection.write(&message(&token, b"")).expect("a request is written");
        wait_for(&platform, |counters| counters.request_faults == number as u64 + 1);
        open.push(connection);
    }
    let hello = client_hello(&platform);
    let mut handshakes = Vec::new();
    for (number, fault) in [
        Fault::accept_stall(Stall::ForEver),
        Fault::handshake_stall(HandshakeMessage::ServerHello, Stall::ForEver),
        Fault::wire_drip(Duration::from_secs(3600)),
        Fault::wire_cut(Direction::Sent, 0, Close::Half),
        Fault::old_tls(OldTls::Tls11, OldTlsReply::ServerHello),
    ]
    .into_iter()
    .enumerate()
    {
        once(&platform, fault);
        let mut tcp = TcpStream::connect(platform.address()).expect("a connection");
        tcp.write_all(&hello).expect("it is written");
        wait_for(&platform, |counters| counters.connection_faults == number as u64 + 1);
        handshakes.push(tcp);
    }
    // It returns: that is all.
    platform.shutdown();
}
