//! Ways to the platform other than the system's sockets: proxies, and transports of the program's own.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use iotda::{CallOptions, CancelToken, Client, Connection, ErrorKind, Transport};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::device::{client, config, platform};

const OPTIONS: CallOptions = CallOptions::new();

/// A proxy that answers each CONNECT with `answer`, and passes bytes on if that is a success.
pub fn proxy(answer: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if client.read(&mut byte).unwrap_or(0) == 0 {
                    return;
                }
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let authority = head.split(' ').nth(1).unwrap().to_owned();
            seen.lock().unwrap().push(head);
            client.write_all(answer.as_bytes()).unwrap();
            if answer.contains(" 200") {
                let server = TcpStream::connect(authority).unwrap();
                for (from, to) in [(client.try_clone(), server.try_clone()), (server.try_clone(), client.try_clone())] {
                    let (mut from, mut to) = (from.unwrap(), to.unwrap());
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        }
    });
    (port, asked)
}

#[test]
fn a_proxy_passes_the_connection_on() {
    let platform = platform();
    let (port, asked) = proxy("HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n");
    let mut config = config(&platform);
    config.proxy(&format!("http://user:pass%20word@127.0.0.1:{port}")).unwrap();
    let client = Client::new(&config).unwrap();
    for _ in 0..3 {
        client.report_message(b"x", OPTIONS).unwrap();
    }
    assert_eq!(platform.reports().len(), 3);
    let authority = platform.url().strip_prefix("https://").unwrap();
    // "user:pass word" in base64.
    let expected = format!(
        "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: Basic dXNlcjpwYXNzIHdvcmQ=\r\n\r\n"
    );
    assert_eq!(*asked.lock().unwrap(), [expected]);
}

#[test]
fn a_proxys_answer_may_be_long_and_end_its_lines_in_lf_alone() {
    let platform = platform();
    let long: &'static str = format!("HTTP/1.0 200 OK\r\nX: {}\r\n\r\n", "x".repeat(30_000)).leak();
    for answer in [
        "HTTP/1.1 200 OK\n\n",
        "http/1.1  200\nVia: test\n\r\n",
        "HTTP/1.1 100 Wait\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        long,
    ] {
        let (port, _) = proxy(answer);
        let mut config = config(&platform);
        config.proxy(&format!("http://127.0.0.1:{port}")).unwrap();
        Client::new(&config).unwrap().report_message(b"x", OPTIONS).unwrap();
    }
    let (port, _) = proxy("HTTP/1.1 20 OK\r\n\r\n");
    let mut config = config(&platform);
    config.proxy(&format!("http://127.0.0.1:{port}")).unwrap();
    let error = Client::new(&config).unwrap().report_message(b"x", OPTIONS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
}

#[test]
fn proxies_that_refuse_are_told_apart() {
    let platform = platform();
    for (answer, kind, part) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", ErrorKind::Config, "user and password"),
        ("HTTP/1.0 503 Service Unavailable\r\n\r\n", ErrorKind::Connect, "HTTP 503"),
        ("SSH-2.0-OpenSSH_9.2\r\n", ErrorKind::Protocol, "does not answer in HTTP"),
    ] {
        let (port, _) = proxy(answer);
        let mut config = config(&platform);
        config.proxy(&format!("http://user:hunter2@127.0.0.1:{port}")).unwrap();
        let error = Client::new(&config).unwrap().report_message(b"x", OPTIONS).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(part) && !error.message().contains("hunter2"), "{error}");
        assert!(error.message().contains(&format!("the proxy 127.0.0.1:{port}")), "{error}");
    }
    assert_eq!(platform.counters().connections, 0);
}

/// Sockets with timeouts of their own, as a modem's may be.
#[derive(Debug, Default)]
struct Modem {
    connects: AtomicUsize,
    closes: Arc<AtomicUsize>,
    /// The TLS configuration, if the modem does TLS by itself.
    tls: Option<Arc<rustls::ClientConfig>>,
}

#[derive(Debug)]
struct ModemSocket<S: std::fmt::Debug> {
    stream: S,
    socket: TcpStream,
    closes: Arc<AtomicUsize>,
}

impl Transport for Modem {
    fn connect(
        &self,
        host: &str,
        port: u16,
        timeout: Duration,
        _cancel: Option<BorrowedFd<'_>>,
    ) -> io::Result<Box<dyn Connection>> {
        assert!(!timeout.is_zero());
        self.connects.fetch_add(1, Ordering::SeqCst);
        let socket = TcpStream::connect((host, port))?;
        let closes = Arc::clone(&self.closes);
        let Some(tls) = &self.tls else {
            return Ok(Box::new(ModemSocket { stream: socket.try_clone()?, socket, closes }));
        };
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let stream = StreamOwned::new(ClientConnection::new(Arc::clone(tls), name).unwrap(), socket.try_clone()?);
        Ok(Box::new(ModemSocket { stream, socket, closes }))
    }

