//! `iotda_outbox_stats_t`: what an outbox holds and has done.

use std::ffi::c_char;

use crate::call::fill;
use crate::outbox::{iotda_outbox_t, status_on};
use crate::status::iotda_status_t;

/// What an outbox holds, and what it has done since it was opened. Unix times are as this machine's clock had them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct iotda_outbox_stats_t {
    /// in: sizeof(iotda_outbox_stats_t).
    pub struct_size: usize,
    /// out: entries that wait to be delivered.
    pub waiting: u64,
    /// out: bytes that they take in the files.
    pub waiting_bytes: u64,
    /// out: those among the waiting whose device is not attached.
    pub unattached: u64,
    /// out: when the oldest was put: Unix time in seconds; 0: none waits.
    pub oldest_s: u64,
    /// out: bytes of the files, dead letters not counted.
    pub file_bytes: u64,
    /// out: entries that were delivered.
    pub delivered: u64,
    /// out: requests that were sent.
    pub requests: u64,
    /// out: entries that became dead letters.
    pub dead: u64,
    /// out: dead letters that are kept now.
    pub dead_kept: u64,
    /// out: dead letters not kept, or removed unread for newer ones.
    pub dead_dropped: u64,
    /// out: entries that were dropped as the oldest.
    pub dropped: u64,
    /// out: entries that became too old.
    pub expired: u64,
    /// out: entries and records that were found damaged.
    pub damaged: u64,
    /// out: entries that iotda_outbox_discard gave up.
    pub discarded: u64,
    /// out: syncs of files and of the directory.
    pub syncs: u64,
    /// out: bytes written to files.
    pub bytes_written: u64,
    /// out: the files cannot be written, so that puts fail.
    pub is_failing: bool,
    /// out: why the last request was not delivered; "" if none failed.
    pub last_error: [c_char; 256],
    /// out: since when the files cannot be written: Unix time in seconds; 0: they can.
    pub failing_since_s: u64,
    /// out: attempts that were made after a failure: no connection (nothing was sent then), no answer, a fault of the
    /// platform, a rate limit, a refused token. The search for an entry that is refused is none.
    pub retries: u64,
}

/// The size of the struct's first version.
const FIRST_VERSION: usize = size_of::<iotda_outbox_stats_t>();

/// Reads what an outbox holds and has done. Does not wait for the network.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iotda_outbox_stats(
    outbox: *const iotda_outbox_t,
    stats: *mut iotda_outbox_stats_t,
) -> iotda_status_t {
    let mut read = |outbox: &iotda::Outbox| {
        let stats = sized!(stats: iotda_outbox_stats_t, FIRST_VERSION)?;
        let now = outbox.stats()?;
        *stats = iotda_outbox_stats_t {
            struct_size: stats.struct_size,
            waiting: now.waiting,
            waiting_bytes: now.waiting_bytes,
            unattached: now.unattached,
            oldest_s: now.oldest_s,
            file_bytes: now.file_bytes,
            delivered: now.delivered,
            requests: now.requests,
            dead: now.dead,
            dead_kept: now.dead_kept,
            dead_dropped: now.dead_dropped,
            dropped: now.dropped,
            expired: now.expired,
            damaged: now.damaged,
            discarded: now.discarded,
            syncs: now.syncs,
            bytes_written: now.bytes_written,
            is_failing: now.is_failing,
            last_error: [0; 256],
            failing_since_s: now.failing_since_s,
            retries: now.retries,
        };
        fill(&mut stats.last_error, &[&now.last_error]);
        Ok(())
    };
    // SAFETY: the promise "handles".
    unsafe { status_on(outbox, &mut read) }
}
