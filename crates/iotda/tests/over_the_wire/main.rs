//! The client against the stand-in platform, and against servers that answer oddly, over real TLS
//! sockets on the loopback.

mod batches;
mod bookkeeping;
mod by_ureq;
mod connections;
mod device;
mod faults;
mod inspection;
mod odd_answers;
mod outbox;
mod outbox_devices;
mod persistence;
#[cfg(feature = "probe")]
mod probe;
mod reports;
mod routes;
mod scratch;
mod scripted;
mod search;
mod shared_tokens;
mod tls;
mod tokens;
mod wire;
