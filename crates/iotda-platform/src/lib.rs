//! A stand-in for the device side of Huawei Cloud IoTDA: a strict HTTPS server that keeps the rules of the platform's
//! HTTPS access page. It serves the tests of the other crates as a library, and whoever develops against the platform
//! as the command `iotda-platform`.
//!
//! It is written from that page and shares no code with the client: what both get wrong in the same way, nobody finds.
//!
//! ```
//! use iotda_platform::{Device, Platform, Registry};
//!
//! let mut registry = Registry::new();
//! registry.add_device(Device::new("my_device").with_secret("my-secret"))?;
//! let platform = Platform::builder().registry(registry).start()?;
//! println!("{} trusted by {}", platform.url(), platform.ca_pem());
//! assert!(platform.reports().is_empty());
//! # Ok::<(), iotda_platform::Error>(())
//! ```
//!
//! # The rules
//! A request passes these steps, and the first that refuses it decides the answer:
//!
//! | step | what is refused | answer |
//! |---|---|---|
//! | route | a path that is none of the four | 404 |
//! | | a method other than POST | 405 |
//! | | a malformed device ID in the path; a query; HTTP/1.1 without a `Host` | 400 `IOTDA.000006` |
//! | authenticate | an `access_token` header that is missing, unknown or expired | 403 `IOTDA.000004` |
//! | authorise | another device's token | 403 `IOTDA.000004` |
//! | size | properties or a batch over 1 MB (1,048,576 bytes) | 403 `IOTDA.021105` |
//! | | a message of 1 MB or more | 400 `IOTDA.000006` |
//! | limit | what is over the device's rate | 403 `IOTDA.021101` |
//! | | what is over the tenant's rate | 403 `IOTDA.021102` |
//! | validate | a `Content-Type` other than `application/json` | 400 `IOTDA.000006` |
//! | | a batch of more than 50 child devices | 403 `IOTDA.021103` |
//! | | a child that is unknown or another gateway's | 400 `IOTDA.021104` |
//! | | JSON that is malformed, of another form, or not of the product's model | 400 `IOTDA.000006` |
//!
//! An authentication is refused with 400 `IOTDA.000006` if it is malformed, and with 401 `IOTDA.000002` if the device
//! is unknown or the password wrong. A refused request leaves nothing behind but its record. What is no HTTP request at
//! all gets a 400 without a body, and is not recorded.
//!
//! # Where the page is silent
//! These are choices of ours; the real platform may differ.
//!
//! - It is strict: members that the page does not list, members and properties given twice, empty lists, empty service
//!   IDs and values of another type are refused, as is `null` in the place of a value that is left out.
//! - An `event_time` that is a malformed string is accepted, and the time of receipt put in its place: that the page does
//!   say. One that is no string is refused.
//! - A timestamp must be an hour that exists even for `sign_type` 0. For `sign_type` 1 it may be an hour off.
//! - A rate is a bucket of one second's worth that empties at the rate. A report counts once per started 4 KB (4,096
//!   bytes), be it found malformed afterwards or not. A report of more than one second's worth passes when the bucket is
//!   empty, and is paid for afterwards.
//! - A batch may name the same child twice.
//! - The codes that go with 404, 405 and 500 (`IOTDA.000008`, `IOTDA.000008`, `IOTDA.000001`).
//! - The certificate's years are wide, so that a client under test may live at another time than the machine.
//!
//! # Time
//! Tokens and rates go by the platform's own clock. It shows the machine's time until it is moved; tests stop it
//! ([`PlatformBuilder::clock_stopped_at`]) and move it ([`Platform::advance`]) where they would else have to wait.
//!
//! # The registry file
//! ```
//! # iotda_platform::Registry::from_toml(r#"
//! [limits]                      # a rate is a number per second; without one there is no limit
//! device_rate = 10              # reports of one device
//! tenant_rate = 1000            # reports of all devices together
//! auth_rate = 2                 # authentications of one device
//! tenant_auth_rate = 100        # authentications of all devices together
//! children_per_batch = 50
//!
//! [[product]]
//! id = "weather"
//! [[product.service]]           # a product without services has no model: its devices may report anything
//! id = "wind"                   # int, long, decimal, string, DateTime, boolean, jsonObject, jsonArray, string list
//! properties = { Height = "int", Speed = "decimal" }
//!
//! [[device]]
//! id = "weather_station"
//! secret = "secret"
//! product = "weather"           # optional
//! rate = 5                      # optional: in the place of device_rate
//!
//! [[device]]
//! id = "weather_vane"
//! product = "weather"
//! gateway = "weather_mast"      # a child needs no secret
//!
//! [[gateway]]
//! id = "weather_mast"
//! secret = "secret"
//! children = ["vane_1"]         # beside those that name it; "any" for every device that is not registered
//! child_product = "weather"     # of the listed children that have no entry of their own
//! # "#)?;
//! # Ok::<(), iotda_platform::Error>(())
//! ```
//!
//! # The inspection API
//! Plain HTTP on a loopback address, JSON both ways. Who can reach it can see and change everything.
//!
//! | call | |
//! |---|---|
//! | `GET /reports` | what was accepted, oldest first |
//! | `GET /requests` | every request, accepted or not, and why it was refused |
//! | `DELETE /reports`, `DELETE /requests` | either forgets both lists |
//! | `GET /counters` | connections, handshakes, requests and so on |
//! | `GET /products`, `GET /devices` | what is registered, without secrets |
//! | `POST /products` | `{"product_id": "p", "services": {"wind": {"Speed": "decimal"}}}`, both optional |
//! | `POST /devices` | `{"product_id": "p", "node_id": "n"}`, optionally `device_id`, `secret`, `gateway_id`, `rate`; answers with the `device_id` `p_n` and the secret |
//! | `GET /clock`, `PUT /clock` | `{"now_ms": 1628849410555}`, Unix milliseconds |
//! | `POST /clock/advance` | `{"ms": 90000}` |
//! | `POST /tokens/expire` | makes every access token invalid |

#![forbid(unsafe_code)]

mod builder;
mod calendar;
mod certificate;
mod clock;
mod counters;
mod error;
mod hex;
mod inspection;
mod journal;
mod limiter;
mod model;
mod password;
mod pipeline;
mod platform;
mod refusal;
mod registry;
mod request;
mod server;
mod state;
mod tokens;

pub use builder::PlatformBuilder;
pub use certificate::CertificateKind;
pub use counters::Counters;
pub use error::Error;
pub use journal::{Report, ReportKind, RequestRecord, ServiceReport};
pub use model::{DataType, Product};
pub use platform::Platform;
pub use registry::{Device, Limits, Registry};
