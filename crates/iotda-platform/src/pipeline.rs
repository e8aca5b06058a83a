//! From a request to its answer, as a sequence of steps: route → authenticate → authorise → limit → validate →
//! record. Each step is a function on values in a module of its own; this one calls them in their order and lends them
//! the parts of the state that they work on. Connections are left to `server`.

mod access;
mod batch;
mod content;
mod credentials;
mod interference;
mod json;
mod route;
mod services;

use crate::fault;
use crate::journal::{Entry, Report, ReportKind, RequestRecord};
use crate::refusal::Refusal;
use crate::request::{Body, Request};
use crate::state::State;
use route::Route;
use services::Validated;

use serde::Serialize;

pub(crate) use interference::{answer_instead, complete_target, expire_tokens, rotate_token, target_of_path};

/// An answer, ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case. Those that every answer has, and those about its length, are the server's.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What the steps have made of a request.
struct Outcome {
    /// The device that the request names as its sender.
    device_id: Option<String>,
    result: Result<Accepted, Refusal>,
}

enum Accepted {
    Token {
        access_token: String,
        expires_in: u32,
    },
    Reports {
        kind: ReportKind,
        reports: Vec<Report>,
        /// Why some of it was thrown away.
        discarded: Vec<String>,
    },
}

/// The body of the answer to an authentication.
#[derive(Serialize)]
struct TokenBody<'a> {
    access_token: &'a str,
    expires_in: u32,
}

/// Decides about a request, records it, and says what to answer.
/// `faults` are the names of those that it has met.
pub(crate) fn answer(state: &State, request: Request, faults: Vec<String>) -> Answer {
    let now_ms = state.clock.now_ms();
    let Outcome { device_id, result } = decide(state, &request, now_ms);
    let call = target_of_path(&request.path).route.unwrap_or_default();
    let units = if let Body::Complete(body) = &request.body { content::cost(body) } else { 0 };
    let mut record = record(request, call, device_id, now_ms);
    record.faults = faults;
    let result = keep(state, record, result);
    let answer = Answer::from(&result);
    state.count(|counters| {
        counters.requests += 1;
        if matches!(&result, Ok(Accepted::Reports { .. })) {
            counters.units += units;
        }
        if matches!(&result, Ok(Accepted::Reports { discarded, .. }) if !discarded.is_empty()) {
            counters.discarded += 1;
        }
        match &result {
            Ok(Accepted::Token { .. }) => counters.authentications += 1,
            Ok(Accepted::Reports { kind: ReportKind::Message, .. }) => counters.messages += 1,
            Ok(Accepted::Reports { kind: ReportKind::Properties, .. }) => counters.property_reports += 1,
            Ok(Accepted::Reports { kind: ReportKind::Batch, .. }) => counters.batches += 1,
            Err(_) => counters.refusals += 1,
        }
    });
    answer
}

fn decide(state: &State, request: &Request, now_ms: i64) -> Outcome {
    match route::route(request) {
        Err(refusal) => Outcome { device_id: None, result: Err(refusal) },
        Ok(Route::Authentication) => authentication(state, request, now_ms),
        Ok(Route::Report { kind, device_id }) => {
            let result = report(state, request, kind, &device_id, now_ms);
            Outcome { device_id: Some(device_id), result }
        }
    }
}

fn authentication(state: &State, request: &Request, now_ms: i64) -> Outcome {
    let credentials = content::complete(&request.body)
        .and_then(|body| content::check_type(&request.headers).and_then(|()| credentials::parse(body)));
    match credentials {
        Err(refusal) => Outcome { device_id: None, result: Err(refusal) },
        Ok(credentials) => {
            let result = issue(state, &credentials, now_ms);
            Outcome { device_id: Some(credentials.device_id), result }
        }
    }
}

fn issue(state: &State, credentials: &credentials::Credentials, now_ms: i64) -> Result<Accepted, Refusal> {
    let device_id = &credentials.device_id;
    let registry = state.registry();
    // Unknown devices are not counted: whoever invents IDs must not make the platform remember them all.
    let secret = credentials::secret_of(&registry, device_id)?;
    state.auth_limiter().admit(device_id, registry.auth_rates(), 1, now_ms)?;
    credentials::verify(credentials, secret, now_ms)?;
    let access_token = new_token(state, device_id, now_ms)?;
    Ok(Accepted::Token { access_token, expires_in: state.settings.token_lifetime_s })
}

