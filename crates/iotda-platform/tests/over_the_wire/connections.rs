//! TLS: which versions, which certificates, and that sessions are resumed.

use crate::device::{Connection, platform, registry, tls};
use crate::program::Directory;
use iotda_platform::{CertificateKind, Platform};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, HandshakeKind};
use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;

#[test]
fn a_session_is_resumed() {
    let platform = platform();
    let config = Arc::new(tls(&platform, &[&TLS12]));
    for (number, expected) in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed].iter().enumerate() {
        let mut connection = Connection::open_with(&platform, Arc::clone(&config), "localhost").expect("a connection");
        assert_eq!(connection.handshake_kind().as_ref(), Some(expected), "connection {number}");
        connection.token("device");
    }
    let counters = platform.counters();
    assert_eq!((counters.connections, counters.handshakes_full, counters.handshakes_resumed), (3, 1, 2));
}

#[test]
fn a_session_is_resumed_without_tickets_too() {
    let platform = platform();
    let mut config = tls(&platform, &[&TLS12]);
    config.resumption = rustls::client::Resumption::in_memory_sessions(8)
        .tls12_resumption(rustls::client::Tls12Resumption::SessionIdOnly);
    let config = Arc::new(config);
    for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let mut connection = Connection::open_with(&platform, Arc::clone(&config), "localhost").expect("a connection");
        assert_eq!(connection.handshake_kind(), Some(expected));
        connection.token("device");
    }
}

#[test]
fn every_name_of_the_certificate_will_do() {
    let platform = Platform::builder().registry(registry()).server_name("iotda.example").start().expect("a platform");
    let config = Arc::new(tls(&platform, &[&TLS12]));
    for name in ["localhost", "127.0.0.1", "::1", "iotda.example"] {
        let connection = Connection::open_with(&platform, Arc::clone(&config), name);
        let connection = connection.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(connection.certificate_chain_length(), 1);
    }
    assert!(Connection::open_with(&platform, config, "other.example").is_err());
}

fn handshake_error(kind: CertificateKind) -> String {
    let platform = Platform::builder().certificate(kind).start().expect("a platform");
    let config = Arc::new(tls(&platform, &[&TLS12]));
    match Connection::open_with(&platform, config, "localhost") {
        Ok(_) => panic!("a client accepts a certificate of the kind {kind:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn certificates_that_a_client_must_not_accept() {
    let expired = handshake_error(CertificateKind::Expired);
    assert!(expired.contains("expired"), "{expired}");
    let wrong_name = handshake_error(CertificateKind::WrongName);
    assert!(wrong_name.contains("not valid for name"), "{wrong_name}");
}

#[test]
fn another_platform_s_authority_is_not_this_one_s() {
    let (platform, other) = (platform(), platform());
    let config = Arc::new(tls(&other, &[&TLS12]));
    assert!(Connection::open_with(&platform, config, "localhost").is_err());
}

#[test]
fn an_authority_that_is_kept_is_trusted_after_a_restart() {
    let directory = Directory::new("authority");
    let path = directory.0.join("ca.pem");
    let start = || Platform::builder().registry(registry()).authority_file(&path).start();
    let first = start().expect("a platform");
    let trusting_the_first = Arc::new(tls(&first, &[&TLS12]));
    let ca = first.ca_pem().to_owned();
    drop(first);
    let second = start().expect("a platform");
    assert_eq!(second.ca_pem(), ca);
    Connection::open_with(&second, trusting_the_first, "localhost").expect("a connection");
    // A certificate of another authority is noticed, not shown.
    let text = std::fs::read_to_string(&path).expect("a file");
    let key = text.split_inclusive("-----END PRIVATE KEY-----\n").next().expect("a key").to_owned();
    let other = Platform::builder().start().expect("a platform");
    std::fs::write(&path, key + other.ca_pem()).expect("a file");
    assert!(start().expect_err("an error").to_string().contains("not of one authority"));
    std::fs::write(&path, "nonsense").expect("a file");
    assert!(start().expect_err("an error").to_string().contains("BEGIN PRIVATE KEY"));
}

/// A key for tests alone, as `openssl genpkey -algorithm RSA` makes them.
pub const RSA_KEY: &str = include_str!("rsa-key-of-the-tests.pem");

#[test]
fn rsa_alone_will_do() {
    let directory = Directory::new("rsa");
    let (ca, server) = (directory.0.join("ca.pem"), directory.0.join("server.pem"));
    std::fs::write(&ca, RSA_KEY).expect("a file");
    std::fs::write(&server, RSA_KEY).expect("a file");
    let platform = Platform::builder().registry(registry()).authority_file(&ca).server_key_file(&server).start();
    let platform = platform.expect("a platform");
    let config = tls_of_rsa(platform.ca_pem());
    Connection::open_with(&platform, Arc::new(config), "localhost").expect("a connection").token("device");
}

/// TLS as a board has it that knows no ECDSA.
pub fn tls_of_rsa(ca_pem: &str) -> rustls::ClientConfig {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.retain(|suite| format!("{:?}", suite.suite()).contains("_RSA_"));
    crate::device::tls_of(ca_pem, provider, &[&TLS12])
}

#[test]
fn http_2_alone_is_not_spoken() {
    let platform = platform();
    let mut config = tls(&platform, &[&TLS12]);
    config.alpn_protocols = vec![b"h2".to_vec()];
    assert!(Connection::open_with(&platform, Arc::new(config.clone()), "localhost").is_err());
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Connection::open_with(&platform, Arc::new(config), "localhost").expect("a connection").token("device");
}

#[test]
fn tls_1_3_alone_is_refused() {
    let platform = platform();
    let config = Arc::new(tls(&platform, &[&TLS13]));
    let mut stream = TcpStream::connect(platform.address()).expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = ClientConnection::new(config, name).expect("a client");
    let error = loop {
        if let Err(error) = client.complete_io(&mut stream) {
            break error.to_string();
        }
        assert!(client.is_handshaking(), "a client speaks TLS 1.3 with the platform");
    };
    assert!(error.contains("ProtocolVersion"), "{error}");
    // It is counted when the platform has closed the connection.
    stream.read_to_end(&mut Vec::new()).expect("the end of the connection");
    assert_eq!(platform.counters().handshakes_failed, 1);
}
