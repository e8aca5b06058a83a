//! A TLS server that answers as a test says: what no correct platform would send.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Barrier, Mutex};
use std::thread::{self, JoinHandle};

use iotda::{Client, Config};
use rcgen::PublicKeyData;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What was asked.
#[derive(Clone, Debug)]
pub struct Request {
    pub target: String,
    pub body: Vec<u8>,
    /// Counts the requests of all connections, from 0.
    pub number: usize,
}

/// What to do about it.
pub enum Reply {
    /// Send these bytes and go on.
    Send(Vec<u8>),
    /// Send these bytes and close the connection.
    SendAndClose(Vec<u8>),
    /// Send these one after the other, and say so when all of them have been sent.
    SendInParts(Vec<Vec<u8>>, Sender<()>),
    /// Send the first bytes by TLS and, once the test is at the barrier, the second ones as they are; then say so.
    SendWithTail(Vec<u8>, Vec<u8>, Arc<Barrier>, Sender<()>),
}

/// The server, until it is dropped.
pub struct Scripted {
    address: SocketAddr,
    ca_pem: String,
    /// Of the server's own public key.
    pub key_sha256: [u8; 32],
    /// Certificate and key, as PEM, that the server accepts where it demands one.
    pub client_identity: (String, String),
    seen: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

/// A usual answer.
pub fn answer(status: u16, body: &str) -> Reply {
    let text = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    Reply::Send(text.into_bytes())
}

/// The answer to an authentication.
pub fn token() -> Reply {
    answer(200, &format!(r#"{{"access_token":"{}","expires_in":86399}}"#, "t".repeat(32)))
}

/// Answers authentications, and everything else with `reply`.
pub fn authenticated(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Scripted {
    Scripted::start(move |request| match request.target.as_str() {
        "/v5/device-auth" => token(),
        _ => reply(request),
    })
}

/// The TLS side of a server.
#[derive(Clone, Copy)]
pub struct Tls {
    pub version: &'static rustls::SupportedProtocolVersion,
    /// Whether clients must show a certificate of the server's own authority, [`Scripted::client_identity`].
    pub demands_certificate: bool,
}

impl Tls {
    pub const V1_2: Tls = Tls { version: &rustls::version::TLS12, demands_certificate: false };
}

impl Scripted {
    pub fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(Tls::V1_2, script)
    }

    pub fn start_with(tls: Tls, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").unwrap(), tls, script)
    }

    pub fn start_on(
        listener: TcpListener,
        tls: Tls,
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters =
            rcgen::CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::DigitalSignature];
        let authority = rcgen::Issuer::new(parameters.clone(), &key);
        let client_key = rcgen::KeyPair::generate().unwrap();
        let client_parameters = rcgen::CertificateParams::new(vec!["device".to_owned()]).unwrap();
        let client_certificate = client_parameters.signed_by(&client_key, &authority).unwrap();
        let server_key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let server_certificate =
            rcgen::CertificateParams::new(names).unwrap().signed_by(&server_key, &authority).unwrap();
        let certificate = parameters.self_signed(&key).unwrap();

        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[tls.version]).unwrap();
        let builder = if tls.demands_certificate {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(certificate.der().clone()).unwrap();
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let tls = builder.with_single_cert(vec![server_certificate.der().clone()], private).unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = Scripted {
            address,
            ca_pem: certificate.pem(),
            key_sha256: sha256(&server_key.subject_public_key_info()),
            client_identity: (client_certificate.pem(), client_key.serialize_pem()),
            seen: Arc::default(),
            connections: Arc::default(),
            stop: Arc::default(),
            accepting: None,
        };
        let (seen, connections, stop) = (server.seen.clone(), server.connections.clone(), server.stop.clone());
        let (tls, script) = (Arc::new(tls), Arc::new(script));
        server.accepting = Some(thread::spawn(move || {
            for socket in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                connections.fetch_add(1, Ordering::SeqCst);
                let socket = socket.unwrap();
                // What is written is sent, and on loopback has then arrived.
                socket.set_nodelay(true).unwrap();
                let stream = StreamOwned::new(ServerConnection::new(Arc::clone(&tls)).unwrap(), socket);
                let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
                // Ends when the client closes its side.
                thread::spawn(move || serve(stream, &seen, &*script));
            }
        }));
        server
    }

    pub fn config(&self) -> Config {
        let mut config = Config::new();
        config.endpoint(&format!("https://{}", self.address)).unwrap();
        config.device("device", b"secret").unwrap();
        crate::by_ureq::trust(&mut config, &self.ca_pem);
        config.retry(crate::device::NEVER).unwrap();
        config
    }

    pub fn client(&self) -> Client {
        Client::new(&self.config()).unwrap()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// The targets that were asked for, without what the device's paths have in common.
    pub fn targets(&self) -> Vec<String> {
        let prefix = "/v5/devices/device/sys/";
        self.requests().iter().map(|request| request.target.trim_start_matches(prefix).to_owned()).collect()
    }

    /// Counts the connections while the server runs.
    pub fn connection_count(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.connections)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
        let _ = self.accepting.take().map(JoinHandle::join);
    }
}

fn serve(
    mut stream: StreamOwned<ServerConnection, TcpStream>,
    seen: &Mutex<Vec<Request>>,
    script: &dyn Fn(&Request) -> Reply,
) {
    while let Some((target, body)) = read_request(&mut stream) {
        let request = {
            let mut seen = seen.lock().unwrap();
            let request = Request { target, body, number: seen.len() };
            seen.push(request.clone());
            request
        };
        let (bytes, close) = match script(&request) {
            Reply::Send(bytes) => (bytes, false),
            Reply::SendAndClose(bytes) => (bytes, true),
            Reply::SendWithTail(bytes, tail, answered, sent) => {
                let written = stream.write_all(&bytes).and_then(|()| stream.flush());
                answered.wait();
                if written.and_then(|()| stream.sock.write_all(&tail)).is_err() {
                    return;
                }
                let _ = sent.send(());
                continue;
            }
            Reply::SendInParts(parts, sent) => {
                for part in parts {
                    if stream.write_all(&part).and_then(|()| stream.flush()).is_err() {
                        return;
                    }
                }
                let _ = sent.send(());
                continue;
            }
        };
        if stream.write_all(&bytes).and_then(|()| stream.flush()).is_err() || close {
            return;
        }
    }
}

fn sha256(data: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(data).into()
}

/// Target and body of the next request; `None` at the end of the connection.
fn read_request(stream: &mut impl Read) -> Option<(String, Vec<u8>)> {
    let mut header = Vec::new();
    while !header.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        header.push(byte[0]);
    }
    let header = String::from_utf8(header).ok()?;
    let length =
        header.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let length = length.or_else(|| header.starts_with("GET ").then_some(0))?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((header.split(' ').nth(1)?.to_owned(), body))
}
