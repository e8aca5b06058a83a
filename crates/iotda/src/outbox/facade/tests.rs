//! What the calls of a program do, on real files and without a network.

use super::super::directory::tests::Scratch;
use super::super::options::WhenFull;
use super::super::space::UNSYNCED_MAX;
use super::put::fitting;
use super::*;
use crate::config::{Identity, SignType};
use crate::delivery::fixtures::{ManualClock, recording};
use crate::error::ErrorKind;
use crate::report::limits::BODY_LIMIT;

const TIME: Duration = Duration::from_secs(60);

/// A client of the device `d`, and the reports that were sent by it.
fn client() -> (Client, Arc<Mutex<Vec<String>>>) {
    let (session, sent) = recording();
    let device = Device::new(Identity::new("d", b"secret").unwrap().into(), SignType::PasswordOnly, None);
    (Client::of(session, device), sent)
}

fn options(scratch: &Scratch) -> OutboxOptions {
    OutboxOptions::new(&scratch.0).start_worker(false).sync_within(TIME)
}

fn unsynced(outbox: &Outbox) -> u64 {
    outbox.opened.shared().worker.engine.lock().book.unsynced()
}

/// A message whose frame takes so many bytes.
fn message(frame: u64) -> Vec<u8> {
    vec![b'x'; frame as usize - super::super::frame::HEADER]
}

#[test]
fn the_time_of_the_day_is_the_sessions() {
    let clocks = SystemClocks(Arc::new(ManualClock::default()));
    assert_eq!(clocks.wall_ms(), 1_600_000_000_000);
    assert!(clocks.boot_ms() > 0);
}

#[test]
fn a_put_may_be_a_quarter_of_all_and_no_more() {
    let scratch = Scratch::new("quarter");
    let (client, _) = client();
    let outbox = client.open_outbox(options(&scratch).max_bytes(262_144)).unwrap();
    let refused = outbox.put_message(&client, &message(65_544), TIME).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge);
    outbox.put_message(&client, &message(65_536), TIME).unwrap();
}

#[test]
fn more_than_may_wait_in_memory_is_written_by_the_put() {
    let scratch = Scratch::new("more");
    let (client, _) = client();
    let outbox = client.open_outbox(options(&scratch)).unwrap();
    outbox.put_message(&client, &message(UNSYNCED_MAX), TIME).unwrap();
    assert_eq!(unsynced(&outbox), UNSYNCED_MAX);
    outbox.sync(TIME).unwrap();
    assert_eq!(unsynced(&outbox), 0);
    outbox.put_message(&client, &message(UNSYNCED_MAX + 8), TIME).unwrap();
    assert_eq!(unsynced(&outbox), 0);
}

#[test]
fn a_payload_is_shorter_than_a_body_by_what_goes_around_it() {
    assert!(fitting(Some(vec![0; BODY_LIMIT - 257])).is_ok());
    for too_long in [Some(vec![0; BODY_LIMIT - 256]), None] {
        assert_eq!(fitting(too_long).unwrap_err().kind(), ErrorKind::TooLarge);
    }
}

#[test]
fn a_full_outbox_refuses_or_drops_as_it_was_asked_to() {
    for (when_full, kind) in [(WhenFull::Refuse, Some(ErrorKind::Full)), (WhenFull::DropOldest, None)] {
        let scratch = Scratch::new("full");
        let (client, _) = client();
        let outbox = client.open_outbox(options(&scratch).max_bytes(262_144).when_full(when_full)).unwrap();
        let error = (0..20).find_map(|_| outbox.put_message(&client, &message(40_000), TIME).err());
        assert_eq!(error.map(|error| error.kind()), kind);
        assert_eq!(outbox.stats().unwrap().dropped > 0, kind.is_none());
    }
}

#[test]
fn the_client_that_put_or_was_attached_last_delivers() {
    let scratch = Scratch::new("last");
    let ((first, by_first), (second, by_second)) = (client(), client());
    let outbox = first.open_outbox(options(&scratch)).unwrap();
    let sent = || (by_first.lock().unwrap().len(), by_second.lock().unwrap().len());
    let put = |client| {
        outbox.put_message(client, b"x", TIME).unwrap();
        outbox.flush(TIME).unwrap();
    };
    put(&first);
    assert_eq!(sent(), (1, 0));
    put(&second);
    assert_eq!(sent(), (1, 1));
    put(&first);
    assert_eq!(sent(), (2, 1));
    outbox.attach(&second).unwrap();
    put(&second);
    put(&second);
    assert_eq!(sent(), (2, 3));
}

#[test]
fn after_a_fault_in_a_thread_every_call_fails_that_takes_or_delivers() {
    let scratch = Scratch::new("broken");
    let (client, _) = client();
    let outbox = client.open_outbox(options(&scratch)).unwrap();
    outbox.put_message(&client, b"x", TIME).unwrap();
    outbox.opened.shared().broke("a fault".to_owned());
    let failed = [
        outbox.put_message(&client, b"y", TIME).map(drop),
        outbox.attach(&client),
        outbox.sync(TIME),
        outbox.flush(TIME),
        outbox.pump(TIME).map(drop),
        outbox.discard("d").map(drop),
        outbox.stats().map(drop),
    ];
    for result in failed {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Internal);
    }
}

#[test]
fn closing_says_that_files_could_not_be_written() {
    let mut options = options(&Scratch::new("nowhere"));
    // In which no file can be made.
    options.directory = "/proc/self/task".into();
    let (client, _) = client();
    let outbox = client.open_outbox(options).unwrap();
    assert_eq!(outbox.put_message(&client, &message(200), TIME).unwrap_err().kind(), ErrorKind::Storage);
    assert_eq!(outbox.close().unwrap_err().kind(), ErrorKind::Storage);
}

#[test]
fn debug_texts_name_what_it_is_and_no_secret() {
    let scratch = Scratch::new("debug");
    let (client, _) = client();
    let options = options(&scratch);
    assert!(format!("{options:?}").contains("debug"), "the directory: {options:?}");
    let outbox = client.open_outbox(options).unwrap();
    assert_eq!(format!("{outbox:?}"), "Outbox { .. }");
}
