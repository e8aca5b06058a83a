//! The platform as a device sees it: over real TLS connections, by a client that is written from the page alone.

mod command;
mod connections;
mod device;
mod faults;
mod http;
mod inspection;
#[cfg(target_os = "linux")]
mod load;
mod models;
mod program;
mod refused;
mod rules;