/// Issues a token, and lets the device's earlier ones run out.
fn new_token(state: &State, device_id: &str, now_ms: i64) -> Result<String, Refusal> {
    let token = state.new_token().map_err(|error| Refusal::internal(error.to_string()))?;
    let lifetime_ms = i64::from(state.settings.token_lifetime_s) * 1000;
    state.tokens().issue(token.clone(), device_id, lifetime_ms, now_ms);
    Ok(token)
}

fn report(
    state: &State,
    request: &Request,
    kind: ReportKind,
    device_id: &str,
    now_ms: i64,
) -> Result<Accepted, Refusal> {
    let registry = state.registry();
    access::check(&request.headers, &state.tokens(), device_id, now_ms)?;
    let body = content::within_size(kind, &request.body)?;
    let cost = content::cost(body);
    state.report_limiter().admit(device_id, registry.report_rates(device_id), cost, now_ms)?;
    content::check_type(&request.headers)?;
    let is_strict = state.settings.strict_model;
    let Validated { reports, discarded } = match kind {
        ReportKind::Message => Validated {
            discarded: Vec::new(),
            reports: vec![Report {
                number: 0,
                request: 0,
                kind,
                reporter: device_id.to_owned(),
                device_id: device_id.to_owned(),
                received_at_ms: now_ms,
                body: body.to_vec(),
                services: Vec::new(),
            }],
        },
        ReportKind::Properties => services::validate(&registry, is_strict, device_id, body, now_ms)?,
        ReportKind::Batch => batch::validate(&registry, is_strict, device_id, body, now_ms)?,
    };
    Ok(Accepted::Reports { kind, reports, discarded })
}

/// Records the request and, if it was accepted, its reports. One that cannot be recorded is refused.
fn keep(state: &State, mut record: RequestRecord, result: Result<Accepted, Refusal>) -> Result<Accepted, Refusal> {
    let mut result = result;
    let reports = match &mut result {
        Ok(Accepted::Reports { reports, .. }) => std::mem::take(reports),
        _ => Vec::new(),
    };
    note_result(&mut record, &result);
    let mut journal = state.journal();
    let added = journal.add(record, reports).unwrap_or_else(|failed| {
        let (mut record, error) = *failed;
        result = Err(Refusal::internal(error.to_string()));
        note_result(&mut record, &result);
        journal.keep(record, Vec::new())
    });
    drop(journal);
    state.show(&Entry::Request(added));
    result
}

fn note_result(record: &mut RequestRecord, result: &Result<Accepted, Refusal>) {
    match result {
        Ok(accepted) => {
            record.status = 200;
            if let Accepted::Reports { discarded, .. } = accepted {
                record.discarded = (!discarded.is_empty()).then(|| discarded.join("; "));
            }
        }
        Err(refusal) => {
            record.status = refusal.status;
            record.error_code = Some(refusal.code.to_owned());
            record.reason = Some(refusal.reason.clone());
        }
    }
}

/// A record of a request that nothing has been decided about.
fn record(request: Request, call: fault::Route, device_id: Option<String>, received_at_ms: i64) -> RequestRecord {
    let mut body = request.body.into_kept();
    body.shrink_to_fit();
    RequestRecord {
        number: 0,
        call,
        method: request.method,
        target: request.target,
        http_version: request.version.name().to_owned(),
        headers: request.headers.0,
        body,
        status: 0,
        error_code: None,
        reason: None,
        discarded: None,
        device_id,
        received_at_ms,
        connection: request.connection,
        faults: Vec::new(),
    }
}

impl From<&Result<Accepted, Refusal>> for Answer {
    fn from(result: &Result<Accepted, Refusal>) -> Self {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let json = || header("content-type", "application/json");
        match result {
            Ok(Accepted::Token { access_token, expires_in }) => {
                let body = serde_json::to_vec(&TokenBody { access_token, expires_in: *expires_in })
                    .expect("a text and a number can always be written as JSON");
                Answer { status: 200, headers: vec![json()], body }
            }
            Ok(Accepted::Reports { .. }) => Answer { status: 200, headers: Vec::new(), body: Vec::new() },
            Err(refusal) => {
                let allow = refusal.allow.map(|allow| header("allow", allow));
                let headers = std::iter::once(json()).chain(allow).collect();
                Answer { status: refusal.status, headers, body: refusal.body() }
            }
        }
    }
}
