//! A device that sends exactly the bytes it is given: the tests need requests that no proper client would make.

use iotda_platform::{Platform, Registry};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, SupportedProtocolVersion};
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The password that the secret `secret` makes at [`TIMESTAMP`]: a vector of the protocol notes.
pub const PASSWORD: &str = "2ae5449ce83be6d2738177a27a5558cf1e624f6fd79574a0b8603b959d8b5860";
pub const TIMESTAMP: &str = "2019120219";
/// A time within the hour of [`TIMESTAMP`]: 2019-12-02 19:30:00.250 UTC.
pub const NOW_MS: u64 = 1_575_315_000_250;

/// Two plain devices, a gateway with children, and one whose model has a single property. All secrets are `secret`.
const REGISTRY: &str = r#"
[[product]]
id = "weather"
[[product.service]]
id = "wind"
properties = { Speed = "decimal" }

[[device]]
id = "device"
secret = "secret"

[[device]]
id = "another"
secret = "secret"

[[device]]
id = "station"
secret = "secret"
product = "weather"

[[gateway]]
id = "gateway"
secret = "secret"
children = ["child_1", "child_2"]
"#;

pub fn registry() -> Registry {
    Registry::from_toml(REGISTRY).expect("a good registry")
}

pub fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(NOW_MS)
}

/// A platform whose clock stands at [`NOW_MS`].
pub fn platform() -> Platform {
    Platform::builder().registry(registry()).clock_stopped_at(now()).start().expect("a platform")
}

#[derive(Debug)]
pub struct Response {
    pub version: String,
    pub status: u16,
    pub reason: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The bytes before its body, if its names were in lower case.
    pub fn head(&self) -> String {
        let fields: Vec<_> = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("{} {} {}\r\n{}\r\n", self.version, self.status, self.reason, fields.concat())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// Status and error code; no code where there is no body.
    pub fn outcome(&self) -> (u16, String) {
        let code = if self.body.is_empty() { Value::Null } else { self.json()["error_code"].clone() };
        (self.status, code.as_str().unwrap_or_default().to_owned())
    }
}

pub fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

pub fn accepted() -> (u16, String) {
    (200, String::new())
}

/// TLS that trusts the platform's authority and nobody else.
pub fn tls(platform: &Platform, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    tls_trusting(platform.ca_pem(), versions)
}

fn tls_trusting(ca_pem: &str, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    tls_of(ca_pem, rustls::crypto::ring::default_provider(), versions)
}

/// TLS that trusts this authority, with these algorithms.
pub fn tls_of(ca_pem: &str, provider: CryptoProvider, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).expect("a certificate in PEM");
    roots.add(ca).expect("a certificate authority");
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .expect("versions that the provider has")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

pub struct Connection {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

/// How the platform has ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a close_notify.
    Notified,
    /// Without.
    Truncated,
    Reset,
    /// Not at all: it is silent.
    Silent,
}

impl End {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => End::Truncated,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => End::Reset,
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => End::Silent,
            _ => panic!("{error}"),
        }
    }
}

/// Reads until the platform ends the connection, or says nothing more for a while.
pub fn read_to_end(stream: &mut impl Read) -> (Vec<u8>, End) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (bytes, End::Notified),
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
            Err(error) => return (bytes, End::of(&error)),
        }
    }
}

/// How long the platform must have been silent for a test to believe that it will stay so.
pub const SILENCE: Duration = Duration::from_millis(30);
/// No test waits this long: it ends one that would wait for ever.
const PATIENCE: Duration = Duration::from_secs(60);

impl Connection {
    pub fn open(platform: &Platform) -> Self {
        let config = Arc::new(tls(platform, &[&rustls::version::TLS12]));
        Self::open_with(platform, config, "localhost").expect("a connection")
    }

    /// Connects, and checks the certificate for this name.
    pub fn open_with(platform: &Platform, config: Arc<ClientConfig>, name: &'static str) -> io::Result<Self> {
        Self::open_over(TcpStream::connect(platform.address())?, config, name)
    }

    /// Connects to a platform that another program is.
    pub fn open_at(address: &str, ca_pem: &str) -> Self {
        let config = tls_trusting(ca_pem, &[&rustls::version::TLS12]);
        Self::open_at_with(address, config, "localhost")
    }

    /// The same, and checks the certificate for this name.
    pub fn open_at_with(address: &str, config: ClientConfig, name: &'static str) -> Self {
        let tcp = TcpStream::connect(address).expect("a connection");
        Self::open_over(tcp, Arc::new(config), name).expect("a handshake")
    }

