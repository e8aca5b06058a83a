//! Which connection a report takes: addresses of which one is not what it seems, uploads that are slow, and bytes that
//! belong to no answer.

use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use iotda::{CallOptions, Client, ErrorKind};
use iotda_platform::{Fault, Platform, Route};

use crate::device::{at_once, config, registry};
use crate::scripted::{Reply, Scripted, Tls, answer, authenticated, token};

const OPTIONS: CallOptions = CallOptions::new();

/// What the machine at the first address does with connections.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Stalls,
    Closes,
    ShowsAnotherCertificate,
}

/// The wrong machine, until it is dropped.
struct Wrong {
    accepted: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
    _other: Option<Scripted>,
}

impl Wrong {
    fn start(listener: TcpListener, manner: Manner) -> Self {
        let address = listener.local_addr().unwrap();
        let (accepted, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        if manner == Manner::ShowsAnotherCertificate {
            let other = Scripted::start_on(listener, Tls::V1_2, |_| answer(200, ""));
            let accepted = other.connection_count();
            return Wrong { accepted, stop, address, thread: None, _other: Some(other) };
        }
        let (count, stopping) = (Arc::clone(&accepted), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut held = Vec::new();
            for socket in listener.incoming() {
                if stopping.load(Ordering::SeqCst) {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                match manner {
                    Manner::Closes => drop(socket.unwrap().read(&mut [0; 1])),
                    _ => held.push(socket),
                }
            }
        });
        Wrong { accepted, stop, address, thread: Some(thread), _other: None }
    }
}

impl Drop for Wrong {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = std::net::TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Two listeners with one port: the first address of `localhost`, and the second.
fn both_addresses() -> (TcpListener, TcpListener) {
    loop {
        let second = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let port = second.local_addr().unwrap().port();
        // Somebody else may have it.
        if let Ok(first) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return (first, second);
        }
    }
}

#[test]
fn the_second_address_serves_where_the_first_is_another_machine() {
    for manner in [Manner::Stalls, Manner::Closes, Manner::ShowsAnotherCertificate] {
        let (first, second) = both_addresses();
        let port = second.local_addr().unwrap().port();
        let wrong = Wrong::start(first, manner);
        let right = Scripted::start_on(second, Tls::V1_2, |request| match request.target.as_str() {
            "/v5/device-auth" => token(),
            _ => answer(200, ""),
        });
        let mut config = right.config();
        config.endpoint(&format!("https://localhost:{port}")).unwrap();
        // A stall can only be told from a slow machine by the time that it takes.
        config.connect_timeout(Duration::from_millis(200)).unwrap().retry(at_once(2)).unwrap();
        config.kept_connections(0, Duration::ZERO);
        let client = Client::new(&config).unwrap();
        client.report_message(b"x", OPTIONS).unwrap_or_else(|error| panic!("{manner:?}: {error}"));
        let met = wrong.accepted.load(Ordering::SeqCst);
        assert_eq!(met, 1, "{manner:?}: the first address was tried once");
        for _ in 0..3 {
            client.report_message(b"x", OPTIONS).unwrap();
        }
        assert_eq!(wrong.accepted.load(Ordering::SeqCst), met, "{manner:?}: and then came last");
        assert_eq!(right.targets().iter().filter(|target| *target == "messages/up").count(), 4);
    }
}

#[test]
fn where_every_address_is_another_machine_the_error_is_that_of_the_certificate() {
    let (first, second) = both_addresses();
    let port = second.local_addr().unwrap().port();
    let _first = Wrong::start(first, Manner::ShowsAnotherCertificate);
    let _second = Wrong::start(second, Manner::ShowsAnotherCertificate);
    let other = Scripted::start(|_| answer(200, ""));
    let mut config = other.config();
    config.endpoint(&format!("https://localhost:{port}")).unwrap();
    let error = Client::new(&config).unwrap().report_message(b"x", OPTIONS).unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Tls, 0), "{error}");
}

