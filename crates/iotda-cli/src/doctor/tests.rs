//! The doctor on set-ups that are broken, each in one way: the first ✗ is that, as the files `tests/golden/doctor_*.txt`
//! have it (`IOTDA_BLESS=1` writes them anew), and nobody who is not verified learns a secret.

mod case;
mod server;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use iotda_http::fixtures::{closed_port, swallowing_port};
use iotda_platform::{
    CertificateKind, Close, Device, Direction, Fault, HandshakeMessage, InjectedAnswer, OldTls, OldTlsReply, Platform,
    Registry, Route, Stall,
};

use super::*;
use crate::pin::Pin;
use case::Case;
use server::{Identity, Server, identity, identity_below};

const DEVICE: &str = "weather-01";
const SECRET: &str = "weather-secret-01";

const REPORT: &str = r#"{"services":[{"service_id":"weather","properties":{"Temperature":21.5}}]}"#;

/// What a portal's page looks like to a device.
const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 26\r\n\r\n<html>Please log in</html>";

/// The same with the time of a server that lives in 2030.
const PAGE_OF_2030: &str = "HTTP/1.1 404 Not Found\r\nDate: Tue, 01 Jan 2030 12:00:00 GMT\r\nContent-Length: 0\r\n\r\n";

/// 2030-01-02 and 2040-01-01, in milliseconds: after any release of this version.
const IN_2030: i64 = 1_893_542_400_000;
const IN_2040: i64 = 2_208_988_800_000;

#[derive(Debug)]
struct Stopped(i64);

impl Clock for Stopped {
    fn unix_ms(&self) -> i64 {
        self.0
    }
}

fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.add_device(Device::new(DEVICE).with_secret(SECRET)).unwrap();
    registry
}

fn platform() -> Platform {
    Platform::builder().registry(registry()).start().unwrap()
}

/// A server that is not verified has heard nothing of the device, and at most the one bare request.
fn learned_nothing(server: &Server) {
    let heard = server.heard();
    let request = format!("GET / HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", server.address);
    assert!(heard.is_empty() || heard == request, "{heard}");
}

#[test]
fn a_device_that_is_well() {
    let platform = platform();
    let case = Case::at("well", &platform);
    assert_eq!(case.compare("well").1, 0);
    assert_eq!((platform.counters().authentications, platform.reports().len()), (1, 0));
    // The other commands go on with the token that it leaves.
    let directory = case.directory.join(".cache/iotda");
    assert_eq!(fs::read_dir(directory).unwrap().count(), 1);
}

#[test]
fn a_device_that_must_not_authenticate() {
    let platform = platform();
    let mut case = Case::at("no_auth", &platform);
    case.no_auth = true;
    case.connection.device = None;
    case.connection.secret_file = None;
    assert_eq!(case.compare("no_auth").1, 0);
    assert_eq!(platform.counters().authentications, 0);
}

#[test]
fn a_report_that_is_asked_for() {
    let platform = platform();
    let mut case = Case::at("report", &platform);
    case.report = Some(REPORT.to_owned());
    assert_eq!(case.compare("report").1, 0);
    assert_eq!(platform.reports().len(), 1);
    platform.inject(Fault::refusal("IOTDA.000006").on(Route::Properties)).unwrap();
    case.finds("report_refused", "report", 8);
}

#[test]
fn endpoints_that_are_not_the_device_access() {
    for (name, endpoint) in [
        ("application_host", "https://a1b2.st1.iotda-app.cn-north-4.myhuaweicloud.com"),
        ("retired_host", "https://iot-acc.cn-north-4.myhuaweicloud.com"),
        ("mqtt_scheme", "mqtts://a1b2.st1.iotda-device.cn-north-4.myhuaweicloud.com:8883"),
        ("mqtt_port", "https://a1b2.st1.iotda-device.cn-north-4.myhuaweicloud.com:8883"),
        ("no_scheme", "a1b2.st1.iotda-device.cn-north-4.myhuaweicloud.com"),
    ] {
        Case::new(name, endpoint).finds(name, "settings", 3);
    }
    let mut case = Case::new("no_endpoint", "");
    case.connection.endpoint = None;
    case.finds("no_endpoint", "settings", 3);
}

