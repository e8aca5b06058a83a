//! Ctrl-C and the wish to end: the first signal ends what the command does, the second one ends the command at once.

use std::io;
use std::process;
use std::thread;

use iotda::CancelToken;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::{Exit, Failure};

/// Calls `first` for the first SIGINT, SIGTERM or SIGHUP, on a thread of its own. The second one ends the process.
pub fn watch(first: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let unable = |error: io::Error| Failure::new(Exit::Internal, format!("signals cannot be watched: {error}"));
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(unable)?;
    let watching = thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut arriving = signals.forever();
        if arriving.next().is_some() {
            first();
        }
        if arriving.next().is_some() {
            process::exit(Exit::Interrupted.code().into());
        }
    });
    watching.map(drop).map_err(unable)
}

/// A token that the first signal cancels: for commands that make one call.
pub fn cancel() -> Result<CancelToken, Failure> {
    let token = CancelToken::new();
    let cancelled = token.clone();
    watch(move || cancelled.cancel())?;
    Ok(token)
}
