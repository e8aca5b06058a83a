//! What the platform has seen: every request, every report that it accepted, and what was refused before it was a
//! request. Kept in memory within bounds and, if asked for, appended to files. How a record is written as JSON belongs
//! to `journal::json`, what it counts against the bounds to `journal::weight`.

mod file;
pub(crate) mod json;
mod ring;
mod weight;

use crate::{Error, Route};
use file::RecordFile;
use ring::{Numbered, Ring};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

pub(crate) use ring::Bounds;

/// A request, accepted or not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestRecord {
    /// Counted from 1, in the order in which the requests were decided. Numbers are never used again, and the incidents
    /// have theirs in the same sequence.
    pub number: u64,
    /// Which of the platform's calls it is; [`Route::Any`] if it is none.
    pub call: Route,
    /// The method, such as `POST`.
    pub method: String,
    /// The target as it was sent, with its query.
    pub target: String,
    /// `HTTP/1.0` or `HTTP/1.1`.
    pub http_version: String,
    /// Names and values. The names are in lower case, whatever case they came in.
    pub headers: Vec<(String, String)>,
    /// The body. Of one that is too large, or that broke off, as much as was kept.
    pub body: Vec<u8>,
    /// The status of the answer; 0 if there is none, because of a fault.
    pub status: u16,
    /// The error code of the answer; `None` if the request was accepted.
    pub error_code: Option<String>,
    /// Why it was refused, more exactly than the answer says; `None` if the request was accepted.
    pub reason: Option<String>,
    /// Why what it reports was thrown away, although the request was accepted: it does not fit the product's model.
    pub discarded: Option<String>,
    /// The device that the request names as its sender: in its path or, for an authentication, in its body.
    pub device_id: Option<String>,
    /// When it was received, by the platform's clock, in Unix milliseconds.
    pub received_at_ms: i64,
    /// The number of the connection that it came over, counted from 1.
    pub connection: u64,
    /// The names of the faults that were done to it.
    pub faults: Vec<String>,
}

impl RequestRecord {
    /// What became of it.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self { status: 0, .. } => Outcome::Unanswered,
            Self { reason: Some(_), .. } => Outcome::Refused,
            Self { discarded: Some(_), .. } => Outcome::Discarded,
            _ => Outcome::Accepted,
        }
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was accepted.
    Accepted,
    /// It was answered as if it were accepted, and what it reports was thrown away.
    Discarded,
    /// It was refused, by the rules or by a fault.
    Refused,
    /// A fault has left it without an answer.
    Unanswered,
}

/// Something that was refused before it was a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Incident {
    /// In the sequence of the requests.
    pub number: u64,
    /// What it is about.
    pub kind: IncidentKind,
    /// What was wrong.
    pub reason: String,
    /// When it was seen, by the platform's clock, in Unix milliseconds.
    pub received_at_ms: i64,
    /// The number of the connection, counted from 1.
    pub connection: u64,
}

/// The kinds of incidents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentKind {
    /// A TLS handshake that failed.
    Handshake,
    /// Bytes that are not a request of HTTP.
    Http,
    /// A connection on which nothing came for too long.
    Timeout,
}

/// A report that was accepted. A batch makes one for each child device in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Counted from 1, in the order in which the reports were accepted.
    pub number: u64,
    /// The number of the request that brought it.
    pub request: u64,
    /// Which of the three calls it came by.
    pub kind: ReportKind,
    /// The device that sent it: for a batch, the gateway.
    pub reporter: String,
    /// The device that it is about: for a batch, the child device.
    pub device_id: String,
    /// When it was received, by the platform's clock, in Unix milliseconds.
    pub received_at_ms: i64,
    /// The request's body, byte for byte. Empty for a batch, whose body is about several devices.
    pub body: Vec<u8>,
    /// What was reported. Empty for a message.
    pub services: Vec<ServiceReport>,
}

/// The three ways to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReportKind {
    /// Device Message Reporting.
    Message,
    /// Device Property Reporting.
    Properties,
    /// Gateway Reporting Child Device Property.
    Batch,
}

/// The report of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceReport {
    /// The service's ID.
    pub service_id: String,
    /// The JSON object of the properties, byte for byte as it was sent.
    pub properties: String,
    /// The event time that the platform goes by, in Unix milliseconds: the one given, or the time of receipt if none
    /// was given or the one given is malformed.
    pub event_time_applied_ms: i64,
    /// The event time as it was given.
    pub event_time_given: Option<String>,
}