#[test]
fn a_name_that_cannot_be_looked_up() {
    let endpoint = "https://a1b2.st1.iotda-device.cn-north-4.myhuaweicloud.com";
    let mut case = Case::new("no_dns", endpoint);
    // As Rust's library wraps what the system says.
    let failing = |why: &'static str| -> Option<Arc<Lookup>> {
        Some(Arc::new(move |_, _| Err(io::Error::other(format!("failed to lookup address information: {why}")))))
    };
    case.lookup = failing("Name or service not known");
    case.finds("no_dns", "dns", 4);
    let mut case = Case::new("no_name_server", endpoint);
    case.lookup = failing("Temporary failure in name resolution");
    case.finds("no_name_server", "dns", 4);
    // A name server that does not answer, as long as there is time.
    let mut case = Case::new("silent_dns", endpoint);
    case.timeout = Duration::from_millis(50);
    case.lookup = Some(Arc::new(|_, _| {
        std::thread::park();
        Ok(Vec::new())
    }));
    case.finds("silent_dns", "dns", 4);
    // A portal or a filter that answers every name with an address of its own, where nobody listens.
    let mut case = Case::new("private_address", endpoint);
    let closed = closed_port();
    case.lookup = Some(Arc::new(move |_, _| Ok(vec![closed])));
    case.finds("private_address", "tcp", 4);
}

#[test]
fn ports_that_are_closed_and_black_holes() {
    let closed = closed_port();
    Case::new("closed_port", &format!("https://{closed}")).finds("closed_port", "tcp", 4);
    // Packets are dropped: at the address, and then at one of two.
    let silent = swallowing_port();
    let endpoint = "https://a1b2.st1.iotda-device.cn-north-4.myhuaweicloud.com";
    let mut case = Case::new("black_hole", endpoint);
    case.address_timeout = Duration::from_millis(200);
    let address = silent.address;
    case.lookup = Some(Arc::new(move |_, _| Ok(vec![address])));
    case.finds("black_hole", "tcp", 4);
    let platform = platform();
    let mut case = Case::at("half_black_hole", &platform);
    case.connection.endpoint = Some(platform.url_for("some.invalid"));
    case.address_timeout = Duration::from_millis(200);
    let both = vec![address, platform.address()];
    case.lookup = Some(Arc::new(move |_, _| Ok(both.clone())));
    // The certificate is for another name than this.
    case.finds("half_black_hole", "tls", 5);
}

#[test]
fn authorities_that_are_not_the_servers() {
    let platform = platform();
    let other = self::platform();
    Case::at("wrong_ca", &platform).trusting(other.ca_pem()).finds("wrong_ca", "tls", 5);
    let mut case = Case::at("built_in_ca", &platform);
    case.connection.ca_file = None;
    case.finds("built_in_ca", "tls", 5);
    let mut trusted: Vec<(&str, Identity, Server)> = Vec::new();
    for (name, authority) in
        [("corporate_ca", Some("Corp Proxy CA")), ("intercepting_ca", Some("Zscaler Root CA")), ("self_signed", None)]
    {
        let identity = identity(authority, 2040);
        let server = Server::tls(&identity, PAGE);
        let own = self::identity(Some("GlobalSign Root R46"), 2040);
        Case::at_server(name, &server).trusting(&own.authority_pem).finds(name, "tls", 5);
        learned_nothing(&server);
        trusted.push((name, identity, server));
    }
    let below = identity_below("Corp Proxy CA", "Corp Branch 7");
    let server = Server::tls(&below, PAGE);
    Case::at_server("intermediate_ca", &server).trusting(&trusted[1].1.authority_pem).finds(
        "intermediate_ca",
        "tls",
        5,
    );
    learned_nothing(&server);
    let platforms_own = identity(Some("GlobalSign Root R46"), 2040);
    let server = Server::tls(&platforms_own, PAGE);
    Case::at_server("incomplete_ca", &server).trusting(&trusted[0].1.authority_pem).finds("incomplete_ca", "tls", 5);
    learned_nothing(&server);
    assert!(platform.requests().is_empty() && platform.counters().authentications == 0);
}

#[test]
fn keys_that_are_pinned() {
    let identity = identity_below("Root", "Middle");
    let server = Server::tls(&identity, PAGE);
    for (name, pins, exit) in [
        ("pinned", vec![identity.pin(0)], 0),
        ("pinned_issuer", vec![Pin::of(b"the next one"), identity.pin(1)], 0),
        ("unpinned", vec![Pin::of(b"another")], 5),
    ] {
        let heard = server.heard();
        let mut case = Case::at_server(name, &server).trusting(&identity.authority_pem);
        case.connection.pin = pins;
        case.no_auth = true;
        let (text, code) = case.compare(name);
        assert_eq!((code, text.contains('✗')), (exit, exit == 5), "{text}");
        assert_eq!(server.heard() == heard, exit == 5, "a verified server is asked for its time");
    }
    // A key that somebody else has put into the chain is in no verified path.
    let stranger = self::identity(Some("Root"), 2040);
    let mut case = Case::at_server("unpinned", &Server::tls(&stranger, PAGE)).trusting(&stranger.authority_pem);
    case.connection.pin = vec![identity.pin(0)];
    case.no_auth = true;
    case.finds("unpinned", "tls", 5);
}

