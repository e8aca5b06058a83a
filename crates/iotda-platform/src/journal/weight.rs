//! What a record takes of the memory that is promised, in bytes: all of it, for the sizes of its parts are the sender's
//! to choose.

use super::{Incident, Report, RequestRecord};

/// What an allocation takes beside what is asked for, rounded up, about.
const ALLOCATION: usize = 32;

fn text(text: &str) -> usize {
    text.len() + ALLOCATION
}

fn optional(value: Option<&String>) -> usize {
    value.map_or(0, |value| text(value))
}

pub(super) fn request(record: &RequestRecord) -> usize {
    let pair = size_of::<(String, String)>();
    let headers: usize = record.headers.iter().map(|(name, value)| text(name) + text(value)).sum();
    let headers = headers + record.headers.capacity() * pair;
    let faults: usize = record.faults.iter().map(|name| size_of::<String>() + text(name)).sum();
    let texts = text(&record.method) + text(&record.target) + text(&record.http_version);
    let reasons =
        optional(record.error_code.as_ref()) + optional(record.reason.as_ref()) + optional(record.discarded.as_ref());
    size_of::<RequestRecord>()
        + 4 * ALLOCATION
        + headers
        + faults
        + texts
        + reasons
        + optional(record.device_id.as_ref())
        + record.body.capacity()
}

pub(super) fn report(report: &Report) -> usize {
    let services: usize = report
        .services
        .iter()
        .map(|it| text(&it.service_id) + text(&it.properties) + optional(it.event_time_given.as_ref()))
        .sum();
    let list = report.services.capacity() * size_of::<super::ServiceReport>();
    let ids = text(&report.reporter) + text(&report.device_id);
    size_of::<Report>() + 4 * ALLOCATION + ids + report.body.capacity() + list + services
}

pub(super) fn incident(incident: &Incident) -> usize {
    size_of::<Incident>() + 2 * ALLOCATION + text(&incident.reason)
}

#[cfg(test)]
mod tests {
    use super::super::{ReportKind, ServiceReport};
    use super::*;
    use crate::Route;

    /// Each part that a sender can make large counts with at least its size.
    #[test]
    fn every_part_counts() {
        let big = || "x".repeat(100_000);
        let empty = RequestRecord {
            number: 0,
            call: Route::Any,
            method: String::new(),
            target: String::new(),
            http_version: String::new(),
            headers: Vec::new(),
            body: Vec::new(),
            status: 0,
            error_code: None,
            reason: None,
            discarded: None,
            device_id: None,
            received_at_ms: 0,
            connection: 0,
            faults: Vec::new(),
        };
        let changes: [fn(&mut RequestRecord, String); 9] = [
            |it, big| it.method = big,
            |it, big| it.target = big,
            |it, big| it.headers.push((big, String::new())),
            |it, big| it.headers.push((String::new(), big)),
            |it, big| it.body = big.into_bytes(),
            |it, big| it.reason = Some(big),
            |it, big| it.discarded = Some(big),
            |it, big| it.device_id = Some(big),
            |it, big| it.faults.push(big),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut record = empty.clone();
            change(&mut record, big());
            assert!(request(&record) >= request(&empty) + 100_000, "{number}");
        }
        let mut many = empty.clone();
        many.headers = vec![(String::new(), String::new()); 1000];
        assert!(request(&many) > request(&empty) + 1000 * 48);

        let nothing = Report {
            number: 0,
            request: 0,
            kind: ReportKind::Batch,
            reporter: String::new(),
            device_id: String::new(),
            received_at_ms: 0,
            body: Vec::new(),
            services: Vec::new(),
        };
        let service = || ServiceReport {
            service_id: String::new(),
            properties: String::new(),
            event_time_applied_ms: 0,
            event_time_given: None,
        };
        let changes: [fn(&mut Report, ServiceReport, String); 6] = [
            |it, _, big| it.reporter = big,
            |it, _, big| it.device_id = big,
            |it, _, big| it.body = big.into_bytes(),
            |it, service, big| it.services.push(ServiceReport { service_id: big, ..service }),
            |it, service, big| it.services.push(ServiceReport { properties: big, ..service }),
            |it, service, big| it.services.push(ServiceReport { event_time_given: Some(big), ..service }),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut more = nothing.clone();
            change(&mut more, service(), big());
            assert!(report(&more) >= report(&nothing) + 100_000, "{number}");
        }
        let mut many = nothing.clone();
        many.services = vec![service(); 1000];
        assert!(report(&many) > report(&nothing) + 1000 * 100);
        // Room that is not used is taken all the same.
        many.services = Vec::with_capacity(1000);
        assert!(report(&many) >= report(&nothing) + 1000 * size_of::<ServiceReport>());
    }
}
