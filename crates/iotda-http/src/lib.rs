//! One HTTPS request and its answer. What is sent, and what an answer means, is decided by the caller.
//!
//! There is one kind of request, a `POST` with a body, one at a time on a connection that is then kept:
//!
//! - [`Exchange`]: the boundary: posts a body and returns the answer. [`Https`] is this crate's implementation.
//! - `pool`: connections that wait for their next request.
//! - `connect`: opens connections: addresses, TCP, TLS.
//! - `stream`: an open connection: sends a request in one record and one `send`, reads the answer.
//! - `request`, `response`, `lenient`, `body`, `date`: what is written, and what is read.
//! - `socket`: a socket, the system's or a custom [`Transport`]'s, that keeps its [`Bounds`].
//! - `tls`, `identity`: the TLS configuration. `roots`, `pem`: whom it trusts. `verify`: certificates. `explain`: what its errors mean.
//! - `proxy`: how a proxy passes a connection on. `environment`: the one that the environment names.
//! - `resolve`: addresses of a host name, within a deadline.
//! - `probe`: the same way step by step, with what each step found, for programs that explain faults (feature `probe`).
//! - [`Bounds`]: what bounds a request. [`Error`]: what went wrong with it.
//! - [`CancelToken`], [`Condition`]: waits that another thread or a signal handler ends.
//!
//! # Why not ureq
//!
//! ureq is the oracle of this crate's tests, and with the feature `ureq` it can do the work (`Ureq`). By default it does
//! not, because a device pays for each report. One report on a kept connection, by either implementation of [`Exchange`],
//! with a deadline of 30 s (x86-64, release profile, rustc 1.95, rustls with ring for both, ureq 3.5.2 by its stable
//! interface; callgrind and `strace -f`, the difference between 300 and 100 reports):
//!
//! | | this crate | ureq, an address | ureq, a host name |
//! |---|--:|--:|--:|
//! | instructions | 13,400 | 66,100 | 74,100 |
//! | system calls | 3 | 27 | 35 |
//! | threads started | 0 | 1 | 1 |
//!
//! A program that has both is 390 kB larger than one with this crate alone. What weighs as much: ureq's stable interface
//! cannot end a request from another thread or a signal handler, does not say whether something of a request was sent
//! (which decides whether it may be sent again), resumes no TLS session where a request has a timeout of its own, and
//! ends an attempt by the clock rather than for lack of progress.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod bounds;
#[cfg(feature = "ureq")]
mod by_ureq;
mod cancel;
mod clock;
mod condition;
mod connect;
mod date;
mod distinguished_name;
mod endpoint;
mod environment;
mod error;
mod exchange;
mod explain;
#[cfg(feature = "fixtures")]
pub mod fixtures;
mod identity;
mod lenient;
mod pem;
#[cfg(feature = "platform-roots")]
mod platform_roots;
mod pool;
#[cfg(feature = "probe")]
pub mod probe;
mod proxy;
mod race;
mod records;
mod request;
mod resolve;
mod response;
mod roots;
mod socket;
mod stream;
mod tls;
mod transport;
mod verify;
mod watch;

pub use bounds::Bounds;
#[cfg(feature = "ureq")]
pub use by_ureq::Ureq;
pub use cancel::{CancelToken, pause};
pub use clock::{Clock, SystemClock};
pub use condition::Condition;
pub use endpoint::Endpoint;
pub use error::{Arrived, Error, Kind, Result};
pub use exchange::{Answer, Exchange, Https, KeptConnections, Post, Settings, Timing};
pub use identity::ClientIdentity;
pub use proxy::Proxy;
pub use roots::Trust;
pub use tls::TlsSettings;
pub use transport::{Connection, Route, Transport};
pub use verify::Pin;
pub use watch::{Level, Log, Traffic, TrafficCounts, Watch};