#[test]
fn authorities_that_are_trusted_as_well() {
    let platform = platform();
    let other = identity(Some("Other"), 2040);
    let mut case = Case::at("added_ca", &platform).trusting(&other.authority_pem);
    case.connection.add_ca_file = Some(case.file("more.pem", platform.ca_pem().as_bytes(), 0o644));
    assert_eq!(case.compare("added_ca").1, 0);
    case.connection.add_ca_file = Some(case.file("more.pem", b"", 0o644));
    case.finds("added_ca_empty", "settings", 3);
}

#[test]
fn certificates_that_the_device_has_to_show() {
    let (identity, clients) = (identity(Some("Gateway CA"), 2040), identity(Some("Device CA"), 2040));
    let server = Server::tls_for(&clients, &identity, PAGE);
    let case = |name| {
        let mut case = Case::at_server(name, &server).trusting(&identity.authority_pem);
        case.no_auth = true;
        case
    };
    let mut shown = case("client_certificate");
    shown.connection.client_cert = Some(shown.file("client.pem", clients.own_pem.as_bytes(), 0o644));
    shown.connection.client_key = Some(shown.file("client.key", clients.key_pem.as_bytes(), 0o640));
    assert_eq!(shown.compare("client_certificate").1, 0);
    // One file may hold both.
    let both = format!("{}{}", clients.key_pem, clients.own_pem);
    shown.connection.client_cert = Some(shown.file("both.pem", both.as_bytes(), 0o600));
    shown.connection.client_key = None;
    assert_eq!(shown.compare("client_certificate_and_key").1, 0);
    case("no_client_certificate").finds("no_client_certificate", "tls", 5);
    let mut foreign = case("foreign_client_certificate");
    let both = format!("{}{}", identity.key_pem, identity.own_pem);
    foreign.connection.client_cert = Some(foreign.file("client.pem", both.as_bytes(), 0o600));
    foreign.finds("foreign_client_certificate", "tls", 5);
    let mut mixed = case("mixed_client_certificate");
    mixed.connection.client_cert = Some(mixed.file("client.pem", clients.own_pem.as_bytes(), 0o644));
    mixed.connection.client_key = Some(mixed.file("client.key", identity.key_pem.as_bytes(), 0o600));
    mixed.finds("mixed_client_certificate", "settings", 3);
    mixed.connection.client_key = Some(mixed.directory.join("nowhere"));
    mixed.finds("no_client_key", "settings", 3);
}

#[test]
fn certificates_for_others_and_of_other_times() {
    let wrong_name = Platform::builder().registry(registry()).certificate(CertificateKind::WrongName).start().unwrap();
    Case::at("wrong_name", &wrong_name).finds("wrong_name", "tls", 5);
    let expired = Platform::builder().registry(registry()).certificate(CertificateKind::Expired).start().unwrap();
    let mut case = Case::at("expired", &expired);
    case.clock = Arc::new(Stopped(IN_2030));
    case.finds("expired", "tls", 5);
    for platform in [&wrong_name, &expired] {
        assert!(platform.requests().iter().all(|request| request.method == "GET" && request.body.is_empty()));
    }
}

#[test]
fn a_clock_that_is_wrong() {
    // Of 1970: nothing can be verified, and the server's time is a hint.
    let identity = identity(Some("CA"), 2035);
    let server = Server::tls(&identity, PAGE_OF_2030);
    let mut case = Case::at_server("clock_1970", &server).trusting(&identity.authority_pem);
    case.clock = Arc::new(Stopped(1_000));
    case.finds("clock_1970", "clock", 5);
    learned_nothing(&server);
    assert!(!server.heard().is_empty());
    // Years ahead: the certificate looks expired, and is not.
    let server = Server::tls(&identity, PAGE_OF_2030);
    let mut case = Case::at_server("clock_ahead", &server).trusting(&identity.authority_pem);
    case.clock = Arc::new(Stopped(IN_2040));
    case.finds("clock_ahead", "clock", 5);
    learned_nothing(&server);
    // Two hours behind: everything works, and event times are wrong.
    let platform = platform();
    let mut case = Case::at("clock_behind", &platform);
    case.clock = Arc::new(Stopped(platform.now_ms() - 7_300_000));
    assert_eq!(case.compare("clock_behind").1, 0);
    // Unless the platform is asked to compare.
    case.connection.sign_type = Some(1);
    case.finds("clock_behind_compared", "auth", 6);
}

