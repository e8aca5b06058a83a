//! One HTTPS request and its answer. What is sent, and what an answer means, is decided elsewhere.
//!
//! The HTTP protocol itself is `ureq`'s, under a connector of our own:
//!
//! - [`exchange`]: posts a body and returns the answer; repeats a request that met a connection which
//!   the server had closed meanwhile.
//! - [`connect`]: opens connections: addresses, TCP, TLS.
//! - [`stream`]: a TLS connection as `ureq` uses it; gathers a request into one record and one `send`.
//! - [`socket`]: a socket, the system's or the program's, that keeps a deadline.
//! - [`tls`]: the TLS configuration and what its errors mean. [`roots`]: whom it trusts.
//! - [`proxy`]: how a proxy passes a connection on.
//! - [`resolve`]: addresses of a host name, within a deadline.
//! - [`context`]: what bounds the request that runs on this thread.
//! - [`failure`]: how a fault found here travels through `ureq`.

pub(crate) mod connect;
pub(crate) mod context;
pub(crate) mod exchange;
pub(crate) mod failure;
pub(crate) mod proxy;
pub(crate) mod resolve;
pub(crate) mod roots;
pub(crate) mod socket;
pub(crate) mod stream;
pub(crate) mod tls;