#[test]
fn where_no_other_address_serves_the_error_is_that_of_the_certificate() {
    for other in [None, Some(Manner::Closes), Some(Manner::Stalls)] {
        for is_first in [true, false] {
            let (first, second) = both_addresses();
            let port = second.local_addr().unwrap().port();
            let (wrong, elsewhere) = if is_first { (first, second) } else { (second, first) };
            let _wrong = Wrong::start(wrong, Manner::ShowsAnotherCertificate);
            // Without a manner, nobody listens there.
            let _elsewhere = other.map(|manner| Wrong::start(elsewhere, manner));
            let platform = Scripted::start(|_| answer(200, ""));
            let mut config = platform.config();
            config.endpoint(&format!("https://localhost:{port}")).unwrap();
            config.connect_timeout(Duration::from_millis(200)).unwrap().retry(at_once(2)).unwrap();
            let error = Client::new(&config).unwrap().report_message(b"x", OPTIONS).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Tls, "{other:?}, first: {is_first}: {error}");
        }
    }
}

#[test]
fn an_upload_that_is_slow_but_moves_arrives_in_one_attempt() {
    let platform = Platform::builder().registry(registry()).narrow_window().start().unwrap();
    let mut config = config(&platform);
    // All of it takes three times as long as nothing may move.
    config.attempt_timeout(Duration::from_secs(1)).unwrap().timeout(Duration::from_secs(60)).unwrap();
    let client = Client::new(&config).unwrap();
    client.authenticate(OPTIONS).unwrap();
    platform.inject(Fault::request_slow(300_000).on(Route::Message)).unwrap();
    let delivery = client.report_message(&vec![b'x'; 900_000], OPTIONS).unwrap();
    assert_eq!(delivery.attempts, 1);
}

/// An answer of `size` bytes that says nothing, and takes no body.
fn answer_of(size: usize) -> Vec<u8> {
    let (start, end) = ("HTTP/1.1 200 OK\r\nX: ", "\r\nContent-Length: 0\r\n\r\n");
    format!("{start}{}{end}", "y".repeat(size - start.len() - end.len())).into_bytes()
}

/// What the second report gets where `parts` answer the first, and 503 would answer the second.
fn second_outcome(parts: Vec<Vec<u8>>) -> Result<(), ErrorKind> {
    let (sent, has_sent) = channel();
    let server = authenticated(move |request| match request.body.as_slice() {
        b"first" => Reply::SendInParts(parts.clone(), sent.clone()),
        _ => answer(503, ""),
    });
    let client = server.client();
    client.report_message(b"first", OPTIONS).unwrap();
    // What was sent on loopback has arrived.
    has_sent.recv().unwrap();
    client.report_message(b"second", OPTIONS).map(drop).map_err(|error| error.kind())
}

#[test]
fn bytes_behind_an_answer_are_not_the_next_answer() {
    const FORGED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    // Sizes around those of the buffers: what is left over may lie in ours, in that of TLS, or in the kernel.
    for size in [100, 4_096, 8_150, 8_191, 8_192] {
        let answer = answer_of(size);
        let in_one_record = vec![[&answer, FORGED].concat()];
        let in_two = vec![answer.clone(), FORGED.to_vec()];
        let many = vec![answer, FORGED.to_vec(), FORGED.to_vec()];
        for parts in [in_one_record, in_two, many] {
            let shape = parts.len();
            assert_eq!(second_outcome(parts), Err(ErrorKind::Server), "size {size}, {shape} parts");
        }
    }
}

#[test]
fn the_beginning_of_a_record_behind_an_answer_ends_its_connection() {
    let ((sent, has_sent), answered) = (channel(), Arc::new(Barrier::new(2)));
    let at_barrier = Arc::clone(&answered);
    let server = authenticated(move |request| match request.body.as_slice() {
        // The header of a record of 40 bytes, which may come later and be read as an answer.
        b"first" => Reply::SendWithTail(answer_of(100), vec![23, 3, 3, 0, 40], at_barrier.clone(), sent.clone()),
        _ => answer(503, ""),
    });
    let client = server.client();
    client.report_message(b"first", OPTIONS).unwrap();
    answered.wait();
    has_sent.recv().unwrap();
    let error = client.report_message(b"second", OPTIONS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server, "{error}");
}

#[test]
fn a_connection_on_which_nothing_is_left_is_used_again() {
    for size in [100, 8_191, 8_192] {
        let (sent, has_sent) = channel();
        let server = authenticated(move |_| Reply::SendInParts(vec![answer_of(size)], sent.clone()));
        let client = server.client();
        for _ in 0..3 {
            client.report_message(b"x", OPTIONS).unwrap();
            has_sent.recv().unwrap();
        }
        assert_eq!(server.connections(), 1, "size {size}");
    }
}
