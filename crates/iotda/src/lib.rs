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
//! The crates `iotda-capi` and `iotda-dist` make the C library of it.
//!
//! # How a report flows
//!
//! Validate and encode (`report`, `document`, `json`), cut into requests (`batch`), authorize
//! (`authorize`, `token`, `password`), keep the `pace`, send (`http`), read the answer (`answer`), try
//! again (`call`, `retry`). `deliver` and `gateway` put the steps in their order; most of the steps are
//! functions on values.

#![forbid(unsafe_code)]

mod answer;
mod authorize;
mod batch;
mod calendar;
mod call;
mod cancel;
mod client;
mod clock;
mod config;
mod deliver;
mod document;
mod endpoint;
mod error;
mod gateway;
mod http;
mod identifier;
mod json;
pub mod limits;
mod monitor;
mod pace;
mod password;
mod properties;
mod report;
mod retry;
mod saved_token;
mod token;
mod transport;

pub use call::{CallOptions, Delivery};
pub use cancel::CancelToken;
pub use client::Client;
pub use clock::{Clock, SystemClock};
pub use config::{Config, SignType};
pub use error::{Error, ErrorKind, Result};
pub use gateway::BatchReport;
pub use identifier::DEVICE_ID_MAX;
pub use monitor::{Level, Log, Stats};
pub use properties::Properties;
pub use report::{Child, Service};
pub use retry::RetryPolicy;
pub use transport::{Connection, Transport};
