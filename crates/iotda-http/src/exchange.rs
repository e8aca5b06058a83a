//! Posts a body and returns what came back: the boundary between delivering reports and HTTP.
//!
//! A request is sent once. Whether it is sent again, and what a status or a body means, is decided by the caller.

use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::bounds::Bounds;
use crate::clock::Clock;
use crate::connect::Connector;
use crate::endpoint::Endpoint;
use crate::error::{Arrived, Error, Kind, Result};
use crate::pool::Pool;
use crate::request::{ContentLength, head};
use crate::tls::TlsSettings;
use crate::transport::Route;
use crate::watch::Watch;

/// Sends requests to one server. Used from many threads at once.
pub trait Exchange: Send + Sync {
    /// Sends `post`, once, and waits for the answer within `bounds`. An answer is one whose status has come, whatever
    /// it is; redirects are answers.
    fn post(&self, post: &Post<'_>, bounds: &Bounds<'_>) -> Result<Answer>;
}

/// One request: where to, as whom, and what.
#[derive(Clone, Copy)]
pub struct Post<'a> {
    /// The path, in pieces.
    pub path: [&'a str; 3],
    /// The access token, if the request carries one.
    pub token: Option<&'a str>,
    /// The body, JSON or a message's bytes.
    pub body: &'a [u8],
}

/// What came back.
#[derive(Clone, Default)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// As much of it as came, at most 64 KB. It may hold a token.
    pub body: Zeroizing<Vec<u8>>,
    /// From the `Retry-After` field.
    pub retry_after: Option<Duration>,
    /// From the `Date` field, in Unix milliseconds.
    pub server_time_ms: Option<i64>,
    /// Why the body did not come whole. It matters where the body does: the status has come.
    pub broken: Option<Box<Error>>,
}

/// A kept connection that brings nothing for so long is not trusted any more, nor those that are as old; a shorter wait
/// says more of the caller's deadline than of the connection.
const SILENCE: Duration = Duration::from_secs(1);

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The most that TCP and TLS may take together.
    pub connect: Duration,
    /// How long a request usually waits for something to move, [`Bounds::patience`].
    pub patience: Duration,
    /// After this long without traffic the system probes the peer (TCP keep-alive); `None`: never.
    pub keepalive: Option<Duration>,
}

/// How many connections there are.
#[derive(Clone, Copy, Debug)]
pub struct KeptConnections {
    /// The most that are open for requests at the same time.
    pub most: usize,
    /// The most that are kept while nobody uses them.
    pub idle: usize,
    /// How long they are kept.
    pub time: Duration,
}

/// What the connections of a client are made of.
pub struct Settings {
    /// Whom to post to.
    pub endpoint: Endpoint,
    /// How it is reached.
    pub route: Route,
    /// Whom to trust.
    pub tls: TlsSettings,
    /// How long things may take.
    pub timing: Timing,
    /// How many connections there are.
    pub kept: KeptConnections,
    /// Checks certificates.
    pub clock: Arc<dyn Clock>,
    /// Counts and logs.
    pub watch: Arc<Watch>,
}

/// Posts to one server over connections that are kept.
pub struct Https {
    connector: Connector,
    pool: Pool,
}

impl Https {
    /// Checks the settings; opens nothing.
    pub fn new(settings: Settings) -> Result<Self> {
        let kept = settings.kept;
        Ok(Https { connector: Connector::new(settings)?, pool: Pool::new(kept) })
    }
}

impl Exchange for Https {
    fn post(&self, post: &Post<'_>, bounds: &Bounds<'_>) -> Result<Answer> {
        let result = self.post_once(post, bounds);
        // Whatever a cancelled request met, it was cancelled.
        match result {
            Err(error) if bounds.is_cancelled() => Err(cancelled(error.sent, error.arrived)),
            Ok(mut answer) if answer.broken.is_some() && bounds.is_cancelled() => {
                answer.broken = Some(Box::new(cancelled(true, Arrived::Perhaps)));
                Ok(answer)
            }
            result => result,
        }
    }
}

impl Https {
    fn post_once(&self, post: &Post<'_>, bounds: &Bounds<'_>) -> Result<Answer> {
        let began = Instant::now();
        let (slot, kept) = self.pool.take(began, bounds)?;
        let (mut stream, now) = match kept {
            Some(stream) => (stream, began),
            None => (Box::new(self.connector.open(bounds)?), Instant::now()),
        };
        let length = ContentLength::new(post.body.len());
        let head = head(post, &self.connector.fixed_fields, &length);
        let result = stream.exchange(&head, post.body, now, &*self.connector.clock, bounds);
        match result {
            Ok((answer, keep)) => {
                if stream.is_first_answer() {
                    self.connector.answered(stream.address());
                }
                if keep {
                    let since = stream.last_moved();
                    slot.keep(stream, since);
                }
                Ok(answer)
            }
            Err(mut error) if stream.was_kept() => {
                // No answer on a kept connection: it was probably dead, and older ones with it.
                let is_silent = error.kind == Kind::Timeout && began.elapsed() >= SILENCE.min(bounds.patience);
                if (error.kind == Kind::Connect || is_silent) && !bounds.is_cancelled() {
                    self.pool.distrust(stream.opened());
                    error.kept = !stream.was_heard();
                }
                Err(error)
            }
            Err(error) => {
                // A call's own short deadline is no evidence against an address.
                let patient = began.elapsed() >= self.connector.timing.patience.min(bounds.patience);
                if !bounds.is_cancelled() && (error.kind != Kind::Timeout || patient) {
                    self.connector.failed(stream.address());
                }
                Err(error)
            }
        }
    }
}

pub(crate) fn cancelled(sent: bool, arrived: Arrived) -> Error {
    let message = match arrived {
        Arrived::No => "the call was cancelled before the request was sent",
        Arrived::Perhaps => "the call was cancelled; what was being sent may have arrived",
    };
    Error { sent, arrived, ..Error::new(Kind::Cancelled, message) }
}

#[cfg(test)]
mod tests;
