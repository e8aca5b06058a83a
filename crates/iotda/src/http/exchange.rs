//! Posts a body and returns what came back.
//!
//! What a status or a body means is decided in [`crate::answer`].

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, Result};
use crate::http::connect::{Connector, Timing, server_name};
use crate::http::context::Context;
use crate::http::failure::Failure;
use crate::http::pool::Pool;
use crate::http::proxy::Proxy;
use crate::http::request::{ContentLength, Post, fixed_fields};
use crate::http::resolve::{Addresses, SystemLookup};
use crate::http::stream::Answer;
use crate::monitor::{Count, Level, Monitor};
use crate::transport::Transport;

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
    connector: Connector,
    pool: Pool,
    /// What all requests have in common.
    fixed_fields: String,
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
        let fixed_fields = fixed_fields(&peer);
        let connector = Connector {
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
            peer: peer.into(),
            timing,
        };
        Ok(Exchange { connector, pool: Pool::new(kept_connections, kept_for), fixed_fields, clock, monitor })
    }

    /// Sends `post` and waits for the answer within the bounds of `context`. `sent` counts the requests that
    /// were sent: a request that meets a kept connection which the server has closed meanwhile is sent again.
    pub(crate) fn post(&self, post: &Post<'_>, context: &Context, sent: &mut u32) -> Result<Answer> {
        loop {
            *sent += 1;
            self.monitor.add(Count::BodyBytesSent, post.body.len() as u64);
            match self.post_once(post, context) {
                Ok(mut answer) => {
                    if answer.broken.is_some() && context.check().is_err() {
                        answer.broken = Some(cancelled().into());
                    }
                    self.monitor.log(Level::Debug, || {
                        format!("POST {} of {} bytes: HTTP {}", post.path.concat(), post.body.len(), answer.status)
                    });
                    if let Some(server_time_ms) = answer.server_time_ms {
                        self.monitor.server_told(server_time_ms, monotonic_ms(&*self.clock));
                    }
                    return Ok(answer);
                }
                Err(failure) => {
                    context.check().map_err(|_| cancelled())?;
                    self.monitor.log(Level::Debug, || format!("POST {}: {failure}", post.path.concat()));
                    // Each time one kept connection is gone, so this ends.
                    if !failure.stale {
                        return Err(failure.into());
                    }
                }
            }
        }
    }

    fn post_once(&self, post: &Post<'_>, context: &Context) -> Result<Answer, Failure> {
        let mut stream = match self.pool.take() {
            Some(stream) => stream,
            None => Box::new(self.connector.open(context)?),
        };
        let length = ContentLength::new(post.body.len());
        let (answer, keep) = stream.exchange(&post.head(&self.fixed_fields, &length), post.body, context)?;
        if keep {
            self.pool.keep(stream);
        }
        Ok(answer)
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
