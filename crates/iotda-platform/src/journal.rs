//! What the platform has seen: every request, and every report that it accepted. Kept in memory within bounds and, if
//! asked for, appended to a file. How a record is written as JSON belongs to `journal::json`.

pub(crate) mod json;

use crate::Error;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A request, accepted or not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestRecord {
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
    /// The device that the request names as its sender: in its path or, for an authentication, in its body.
    pub device_id: Option<String>,
    /// When it was received, by the platform's clock, in Unix milliseconds.
    pub received_at_ms: i64,
    /// The number of the connection that it came over, counted from 1.
    pub connection: u64,
    /// The names of the faults that were done to it.
    pub faults: Vec<String>,
}

/// A report that was accepted. A batch makes one for each child device in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// How much is kept in memory. What comes beyond it takes the place of the oldest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) records: usize,
    /// Of the records' texts and bodies, about.
    pub(crate) bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Journal {
    requests: Ring<RequestRecord>,
    reports: Ring<Report>,
    file: Option<RecordFile>,
}

#[derive(Debug)]
struct RecordFile {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// `record_file` is created if it is not there, and appended to if it is.
    pub(crate) fn new(bounds: Bounds, record_file: Option<&Path>) -> Result<Self, Error> {
        let file = match record_file {
            None => None,
            Some(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
                    let place = path.display();
                    Error::new(format!("the record file {place} cannot be opened for writing: {error}"))
                })?;
                Some(RecordFile { file, path: path.to_owned() })
            }
        };
        Ok(Self { requests: Ring::new(bounds), reports: Ring::new(bounds), file })
    }

    pub(crate) fn add_request(&mut self, request: RequestRecord) {
        let headers: usize = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let bytes = request.target.len() + headers + request.body.len();
        self.requests.push(request, bytes);
    }

    /// Takes up the reports of one request. If the file cannot be written, none is kept in memory either.
    pub(crate) fn add_reports(&mut self, reports: Vec<Report>) -> Result<(), Error> {
        if let Some(record) = &mut self.file {
            let lines: String = reports.iter().map(|report| json::report(report) + "\n").collect();
            record.file.write_all(lines.as_bytes()).map_err(|error| {
                let place = record.path.display();
                Error::new(format!("the record file {place} cannot be written: {error}"))
            })?;
        }
        for report in reports {
            let services: usize = report.services.iter().map(|service| service.properties.len()).sum();
            let bytes = report.body.len() + services;
            self.reports.push(report, bytes);
        }
        Ok(())
    }

    pub(crate) fn requests(&self) -> impl Iterator<Item = &RequestRecord> {
        self.requests.items.iter().map(|(request, _)| request)
    }

    pub(crate) fn reports(&self) -> impl Iterator<Item = &Report> {
        self.reports.items.iter().map(|(report, _)| report)
    }

    /// How many reports have made way for later ones.
    pub(crate) fn reports_dropped(&self) -> u64 {
        self.reports.dropped
    }

    /// Forgets what is in memory. The file keeps what it has.
    pub(crate) fn clear(&mut self) {
        self.requests.clear();
        self.reports.clear();
    }
}

/// The latest of many, within bounds.
#[derive(Debug)]
struct Ring<T> {
    /// With the bytes of each.
    items: VecDeque<(T, usize)>,
    bytes: usize,
    bounds: Bounds,
    dropped: u64,
}

impl<T> Ring<T> {
    fn new(bounds: Bounds) -> Self {
        Self { items: VecDeque::new(), bytes: 0, bounds, dropped: 0 }
    }

    fn push(&mut self, item: T, bytes: usize) {
        self.items.push_back((item, bytes));
        self.bytes += bytes;
        while self.items.len() > self.bounds.records || self.bytes > self.bounds.bytes {
            let Some((_, bytes)) = self.items.pop_front() else { break };
            self.bytes -= bytes;
            self.dropped += 1;
        }
    }

    fn clear(&mut self) {
        self.items.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(ring: &Ring<u32>) -> Vec<u32> {
        ring.items.iter().map(|(item, _)| *item).collect()
    }

    #[test]
    fn the_oldest_make_way() {
        let mut ring = Ring::new(Bounds { records: 3, bytes: 100 });
        for item in 0..5 {
            ring.push(item, 1);
        }
        assert_eq!((kept(&ring), ring.dropped), (vec![2, 3, 4], 2));
        ring.push(5, 98);
        assert_eq!((kept(&ring), ring.bytes, ring.dropped), (vec![3, 4, 5], 100, 3));
        ring.push(6, 101);
        assert_eq!((kept(&ring), ring.bytes), (vec![], 0));
        ring.push(7, 1);
        ring.clear();
        assert_eq!((kept(&ring), ring.bytes), (vec![], 0));
    }

    #[test]
    fn a_record_file_that_cannot_be_opened_is_named() {
        let bounds = Bounds { records: 1, bytes: 1 };
        let error = Journal::new(bounds, Some(Path::new("/"))).expect_err("a directory is no file");
        assert!(error.to_string().starts_with("the record file / cannot be opened"), "{error}");
    }
}
