//! `iotda_outbox_options_t`: how an outbox is opened.

use std::ffi::{CString, c_char, c_void};
use std::time::Duration;

use iotda::{OutboxOptions, Settled, WhenFull};

use crate::arguments::{path, wrong_size};
use crate::outcome::{Outcome, Stop};
use crate::panic::in_thread;
use crate::status::{IOTDA_OK, iotda_status_t, number};
use crate::user_data::{UserData, iotda_destroy_t};

/// when_full: a put is refused with IOTDA_E_FULL while there is no room.
pub const IOTDA_OUTBOX_REFUSE: i32 = 0;
/// when_full: the oldest entries are dropped, those of the same device first. A device whose entries are being sent
/// loses none meanwhile: a put for it, or one with no other to take from, can be refused with IOTDA_E_FULL.
pub const IOTDA_OUTBOX_DROP_OLDEST: i32 = 1;

/// What became of an entry, by the id that its put returned: IOTDA_OK (delivered), IOTDA_E_REJECTED or
/// IOTDA_E_UNKNOWN_CHILD (it is a dead letter), IOTDA_E_EXPIRED, IOTDA_E_FULL (dropped for newer ones), IOTDA_E_STORAGE
/// (damaged on disk), IOTDA_E_CANCELLED (by iotda_outbox_discard). device_id is the device that was reported for, "" if
/// it is not known; message is what the platform said, often "".
///
/// Called by the thread that delivers, or inside iotda_outbox_pump and other functions, before the outcome is on disk:
/// after a crash it may come again. It may call the put functions, iotda_outbox_stats, iotda_outbox_wake,
/// iotda_outbox_dead_read and iotda_outbox_dead_forget; other functions of the outbox return IOTDA_E_INVALID_ARGUMENT,
/// and iotda_outbox_close must not be called.
pub type iotda_outbox_settled_t = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        id: u64,
        device_id: *const c_char,
        status: iotda_status_t,
        message: *const c_char,
    ),
>;

/// How an outbox is opened. Start it with IOTDA_OUTBOX_OPTIONS_INIT, and set directory.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct iotda_outbox_options_t {
    /// sizeof(iotda_outbox_options_t).
    pub struct_size: usize,
    /// Required. Where the entries are kept; made, with mode 0700, if it is missing (its parent is not). One outbox
    /// uses a directory at a time, and one platform: the same device ids elsewhere would be sent its entries. Local
    /// storage: on tmpfs nothing survives a restart of the machine, and network file systems are not supported.
    pub directory: *const c_char,
    /// The most bytes of all its files together, at least 262,144; 0: 16,777,216.
    pub max_bytes: u64,
    /// Entries older than this, in seconds, are dropped; 0: none are. One whose age cannot be known is kept.
    pub max_age_s: u32,
    /// A put returns at once, and its entry is on disk after so many milliseconds at the latest; 0: when the put
    /// returns. IOTDA_OUTBOX_OPTIONS_INIT sets 1,000.
    pub sync_ms: u32,
    /// Entries are sent together in requests of up to so many bytes; 0: 16,384; 1: alone.
    pub coalesce_bytes: u32,
    /// How long a first entry waits for others to be sent with it; 0: not at all.
    pub linger_ms: u32,
    /// The most requests at the same time, of different devices, up to 64; 0: 1.
    pub requests_at_once: u32,
    /// IOTDA_OUTBOX_REFUSE or IOTDA_OUTBOX_DROP_OLDEST.
    pub when_full: i32,
    /// true (IOTDA_OUTBOX_OPTIONS_INIT): threads deliver (requests_at_once of them, with a stack of 256 KiB) and sync
    /// (one of 64 KiB); they take no signals. false: no thread is started, and iotda_outbox_pump delivers.
    pub start_worker: bool,
    /// Each write fills whole pages of 4,096 bytes: for storage that damages what lies beside a write when power fails.
    pub pad_commits: bool,
    /// Called with what became of each entry; may be NULL.
    pub settled: iotda_outbox_settled_t,
    /// Passed to settled and destroy as it is.
    pub user_data: *mut c_void,
    /// Called with user_data once: when the outbox is closed, or before iotda_outbox_open returns if it fails.
    pub destroy: iotda_destroy_t,
}

