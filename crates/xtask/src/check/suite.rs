//! The C programs of crates/libiotda/tests/c: each run by itself and under valgrind, and what arrives of it.

use super::installed::{self, cmake};
use super::stand::{GATEWAY, SECOND, Stand, report_path};
use crate::project::Project;
use anyhow::{Context, Result, ensure};
use iotda_platform::RequestRecord;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const DIR: &str = "check/suite";
pub(super) const BATCH: &str = "gateway/sub-devices/properties/report";

type Check = fn(&Stand, &[RequestRecord]) -> Result<()>;

/// The programs, and what is to be seen of each on the platform.
const PROGRAMS: &[(&str, Check)] = &[
    ("arguments", nothing),
    ("arrival", nothing),
    ("at_exit", at_exit),
    ("batch", batch),
    ("cancelled_thread", nothing),
    ("properties", nothing),
    ("reports", reports),
    ("settings", nothing),
    ("threads", threads),
    ("field", field),
    ("interrupt", nothing),
    ("use_after_fork", use_after_fork),
];

/// By themselves alone: what valgrind reports is what they are about, or they leave it no memory.
const WITHOUT_VALGRIND: &[&str] = &["allocations", "memory", "secrets", "small_stack", "stale_handles"];

pub(super) fn check(project: &Project) -> Result<()> {
    let source = installed::copy_of(project, "c", DIR)?;
    cmake(&source, &source.join("build"), &installed::prefix(project), &["-DCMAKE_BUILD_TYPE=Debug"])?;
    run(&project.target().join(DIR), &source.join("build"), |program| Command::new(program))?;
    for name in WITHOUT_VALGRIND {
        let stand = Stand::start(&project.target().join(DIR))?;
        stand.run(&mut Command::new(program(project, name)))?;
        println!("   {name}");
    }
    Ok(())
}

pub(super) fn check_with_valgrind(project: &Project) -> Result<()> {
    let dir = project.target().join(DIR);
    run(&dir, &dir.join("build"), |program| {
        let mut valgrind = valgrind(project);
        valgrind.arg(program);
        valgrind
    })
}

/// A program of the suite. `check` has built it.
pub(super) fn program(project: &Project, name: &str) -> PathBuf {
    project.target().join(DIR).join("build").join(name)
}

/// valgrind, to be given a program: an invalid access, an uninitialized value or a leak makes it fail.
pub(super) fn valgrind(project: &Project) -> Command {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--quiet", "--error-exitcode=99", "--leak-check=full"]);
    valgrind.args(["--show-leak-kinds=definite,indirect,possible", "--errors-for-leak-kinds=definite,possible"]);
    let known = project.path("crates/libiotda/tests/c/valgrind.supp");
    valgrind.arg(format!("--suppressions={}", known.display()));
    valgrind
}

/// Runs the programs in `build`, each with a platform that leaves its certificate in `dir`.
pub(super) fn run(dir: &Path, build: &Path, command: impl Fn(&Path) -> Command) -> Result<()> {
    for (name, check) in PROGRAMS {
        let stand = Stand::start(dir)?;
        let requests = stand.run(&mut command(&build.join(name)))?;
        check(&stand, &requests).with_context(|| format!("what arrived of {name}.c is not what it reports"))?;
        println!("   {name}");
    }
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

fn reports(_: &Stand, requests: &[RequestRecord]) -> Result<()> {
    let of = |device: &str, call: &str| -> Vec<&RequestRecord> {
        requests.iter().filter(|request| request.target == report_path(device, call)).collect()
    };
    let messages: Vec<&[u8]> = of(GATEWAY, "messages/up").iter().map(|request| &*request.body).collect();
    let large = vec![0; 1_048_575];
    ensure!(messages == [b"".as_slice(), b"", b"\0a\0", b"\xff\xfe", &large], "other messages than were sent");

    let batches: Vec<Vec<String>> = of(GATEWAY, BATCH).into_iter().map(children).collect::<Result<_>>()?;
    let sizes: Vec<usize> = batches.iter().map(Vec::len).collect();
    ensure!(sizes == [50, 50, 20, 2, 2, 1, 2], "batches of {sizes:?} children");
    let mut expected: Vec<String> = (0..120).map(|number| format!("child_{number}")).collect();
    expected.extend((0..5).map(|number| format!("large_{number}")));
    expected.extend(["before".to_owned(), "after".to_owned()]);
    ensure!(batches.concat() == expected, "children in another order: {batches:?}");
    ensure!(of(GATEWAY, BATCH).iter().all(|request| request.body.len() <= 1_000_000), "a batch over 1,000,000 bytes");

    let second: Vec<&[u8]> = of(SECOND, "messages/up").iter().map(|request| &*request.body).collect();
    ensure!(second == [b"from the second"], "other messages of the second device");
    let connections = requests.iter().map(|request| request.connection).max();
    ensure!(connections == Some(1), "{connections:?} connections where one would do");
    Ok(())
}

/// The children of a batch, in order.
pub(super) fn children(batch: &RequestRecord) -> Result<Vec<String>> {
    let body: Value = serde_json::from_slice(&batch.body)?;
    let devices = body["devices"].as_array().context("a batch without devices")?;
    let ids = devices.iter().map(|device| device["device_id"].as_str().map(String::from));
    ids.collect::<Option<_>>().context("a child without an id")
}

/// The children that are right, in two batches.
fn batch(_: &Stand, requests: &[RequestRecord]) -> Result<()> {
    let batches = requests.iter().filter(|request| request.target == report_path(GATEWAY, BATCH));
    let arrived: Vec<Vec<String>> = batches.map(children).collect::<Result<_>>()?;
    ensure!(arrived == [vec!["a", "b", "c"], vec!["d", "e"]], "other children than the good ones: {arrived:?}");
    Ok(())
}

fn threads(stand: &Stand, _: &[RequestRecord]) -> Result<()> {
    let counters = stand.platform.counters();
    ensure!(counters.messages == 160, "{} messages instead of 160", counters.messages);
    ensure!(counters.authentications == 2, "{} authentications for two clients", counters.authentications);
    Ok(())
}

fn field(stand: &Stand, requests: &[RequestRecord]) -> Result<()> {
    let bodies: Vec<&[u8]> =
        requests.iter().filter(|request| request.target.contains("messages")).map(|request| &*request.body).collect();
    ensure!(bodies == [b"before the sleep".as_slice(), b"after the sleep", b"not cancelled"], "{bodies:?}");
    let counters = stand.platform.counters();
    ensure!(counters.authentications == 1, "{} authentications with a saved token", counters.authentications);
    Ok(())
}

fn use_after_fork(_: &Stand, requests: &[RequestRecord]) -> Result<()> {
    let messages: Vec<&RequestRecord> = requests.iter().filter(|request| request.target.contains("messages")).collect();
    let bodies: Vec<&[u8]> = messages.iter().map(|request| &*request.body).collect();
    ensure!(bodies == [b"before the fork".as_slice(), b"from the child", b"after the fork"], "{bodies:?}");
    ensure!(
        messages[0].connection == messages[2].connection && messages[0].connection != messages[1].connection,
        "the parent did not keep its connection, or shared it with the child"
    );
    Ok(())
}
