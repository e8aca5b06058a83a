//! Sends encoded reports: functions on a [`session::Session`].
//!
//! - `session`: what all devices of a client share, and what a device has of its own.
//! - `call`: one call of the program: its deadline, its cancel token, its counts; and one request of it.
//! - `deliver`: sends one body until it is accepted. `batch`: sends any number of child devices; `learned`: what a
//!   gateway's batches teach for those that follow; `verdict`: what a batch amounts to; `batch_error`: how it fails.
//! - `authorize`: gets a token for a request. `token`: keeps it. `saved_token`: a token that outlives the process.
//!   `password`: what an authentication is signed with.
//! - `pace`: when the next report is due. `retry`: whether and when to send again. `classify`: what an answer means; it
//!   finds members of damaged bodies by `members`, and hides secrets by `redact`.

pub(crate) mod authorize;
pub(crate) mod batch;
mod batch_error;
pub(crate) mod call;
pub(crate) mod classify;
pub(crate) mod deliver;
#[cfg(test)]
pub(crate) mod fixtures;
pub(crate) mod learned;
mod members;
pub(crate) mod pace;
mod password;
mod redact;
pub(crate) mod retry;
pub(crate) mod saved_token;
pub(crate) mod session;
pub(crate) mod token;
pub(crate) mod verdict;

pub use batch_error::BatchError;
pub use call::{CallOptions, Delivery};
pub use retry::RetryPolicy;
