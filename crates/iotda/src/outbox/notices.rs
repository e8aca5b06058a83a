//! What a program learns of its outbox without asking: lines of its log, and its callback.

use std::sync::Arc;

use super::options::{OnSettled, Settled};
use super::refusals::broken;
use super::worker::{Fate, Observer};
use crate::delivery::session::Session;
use crate::error::ErrorKind;
use crate::monitor::Level;

/// Logs a fault of the library in one of the outbox's threads.
pub(crate) fn fault(session: Arc<Session>) -> Box<dyn Fn(&str) + Send + Sync> {
    Box::new(move |fault| session.monitor.log(Level::Error, || format!("outbox: {}", broken(fault).message())))
}

/// Logs what is not delivered, and passes on what the program asked for.
pub(crate) fn observer(session: Arc<Session>, settled: Option<OnSettled>) -> Observer {
    Box::new(move |id, device_id, fate, message| {
        let outcome = match fate {
            Fate::Delivered => Ok(()),
            Fate::Refused => Err(ErrorKind::Rejected),
            Fate::UnknownChild => Err(ErrorKind::UnknownChild),
            Fate::Expired => Err(ErrorKind::Expired),
            Fate::Dropped => Err(ErrorKind::Full),
            Fate::Damaged => Err(ErrorKind::Storage),
            Fate::Discarded => Err(ErrorKind::Cancelled),
        };
        if fate != Fate::Delivered {
            let what = match fate {
                Fate::Expired => "is too old and was dropped",
                Fate::Dropped => "was dropped for newer ones: the outbox is full",
                Fate::Damaged => "is damaged on disk",
                Fate::Discarded => "was discarded",
                _ => "was refused and is a dead letter",
            };
            session.monitor.log(Level::Warning, || format!("device \"{device_id}\": entry {id} {what}; {message}"));
        }
        if let Some(settled) = &settled {
            settled(&Settled { id, device_id, outcome, message });
        }
    })
}
