//! Servers that are not the platform: what a device meets on the way. They record what they hear.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use iotda_platform::Platform;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::doctor::certificate::Summary;
use crate::pin::Pin;

/// An authority and a certificate of it for the loopback.
pub struct Identity {
    pub authority_pem: String,
    pub authority_der: Vec<u8>,
    /// The certificate and its key, as PEM.
    pub own_pem: String,
    pub key_pem: String,
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

/// By an authority of this name, or by itself; valid until the end of a year.
pub fn identity(authority: Option<&str>, until: i32) -> Identity {
    let (root, root_key) = self::authority(authority.unwrap_or(LEAF));
    let (leaf, key) = leaf(until);
    let certificate = match authority {
        Some(_) => leaf.signed_by(&key, &Issuer::from_params(&root, &root_key)).unwrap(),
        None => leaf.self_signed(&key).unwrap(),
    };
    Identity::new(&root.self_signed(&root_key).unwrap(), &[&certificate], &key)
}

/// By an intermediate, which is sent along, of an authority, which is not.
pub fn identity_below(root: &str, intermediate: &str) -> Identity {
    let (root, root_key) = authority(root);
    let (middle, middle_key) = authority(intermediate);
    let (leaf, key) = leaf(2040);
    let leaf = leaf.signed_by(&key, &Issuer::from_params(&middle, &middle_key)).unwrap();
    let middle = middle.signed_by(&middle_key, &Issuer::from_params(&root, &root_key)).unwrap();
    Identity::new(&root.self_signed(&root_key).unwrap(), &[&leaf, &middle], &key)
}

impl Identity {
    fn new(authority: &Certificate, chain: &[&Certificate], key: &KeyPair) -> Self {
        Identity {
            authority_pem: authority.pem(),
            authority_der: authority.der().to_vec(),
            own_pem: chain[0].pem(),
            key_pem: key.serialize_pem(),
            chain: chain.iter().map(|certificate| certificate.der().clone()).collect(),
            key: key.serialize_der(),
        }
    }

    /// The pin of the key of the certificate at this place of the chain.
    pub fn pin(&self, at: usize) -> Pin {
        Summary::of(&self.chain[at]).unwrap().pin
    }
}

/// The name of the server's own certificate.
const LEAF: &str = "device.example";

fn leaf(until: i32) -> (CertificateParams, KeyPair) {
    let mut leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    leaf.distinguished_name = named(LEAF);
    leaf.not_before = date_time_ymd(2020, 1, 1);
    leaf.not_after = date_time_ymd(until, 12, 31);
    (leaf, KeyPair::generate().unwrap())
}

fn authority(name: &str) -> (CertificateParams, KeyPair) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.distinguished_name = named(name);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (authority, KeyPair::generate().unwrap())
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// A server on the loopback. Its thread ends with the test's process.
pub struct Server {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Server {
    /// Hands each connection to `serve`, with a place for what is heard on it.
    fn start(serve: impl Fn(TcpStream, &Mutex<Vec<u8>>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (serve, hearing) = (Arc::new(serve), Arc::clone(&heard));
        thread::spawn(move || {
            for socket in listener.incoming() {
                let (serve, hearing) = (Arc::clone(&serve), Arc::clone(&hearing));
                thread::spawn(move || serve(socket.unwrap(), &hearing));
            }
        });
        Server { address, heard }
    }

    /// Speaks TLS, and answers each request with `answer`.
    pub fn tls(identity: &Identity, answer: &'static str) -> Self {
        Self::tls_with(server_config(identity, None), answer)
    }

    /// The same to clients alone that show a certificate of this authority.
    pub fn tls_for(clients: &Identity, identity: &Identity, answer: &'static str) -> Self {
        Self::tls_with(server_config(identity, Some(clients)), answer)
    }

    fn tls_with(config: Arc<ServerConfig>, answer: &'static str) -> Self {
        Self::start(move |socket, heard| {
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), socket);
            while read_request(&mut stream, heard).is_some() {
                if stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()).is_err() {
                    return;
                }
            }
        })
    }

    /// Answers whatever comes with `answer`, and closes.
    pub fn plain(answer: &'static str) -> Self {
        Self::start(move |mut socket, heard| {
            let mut buffer = [0; 4096];
            let amount = socket.read(&mut buffer).unwrap_or(0);
            heard.lock().unwrap().extend_from_slice(&buffer[..amount]);
            let _ = socket.write_all(answer.as_bytes());
        })
    }

    /// A proxy that answers CONNECT with `answer`, and passes bytes on if that is a success.
    pub fn proxy(answer: &'static str) -> Self {
        Self::start(move |mut client, heard| {
            let Some(head) = read_head(&mut client, heard) else { return };
            let authority = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let _ = client.write_all(answer.as_bytes());
            if !answer.contains(" 200") {
                return;
            }
            let server = TcpStream::connect(authority).unwrap();
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        })
    }

    /// Passes requests on to the platform, without the headers that have an underscore in their name.
    pub fn without_underscores(identity: &Identity, platform: &Platform) -> Self {
        let config = server_config(identity, None);
        let upstream = client_config(platform);
        let address = platform.address();
        Self::start(move |socket, heard| {
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), socket);
            let Some((head, body)) = read_request(&mut stream, heard) else { return };
            let kept = |line: &&str| !line.split(':').next().is_some_and(|name| name.contains('_'));
            let mut lines: Vec<&str> = head.trim_end().split("\r\n").filter(kept).collect();
            lines.push("connection: close");
            let name = ServerName::try_from("localhost").unwrap();
            let connection = ClientConnection::new(Arc::clone(&upstream), name).unwrap();
            let mut server = StreamOwned::new(connection, TcpStream::connect(address).unwrap());
            server.write_all(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes()).unwrap();
            server.write_all(&body).unwrap();
            let mut answer = Vec::new();
            server.read_to_end(&mut answer).unwrap();
            stream.write_all(&answer).unwrap();
            stream.conn.send_close_notify();
            let _ = stream.flush();
        })
    }

    /// Everything that it has heard, decrypted where it speaks TLS.
    pub fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }
}

fn server_config(identity: &Identity, clients: Option<&Identity>) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.clone()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from(clients.authority_der.clone())).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    Arc::new(builder.with_single_cert(identity.chain.clone(), key).unwrap())
}

fn client_config(platform: &Platform) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(platform.ca_pem().as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Head and body of the next request; `None` at the end of the connection, or if TLS fails.
fn read_request(stream: &mut impl Read, heard: &Mutex<Vec<u8>>) -> Option<(String, Vec<u8>)> {
    let head = read_head(stream, heard)?;
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    heard.lock().unwrap().extend_from_slice(&body);
    Some((head, body))
}

fn read_head(stream: &mut impl Read, heard: &Mutex<Vec<u8>>) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
        heard.lock().unwrap().push(byte[0]);
    }
    String::from_utf8(head).ok()
}
