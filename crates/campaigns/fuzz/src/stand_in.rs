//! Both HTTP fronts of the stand-in platform: whatever comes, each answer is one by the grammar, the connection ends once
//! the client's side has, and the platform goes on serving.

use crate::choices::Choices;
use crate::rfc9112::{self, Reading};
use iotda_platform::{Device, Platform, Registry};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What serves all inputs.
struct Served {
    platform: Platform,
    tls: Arc<ClientConfig>,
}

/// After so long without a byte, the front hangs: much longer than any of its own timeouts should take here.
const PATIENCE: Duration = Duration::from_secs(60);

fn served() -> &'static Served {
    static SERVED: OnceLock<Served> = OnceLock::new();
    SERVED.get_or_init(|| {
        let mut registry = Registry::new();
        registry.add_device(Device::new("d").with_secret("s").with_any_child()).expect("a device");
        let platform = Platform::builder().registry(registry).max_records(10).start().expect("a platform");
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(platform.ca_pem().as_bytes()).expect("PEM");
        roots.add(authority).expect("a certificate");
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Served { platform, tls: Arc::new(tls) }
    })
}

pub(crate) fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let to_devices = choices.bit();
    let size = 1 + choices.below(256);
    let bytes = choices.rest();
    let served = served();
    let answers = if to_devices {
        let name = ServerName::try_from("127.0.0.1").expect("an address");
        let connection = ClientConnection::new(Arc::clone(&served.tls), name).expect("a connection");
        let stream = connected(&served.platform.address().to_string());
        let mut stream = StreamOwned::new(connection, stream);
        // It may end the connection before all has been sent.
        let _ = send(&mut stream, bytes, size);
        stream.conn.send_close_notify();
        let _ = stream.flush();
        let _ = stream.sock.shutdown(Shutdown::Write);
        received(&mut stream)
    } else {
        let url = served.platform.inspection_url();
        let mut stream = connected(url.trim_start_matches("http://").trim_end_matches('/'));
        let _ = send(&mut stream, bytes, size);
        let _ = stream.shutdown(Shutdown::Write);
        received(&mut stream)
    };
    let mut rest = answers.as_slice();
    while !rest.is_empty() {
        match rfc9112::read(rest) {
            Reading::Whole { length, .. } => rest = &rest[length..],
            Reading::Unsure => panic!("no answer: {} to {}", rest.escape_ascii(), bytes.escape_ascii()),
        }
    }
}

fn connected(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("it does not listen: {error}"));
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_nodelay(true).expect("a socket");
    stream
}

fn send(stream: &mut impl Write, bytes: &[u8], size: usize) -> std::io::Result<()> {
    for part in bytes.chunks(size).take(64) {
        stream.write_all(part)?;
        stream.flush()?;
    }
    Ok(())
}

/// All that comes until the connection ends. A reset is an end as well: what was sent was not read.
fn received(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return bytes,
            Ok(amount) => bytes.extend_from_slice(&buffer[..amount]),
            Err(error) => {
                let kind = error.kind();
                let hangs = matches!(kind, std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
                assert!(!hangs, "it does not end the connection");
                return bytes;
            }
        }
    }
}
