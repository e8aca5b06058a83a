//! The C interface: each program of tests/c, by itself and under valgrind, and what arrives of it at a platform.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, ensure};
use iotda_platform::{Fault, RequestRecord, Route};
use std::fs;
use testkit::program::{self, Run};
use testkit::{GATEWAY, Package, SECOND, Stand, bodies, children, of_call, path};

const BATCH: &str = "gateway/sub-devices/properties/report";

/// A module for each program, of the name that its source has, with a test for each way to run it. What it is built
/// with beside the usual stands in brackets.
macro_rules! programs {
    ($($name:ident $([$($option:literal),*])?: $check:expr;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn alone() -> Result<()> {
                run(stringify!($name), &[$($($option),*)?], Run::Alone, $check)
            }

            #[test]
            fn under_valgrind() -> Result<()> {
                run(stringify!($name), &[$($($option),*)?], Run::UnderValgrind, $check)
            }
        }
    )*};
}

/// As above, of programs that are about what valgrind would report, or that leave it no memory.
macro_rules! programs_without_valgrind {
    ($($name:ident $([$($option:literal),*])?: $check:expr;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn alone() -> Result<()> {
                run(stringify!($name), &[$($($option),*)?], Run::Alone, $check)
            }
        }
    )*};
}

programs! {
    arguments: nothing;
    arrival: nothing;
    at_exit: at_exit;
    batch: batch;
    cancelled_thread: nothing;
    descriptors: anything;
    field: field;
    interrupt: nothing;
    outbox: outbox;
    properties: nothing;
    reports: reports;
    settings: nothing;
    shared_tokens: shared_tokens;
    threads: threads;
    use_after_fork: use_after_fork;
}

programs_without_valgrind! {
    // Its own allocator stands before the system's, for the library as well.
    allocations ["-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=posix_memalign,--wrap=aligned_alloc"]: anything;
    memory: anything;
    secrets: anything;
    small_stack: anything;
    stale_handles: anything;
}

/// What the platform refuses for good, of which `Stand::run` would complain.
mod dead_letters {
    use super::*;

    #[test]
    fn alone() -> Result<()> {
        refused(Run::Alone)
    }

    #[test]
    fn under_valgrind() -> Result<()> {
        refused(Run::UnderValgrind)
    }

    fn refused(run: Run) -> Result<()> {
        if run.is_missing() {
            return Ok(());
        }
        let program = program::c(&Package::shipped()?, &path("crates/libiotda/tests/c/dead_letters.c"), &[])?;
        let stand = Stand::start()?;
        for route in [Route::Message, Route::Batch] {
            stand.platform.inject(Fault::refusal("IOTDA.000006").on(route).times(1))?;
        }
        let requests = stand.run_refused(&mut run.command(&program)?)?;
        let refused = requests.iter().filter(|request| request.status == 400).count();
        ensure!(refused == 2, "{refused} requests were refused instead of two");
        Ok(())
    }
}

/// Every program of tests/c is run by a test: here, or by the file of the tests directory that names it.
#[test]
fn none_is_left_out() -> Result<()> {
    let dir = path("crates/libiotda/tests");
    let mut tests = String::new();
    for entry in fs::read_dir(&dir)? {
        let file = entry?.path();
        if file.extension().is_some_and(|end| end == "rs") {
            tests.push_str(&fs::read_to_string(file)?);
        }
    }
    for entry in fs::read_dir(dir.join("c"))? {
        let file = entry?.path();
        if file.extension().is_some_and(|end| end == "c") {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let rows = [
                format!("    {name}: "),
                format!("    {name} ["),
                format!("tests/c/{name}.c"),
                format!("{name} at_exit"),
            ];
            ensure!(rows.iter().any(|row| tests.contains(row)), "no test runs tests/c/{name}.c");
        }
    }
    Ok(())
}

type Check = fn(&Stand, &[RequestRecord]) -> Result<()>;

fn run(name: &str, options: &[&str], run: Run, check: Check) -> Result<()> {
    if run.is_missing() {
        return Ok(());
    }
    let program = program::c(&Package::shipped()?, &path(&format!("crates/libiotda/tests/c/{name}.c")), options)?;
    let stand = Stand::start()?;
    let mut command =
        if name == "memory" { program::command_with_little_memory(&program) } else { run.command(&program)? };
    // As `cargo xtask faults` has it.
    if name == "allocations" && std::env::var("IOTDA_FAULTS").is_ok_and(|which| which == "all") {
        command.arg("all");
    }
    let requests = stand.run(&mut command)?;
    check(&stand, &requests).with_context(|| format!("what arrived of {name}.c is not what it reports"))
}

fn anything(_: &Stand, _: &[RequestRecord]) -> Result<()> {
    Ok(())
}

fn nothing(stand: &Stand, _: &[RequestRecord]) -> Result<()> {
    let connections = stand.platform.counters().connections;
    ensure!(connections == 0, "{connections} connections for calls that need none");
    Ok(())
}

/// A message of each process at its end.
fn at_exit(_: &Stand, requests: &[RequestRecord]) -> Result<()> {
    let late = requests.iter().filter(|request| request.body == b"late").count();
    ensure!(late == 4, "{late} messages of processes that ended instead of 4");
    Ok(())
}

