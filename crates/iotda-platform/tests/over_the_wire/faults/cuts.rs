//! Connections that end where they should not.

use super::{assert_done_once, authenticated, client_hello, counts, once, wait_for, wait_for_open_connections};
use crate::device::{Connection, End, SILENCE, accepted, message, platform, read_to_end, tls};
use iotda_platform::{Close, Direction, EndlessForm, Fault, InjectedAnswer, Platform, Route};
use rustls::pki_types::ServerName;
use rustls::version::TLS12;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// What a client sees of each.
const ENDS: [(Close, End); 5] = [
    (Close::Fin, End::Truncated),
    (Close::Notified, End::Notified),
    (Close::Reset, End::Reset),
    (Close::Half, End::Truncated),
    (Close::HalfNotified, End::Notified),
];

#[test]
fn a_request_is_cut_after_every_number_of_bytes() {
    let (platform, _, token) = authenticated();
    let request = message(&token, b"{}");
    let config = Arc::new(tls(&platform, &[&TLS12]));
    for after in 0..=request.len() {
        for route in [Route::Any, Route::Message] {
            platform.clear_faults();
            once(&platform, Fault::request_cut(after as u64, Close::Fin).on(route));
            let mut connection =
                Connection::open_with(&platform, Arc::clone(&config), "localhost").expect("a connection");
            connection.write(&request).expect("it is written before the platform has seen it");
            assert_eq!(connection.rest(), (String::new(), End::Truncated), "after {after} bytes");
            assert_eq!(counts(&platform), [(1, Some(0))]);
        }
    }
    assert_eq!(platform.requests().len(), 1);
    assert_done_once(&platform, &token);
}

#[test]
fn a_cut_waits_for_the_last_byte_and_not_for_one_more() {
    let (platform, mut connection, token) = authenticated();
    let request = message(&token, b"{}");
    for after in [1, 20, request.len() - 1, request.len()] {
        once(&platform, Fault::request_cut(after as u64, Close::Notified));
        connection.write(&request[..after - 1]).expect("a part is written");
        connection.expect_silence();
        connection.write(&request[after - 1..after]).expect("a byte is written");
        assert_eq!(connection.rest(), (String::new(), End::Notified), "after {after} bytes");
        connection = Connection::open(&platform);
    }
    // A request that is shorter is not cut, nor is the next one by what is left.
    once(&platform, Fault::request_cut(request.len() as u64 + 1, Close::Fin));
    assert_eq!(connection.message("device", &token, b"{}").outcome(), accepted());
    assert_eq!(connection.message("device", &token, b"{}").outcome(), accepted());
}

#[test]
fn a_cut_for_a_device_comes_no_sooner_than_its_request_is_known() {
    let (platform, mut connection, token) = authenticated();
    once(&platform, Fault::request_cut(300, Close::Fin).for_device("device"));
    assert_eq!(connection.authenticate("another").status, 200);
    connection.write(&message(&token, &[b'x'; 200])).expect("it is written");
    assert_eq!(connection.rest(), (String::new(), End::Truncated));
    assert_done_once(&platform, &token);
}

#[test]
fn a_request_is_cut_in_every_way() {
    let (platform, mut connection, token) = authenticated();
    for (close, end) in ENDS {
        once(&platform, Fault::request_cut(10, close));
        // No more than is read: a reset would else come of what is left over.
        connection.write(&message(&token, b"")[..10]).expect("a part is written");
        assert_eq!(connection.rest(), (String::new(), end), "{close:?}");
        connection = Connection::open(&platform);
    }
    assert_done_once(&platform, &token);
}

#[test]
fn a_response_is_cut_after_every_number_of_bytes() {
    let (platform, mut connection, token) = authenticated();
    platform.inject(Fault::idle_close(Duration::ZERO, Close::Notified).times(1)).expect("a fault");
    connection.write(&message(&token, b"{}")).expect("a request is written");
    let (whole, end) = connection.rest();
    assert!(whole.starts_with("HTTP/1.1 200 OK\r\n") && end == End::Notified, "{whole}");
    let config = Arc::new(tls(&platform, &[&TLS12]));
    for after in 0..=whole.len() {
        platform.clear_faults();
        once(&platform, Fault::response_cut(after as u64, Close::Fin));
        let mut connection = Connection::open_with(&platform, Arc::clone(&config), "localhost").expect("a connection");
        connection.write(&message(&token, b"{}")).expect("a request is written");
        assert_eq!(connection.rest(), (whole[..after].to_owned(), End::Truncated), "after {after} bytes");
        assert_eq!(counts(&platform), [(1, Some(0))]);
    }
    // The request has been looked at each time.
    assert_eq!(platform.reports().len(), whole.len() + 2);
    once(&platform, Fault::response_cut(whole.len() as u64 + 1, Close::Reset));
    let mut connection = Connection::open(&platform);
    assert_eq!(connection.message("device", &token, b"{}").outcome(), accepted());
    assert_eq!(connection.message("device", &token, b"{}").outcome(), accepted());
    assert_done_once(&platform, &token);
}

