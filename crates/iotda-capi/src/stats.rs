//! `iotda_stats_t`: what a client has counted; and the platform's time, which it has seen.

use crate::client::iotda_client_t;
use crate::outcome::status_of;
use crate::panic::panic_if_asked;
use crate::status::iotda_status_t;

/// Counters since the client was made, over all devices that share its connections.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct iotda_stats_t {
    /// in: sizeof(iotda_stats_t).
    pub struct_size: usize,
    /// out: requests sent, authentications not counted.
    pub requests: u64,
    /// out: authentications sent.
    pub authentications: u64,
    /// out: attempts that were made after a failure.
    pub retries: u64,
    /// out: bytes of request bodies sent.
    pub body_bytes_sent: u64,
    /// out: bytes handed to the network, TLS included.
    pub bytes_sent: u64,
    /// out: bytes received from the network, TLS included.
    pub bytes_received: u64,
    /// out: TLS handshakes with a certificate.
    pub handshakes_full: u64,
    /// out: TLS handshakes that resumed a session.
    pub handshakes_resumed: u64,
    /// out: reports that waited so as not to exceed a rate limit.
    pub pacing_waits: u64,
}

/// The size of the struct's first version.
const FIRST_VERSION: usize = size_of::<iotda_stats_t>();

/// Reads the counters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_stats(client: *const iotda_client_t, stats: *mut iotda_stats_t) -> iotda_status_t {
    status_of(|| {
        panic_if_asked();
        let client = handle!(client)?;
        let stats = client.noting(|| sized!(stats: iotda_stats_t, FIRST_VERSION))?;
        let now = client.core().stats();
        *stats = iotda_stats_t {
            struct_size: stats.struct_size,
            requests: now.requests,
            authentications: now.authentications,
            retries: now.retries,
            body_bytes_sent: now.body_bytes_sent,
            bytes_sent: now.bytes_sent,
            bytes_received: now.bytes_received,
            handshakes_full: now.handshakes_full,
            handshakes_resumed: now.handshakes_resumed,
            pacing_waits: now.pacing_waits,
        };
        Ok(())
    })
}

/// The platform's Unix time in milliseconds, from its last answer and the time that has passed since; 0 if no answer
/// has carried it yet, or for NULL. It has one-second resolution and lags by the network's latency.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_server_time_ms(client: *const iotda_client_t) -> i64 {
    let mut time = 0;
    let _ = status_of(|| {
        panic_if_asked();
        time = handle!(client)?.core().server_time_ms().unwrap_or(0);
        Ok(())
    });
    time
}
