//! What the tests of this module have in common: a session whose platform is a function.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use iotda_http::{Answer, Bounds, Clock, Exchange, Level, Log, Post, Watch};
use iotda_sys::fork::ForkMark;

use crate::config::{Identity, SignType};
use crate::delivery::call::Rules;
use crate::delivery::pace::Pace;
use crate::delivery::retry::RetryPolicy;
use crate::delivery::session::{Device, Session};
use crate::monitor::Monitor;

/// Pauses that nobody notices.
pub(crate) const RULES: Rules = Rules {
    timeout: Duration::from_secs(60),
    patience: Duration::from_secs(10),
    retry: RetryPolicy { max_attempts: 3, base_delay: Duration::from_nanos(1), max_delay: Duration::from_nanos(1) },
    authenticate_when_asked: false,
};

/// Stands still unless a test moves it; its Unix time began at 2020-09-13T12:26:40Z.
#[derive(Debug, Default)]
pub(crate) struct ManualClock(AtomicU64);

impl ManualClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn unix_ms(&self) -> i64 {
        1_600_000_000_000 + self.0.load(Ordering::SeqCst) as i64
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

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
        authority: "iot.example".to_owned(),
        clock: Arc::new(ManualClock::default()),
        monitor: Monitor::new(Arc::new(Watch::default())),
        rules: RULES,
        pace: Pace::new(None),
        device_rate: None,
        fork: ForkMark::new(),
        on_token: None,
    }
}

/// An answer of the platform.
pub(crate) fn answer(status: u16, body: &str) -> iotda_http::Result<Answer> {
    Ok(Answer { status, body: body.as_bytes().to_vec().into(), ..Answer::default() })
}

/// A device with a secret.
pub(crate) fn device() -> Device {
    Device::new(Identity::new("device-1", b"s3cr3t-of-device-1").unwrap().into(), SignType::PasswordOnly, None)
}

/// The answer to an authentication.
pub(crate) fn token(text: &str) -> iotda_http::Result<Answer> {
    answer(200, &format!(r#"{{"access_token":"{text}","expires_in":86399}}"#))
}

/// A platform that authenticates everybody with `t0k3n` and answers reports by `reports`.
pub(crate) fn authenticated(
    reports: impl Fn(&Post<'_>, &Bounds<'_>) -> iotda_http::Result<Answer> + Send + Sync + 'static,
) -> Session {
    session(move |post, bounds| match post.token {
        None => token("t0k3n"),
        Some(_) => reports(post, bounds),
    })
}

/// A session whose platform takes everything, and the bodies of the reports that came.
pub(crate) fn recording() -> (Session, Arc<Mutex<Vec<String>>>) {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&bodies);
    let session = authenticated(move |post, _| {
        seen.lock().unwrap().push(String::from_utf8(post.body.to_vec()).unwrap());
        answer(200, "")
    });
    (session, bodies)
}

/// The session's clock moves from now on when the test moves the one that is returned.
pub(crate) fn manual_clock(session: &mut Session) -> Arc<ManualClock> {
    let clock = Arc::new(ManualClock::default());
    session.clock = Arc::clone(&clock) as Arc<dyn Clock>;
    clock
}

/// Keeps every line of the session's log.
pub(crate) fn lines(session: &mut Session) -> Arc<Lines> {
    let lines = Arc::new(Lines::default());
    session.monitor = Monitor::new(Arc::new(Watch::new(Some((Level::Debug, Arc::clone(&lines) as Arc<dyn Log>)))));
    lines
}

#[derive(Debug, Default)]
pub(crate) struct Lines(pub(crate) Mutex<Vec<String>>);

impl Log for Lines {
    fn log(&self, _level: Level, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}
