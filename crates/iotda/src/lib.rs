//! Client for the HTTPS device access of Huawei Cloud IoTDA.
//!
//! A device authenticates with its id and secret, and reports properties and messages; a gateway
//! reports for its child devices in batches.
//!
//! ```no_run
//! use iotda::{CallOptions, Client, Config, Service};
//!
//! let mut config = Config::new();
//! config.endpoint("https://iot.example.com")?.device("device-1", b"secret")?;
//! let client = Client::new(&config)?;
//! let service = Service {
//!     service_id: "environment",
//!     properties: r#"{"temperature":21.5}"#,
//!     event_time_ms: None,
//! };
//! client.report_properties(&[service], CallOptions::default())?;
//! # Ok::<(), iotda::Error>(())
//! ```
//!
//! The crates `iotda-capi` and `libiotda` make the C library of it.
//!
//! # How a report flows
//!
//! [`Client`] is the façade. `report` holds functions on values: validate, encode, split into requests. `delivery` sends
//! them: authorize, keep the pace, post, classify the answer, retry. HTTP over TLS is the crate `iotda-http`. Each
//! step knows only those behind it.

#![forbid(unsafe_code)]

mod client;
mod config;
mod delivery;
mod error;
mod monitor;
pub mod outbox;
#[cfg(feature = "probe")]
pub mod probe;
mod report;

pub use client::Client;
pub use config::{Config, SignType};
pub use delivery::{BatchReport, CallOptions, Delivery, RetryPolicy};
pub use error::{Error, ErrorKind, Result};
pub use iotda_http::{CancelToken, Clock, Connection, Level, Log, SystemClock, Transport};
pub use monitor::Stats;
pub use outbox::{DeadLetter, EntryKind, OnSettled, Outbox, OutboxOptions, OutboxStats, Settled, WhenFull};
pub use report::{Child, DEVICE_ID_MAX, Properties, Service, limits};
