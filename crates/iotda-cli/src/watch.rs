//! `iotda watch`: a table of what arrives at a stand-in, by its inspection API.

use std::env;

use iotda_platform::escape;
use serde::{Deserialize, Serialize};

use crate::arguments::Watch;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Sign};

/// How long the stand-in waits for something to list before it says that there is nothing.
const WAIT_MS: u32 = 60_000;

/// The most characters of a body or a reason in a row.
const WHAT: usize = 120;

/// A record of the stand-in, without what is secret in it: passwords and tokens are in headers and in the body of an
/// authentication.
#[derive(Deserialize, Serialize)]
struct Record {
    number: u64,
    received_at: String,
    device_id: Option<String>,
    call: Option<String>,
    status: Option<u16>,
    result: String,
    error_code: Option<String>,
    reason: Option<String>,
    discarded: Option<String>,
    body: Option<String>,
}

pub fn run(watch: &Watch, output: &Output) -> Result<(), Failure> {
    let of_environment = || env::var("IOTDA_INSPECT").ok().filter(|url| !url.is_empty());
    let base = watch.inspect.clone().or_else(of_environment).ok_or_else(|| {
        Failure::config("start iotda serve, and name what it prints as IOTDA_INSPECT by --inspect: there is no address")
    })?;
    let base = base.trim_end_matches('/');
    let mut after = match watch.all {
        true => 0,
        false => list(&format!("{base}/log?limit=1"))?.last().map_or(0, |record| record.number),
    };
    let chosen: String = [("device", &watch.of_device), ("call", &watch.call), ("result", &watch.result)]
        .into_iter()
        .filter_map(|(name, value)| Some(format!("&{name}={}", encoded(value.as_deref()?))))
        .collect();
    if !output.json && !output.quiet {
        output.line(&format!("{:12}  {:24}  {:10}  {:6}  RESULT", "TIME", "DEVICE", "CALL", "STATUS"));
    }
    let mut left = watch.count.unwrap_or(u64::MAX);
    while left > 0 {
        let limit = left.min(1000);
        for record in list(&format!("{base}/log?after={after}&limit={limit}&wait_ms={WAIT_MS}{chosen}"))? {
            after = record.number;
            left -= 1;
            show(record, output)?;
        }
    }
    Ok(())
}

fn list(url: &str) -> Result<Vec<Record>, Failure> {
    let gone = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Network, format!("check that the stand-in runs, and --inspect: {error}"))
    };
    let mut answer = ureq::get(url).call().map_err(|error| gone(&error))?;
    let body = answer.body_mut().with_config().limit(1 << 30).read_to_string().map_err(|error| gone(&error))?;
    serde_json::from_str(&body)
        .map_err(|error| Failure::new(Exit::Platform, format!("check --inspect: no stand-in answers there: {error}")))
}

fn show(mut record: Record, output: &Output) -> Result<(), Failure> {
    if record.call.as_deref() == Some("auth") {
        record.body = None;
    }
    if output.json {
        let line = serde_json::to_string(&record).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        output.line(&line);
    } else {
        output.line(&row(&record, output));
    }
    Ok(())
}

/// What a device sends is shown, never done: a terminal would obey control characters.
fn row(record: &Record, output: &Output) -> String {
    let time = record.received_at.get(11..23).unwrap_or(&record.received_at);
    let (sign, what) = match record.result.as_str() {
        "accepted" => (Sign::Ok, record.body.clone().unwrap_or_default()),
        "discarded" => (Sign::Warn, format!("discarded: {}", record.discarded.as_deref().unwrap_or_default())),
        "refused" => {
            let code = record.error_code.as_deref().map_or(String::new(), |code| format!("{code}, "));
            (Sign::Fail, format!("refused: {code}{}", record.reason.as_deref().unwrap_or_default()))
        }
        _ => (Sign::Skipped, "no answer".to_owned()),
    };
    let what = match what.char_indices().nth(WHAT) {
        Some((end, _)) => format!("{}...", &what[..end]),
        None => what,
    };
    let device = escape(record.device_id.as_deref().unwrap_or("-"));
    let call = record.call.as_deref().unwrap_or("-");
    let status = record.status.filter(|status| *status != 0).map_or("-".to_owned(), |status| status.to_string());
    format!("{time:12}  {device:24}  {call:10}  {status:6}  {} {}", output.sign(sign), escape(&what))
        .trim_end()
        .to_owned()
}

/// A value of a query (RFC 3986, 2.3).
fn encoded(value: &str) -> String {
    let unreserved = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    value
        .bytes()
        .map(|byte| if unreserved(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_query_are_encoded() {
        assert_eq!(encoded("a-b_1"), "a-b_1");
        assert_eq!(encoded("a&b=ä"), "a%26b%3D%C3%A4");
    }
}