#[test]
fn servers_that_do_not_speak_tls_or_stop_in_the_middle() {
    let plain = Server::plain(PAGE);
    Case::at_server("plain_http", &plain).finds("plain_http", "tls", 5);
    assert!(!plain.heard().contains(SECRET) && !plain.heard().contains(DEVICE));
    let platform = platform();
    platform.inject(Fault::handshake_stall(HandshakeMessage::ClientHello, Stall::ForEver)).unwrap();
    let mut case = Case::at("stalled", &platform);
    case.handshake_timeout = Duration::from_millis(100);
    case.finds("stalled", "tls", 4);
    for (name, fault, exit) in [
        ("old_tls", Fault::old_tls(OldTls::Tls10, OldTlsReply::Alert), 5),
        ("reset", Fault::wire_cut(Direction::Received, 20, Close::Reset), 4),
    ] {
        platform.clear_faults();
        platform.inject(fault).unwrap();
        Case::at(name, &platform).finds(name, "tls", exit);
    }
    // One that speaks TLS, but not HTTP.
    platform.clear_faults();
    platform.inject(Fault::garbage("\x20\x02\x00\x01")).unwrap();
    Case::at("other_service", &platform).finds("other_service", "auth", 9);
}

#[test]
fn authority_files_that_are_none() {
    let identity = identity(Some("Root"), 2040);
    let server = Server::tls(&identity, PAGE);
    for (name, content) in
        [("ca_der", &identity.authority_der[..]), ("ca_jks", b"\xfe\xed\xfe\xed\0\0\0\x02"), ("ca_empty", b"")]
    {
        let mut case = Case::at_server(name, &server);
        case.connection.ca_file = Some(case.file("ca.pem", content, 0o644));
        case.finds(name, "settings", 3);
    }
    let mut case = Case::at_server("ca_missing", &server);
    case.connection.ca_file = Some(case.directory.join("ca.pem"));
    case.finds("ca_missing", "settings", 3);
    assert_eq!(server.heard(), "");
}

#[test]
fn secrets_that_are_none() {
    let platform = platform();
    let computed = "0123456789abcdef".repeat(4);
    Case::at("hex_secret", &platform).with_secret(&computed).finds("hex_secret", "auth", 6);
    Case::at("padded_secret", &platform).with_secret(&format!("{SECRET} ")).finds("padded_secret", "auth", 6);
    Case::at("wrong_secret", &platform).with_secret("weather-secret-02").finds("wrong_secret", "auth", 6);
    let mut case = Case::at("no_secret", &platform);
    case.connection.secret_file = Some(case.directory.join("nowhere"));
    case.finds("no_secret", "settings", 3);
    let mut case = Case::at("unreadable_secret", &platform);
    case.connection.secret_file = Some(case.directory.clone());
    case.finds("unreadable_secret", "settings", 3);
    let mut case = Case::at("wrong_device", &platform);
    case.connection.device = Some("weather-02".to_owned());
    case.finds("wrong_device", "auth", 6);
    let mut case = Case::at("malformed_device", &platform);
    case.connection.device = Some("weather 02".to_owned());
    case.finds("malformed_device", "settings", 3);
}

#[test]
fn files_that_others_can_read_or_change() {
    let platform = platform();
    let case = Case::at("readable_secret", &platform);
    case.file("secret", SECRET.as_bytes(), 0o644);
    assert_eq!(case.compare("readable_secret").1, 0);
    // A profile that others can change, with a proxy's password that they can read.
    let proxy = Server::proxy("HTTP/1.1 200 OK\r\n\r\n");
    let mut case = Case::at("open_profile", &platform);
    let profile = format!(
        "[profile.default]\nendpoint = '{}'\nproxy = 'http://user:hunter2@127.0.0.1:{}'\n",
        platform.url(),
        proxy.address.port()
    );
    case.file(".config/iotda/config.toml", profile.as_bytes(), 0o666);
    case.connection.endpoint = None;
    let (text, code) = case.compare("open_profile");
    assert!(code == 0 && !text.contains("hunter2"), "{text}");
    assert!(proxy.heard().starts_with(&format!("CONNECT {}", platform.address())));
    // A home where nothing can be kept, the token among it.
    let case = Case::at("read_only_home", &platform);
    case.file(".cache", b"", 0o400);
    assert_eq!(case.compare("read_only_home").1, 0);
    let mut case = Case::new("broken_profile", "");
    case.file(".config/iotda/config.toml", b"[profile.default]\nendpoit = 'x'\n", 0o600);
    case.connection.endpoint = None;
    case.finds("broken_profile", "settings", 3);
}

