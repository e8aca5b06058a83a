//! The platform as the outbox sees it: something that takes one body for one device, and what it says. The real one is
//! [`super::attached`]; tests have a scripted one.

use std::time::Instant;

/// What the platform, or the way to it, said to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A 2xx with an empty body, or JSON without an `error_code`.
    Delivered,
    /// One of the platform's documented codes for what was sent (000006, 021103, 021105).
    Refused(Refusal),
    /// 021104.
    UnknownChild(Refusal),
    /// The device is not let in.
    LockedOut(String),
    /// A rate limit, the device's own pace among them: nothing can be sent for this long.
    Paced(u64),
    /// Anything else; it goes better later. `everywhere`: not this device alone.
    Outage { everywhere: bool, asked_ms: u64, message: String },
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) verdict: Verdict,
    /// Requests that were sent: none where no connection could be made, two where a token had to be replaced.
    pub(crate) requests: u32,
}

/// A refusal by code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Such as `IOTDA.000006`.
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) too_much: Option<TooMuch>,
}

/// What a request held too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooMuch {
    Children,
    Bytes,
}

/// Sends for one device.
pub(crate) trait Deliver: Send + Sync {
    fn device_id(&self) -> &str;
    /// Sends a body of this kind (`frame::kind`) once, without waiting for the device's pace.
    fn deliver(&self, kind: u8, body: &[u8], deadline: Option<Instant>) -> Ended;
    /// The platform's Unix time, from its last answer.
    fn platform_ms(&self) -> Option<i64>;
    /// Ends what is under way, and what would begin: the outbox is closed.
    fn interrupt(&self);
}