    fn is_secure(&self) -> bool {
        self.tls.is_some()
    }
}

impl<S: Read + Write + std::fmt::Debug + Send + Sync + 'static> Connection for ModemSocket<S> {
    fn send(&mut self, data: &[u8], _timeout: Duration) -> io::Result<usize> {
        // A modem takes little at a time.
        self.stream.write(&data[..data.len().min(1000)])
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(timeout.max(Duration::from_millis(1))))?;
        self.stream.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
            _ => error,
        })
    }
}

impl<S: std::fmt::Debug> Drop for ModemSocket<S> {
    fn drop(&mut self) {
        self.closes.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_transport_of_the_programs_own_carries_our_tls() {
    let platform = platform();
    let modem = Arc::new(Modem::default());
    let mut config = config(&platform);
    config.transport(Arc::clone(&modem) as Arc<dyn Transport>);
    let client = Client::new(&config).unwrap();
    for size in [0, 10, 200_000] {
        client.report_message(&vec![7; size], OPTIONS).unwrap();
    }
    assert_eq!(platform.reports().len(), 3);
    assert_eq!((modem.connects.load(Ordering::SeqCst), modem.closes.load(Ordering::SeqCst)), (1, 0));
    drop(client);
    assert_eq!(modem.closes.load(Ordering::SeqCst), 1, "closed with the client");
}

#[test]
fn a_transport_that_does_tls_itself_gets_none_of_ours() {
    let platform = platform();
    let mut roots = rustls::RootCertStore::empty();
    use rustls::pki_types::pem::PemObject;
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(platform.ca_pem().as_bytes()).unwrap()).unwrap();
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let modem = Arc::new(Modem { tls: Some(Arc::new(tls)), ..Modem::default() });
    let mut config = config(&platform);
    config.transport(Arc::clone(&modem) as Arc<dyn Transport>);
    let client = Client::new(&config).unwrap();
    for _ in 0..3 {
        client.report_message(b"x", OPTIONS).unwrap();
    }
    assert_eq!((platform.reports().len(), modem.connects.load(Ordering::SeqCst)), (3, 1));
    let stats = client.stats();
    assert_eq!((stats.handshakes_full, stats.handshakes_resumed), (0, 0), "none by this library");
    config.proxy("http://127.0.0.1:1").unwrap();
    assert_eq!(Client::new(&config).unwrap_err().kind(), ErrorKind::Config);
}

/// Tells when it is waited in, and never has anything to say.
#[derive(Debug)]
struct Mute(Mutex<mpsc::Sender<()>>);

impl Transport for Mute {
    fn connect(
        &self,
        _host: &str,
        _port: u16,
        _timeout: Duration,
        _cancel: Option<BorrowedFd<'_>>,
    ) -> io::Result<Box<dyn Connection>> {
        Ok(Box::new(Mute(Mutex::new(self.0.lock().unwrap().clone()))))
    }
}

impl Connection for Mute {
    fn send(&mut self, data: &[u8], _timeout: Duration) -> io::Result<usize> {
        Ok(data.len())
    }

    fn receive(&mut self, _buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        let _ = self.0.lock().unwrap().send(());
        thread::park_timeout(timeout);
        Err(io::ErrorKind::TimedOut.into())
    }
}

#[test]
fn a_transport_of_the_programs_own_keeps_deadlines_and_can_be_cancelled() {
    let platform = platform();
    let (waits, waited) = mpsc::channel();
    let mut config = config(&platform);
    config.transport(Arc::new(Mute(Mutex::new(waits))));
    let client = Client::new(&config).unwrap();
    let short = CallOptions::new().timeout(Duration::from_millis(50));
    assert_eq!(client.report_message(b"x", short).unwrap_err().kind(), ErrorKind::Timeout);
    while waited.try_recv().is_ok() {}
    let cancel = CancelToken::new();
    let long = CallOptions::new().timeout(Duration::from_secs(86_400)).cancel(&cancel);
    thread::scope(|scope| {
        let call = scope.spawn(|| client.report_message(b"x", long));
        waited.recv().unwrap();
        cancel.cancel();
        assert_eq!(call.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    });
}

#[test]
fn a_transport_that_does_not_connect_is_a_connect_error() {
    #[derive(Debug)]
    struct NoSignal;
    impl Transport for NoSignal {
        fn connect(
            &self,
            _host: &str,
            _port: u16,
            _timeout: Duration,
            _cancel: Option<BorrowedFd<'_>>,
        ) -> io::Result<Box<dyn Connection>> {
            Err(io::Error::other("no signal"))
        }
    }
    let platform = platform();
    let mut config = config(&platform);
    config.transport(Arc::new(NoSignal));
    let error = Client::new(&config).unwrap().report_message(b"x", OPTIONS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.message().contains("no signal"), "{error}");
    client(&platform).report_message(b"x", OPTIONS).unwrap();
}
