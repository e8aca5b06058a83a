//! What the tests of this crate and of others have in common: certificates and ports here, answers in [`answers`].

pub mod answers;

use std::net::{SocketAddr, TcpListener, TcpStream};

/// A certificate authority, as PEM.
pub fn authority() -> String {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    parameters.self_signed(&key).expect("a certificate").pem()
}

/// An address that refuses connections.
pub fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address")
}

/// An address where connections are neither accepted nor refused, until it is dropped.
pub struct Swallowing {
    /// Where.
    pub address: SocketAddr,
    _listener: socket2::Socket,
    _waiting: Vec<TcpStream>,
}

/// An address whose queue of connections is full: the kernel drops what else arrives there.
pub fn swallowing_port() -> Swallowing {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    listener.listen(0).expect("a short queue");
    let address = listener.local_addr().expect("its address").as_socket().expect("an IP address");
    let mut waiting = Vec::new();
    // How many fit into a queue of none is the kernel's business; one that does not connect at once is beyond it.
    loop {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        match socket.connect_timeout(&address.into(), std::time::Duration::from_millis(200)) {
            Ok(()) => waiting.push(TcpStream::from(socket)),
            Err(_) => return Swallowing { address, _listener: listener, _waiting: waiting },
        }
    }
}
