//! The way to the platform, step by step as a client goes it, for programs that explain why a device does not report
//! (feature `probe`). The command `iotda doctor` is made of it.
//!
//! ```no_run
//! use std::time::{Duration, Instant};
//!
//! let mut config = iotda::Config::new();
//! config.endpoint("https://iot.example.com")?;
//! let probe = config.probe()?;
//! let deadline = Instant::now() + Duration::from_secs(10);
//! let addresses = probe.look_up(deadline)?;
//! for reached in probe.connect(&addresses, Duration::from_secs(3)) {
//!     match reached.result {
//!         Ok(mut link) => {
//!             probe.tunnel(&mut link, deadline)?;
//!             let handshake = probe.handshake(link, deadline);
//!             println!("{}: {} certificates, {:?}", reached.address, handshake.chain.len(), handshake.fault);
//!         }
//!         Err(error) => println!("{}: {error} after {:?}", reached.address, reached.took),
//!     }
//! }
//! # Ok::<(), iotda::Error>(())
//! ```
//!
//! No device needs to be configured, and no secret is ever sent: a probe authenticates nobody. The one request that it
//! makes is a `GET /`, which the platform answers with an error and its time. Authentication and reports are tried by a
//! [`Client`](crate::Client) of the same config, and [`Client::check_token`](crate::Client::check_token).
//!
//! All functions block, at most until their deadline, and may be called from any thread.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use iotda_http::{Bounds, Watch, probe as http};

use crate::config::Config;
use crate::error::{Error, Result};

pub use iotda_http::probe::{CertificateFault, Link, Reached, Secured};

/// Looks at the way to the endpoint of a [`Config`]: made by [`Config::probe`]. Its steps can be taken in any order and
/// any number of times.
pub struct Probe(http::Probe);

/// How a TLS handshake went.
#[derive(Debug)]
#[non_exhaustive]
pub struct Handshake {
    /// The certificates that the server has shown, in DER and in its order, its own first. Empty: it came to none. They
    /// are here also when they were not accepted.
    pub chain: Vec<Vec<u8>>,
    /// What is wrong with them, if that was the reason.
    pub fault: Option<CertificateFault>,
    /// The connection, whose server is verified, or why there is none.
    pub result: Result<Secured>,
}

/// What answered a `GET /`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Said {
    /// The HTTP status.
    pub status: u16,
    /// The server's time in Unix milliseconds, from the `Date` field, which counts in seconds; `None`: there was none.
    pub time_ms: Option<i64>,
}

impl Probe {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let endpoint = config.endpoint.clone().ok_or_else(|| {
            Error::config("set the platform's address, https://host[:port]: no endpoint is configured")
        })?;
        let watch = Arc::new(Watch::new(config.log.clone()));
        Ok(Probe(http::Probe::new(config.http(endpoint, watch))?))
    }

    /// Looks names up by `lookup`, which is given host and port, instead of the system's `getaddrinfo`. It may block
    /// for as long as it likes: [`look_up`](Self::look_up) runs it in a thread of its own and waits until the deadline.
    #[must_use]
    pub fn with_lookup(
        self,
        lookup: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Probe(self.0.with_lookup(lookup))
    }

    /// What is looked up and connected to: the proxy's host if there is a proxy, otherwise the endpoint's.
    pub fn host(&self) -> &str {
        self.0.host()
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// The proxy as `host:port`, without its credentials; `None`: there is no proxy.
    pub fn proxy(&self) -> Option<String> {
        self.0.proxy()
    }

    /// Whether the clock can be right: a client does not even connect if it cannot, because certificates cannot be
    /// checked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Clock`](crate::ErrorKind::Clock): it says a time before this library was released.
    pub fn check_clock(&self) -> Result<()> {
        Ok(self.0.check_clock()?)
    }

    /// The addresses of the host in the order in which a client tries them. What was found is kept for five minutes, as
    /// a client keeps it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Dns`](crate::ErrorKind::Dns), [`ErrorKind::Timeout`](crate::ErrorKind::Timeout).
    pub fn look_up(&self, deadline: Instant) -> Result<Vec<SocketAddr>> {
        Ok(self.0.look_up(&until(deadline))?)
    }

    /// Connects to the first 16 of `addresses`, to all at the same time, each in a thread of its own and for at most
    /// `most`; returns when all have ended. A client would be content with the first that answers.
    pub fn connect(&self, addresses: &[SocketAddr], most: Duration) -> Vec<Reached> {
        self.0.connect(addresses, most)
    }

    /// Has the proxy pass the connection on (CONNECT); without a proxy it does nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config): the proxy wants a user and a password, or others;
    /// [`ErrorKind::Connect`](crate::ErrorKind::Connect): it does not allow it;
    /// [`ErrorKind::Protocol`](crate::ErrorKind::Protocol): it is no proxy;
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout).
    pub fn tunnel(&self, link: &mut Link, deadline: Instant) -> Result<()> {
        Ok(self.0.tunnel(link, &until(deadline))?)
    }

    /// Makes the TLS handshake, with the verification that a client makes, and keeps what the server has shown also if
    /// it is not accepted; such a connection is ended.
    pub fn handshake(&self, link: Link, deadline: Instant) -> Handshake {
        let http::Handshake { chain, fault, result } = self.0.handshake(link, &until(deadline));
        Handshake { chain, fault, result: result.map_err(Error::from) }
    }

    /// Sends `GET /` to a verified server.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Connect`](crate::ErrorKind::Connect), [`ErrorKind::Timeout`](crate::ErrorKind::Timeout),
    /// [`ErrorKind::Protocol`](crate::ErrorKind::Protocol): what came back is no HTTP.
    pub fn ask(&self, secured: Secured, deadline: Instant) -> Result<Said> {
        let answer = self.0.ask(secured, &until(deadline)).map_err(|error| Error::from(error).with_arrival(false))?;
        Ok(Said { status: answer.status, time_ms: answer.server_time_ms })
    }

    /// The time that a server says it is, in Unix milliseconds, **without verifying who it is**: no more than a hint,
    /// for a machine whose clock is not set and which can verify nobody until it is. `GET /` is all that the server is
    /// sent. `None`: its answer holds no time.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask), and [`ErrorKind::Tls`](crate::ErrorKind::Tls): there is no TLS to be had of the server.
    pub fn unverified_time(&self, link: Link, deadline: Instant) -> Result<Option<i64>> {
        let time = self.0.unverified_time(link, &until(deadline));
        time.map_err(|error| Error::from(error).with_arrival(false))
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn until(deadline: Instant) -> Bounds<'static> {
    Bounds { deadline: Some(deadline), ..Bounds::default() }
}