/// The size of the struct's first version.
const FIRST_VERSION: usize = size_of::<iotda_outbox_options_t>();

/// Options as the program gave them; unless an outbox is opened with them, their data is destroyed with this value.
pub(crate) struct Given(Option<(iotda_outbox_options_t, Option<usize>, UserData)>);

impl Given {
    /// # Safety
    ///
    /// The promise "structs" for `options`, and "callbacks" for what is in it.
    pub(crate) unsafe fn read(options: *const iotda_outbox_options_t) -> Self {
        // SAFETY: the promise "structs".
        let wrong_size = unsafe { wrong_size(options, FIRST_VERSION) };
        // SAFETY: NULL, or the promise "structs".
        Given(unsafe { options.as_ref() }.map(|options| {
            let user_data = UserData::new(options.user_data, options.destroy);
            (*options, wrong_size, user_data)
        }))
    }

    /// Leaves none behind.
    pub(crate) fn take(&mut self) -> Self {
        Given(self.0.take())
    }

    /// The options as the core takes them.
    ///
    /// # Safety
    ///
    /// The promises "texts" for the directory, and "callbacks".
    pub(crate) unsafe fn check(self) -> Outcome<OutboxOptions> {
        let (given, wrong_size, user_data) = self.0.ok_or_else(|| {
            Stop::Argument("pass the address of an iotda_outbox_options_t as options: it is NULL".into())
        })?;
        if let Some(size) = wrong_size {
            return Err(Stop::Argument(format!(
                "start the options with IOTDA_OUTBOX_OPTIONS_INIT: their struct_size is {size}, less than any version's"
            )));
        }
        // SAFETY: the promise "texts".
        let directory = unsafe { path(given.directory, "options.directory") }?;
        let mut options = OutboxOptions::new(directory);
        options.max_bytes = given.max_bytes;
        options.max_age = (given.max_age_s != 0).then(|| Duration::from_secs(given.max_age_s.into()));
        options.sync_within = Duration::from_millis(given.sync_ms.into());
        if given.coalesce_bytes != 0 {
            options.coalesce_bytes = given.coalesce_bytes as usize;
        }
        options.linger = Duration::from_millis(given.linger_ms.into());
        options.requests_at_once = given.requests_at_once.max(1) as usize;
        options.when_full = match given.when_full {
            IOTDA_OUTBOX_REFUSE => WhenFull::Refuse,
            IOTDA_OUTBOX_DROP_OLDEST => WhenFull::DropOldest,
            other => {
                return Err(Stop::Argument(format!(
                    "pass one of the IOTDA_OUTBOX_ constants as options.when_full: it is {other}"
                )));
            }
        };
        options.start_worker = given.start_worker;
        options.pad_commits = given.pad_commits;
        options.run_thread = in_thread;
        let settled = given.settled;
        // Without a function the data lives as long: it is destroyed with the outbox.
        let report = move |entry: &Settled<'_>| {
            if let Some(settled) = settled {
                let status = entry.outcome.map_or_else(number, |()| IOTDA_OK);
                let [device_id, message] = [entry.device_id, entry.message].map(terminated);
                // SAFETY: the promise "callbacks"; the texts are terminated and live for the call.
                unsafe { settled(user_data.pointer(), entry.id, device_id.as_ptr(), status, message.as_ptr()) };
            }
        };
        options.settled = Some(Box::new(report));
        Ok(options)
    }
}

/// A text of the platform's with a zero byte in it ends there.
fn terminated(text: &str) -> CString {
    let end = text.bytes().position(|byte| byte == 0).unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_the_platforms_ends_at_its_zero_byte() {
        for (text, expected) in [("", c""), ("abc", c"abc"), ("ab\0c", c"ab"), ("\0", c"")] {
            assert_eq!(terminated(text).as_c_str(), expected);
        }
    }
}
