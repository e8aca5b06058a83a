//! HTTP over one connection: hyper reads the requests and writes the answers, and hands the connection over wherever a
//! fault has something to do that hyper would not. What a request means and what it is answered is for `pipeline`.

use super::crowd::{Activity, Phase};
use super::delivery;
use super::plain::{Plain, Progress};
use super::reply::{Reply, Then, Written};
use super::wire::Idle;
use crate::calendar;
use crate::fault::{Close, Kind, Stage, Stall, Target};
use crate::journal::IncidentKind;
use crate::pipeline::{self, Answer};
use crate::request::{BODY_LIMIT, Body, Headers, Request, Version};
use crate::state::State;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, EXPECT};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// How much of a body that is too large is read and thrown away, so that a client that sends before it reads gets to
/// see the answer. Whatever is longer is cut off.
const DISCARD_LIMIT: u64 = 8 * 1_048_576;

/// What is to be done with a connection that was taken from hyper.
enum Order {
    Send { written: Written, delivery: Option<Box<Kind>> },
    Unread(Stall),
    Cut(Close),
}

/// One connection, and what those who serve a request on it share.
struct Exchange<'a> {
    state: &'a State,
    connection: u64,
    progress: Progress,
    activity: &'a Activity,
    /// A fault of an earlier request that is still to be done: it is done when the connection has been idle.
    idle_close: Option<Kind>,
    order: Mutex<Option<Order>>,
}

/// The service's word to hyper that it has nothing more to do here.
#[derive(Debug)]
struct TakenOver;

impl fmt::Display for TakenOver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a fault has taken the connection over")
    }
}

impl std::error::Error for TakenOver {}

/// Serves requests until the connection ends.
pub(super) async fn serve(mut plain: Plain, progress: Progress, state: &State, activity: &Activity, connection: u64) {
    let mut idle_close = None;
    loop {
        let (progress, order) = (progress.clone(), Mutex::new(None));
        let idle_close_now = idle_close.take();
        let exchange =
            Exchange { state, connection, progress: progress.clone(), activity, idle_close: idle_close_now, order };
        let service = service_fn(|request| Box::pin(exchange.respond(request)));
        let mut http = hyper::server::conn::http1::Builder::new()
            .auto_date_header(false)
            .header_read_timeout(None)
            .serve_connection(TokioIo::new(plain), service);
        // How a connection ends is the client's business. What it sent in whole has been answered and recorded.
        let ended = poll_fn(|context| http.poll_without_shutdown(context)).await;
        if let Some(error) = ended.err().filter(hyper::Error::is_parse) {
            state.note(IncidentKind::Http, connection, format!("this is not a request of HTTP: {error}"));
        }
        let parts = http.into_parts();
        plain = parts.io.into_inner();
        let cut = progress.is_cut().map(Order::Cut);
        let order = exchange.order().take().or(cut);
        if order.is_some() {
            activity.is_in(Phase::Busy);
        }
        let sent = match order {
            None => {
                // The same holds for this.
                let _ = plain.shutdown().await;
                return;
            }
            Some(Order::Cut(close)) => Ok(Then::Close(close)),
            Some(Order::Unread(stall)) => {
                plain.pause_unread(stall).await;
                Ok(Then::Close(Close::Reset))
            }
            Some(Order::Send { written, delivery }) => delivery::send(&mut plain, written, delivery.as_deref()).await,
        };
        match sent {
            Ok(Then::KeepAlive) => plain.put_back(parts.read_buf),
            Ok(Then::Idle(after_ms, close)) => {
                plain.put_back(parts.read_buf);
                match plain.wait_idle(Duration::from_millis(after_ms)).await {
                    Idle::Disturbed => idle_close = Some(Kind::IdleClose { after_ms, close }),
                    Idle::Over => return plain.end(close).await,
                    Idle::Gone => return,
                }
            }
            Ok(Then::Close(close)) => return plain.end(close).await,
            Ok(Then::Hold) | Err(_) => return,
        }
        activity.is_in(Phase::Idle);
    }
}

