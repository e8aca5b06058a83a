//! `iotda auth`: for how long the token is valid.

use std::time::Duration;

use serde_json::json;

use crate::arguments::{Auth, Connection};
use crate::connect::Connected;
use crate::exit::Failure;
use crate::output::{Output, Sign};
use crate::signals;

pub fn run(auth: &Auth, connection: &Connection, output: &Output) -> Result<(), Failure> {
    let connected = Connected::open_with(connection, output, |config| {
        if auth.renew {
            config.token("")?;
        }
        Ok(())
    })?;
    let cancel = signals::cancel()?;
    connected.client.authenticate(cancel)?;
    let remaining = connected.client.token_remaining();
    let is_new = connected.client.tokens_issued() > 0;
    let token = if auth.show_token { connected.client.export_token() } else { None };
    let device = connected.client.device_id();
    output.result(
        || {
            let valid =
                remaining.map_or_else(|| "until it is refused".to_owned(), |left| format!("for {}", span(left)));
            let mut text = match is_new {
                true => format!("{} {device} accepted, token valid {valid}", output.sign(Sign::Ok)),
                // The platform was not asked, and nothing says that the secret is right.
                false => format!(
                    "{} {device} has a token, valid {valid} (iotda auth --renew checks the secret)",
                    output.sign(Sign::Ok)
                ),
            };
            if let Some(token) = &token {
                text.push('\n');
                text.push_str(token);
            }
            text
        },
        || {
            let mut object = json!({
                "ok": true, "device": device, "authenticated": is_new,
                "valid_for_s": remaining.map(|left| left.as_secs()),
            });
            if let Some(token) = &token {
                object["token"] = json!(token);
            }
            object
        },
    );
    Ok(())
}

/// A span as a person says it, in its two largest units.
pub fn span(left: Duration) -> String {
    let seconds = left.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_in_their_two_largest_units() {
        for (seconds, expected) in
            [(0, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3600, "1 h 0 min"), (86_399, "23 h 59 min")]
        {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
    }
}
