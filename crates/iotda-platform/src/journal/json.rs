//! Records as JSON: the lines of the record file and the answers of the inspection API.

use super::{Entry, Incident, IncidentKind, Outcome, Report, ReportKind, RequestRecord};
use crate::arrivals::Arrival;
use crate::{Route, calendar, hex};
use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Serialize)]
struct ReportJson<'a> {
    number: u64,
    request: u64,
    kind: &'static str,
    device_id: &'a str,
    reporter: &'a str,
    received_at: String,
    received_at_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    services: Option<Vec<ServiceJson<'a>>>,
    #[serde(flatten)]
    message: Option<BodyJson<'a>>,
}

#[derive(Serialize)]
struct ServiceJson<'a> {
    service_id: &'a str,
    properties: &'a RawValue,
    event_time: String,
    event_time_ms: i64,
    event_time_given: Option<&'a str>,
}

#[derive(Serialize)]
struct ArrivalJson<'a> {
    count: usize,
    reports: &'a [u64],
    kind: &'static str,
    device_id: &'a str,
    reporter: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_time_given: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<&'a RawValue>,
    #[serde(flatten)]
    message: Option<BodyJson<'a>>,
}

#[derive(Serialize)]
struct RequestJson<'a> {
    number: u64,
    call: Option<&'static str>,
    method: &'a str,
    target: &'a str,
    http_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<&'a [(String, String)]>,
    #[serde(flatten)]
    body: BodyJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_length: Option<usize>,
    status: u16,
    result: &'static str,
    error_code: Option<&'a str>,
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    discarded: Option<&'a str>,
    device_id: Option<&'a str>,
    received_at: String,
    received_at_ms: i64,
    connection: u64,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    faults: &'a [String],
}

#[derive(Serialize)]
struct IncidentJson<'a> {
    number: u64,
    call: Option<&'static str>,
    incident: &'static str,
    result: &'static str,
    reason: &'a str,
    received_at: String,
    received_at_ms: i64,
    connection: u64,
}

/// Bytes as text if they are text, and else as hexadecimal digits under another name.
#[derive(Serialize)]
enum BodyJson<'a> {
    #[serde(rename = "body")]
    Text(&'a str),
    #[serde(rename = "body_hex")]
    Hex(String),
}

impl<'a> BodyJson<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        std::str::from_utf8(bytes).map_or_else(|_| Self::Hex(hex::encode(bytes)), Self::Text)
    }
}

/// A report, without line breaks.
pub(crate) fn report(report: &Report) -> String {
    let is_message = report.kind == ReportKind::Message;
    let properties: Vec<_> = report.services.iter().map(|service| on_one_line(&service.properties)).collect();
    let services = report.services.iter().zip(&properties).map(|(service, properties)| ServiceJson {
        service_id: &service.service_id,
        properties,
        event_time: calendar::format_event_time(service.event_time_applied_ms),
        event_time_ms: service.event_time_applied_ms,
        event_time_given: service.event_time_given.as_deref(),
    });
    text(&ReportJson {
        number: report.number,
        request: report.request,
        kind: kind_name(report.kind),
        device_id: &report.device_id,
        reporter: &report.reporter,
        received_at: calendar::format_event_time(report.received_at_ms),
        received_at_ms: report.received_at_ms,
        services: (!is_message).then(|| services.collect()),
        message: is_message.then(|| BodyJson::new(&report.body)),
    })
}

/// An entry that arrived, without line breaks.
pub(crate) fn arrival(arrival: &Arrival) -> String {
    let is_message = arrival.kind == ReportKind::Message;
    let properties = std::str::from_utf8(&arrival.content).ok().filter(|_| !is_message).map(on_one_line);
    text(&ArrivalJson {
        count: arrival.reports.len(),
        reports: &arrival.reports,
        kind: kind_name(arrival.kind),
        device_id: &arrival.device_id,
        reporter: &arrival.reporter,
        service_id: arrival.service_id.as_deref(),
        event_time_given: arrival.event_time_given.as_deref(),
        properties: properties.as_deref(),
        message: is_message.then(|| BodyJson::new(&arrival.content)),
    })
}

/// A request, without line breaks.
pub(crate) fn request(record: &RequestRecord) -> String {
    whole_request(record, Some(&record.headers), &record.body, None)
}

/// A request or an incident for those who follow them: without headers, and with no more than this of its body.
pub(crate) fn summary(entry: &Entry, most_of_body: usize) -> String {
    match entry {
        Entry::Incident(it) => incident(it),
        Entry::Request(it) if it.body.len() <= most_of_body => whole_request(it, None, &it.body, None),
        Entry::Request(it) => {
            // Not within a character, so that a text stays one.
            let end = (0..=most_of_body).rev().find(|&end| it.body[end] & 0xc0 != 0x80).unwrap_or(most_of_body);
            whole_request(it, None, &it.body[..end], Some(it.body.len()))
        }
    }
}

