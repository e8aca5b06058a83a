//! Whom TLS trusts, and what is said when it does not.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use iotda::{CallOptions, Client, Clock, Config, Error, ErrorKind};
use iotda_platform::{CertificateKind, Platform};

use crate::device::{self, ID, SECRET, config, platform, registry};
use crate::scripted::{Scripted, Tls, answer, authenticated};

const OPTIONS: CallOptions = CallOptions::new();

fn failure(config: &Config) -> Error {
    let mut config = config.clone();
    config.retry(device::NEVER).unwrap();
    Client::new(&config).unwrap().report_message(b"x", OPTIONS).unwrap_err()
}

#[test]
fn another_authority_is_not_trusted() {
    let (platform, other) = (platform(), platform());
    let mut config = config(&platform);
    config.ca_pem(other.ca_pem().as_bytes()).unwrap();
    let error = failure(&config);
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Tls, 0));
    assert!(error.message().contains("not signed by a trusted authority"), "{error}");
    assert_eq!(platform.requests().len(), 0);
}

#[cfg(any(feature = "public-roots", feature = "platform-roots"))]
#[test]
fn the_built_in_authorities_do_not_vouch_for_the_stand_in() {
    let platform = platform();
    let mut config = Config::new();
    config.endpoint(platform.url()).unwrap().device(ID, SECRET).unwrap();
    assert_eq!(failure(&config).kind(), ErrorKind::Tls);
}

#[test]
fn another_host_name_is_not_accepted() {
    let platform = Platform::builder().registry(registry()).certificate(CertificateKind::WrongName).start().unwrap();
    let error = failure(&config(&platform));
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(error.message().contains("another host name"), "{error}");
}

#[test]
fn an_expired_certificate_is_not_accepted() {
    let platform = Platform::builder().registry(registry()).certificate(CertificateKind::Expired).start().unwrap();
    let error = failure(&config(&platform));
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(error.message().contains("expired") && error.message().contains("clock"), "{error}");
}

#[derive(Debug)]
struct Stopped(i64);

impl Clock for Stopped {
    fn unix_ms(&self) -> i64 {
        self.0
    }
}

#[test]
fn a_clock_that_is_not_set_is_told_before_anything_is_sent() {
    let platform = platform();
    for unset in [0, 1_000_000_000_000, -5] {
        let mut config = config(&platform);
        config.clock(Arc::new(Stopped(unset)));
        let error = failure(&config);
        assert_eq!(error.kind(), ErrorKind::Clock);
        assert!(error.message().contains("set the clock"), "{error}");
    }
    assert_eq!(platform.counters().handshakes_failed, 0);
}

#[test]
fn certificates_are_checked_against_the_clients_clock() {
    let platform = Platform::builder().registry(registry()).certificate(CertificateKind::Expired).start().unwrap();
    let mut config = config(&platform);
    // Year 9000.
    config.clock(Arc::new(Stopped(221_845_392_000_000)));
    assert!(failure(&config).message().contains("expired"));
}

/// Answers the first bytes of each connection with `reply`, and closes.
fn answering(reply: &'static [u8]) -> Config {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = Config::new();
    config.endpoint(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
    config.device(ID, SECRET).unwrap().ca_pem(platform().ca_pem().as_bytes()).unwrap();
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut header = [0; 5];
        socket.read_exact(&mut header).unwrap();
        let mut hello = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
        socket.read_exact(&mut hello).unwrap();
        socket.write_all(reply).unwrap();
        if !reply.is_empty() {
            // Until the client has read it and closed.
            let _ = socket.read(&mut [0; 64]);
        }
    });
    config
}

#[test]
fn a_server_without_tls_1_2_is_named() {
    // RFC 2246: a ServerHello that picks TLS 1.1 (3, 2), with TLS_RSA_WITH_AES_128_CBC_SHA.
    const HELLO: [u8; 47] = {
        let mut hello = [7; 47];
        let start = [0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
        let mut at = 0;
        while at < start.len() {
            hello[at] = start[at];
            at += 1;
        }
        hello[43] = 0; // No session.
        hello[44] = 0;
        hello[45] = 0x2f;
        hello[46] = 0;
        hello
    };
    // RFC 5246 section 7.2.2: alert protocol_version (70), fatal.
    for reply in [&HELLO[..], &[0x15, 3, 1, 0, 2, 2, 70]] {
        let error = failure(&answering(reply));
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
        assert!(error.message().contains("does not speak TLS 1.2"), "{error}");
    }
}

#[test]
fn a_server_without_tls_is_named() {
    let error = failure(&answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(error.message().contains("does not answer in TLS"), "{error}");
    let error = failure(&answering(b""));
    assert_eq!(error.kind(), ErrorKind::Connect);
}

#[test]
fn no_server_is_a_connect_error_that_names_the_address() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut config = config(&platform());
    config.endpoint(&format!("https://{free}")).unwrap();
    let error = failure(&config);
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.message().contains(&free.to_string()) && error.message().contains("refused"), "{error}");
}

#[test]
fn a_new_connection_resumes_the_session() {
    let platform = platform();
    let client = device::client(&platform);
    client.report_message(b"x", OPTIONS).unwrap();
    // Two at once need a second connection; a scope of threads that wait for each other makes sure of it.
    let together = std::sync::Barrier::new(4);
    for _ in 0..20 {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    together.wait();
                    client.report_message(&vec![0; 500_000], OPTIONS).unwrap();
                });
            }
        });
        if platform.counters().connections > 1 {
            break;
        }
    }
    let counters = platform.counters();
    assert!(counters.connections > 1, "the threads never met");
    assert_eq!((counters.handshakes_full, counters.handshakes_resumed), (1, counters.connections - 1));
}

