//! What the platform has counted since it was started.

use serde::Serialize;

/// Numbers since the platform was started. Clearing the records leaves them alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counters {
    /// TCP connections that were accepted.
    pub connections: u64,
    /// TCP connections that are over.
    pub connections_closed: u64,
    /// TLS handshakes in full.
    pub handshakes_full: u64,
    /// TLS handshakes that resumed an earlier session.
    pub handshakes_resumed: u64,
    /// TLS handshakes that failed.
    pub handshakes_failed: u64,
    /// What was sent over TLS and is no request of HTTP.
    pub http_refused: u64,
    /// Connections that were ended because nothing came over them.
    pub timeouts: u64,
    /// Requests, accepted or not.
    pub requests: u64,
    /// Requests that were refused, or were answered by a fault.
    pub refusals: u64,
    /// Access tokens that were issued.
    pub authentications: u64,
    /// Reports that were answered as accepted and thrown away, as they do not fit the product's model.
    pub discarded: u64,
    /// Messages that were accepted.
    pub messages: u64,
    /// Reports of a device's own properties that were accepted.
    pub property_reports: u64,
    /// Batches of a gateway that were accepted.
    pub batches: u64,
    /// What the accepted reports counted against the rates: one for each started 4 KB of a body.
    pub units: u64,
    /// Requests and incidents that are no longer kept, because later ones took their place.
    pub requests_dropped: u64,
    /// Accepted reports that are no longer kept, because later ones took their place.
    pub reports_dropped: u64,
    /// Faults that were done to connections.
    pub connection_faults: u64,
    /// Faults that were done to requests.
    pub request_faults: u64,
}
