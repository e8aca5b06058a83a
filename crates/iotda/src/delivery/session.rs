//! What all devices of a client share, and what a device has of its own.

use std::sync::Arc;

use iotda_http::{Answer, Bounds, Clock, Exchange, Post};
use iotda_sys::fork::ForkMark;

use crate::config::{Identity, OnToken, SignType};
use crate::delivery::call::Rules;
use crate::delivery::learned::Learned;
use crate::delivery::pace::Pace;
use crate::delivery::saved_token::Owner;
use crate::delivery::token::TokenCell;
use crate::error::{Error, ErrorKind, Result};
use crate::monitor::{Count, Level, Monitor};

/// What a request needs, whichever device it is for.
pub(crate) struct Session {
    pub(crate) exchange: Box<dyn Exchange>,
    /// The platform's `host[:port]`.
    pub(crate) authority: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) monitor: Monitor,
    pub(crate) rules: Rules,
    /// The pace of all devices together.
    pub(crate) pace: Pace,
    /// The known rate of a single device, for those that will be opened.
    pub(crate) device_rate: Option<f64>,
    pub(crate) fork: ForkMark,
    /// Is given each token that a device is issued.
    pub(crate) on_token: Option<Arc<OnToken>>,
}

/// One device that reports.
pub(crate) struct Device {
    pub(crate) identity: Arc<Identity>,
    pub(crate) sign_type: SignType,
    pub(crate) token: TokenCell,
    pub(crate) pace: Pace,
    /// What this device's batches, as a gateway, have learned of its children.
    pub(crate) learned: Learned,
}

impl Session {
    /// Sends a request once, and notes what there is to note about it. `count`: what it counts as.
    pub(crate) fn post(&self, post: &Post<'_>, bounds: &Bounds<'_>, count: Count) -> iotda_http::Result<Answer> {
        let result = self.exchange.post(post, bounds);
        let is_sent = result.as_ref().map_or_else(|error| error.sent, |_| true);
        if is_sent {
            self.monitor.add(count, 1);
            self.monitor.add(Count::BodyBytesSent, post.body.len() as u64);
        }
        self.monitor.log(Level::Debug, || {
            let path = post.path.concat();
            match &result {
                Ok(answer) => format!("POST {path} of {} bytes: HTTP {}", post.body.len(), answer.status),
                Err(error) => format!("POST {path}: {error}"),
            }
        });
        if let Some(server_time_ms) = result.as_ref().ok().and_then(|answer| answer.server_time_ms) {
            self.monitor.server_told(server_time_ms, self.monotonic_ms());
        }
        result
    }

    /// The platform's time in Unix milliseconds, from its last answer.
    pub(crate) fn server_time_ms(&self) -> Option<i64> {
        self.monitor.server_time_ms(|| self.monotonic_ms())
    }

    /// Whose the tokens of a device are.
    pub(crate) fn owner<'a>(&'a self, device: &'a Device) -> Owner<'a> {
        Owner { device_id: device.id(), authority: &self.authority }
    }

    /// An error in a child process made by `fork`.
    pub(crate) fn check_process(&self) -> Result<()> {
        if self.fork.is_forked() {
            return Err(Error::new(
                ErrorKind::Forked,
                "make a new client in the child process: this one was made before a fork, in the parent",
            ));
        }
        Ok(())
    }

    /// The clock's monotonic time in the unit of Unix times.
    fn monotonic_ms(&self) -> i64 {
        i64::try_from(self.clock.monotonic().as_millis()).unwrap_or(i64::MAX)
    }
}

impl Device {
    pub(crate) fn new(identity: Arc<Identity>, sign_type: SignType, rate: Option<f64>) -> Self {
        Device { identity, sign_type, token: TokenCell::default(), pace: Pace::new(rate), learned: Learned::default() }
    }

    pub(crate) fn id(&self) -> &str {
        &self.identity.device_id
    }

    /// An error as the log has it: it names the device, once.
    pub(crate) fn line(&self, error: &Error) -> String {
        let name = format!("device \"{}\"", self.id());
        if error.message().contains(&name) { error.to_string() } else { format!("{name}: {error}") }
    }
}

#[cfg(test)]
mod tests {
    use iotda_http::{Answer, Bounds, Post};

    use super::*;
    use crate::delivery::fixtures::{manual_clock, session};

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn a_device_that_is_idle_is_small() {
        // Beside it: its id, its secret, and what the C API keeps; with them at most 400 bytes are promised.
        let size = size_of::<Device>();
        assert!(size <= 240, "{size} bytes");
    }

    #[test]
    fn the_platforms_time_goes_on_with_the_clock_between_answers() {
        let mut session = session(|_, _| Ok(Answer { status: 200, server_time_ms: Some(9_000), ..Answer::default() }));
        let clock = manual_clock(&mut session);
        let bounds = Bounds { deadline: None, patience: session.rules.patience, cancel: None, fresh: false };
        let post = Post { path: ["", "", ""], token: None, body: b"" };
        assert_eq!(session.server_time_ms(), None);
        for advance in [1_000, 7_000] {
            clock.advance(std::time::Duration::from_millis(advance));
            session.post(&post, &bounds, Count::Requests).unwrap();
            assert_eq!(session.server_time_ms(), Some(9_000));
            clock.advance(std::time::Duration::from_millis(5_500));
            assert_eq!(session.server_time_ms(), Some(14_500));
        }
    }
}