impl Exchange<'_> {
    async fn respond(&self, request: hyper::Request<Incoming>) -> Result<hyper::Response<Full<Bytes>>, TakenOver> {
        let (head, body) = request.into_parts();
        self.activity.is_in(Phase::Body);
        let mut target = pipeline::target_of_path(head.uri.path());
        let met = if self.progress.has_cut() { None } else { self.state.faults().meet_head(&target) };
        if let Some(fault) = &met {
            self.meet_at_head(fault, &head, &target)?;
        }
        let name_at_head = met.map(|fault| fault.name().to_owned());
        let body = receive_body(body, head.headers.contains_key(EXPECT)).await;
        if self.progress.is_cut().is_some() {
            return Err(TakenOver);
        }
        let objection = self.progress.objection();
        self.progress.request_is_over();
        self.activity.is_in(Phase::Idle);
        let keep_alive = keeps_alive(&head) && matches!(body, Body::Complete(_));
        let mut request = self.request(&head, body);
        request.objection = objection;
        pipeline::complete_target(&mut target, &request);

        let met = self.state.faults().meet_request(&target);
        match met.of(Stage::Token) {
            Some(Kind::TokenExpired { grace }) => pipeline::expire_tokens(self.state, &target, *grace),
            Some(Kind::TokenRotated {}) => pipeline::rotate_token(self.state, &target),
            _ => {}
        }
        let names = name_at_head.into_iter().chain(met.names()).collect();
        let (answer, close) = match met.of(Stage::Answer) {
            Some(Kind::Answer(injected)) => {
                let answer = pipeline::answer_instead(self.state, request, target, Some(injected), names);
                (answer, injected.close_after())
            }
            _ => (pipeline::answer(self.state, request, names), None),
        };
        let off_s = if let Some(Kind::Date { off_s }) = met.of(Stage::Date) { *off_s } else { 0 };
        let reply = self.reply(answer, off_s, keep_alive);
        let delivery = met.of(Stage::Delivery).or(self.idle_close.as_ref());
        match (met.of(Stage::Form), delivery, close) {
            (None, None, None) => Ok(reply.into_response()),
            (form, delivery, close) => {
                let mut written = reply.write(form);
                written.then = close.map_or(written.then, Then::Close);
                Err(self.take_over(Order::Send { written, delivery: delivery.cloned().map(Box::new) }))
            }
        }
    }

    /// Does what a fault does before a request's body is read.
    fn meet_at_head(&self, fault: &Kind, head: &Parts, target: &Target) -> Result<(), TakenOver> {
        let unread = || self.request(head, Body::Broken { start: Vec::new(), error: "it was not read".to_owned() });
        let names = vec![fault.name().to_owned()];
        match fault {
            Kind::RequestCut { after, close } => match self.progress.cut_after(*after, *close) {
                true => Err(TakenOver),
                false => Ok(()),
            },
            Kind::RequestSlow { bytes_per_s } => {
                self.progress.read_slowly(*bytes_per_s);
                Ok(())
            }
            Kind::RequestUnread { for_ms } => {
                pipeline::answer_instead(self.state, unread(), target.clone(), None, names);
                Err(self.take_over(Order::Unread(*for_ms)))
            }
            Kind::EarlyAnswer(injected) => {
                let answer = pipeline::answer_instead(self.state, unread(), target.clone(), Some(injected), names);
                let mut written = self.reply(answer, 0, false).write(None);
                written.then = injected.close_after().map_or(written.then, Then::Close);
                Err(self.take_over(Order::Send { written, delivery: None }))
            }
            _ => Ok(()),
        }
    }

    fn take_over(&self, order: Order) -> TakenOver {
        *self.order() = Some(order);
        TakenOver
    }

    fn order(&self) -> MutexGuard<'_, Option<Order>> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn request(&self, head: &Parts, body: Body) -> Request {
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        Request {
            method: head.method.as_str().to_owned(),
            target: head.uri.to_string(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().map(str::to_owned),
            version: if head.version == hyper::Version::HTTP_10 { Version::Http10 } else { Version::Http11 },
            body,
            headers: Headers(headers),
            connection: self.connection,
            objection: None,
        }
    }

    fn reply(&self, answer: Answer, date_off_s: i64, keep_alive: bool) -> Reply {
        let now_ms = self.state.clock.now_ms().saturating_add(date_off_s.saturating_mul(1000));
        let date = ("date".to_owned(), calendar::format_http_date(now_ms));
        let headers = std::iter::once(date).chain(answer.headers).collect();
        Reply { status: answer.status, headers, body: answer.body, keep_alive }
    }
}

/// Whether the client wants to send another request over the same connection. hyper goes by the same rule.
fn keeps_alive(head: &Parts) -> bool {
    let mut options = head.headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let mut says =
        |word: &str| options.any(|value| value.split(',').any(|option| option.trim().eq_ignore_ascii_case(word)));
    match head.version {
        hyper::Version::HTTP_10 => says("keep-alive"),
        _ => !says("close"),
    }
}

/// Reads a body as far as it may go, and a little further. A client that waits for leave to send
/// (`Expect: 100-continue`) is given none for a body that is too large.
async fn receive_body(mut body: Incoming, client_waits: bool) -> Body {
    let mut kept = Vec::new();
    let mut length = 0;
    let declared = body.size_hint().lower();
    if declared > DISCARD_LIMIT || (client_waits && declared > BODY_LIMIT as u64) {
        return Body::TooLarge { start: kept, at_least: declared };
    }
    while let Some(frame) = body.frame().await {
        let data = match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(data)) => data,
            // Trailers: none are documented, and nothing hangs on them.
            Ok(Err(_)) => continue,
            Err(error) => return Body::Broken { start: kept, error: error.to_string() },
        };
        length += data.len() as u64;
        let room = BODY_LIMIT - kept.len();
        kept.extend_from_slice(&data[..data.len().min(room)]);
        if length > DISCARD_LIMIT {
            break;
        }
    }
    if length > BODY_LIMIT as u64 {
        return Body::TooLarge { start: kept, at_least: length };
    }
    Body::Complete(kept)
}
