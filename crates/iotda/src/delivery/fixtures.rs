//! What the tests of this module have in common: a session whose platform is a function.

use std::sync::Arc;
use std::time::Duration;

use iotda_http::{Answer, Bounds, Exchange, Post, SystemClock, Watch};
use iotda_sys::fork::ForkMark;

use crate::delivery::call::Rules;
use crate::delivery::pace::Pace;
use crate::delivery::retry::RetryPolicy;
use crate::delivery::session::Session;
use crate::monitor::Monitor;

/// Pauses that nobody notices.
pub(crate) const RULES: Rules = Rules {
    timeout: Duration::from_secs(60),
    patience: Duration::from_secs(10),
    retry: RetryPolicy { max_attempts: 3, base_delay: Duration::from_nanos(1), max_delay: Duration::from_nanos(1) },
};

struct Scripted<F>(F);

impl<F: Fn(&Post<'_>, &Bounds<'_>) -> iotda_http::Result<Answer> + Send + Sync> Exchange for Scripted<F> {
    fn post(&self, post: &Post<'_>, bounds: &Bounds<'_>) -> iotda_http::Result<Answer> {
        (self.0)(post, bounds)
    }
}

/// A session whose requests `platform` answers.
pub(crate) fn session(
    platform: impl Fn(&Post<'_>, &Bounds<'_>) -> iotda_http::Result<Answer> + Send + Sync + 'static,
) -> Session {
    Session {
        exchange: Box::new(Scripted(platform)),
        clock: Arc::new(SystemClock),
        monitor: Monitor::new(Arc::new(Watch::default())),
        rules: RULES,
        pace: Pace::new(None),
        device_rate: None,
        fork: ForkMark::new(),
    }
}

/// An answer of the platform.
pub(crate) fn answer(status: u16, body: &str) -> iotda_http::Result<Answer> {
    Ok(Answer { status, body: body.as_bytes().to_vec().into(), ..Answer::default() })
}
