//! Which letters are there after a restart, a fault or damage, what is appended where, and what is counted.

use super::super::tests::simulated::{Change, Failing, How, Simulated};
use super::*;

fn letter(id: u64, payload: &[u8]) -> Letter<'_> {
    Letter {
        id,
        kind: kind::CHILD,
        unknown_child: true,
        time_ms: -1,
        sender: "gateway",
        child: "child",
        code: "IOTDA.021104",
        payload,
    }
}

fn open(storage: &Simulated) -> Dead {
    Dead::open(Arc::new(storage.clone()), 2048).unwrap()
}

fn ids(dead: &Dead) -> Vec<(u64, u64)> {
    let mut cursor = 0;
    let mut ids = Vec::new();
    while let Some(kept) = dead.read(cursor).unwrap() {
        cursor = kept.number;
        ids.push((kept.number, kept.id));
    }
    ids
}

#[test]
fn a_letter_comes_back_after_a_restart() {
    let storage = Simulated::default();
    assert_eq!(open(&storage).keep(&letter(77, b"data")).unwrap(), 1);
    let mut dead = open(&Simulated::with(storage.files()));
    let kept = dead.read(0).unwrap().unwrap();
    assert_eq!((kept.number, kept.id, kept.time_ms, kept.unknown_child), (1, 77, -1, true));
    assert_eq!(
        (&*kept.sender, &*kept.child, &*kept.code, &*kept.payload),
        ("gateway", "child", "IOTDA.021104", &b"data"[..])
    );
    assert_eq!(dead.keep(&letter(78, b"")).unwrap(), 2);
    assert_eq!(ids(&dead), [(1, 77), (2, 78)]);
}

#[test]
fn two_full_files_lose_the_older_one_and_count_it() {
    let storage = Simulated::default();
    let mut dead = open(&storage);
    for id in 100..150 {
        dead.keep(&letter(id, &[5; 200])).unwrap();
        assert!(storage.bytes() <= 2 * 2048);
    }
    let kept = ids(&dead);
    assert_eq!(kept.last(), Some(&(50, 149)));
    assert_eq!(dead.dropped as usize + kept.len(), 50);
    assert!(kept.len() >= 6);
    assert!(dead.keep(&letter(1, &[0; 2048])).is_err(), "larger than a file");
}

#[test]
fn a_letter_may_be_as_large_as_a_file_with_room_to_forget_it() {
    let payload = |length: usize| vec![5; length];
    let most = 2048
        - 2 * FORGOTTEN as usize
        - Letter { payload: b"", ..letter(1, b"") }.encode().len()
        - super::super::frame::HEADER;
    let mut dead = open(&Simulated::default());
    dead.keep(&letter(1, &payload(most))).unwrap();
    assert!(dead.keep(&letter(2, &payload(most + 1))).is_err());
    assert_eq!(dead.read(0).unwrap().unwrap().payload.len(), most);
}

#[test]
fn letters_of_many_starts_are_kept_until_both_files_are_full() {
    let storage = Simulated::default();
    for id in 0..8 {
        let mut dead = open(&storage);
        assert_eq!(dead.count(), id);
        dead.keep(&letter(id, &[5; 60])).unwrap();
        if id == 2 {
            dead.forget(0).unwrap();
        }
    }
    assert_eq!(ids(&open(&storage)), (0..8).map(|id| (id + 1, id)).collect::<Vec<_>>());
    let mut dead = open(&storage);
    dead.forget(2).unwrap();
    assert_eq!(ids(&dead).len(), 6, "of an older file, too");
    assert_eq!((ids(&open(&storage)).len(), dead.dropped), (6, 0));
}

#[test]
fn what_is_forgotten_stays_forgotten() {
    let storage = Simulated::default();
    let mut dead = open(&storage);
    for id in 0..10 {
        dead.keep(&letter(id, &[5; 200])).unwrap();
    }
    dead.forget(8).unwrap();
    let again = open(&Simulated::with(storage.files()));
    assert_eq!(ids(&again), [(9, 8), (10, 9)]);
    dead.forget(100).unwrap();
    let mut again = open(&Simulated::with(storage.files()));
    assert_eq!((ids(&again).len(), again.count()), (0, 0));
    assert_eq!(again.keep(&letter(1, b"")).unwrap(), 11, "numbers do not start again");
}

