//! The same over the system's sockets and TLS: which addresses count as good, and which kept connections still stand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};

use super::*;
use crate::resolve::{Addresses, Lookup};
use crate::response::ORDINARY_MAX;
use crate::roots::Trust;

/// One connection, as its server sees it.
struct Peer {
    tls: ServerConnection,
    socket: TcpStream,
}

impl Peer {
    /// Reads a request, [`POST`].
    fn hear(&mut self) {
        let mut stream = rustls::Stream::new(&mut self.tls, &mut self.socket);
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\nx") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            heard.push(byte[0]);
        }
    }

    /// A text as it goes over the wire, in one record.
    fn record(&mut self, text: &[u8]) -> Vec<u8> {
        self.tls.writer().write_all(text).unwrap();
        self.waiting()
    }

    fn waiting(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    fn say(&mut self, text: &[u8]) {
        let record = self.record(text);
        self.socket.write_all(&record).unwrap();
    }

    /// Leaves the connection open until the client closes it.
    fn leave(mut self) {
        let _ = self.socket.read_to_end(&mut Vec::new());
    }
}

/// A server whose certificate is for the host of the tests.
struct Server {
    address: SocketAddr,
    authority: String,
}

/// Hands each connection to `serve` on a thread of its own, with the number of those before it.
fn server(serve: impl Fn(usize, Peer) + Send + Sync + 'static) -> Server {
    let (key, authority_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let leaf = CertificateParams::new(vec!["iot.example".to_owned()]).unwrap();
    let certificate = leaf.signed_by(&key, &Issuer::from_params(&authority, &authority_key)).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        );
    let (config, serve) = (Arc::new(config.unwrap()), Arc::new(serve));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, socket) in listener.incoming().enumerate() {
            let (mut socket, serve) = (socket.unwrap(), Arc::clone(&serve));
            // What is written is there for the client before anything else happens.
            socket.set_nodelay(true).unwrap();
            let mut tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            thread::spawn(move || {
                while tls.is_handshaking() {
                    // A client whose time is over gives up.
                    if tls.complete_io(&mut socket).is_err() {
                        return;
                    }
                }
                serve(number, Peer { tls, socket });
            });
        }
    });
    Server { address, authority: authority.self_signed(&authority_key).unwrap().pem() }
}

/// What the host of the tests is looked up as.
struct Found(Vec<SocketAddr>);

impl Lookup for Found {
    fn lookup(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(self.0.clone())
    }
}

/// A client of the server, which may be reached by several addresses.
fn https(server: &Server, addresses: &[SocketAddr]) -> Https {
    let ten = Duration::from_secs(10);
    let mut https = Https::new(Settings {
        endpoint: Endpoint::parse("https://iot.example").unwrap(),
        route: Route::default(),
        tls: TlsSettings { trust: Trust::only(server.authority.as_bytes()).unwrap(), ..TlsSettings::default() },
        timing: Timing { connect: ten, patience: ten, keepalive: None },
        kept: KeptConnections { most: 8, idle: 8, time: Duration::from_secs(55) },
        clock: Arc::new(crate::clock::SystemClock),
        watch: Arc::new(Watch::default()),
    })
    .unwrap();
    https.connector.addresses = Addresses::new("iot.example", 443, Arc::new(Found(addresses.to_vec())));
    https
}

/// The addresses in the order in which they are tried next.
fn order(https: &Https) -> Vec<SocketAddr> {
    https.connector.addresses.get(&Bounds::default()).unwrap()
}

/// Another address, which does not answer.
fn silent() -> crate::fixtures::Swallowing {
    crate::fixtures::swallowing_port()
}

#[test]
fn the_address_that_answered_first_is_tried_first() {
    let server = server(|_, mut peer| {
        loop {
            peer.hear();
            peer.say(ANSWER);
        }
    });
    let silent = silent();
    let https = https(&server, &[silent.address, server.address]);
    https.post(&POST, &Bounds::default()).unwrap();
    assert_eq!(order(&https), [server.address, silent.address]);
    // What was learned since of the address is not forgotten for one answer more of an old connection.
    https.connector.failed(Some(server.address));
    https.post(&POST, &Bounds::default()).unwrap();
    assert_eq!(order(&https), [silent.address, server.address]);
}

#[test]
fn an_address_that_brings_no_answer_is_tried_last() {
    let closing = server(|_, mut peer| peer.hear());
    let quiet = server(|_, mut peer| {
        peer.hear();
        peer.leave();
    });
    let other = SocketAddr::from(([127, 0, 0, 2], 1));
    let https_of = |server: &Server| https(server, &[server.address, other]);
    let https = https_of(&closing);
    let error = https.post(&POST, &Bounds::default()).map(drop).unwrap_err();
    assert!(error.kind == Kind::Connect && error.sent, "{error:?}");
    assert_eq!(order(&https), [other, closing.address]);
    // As little patience as there may be and still leave time for the request to be sent.
    let mut patience = Duration::from_millis(20);
    loop {
        let https = https_of(&quiet);
        let error = https.post(&POST, &Bounds { patience, ..Bounds::default() }).map(drop).unwrap_err();
        assert_eq!(error.kind, Kind::Timeout);
        if error.sent {
            assert_eq!(order(&https), [other, quiet.address]);
            break;
        }
        patience *= 2;
    }
}

