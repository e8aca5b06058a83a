//! The calls of the inspection API: which there are, and what each does. No GET changes anything.

use super::body::Body;
use super::listing::{self, What};
use super::query::{OF_ARRIVALS, OF_DEVICES, OF_ENTRIES, OF_REPORTS, Query};
use super::{Answer, Inspection, events, failure, page, read, registration};
use crate::arrivals;
use crate::fault::Fault;
use crate::journal::json;
use crate::state::State;
use hyper::Method;
use hyper::http::request::Parts;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// The methods of each path.
fn methods(path: &str) -> Option<&'static str> {
    Some(match path {
        "/reports" | "/requests" => "GET, DELETE",
        "/products" | "/devices" => "GET, POST",
        "/faults" => "GET, POST, DELETE",
        "/clock" => "GET, PUT",
        "/clock/advance" | "/tokens/expire" => "POST",
        "/log" | "/events" | "/arrivals" | "/counters" | "/health" | "/ca.pem" => "GET",
        _ if page::file(path).is_some() => "GET",
        _ if path.starts_with("/faults/") => "DELETE",
        _ if path.starts_with("/devices/") => "PUT, DELETE",
        _ => return None,
    })
}

pub(super) async fn answer(inspection: &Inspection, head: &Parts, body: &[u8], pretty: bool) -> Answer {
    let (method, path, query) = (&head.method, head.uri.path(), head.uri.query());
    let state = &inspection.state;
    let listed = match (method, path) {
        (&Method::GET, "/reports") => Some((What::Reports, OF_REPORTS)),
        (&Method::GET, "/requests") => Some((What::Requests, OF_ENTRIES)),
        (&Method::GET, "/log") => Some((What::Log, OF_ENTRIES)),
        _ => None,
    };
    if let Some((what, names)) = listed {
        return match Query::parse(query, names) {
            Ok(query) => Answer {
                status: 200,
                content_type: "application/json",
                body: listing::list(Arc::clone(state), what, query, pretty).await,
                allow: None,
            },
            Err(text) => refusal(&failure(400, &text)),
        };
    }
    if let Some(allow) = methods(path) {
        if !allow.split(", ").any(|known| known == method.as_str()) {
            let (status, json) = failure(405, &format!("{path} takes {allow}"));
            return Answer { allow: Some(allow), ..Answer::json(status, &json, false) };
        }
    }
    if (method, path) == (&Method::GET, "/events") {
        return events(inspection, head);
    }
    if let Some((content_type, text)) = page::file(path) {
        // What a page of an earlier version asks for in its address is for the page to read.
        return Answer { status: 200, content_type, body: Body::whole(text), allow: None };
    }
    if (method, path) == (&Method::GET, "/devices") {
        return match Query::parse(query, OF_DEVICES) {
            Ok(query) => Answer::json(200, &registration::list_devices(&state.registry(), &query), pretty),
            Err(text) => refusal(&failure(400, &text)),
        };
    }
    if (method, path) == (&Method::GET, "/arrivals") {
        return match Query::parse(query, OF_ARRIVALS) {
            Ok(query) => Answer::json(200, &arrived(state, &query), pretty),
            Err(text) => refusal(&failure(400, &text)),
        };
    }
    if query.is_some() {
        return refusal(&failure(400, &format!("{path} takes no parameters")));
    }
    match (method, path) {
        (&Method::GET, "/health") => {
            let clears = state.journal().seen().clears;
            let health = json!({ "run": state.run, "clears": clears, "endpoint": inspection.endpoint });
            return Answer::json(200, &health.to_string(), pretty);
        }
        (&Method::GET, "/ca.pem") => {
            let body = Body::whole(inspection.ca_pem.clone());
            return Answer { status: 200, content_type: "application/x-pem-file", body, allow: None };
        }
        _ => {}
    }
    let (status, json) = plain(state, method.as_str(), path, body);
    Answer::json(status, &json, pretty)
}

fn refusal((status, json): &(u16, String)) -> Answer {
    Answer::json(*status, json, false)
}

fn events(inspection: &Inspection, head: &Parts) -> Answer {
    let after = match Query::parse(head.uri.query(), &["after"]) {
        Ok(query) => query.after.unwrap_or_default(),
        Err(text) => return refusal(&failure(400, &text)),
    };
    // A browser that connects again says what it has seen last, under the address that it began with.
    let seen = head.headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let after = seen.unwrap_or(after);
    match events::stream(&inspection.state, &inspection.streams, after) {
        Some(body) => Answer { status: 200, content_type: "text/event-stream", body, allow: None },
        None => refusal(&failure(503, "too many follow the events already: close another page")),
    }
}

fn arrived(state: &State, query: &Query) -> String {
    let reports = state.journal().reports().after(0, usize::MAX);
    let wanted = reports.iter().filter(|report| query.takes_report(report)).map(|report| &**report);
    let arrivals: Vec<String> = arrivals::of(wanted).iter().map(json::arrival).collect();
    format!("[{}]", arrivals.join(",\n"))
}

fn plain(state: &State, method: &str, path: &str, body: &[u8]) -> (u16, String) {
    match (method, path) {
        ("DELETE", "/reports" | "/requests") => {
            state.journal().clear();
            done()
        }
        ("GET", "/counters") => {
            let mut counters = json!(state.counters());
            counters["devices"] = state.registry().devices().len().into();
            (200, counters.to_string())
        }
        ("GET", "/products") => (200, json!(state.registry().products().collect::<Vec<_>>()).to_string()),
        ("POST", "/products") => registration::create_product(&mut state.registry_mut(), body),
        ("POST", "/devices") => registration::register_device(&mut state.registry_mut(), body),
        ("GET", "/faults") => {
            // Serialised without the lock that each request takes.
            let faults = state.faults().list().to_vec();
            (200, json!(faults).to_string())
        }
        ("POST", "/faults") => match read::<Fault>(body) {
            Err(failure) => failure,
            Ok(fault) => match state.faults().add(fault) {
                Ok(id) => (201, json!({ "id": id }).to_string()),
                Err(error) => failure(409, &error.to_string()),
            },
        },
        ("DELETE", "/faults") => {
            state.faults().clear();
            done()
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
            done()
        }
        _ => one(state, method, path, body),
    }
}

/// The calls about one thing, named in the path.
fn one(state: &State, method: &str, path: &str, body: &[u8]) -> (u16, String) {
    if let Some(id) = path.strip_prefix("/faults/") {
        let found = id.parse().is_ok_and(|id| state.faults().remove(id));
        return if found { done() } else { failure(404, &format!("there is no fault {id:?}")) };
    }
    if let Some(id) = path.strip_prefix("/devices/") {
        return match method {
            "DELETE" => registration::remove_device(state, id),
            _ => registration::change_device(state, id, body),
        };
    }
    failure(404, &format!("{path:?} is none of the paths here; iotda-platform --help lists them"))
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

fn clock(state: &State) -> (u16, String) {
    (200, json!({ "now_ms": state.clock.now_ms(), "stopped": state.clock.is_stopped() }).to_string())
}

fn done() -> (u16, String) {
    (200, "{}".to_owned())
}
