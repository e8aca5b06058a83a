//! `--dry-run`: the request as it would be sent, without the token.

use std::env;

use serde::Serialize;

use crate::arguments::Connection;
use crate::body::Shown;
use crate::exit::Failure;
use crate::output::Output;
use crate::settings::Settings;

/// Prints the request of one report: `call` is the end of its path. Reads no secret, and contacts nobody.
pub fn print(call: &str, body: &[u8], connection: &Connection, output: &Output) -> Result<(), Failure> {
    let settings = Settings::resolve(connection, &|name| env::var_os(name))?;
    let endpoint = settings.endpoint.map_or_else(|| "https://<endpoint>".to_owned(), |endpoint| endpoint.value);
    let device = settings.device.map_or_else(|| "<device>".to_owned(), |device| device.value);
    let url = format!("{}/v5/devices/{device}/sys/{call}", endpoint.trim_end_matches('/'));
    if output.json {
        let request = Request { method: "POST", url: &url, bytes: body.len(), body: Shown::of(body) };
        let line = serde_json::to_string(&request).map_err(|error| Failure::usage(error.to_string()))?;
        output.line(&line);
        return Ok(());
    }
    let shown = String::from_utf8_lossy(body);
    let length = body.len();
    let head = format!("POST {url}\nContent-Type: application/json\nContent-Length: {length}\naccess_token: <token>");
    output.line(&format!("{head}\n\n{shown}"));
    Ok(())
}

#[derive(Serialize)]
struct Request<'a> {
    method: &'a str,
    url: &'a str,
    bytes: usize,
    body: Shown<'a>,
}
