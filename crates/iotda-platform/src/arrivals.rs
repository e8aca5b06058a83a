//! Which entries arrived, how often and in which order: what somebody asks who doubts that nothing was lost, and nothing
//! delivered twice without need. An entry is the report of one service, or a message; equal ones are one.

use crate::journal::{Report, ReportKind};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// An entry that arrived.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Arrival {
    /// Which of the three calls it came by.
    pub kind: ReportKind,
    /// The device that sent it: for a batch, the gateway.
    pub reporter: String,
    /// The device that it is about: for a batch, the child device.
    pub device_id: String,
    /// The service's ID; `None` for a message.
    pub service_id: Option<String>,
    /// The event time as it was given.
    pub event_time_given: Option<String>,
    /// The JSON object of the properties, or the message, byte for byte.
    pub content: Vec<u8>,
    /// The numbers of the reports that brought it: as many as it arrived times.
    pub reports: Vec<u64>,
}

/// The entries of these reports, in the order in which each arrived first.
pub(crate) fn of<'a>(reports: impl Iterator<Item = &'a Report>) -> Vec<Arrival> {
    let mut arrivals: Vec<Arrival> = Vec::new();
    let mut places: HashMap<Arrival, usize> = HashMap::new();
    for report in reports {
        for arrival in entries(report) {
            match places.entry(arrival) {
                Entry::Occupied(place) => arrivals[*place.get()].reports.push(report.number),
                Entry::Vacant(place) => {
                    let mut arrival = place.key().clone();
                    arrival.reports.push(report.number);
                    place.insert(arrivals.len());
                    arrivals.push(arrival);
                }
            }
        }
    }
    arrivals
}

/// Without the numbers of reports.
fn entries(report: &Report) -> Vec<Arrival> {
    let entry = |service_id, event_time_given, content| Arrival {
        kind: report.kind,
        reporter: report.reporter.clone(),
        device_id: report.device_id.clone(),
        service_id,
        event_time_given,
        content,
        reports: Vec::new(),
    };
    if report.kind == ReportKind::Message {
        return vec![entry(None, None, report.body.clone())];
    }
    let services = report.services.iter().map(|service| {
        let properties = service.properties.clone().into_bytes();
        entry(Some(service.service_id.clone()), service.event_time_given.clone(), properties)
    });
    services.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::ServiceReport;

    fn report(number: u64, kind: ReportKind, device_id: &str, values: &[&str]) -> Report {
        let service = |value: &&str| ServiceReport {
            service_id: "s".to_owned(),
            properties: (*value).to_owned(),
            event_time_applied_ms: number as i64,
            event_time_given: None,
        };
        Report {
            number,
            request: number,
            kind,
            reporter: "gateway".to_owned(),
            device_id: device_id.to_owned(),
            received_at_ms: 0,
            body: if kind == ReportKind::Message { values.concat().into_bytes() } else { Vec::new() },
            services: if kind == ReportKind::Message { Vec::new() } else { values.iter().map(service).collect() },
        }
    }

    #[test]
    fn equal_entries_are_one_in_the_order_of_their_first_arrival() {
        let reports = [
            report(1, ReportKind::Properties, "gateway", &["{1}", "{2}"]),
            report(2, ReportKind::Message, "gateway", &["{1}"]),
            report(3, ReportKind::Properties, "gateway", &["{2}", "{3}", "{3}"]),
            report(4, ReportKind::Batch, "child", &["{2}"]),
            report(5, ReportKind::Message, "gateway", &["{1}"]),
        ];
        let arrivals = of(reports.iter());
        let shown: Vec<(&[u8], &str, Vec<u64>)> = arrivals
            .iter()
            .map(|arrival| (&arrival.content[..], &*arrival.device_id, arrival.reports.clone()))
            .collect();
        let expected: [(&[u8], &str, Vec<u64>); 5] = [
            (b"{1}", "gateway", vec![1]),
            (b"{2}", "gateway", vec![1, 3]),
            (b"{1}", "gateway", vec![2, 5]),
            (b"{3}", "gateway", vec![3, 3]),
            (b"{2}", "child", vec![4]),
        ];
        assert_eq!(shown, expected);
    }
}
