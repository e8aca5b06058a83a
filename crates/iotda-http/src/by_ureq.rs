//! The boundary on a ureq [`Agent`] that the program made: its proxies, its resolver, its verifier, its pool.
//!
//! On ureq's stable interface, which has no way to end a request from another thread, does not say how much of a request
//! was sent, and starts a thread for each look-up that has a deadline; `lib` says what else it costs.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use ureq::http::HeaderMap;
use ureq::{Agent, Timeout};
use zeroize::Zeroizing;

use crate::bounds::Bounds;
use crate::clock::Clock;
use crate::date;
use crate::endpoint::Endpoint;
use crate::error::{Arrived, Error, Kind, Result, io_error};
use crate::exchange::{Answer, Exchange, Post, Timing, cancelled};
use crate::explain::explain;
use crate::response::{BODY_MAX, wait};

/// Posts to one server by an agent that the program made.
pub struct Ureq {
    agent: Agent,
    /// `https://host[:port]`.
    origin: String,
    /// `host[:port]`, for messages.
    peer: String,
    timing: Timing,
    clock: Arc<dyn Clock>,
}

impl Ureq {
    /// Opens nothing. What the agent's configuration says of statuses, redirects and timeouts does not hold: an answer is
    /// an answer, a redirect is not followed, and timeouts are `timing`'s and the bounds'.
    pub fn new(agent: Agent, endpoint: &Endpoint, timing: Timing, clock: Arc<dyn Clock>) -> Self {
        let peer = endpoint.authority();
        Ureq { agent, origin: format!("https://{peer}"), peer, timing, clock }
    }

    fn send(&self, post: &Post<'_>, bounds: &Bounds<'_>) -> Result<Answer> {
        let remaining = bounds.remaining().map_err(|error| io_error(&error, &self.peer))?;
        let patience = Some(bounds.patience).filter(|patience| *patience < Duration::MAX);
        let mut request = self
            .agent
            .post(format!("{}{}", self.origin, post.path.concat()))
            .config()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(remaining)
            .timeout_connect(Some(self.timing.connect))
            .timeout_per_read(patience)
            .timeout_per_write(patience)
            .build()
            .header("content-type", "application/json");
        if let Some(token) = post.token {
            request = request.header("access_token", token);
        }
        let response = request.send(post.body).map_err(|error| self.failed(error))?;
        let (head, body) = response.into_parts();
        let field = |name: &str| first(&head.headers, name);
        let server_time_ms = field("date").and_then(date::unix_ms);
        let mut answer = Answer {
            status: head.status.as_u16(),
            body: Zeroizing::default(),
            retry_after: field("retry-after").and_then(|value| wait(value, server_time_ms, &*self.clock)),
            server_time_ms,
            broken: None,
        };
        // The status counts once it has come.
        if let Err(error) = body.into_reader().take(BODY_MAX as u64).read_to_end(&mut answer.body) {
            let error = self.failed(ureq::Error::from(error));
            answer.broken = Some(Box::new(Error { sent: true, arrived: Arrived::Perhaps, ..error }));
        }
        Ok(answer)
    }

    /// What an error means, and as far as that can be known, whether something of the request was sent.
    fn failed(&self, error: ureq::Error) -> Error {
        let peer = &self.peer;
        let (sent, error) = match error {
            ureq::Error::Timeout(phase) => {
                (!matches!(phase, Timeout::Resolve | Timeout::Connect), io_error(&io::ErrorKind::TimedOut.into(), peer))
            }
            ureq::Error::HostNotFound => {
                (false, Error::new(Kind::Dns, format!("check the endpoint: {peer} has no address")))
            }
            ureq::Error::InvalidProxyUrl => {
                (false, Error::config("check the proxy of the agent: its URL is not valid"))
            }
            ureq::Error::ConnectProxyFailed(why) => {
                (false, Error::new(Kind::Connect, format!("check the proxy of the agent for {peer}: {why}")))
            }
            ureq::Error::ConnectionFailed => (
                false,
                Error::new(Kind::Connect, format!("check the endpoint and the network: no connection to {peer}")),
            ),
            ureq::Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(tls) => {
                    let explained = explain(tls, peer, false);
                    (explained.kind == Kind::Connect, explained)
                }
                None => {
                    use io::ErrorKind as Io;
                    let unreachable = [Io::ConnectionRefused, Io::HostUnreachable, Io::NetworkUnreachable];
                    (!unreachable.contains(&error.kind()), io_error(&error, peer))
                }
            },
            ureq::Error::Tls(why) => (false, Error::new(Kind::Tls, format!("TLS with {peer} failed: {why}"))),
            ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => {
                (true, Error::new(Kind::Protocol, format!("{peer} did not answer in HTTP")))
            }
            other => (true, Error::new(Kind::Connect, format!("the request to {peer} failed: {other}"))),
        };
        Error { sent, arrived: if sent { Arrived::Perhaps } else { Arrived::No }, ..error }
    }
}

impl Exchange for Ureq {
    fn post(&self, post: &Post<'_>, bounds: &Bounds<'_>) -> Result<Answer> {
        if bounds.is_cancelled() {
            return Err(cancelled(false, Arrived::No));
        }
        match self.send(post, bounds) {
            Err(error) if bounds.is_cancelled() => Err(cancelled(error.sent, error.arrived)),
            result => result,
        }
    }
}

fn first<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    Some(headers.get(name)?.as_bytes())
}