#[test]
fn a_pinned_key_is_demanded_beside_everything_else() {
    let server = authenticated(|_| answer(200, ""));
    let mut config = server.config();
    config.pin_public_key([7; 32]);
    let error = failure(&config);
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(error.message().contains("none of the pinned public keys"), "{error}");
    config.pin_public_key(server.key_sha256);
    Client::new(&config).unwrap().report_message(b"x", OPTIONS).unwrap();
    // The right key does not make a wrong authority right.
    config.ca_pem(platform().ca_pem().as_bytes()).unwrap();
    assert!(failure(&config).message().contains("not signed by a trusted authority"));
}

#[test]
fn a_client_certificate_is_shown_where_it_is_demanded() {
    let demanding = Tls { version: &rustls::version::TLS12, demands_certificate: true };
    let server = Scripted::start_with(demanding, |request| match request.target.as_str() {
        "/v5/device-auth" => crate::scripted::token(),
        _ => answer(200, ""),
    });
    let mut config = server.config();
    assert_eq!(failure(&config).kind(), ErrorKind::Tls);
    let (certificate, key) = &server.client_identity;
    config.client_certificate(certificate.as_bytes(), key.as_bytes()).unwrap();
    Client::new(&config).unwrap().report_message(b"x", OPTIONS).unwrap();
}

#[test]
fn a_client_certificate_is_checked_with_its_key_before_it_is_used() {
    let (one, other) = (authenticated(|_| answer(200, "")), authenticated(|_| answer(200, "")));
    let (certificate, key) = (&one.client_identity.0, &other.client_identity.1);
    let mut config = one.config();
    for (certificate, key, part) in [
        (certificate.as_str(), key.as_str(), "does not belong to the certificate"),
        (certificate, "", "PRIVATE KEY"),
        ("", key, "holds no certificate"),
    ] {
        let error = config.client_certificate(certificate.as_bytes(), key.as_bytes()).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains(part), "{error}");
    }
}

#[cfg(feature = "tls13")]
#[test]
fn tls_1_3_is_spoken_only_where_it_is_asked_for() {
    let newest = Tls { version: &rustls::version::TLS13, demands_certificate: false };
    let server = Scripted::start_with(newest, |request| match request.target.as_str() {
        "/v5/device-auth" => crate::scripted::token(),
        _ => answer(200, ""),
    });
    let mut config = server.config();
    let error = failure(&config);
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(error.message().contains("does not speak TLS 1.2"), "{error}");
    config.tls_1_3(true).unwrap();
    let client = Client::new(&config).unwrap();
    for _ in 0..3 {
        client.report_message(b"x", OPTIONS).unwrap();
    }
    assert_eq!(server.connections(), 2, "the refused one, and one for all reports");
}

#[test]
fn an_authority_can_be_added_to_those_that_are_trusted() {
    let (platform, other) = (platform(), platform());
    let mut config = config(&other);
    config.endpoint(platform.url()).unwrap().add_ca_pem(platform.ca_pem().as_bytes()).unwrap();
    Client::new(&config).unwrap().authenticate(OPTIONS).unwrap();
    config.endpoint(other.url()).unwrap();
    Client::new(&config).unwrap().authenticate(OPTIONS).unwrap();
}

/// Changes a record, by TLS's type of its content.
type Spoil = fn(u8, &mut Vec<u8>);

/// Passes connections on to `platform`; of the first, what comes from the platform is passed through `spoil`, record by
/// record.
fn spoiling(platform: &Platform, spoil: Spoil) -> Config {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config(platform);
    config.endpoint(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
    let address = platform.address();
    thread::spawn(move || {
        for (number, client) in listener.incoming().enumerate() {
            let (client, server) = (client.unwrap(), std::net::TcpStream::connect(address).unwrap());
            let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || {
                let _ = std::io::copy(&mut from_client, &mut to_server);
                let _ = to_server.shutdown(std::net::Shutdown::Both);
            });
            let (mut client, mut server) = (client, server);
            thread::spawn(move || {
                let mut header = [0; 5];
                while server.read_exact(&mut header).is_ok() {
                    let mut record = header.to_vec();
                    record.resize(5 + usize::from(u16::from_be_bytes([header[3], header[4]])), 0);
                    server.read_exact(&mut record[5..]).unwrap();
                    if number == 0 {
                        spoil(header[0], &mut record);
                    }
                    if client.write_all(&record).is_err() {
                        break;
                    }
                }
                let _ = client.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    config
}

#[test]
fn damage_and_faults_of_the_server_are_tried_again() {
    // Types of content: 22 handshake, 23 application data; RFC 5246 section 6.2.1.
    let cases: [(Spoil, &str); 3] = [
        (
            |kind, record| {
                if kind == 23 {
                    *record.last_mut().unwrap() ^= 1;
                }
            },
            "a TLS record was damaged",
        ),
        // Alert internal_error (80), fatal, instead of the handshake.
        (
            |kind, record| {
                if kind == 22 {
                    *record = vec![0x15, 3, 3, 0, 2, 2, 80]
                }
            },
            "TLS alert 80 (internal_error)",
        ),
        // The second record of the handshake has a type that there is none of: the change of cipher.
        (
            |kind, record| {
                if kind == 20 {
                    record[0] = 99
                }
            },
            "during the TLS handshake",
        ),
    ];
    for (spoil, part) in cases {
        let platform = platform();
        let error = failure(&spoiling(&platform, spoil));
        assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
        assert!(error.message().contains(part), "{error}");
        let mut config = spoiling(&platform, spoil);
        config.retry(device::at_once(2)).unwrap();
        Client::new(&config).unwrap().report_message(b"x", OPTIONS).unwrap();
    }
}