/// Two files with as many letters of this length as they hold.
fn full(length: usize) -> (Simulated, usize) {
    let storage = Simulated::default();
    let mut dead = open(&storage);
    loop {
        let before = storage.files();
        let letters = ids(&dead).len();
        dead.keep(&letter(1, &vec![5; length])).unwrap();
        if dead.dropped > 0 {
            return (Simulated::with(before), letters);
        }
    }
}

#[test]
fn letters_are_forgotten_one_by_one_without_the_loss_of_another() {
    for (restarts, length) in [(false, 0), (true, 0), (false, 200), (true, 200)] {
        let (mut storage, letters) = full(length);
        let mut dead = open(&storage);
        for forgotten in 1..=letters {
            dead.forget(forgotten as u64).unwrap();
            if restarts {
                storage = Simulated::with(storage.files());
                dead = open(&storage);
            }
            assert_eq!((ids(&dead).len(), dead.dropped), (letters - forgotten, 0), "{forgotten} of {letters}");
            assert_eq!(ids(&open(&storage)), ids(&dead));
            assert!(storage.bytes() <= 2 * 2048);
        }
    }
}

#[test]
fn a_record_of_what_is_forgotten_that_was_not_written_whole_costs_that_record_alone() {
    for restarts in [false, true] {
        let (mut storage, letters) = full(0);
        let mut dead = open(&storage);
        for up_to in 1..7 {
            let before = storage.files();
            dead.forget(up_to as u64).unwrap();
            let (name, whole) = storage.files().into_iter().next_back().unwrap();
            let at = (0..whole.len()).find(|at| before[&name].get(*at) != Some(&whole[*at])).unwrap();
            for end in at..whole.len().min(at + FORGOTTEN as usize) {
                let mut files = before.clone();
                let torn = files.get_mut(&name).unwrap();
                torn.resize(torn.len().max(end), 0);
                torn[at..end].copy_from_slice(&whole[at..end]);
                let left = ids(&open(&Simulated::with(files))).len();
                let expected = [letters - up_to, letters + 1 - up_to];
                assert!(expected.contains(&left), "{left} of {letters} after {up_to} and {} bytes", end - at);
            }
            if restarts {
                storage = Simulated::with(storage.files());
                dead = open(&storage);
            }
        }
    }
}

#[test]
fn a_letter_that_comes_later_is_not_forgotten() {
    for up_to in [3, 4, u64::MAX] {
        let mut dead = open(&Simulated::default());
        for id in 1..=3 {
            dead.keep(&letter(id, b"")).unwrap();
        }
        dead.forget(up_to).unwrap();
        dead.keep(&letter(4, b"")).unwrap();
        assert_eq!((ids(&dead), dead.count()), (vec![(4, 4)], 1), "{up_to}");
    }
}

#[test]
fn a_file_goes_when_all_in_it_is_forgotten_and_not_before() {
    let storage = Simulated::default();
    let mut dead = open(&storage);
    while dead.halves.len() < 2 {
        dead.keep(&letter(1, &[5; 200])).unwrap();
    }
    let last = dead.halves[0].last;
    let mut left = |up_to| {
        dead.forget(up_to).unwrap();
        storage.files().len()
    };
    assert_eq!([left(last - 1), left(last), left(u64::MAX)], [2, 1, 1]);
}

#[test]
fn nothing_is_appended_to_a_name_that_may_not_be_durable() {
    let storage = Simulated::default();
    open(&storage).keep(&letter(1, b"")).unwrap();
    let name = storage.files().into_keys().next().unwrap();
    let storage = Simulated::with([(name.clone(), Vec::new())].into());
    open(&storage).keep(&letter(2, b"")).unwrap();
    assert_eq!((storage.files().len(), storage.files()[&name].len()), (2, 0));
}

