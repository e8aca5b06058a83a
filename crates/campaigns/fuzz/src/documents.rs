//! Bodies of reports: what is accepted is what the page documents, arrives as it was written, and what is cut into
//! several requests arrives once, in order, each within the page's limits.

use crate::choices::Choices;
use crate::memory::Platform;
use crate::{check_message, page};
use iotda::{BatchError, CallOptions, Child, Client, Delivery, ErrorKind, Service};
use std::sync::{Arc, Mutex};

/// "Body length", and how many children a request may have.
const BODY_LIMIT: usize = 1_048_576;
const CHILDREN_MAX: usize = 50;

pub(crate) fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let kind = choices.below(5);
    let stand = Stand::new(1 + choices.number() as usize % 5000);
    match kind {
        0 => properties(&stand, choices.rest()),
        1 => batch(&stand, choices.rest()),
        2 => message(&stand, choices.rest()),
        3 => typed(&stand, &mut choices),
        _ => typed_batch(&stand, &mut choices),
    }
}

/// The last part of a request's path, and its body.
type Arrived = (String, Vec<u8>);

/// A client, and what arrives of it.
struct Stand {
    client: Client,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl Stand {
    fn new(piece: usize) -> Self {
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&arrived);
        let platform = Platform::new(piece, move |call, body| {
            kept.lock().expect("no panic before").push((call.to_owned(), body.to_vec()));
            (200, String::new())
        });
        Self { client: platform.client(), arrived }
    }

    fn arrived(&self) -> Vec<Arrived> {
        std::mem::take(&mut *self.arrived.lock().expect("no panic before"))
    }
}

fn properties(stand: &Stand, data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let ours = stand.client.report_properties_json(text, CallOptions::new());
    let documented = page::is_properties(text);
    match &ours {
        Ok(_) => {
            assert!(documented, "accepted, and not documented: {text}");
            assert_eq!(stand.arrived(), [("properties/report".to_owned(), data.to_vec())]);
        }
        Err(error) => {
            check_message(error);
            // Names and ids are compared as they are written: a letter that is escaped needlessly is refused.
            assert!(!documented || text.contains('\\'), "documented, and refused: {text}: {error}");
            assert!(stand.arrived().is_empty());
        }
    }
    assert_eq!(ours.is_ok(), Client::check_properties_json(text).is_ok(), "{text}");
}

fn batch(stand: &Stand, data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let report = stand.client.report_batch_json(text, CallOptions::new());
    if let Err(error) = &report {
        check_message(error.error());
    }
    let arrived = stand.arrived();
    let Some(children) = page::children(text) else {
        assert!(report.is_err() && arrived.is_empty(), "accepted, and no batch: {text}");
        return;
    };
    let outcomes = outcomes(&report, children.len());
    if outcomes.is_empty() {
        assert!(report.is_err() && arrived.is_empty(), "{text}");
        // What cannot be cut into children is refused as a whole.
        assert!(text.contains('\\') || crate::json::depth(text) > 128, "a batch is refused: {text}: {:?}", report);
        return;
    }
    assert_eq!(outcomes.len(), children.len(), "{text}");
    let mut delivered = Vec::new();
    for ((child, is_right), outcome) in children.iter().zip(&outcomes) {
        match outcome {
            Ok(()) => {
                assert!(is_right, "accepted, and not documented: {child}");
                delivered.push(*child);
            }
            Err(_) => assert!(!is_right || child.contains('\\'), "documented, and refused: {child}"),
        }
    }
    assert_eq!(sent_children(&arrived), delivered, "{text}");
}

fn message(stand: &Stand, data: &[u8]) {
    stand.client.report_message(data, CallOptions::new()).expect("a message is any bytes");
    assert_eq!(stand.arrived(), [("messages/up".to_owned(), data.to_vec())]);
}

fn typed(stand: &Stand, choices: &mut Choices) {
    let texts = services(choices);
    let services: Vec<Service> = texts.iter().map(Owned::service).collect();
    let report = stand.client.report_properties(&services, CallOptions::new());
    let arrived = stand.arrived();
    match report {
        Ok(_) => {
            let [(call, body)] = arrived.as_slice() else { panic!("{} requests", arrived.len()) };
            assert!(call == "properties/report" && page::is_properties(std::str::from_utf8(body).expect("UTF-8")));
        }
        Err(error) => {
            check_message(&error);
            let is_right = !texts.is_empty() && texts.iter().all(Owned::is_right);
            assert!(arrived.is_empty() && !is_right, "{texts:?}: {error}");
        }
    }
}

