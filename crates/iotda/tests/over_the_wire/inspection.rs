//! An outbox's files, read without an outbox.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use iotda::outbox::{WaitingEntry, dead_letters, inspect};
use iotda::{CallOptions, Client, EntryKind, ErrorKind};
use iotda_platform::{Fault, Route};

use crate::device::{ID, client, platform};
use crate::scratch::{Scratch, outbox_by_hand};

const OPTIONS: CallOptions = CallOptions::new();

/// All files and their bytes.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

fn put_three(client: &Client, scratch: &Scratch) -> iotda::Outbox {
    let outbox = client.open_outbox(scratch.by_hand()).unwrap();
    let own = r#"{"services":[{"service_id":"s","properties":{"n":1},"event_time":"2021-08-13T10:10:10.555Z"}]}"#;
    outbox.put_properties_json(client, own, OPTIONS).unwrap();
    outbox.put_message(client, b"\0message", OPTIONS).unwrap();
    let children = r#"{"devices":[{"device_id":"c1","services":[{"service_id":"s","properties":{"n":2},"event_time":"2021-08-13T10:10:10.555Z"}]}]}"#;
    outbox.put_batch_json(client, children, OPTIONS).unwrap();
    outbox
}

#[test]
fn what_waits_is_read_as_it_is_while_the_outbox_is_open() {
    let platform = platform();
    let client = client(&platform);
    let scratch = Scratch::new("waits");
    let outbox = put_three(&client, &scratch);
    let before = files(&scratch.0);
    let mut entries: Vec<WaitingEntry> = Vec::new();
    let found = inspect(&scratch.0, &[ID], |entry| entries.push(entry)).unwrap();
    let stats = outbox.stats().unwrap();
    assert_eq!((found.waiting, found.waiting_bytes, found.dead), (3, stats.waiting_bytes, 0));
    assert_eq!((found.damaged, found.unreadable, found.oldest_ms), (0, 0, Some(entries[0].time_ms)));
    let bytes: usize = before.values().map(Vec::len).sum();
    assert_eq!((found.files, found.file_bytes), (before.len() as u64, bytes as u64));
    let shown: Vec<_> = entries
        .iter()
        .map(|entry| (entry.id, entry.kind, entry.device_id.as_str(), entry.gateway_id.as_str(), entry.body.as_slice()))
        .collect();
    let own = br#"{"services":[{"service_id":"s","properties":{"n":1},"event_time":"2021-08-13T10:10:10.555Z"}]}"#;
    let children = br#"{"devices":[{"device_id":"c1","services":[{"service_id":"s","properties":{"n":2},"event_time":"2021-08-13T10:10:10.555Z"}]}]}"#;
    let first = entries[0].id;
    assert_eq!(
        shown,
        [
            (first, EntryKind::Properties, ID, "", own.as_slice()),
            (first + 1, EntryKind::Message, ID, "", b"\0message"),
            (first + 2, EntryKind::Child, "c1", ID, children),
        ]
    );
    let mut unnamed = Vec::new();
    inspect(&scratch.0, &[], |entry| unnamed.push(entry.device_id)).unwrap();
    assert!(unnamed[0].starts_with('#') && unnamed[0].len() == 17 && unnamed[2] == "c1", "{unnamed:?}");
    assert_eq!(files(&scratch.0), before, "reading changes nothing");
    outbox.flush(OPTIONS).unwrap();
    assert_eq!(inspect(&scratch.0, &[ID], |entry| panic!("{entry:?} was delivered")).unwrap().waiting, 0);
}

#[test]
fn damage_is_counted_and_the_rest_is_shown() {
    let platform = platform();
    let client = client(&platform);
    let scratch = Scratch::new("damage");
    put_three(&client, &scratch).close().unwrap();
    let (path, mut bytes) = files(&scratch.0).into_iter().find(|(path, _)| path.extension().is_some()).unwrap();
    let at = bytes.windows(7).position(|window| window == b"message").unwrap();
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let mut kinds = Vec::new();
    let found = inspect(&scratch.0, &[ID], |entry| kinds.push(entry.kind)).unwrap();
    assert_eq!((found.damaged, found.waiting), (1, 2));
    assert_eq!(kinds, [EntryKind::Properties, EntryKind::Child]);
}

#[test]
fn dead_letters_are_read_as_the_outbox_reads_them() {
    let (platform, client, scratch, outbox) = outbox_by_hand("dead");
    for n in 0..3 {
        outbox.put_message(&client, format!("{n}").as_bytes(), OPTIONS).unwrap();
        platform.inject(Fault::refusal("IOTDA.000006").on(Route::Message).times(1)).unwrap();
        outbox.flush(OPTIONS).unwrap();
    }
    let mut letters = Vec::new();
    dead_letters(&scratch.0, |letter| letters.push(letter)).unwrap();
    assert_eq!((letters.len(), inspect(&scratch.0, &[], |_| ()).unwrap().dead), (3, 3));
    assert_eq!(outbox.dead_read(0).unwrap().as_ref(), letters.first());
    outbox.dead_forget(letters[1].number).unwrap();
    let mut left = Vec::new();
    dead_letters(&scratch.0, |letter| left.push(letter)).unwrap();
    assert_eq!(left, letters[2..]);
}

#[test]
fn what_is_no_outbox_is_an_error() {
    let scratch = Scratch::new("none");
    let error = |directory: &Path| inspect(directory, &[], |_| ()).unwrap_err();
    assert_eq!(error(&scratch.0).kind(), ErrorKind::Storage);
    fs::create_dir(&scratch.0).unwrap();
    fs::write(scratch.0.join("holiday.jpg"), "x").unwrap();
    assert!(error(&scratch.0).message().starts_with("name the directory of an outbox"));
    assert!(dead_letters(&scratch.0, |_| ()).is_err());
}