/// Whatever is left of the second letter, by a power failure or by damage: its place is used again, and its number is not.
#[test]
fn half_a_letter_is_cut_off_before_the_next_one() {
    let storage = Simulated::default();
    open(&storage).keep(&letter(1, &[5; 60])).unwrap();
    let one = storage.files().into_values().next().unwrap().len();
    open(&storage).keep(&letter(2, &[6; 60])).unwrap();
    let (name, whole) = storage.files().into_iter().next().unwrap();
    let damaged = |length: usize| {
        let mut bytes = whole.clone();
        bytes[one + 8] ^= 1;
        bytes.resize(length, 0);
        bytes
    };
    let torn = (one + 1..whole.len()).map(|length| whole[..length].to_vec());
    for bytes in torn.chain([damaged(whole.len()), damaged(whole.len() + 8)]) {
        let storage = Simulated::with([(name.clone(), bytes.clone())].into());
        assert_eq!(ids(&open(&storage)), [(1, 1)]);
        assert_eq!(storage.files()[&name], bytes, "who only reads changes nothing");
        let number = open(&storage).keep(&letter(3, b"")).unwrap();
        assert!(number > 2, "{number} after {} bytes", bytes.len());
        let small = frame_bytes(letter(3, b"").encode().len());
        assert_eq!((storage.files().len(), storage.bytes()), (1, one + small));
        assert_eq!(ids(&open(&storage)), [(1, 1), (number, 3)]);
    }
}

#[test]
fn a_file_of_which_half_a_letter_cannot_be_cut_off_is_left_alone() {
    let storage = Simulated::default();
    open(&storage).keep(&letter(1, &[5; 60])).unwrap();
    open(&storage).keep(&letter(2, &[5; 60])).unwrap();
    let (name, mut bytes) = storage.files().into_iter().next().unwrap();
    bytes.truncate(bytes.len() - 8);
    let storage = Simulated::with([(name.clone(), bytes.clone())].into());
    let mut dead = open(&storage);
    storage.fail(Some(Failing { at: storage.calls() + 1, times: 1, how: How::Error(5) }));
    dead.keep(&letter(3, b"")).unwrap();
    assert_eq!((storage.files().len(), &storage.files()[&name]), (2, &bytes));
    assert_eq!(ids(&open(&storage)).len(), 2);
}

#[test]
fn what_is_left_is_counted_after_a_restart_whatever_file_it_was_forgotten_in() {
    for length in (0..300).step_by(8) {
        let storage = Simulated::default();
        let mut dead = open(&storage);
        while dead.halves.len() < 2 && dead.halves.first().is_none_or(|half| half.length + 56 + 48 <= 2048) {
            dead.keep(&letter(1, &vec![5; length])).unwrap();
        }
        let kept = ids(&dead);
        dead.forget(kept[1].0).unwrap();
        assert_eq!(dead.count(), kept.len() as u64 - 2, "{length}");
        let again = open(&Simulated::with(storage.files()));
        assert_eq!((again.count(), ids(&again)), (dead.count(), kept[2..].to_vec()), "{length}");
    }
}

/// Nothing is appended to a newer file with a page that cannot be read. Then a third one is begun, and the older one goes.
#[test]
fn what_goes_with_an_older_file_is_lost_unless_it_is_forgotten() {
    let files = full(0).0.files();
    let newer = files.keys().next_back().unwrap();
    let (mut lost, mut all) = (Vec::new(), 0);
    for forgets in 1.. {
        let storage = Simulated::with(files.clone());
        storage.spoil(newer, 0);
        let mut dead = open(&storage);
        let (kept, older) = (ids(&dead), dead.halves[0].name.clone());
        all = kept.len();
        if forgets > all {
            break;
        }
        dead.forget(kept[forgets - 1].0).unwrap();
        assert_ne!(dead.halves[0].name, older);
        assert_eq!(ids(&dead).len() as u64 + dead.dropped, (all - forgets) as u64, "{forgets} of {all} forgotten");
        lost.push(dead.dropped);
    }
    assert!(lost[0] > 1 && lost[all - 1] == 0, "{lost:?}");
}

#[test]
fn what_could_not_be_forgotten_is_still_there() {
    let storage = Simulated::default();
    let mut dead = open(&storage);
    dead.keep(&letter(7, b"")).unwrap();
    storage.fail(Some(Failing { at: storage.calls() + 1, times: 1, how: How::Error(5) }));
    assert!(dead.forget(1).is_err());
    assert_eq!((ids(&dead), dead.count()), (vec![(1, 7)], 1));
    dead.forget(1).unwrap();
    assert_eq!(ids(&open(&Simulated::with(storage.files()))), []);
}

