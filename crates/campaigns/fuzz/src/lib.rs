//! What libiotda is to do with any input. Each target is a function that panics if it does not: it holds what the
//! library makes of the input against another reading of it, or against what must always be true.
//!
//! - `json`: the JSON checker, against serde_json.
//! - `answers`: heads and bodies of answers, cut anywhere, against a strict reading of RFC 9112 and against ureq.
//! - `documents`: bodies of reports, against a checker written from the platform's page.
//! - `settings`: endpoint, proxy, certificates and keys, saved tokens.
//! - `properties`: the builder of property objects, against serde_json.
//! - `batch`: how a batch is cut and searched, against a platform in memory.
//! - `c_calls`: sequences of C calls in several threads, with cancellation: a function of iotda-capi.
//! - `stand_in`: both HTTP fronts of the stand-in platform.
//! - `outbox`: an outbox that is opened after damage to its files.
//!
//! What these share: `choices` makes decisions of bytes, `memory` is a platform without sockets, `page` and `rfc9112` are
//! the other readings. `cargo xtask fuzz` runs the targets under libFuzzer (libfuzzer/); tests/kept.rs replays the kept
//! inputs (corpus/) and changes them at random, without it. [`kept`] is the form in which they are kept.

#![forbid(unsafe_code)]

mod answers;
mod batch;
mod choices;
mod documents;
mod json;
pub mod kept;
mod memory;
mod outbox;
mod page;
mod properties;
mod rfc9112;
mod settings;
mod stand_in;

/// A target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As `cargo xtask fuzz` takes it.
    pub name: &'static str,
    /// Panics if the library does not do with an input what it must.
    pub run: fn(&[u8]),
    /// How many changed inputs a test tries: some thousand, fewer where each takes long.
    pub tried: usize,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "json", run: json::run, tried: 20_000 },
    Target { name: "answers", run: answers::run, tried: 1_500 },
    Target { name: "documents", run: documents::run, tried: 400 },
    Target { name: "settings", run: settings::run, tried: 3_000 },
    Target { name: "properties", run: properties::run, tried: 5_000 },
    Target { name: "batch", run: batch::run, tried: 100 },
    Target { name: "c_calls", run: iotda_capi::sequences::run, tried: 2_000 },
    Target { name: "stand_in", run: stand_in::run, tried: 200 },
    Target { name: "outbox", run: outbox::run, tried: 60 },
];

/// What every refusal must be: a message that fits into C's 256 bytes with its end, and says something.
fn check_message(error: &iotda::Error) {
    let message = error.message();
    assert!((10..256).contains(&message.len()), "{} bytes: {message}", message.len());
    assert!(!message.contains('\0'), "{message:?}");
}
