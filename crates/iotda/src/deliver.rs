//! Delivers one request body: gets a token, keeps the pace, sends, reads the answer, and tries again.
//!
//! Whether and when to try again is decided by [`crate::call`]; where tokens come from, by
//! [`crate::authorize`]; what an answer means, by [`crate::answer`].

use crate::answer;
use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Refusal, Result};
use crate::http::request::Post;
use crate::monitor::Count;
use crate::pace;

/// The calls that carry a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Properties,
    Message,
    Batch,
}

impl Target {
    /// The end of the path, after the device's id.
    fn path(self) -> &'static str {
        match self {
            Target::Properties => "/sys/properties/report",
            Target::Message => "/sys/messages/up",
            Target::Batch => "/sys/gateway/sub-devices/properties/report",
        }
    }

    /// As messages name what is sent there.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Target::Properties => "the property report",
            Target::Message => "the message",
            Target::Batch => "the batch",
        }
    }
}

/// How one attempt ended.
enum Attempt {
    /// Accepted, with this HTTP status.
    Delivered(u16),
    /// The token was refused; with another one it may go better, at once.
    WithNewToken,
    /// It may go better later.
    Failed(Error),
}

impl Client {
    /// Sends one body until it is accepted, or the call's attempts or time are used up; returns the HTTP
    /// status of the success.
    pub(crate) fn deliver(&self, target: Target, body: &[u8], call: &mut Call<'_>) -> Result<u16> {
        loop {
            match self.attempt(target, body, call)? {
                Attempt::Delivered(status) => return Ok(status),
                Attempt::WithNewToken => {}
                Attempt::Failed(error) => call.pause_before_retry(error)?,
            }
        }
    }

    /// Sends one body once. An error ends the call.
    fn attempt(&self, target: Target, body: &[u8], call: &mut Call<'_>) -> Result<Attempt> {
        let token = self.token(call)?;
        let units = pace::units(body.len());
        self.keep_pace(units, call)?;
        let before = call.attempts;
        let context = call.attempt()?;
        let post = Post { path: self.path(target), token: Some(token.text()), body };
        let answer = self.shared.exchange.post(&post, &context, &mut call.attempts);
        self.shared.monitor.add(Count::Requests, u64::from(call.attempts - before));
        let accepted = answer.and_then(|answer| answer::accepted(&answer, target.what()).map(|()| answer.status));
        let error = match accepted {
            Ok(status) => {
                self.device.pace.accepted(units);
                self.shared.pace.accepted(units);
                return Ok(Attempt::Delivered(status));
            }
            Err(error) => error.without(token.text()),
        };
        match error.kind() {
            ErrorKind::TokenRejected => {
                self.device.token.refused(&token);
                if call.authenticated || call.token_replaced {
                    return Err(error);
                }
                call.token_replaced = true;
                Ok(Attempt::WithNewToken)
            }
            ErrorKind::RateLimited => {
                let of_all = error.answer().refusal == Refusal::TenantRate;
                let pace = if of_all { &self.shared.pace } else { &self.device.pace };
                pace.limited(self.shared.clock.monotonic());
                Ok(Attempt::Failed(error))
            }
            _ => Ok(Attempt::Failed(error)),
        }
    }

    /// Waits until a report of `units` is due.
    fn keep_pace(&self, units: f64, call: &Call<'_>) -> Result<()> {
        let mut now = self.shared.clock.monotonic();
        for pace in [&self.device.pace, &self.shared.pace] {
            let wait = pace.reserve(now, units, || call.time_left()).map_err(|wait| {
                Error::new(
                    ErrorKind::RateLimited,
                    format!(
                        "the rate limit leaves no room for this report within the call's time: the next is due in {} ms",
                        wait.as_millis()
                    ),
                )
                .with_retry_after(wait)
            })?;
            if !wait.is_zero() {
                self.shared.monitor.add(Count::PacingWaits, 1);
                call.pause(wait)?;
                now = self.shared.clock.monotonic();
            }
        }
        Ok(())
    }

    fn path(&self, target: Target) -> [&str; 3] {
        ["/v5/devices/", self.device_id(), target.path()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_paths_of_the_three_reports() {
        let mut config = Config::new();
        config.endpoint("https://iot.example:8943").unwrap().device("deviceId_0001", b"secret").unwrap();
        config.ca_pem(crate::http::roots::tests::authority().as_bytes()).unwrap();
        let client = Client::new(&config).unwrap();
        for (target, path) in [
            (Target::Properties, "/v5/devices/deviceId_0001/sys/properties/report"),
            (Target::Message, "/v5/devices/deviceId_0001/sys/messages/up"),
            (Target::Batch, "/v5/devices/deviceId_0001/sys/gateway/sub-devices/properties/report"),
        ] {
            assert_eq!(client.path(target).concat(), path);
        }
    }
}
