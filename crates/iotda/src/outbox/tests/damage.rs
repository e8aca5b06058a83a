//! What damage costs, record by record: what is skipped is counted, and all the rest goes on.

use std::collections::BTreeMap;

use super::super::engine::{Engine, Keeping};
use super::super::frame::{HEADER, Header, kind};
use super::super::segment;
use super::super::space::Sizes;
use super::faults::{put, settle_first, waiting};
use super::scripted;
use super::simulated::Simulated;
use super::states::PAGE;

fn open(storage: &Simulated, pad: bool) -> Engine {
    scripted::engine(storage, Keeping { sizes: Sizes::of(1 << 20), sync_at_put: true, pad })
}

/// Eleven entries, each on the device when its put returns; the first two are settled before the last is put. Behind that one
/// no damage would show: it would be a write that power cut short.
fn eleven(pad: bool) -> (Simulated, Vec<u64>) {
    let storage = Simulated::default();
    let engine = open(&storage, pad);
    let mut numbers: Vec<u64> = (0..10).map(|number| put(&engine, &[number; 100]).unwrap()).collect();
    assert_eq!(settle_first(&engine, 2), numbers[..2]);
    engine.commit(true, None).unwrap();
    numbers.push(put(&engine, &[10; 100]).unwrap());
    (storage, numbers)
}

/// The places of the frames in the only segment that holds any, with their headers.
fn frames(files: &BTreeMap<String, Vec<u8>>) -> (String, Vec<(usize, Header)>) {
    let all = files.iter().filter_map(|(name, bytes)| {
        let (_, salt) = segment::parse_name(name)?;
        let frames: Vec<_> = segment::items(bytes, salt)
            .map(|item| match item {
                segment::Item::Frame { at, header, .. } => (at, header),
                other => panic!("{other:?}"),
            })
            .collect();
        (!frames.is_empty()).then(|| (name.clone(), frames))
    });
    let all: Vec<_> = all.collect();
    assert_eq!(all.len(), 1);
    all.into_iter().next().unwrap()
}

/// What waits after `damage` to the segment, and how much of it was counted.
fn after(storage: &Simulated, pad: bool, damage: impl FnOnce(&mut [u8])) -> (Vec<u64>, u64) {
    let mut files = storage.files();
    let (name, _) = frames(&files);
    damage(files.get_mut(&name).unwrap());
    let engine = open(&Simulated::with(files), pad);
    let damaged = engine.lock().counts.damaged;
    (waiting(&engine).into_keys().collect(), damaged)
}

#[test]
fn a_damaged_record_is_skipped_and_counted_whatever_it_is() {
    let (storage, numbers) = eleven(false);
    let (_, frames) = frames(&storage.files());
    assert_eq!(after(&storage, false, |_| {}), (numbers[2..].to_vec(), 0));
    let (mut entries, mut records) = (0, 0);
    for (at, header) in
        frames.into_iter().filter(|(_, header)| header.number != numbers[10] || !kind::is_entry(header.kind))
    {
        // In the header, and in the payload where there is one.
        for place in [at + 20, at + HEADER] {
            let is_entry = kind::is_entry(header.kind) && header.number >= numbers[2];
            let (found, damaged) = after(&storage, false, |bytes| bytes[place] ^= 0x10);
            assert_eq!(damaged, 1, "byte {place}, {header:?}");
            if is_entry {
                let others = numbers[2..].iter().copied().filter(|number| *number != header.number);
                assert_eq!(found, others.collect::<Vec<_>>());
                entries += 1;
            } else {
                // Without the record that they are settled the first two wait again, at most.
                assert!(found == numbers || found == numbers[2..], "byte {place}, {header:?}: {found:?}");
                records += u64::from(found == numbers);
            }
        }
    }
    assert_eq!((entries, records), (2 * 8, 2));
}

/// With pads, each commit has pages of its own.
#[test]
fn a_page_that_reads_as_zeros_costs_what_was_on_it_and_is_not_counted() {
    let (storage, numbers) = eleven(true);
    let (_, frames) = frames(&storage.files());
    let mut seen = 0;
    for (at, header) in
        frames.into_iter().filter(|(_, header)| header.number >= numbers[2] && kind::is_entry(header.kind))
    {
        let page = at / PAGE;
        let (found, damaged) = after(&storage, true, |bytes| bytes[page * PAGE..(page + 1) * PAGE].fill(0));
        let others = numbers[2..].iter().copied().filter(|number| *number != header.number);
        assert_eq!((found, damaged), (others.collect(), 0));
        seen += 1;
    }
    assert_eq!(seen, 9);
}
