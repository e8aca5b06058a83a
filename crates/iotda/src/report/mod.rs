//! Reports as a caller describes them: checked, encoded, and split into requests. Functions on values; nothing here sends
//! anything.
//!
//! - `validate`: bodies that a caller wrote as JSON. `identifier`: device ids. `calendar`: event times.
//! - `service`: what a caller fills in. `properties`: a builder of property objects. `encode`: both checked and measured,
//!   then written.
//!   `serialize`: of any value, by serde.
//! - `split`: how a batch becomes requests. [`limits`]: the platform's.
//! - `json`: where values begin and end; how strings and numbers are written.

pub(crate) mod calendar;
pub(crate) mod encode;
pub(crate) mod identifier;
pub(crate) mod json;
pub mod limits;
mod properties;
#[cfg(feature = "serde")]
mod serialize;
mod service;
pub(crate) mod split;
pub(crate) mod validate;

pub use identifier::DEVICE_ID_MAX;
pub use properties::Properties;
pub use service::{Child, Service};