    fn open_over(mut tcp: TcpStream, config: Arc<ClientConfig>, name: &'static str) -> io::Result<Self> {
        tcp.set_read_timeout(Some(PATIENCE))?;
        // What is written is to be there at once, as the tests write it.
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(name).expect("a name");
        let mut tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp)?;
        }
        Ok(Self { stream: BufReader::new(StreamOwned::new(tls, tcp)) })
    }

    pub fn handshake_kind(&self) -> Option<HandshakeKind> {
        self.stream.get_ref().conn.handshake_kind()
    }

    pub fn certificate_chain_length(&self) -> usize {
        self.stream.get_ref().conn.peer_certificates().map_or(0, <[_]>::len)
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes)?;
        stream.flush()
    }

    /// Ends the sending side without a word, as a device does that loses its power.
    pub fn break_off(self) {
        drop(self);
    }

    pub fn read(&mut self) -> io::Result<Response> {
        let mut line = || {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            match line.strip_suffix("\r\n") {
                Some(line) => Ok(line.to_owned()),
                None => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            }
        };
        let status_line = line()?;
        let mut headers = Vec::new();
        loop {
            let line = line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").expect("a header field");
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut words = status_line.splitn(3, ' ');
        let version = words.next().expect("a version").to_owned();
        let status = words.next().expect("a status").parse().expect("a number");
        let reason = words.next().expect("a reason").to_owned();
        let mut response = Response { version, status, reason, headers, body: String::new() };
        if let Some(length) = response.header("content-length") {
            let mut body = vec![0; length.parse().expect("a length")];
            self.stream.read_exact(&mut body)?;
            response.body = String::from_utf8(body).expect("an answer in UTF-8");
        }
        Ok(response)
    }

    /// Whether the platform has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset),
        }
    }

    /// Everything up to the end of the connection, and how it ends.
    pub fn rest(&mut self) -> (String, End) {
        let (bytes, end) = read_to_end(&mut self.stream);
        (String::from_utf8(bytes).expect("text"), end)
    }

    /// Nothing more comes, not even the connection's end.
    pub fn expect_silence(&mut self) {
        self.tcp().set_read_timeout(Some(SILENCE)).expect("a socket");
        assert_eq!(self.rest(), (String::new(), End::Silent));
        self.tcp().set_read_timeout(Some(PATIENCE)).expect("a socket");
    }

    /// Reads this text, and fails if it is another.
    pub fn expect(&mut self, text: &str) {
        let mut bytes = vec![0; text.len()];
        self.stream.read_exact(&mut bytes).unwrap_or_else(|error| panic!("{error} instead of {text:?}"));
        assert_eq!(String::from_utf8_lossy(&bytes), text);
    }

    /// What comes next, as much as TLS hands out at once; nothing at the end.
    pub fn read_once(&mut self) -> Vec<u8> {
        let mut buffer = vec![0; 16_384];
        let length = self.stream.get_mut().read(&mut buffer).expect("something is read");
        buffer.truncate(length);
        buffer
    }

    /// What is in the next TLS record.
    pub fn read_record(&mut self) -> Vec<u8> {
        let stream = self.stream.get_mut();
        let mut header = [0; 5];
        stream.sock.read_exact(&mut header).expect("a record");
        let mut record = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
        stream.sock.read_exact(&mut record).expect("a record");
        stream.conn.read_tls(&mut [&header[..], &record].concat().as_slice()).expect("it is taken");
        let state = stream.conn.process_new_packets().expect("it is TLS");
        let mut bytes = vec![0; state.plaintext_bytes_to_read()];
        stream.conn.reader().read_exact(&mut bytes).expect("it is there");
        bytes
    }

    pub fn tcp(&self) -> &TcpStream {
        &self.stream.get_ref().sock
    }

    pub fn exchange(&mut self, request: &[u8]) -> Response {
        self.write(request).expect("a request is written");
        self.read().expect("an answer is read")
    }

    /// A POST as the page's examples have it.
    pub fn post(&mut self, path: &str, token: Option<&str>, body: &[u8]) -> Response {
        self.exchange(&post(path, token, body))
    }

    pub fn authenticate(&mut self, device_id: &str) -> Response {
        self.post("/v5/device-auth", None, credentials(device_id).to_string().as_bytes())
    }

    pub fn token(&mut self, device_id: &str) -> String {
        let response = self.authenticate(device_id);
        assert_eq!(response.status, 200, "{response:?}");
        response.json()["access_token"].as_str().expect("a token").to_owned()
    }

    pub fn message(&mut self, device_id: &str, token: &str, body: &[u8]) -> Response {
        self.post(&format!("/v5/devices/{device_id}/sys/messages/up"), Some(token), body)
    }

    pub fn properties(&mut self, device_id: &str, token: &str, body: &str) -> Response {
        self.post(&format!("/v5/devices/{device_id}/sys/properties/report"), Some(token), body.as_bytes())
    }

    pub fn batch(&mut self, gateway_id: &str, token: &str, body: &str) -> Response {
        let path = format!("/v5/devices/{gateway_id}/sys/gateway/sub-devices/properties/report");
        self.post(&path, Some(token), body.as_bytes())
    }
}

/// The bytes of a POST as the page's examples have it.
pub fn post(path: &str, token: Option<&str>, body: &[u8]) -> Vec<u8> {
    let token = token.map_or(String::new(), |token| format!("access_token: {token}\r\n"));
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{token}\
         Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// The bytes of a message of `device`.
pub fn message(token: &str, body: &[u8]) -> Vec<u8> {
    post("/v5/devices/device/sys/messages/up", Some(token), body)
}

pub fn credentials(device_id: &str) -> Value {
    json!({ "device_id": device_id, "sign_type": 0, "timestamp": TIMESTAMP, "password": PASSWORD })
}