fn typed_batch(stand: &Stand, choices: &mut Choices) {
    let mut owned = Vec::new();
    while !choices.is_done() && owned.len() < 200 {
        let id = if choices.below(4) == 0 { choices.text() } else { format!("c{}", choices.byte()) };
        owned.push((id, services(choices)));
    }
    let services: Vec<Vec<Service>> =
        owned.iter().map(|(_, services)| services.iter().map(Owned::service).collect()).collect();
    let children: Vec<Child> =
        owned.iter().zip(&services).map(|((id, _), services)| Child::new(id, services.as_slice())).collect();
    let report = stand.client.report_batch(&children, CallOptions::new());
    let arrived = stand.arrived();
    if children.is_empty() {
        assert!(report.is_err() && arrived.is_empty());
        return;
    }
    let outcomes = outcomes(&report, children.len());
    assert_eq!(outcomes.len(), children.len());
    let mut delivered = Vec::new();
    for ((id, services), outcome) in owned.iter().zip(&outcomes) {
        let is_id =
            (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        let is_right = is_id && !services.is_empty() && services.iter().all(Owned::is_right);
        assert_eq!(outcome.is_ok(), is_right, "{id:?} {services:?}: {outcome:?}");
        if is_right {
            delivered.push(id.clone());
        }
    }
    let sent = sent_children(&arrived);
    let ids: Vec<String> = sent.iter().map(|child| page::child_id(child).expect("an id")).collect();
    assert_eq!(ids, delivered);
}

/// What became of each child of a batch with so many.
pub(crate) fn outcomes(result: &Result<Delivery, BatchError>, children: usize) -> Vec<Result<(), ErrorKind>> {
    match result {
        Ok(_) => vec![Ok(()); children],
        Err(error) => error.children().to_vec(),
    }
}

/// The children of all requests, in order. Each request is as the page documents it.
fn sent_children(arrived: &[Arrived]) -> Vec<String> {
    let mut sent = Vec::new();
    for (call, body) in arrived {
        assert_eq!(call, "gateway/sub-devices/properties/report");
        assert!(body.len() < BODY_LIMIT, "{} bytes", body.len());
        let text = std::str::from_utf8(body).expect("UTF-8");
        let children = page::children(text).unwrap_or_else(|| panic!("no batch was sent: {text}"));
        assert!(children.len() <= CHILDREN_MAX && children.iter().all(|(_, is_right)| *is_right), "{text}");
        sent.extend(children.into_iter().map(|(child, _)| child.to_owned()));
    }
    sent
}

/// A service whose texts are made of an input.
#[derive(Debug)]
struct Owned {
    service_id: String,
    properties: String,
    event_time_ms: Option<i64>,
}

impl Owned {
    fn service(&self) -> Service<'_> {
        let Self { service_id, properties, event_time_ms } = self;
        let service = Service::new(service_id, properties);
        event_time_ms.map_or(service.clone(), |unix_ms| service.event_time_ms(unix_ms))
    }

    fn is_right(&self) -> bool {
        let is_object = serde_json::from_str::<&serde_json::value::RawValue>(&self.properties)
            .is_ok_and(|value| value.get().starts_with('{'));
        // The years 2000 to 9999.
        let is_time = self.event_time_ms.is_none_or(|time| (946_684_800_000..253_402_300_800_000).contains(&time));
        !self.service_id.is_empty() && is_object && crate::json::depth(&self.properties) <= 128 && is_time
    }
}

fn services(choices: &mut Choices) -> Vec<Owned> {
    (0..choices.below(4))
        .map(|_| Owned {
            service_id: if choices.bit() { "s".to_owned() } else { choices.text() },
            properties: match choices.below(4) {
                0 => choices.text(),
                1 => format!("{{\"a\":{}}}", choices.text()),
                // Some are large, so that a batch is cut by its bytes.
                2 => format!("{{\"a\":\"{}\"}}", "x".repeat(4096 * choices.below(64))),
                _ => "{}".to_owned(),
            },
            event_time_ms: match choices.below(3) {
                0 => None,
                1 => Some(946_684_800_000 + i64::from(choices.byte()) * 1_000_000_007),
                _ => Some(choices.number() as i64),
            },
        })
        .collect()
}
