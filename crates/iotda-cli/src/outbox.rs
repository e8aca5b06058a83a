//! `iotda outbox`: what a directory of undelivered reports holds. It is read as it is, also while a program uses it.

use std::collections::BTreeMap;
use std::env;
use std::path::Path;

use iotda::outbox::{Inspection, WaitingEntry, dead_letters, inspect};
use iotda::{CallOptions, Client, Config, DeadLetter, EntryKind, OutboxOptions};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::arguments::{Connection, OutboxAction, OutboxDead};
use crate::body;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Sign};
use crate::settings::Settings;

pub fn run(action: &OutboxAction, connection: &Connection, output: &Output) -> Result<(), Failure> {
    let settings = Settings::resolve(connection, &|name| env::var_os(name))?;
    let own = settings.device.map(|device| device.value);
    let known: Vec<&str> = own.as_deref().into_iter().collect();
    match action {
        OutboxAction::Inspect(of) => show(&of.dir, &known, output),
        OutboxAction::Verify(of) => verify(&of.dir, output),
        OutboxAction::Export(of) => export(&of.dir, &known, output),
        OutboxAction::Dead(dead) => letters(dead, output),
    }
}

fn show(dir: &Path, known: &[&str], output: &Output) -> Result<(), Failure> {
    let mut devices: BTreeMap<(String, String), u64> = BTreeMap::new();
    let found = inspect(dir, known, |entry| {
        *devices.entry((entry.device_id, entry.gateway_id)).or_default() += 1;
    })?;
    output.result(|| text(&found, &devices), || object(&found, &devices));
    Ok(())
}

fn text(found: &Inspection, devices: &BTreeMap<(String, String), u64>) -> String {
    let oldest = found.oldest_ms.and_then(|ms| body::event_time(ms).ok());
    let oldest = oldest.map_or_else(String::new, |time| format!(", the oldest since {time}"));
    let mut text = format!("waiting  {} ({} bytes){oldest}\n", found.waiting, found.waiting_bytes);
    text.push_str(&format!("dead     {}\ndamaged  {}\n", found.dead, found.damaged + found.unreadable));
    text.push_str(&format!("files    {} ({} bytes)", found.files, found.file_bytes));
    if !devices.is_empty() {
        let width = devices.keys().map(|(device, _)| device.chars().count()).max().unwrap_or(0).max(6);
        text.push_str(&format!("\n\n{:>9}  {:width$}  GATEWAY", "WAITING", "DEVICE"));
        for ((device, gateway), count) in devices {
            let gateway = if gateway.is_empty() { "-" } else { gateway };
            text.push_str(&format!("\n{count:>9}  {device:width$}  {gateway}"));
        }
    }
    text
}

fn object(found: &Inspection, devices: &BTreeMap<(String, String), u64>) -> serde_json::Value {
    let devices = devices
        .iter()
        .map(|((device, gateway), count)| json!({ "device": device, "gateway": gateway, "waiting": count }));
    json!({
        "waiting": found.waiting, "waiting_bytes": found.waiting_bytes, "oldest_ms": found.oldest_ms,
        "dead": found.dead, "damaged": found.damaged, "unreadable": found.unreadable,
        "files": found.files, "file_bytes": found.file_bytes, "devices": devices.collect::<Vec<_>>(),
    })
}

fn verify(dir: &Path, output: &Output) -> Result<(), Failure> {
    let found = inspect(dir, &[], |_| ())?;
    let faults = found.damaged + found.unreadable;
    output.result(
        || match faults {
            0 => format!("{} {} reports in {} files, no damage", output.sign(Sign::Ok), found.waiting, found.files),
            _ => format!(
                "{} {} damaged records and {} unreadable files; {} reports can be delivered",
                output.sign(Sign::Fail),
                found.damaged,
                found.unreadable,
                found.waiting
            ),
        },
        || {
            json!({
                "ok": faults == 0, "damaged": found.damaged, "unreadable": found.unreadable,
                "waiting": found.waiting, "files": found.files,
            })
        },
    );
    if faults == 0 {
        return Ok(());
    }
    let advice = "check the storage, and deliver what is left: the outbox skips what is damaged";
    Err(Failure::new(Exit::Storage, advice).printed())
}