#[test]
fn a_response_is_cut_in_every_way() {
    let (platform, mut connection, token) = authenticated();
    for (close, end) in ENDS {
        once(&platform, Fault::response_cut(12, close));
        connection.write(&message(&token, b"")).expect("a request is written");
        assert_eq!(connection.rest(), ("HTTP/1.1 200".to_owned(), end), "{close:?}");
        connection = Connection::open(&platform);
    }
    assert_done_once(&platform, &token);
}

#[test]
fn a_half_that_is_closed_leaves_the_other_open() {
    let (platform, mut connection, token) = authenticated();
    let mut fault = |fault: Fault| {
        once(&platform, fault);
        connection.write(&message(&token, b"")).expect("a request is written");
        assert_eq!(connection.rest().1, End::Truncated);
        // More than any window holds: it can be written because it is read.
        for _ in 0..8 {
            connection.write(&vec![0; 1_048_576]).expect("the platform reads on");
        }
        let before = platform.counters().connections_closed;
        connection = Connection::open(&platform);
        wait_for_open_connections(&platform, 1);
        assert_eq!(platform.counters().connections_closed, before + 1);
    };
    fault(Fault::response_cut(0, Close::Half));
    fault(Fault::request_cut(1, Close::Half));

    once(&platform, Fault::wire_cut(Direction::Sent, 0, Close::Half));
    let mut tcp = TcpStream::connect(platform.address()).expect("a connection");
    tcp.write_all(&client_hello(&platform)).expect("it is written");
    assert_eq!(read_to_end(&mut tcp), (Vec::new(), End::Notified));
    for _ in 0..8 {
        tcp.write_all(&vec![0; 1_048_576]).expect("the platform reads on");
    }
    drop(tcp);
    wait_for_open_connections(&platform, 1);
    assert_done_once(&platform, &token);
}

#[test]
fn a_body_without_an_end_waits_where_the_wire_is_half_cut() {
    let (platform, _, token) = authenticated();
    for close in [Close::Half, Close::Silent] {
        once(&platform, Fault::wire_cut(Direction::Sent, 40_000, close));
        once(&platform, Fault::endless(EndlessForm::Length));
        let mut connection = Connection::open(&platform);
        connection.write(&message(&token, b"")).expect("a request is written");
        if close == Close::Silent {
            // Only silence is known by a time, which begins when the answer does.
            connection.tcp().peek(&mut [0]).expect("an answer begins");
            connection.tcp().set_read_timeout(Some(20 * SILENCE)).expect("a socket");
        }
        let (text, end) = connection.rest();
        assert!(text.len() > 10_000 && text.len() < 40_000, "{}", text.len());
        assert_eq!(end, if close == Close::Half { End::Truncated } else { End::Silent });
        drop(connection);
        // It is seen to go: the platform waits for it, and does not write on into nowhere.
        wait_for_open_connections(&platform, 0);
        assert_done_once(&platform, &token);
        wait_for_open_connections(&platform, 0);
    }
}

#[test]
fn a_connection_goes_silent_without_an_end() {
    let (platform, mut connection, token) = authenticated();
    let request = message(&token, b"");
    for (number, (fault, seen)) in [
        (Fault::idle_close(Duration::ZERO, Close::Silent), None),
        (Fault::response_cut(12, Close::Silent), Some("HTTP/1.1 200")),
        (Fault::request_cut(10, Close::Silent), Some("")),
        (Fault::answer(InjectedAnswer::status(503).close(Close::Silent)), None),
    ]
    .into_iter()
    .enumerate()
    {
        once(&platform, fault);
        connection.write(&request).expect("a request is written");
        match seen {
            Some(text) => connection.expect(text),
            None => drop(connection.read().expect("an answer")),
        }
        wait_for(&platform, |counters| counters.request_faults == number as u64 + 1);
        // What is written now is acknowledged by the system, and answered by nobody.
        connection.write(&request).expect("a request is written");
        connection.expect_silence();
        connection = Connection::open(&platform);
        wait_for_open_connections(&platform, 1);
    }
    let hello = client_hello(&platform);
    once(&platform, Fault::wire_cut(Direction::Received, hello.len() as u64, Close::Silent));
    let mut tcp = TcpStream::connect(platform.address()).expect("a connection");
    tcp.write_all(&hello).expect("it is written");
    tcp.set_read_timeout(Some(SILENCE)).expect("a socket");
    assert_eq!(read_to_end(&mut tcp), (Vec::new(), End::Silent));
    drop(tcp);
    wait_for_open_connections(&platform, 1);
    assert_done_once(&platform, &token);
}

#[test]
fn a_request_within_the_idle_time_is_answered_and_begins_it_anew() {
    let (platform, mut connection, token) = authenticated();
    let never = Duration::from_secs(3600);
    once(&platform, Fault::idle_close(never, Close::Notified));
    for _ in 0..3 {
        assert_eq!(connection.message("device", &token, b"").outcome(), accepted());
    }
    // Also those that have come together with the one that meets the fault.
    once(&platform, Fault::idle_close(never, Close::Notified));
    connection.write(&message(&token, b"").repeat(3)).expect("they are written");
    for _ in 0..3 {
        assert_eq!(connection.read().expect("an answer").outcome(), accepted());
    }
    connection.break_off();
    wait_for_open_connections(&platform, 0);
    once(&platform, Fault::idle_close(Duration::from_millis(40), Close::Notified));
    connection = Connection::open(&platform);
    connection.write(&message(&token, b"").repeat(2)).expect("they are written");
    let (text, end) = connection.rest();
    assert_eq!((text.matches("HTTP/1.1 200 OK").count(), end), (2, End::Notified), "{text}");
    assert_done_once(&platform, &token);
}