/// What was acknowledged to the killed process arrives once and in order, then what was put of each kind.
fn outbox(_: &Stand, requests: &[RequestRecord]) -> Result<()> {
    let messages = bodies(&of_call(requests, GATEWAY, "messages/up"));
    let (last, entries) = messages.split_last().context("no message")?;
    ensure!(last == b"last" && entries.len() >= 200, "{} messages", messages.len());
    let expected = (0..entries.len()).map(|number| format!("entry {number}").into_bytes());
    ensure!(entries.iter().map(|entry| entry.to_vec()).eq(expected), "other messages than were put");
    let batches = of_call(requests, GATEWAY, BATCH);
    let arrived: Vec<Vec<String>> = batches.iter().map(|batch| children(batch)).collect::<Result<_>>()?;
    let mut arrived = arrived.concat();
    arrived.sort_unstable();
    arrived.dedup();
    ensure!(arrived == ["child_1", "child_2"], "{arrived:?}");
    let own = bodies(&of_call(requests, GATEWAY, "properties/report")).concat();
    let own = String::from_utf8(own)?;
    ensure!(own.contains(r#"{"v":1}"#) && own.contains(r#"{"v":2}"#), "other properties: {own}");
    Ok(())
}

fn reports(_: &Stand, requests: &[RequestRecord]) -> Result<()> {
    let large = vec![0; 1_048_575];
    let messages = bodies(&of_call(requests, GATEWAY, "messages/up"));
    ensure!(messages == [b"".as_slice(), b"", b"\0a\0", b"\xff\xfe", &large], "other messages than were sent");

    let batches = of_call(requests, GATEWAY, BATCH);
    let arrived: Vec<Vec<String>> = batches.iter().map(|batch| children(batch)).collect::<Result<_>>()?;
    let sizes: Vec<usize> = arrived.iter().map(Vec::len).collect();
    ensure!(sizes == [50, 50, 20, 2, 2, 1, 2], "batches of {sizes:?} children");
    let mut expected: Vec<String> = (0..120).map(|number| format!("child_{number}")).collect();
    expected.extend((0..5).map(|number| format!("large_{number}")));
    expected.extend(["before".to_owned(), "after".to_owned()]);
    ensure!(arrived.concat() == expected, "children in another order: {arrived:?}");
    ensure!(batches.iter().all(|request| request.body.len() <= 1_000_000), "a batch over 1,000,000 bytes");

    let second = bodies(&of_call(requests, SECOND, "messages/up"));
    ensure!(second == [b"from the second"], "other messages of the second device");
    let connections = requests.iter().map(|request| request.connection).max();
    ensure!(connections == Some(1), "{connections:?} connections where one would do");
    Ok(())
}

/// The children that are right, in two batches.
fn batch(_: &Stand, requests: &[RequestRecord]) -> Result<()> {
    let batches = of_call(requests, GATEWAY, BATCH);
    let arrived: Vec<Vec<String>> = batches.into_iter().map(children).collect::<Result<_>>()?;
    ensure!(arrived == [vec!["a", "b", "c"], vec!["d", "e"]], "other children than the good ones: {arrived:?}");
    Ok(())
}

fn threads(stand: &Stand, requests: &[RequestRecord]) -> Result<()> {
    let messages = bodies(&of_call(requests, GATEWAY, "messages/up"));
    ensure!(messages.len() == 256, "{} messages instead of 256", messages.len());
    for length in 1..=16 {
        let count = messages.iter().filter(|message| **message == &b"0123456789abcdef"[..length]).count();
        ensure!(count == 16, "{count} messages of {length} bytes instead of 16");
    }
    let counters = stand.platform.counters();
    ensure!(counters.authentications == 2, "{} authentications for two clients", counters.authentications);
    Ok(())
}

fn field(stand: &Stand, requests: &[RequestRecord]) -> Result<()> {
    let messages = bodies(&of_call(requests, GATEWAY, "messages/up"));
    ensure!(messages == [b"before the sleep".as_slice(), b"after the sleep", b"not cancelled"], "{messages:?}");
    let counters = stand.platform.counters();
    ensure!(counters.authentications == 1, "{} authentications with a saved token", counters.authentications);
    Ok(())
}

/// Two devices that are authenticated once each, and the first once more, when it is asked to.
fn shared_tokens(stand: &Stand, requests: &[RequestRecord]) -> Result<()> {
    let messages = bodies(&of_call(requests, GATEWAY, "messages/up"));
    ensure!(messages == [b"first".as_slice(), b"other", b"still", b"asked"], "{messages:?}");
    let second = bodies(&of_call(requests, SECOND, "messages/up"));
    ensure!(second == [b"opened"], "{second:?}");
    let counters = stand.platform.counters();
    ensure!(counters.authentications == 3, "{} authentications instead of 3", counters.authentications);
    Ok(())
}

fn use_after_fork(_: &Stand, requests: &[RequestRecord]) -> Result<()> {
    let messages = of_call(requests, GATEWAY, "messages/up");
    let texts = bodies(&messages);
    ensure!(texts == [b"before the fork".as_slice(), b"from the child", b"after the fork"], "{texts:?}");
    ensure!(
        messages[0].connection == messages[2].connection && messages[0].connection != messages[1].connection,
        "the parent did not keep its connection, or shared it with the child"
    );
    Ok(())
}
