//! A real process that is killed while it puts, on a real file system: what it acknowledged is there afterwards.
//! 100 kills, or as many as `IOTDA_KILLS` says. That the power fails is not shown here.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::super::book::Entry;
use super::super::directory::Directory;
use super::super::directory::tests::Scratch;
use super::super::engine::{Engine, Keeping};
use super::super::frame::{LaneKey, Stamp, kind};
use super::super::space::Sizes;
use super::scripted::still;

const LANE: LaneKey = LaneKey { sender: 1, reported: 1 };
const DIRECTORY: &str = "IOTDA_KILL_DIRECTORY";
/// What the process's entries are named by. Not by its id: among 1,000 processes the system gives one twice.
const ROUND: &str = "IOTDA_KILL_ROUND";

fn open(path: &Path) -> Engine {
    let keeping = Keeping { sizes: Sizes::of(16 << 20), sync_at_put: true, pad: false };
    Engine::open(Arc::new(Directory::open(path).unwrap()), keeping, None, still()).unwrap().0
}

/// The process that is killed: it does nothing when it is run as a test.
#[test]
fn child_of_the_kill_test() {
    let Some(path) = std::env::var_os(DIRECTORY) else { return };
    let round = std::env::var(ROUND).unwrap();
    let engine = open(Path::new(&path));
    let mut out = std::io::stdout();
    for step in 0_u64.. {
        let text = format!("{round}-{step}");
        let entry = Entry { lane: LANE, kind: kind::MESSAGE, payload: text.as_bytes() };
        engine.put(&[entry], Stamp::default(), None).unwrap();
        writeln!(out, "acknowledged {text}").unwrap();
        if step % 5 == 4 {
            let mut state = engine.lock();
            let lane = state.book.lanes.find(LANE).unwrap();
            let first = *state.book.lanes.get(lane).queue.first().unwrap();
            drop(state);
            let (header, frame) = engine.read(LANE, &first).unwrap();
            let delivered = String::from_utf8(header.payload(&frame).unwrap().to_vec()).unwrap();
            writeln!(out, "delivered {delivered}").unwrap();
            state = engine.lock();
            state.book.settle(lane, first.number);
            drop(state);
            engine.commit(false, None).unwrap();
            writeln!(out, "settled {delivered}").unwrap();
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_and_repeats_only_what_was_in_flight() {
    let kills = std::env::var("IOTDA_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let scratch = Scratch::new("kill");
    let (mut acknowledged, mut delivered, mut settled) = (HashSet::new(), HashSet::new(), HashSet::new());
    for round in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "outbox::tests::kill::child_of_the_kill_test", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, &scratch.0)
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut left = 5 + round % 17;
        // What it has written into the pipe before it was killed counts as well.
        while let Some(Ok(line)) = lines.next() {
            match line.split_once(' ') {
                Some(("acknowledged", text)) => {
                    acknowledged.insert(text.to_owned());
                    left -= 1;
                    if left == 0 {
                        child.kill().unwrap();
                    }
                    left = left.max(1);
                }
                Some(("delivered", text)) => drop(delivered.insert(text.to_owned())),
                Some(("settled", text)) => drop(settled.insert(text.to_owned())),
                _ => {}
            }
        }
        child.wait().unwrap();
        let engine = open(&scratch.0);
        let slots: Vec<_> = {
            let state = engine.lock();
            let lane = state.book.lanes.find(LANE);
            lane.map(|lane| state.book.lanes.get(lane).queue.iter().copied().collect()).unwrap_or_default()
        };
        let waiting: HashSet<String> = slots
            .iter()
            .map(|slot| engine.read(LANE, slot).expect("nothing is damaged"))
            .map(|(header, frame)| String::from_utf8(header.payload(&frame).unwrap().to_vec()).unwrap())
            .collect();
        let missing: Vec<_> =
            acknowledged.iter().filter(|text| !waiting.contains(*text) && !delivered.contains(*text)).collect();
        assert!(missing.is_empty(), "round {round}: lost {missing:?}");
        let again: Vec<_> = settled.iter().filter(|text| waiting.contains(*text)).collect();
        assert!(again.is_empty(), "round {round}: would be delivered again {again:?}");
    }
    assert!(acknowledged.len() >= kills * 5);
}
