//! Reports that outlive outages, restarts and power cuts: they are kept on disk until the platform has taken them.
//!
//! ```no_run
//! use iotda::{Client, Config, OutboxOptions, Service};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), iotda::Error> {
//! let mut config = Config::new();
//! config.endpoint("https://iot.example.com")?.device("device-1", b"secret")?;
//! let client = Client::new(&config)?;
//! let outbox = client.open_outbox(OutboxOptions::new("/var/lib/sensor/outbox"))?;
//! let service = Service::new("environment", r#"{"temperature":21.5}"#);
//! outbox.put_properties(&client, &[service], Duration::from_secs(5))?; // Returns at once; threads deliver it.
//! outbox.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is guaranteed
//!
//! | moment | what holds |
//! |---|---|
//! | a put returns, [`sync_within`](OutboxOptions::sync_within) zero | the entry survives a crash of the process, a restart and a power cut, if the storage honours a flush |
//! | a put returns, `sync_within` above zero | it is in memory; a sync begins within that time unless it was delivered before. [`Outbox::sync`] forces it. At most 256 KiB wait; then a put waits within its call's time, not for a sync that is under way before. A file had space left for it and for all that waited, unless a sync was under way or the file system reserves none (btrfs, f2fs, UBIFS, ZFS and those that are not known). A process that ends without closing the outbox is a crash |
//! | a put fails | this process does not deliver the entry; after a crash it may be delivered. The data is checked at the put ([`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument)); an entry above a quarter of [`max_bytes`](OutboxOptions::max_bytes) is [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge); where files cannot be written, the message says what the system said |
//! | a sync fails after a put returned | the entries stay in memory and are written again, to a new file; until that succeeds every put fails with [`ErrorKind::Storage`](crate::ErrorKind::Storage), and the statistics say since when |
//! | delivered | the platform answered 2xx, with nothing or with whole JSON without an `error_code`. It may still discard what does not fit the product model. A page of a proxy's under 200 is an outage |
//! | duplicates | at least once. After a kill at most the requests under way are repeated; after a power cut also those answered in the last second, or `sync_within` if that is longer. Where the storage destroys what it was writing when power fails, also those whose answers are recorded on the page of 4,096 bytes that is lost, at most 41 requests; after other damage, those that the damaged record alone says are settled. They may arrive after newer values: the event time says which is newer |
//! | order | first in, first out for each pair of sending device and device reported for, over all kinds; between pairs, and between the outbox and [`Client`](crate::Client)'s reports, none |
//! | sending | pairs take turns, each with at most one request under way, and [`requests_at_once`](OutboxOptions::requests_at_once) in all. One that has to wait, for its device's pace or after a failure, is passed over until it is due |
//! | company | neighbouring properties of a pair become one request, each with its event time; readings of children become batches of up to 50, those of one child one element. Up to [`coalesce_bytes`](OutboxOptions::coalesce_bytes); 1 turns it off |
//! | event time | a service without one has the time of the put. Where this machine's clock was off by more than a minute, the time that is sent is counted from the platform's clock, for entries of the same start of the machine. Messages carry no time |
//! | age ([`max_age`](OutboxOptions::max_age)) | counted by a clock that goes on while the machine sleeps, and over its starts between two clocks that the platform has confirmed; an entry whose age cannot be known is kept. What is too old is dropped, counted and reported |
//! | refused data | an entry that the platform refuses by `IOTDA.000006`, `IOTDA.021103` or `IOTDA.021105` is searched for by halves and becomes a dead letter ([`Outbox::dead_read`]); the others go on. No other answer makes one. After eight refused in a row with none delivered between, the pair waits for 15 minutes |
//! | dead letters | on the device before their entry is settled. They take a sixteenth of `max_bytes` at most, in two halves: when both are full the older one is removed, and what was not read of it counted. One that cannot be written is lost, counted and reported |
//! | unknown child | waits, and is tried every 15 minutes; after 24 hours a dead letter |
//! | authentication refused | that device waits for 15 minutes, or for [`Outbox::attach`]; nothing is lost, other devices go on |
//! | no token, where [only the program authenticates](crate::Config::authenticate_when_asked) | an outage of that device alone; once it has one, [`Outbox::attach`] tries at once |
//! | a device that is gone | the outbox delivers for a device that was attached until it is closed, whatever the program does with its [`Client`](crate::Client); another one for the same id replaces it. After a restart what a device put waits until it is attached, and is counted; [`Outbox::discard`] gives it up |
//! | outage | pauses of 1 s to 5 minutes with full jitter, so that a fleet does not come back at once; [`Outbox::wake`] shortens them |
//! | damage on disk | a damaged record is skipped and counted, the rest goes on; opening never fails for damage, and reads each byte at most three times. A read that fails is tried again; a page that cannot be read is skipped and counted, and its file left in place. A page that reads as zeros looks like one that was never written, and is not counted. Opening does fail where a file cannot be opened for now, as with too many open files |
//! | full | all files together take at most `max_bytes`, unless they took more at the start. A put is refused, or drops the oldest ([`WhenFull`]). While more than three quarters are used, a device above its equal share is refused or loses its own oldest entries; a single device may use all |
//! | fork | every function fails in the child; dropping the outbox there closes its descriptors, that of the lock among them, and touches nothing else. A child that neither does that nor executes another program keeps the directory locked |
//! | another process | cannot open the directory meanwhile; once the process that had it has ended, however it did, it can. Where the file system has no locks, opening fails |
//! | fault of the library | a panic in a thread of the outbox is logged, and every call fails with [`ErrorKind::Internal`](crate::ErrorKind::Internal) from then on: close it, and open it again |
//! | secrets | none on disk: no secret, no token, no endpoint. The directory has mode 0700, files have 0600; where the file system knows no modes, that is logged |
//!
//! What the tests prove, each time: 2,000 crash states for each of five kinds of failure (a kill, lost and torn sectors,
//! lost names, a destroyed page, a flipped bit) and each of three ways of writing, built from a recording of all writes
//! and syncs; each I/O call failing once in each way at each position; 100 processes that are killed; an hour's outage, an
//! hour of a proxy's pages, clocks that are wrong, on a virtual clock. `cargo xtask crash` has more of them: 20,000 states
//! each, 1,000 kills, 1,000,000 entries. Which tests prove which row is in the module's `tests/guarantees.rs`. What they do
//! not prove: real power cuts on real storage. What a flash controller loses after it has confirmed a flush, no program
//! can keep.
//!
//! # The files, format 1
//!
//! Segments `<number>-<salt>.seg` hold frames, one behind the other, each with checksums of its header and its payload;
//! `dead-<number>-<salt>.seg` hold dead letters, in two halves of which the older one is dropped when both are full; the
//! file `outbox` is for people and for versions. The bytes are described at the top of the source files `frame.rs`,
//! `dead.rs` and `directory.rs` of this module. A library that meets a newer format refuses it and leaves the files as they
//! are. There is no index and no second file that must agree: reading the segments once gives the state.

