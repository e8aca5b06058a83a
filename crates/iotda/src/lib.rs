#![doc = include_str!("../README.md")]
//!
//! # How a report flows
//!
//! [`Client`] is the façade. `report` holds functions on values: validate, encode, split into requests. `delivery` sends
//! them: authorize, keep the pace, post, classify the answer, retry. HTTP over TLS is the crate `iotda-http`. Each
//! step knows only those behind it.

#![forbid(unsafe_code)]
#![warn(clippy::missing_errors_doc)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(doc, doctest))]
#[doc = include_str!("../ASYNC.md")]
pub mod asynchronous {}
mod client;
mod config;
mod delivery;
mod error;
#[cfg(feature = "log")]
mod log_crate;
mod monitor;
pub mod outbox;
#[cfg(feature = "probe")]
pub mod probe;
mod report;

pub use client::Client;
pub use config::{Config, SignType};
pub use delivery::{BatchError, CallOptions, Delivery, RetryPolicy};
pub use error::{Error, ErrorKind, Result};
pub use iotda_http::{CancelToken, Clock, Connection, Level, Log, SystemClock, Transport};
#[cfg(feature = "log")]
pub use log_crate::LogCrate;
pub use monitor::Stats;
pub use outbox::{DeadLetter, EntryKind, OnSettled, Outbox, OutboxOptions, OutboxStats, Settled, WhenFull};
pub use report::{Child, DEVICE_ID_MAX, Properties, Service, limits};