#[test]
fn kept_connections_are_closed_while_idle() {
    let (platform, mut connection, token) = authenticated();
    for (close, end) in ENDS {
        once(&platform, Fault::idle_close(Duration::from_millis(1), close));
        let response = connection.message("device", &token, b"");
        assert_eq!((response.outcome(), response.header("connection")), (accepted(), None));
        assert_eq!(connection.rest(), (String::new(), end), "{close:?}");
        connection = Connection::open(&platform);
    }
    assert_done_once(&platform, &token);
}

/// A TCP stream that counts what it reads.
struct Counted {
    tcp: TcpStream,
    read: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.tcp.read(buffer)?;
        self.read += length as u64;
        Ok(length)
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

/// Sends a request over a new connection and reads to the end. How many bytes of TCP have come, and whether they have
/// made a whole answer.
fn exchange(platform: &Platform, config: &Arc<ClientConfig>, request: &[u8]) -> (u64, bool) {
    let tcp = TcpStream::connect(platform.address()).expect("a connection");
    tcp.set_nodelay(true).expect("a socket");
    let name = ServerName::try_from("localhost").expect("a name");
    let tls = ClientConnection::new(Arc::clone(config), name).expect("a client");
    let mut stream = StreamOwned::new(tls, Counted { tcp, read: 0 });
    let whole = stream.write_all(request).is_ok() && read_to_end(&mut stream).0.ends_with(b"\r\n\r\n");
    // TLS may have given up before it had read all.
    let _ = io::copy(&mut stream.sock, &mut io::sink());
    (stream.sock.read, whole)
}

#[test]
fn the_wire_is_cut_after_exactly_so_many_bytes_that_were_sent() {
    let (platform, _, token) = authenticated();
    // No session is resumed, so that each handshake is as long as the other.
    let mut config = tls(&platform, &[&TLS12]);
    config.resumption = rustls::client::Resumption::disabled();
    let config = Arc::new(config);
    let request =
        String::from_utf8(message(&token, b"")).expect("text").replace("\r\nHost", "\r\nConnection: close\r\nHost");
    let (whole, complete) = exchange(&platform, &config, request.as_bytes());
    assert!(complete && whole > 500, "{whole}");
    // A signature may be some bytes longer or shorter than the one before.
    for after in (0..whole - 50).step_by(3).chain([1, 2, 4]) {
        for close in [Close::Fin, Close::Half] {
            platform.clear_faults();
            once(&platform, Fault::wire_cut(Direction::Sent, after, close));
            assert_eq!(exchange(&platform, &config, request.as_bytes()), (after, false), "{close:?}");
            assert_eq!(counts(&platform), [(1, Some(0))]);
        }
    }
    once(&platform, Fault::wire_cut(Direction::Sent, whole * 2, Close::Reset));
    assert!(exchange(&platform, &config, request.as_bytes()).1);
    assert_done_once(&platform, &token);
}

#[test]
fn the_wire_is_cut_after_exactly_so_many_bytes_that_were_received() {
    let platform = platform();
    let hello = client_hello(&platform);
    for (number, after) in [1, 5, 40, hello.len()].into_iter().enumerate() {
        for (close, reset) in [(Close::Fin, false), (Close::Reset, true), (Close::Half, false)] {
            once(&platform, Fault::wire_cut(Direction::Received, after as u64, close));
            let mut tcp = TcpStream::connect(platform.address()).expect("a connection");
            tcp.write_all(&hello[..after - 1]).expect("a part is written");
            tcp.set_read_timeout(Some(SILENCE)).expect("a socket");
            assert_eq!(read_to_end(&mut tcp), (Vec::new(), End::Silent), "before {after} bytes");
            tcp.set_read_timeout(None).expect("a socket");
            tcp.write_all(&hello[after - 1..after]).expect("a byte is written");
            // TCP has no other word for its end than TLS for a notified one.
            let end = if reset { End::Reset } else { End::Notified };
            assert_eq!(read_to_end(&mut tcp), (Vec::new(), end), "after {after} bytes, {close:?}");
        }
        wait_for_open_connections(&platform, 0);
        assert_eq!(platform.counters().handshakes_failed, 3 * (number as u64 + 1));
    }
    // Of nothing, not even the first byte is waited for.
    once(&platform, Fault::wire_cut(Direction::Received, 0, Close::Fin));
    let mut tcp = TcpStream::connect(platform.address()).expect("a connection");
    assert_eq!(read_to_end(&mut tcp), (Vec::new(), End::Notified));
    assert_eq!(platform.counters().connection_faults, 13);
    Connection::open(&platform).token("device");
}
