//! What faults need of the rules: whom a request is from, tokens that change behind its back, and an answer that the
//! steps did not make. Which faults there are to be done is `server`'s to find out.

use super::{Answer, new_token, record, route};
use crate::fault::{self, InjectedAnswer, Target};
use crate::journal::{Entry, ReportKind};
use crate::request::{Body, Request};
use crate::state::State;
use serde::Deserialize;

/// What the path of a request says about it.
pub(crate) fn target_of_path(path: &str) -> Target {
    let Some((kind, device_id)) = route::find(path) else { return Target::default() };
    let route = match kind {
        None => return Target { route: Some(fault::Route::Auth), device_id: None },
        Some(ReportKind::Message) => fault::Route::Message,
        Some(ReportKind::Properties) => fault::Route::Properties,
        Some(ReportKind::Batch) => fault::Route::Batch,
    };
    Target { route: Some(route), device_id: Some(device_id.to_owned()) }
}

/// Adds what the body says: of an authentication, the device.
pub(crate) fn complete_target(target: &mut Target, request: &Request) {
    #[derive(Deserialize)]
    struct Sender {
        device_id: String,
    }

    if let (Some(fault::Route::Auth), Body::Complete(body)) = (target.route, &request.body) {
        // A body that is no such thing is refused later on.
        target.device_id = serde_json::from_slice(body).ok().map(|Sender { device_id }| device_id);
    }
}

/// Makes the sender's tokens invalid.
pub(crate) fn expire_tokens(state: &State, target: &Target, grace: bool) {
    let Some(device_id) = &target.device_id else { return };
    match grace {
        true => state.tokens().expire_with_grace(device_id, state.clock.now_ms()),
        false => state.tokens().expire(device_id),
    }
}

/// Issues a token to the sender that nobody gets.
pub(crate) fn rotate_token(state: &State, target: &Target) {
    let Some(device_id) = &target.device_id else { return };
    if state.registry().device(device_id).is_some() {
        // Without random bytes there is no new token, and the old ones stay.
        let _ = new_token(state, device_id, state.clock.now_ms());
    }
}

/// Records a request that is answered by a fault, or not at all, without being looked at.
pub(crate) fn answer_instead(
    state: &State,
    request: Request,
    target: Target,
    injected: Option<&InjectedAnswer>,
    faults: Vec<String>,
) -> Answer {
    let now_ms = state.clock.now_ms();
    let answer = match injected {
        Some(injected) => Answer {
            status: injected.status_sent().expect("a fault is checked for a status before it is armed"),
            headers: injected.headers(now_ms),
            body: injected.body_sent(),
        },
        None => Answer { status: 0, headers: Vec::new(), body: Vec::new() },
    };
    state.count(|counters| {
        counters.requests += 1;
        counters.refusals += 1;
    });
    let mut record = record(request, target.route.unwrap_or_default(), target.device_id, now_ms);
    record.status = answer.status;
    record.error_code = injected.and_then(InjectedAnswer::code_sent).map(str::to_owned);
    record.reason = Some("a fault decided the answer, not the rules".to_owned());
    record.faults = faults;
    // Where a file cannot be written, the fault is done all the same.
    let mut journal = state.journal();
    let added = journal.add(record, Vec::new()).unwrap_or_else(|failed| journal.keep(failed.0, Vec::new()));
    drop(journal);
    state.show(&Entry::Request(added));
    answer
}
