//! What the platform does wrong on request: each fault does what it says, as often as it says, and not
//! afterwards.

mod answers;
mod cuts;
mod delays;
mod forms;
mod handshakes;
mod injection;
mod raw;

use crate::device::{Connection, accepted, platform, tls};
use iotda_platform::{Counters, Fault, Platform};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use rustls::version::TLS12;
use std::sync::Arc;

/// A platform with a connection of `device`, and the token that it has got. What is injected meets the next request.
fn authenticated() -> (Platform, Connection, String) {
    let platform = platform();
    let mut connection = Connection::open(&platform);
    let token = connection.token("device");
    (platform, connection, token)
}

/// Arms a fault, to be done once.
fn once(platform: &Platform, fault: Fault) {
    platform.inject(fault.times(1)).expect("a fault that can be carried out");
}

/// How often each fault was done, and how often it still is to be.
fn counts(platform: &Platform) -> Vec<(u64, Option<u64>)> {
    platform.faults().iter().map(|fault| (fault.hits, fault.remaining)).collect()
}

/// The fault that was armed was done, and the next request over a new connection is as good as any.
fn assert_done_once(platform: &Platform, token: &str) {
    assert_eq!(counts(platform).last(), Some(&(1, Some(0))));
    let mut connection = Connection::open(platform);
    assert_eq!(connection.message("device", token, b"afterwards").outcome(), accepted());
}

/// Waits until the platform's counters are as they should be.
fn wait_for(platform: &Platform, are_right: impl Fn(&Counters) -> bool) {
    wait_for_platform(platform, |platform| are_right(&platform.counters()));
}

/// Waits until the platform is as it should be.
pub fn wait_for_platform(platform: &Platform, is_right: impl Fn(&Platform) -> bool) {
    // The number ends a test that would wait for ever.
    for _ in 0..100_000_000_u64 {
        if is_right(platform) {
            return;
        }
        std::thread::yield_now();
    }
    panic!("what is waited for does not happen: {:?}", platform.counters());
}

/// Waits until the platform has seen the end of all connections but `open`.
fn wait_for_open_connections(platform: &Platform, open: u64) {
    wait_for(platform, |counters| counters.connections - counters.connections_closed == open);
}

/// The first bytes that a client sends.
fn client_hello(platform: &Platform) -> Vec<u8> {
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = ClientConnection::new(Arc::new(tls(platform, &[&TLS12])), name).expect("a client");
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("bytes");
    hello
}