/// A request or an incident, without line breaks.
pub(crate) fn entry(entry: &Entry) -> String {
    match entry {
        Entry::Request(it) => request(it),
        Entry::Incident(it) => incident(it),
    }
}

fn incident(incident: &Incident) -> String {
    text(&IncidentJson {
        number: incident.number,
        call: None,
        incident: incident_name(incident.kind),
        result: outcome_name(Outcome::Refused),
        reason: &incident.reason,
        received_at: calendar::format_event_time(incident.received_at_ms),
        received_at_ms: incident.received_at_ms,
        connection: incident.connection,
    })
}

pub(crate) fn kind_name(kind: ReportKind) -> &'static str {
    match kind {
        ReportKind::Message => "message",
        ReportKind::Properties => "properties",
        ReportKind::Batch => "batch",
    }
}

pub(crate) fn call_name(call: Route) -> Option<&'static str> {
    Some(match call {
        Route::Any => return None,
        Route::Auth => "auth",
        Route::Properties => "properties",
        Route::Message => "message",
        Route::Batch => "batch",
    })
}

pub(crate) fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted => "accepted",
        Outcome::Discarded => "discarded",
        Outcome::Refused => "refused",
        Outcome::Unanswered => "unanswered",
    }
}

pub(crate) fn incident_name(kind: IncidentKind) -> &'static str {
    match kind {
        IncidentKind::Handshake => "handshake",
        IncidentKind::Http => "http",
        IncidentKind::Timeout => "timeout",
    }
}

fn whole_request(
    request: &RequestRecord,
    headers: Option<&[(String, String)]>,
    body: &[u8],
    body_length: Option<usize>,
) -> String {
    text(&RequestJson {
        number: request.number,
        call: call_name(request.call),
        method: &request.method,
        target: &request.target,
        http_version: &request.http_version,
        headers,
        body: BodyJson::new(body),
        body_length,
        status: request.status,
        result: outcome_name(request.outcome()),
        error_code: request.error_code.as_deref(),
        reason: request.reason.as_deref(),
        discarded: request.discarded.as_deref(),
        device_id: request.device_id.as_deref(),
        received_at: calendar::format_event_time(request.received_at_ms),
        received_at_ms: request.received_at_ms,
        connection: request.connection,
        faults: &request.faults,
    })
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts, numbers and checked JSON can always be written as JSON")
}

/// JSON may hold line breaks between its tokens, never inside of one: a space does as well there.
fn on_one_line(json: &str) -> Box<RawValue> {
    let line = json.replace(['\r', '\n'], " ");
    RawValue::from_string(line).expect("properties were found to be JSON when they were accepted")
}

#[cfg(test)]
mod tests {
    use super::super::ServiceReport;
    use super::*;

    fn a_report(kind: ReportKind, body: &[u8]) -> Report {
        Report {
            number: 2,
            request: 1,
            kind,
            reporter: "gateway".to_owned(),
            device_id: "child".to_owned(),
            received_at_ms: 1_628_849_410_555,
            body: body.to_vec(),
            services: Vec::new(),
        }
    }

    #[test]
    fn properties_keep_their_digits() {
        let mut properties = a_report(ReportKind::Batch, b"");
        properties.services.push(ServiceReport {
            service_id: "wind".to_owned(),
            properties: "{ \"Speed\" :\r\n 18446744073709551616.10 }".to_owned(),
            event_time_applied_ms: 0,
            event_time_given: Some("noon".to_owned()),
        });
        let expected = concat!(
            r#"{"number":2,"request":1,"kind":"batch","device_id":"child","reporter":"gateway","received_at":"2021-08-13T10:10:10.555Z","#,
            r#""received_at_ms":1628849410555,"services":[{"service_id":"wind","#,
            r#""properties":{ "Speed" :   18446744073709551616.10 },"#,
            r#""event_time":"1970-01-01T00:00:00.000Z","event_time_ms":0,"event_time_given":"noon"}]}"#
        );
        assert_eq!(report(&properties), expected);
    }

    #[test]
    fn a_message_is_text_or_digits() {
        assert!(report(&a_report(ReportKind::Message, "größer\n".as_bytes())).ends_with(r#","body":"größer\n"}"#));
        assert!(report(&a_report(ReportKind::Message, b"\xff\x00")).ends_with(r#","body_hex":"ff00"}"#));
    }
}
