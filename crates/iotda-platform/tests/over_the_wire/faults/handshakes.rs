//! TLS that a client must not accept.

use super::{assert_done_once, counts, once, wait_for_open_connections};
use crate::device::{Connection, platform, read_to_end, tls};
use iotda_platform::{Fault, HandshakeMessage, OldTls, OldTlsReply, Platform, ShownCertificate};
use rustls::ClientConfig;
use rustls::version::TLS12;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

fn error(platform: &Platform, config: &Arc<ClientConfig>) -> String {
    match Connection::open_with(platform, Arc::clone(config), "localhost") {
        Ok(_) => panic!("a client accepts it"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn certificates() {
    let platform = platform();
    let config = Arc::new(tls(&platform, &[&TLS12]));
    for (show, expected) in [
        (ShownCertificate::Expired, "expired"),
        (ShownCertificate::WrongName, "not valid for name"),
        (ShownCertificate::UnknownCa, "UnknownIssuer"),
    ] {
        // That there is a session to resume makes no difference.
        let mut good = Connection::open_with(&platform, Arc::clone(&config), "localhost").expect("a connection");
        let token = good.token("device");
        once(&platform, Fault::certificate(show));
        let error = error(&platform, &config);
        assert!(error.contains(expected), "{error}");
        assert_done_once(&platform, &token);
    }
    assert_eq!(platform.counters().connection_faults, 3);
}

#[test]
fn old_versions() {
    let platform = platform();
    let config = Arc::new(tls(&platform, &[&TLS12]));
    for version in [OldTls::Tls10, OldTls::Tls11] {
        once(&platform, Fault::old_tls(version, OldTlsReply::Alert));
        let refused = error(&platform, &config);
        assert!(refused.contains("ProtocolVersion"), "{refused}");
        once(&platform, Fault::old_tls(version, OldTlsReply::ServerHello));
        let offered = error(&platform, &config);
        assert!(offered.contains("Tls12NotOffered") || offered.contains("peer is incompatible"), "{offered}");
    }
    wait_for_open_connections(&platform, 0);
    assert_eq!(counts(&platform), [(1, Some(0)); 4]);
    assert_eq!(platform.counters().handshakes_failed, 4);
    Connection::open(&platform).token("device");
}

#[test]
fn a_record_of_an_old_version() {
    let platform = platform();
    for (version, minor) in [(OldTls::Tls10, 1), (OldTls::Tls11, 2)] {
        for (reply, start) in [
            (OldTlsReply::Alert, vec![21, 3, minor, 0, 2, 2, 70]),
            (OldTlsReply::ServerHello, vec![22, 3, minor, 0, 49, 2, 0, 0, 45, 3, minor]),
        ] {
            once(&platform, Fault::old_tls(version, reply));
            let mut tcp = TcpStream::connect(platform.address()).expect("a connection");
            // A record is read and answered whatever it holds.
            tcp.write_all(&[22, 3, 1, 0, 1, 1]).expect("a record is written");
            tcp.shutdown(std::net::Shutdown::Write).expect("a connection");
            let (bytes, _) = read_to_end(&mut tcp);
            assert!(bytes.starts_with(&start), "{bytes:?}");
        }
    }
}

#[test]
fn alerts_in_the_handshake() {
    let platform = platform();
    let config = Arc::new(tls(&platform, &[&TLS12]));
    for after in [HandshakeMessage::ClientHello, HandshakeMessage::Certificate, HandshakeMessage::ServerHelloDone] {
        for (alert, expected) in [(40, "HandshakeFailure"), (48, "UnknownCA"), (80, "InternalError")] {
            once(&platform, Fault::tls_alert(after, alert));
            let error = error(&platform, &config);
            assert!(error.contains(expected), "{after:?}: {error}");
        }
    }
    wait_for_open_connections(&platform, 0);
    assert_eq!(platform.counters().handshakes_failed, 9);
    let token = Connection::open(&platform).token("device");
    assert_done_once(&platform, &token);
}

#[test]
fn no_tls() {
    let platform = platform();
    let config = Arc::new(tls(&platform, &[&TLS12]));
    once(&platform, Fault::plain_http());
    let error = error(&platform, &config);
    assert!(error.contains("corrupt message") || error.contains("InvalidContentType"), "{error}");
    once(&platform, Fault::plain_http());
    let mut tcp = TcpStream::connect(platform.address()).expect("a connection");
    tcp.write_all(&[22, 3, 1, 0, 1, 1]).expect("a record is written");
    tcp.shutdown(std::net::Shutdown::Write).expect("a connection");
    assert!(read_to_end(&mut tcp).0.starts_with(b"HTTP/1.1 400 Bad Request\r\n"));
    let token = Connection::open(&platform).token("device");
    assert_done_once(&platform, &token);
}
