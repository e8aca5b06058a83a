//! `iotda report`: properties of the device.

use iotda::{CallOptions, Client};

use crate::arguments::{Connection, Report};
use crate::body::{self, Service};
use crate::connect::Connected;
use crate::exit::Failure;
use crate::output::Output;
use crate::{dry_run, input, message, signals, values};

pub fn run(report: &Report, connection: &Connection, output: &Output) -> Result<(), Failure> {
    let body = match &report.body {
        Some(file) => input::text(file)?,
        None => of_arguments(report)?,
    };
    Client::check_properties_json(&body)?;
    if report.dry_run {
        return dry_run::print("properties/report", body.as_bytes(), connection, output);
    }
    let connected = Connected::open(connection, output)?;
    let cancel = signals::cancel()?;
    let options = CallOptions::from(cancel);
    let sent = connected.client.report_properties_json(&body, options);
    message::accepted("properties", &sent?, connected.client.device_id(), output);
    Ok(())
}

fn of_arguments(report: &Report) -> Result<String, Failure> {
    let properties = values::properties(&report.values, &report.string)?;
    let service = report.service.as_deref().unwrap_or_default();
    body::properties(&[Service::new(service, properties.as_json(), report.time)?])
}