// - `frame`, `segment`, `log`, `repair`, `directory`, `storage`: the files.
// - `sorted`: a table; `lanes`, `settle`, `space`, `coalesce`, `turns`, `clock`: functions on values.
// - `book`: all that is known in memory; `engine`: memory and files together, for many threads.
// - `platform`: who takes what is delivered, as a trait; `attached`: the client's own delivery behind it.
// - `dead`: dead letters; `worker`: delivery, one request at a step; `shares`: who loses entries when space is short; `stats`: what is counted.
// - `running`: what the threads do, syncs in time; `opened`: their start and end, pumping.
// - `facade`: what a program sees; `inspect`: the files read without one; `options`: its values; `refusals`: its errors; `notices`: its log lines and callback.

mod attached;
mod book;
mod clock;
mod coalesce;
mod crc32c;
mod dead;
mod directory;
mod engine;
mod facade;
mod frame;
mod inspect;
mod lanes;
mod log;
mod notices;
mod opened;
mod options;
mod platform;
mod refusals;
mod repair;
mod running;
mod segment;
mod settle;
mod shares;
mod sorted;
mod space;
mod stats;
mod storage;
mod turns;
mod worker;

#[cfg(test)]
mod tests;

pub use facade::Outbox;
pub use inspect::{Inspection, WaitingEntry, dead_letters, inspect};
pub use options::{DeadLetter, EntryKind, OnSettled, OutboxOptions, OutboxStats, Settled, WhenFull};