#[test]
fn neither_a_short_deadline_nor_a_cancellation_is_evidence_against_an_address() {
    let quiet = server(|_, mut peer| {
        peer.hear();
        peer.leave();
    });
    let other = SocketAddr::from(([127, 0, 0, 2], 1));
    let addresses = [quiet.address, other];
    // As short as it may be and still leave time for the request to be sent.
    let mut time = Duration::from_millis(20);
    loop {
        let https = https(&quiet, &addresses);
        let bounds = Bounds { deadline: Instant::now().checked_add(time), ..Bounds::default() };
        let error = https.post(&POST, &bounds).map(drop).unwrap_err();
        assert_eq!(error.kind, Kind::Timeout);
        if error.sent {
            assert_eq!(order(&https), addresses);
            break;
        }
        time *= 2;
    }
    let (heard, hearing) = channel();
    let quiet = server(move |_, mut peer| {
        peer.hear();
        heard.send(()).unwrap();
        peer.leave();
    });
    let addresses = [quiet.address, other];
    let https = https(&quiet, &addresses);
    let cancel = CancelToken::new();
    thread::scope(|scope| {
        let posting =
            scope.spawn(|| https.post(&POST, &Bounds { cancel: Some(&cancel), ..Bounds::default() }).map(drop));
        hearing.recv().unwrap();
        cancel.cancel();
        let error = posting.join().unwrap().unwrap_err();
        assert!(error.kind == Kind::Cancelled && error.sent && error.arrived == Arrived::Perhaps, "{error:?}");
    });
    assert_eq!(order(&https), addresses);
}

/// The first connection answers by `answer` and, once that was read, does `then`; the others answer. A second request is
/// answered over a new connection, unless `stays`.
fn kept_if(
    stays: bool,
    name: &str,
    answer: impl Fn(&mut Peer) + Send + Sync + 'static,
    then: impl Fn(&mut Peer) + Send + Sync + 'static,
) {
    let (read, reading) = channel();
    let reading = Mutex::new(reading);
    let (done, doing): (_, Receiver<usize>) = channel();
    let server = server(move |number, mut peer| {
        peer.hear();
        if number == 0 {
            answer(&mut peer);
            reading.lock().unwrap().recv().unwrap();
            then(&mut peer);
        } else {
            peer.say(ANSWER);
        }
        done.send(number).unwrap();
        if number == 0 && stays {
            peer.hear();
            peer.say(ANSWER);
            done.send(number).unwrap();
        }
        peer.leave();
    });
    let next = || doing.recv_timeout(Duration::from_secs(60));
    let https = https(&server, &[server.address]);
    assert_eq!(https.post(&POST, &Bounds::default()).unwrap().body.as_slice(), b"ok", "{name}");
    read.send(()).unwrap();
    assert_eq!(next(), Ok(0), "{name}");
    assert_eq!(https.post(&POST, &Bounds::default()).unwrap().body.as_slice(), b"ok", "{name}");
    assert_eq!(next(), Ok(if stays { 0 } else { 1 }), "{name}");
}

#[test]
fn a_kept_connection_is_looked_at_before_it_is_used() {
    let answer = |peer: &mut Peer| peer.say(ANSWER);
    kept_if(true, "nothing came", answer, |_| {});
    kept_if(false, "the server has closed it", answer, |peer| {
        peer.socket.shutdown(std::net::Shutdown::Write).unwrap();
    });
    kept_if(false, "the server has closed TLS alone", answer, |peer| {
        peer.tls.send_close_notify();
        let alert = peer.waiting();
        peer.socket.write_all(&alert).unwrap();
    });
    kept_if(false, "something came that nobody asked for", answer, |peer| {
        peer.say(b"HTTP/1.1 408 Request Timeout\r\n\r\n");
    });
    kept_if(false, "the beginning of something came", answer, |peer| {
        let record = peer.record(ANSWER);
        peer.socket.write_all(&record[..3]).unwrap();
    });
}

#[test]
fn what_is_behind_an_answer_is_no_answer() {
    kept_if(false, "in the same record", |peer| peer.say(&[ANSWER, ANSWER].concat()), |_| {});
    let with_the_end = |peer: &mut Peer| {
        let answer = peer.record(ANSWER);
        peer.tls.send_close_notify();
        let bytes = [answer, peer.waiting()].concat();
        peer.socket.write_all(&bytes).unwrap();
    };
    kept_if(false, "the end of TLS in the same packet", with_the_end, |_| {});
    let with_a_beginning = |peer: &mut Peer| {
        let (answer, more) = (peer.record(ANSWER), peer.record(ANSWER));
        peer.socket.write_all(&[&answer[..], &more[..3]].concat()).unwrap();
    };
    kept_if(false, "the beginning of another record", with_a_beginning, |_| {});
    // The room for an answer ends where this one does: what follows is still in TLS.
    let at_the_end_of_the_room = |peer: &mut Peer| {
        let padding = ORDINARY_MAX - ANSWER.len() - "P: \r\n".len();
        let (status, rest) = ANSWER.split_at(b"HTTP/1.1 200 OK\r\n".len());
        let padding = format!("P: {}\r\n", "x".repeat(padding));
        let answer = [status, padding.as_bytes(), rest].concat();
        assert_eq!(answer.len(), ORDINARY_MAX);
        peer.say(&[&answer, ANSWER].concat());
    };
    kept_if(false, "behind the end of the room", at_the_end_of_the_room, |_| {});
}
