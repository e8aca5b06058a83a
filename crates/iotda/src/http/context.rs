//! What the call that runs on this thread has told: its deadline, and its cancel token.
//!
//! `ureq` runs a request on the caller's thread, but hands nothing of the caller's to the connector and the
//! transport, where the waiting happens. So the exchange leaves it here for the time of the request. (Its
//! own timeouts would cost a copy of the whole configuration for each request.)

use std::cell::RefCell;
use std::io;
use std::time::Instant;

use crate::cancel::CancelToken;

/// What bounds one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    pub(crate) deadline: Option<Instant>,
    pub(crate) cancel: Option<CancelToken>,
}

thread_local! {
    static CURRENT: RefCell<Context> = const { RefCell::new(Context { deadline: None, cancel: None }) };
}

/// Takes its context back when dropped.
pub(crate) struct Entered {
    before: Context,
}

/// Makes `context` the current one of this thread.
pub(crate) fn enter(context: Context) -> Entered {
    Entered { before: CURRENT.replace(context) }
}

/// The current context.
pub(crate) fn current() -> Context {
    CURRENT.with_borrow(Clone::clone)
}

impl Context {
    /// An error if the call was cancelled.
    pub(crate) fn check(&self) -> io::Result<()> {
        match &self.cancel {
            Some(cancel) if cancel.is_cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
            _ => Ok(()),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(std::mem::take(&mut self.before));
    }
}
