//! A stream without an outbox: one report at a time, each sent before the next line is taken.

use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use iotda::{CallOptions, Client, Error, ErrorKind};

use super::columns::Report;
use super::lines::Record;
use super::refused::Refusal;
use super::{Ended, Event, Run};
use crate::exit::{Exit, Failure};

/// Sends what arrives until it ends.
pub fn run(run: &mut Run, arriving: &Receiver<Event>) -> Ended {
    for event in arriving {
        let record = match event {
            Event::Record(record) if !run.stop.load(Ordering::SeqCst) => record,
            Event::Record(_) | Event::Stop => return Ended::Interrupted,
            Event::End(result) => return result.map_or_else(Ended::Failed, |()| Ended::Whole),
        };
        run.counts.lines.add(1);
        if let Err(failure) = one(run, &record) {
            return Ended::Failed(failure);
        }
    }
    Ended::Whole
}

fn one(run: &mut Run, record: &Record) -> Result<(), Failure> {
    run.connected.share_token();
    let sent = match &record.report {
        Err(why) => {
            let refusal = Refusal { kind: ErrorKind::InvalidArgument, code: None, message: why };
            run.counts.refused.add(1);
            return run.refused.line(record, &refusal);
        }
        Ok(report) => send(&run.connected.client, report),
    };
    run.counts.retries.set(run.connected.client.stats().retries);
    match sent {
        Ok(()) => run.counts.accepted.add(1),
        Err(error) if is_verdict(&error) => {
            run.counts.refused.add(1);
            let refusal = Refusal { kind: error.kind(), code: error.platform_code(), message: error.message() };
            run.refused.line(record, &refusal)?;
        }
        // It says nothing about this line, and the next one would fare no better.
        Err(error) => {
            let message = format!("line {} of {} was not accepted: {error}", record.line, record.section.shown);
            return Err(Failure { message, exit: Exit::from(error.kind()), ..Failure::from(error) });
        }
    }
    Ok(())
}

fn send(client: &Client, report: &Report) -> Result<(), Error> {
    // The client's time limit bounds each report, its retries included.
    let options = CallOptions::new();
    match report {
        Report::Properties(body) => client.report_properties_json(body, options).map(drop),
        Report::Children(body) => Ok(client.report_batch_json(body, options).map(drop)?),
    }
}

/// Whether the failure is about this report, so that sending it again would not help.
fn is_verdict(error: &Error) -> bool {
    !error.is_transient() || matches!(error.kind(), ErrorKind::UnknownChild | ErrorKind::Partial)
}