#[test]
fn a_file_whose_name_could_not_be_made_durable_takes_no_letter() {
    let storage = Simulated::default();
    let mut dead = open(&storage);
    // The file is made, its name is synced.
    storage.fail(Some(Failing { at: storage.calls() + 2, times: 1, how: How::Error(5) }));
    assert!(dead.keep(&letter(1, b"")).is_err());
    assert!(storage.files().is_empty());
    dead.keep(&letter(2, b"")).unwrap();
    let durable = |change: &&Change| matches!(change, Change::SyncNames);
    assert_eq!(storage.changes().iter().filter(durable).count(), 1);
}

#[test]
fn each_call_fails_once_and_what_was_kept_stays() {
    for at in 1..60 {
        let storage = Simulated::default();
        storage.fail(Some(Failing { at, times: 1, how: How::Error(5) }));
        let mut dead = open(&storage);
        let kept: Vec<u64> = (0..20).filter(|id| dead.keep(&letter(*id, &[5; 60])).is_ok()).collect();
        assert!(kept.len() >= 19);
        let found: Vec<u64> = ids(&open(&Simulated::with(storage.files()))).into_iter().map(|(_, id)| id).collect();
        assert!(kept.iter().rev().take(6).all(|id| found.contains(id)), "{at}: {kept:?} {found:?}");
    }
}

/// What is found of 30 letters on three pages after `damage` to their file, which has this name.
fn three_pages(damage: impl FnOnce(&Simulated, &str)) -> (Simulated, Vec<(u64, u64)>, Dead) {
    let storage = Simulated::default();
    let open = || Dead::open(Arc::new(storage.clone()), 5 * 4096).unwrap();
    let mut dead = open();
    for id in 0..30 {
        dead.keep(&letter(id, &[id as u8; 300])).unwrap();
    }
    let name = dead.halves[0].name.clone();
    damage(&storage, &name);
    let dead = open();
    (storage, ids(&dead), dead)
}

#[test]
fn nothing_is_appended_to_a_file_with_a_page_that_cannot_be_read_and_its_other_letters_are_read() {
    let (storage, found, mut dead) = three_pages(|storage, name| storage.spoil(name, 1));
    let before = storage.files();
    assert!(found.len() < 30 && found.first() == Some(&(1, 0)) && found.last() == Some(&(30, 29)), "{found:?}");
    dead.keep(&letter(30, b"")).unwrap();
    assert_eq!(storage.files().len(), 2);
    assert!(before.iter().all(|(name, bytes)| storage.files()[name] == *bytes));
}

/// Whoever reads on from a number, or has forgotten up to it, must not miss a letter that comes later.
#[test]
fn a_later_letter_has_a_higher_number_than_those_that_cannot_be_read() {
    for first in 0..3 {
        let (_, _, mut dead) = three_pages(|storage, name| (first..3).for_each(|page| storage.spoil(name, page)));
        assert!(dead.keep(&letter(30, b"")).unwrap() > 30, "pages from {first} on");
    }
    let (_, found, mut dead) = three_pages(|storage, _| storage.fail_opening(Some(24)));
    assert_eq!(found, []);
    assert!(dead.keep(&letter(30, b"")).unwrap() > 30);
    // The last letter's payload is damaged.
    let (_, found, mut dead) = three_pages(|storage, _| storage.damage(&[29; 300]));
    assert_eq!(found.len(), 29);
    assert!(dead.keep(&letter(30, b"")).unwrap() > 30);
    // Its header is, and all letters are forgotten.
    let storage = Simulated::default();
    let mut dead = open(&storage);
    dead.keep(&letter(7, b"")).unwrap();
    dead.forget(1).unwrap();
    let (name, mut bytes) = storage.files().pop_first().unwrap();
    bytes[8] ^= 0x10;
    let mut dead = open(&Simulated::with([(name, bytes)].into()));
    dead.keep(&letter(8, b"")).unwrap();
    assert_eq!(ids(&dead), [(2, 8)]);
}
