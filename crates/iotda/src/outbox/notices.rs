//! What a program learns of its outbox without asking: lines of its log, and its callback.

use std::sync::Arc;

use super::options::{OnSettled, Settled};
use super::refusals::broken;
use super::stats::Fate;
use super::worker::Observer;
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
            Fate::Refused | Fate::NotKept { unknown_child: false } => Err(ErrorKind::Rejected),
            Fate::UnknownChild | Fate::NotKept { unknown_child: true } => Err(ErrorKind::UnknownChild),
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
                Fate::NotKept { .. } => "was refused, and is lost: its dead letter could not be written",
                _ => "was refused and is a dead letter",
            };
            session.monitor.log(Level::Warning, || format!("device \"{device_id}\": entry {id} {what}; {message}"));
        }
        if let Some(settled) = &settled {
            settled(&Settled { id, device_id, outcome, message });
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::delivery::fixtures::{answer, lines, session};

    #[test]
    fn each_fate_has_its_line_and_its_outcome() {
        let mut session = session(|_, _| answer(200, ""));
        let lines = lines(&mut session);
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&outcomes);
        let settled: OnSettled = Box::new(move |settled: &Settled<'_>| seen.lock().unwrap().push(settled.outcome));
        let observer = observer(Arc::new(session), Some(settled));
        let lost = "was refused, and is lost: its dead letter could not be written";
        let all = [
            (Fate::Delivered, Ok(()), None),
            (Fate::Refused, Err(ErrorKind::Rejected), Some("was refused and is a dead letter")),
            (Fate::UnknownChild, Err(ErrorKind::UnknownChild), Some("was refused and is a dead letter")),
            (Fate::NotKept { unknown_child: false }, Err(ErrorKind::Rejected), Some(lost)),
            (Fate::NotKept { unknown_child: true }, Err(ErrorKind::UnknownChild), Some(lost)),
            (Fate::Expired, Err(ErrorKind::Expired), Some("is too old and was dropped")),
            (Fate::Dropped, Err(ErrorKind::Full), Some("was dropped for newer ones: the outbox is full")),
            (Fate::Damaged, Err(ErrorKind::Storage), Some("is damaged on disk")),
            (Fate::Discarded, Err(ErrorKind::Cancelled), Some("was discarded")),
        ];
        for (fate, _, _) in all {
            observer(7, "d", fate, "why");
        }
        assert_eq!(*outcomes.lock().unwrap(), all.map(|(_, outcome, _)| outcome));
        let expected: Vec<_> =
            all.iter().filter_map(|(_, _, what)| Some(format!("device \"d\": entry 7 {}; why", (*what)?))).collect();
        assert_eq!(*lines.0.lock().unwrap(), expected);
    }
}
