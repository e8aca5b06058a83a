//! `iotda message`: any bytes.

use iotda::{Client, Delivery};
use serde_json::json;

use crate::arguments::{Connection, Message};
use crate::connect::Connected;
use crate::exit::Failure;
use crate::output::{Output, Sign};
use crate::{dry_run, input, signals};

pub fn run(message: &Message, connection: &Connection, output: &Output) -> Result<(), Failure> {
    let data = match (&message.file, message.text.as_deref()) {
        (Some(file), _) => input::bytes(file)?,
        (None, Some("-")) => input::bytes("-".as_ref())?,
        (None, text) => text.unwrap_or_default().as_bytes().to_vec(),
    };
    Client::check_message(&data)?;
    if message.dry_run {
        return dry_run::print("messages/up", &data, connection, output);
    }
    let connected = Connected::open(connection, output)?;
    let cancel = signals::cancel()?;
    let sent = connected.client.report_message(&data, cancel);
    accepted("message", &sent?, connected.client.device_id(), output);
    Ok(())
}

/// Says that the platform has accepted a report.
pub fn accepted(what: &str, delivery: &Delivery, device: &str, output: &Output) {
    output.result(
        || {
            let attempts = match delivery.attempts {
                0 | 1 => String::new(),
                attempts => format!(" at attempt {attempts}"),
            };
            format!("{} {device}: {what} accepted{attempts}", output.sign(Sign::Ok))
        },
        || {
            json!({
                "ok": true, "device": device, "call": what,
                "http_status": delivery.http_status, "attempts": delivery.attempts,
            })
        },
    );
}