/// An entry as a line of JSON. A body stays as it is written; a message is text, or hexadecimal digits where it is none.
#[derive(Serialize)]
struct Line<'a> {
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    kind: &'static str,
    device: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    gateway: &'a str,
    time_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(flatten)]
    body: Body<'a>,
}

#[derive(Serialize)]
enum Body<'a> {
    #[serde(rename = "body")]
    Json(&'a RawValue),
    #[serde(rename = "message")]
    Text(&'a str),
    #[serde(rename = "message_hex")]
    Hex(String),
}

impl<'a> Body<'a> {
    fn of(kind: EntryKind, bytes: &'a [u8]) -> Self {
        let text = std::str::from_utf8(bytes).ok();
        let json = text.filter(|_| kind != EntryKind::Message).and_then(|text| serde_json::from_str(text).ok());
        match (json, text) {
            (Some(json), _) => Body::Json(json),
            (None, Some(text)) => Body::Text(text),
            (None, None) => Body::Hex(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        }
    }
}

fn kind_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Properties => "properties",
        EntryKind::Message => "message",
        EntryKind::Child => "child",
    }
}

fn print(line: &Line<'_>, output: &Output) {
    // What is written has been checked to be JSON, whose parts may stand on lines of their own.
    let text = serde_json::to_string(line).unwrap_or_default().replace(['\n', '\r'], " ");
    output.line(&text);
}

fn export(dir: &Path, known: &[&str], output: &Output) -> Result<(), Failure> {
    let found = inspect(dir, known, |entry: WaitingEntry| {
        let line = Line {
            id: entry.id,
            number: None,
            kind: kind_name(entry.kind),
            device: &entry.device_id,
            gateway: &entry.gateway_id,
            time_ms: entry.time_ms,
            reason: None,
            code: None,
            body: Body::of(entry.kind, &entry.body),
        };
        print(&line, output);
    })?;
    match found.damaged + found.unreadable {
        0 => Ok(()),
        faults => {
            Err(Failure::storage(format!("check the storage: {faults} records are damaged and left out")).printed())
        }
    }
}

fn letters(dead: &OutboxDead, output: &Output) -> Result<(), Failure> {
    if let Some(number) = dead.forget {
        return forget(&dead.of.dir, number, output);
    }
    dead_letters(&dead.of.dir, |letter: DeadLetter| {
        let line = Line {
            id: letter.id,
            number: Some(letter.number),
            kind: kind_name(letter.kind),
            device: &letter.device_id,
            gateway: &letter.gateway_id,
            time_ms: letter.time_ms,
            reason: Some(format!("{:?}", letter.reason)),
            code: Some(&letter.platform_code),
            body: Body::of(letter.kind, &letter.body),
        };
        print(&line, output);
    })?;
    Ok(())
}

/// This writes, so that no program may have the outbox open.
fn forget(dir: &Path, number: u64, output: &Output) -> Result<(), Failure> {
    // So that a mistyped name makes no outbox.
    dead_letters(dir, |_| ())?;
    // A client that is never used: nothing is delivered unless the outbox is pumped.
    let mut config = Config::new();
    config.endpoint("https://localhost")?.device("nobody", b"nothing")?;
    let mut options = OutboxOptions::new(dir);
    options.start_worker = false;
    let outbox = Client::new(&config)?.open_outbox(options)?;
    outbox.dead_forget(number)?;
    let left = outbox.stats()?.dead_kept;
    outbox.sync(CallOptions::new())?;
    outbox.close()?;
    output.result(
        || format!("{} dead letters left: {left}", output.sign(Sign::Ok)),
        || json!({ "ok": true, "dead": left }),
    );
    Ok(())
}
