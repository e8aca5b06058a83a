//! Posts a body and returns what came back.
//!
//! What a status or a body means is decided in [`crate::answer`].

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use ureq::http::{HeaderValue, Method, Request, Uri};

use crate::clock::Clock;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, Result};
use crate::http::connect::{NoResolver, TlsConnector, server_name};
use crate::http::failure::explain;
use crate::http::resolve::{Addresses, SystemLookup};

/// Answers are small (a token, an error text); more than this is not read.
const ANSWER_MAX: u64 = 64 * 1024;

/// Headers longer than this are no answer of the platform's.
const HEADER_MAX: usize = 8 * 1024;

/// Connections kept open while nobody uses them, and for how long. Servers commonly close after 60 s.
const KEPT_CONNECTIONS: usize = 8;
const KEPT_FOR: Duration = Duration::from_secs(55);

/// The header that carries the token; with an underscore, as the platform has it.
const ACCESS_TOKEN: HeaderName = HeaderName::from_static("access_token");

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// As much of it as came, at most [`ANSWER_MAX`] bytes.
    pub(crate) body: Vec<u8>,
    /// From the `Retry-After` header, where it is a number of seconds.
    pub(crate) retry_after: Option<Duration>,
}

/// What the connections of a client are made of.
pub(crate) struct Settings {
    pub(crate) endpoint: Endpoint,
    pub(crate) tls: Arc<rustls::ClientConfig>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) connect_timeout: Duration,
    pub(crate) usual_timeout: Duration,
}

/// Posts to one server over connections that are kept.
#[derive(Debug)]
pub(crate) struct Exchange {
    agent: Agent,
    /// `host:port`, for messages.
    peer: String,
}

impl Exchange {
    pub(crate) fn new(settings: Settings) -> Result<Self> {
        let Settings { endpoint, tls, clock, connect_timeout, usual_timeout } = settings;
        let peer = endpoint.authority();
        let connector = TlsConnector {
            addresses: Addresses::new(&endpoint.host, endpoint.port, Arc::new(SystemLookup)),
            server_name: server_name(&endpoint.host)?,
            config: tls,
            clock,
            peer: peer.clone(),
            connect_timeout,
            usual_timeout,
        };
        let config = Agent::config_builder()
            .https_only(true)
            .http_status_as_error(false)
            // A redirect would carry the token to another server.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Neither proxies from the environment nor headers that nobody asked for.
            .proxy(None)
            .user_agent("")
            .accept("")
            .accept_encoding("")
            .max_response_header_size(HEADER_MAX)
            .max_idle_connections(KEPT_CONNECTIONS)
            .max_idle_connections_per_host(KEPT_CONNECTIONS)
            .max_idle_age(KEPT_FOR)
            .build();
        Ok(Exchange { agent: Agent::with_parts(config, connector, NoResolver), peer })
    }

    /// Posts `body` and waits for the answer until `deadline`. `sent` counts the requests that were sent:
    /// a request that meets a kept connection which the server has closed meanwhile is sent again.
    pub(crate) fn post(
        &self,
        uri: &Uri,
        token: Option<&HeaderValue>,
        body: &[u8],
        deadline: Option<Instant>,
        sent: &mut u32,
    ) -> Result<Answer> {
        loop {
            let left = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => {
                    return Err(Error::new(
                        ErrorKind::Timeout,
                        "the time for this call was over before a request could be sent",
                    ));
                }
                left => left,
            };
            let request = self.agent.configure_request(request(uri, token, body)).timeout_global(left).build();
            *sent += 1;
            match self.agent.run(request) {
                Ok(response) => return Ok(read(response)),
                Err(error) => {
                    let failure = explain(error, &self.peer);
                    // Each time one kept connection is gone, so this ends.
                    if !failure.stale {
                        return Err(failure.into());
                    }
                }
            }
        }
    }
}

fn request<'a>(uri: &Uri, token: Option<&HeaderValue>, body: &'a [u8]) -> Request<&'a [u8]> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.clone();
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(token) = token {
        headers.insert(ACCESS_TOKEN, token.clone());
    }
    request
}

/// The status counts once it has come: a body that breaks off leaves less to explain, no more.
fn read(response: ureq::http::Response<ureq::Body>) -> Answer {
    let (parts, mut body) = response.into_parts();
    let mut answer = Answer {
        status: parts.status.as_u16(),
        body: Vec::new(),
        retry_after: parts.headers.get(RETRY_AFTER).and_then(seconds),
    };
    // One byte more, so that the end of a body of just this length is seen and the connection kept.
    let _ = body.as_reader().take(ANSWER_MAX + 1).read_to_end(&mut answer.body);
    answer
}

fn seconds(value: &HeaderValue) -> Option<Duration> {
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
