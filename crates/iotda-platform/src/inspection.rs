//! The edge towards people and tests: plain HTTP on a loopback port, to see what was received, to register devices, to
//! move the clock, and to have faults done. Who may ask is for `guard` to say, before anything else; what there is to
//! ask is in `calls`, and listed at the crate's front page.

mod body;
mod calls;
mod events;
mod guard;
mod listing;
mod page;
mod query;
mod registration;

use crate::model::without_mark;
use crate::refusal::Refusal;
use crate::server::accept;
use crate::state::State;
use body::Body;
use events::Streams;
use guard::Caller;
use http_body_util::{BodyExt, Limited};
use hyper::HeaderMap;
use hyper::body::Incoming;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// In bytes.
const BODY_LIMIT: usize = 1_048_576;
/// How long a request's head may take, and a connection be silent between two of them.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a request's body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What all connections share.
pub(crate) struct Inspection {
    state: Arc<State>,
    /// Host names that are allowed beside this machine's.
    hosts: Vec<String>,
    /// Where devices connect, and the authority that they must trust.
    endpoint: String,
    ca_pem: String,
    streams: Arc<Streams>,
}

impl Inspection {
    pub(crate) fn new(state: Arc<State>, hosts: Vec<String>, endpoint: String, ca_pem: String) -> Self {
        Self { state, hosts, endpoint, ca_pem, streams: Arc::default() }
    }
}

/// Accepts connections for ever.
pub(crate) async fn serve(listener: TcpListener, inspection: Arc<Inspection>) {
    loop {
        let Some(stream) = accept(&listener, &inspection.state).await else { continue };
        let inspection = Arc::clone(&inspection);
        tokio::spawn(async move {
            let activity = inspection.state.crowd.enter();
            let service = service_fn(|request| {
                activity.is_busy();
                respond(&inspection, request)
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            // How a connection ends is the client's business. One that has asked for nothing makes way for others.
            tokio::select! {
                _ = connection => {}
                () = activity.made_way() => {}
            }
            inspection.state.crowd.leave(&activity);
        });
    }
}

/// What is answered to a call.
struct Answer {
    status: u16,
    content_type: &'static str,
    body: Body,
    /// The methods that the path takes, where it was another one.
    allow: Option<&'static str>,
}

impl Answer {
    fn json(status: u16, json: &str, pretty: bool) -> Self {
        let body = Body::whole(body::presentable(json, pretty) + "\n");
        Self { status, content_type: "application/json", body, allow: None }
    }
}

async fn respond(
    inspection: &Inspection,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let pretty = asks_for_a_page(&head.headers);
    let answer = match guard::check(&caller(&head.headers, head.uri.authority().is_some()), &inspection.hosts) {
        Err(rule) => {
            let (status, json) = failure(403, &format!("refused: {rule}"));
            Answer::json(status, &json, false)
        }
        Ok(()) => match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_LIMIT).collect()).await {
            Ok(Ok(body)) => calls::answer(inspection, &head, without_mark(&body.to_bytes()), pretty).await,
            Ok(Err(error)) => {
                let (status, json) = failure(400, &format!("the request's body could not be read: {error}"));
                Answer::json(status, &json, false)
            }
            Err(_) => {
                let (status, json) = failure(408, "the request's body did not come");
                Answer::json(status, &json, false)
            }
        },
    };
    Ok(response(answer))
}

/// A browser's navigation accepts a page; its scripts and programs do not name that type.
fn asks_for_a_page(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).is_some_and(|value| value.as_bytes().windows(9).any(|part| part == b"text/html"))
}

fn caller(headers: &HeaderMap, target_has_host: bool) -> Caller<'_> {
    let all = |name: &str| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    Caller { host: all("host"), origin: all("origin"), sec_fetch_site: all("sec-fetch-site"), target_has_host }
}

/// No other page may show, run or read what comes from here, and nothing of it is kept by the browser. There are no
/// headers that would let another origin in (CORS), and there never will be.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

fn response(answer: Answer) -> hyper::Response<Body> {
    let mut response = hyper::Response::new(answer.body);
    *response.status_mut() = hyper::StatusCode::from_u16(answer.status).expect("the statuses here are all HTTP's");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(allow) = answer.allow {
        headers.insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    response
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, (u16, String)> {
    serde_json::from_slice(body).map_err(|error| failure(400, &format!("the request's body: {error}")))
}

/// The form is that of the platform's own refusals. The text says what is wrong: nobody needs to guess here.
fn failure(status: u16, text: &str) -> (u16, String) {
    let code = Refusal::invalid_input("").code;
    (status, json!({ "error_code": code, "error_msg": text }).to_string())
}