#[test]
fn proxies_that_pass_nothing_on() {
    let platform = platform();
    for (name, answer, exit) in [
        ("proxy_forbids", "HTTP/1.1 403 Forbidden\r\n\r\n", 4),
        ("proxy_login", "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", 3),
        ("proxy_none", "SSH-2.0-OpenSSH_9.2\r\n", 9),
    ] {
        let proxy = Server::proxy(answer);
        let mut case = Case::at(name, &platform);
        case.connection.proxy = Some(format!("http://127.0.0.1:{}", proxy.address.port()));
        case.finds(name, "proxy", exit);
        assert!(!proxy.heard().contains(SECRET) && !proxy.heard().contains(DEVICE));
    }
    let mut case = Case::at("proxy_gone", &platform);
    case.connection.proxy = Some(format!("http://{}", closed_port()));
    case.finds("proxy_gone", "tcp", 4);
}

#[test]
fn what_stands_between_a_verified_server_and_the_platform() {
    let platform = platform();
    // A proxy that ends TLS with a certificate of its owner's, and drops headers with an underscore.
    let identity = identity(Some("Gateway CA"), 2040);
    let proxy = Server::without_underscores(&identity, &platform);
    let case = Case::at_server("dropped_header", &proxy).trusting(&identity.authority_pem);
    case.finds("dropped_header", "token", 6);
    assert!(platform.reports().is_empty());
    let portal = Server::tls(&identity, PAGE);
    let case = Case::at_server("portal", &portal).trusting(&identity.authority_pem);
    case.finds("portal", "auth", 9);
}

#[test]
fn what_the_platform_says() {
    let platform = platform();
    let limit = |code: &str, route| {
        platform.clear_faults();
        platform.inject(Fault::refusal(code).on(route)).unwrap();
    };
    limit("IOTDA.021101", Route::Properties);
    Case::at("device_rate", &platform).finds("device_rate", "token", 7);
    limit("IOTDA.021102", Route::Auth);
    Case::at("tenant_rate", &platform).finds("tenant_rate", "auth", 7);
    platform.clear_faults();
    platform.inject(Fault::answer(InjectedAnswer::status(503)).on(Route::Auth)).unwrap();
    Case::at("unavailable", &platform).finds("unavailable", "auth", 9);
    platform.clear_faults();
    platform.inject(Fault::answer(InjectedAnswer::status(500)).on(Route::Properties)).unwrap();
    assert_eq!(Case::at("not_judged", &platform).compare("not_judged").1, 0);
}

#[test]
fn a_second_address_serves_where_the_first_is_another_machine() {
    let stranger = identity(Some("Stranger"), 2040);
    let server = Server::tls(&stranger, PAGE);
    let platform = Platform::builder().registry(registry()).server_name("some.invalid").start().unwrap();
    let mut case = Case::at("second_address", &platform);
    case.connection.endpoint = Some(platform.url_for("some.invalid"));
    let addresses: Vec<SocketAddr> = vec![server.address, platform.address()];
    case.lookup = Some(Arc::new(move |_, _| Ok(addresses.clone())));
    case.no_auth = true;
    assert_eq!(case.compare("second_address").1, 0);
    learned_nothing(&server);
}

#[test]
fn the_page_shows_what_the_doctor_says() {
    // The set-up of its beginning is a profile's.
    let platform = platform();
    let mut case = Case::at("page", &platform);
    let profile = format!(
        "[profile.field]\nendpoint = '{}'\ndevice = '{DEVICE}'\nsecret_file = '{}'\nca_file = '{}'\n",
        platform.url(),
        case.directory.join("secret").display(),
        case.directory.join("ca.pem").display()
    );
    case.file(".config/iotda/config.toml", profile.as_bytes(), 0o600);
    case.connection = Connection { profile: Some("field".to_owned()), ..Connection::default() };
    case.report = Some(REPORT.to_owned());
    assert_eq!(case.compare("page").1, 0);

    let crate_directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(crate_directory.join("doctor.md")).unwrap();
    let blocks = page.split("<!-- ").skip(1).map(|part| part.split_once(" -->\n```text\n").unwrap());
    let mut count = 0;
    for (file, rest) in blocks {
        let golden = fs::read_to_string(crate_directory.join(file)).unwrap();
        let (lines, _exit) = golden.rsplit_once("exit ").unwrap();
        let lines = if file.ends_with("_page.txt") { format!("{lines}{WELL}\n") } else { lines.to_owned() };
        assert_eq!(rest.split_once("```").unwrap().0, lines, "{file}");
        count += 1;
    }
    assert_eq!(count, 6);
}
