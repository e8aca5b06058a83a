//! `iotda batch`: properties of child devices of a gateway, any number of them.

use iotda::{BatchError, Delivery, Error, ErrorKind};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::arguments::{Batch, Connection};
use crate::connect::Connected;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Sign};
use crate::{dry_run, input, signals};

/// The most children of a request.
const CHILDREN_MAX: usize = 50;

/// As much of the document as is needed to name its children.
#[derive(Deserialize)]
struct Document {
    devices: Vec<Value>,
}

pub fn run(batch: &Batch, connection: &Connection, output: &Output) -> Result<(), Failure> {
    let body = input::text(&batch.file)?;
    // What is wrong with it is the core's to say, child by child.
    let names: Vec<String> = serde_json::from_str::<Document>(&body).map_or_else(
        |_| Vec::new(),
        |document| {
            document.devices.iter().map(|device| device["device_id"].as_str().unwrap_or("?").to_owned()).collect()
        },
    );
    if batch.dry_run {
        if names.is_empty() {
            return Err(Failure::usage("give {\"devices\":[...]} with at least one child: the batch has none"));
        }
        if names.len() > CHILDREN_MAX {
            let requests = names.len().div_ceil(CHILDREN_MAX);
            output.note(&format!(
                "iotda: this is sent in at least {requests} requests of at most {CHILDREN_MAX} children"
            ));
        }
        return dry_run::print("gateway/sub-devices/properties/report", body.as_bytes(), connection, output);
    }
    let connected = Connected::open(connection, output)?;
    let cancel = signals::cancel()?;
    let result = connected.client.report_batch_json(&body, cancel);
    say(result, &names, connected.client.device_id(), output)
}

fn say(result: Result<Delivery, BatchError>, names: &[String], gateway: &str, output: &Output) -> Result<(), Failure> {
    let all = match &result {
        Ok(_) => names.len(),
        // The document itself is wrong.
        Err(error) if error.children().is_empty() => return Err(Failure::from(error.error().clone())),
        Err(error) => error.children().len(),
    };
    let name = |index: usize| names.get(index).map_or("?", String::as_str);
    let failed: Vec<_> = result.as_ref().err().map_or_else(Vec::new, |error| error.failed().collect());
    let failed = || failed.iter().map(|(index, kind)| (name(*index), *kind));
    let delivered = all - failed().count();
    output.result(
        || {
            let sign = if delivered == all { Sign::Ok } else { Sign::Fail };
            let mut text = format!("{} {gateway}: {delivered} of {all} children accepted", output.sign(sign));
            for (device, kind) in failed() {
                text.push_str(&format!("\n{} {device}: {}", output.sign(Sign::Fail), advice(kind)));
            }
            text
        },
        || {
            let failed: Vec<Value> =
                failed().map(|(device, kind)| json!({ "device": device, "kind": format!("{kind:?}") })).collect();
            json!({ "ok": delivered == all, "device": gateway, "accepted": delivered, "of": all, "failed": failed })
        },
    );
    result.map(drop).map_err(|error| match error.kind() {
        ErrorKind::Partial => {
            let message = format!("see above: {} of {all} children were not accepted", all - delivered);
            Failure::new(Exit::Partial, message).printed()
        }
        _ => Failure::from(Error::from(error)).printed(),
    })
}

/// What to do about a child that was not delivered.
fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::UnknownChild => "register it, or add it to this gateway: the platform does not know it",
        ErrorKind::Rejected => "correct its data: the platform refused it",
        ErrorKind::InvalidArgument => "correct its data: it is wrong in itself, and was not sent",
        ErrorKind::TooLarge => "send less at a time: its data has 1 MB or more",
        _ => "send it again: it was not delivered",
    }
}
