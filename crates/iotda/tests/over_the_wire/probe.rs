//! The way to the platform step by step: what a probe finds of each, and that it says nothing to those it should not.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use iotda::probe::{CertificateFault, Link, Probe, Reached};
use iotda::{CallOptions, Client, Clock, Config, ErrorKind};
use iotda_http::fixtures::{closed_port, swallowing_port};
use iotda_platform::{CertificateKind, Fault, InjectedAnswer, Platform};

use crate::device::{self, authentications, platform, registry};
use crate::routes::proxy;
use crate::scripted::{Scripted, Tls};

const OPTIONS: CallOptions = CallOptions::new();

/// One that an agent of ureq's has no part in: a probe looks at this library's own connections.
fn config(platform: &Platform) -> Config {
    let mut config = Config::new();
    config.endpoint(platform.url()).unwrap().device(device::ID, device::SECRET).unwrap();
    config.ca_pem(platform.ca_pem().as_bytes()).unwrap().retry(device::NEVER).unwrap();
    config
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// To an address where nobody is expected to keep anybody waiting.
fn reach(probe: &Probe) -> Vec<Reached> {
    probe.connect(&probe.look_up(soon()).unwrap(), Duration::from_secs(20))
}

fn link(probe: &Probe) -> Link {
    let mut link = reach(probe).pop().unwrap().result.unwrap();
    probe.tunnel(&mut link, soon()).unwrap();
    link
}

#[test]
fn each_step_to_a_platform_that_is_well() {
    let platform = platform();
    let config = config(&platform);
    let probe = config.probe().unwrap();
    assert_eq!((probe.host(), probe.port()), ("127.0.0.1", platform.address().port()));
    assert_eq!(probe.proxy(), None);
    probe.check_clock().unwrap();
    assert_eq!(probe.look_up(soon()).unwrap(), [platform.address()]);
    let handshake = probe.handshake(link(&probe), soon());
    assert_eq!((handshake.chain.len(), handshake.fault), (1, None));
    let secured = handshake.result.unwrap();
    assert_eq!(secured.version(), "TLS 1.2");
    let said = probe.ask(secured, soon()).unwrap();
    assert_eq!(said.status, 404);
    assert!((said.time_ms.unwrap() - platform.now_ms()).abs() < 60_000);
    let [request] = &platform.requests()[..] else { panic!("one request") };
    assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", "/"));
}

#[test]
fn what_a_server_shows_is_kept_also_if_it_is_not_accepted() {
    for (kind, fault) in [
        (CertificateKind::Expired, CertificateFault::Expired),
        (CertificateKind::WrongName, CertificateFault::OtherName),
    ] {
        let platform = Platform::builder().registry(registry()).certificate(kind).start().unwrap();
        let probe = config(&platform).probe().unwrap();
        let handshake = probe.handshake(link(&probe), soon());
        assert_eq!((handshake.chain.len(), handshake.fault), (1, Some(fault)));
        assert_eq!(handshake.result.unwrap_err().kind(), ErrorKind::Tls);
        assert!(platform.requests().is_empty());
    }
    let (platform, other) = (platform(), platform());
    let mut config = config(&platform);
    config.ca_pem(other.ca_pem().as_bytes()).unwrap();
    // Of the same name, with another key.
    assert_eq!(fault(&config), Some(CertificateFault::ForeignKey));
    config.ca_pem(iotda_http::fixtures::authority().as_bytes()).unwrap();
    assert_eq!(fault(&config), Some(CertificateFault::Untrusted));
    config.ca_pem(platform.ca_pem().as_bytes()).unwrap().pin_public_key([7; 32]);
    assert_eq!(fault(&config), Some(CertificateFault::Unpinned));
    let platform = device::platform();
    platform.inject(Fault::plain_http()).unwrap();
    let probe = self::config(&platform).probe().unwrap();
    let handshake = probe.handshake(link(&probe), soon());
    assert!(handshake.chain.is_empty() && handshake.fault.is_none());
    assert!(handshake.result.unwrap_err().message().contains("does not answer in TLS"));
}

fn fault(config: &Config) -> Option<CertificateFault> {
    let probe = config.probe().unwrap();
    let handshake = probe.handshake(link(&probe), soon());
    assert!(handshake.result.is_err() && handshake.chain.len() == 1);
    handshake.fault
}

#[derive(Debug)]
struct Unset;

impl Clock for Unset {
    fn unix_ms(&self) -> i64 {
        0
    }
}

#[test]
fn the_time_of_a_server_that_is_not_verified_is_asked_for_with_nothing_else() {
    // Somebody whom the device does not trust, seen by a device whose clock is not set and which has a certificate.
    let tls = Tls { demands_certificate: false, ..Tls::V1_2 };
    let server = Scripted::start_with(tls, |_| {
        crate::scripted::Reply::Send(
            b"HTTP/1.1 404 No\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n".to_vec(),
        )
    });
    let mut config = server.config();
    config.ca_pem(iotda_http::fixtures::authority().as_bytes()).unwrap().clock(Arc::new(Unset));
    let (chain, key) = &server.client_identity;
    config.client_certificate(chain.as_bytes(), key.as_bytes()).unwrap();
    let probe = config.probe().unwrap();
    assert_eq!(probe.check_clock().unwrap_err().kind(), ErrorKind::Clock);
    assert_eq!(probe.unverified_time(link(&probe), soon()).unwrap(), Some(784_111_777_000));
    let [request] = &server.requests()[..] else { panic!("one request") };
    assert_eq!((request.target.as_str(), request.body.as_slice()), ("/", &b""[..]));
}

#[test]
fn every_address_is_tried_and_says_for_itself_what_became_of_it() {
    let platform = platform();
    let (closed, silent) = (closed_port(), swallowing_port());
    let probe = config(&platform).probe().unwrap();
    let addresses = [closed, silent.address, platform.address()];
    let reached = probe.connect(&addresses, Duration::from_millis(200));
    assert_eq!(reached.iter().map(|reached| reached.address).collect::<Vec<_>>(), addresses);
    let kinds: Vec<_> = reached.iter().map(|reached| reached.result.as_ref().map_err(std::io::Error::kind)).collect();
    let [Err(closed), Err(silent), Ok(_)] = kinds[..] else { panic!("{kinds:?}") };
    assert_eq!((closed, silent), (std::io::ErrorKind::ConnectionRefused, std::io::ErrorKind::TimedOut));
    assert!(probe.connect(&[platform.address()], Duration::ZERO)[0].result.is_err());
    assert!(probe.connect(&vec![closed_port(); 40], Duration::from_secs(20)).len() < 40);
}

#[test]
fn a_look_up_of_the_programs_own_is_asked_and_not_waited_for_longer_than_allowed() {
    let mut config = Config::new();
    config.endpoint("https://iot.example:8943").unwrap();
    let found: SocketAddr = "192.0.2.1:8943".parse().unwrap();
    let probe = config.probe().unwrap().with_lookup(move |host, port| {
        assert_eq!((host, port), ("iot.example", 8943));
        Ok(vec![found])
    });
    assert_eq!(probe.look_up(soon()).unwrap(), [found]);
    let probe = config.probe().unwrap().with_lookup(|_, _| Err(std::io::Error::other("SERVFAIL")));
    let error = probe.look_up(soon()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Dns);
    assert!(error.message().contains("SERVFAIL"), "{error}");
    let probe = config.probe().unwrap().with_lookup(|_, _| {
        thread::park();
        Ok(Vec::new())
    });
    assert_eq!(probe.look_up(Instant::now()).unwrap_err().kind(), ErrorKind::Timeout);
}

#[test]
fn a_proxy_is_what_is_connected_to() {
    let platform = platform();
    let (port, asked) = proxy("HTTP/1.1 200 Connection established\r\n\r\n");
    let mut config = config(&platform);
    config.proxy(&format!("http://user:hunter2@127.0.0.1:{port}")).unwrap();
    let probe = config.probe().unwrap();
    assert_eq!((probe.port(), probe.proxy()), (port, Some(format!("127.0.0.1:{port}"))));
    assert!(probe.handshake(link(&probe), soon()).result.is_ok());
    assert_eq!(asked.lock().unwrap().len(), 1);
    let (port, _) = proxy("HTTP/1.1 403 Forbidden\r\n\r\n");
    config.proxy(&format!("http://127.0.0.1:{port}")).unwrap();
    let probe = config.probe().unwrap();
    let mut link = reach(&probe).pop().unwrap().result.unwrap();
    assert!(probe.tunnel(&mut link, soon()).unwrap_err().message().contains("HTTP 403"));
}

#[test]
fn a_server_that_is_silent_ends_a_step_at_its_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = Config::new();
    config.endpoint(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
    let probe = config.probe().unwrap();
    let handshake = probe.handshake(link(&probe), Instant::now() + Duration::from_millis(20));
    assert_eq!(handshake.result.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(probe.unverified_time(link(&probe), Instant::now()).unwrap_err().kind(), ErrorKind::Timeout);
}

#[test]
fn a_token_is_checked_without_leaving_anything_on_the_platform() {
    let platform = platform();
    let client = Client::new(&config(&platform)).unwrap();
    let delivery = client.check_token(OPTIONS).unwrap();
    assert_eq!((delivery.http_status, delivery.attempts), (400, 1));
    assert!(platform.reports().is_empty());
    assert_eq!(authentications(&platform), 1);
    // A platform that takes it says as much.
    platform.inject(Fault::status(200).times(1)).unwrap();
    assert_eq!(client.check_token(OPTIONS).unwrap().http_status, 200);
    // A code that nobody has documented is the platform's all the same; a page is somebody else's.
    let answer = |answer: InjectedAnswer| platform.inject(Fault::answer(answer).times(1)).unwrap();
    answer(InjectedAnswer::status(400).code("IOTDA.099999"));
    assert_eq!(client.check_token(OPTIONS).unwrap().http_status, 400);
    answer(InjectedAnswer::status(400).body("<html>"));
    assert_eq!(client.check_token(OPTIONS).unwrap_err().kind(), ErrorKind::Protocol);
    // As through a proxy that drops the header.
    platform.inject(Fault::refusal("IOTDA.000004").on(iotda_platform::Route::Properties)).unwrap();
    assert_eq!(client.check_token(OPTIONS).unwrap_err().kind(), ErrorKind::TokenRejected);
    platform.clear_faults();
    platform.inject(Fault::refusal("IOTDA.021101").on(iotda_platform::Route::Properties)).unwrap();
    let client = Client::new(&config(&platform)).unwrap();
    assert_eq!(client.check_token(OPTIONS).unwrap_err().kind(), ErrorKind::RateLimited);
}
