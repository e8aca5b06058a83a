//! The query of a list: which records it is to hold. What is not understood is an error, so that nobody takes all for a
//! part. Functions on values.

use crate::fault::Route;
use crate::journal::json::{call_name, outcome_name};
use crate::journal::{Entry, IncidentKind, Outcome, Report, ReportKind, RequestRecord};

/// The most records that can be asked for by `limit`.
pub(super) const MOST: usize = 1000;

/// The names of the parameters that a list of requests takes.
pub(super) const OF_ENTRIES: &[&str] =
    &["device", "call", "result", "status", "q", "since", "after", "before", "limit", "wait_ms"];
/// And those of a list of reports.
pub(super) const OF_REPORTS: &[&str] = &["device", "call", "q", "since", "after", "before", "limit", "wait_ms"];

/// And those of what arrived.
pub(super) const OF_ARRIVALS: &[&str] = &["device", "call", "q", "since"];

/// And those of the list of devices.
pub(super) const OF_DEVICES: &[&str] = &["q", "limit"];

/// How long an answer can be waited for, in milliseconds.
const MOST_WAIT_MS: u64 = 600_000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    device: Option<String>,
    /// `Route::Any` for requests that are none of the calls, and for incidents.
    call: Option<Route>,
    result: Option<Outcome>,
    status: Option<u16>,
    /// In lower case.
    text: Option<String>,
    since_ms: Option<i64>,
    pub(super) after: Option<u64>,
    pub(super) before: Option<u64>,
    pub(super) limit: Option<usize>,
    pub(super) wait_ms: Option<u64>,
}

impl Query {
    /// Reads a query of parameters of these names.
    pub(super) fn parse(text: Option<&str>, names: &[&str]) -> Result<Self, String> {
        let mut query = Self::default();
        let mut seen: Vec<String> = Vec::new();
        for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if !names.contains(&name.as_str()) {
                return Err(format!("{name:?} is no parameter here: there are {}", names.join(", ")));
            }
            if seen.contains(&name) {
                return Err(format!("{name:?} is there twice"));
            }
            query.set(&name, value)?;
            seen.push(name);
        }
        if query.after.is_some() && query.before.is_some() {
            return Err("after and before do not go together".to_owned());
        }
        Ok(query)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        let wrong = |expected: &str| format!("{name}={value}: it takes {expected}");
        match name {
            "device" => self.device = Some(value),
            "call" => {
                let calls = [Route::Auth, Route::Properties, Route::Message, Route::Batch, Route::Any];
                let found = calls.into_iter().find(|call| call_name(*call).unwrap_or("none") == value);
                self.call = Some(found.ok_or_else(|| wrong("auth, properties, message, batch or none"))?);
            }
            "result" => {
                let results = [Outcome::Accepted, Outcome::Discarded, Outcome::Refused, Outcome::Unanswered];
                let found = results.into_iter().find(|result| outcome_name(*result) == value);
                self.result = Some(found.ok_or_else(|| wrong("accepted, discarded, refused or unanswered"))?);
            }
            "status" => self.status = Some(number(&value).ok_or_else(|| wrong("a number such as 403"))?),
            "q" => self.text = Some(value.to_lowercase()),
            "since" => {
                let time = value.parse().ok().or_else(|| crate::calendar::parse_event_time(&value));
                let expected = "Unix milliseconds or a time such as 2021-08-13T10:10:10.555Z";
                self.since_ms = Some(time.ok_or_else(|| wrong(expected))?);
            }
            "after" => self.after = Some(number(&value).ok_or_else(|| wrong("the number of a record"))?),
            "before" => self.before = Some(number(&value).ok_or_else(|| wrong("the number of a record"))?),
            "wait_ms" => {
                let ms = number(&value).filter(|ms| *ms <= MOST_WAIT_MS);
                self.wait_ms = Some(ms.ok_or_else(|| wrong("0 to 600000 milliseconds"))?);
            }
            _ => {
                let limit = number(&value).filter(|limit| (1..=MOST).contains(limit));
                self.limit = Some(limit.ok_or_else(|| wrong("1 to 1000"))?);
            }
        }
        Ok(())
    }

    pub(super) fn takes_entry(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Request(request) => self.takes_request(request),
            Entry::Incident(incident) => {
                let names_of_kinds = match incident.kind {
                    IncidentKind::Handshake => "handshake",
                    IncidentKind::Http => "http",
                    IncidentKind::Timeout => "timeout",
                };
                self.device.is_none()
                    && self.status.is_none()
                    && self.call.is_none_or(|call| call == Route::Any)
                    && self.result.is_none_or(|result| result == Outcome::Refused)
                    && self.since_ms.is_none_or(|since| incident.received_at_ms >= since)
                    && self.finds(&[incident.reason.as_bytes(), names_of_kinds.as_bytes()])
            }
        }
    }

    fn takes_request(&self, request: &RequestRecord) -> bool {
        self.call.is_none_or(|call| call == request.call)
            && self.status.is_none_or(|status| status == request.status)
            && self.result.is_none_or(|result| result == request.outcome())
            && self.since_ms.is_none_or(|since| request.received_at_ms >= since)
            && self.device.as_ref().is_none_or(|device| is_about(request, device))
            && self.finds(&[
                request.target.as_bytes(),
                &request.body,
                request.device_id.as_deref().unwrap_or_default().as_bytes(),
                request.reason.as_deref().unwrap_or_default().as_bytes(),
                request.discarded.as_deref().unwrap_or_default().as_bytes(),
                request.error_code.as_deref().unwrap_or_default().as_bytes(),
            ])
    }

    pub(super) fn takes_report(&self, report: &Report) -> bool {
        let call = match report.kind {
            ReportKind::Message => Route::Message,
            ReportKind::Properties => Route::Properties,
            ReportKind::Batch => Route::Batch,
        };
        let services = report.services.iter().flat_map(|service| [&service.service_id, &service.properties]);
        let places: Vec<&[u8]> = [report.device_id.as_bytes(), report.reporter.as_bytes(), &report.body]
            .into_iter()
            .chain(services.map(String::as_bytes))
            .collect();
        self.call.is_none_or(|wanted| wanted == call)
            && self.since_ms.is_none_or(|since| report.received_at_ms >= since)
            && self.device.as_ref().is_none_or(|device| *device == report.device_id || *device == report.reporter)
            && self.finds(&places)
    }

    pub(super) fn finds(&self, places: &[&[u8]]) -> bool {
        let Some(text) = &self.text else { return true };
        places.iter().any(|place| String::from_utf8_lossy(place).to_lowercase().contains(text.as_str()))
    }
}