/// A request or an incident: one sequence, as both are what a person looks for who misses a report.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Request(Arc<RequestRecord>),
    Incident(Arc<Incident>),
}

impl Entry {
    pub(crate) fn number(&self) -> u64 {
        match self {
            Entry::Request(request) => request.number,
            Entry::Incident(incident) => incident.number,
        }
    }
}

impl Numbered for Entry {
    fn number(&self) -> u64 {
        self.number()
    }
}

impl Numbered for Arc<Report> {
    fn number(&self) -> u64 {
        self.number
    }
}

pub(crate) struct Journal {
    entries: Ring<Entry>,
    reports: Ring<Arc<Report>>,
    last_entry: u64,
    last_report: u64,
    report_file: Option<RecordFile>,
    request_file: Option<RecordFile>,
    seen: watch::Sender<Seen>,
}

/// What those who follow the journal are woken for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) last_entry: u64,
    pub(crate) last_report: u64,
    /// How often all was forgotten.
    pub(crate) clears: u64,
}

impl Journal {
    /// The files are created if they are not there, and appended to if they are.
    pub(crate) fn new(bounds: Bounds, report_file: Option<&Path>, request_file: Option<&Path>) -> Result<Self, Error> {
        Ok(Self {
            entries: Ring::new(bounds),
            reports: Ring::new(bounds),
            last_entry: 0,
            last_report: 0,
            report_file: report_file.map(RecordFile::open).transpose()?,
            request_file: request_file.map(RecordFile::open).transpose()?,
            seen: watch::Sender::new(Seen::default()),
        })
    }

    /// Takes up a request and its reports, and numbers them. If a file cannot be written, nothing is kept.
    pub(crate) fn add(
        &mut self,
        mut request: RequestRecord,
        mut reports: Vec<Report>,
    ) -> Result<Arc<RequestRecord>, Box<(RequestRecord, Error)>> {
        request.number = self.last_entry + 1;
        for (report, number) in reports.iter_mut().zip(self.last_report + 1..) {
            report.number = number;
            report.request = request.number;
        }
        if let Err(error) = self.write(&request, &reports) {
            return Err(Box::new((request, error)));
        }
        Ok(self.keep(request, reports))
    }

    fn write(&mut self, request: &RequestRecord, reports: &[Report]) -> Result<(), Error> {
        if let Some(file) = &mut self.report_file {
            file.append(reports.iter().map(json::report))?;
        }
        match &mut self.request_file {
            Some(file) => file.append([json::request(request)]),
            None => Ok(()),
        }
    }

    /// Takes up what could not be written to a file.
    pub(crate) fn keep(&mut self, mut request: RequestRecord, reports: Vec<Report>) -> Arc<RequestRecord> {
        self.last_entry += 1;
        request.number = self.last_entry;
        let request = Arc::new(request);
        self.entries.push(Entry::Request(Arc::clone(&request)), weight::request(&request));
        for report in reports {
            self.last_report = report.number;
            let weight = weight::report(&report);
            self.reports.push(Arc::new(report), weight);
        }
        self.announce();
        request
    }

    pub(crate) fn add_incident(&mut self, mut incident: Incident) -> Arc<Incident> {
        self.last_entry += 1;
        incident.number = self.last_entry;
        let incident = Arc::new(incident);
        self.entries.push(Entry::Incident(Arc::clone(&incident)), weight::incident(&incident));
        self.announce();
        incident
    }

    pub(crate) fn entries(&self) -> &Ring<Entry> {
        &self.entries
    }

    pub(crate) fn reports(&self) -> &Ring<Arc<Report>> {
        &self.reports
    }

    /// Who follows what is added. Nobody waits for them: they read what is new from the rings, as far as it is there.
    pub(crate) fn follow(&self) -> watch::Receiver<Seen> {
        self.seen.subscribe()
    }

    pub(crate) fn seen(&self) -> Seen {
        *self.seen.borrow()
    }

    /// Forgets what is in memory. The files keep what they have, and the numbers go on.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.reports.clear();
        self.seen.send_modify(|seen| seen.clears += 1);
    }

    fn announce(&self) {
        self.seen.send_modify(|seen| {
            seen.last_entry = self.last_entry;
            seen.last_report = self.last_report;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_file_that_cannot_be_opened_is_named() {
        let bounds = Bounds { records: 1, bytes: 1 };
        let error = Journal::new(bounds, Some(Path::new("/")), None).err().expect("a directory is no file");
        assert!(error.to_string().starts_with("the record file / cannot be opened"), "{error}");
    }
}
