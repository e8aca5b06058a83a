//! The edge towards people and tests: plain HTTP on a loopback port, to see what was received, to register devices, to move
//! the clock, and to have faults done. The calls are listed at the crate's front page.

mod registration;

use crate::fault::Fault;
use crate::journal::json;
use crate::refusal::Refusal;
use crate::server::accept;
use crate::state::State;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::net::TcpListener;

/// In bytes.
const BODY_LIMIT: usize = 1_048_576;

/// Accepts connections for ever.
pub(crate) async fn serve(listener: TcpListener, state: Arc<State>) {
    loop {
        let Some(stream) = accept(&listener).await else { continue };
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(|request| respond(&state, request));
            // How a connection ends is the client's business.
            let _ = hyper::server::conn::http1::Builder::new()
                .header_read_timeout(None)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// A status and a JSON text.
type Answer = (u16, String);

async fn respond(state: &State, request: hyper::Request<Incoming>) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let method = request.method().as_str().to_owned();
    let path = request.uri().path().to_owned();
    let (status, body) = match Limited::new(request.into_body(), BODY_LIMIT).collect().await {
        Ok(body) => answer(state, &method, &path, &body.to_bytes()),
        Err(error) => failure(400, &format!("the request's body could not be read: {error}")),
    };
    let mut response = hyper::Response::new(Full::new(Bytes::from(body + "\n")));
    *response.status_mut() = hyper::StatusCode::from_u16(status).expect("the statuses here are all HTTP's");
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let (405, Some(allow)) = (status, methods(&path)) {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    }
    Ok(response)
}

/// The methods of each path.
fn methods(path: &str) -> Option<&'static str> {
    Some(match path {
        "/reports" | "/requests" => "GET, DELETE",
        "/products" | "/devices" => "GET, POST",
        "/faults" => "GET, POST, DELETE",
        "/counters" => "GET",
        "/clock" => "GET, PUT",
        "/clock/advance" | "/tokens/expire" => "POST",
        _ => return None,
    })
}

fn answer(state: &State, method: &str, path: &str, body: &[u8]) -> Answer {
    match (method, path) {
        ("GET", "/reports") => (200, list(state.journal().reports().map(json::report))),
        ("GET", "/requests") => (200, list(state.journal().requests().map(json::request))),
        ("DELETE", "/reports" | "/requests") => {
            state.journal().clear();
            (200, "{}".to_owned())
        }
        ("GET", "/counters") => (200, json!(state.counters()).to_string()),
        ("GET", "/products") => (200, json!(state.registry().products().collect::<Vec<_>>()).to_string()),
        ("POST", "/products") => registration::create_product(&mut state.registry_mut(), body),
        ("GET", "/devices") => (200, registration::list_devices(&state.registry())),
        ("POST", "/devices") => registration::register_device(&mut state.registry_mut(), body),
        ("GET", "/faults") => (200, list(state.faults().list().iter().map(|fault| json!(fault).to_string()))),
        ("POST", "/faults") => match read::<Fault>(body) {
            Err(failure) => failure,
            Ok(fault) => (201, json!({ "id": state.faults().add(fault) }).to_string()),
        },
        ("DELETE", "/faults") => {
            state.faults().clear();
            (200, "{}".to_owned())
        }
        ("GET", "/clock") => clock(state),
        ("PUT", "/clock") => match read::<Time>(body) {
            Err(failure) => failure,
            Ok(Time { now_ms }) => {
                state.clock.set(UNIX_EPOCH + Duration::from_millis(now_ms));
                clock(state)
            }
        },
        ("POST", "/clock/advance") => match read::<Advance>(body) {
            Err(failure) => failure,
            Ok(Advance { ms }) => {
                state.clock.advance(Duration::from_millis(ms));
                clock(state)
            }
        },
        ("POST", "/tokens/expire") => {
            state.tokens().expire_all();
            (200, "{}".to_owned())
        }
        _ => match methods(path) {
            Some(allow) => failure(405, &format!("{path} takes {allow}")),
            None => failure(404, &format!("{path:?} is none of the paths here; iotda-platform --help lists them")),
        },
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Time {
    now_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    ms: u64,
}

fn clock(state: &State) -> Answer {
    (200, json!({ "now_ms": state.clock.now_ms() }).to_string())
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(",\n"))
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Answer> {
    serde_json::from_slice(body).map_err(|error| failure(400, &format!("the request's body: {error}")))
}

/// The form is that of the platform's own refusals. The text says what is wrong: nobody needs to guess here.
fn failure(status: u16, text: &str) -> Answer {
    let code = Refusal::invalid_input("").code;
    (status, json!({ "error_code": code, "error_msg": text }).to_string())
}