/// Whether a device has sent a request, or is a child that a batch names.
fn is_about(request: &RequestRecord, device: &str) -> bool {
    if request.device_id.as_deref() == Some(device) {
        return true;
    }
    let quoted = format!("\"{device}\"");
    request.call == Route::Batch && request.body.windows(quoted.len()).any(|part| part == quoted.as_bytes())
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|digit| digit.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Decodes percent signs (RFC 3986 section 2.1), and the plus signs that forms write for spaces.
fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes().iter();
    while let Some(&byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(*rest.next()?).to_digit(16);
                let pair = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                pair.ok_or_else(|| format!("{text:?} has a percent sign without two hex digits"))?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| format!("{text:?} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Query, String> {
        Query::parse(Some(text), OF_ENTRIES)
    }

    #[test]
    fn parameters() {
        let query =
            parse("device=a%2Db&call=none&result=refused&status=403&q=To+Ken&since=5&after=7&limit=9&wait_ms=1");
        let expected = Query {
            device: Some("a-b".to_owned()),
            call: Some(Route::Any),
            result: Some(Outcome::Refused),
            status: Some(403),
            text: Some("to ken".to_owned()),
            since_ms: Some(5),
            after: Some(7),
            before: None,
            limit: Some(9),
            wait_ms: Some(1),
        };
        assert_eq!(query, Ok(expected));
        assert_eq!(parse("since=2021-08-13T10:10:10.555Z").expect("a time").since_ms, Some(1_628_849_410_555));
        assert_eq!(parse(""), Ok(Query::default()));
        assert_eq!(Query::parse(None, OF_REPORTS), Ok(Query::default()));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for (text, expected) in [
            ("devise=a", "\"devise\" is no parameter here"),
            ("device=a&device=a", "there twice"),
            ("call=login", "auth, properties, message, batch or none"),
            ("result=ok", "accepted, discarded, refused or unanswered"),
            ("status=4x3", "such as 403"),
            ("status=+403", "such as 403"),
            ("since=yesterday", "Unix milliseconds"),
            ("after=-1", "the number of a record"),
            ("limit=0", "1 to 1000"),
            ("limit=1001", "1 to 1000"),
            ("wait_ms=600001", "600000"),
            ("after=1&before=2", "do not go together"),
            ("q=%2", "two hex digits"),
            ("q=%ff", "not UTF-8"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(Query::parse(Some("status=200"), OF_REPORTS).unwrap_err().contains("is no parameter here"));
    }
}
