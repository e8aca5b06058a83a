//! One HTTPS request and its answer. What is sent, and what an answer means, is decided elsewhere.
//!
//! There is one kind of request, a `POST` with a body, one at a time on a connection:
//!
//! - [`exchange`]: posts a body and returns the answer; repeats a request that met a connection which
//!   the server had closed meanwhile.
//! - [`pool`]: connections that wait for their next request.
//! - [`connect`]: opens connections: addresses, TCP, TLS.
//! - [`stream`]: an open connection: sends a request in one record and one `send`, reads the answer.
//! - [`request`], [`response`], [`body`]: what is written, and what is read.
//! - [`socket`]: a socket, the system's or the program's, that keeps a deadline.
//! - [`tls`]: the TLS configuration and what its errors mean. [`roots`]: whom it trusts.
//! - [`proxy`]: how a proxy passes a connection on.
//! - [`resolve`]: addresses of a host name, within a deadline.
//! - [`context`]: what bounds a request. [`failure`]: what went wrong with it.

#[cfg(test)]
mod against_ureq;
pub(crate) mod body;
pub(crate) mod connect;
pub(crate) mod context;
pub(crate) mod exchange;
pub(crate) mod failure;
pub(crate) mod pool;
pub(crate) mod proxy;
pub(crate) mod request;
pub(crate) mod resolve;
pub(crate) mod response;
pub(crate) mod roots;
pub(crate) mod socket;
pub(crate) mod stream;
pub(crate) mod tls;
