//! Posts a body and returns what came back.
//!
//! What a status or a body means is decided in [`crate::answer`].

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::http::header::{CONTENT_TYPE, DATE, HeaderName, RETRY_AFTER};
use ureq::http::{HeaderValue, Method, Request, Uri};
use zeroize::Zeroizing;

use crate::calendar;
use crate::clock::Clock;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, Result};
use crate::http::connect::{NoResolver, Timing, TlsConnector, server_name};
use crate::http::context::{self, Context};
use crate::http::failure::explain;
use crate::http::proxy::Proxy;
use crate::http::resolve::{Addresses, SystemLookup};
use crate::monitor::{Count, Level, Monitor};
use crate::transport::Transport;

/// Answers are small (a token, an error text); more than this is not read.
const ANSWER_MAX: u64 = 64 * 1024;

/// Headers longer than this are no answer of the platform's.
const HEADER_MAX: usize = 8 * 1024;

/// The header that carries the token; with an underscore, as the platform has it.
const ACCESS_TOKEN: HeaderName = HeaderName::from_static("access_token");

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// As much of it as came, at most [`ANSWER_MAX`] bytes. It may hold a token.
    pub(crate) body: Zeroizing<Vec<u8>>,
    /// From the `Retry-After` header, where it is a number of seconds.
    pub(crate) retry_after: Option<Duration>,
    /// From the `Date` header, in Unix milliseconds.
    pub(crate) server_time_ms: Option<i64>,
}

/// What the connections of a client are made of.
pub(crate) struct Settings {
    pub(crate) endpoint: Endpoint,
    /// `None` where the program's own transport sees to it.
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) transport: Option<Arc<dyn Transport>>,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) timing: Timing,
    /// How many connections are kept open while nobody uses them, and for how long.
    pub(crate) kept_connections: usize,
    pub(crate) kept_for: Duration,
}

/// Posts to one server over connections that are kept.
#[derive(Debug)]
pub(crate) struct Exchange {
    agent: Agent,
    /// `host:port`, for messages.
    peer: String,
    clock: Arc<dyn Clock>,
    monitor: Arc<Monitor>,
}

impl Exchange {
    pub(crate) fn new(settings: Settings) -> Result<Self> {
        let Settings { endpoint, tls, clock, monitor, transport, proxy, timing, kept_connections, kept_for } = settings;
        let peer = endpoint.authority();
        let (host, port) = match &proxy {
            Some(proxy) => (proxy.host.clone(), proxy.port),
            None => (endpoint.host.clone(), endpoint.port),
        };
        let connector = TlsConnector {
            transport,
            proxy,
            addresses: Addresses::new(&host, port, Arc::new(SystemLookup)),
            host,
            port,
            authority: endpoint.authority_with_port(),
            server_name: server_name(&endpoint.host)?,
            config: tls,
            clock: Arc::clone(&clock),
            monitor: Arc::clone(&monitor),
            peer: peer.clone(),
            timing,
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
            .max_idle_connections(kept_connections)
            .max_idle_connections_per_host(kept_connections)
            .max_idle_age(kept_for)
            .build();
        Ok(Exchange { agent: Agent::with_parts(config, connector, NoResolver), peer, clock, monitor })
    }

    /// Posts `body` and waits for the answer within the bounds of `context`. `sent` counts the requests that
    /// were sent: a request that meets a kept connection which the server has closed meanwhile is sent again.
    pub(crate) fn post(
        &self,
        uri: &Uri,
        token: Option<&HeaderValue>,
        body: &[u8],
        context: &Context,
        sent: &mut u32,
    ) -> Result<Answer> {
        let _entered = context::enter(context.clone());
        loop {
            *sent += 1;
            self.monitor.add(Count::BodyBytesSent, body.len() as u64);
            match self.agent.run(request(uri, token, body)) {
                Ok(response) => {
                    let answer = read(response);
                    self.monitor.log(Level::Debug, || {
                        format!("POST {} of {} bytes: HTTP {}", uri.path(), body.len(), answer.status)
                    });
                    if let Some(server_time_ms) = answer.server_time_ms {
                        self.monitor.server_told(server_time_ms, monotonic_ms(&*self.clock));
                    }
                    return Ok(answer);
                }
                Err(error) => {
                    context.check().map_err(|_| cancelled())?;
                    let failure = explain(error, &self.peer);
                    self.monitor.log(Level::Debug, || format!("POST {}: {failure}", uri.path()));
                    // Each time one kept connection is gone, so this ends.
                    if !failure.stale {
                        return Err(failure.into());
                    }
                }
            }
        }
    }
}

/// The error of a call that was cancelled.
pub(crate) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the call was cancelled; what was being sent may have arrived")
}

/// The clock's monotonic time in the unit of Unix times.
pub(crate) fn monotonic_ms(clock: &dyn Clock) -> i64 {
    i64::try_from(clock.monotonic().as_millis()).unwrap_or(i64::MAX)
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
        body: Zeroizing::default(),
        retry_after: parts.headers.get(RETRY_AFTER).and_then(seconds),
        server_time_ms: parts.headers.get(DATE).and_then(|date| calendar::http_date_ms(date.as_bytes())),
    };
    // One byte more, so that the end of a body of just this length is seen and the connection kept.
    let _ = body.as_reader().take(ANSWER_MAX + 1).read_to_end(&mut answer.body);
    answer
}

fn seconds(value: &HeaderValue) -> Option<Duration> {
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
