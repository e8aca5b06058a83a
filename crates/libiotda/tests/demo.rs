//! `cargo xtask demo`, as a newcomer sees it: it ends by itself without a terminal, and stays on one.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use testkit::process::{self, Background};
use testkit::{Lock, Terminal, cargo, target};

/// For what is waited for. It comes within seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// What the demo says last without a terminal, and with one.
const ENDS: &str = "It ends with this command; with --stay it goes on";
const STAYS: &str = "press Enter to end.";

/// The command, and the right to run it: it has one directory.
fn demo(words: &[&str]) -> Result<(Vec<String>, Lock)> {
    let lock = Lock::take(&target().join("test/demo.lock"))?;
    // `cargo xtask test` is that program itself.
    let xtask = env::var_os("IOTDA_XTASK").map_or_else(|| cargo("xtask"), Command::new);
    let words = words.iter().map(|word| (*word).to_owned());
    let all = [xtask.get_program()].into_iter().chain(xtask.get_args());
    let all = all.map(|word| word.to_string_lossy().into_owned()).chain(["demo".to_owned()]).chain(words);
    Ok((all.collect(), lock))
}

fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// The address of the page, of what the demo says.
fn page(shown: &str) -> Result<String> {
    let line = shown.lines().find_map(|line| line.strip_prefix("The platform's page: "));
    Ok(line.with_context(|| format!("no page is named: {shown}"))?.trim().to_owned())
}

fn get(page: &str, path: &str) -> Result<String> {
    Ok(ureq::get(format!("{page}{path}")).call()?.body_mut().read_to_string()?)
}

/// How many requests have been accepted from this machine's children, which report last, and how long it is up.
fn arrived(page: &str) -> Result<(u64, f64)> {
    let counters: Value = serde_json::from_str(&get(page, "/counters")?)?;
    let reports: Value = serde_json::from_str(&get(page, "/reports?device=demo_gateway&call=properties&limit=1000")?)?;
    let reports = reports.as_array().context("no list of reports")?;
    let uptime = |report: &Value| report["services"][0]["properties"]["Uptime"].as_f64();
    let last = reports.iter().filter_map(uptime).fold(0.0, f64::max);
    Ok((counters["batches"].as_u64().context("no count of batches")?, last))
}

fn eventually(what: &str, mut is: impl FnMut() -> Result<bool>) -> Result<()> {
    let begin = Instant::now();
    while !is()? {
        ensure!(begin.elapsed() < LIMIT, "it never came to this: {what}");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Waits until this machine has reported twice more: its metrics move on the page.
fn moves(page: &str) -> Result<()> {
    ensure!(get(page, "/")?.contains("<title>"), "this is no page: {page}");
    let (batches, uptime) = arrived(page)?;
    ensure!(batches > 0 && uptime > 0.0, "{batches} batches, up for {uptime} s");
    eventually("this machine reports again, and again", || {
        let (now, up) = arrived(page)?;
        Ok(now >= batches + 2 && up > uptime)
    })
}

/// Whether nobody listens at the address of a page.
fn is_gone(page: &str) -> bool {
    TcpStream::connect(page.trim_start_matches("http://")).is_err()
}

/// The processes of a session: field 6 of their /proc/PID/stat.
fn session(leader: u32) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else { continue };
        // The name before it can hold spaces and parentheses.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        if fields.get(3) == Some(&&*leader.to_string()) {
            found.push(stat);
        }
    }
    Ok(found)
}

/// Runs it on a terminal until its metrics move there, types these keys, and returns how it ends. Nothing is left of it then.
fn typed(keys: &str) -> Result<ExitStatus> {
    let (words, _lock) = demo(&[])?;
    let mut terminal = Terminal::open()?;
    // Where the tests run in the background of a script, Ctrl-C is ignored, and that is inherited.
    let mut setsid = Command::new("env");
    setsid
        .args(["--default-signal=INT", "setsid", "--ctty"])
        .args(&words)
        .stdin(terminal.side())
        .stdout(terminal.side())
        .stderr(terminal.side());
    let mut running = Background::start(&mut setsid)?;
    let page = page(&terminal.shows(&["Everything arrived", STAYS]))?;
    moves(&page)?;
    ensure!(!session(running.child.id())?.is_empty(), "its processes are not found");
    terminal.types(keys)?;
    let status = running.child.wait()?;
    eventually("no process is left", || Ok(session(running.child.id())?.is_empty()))?;
    ensure!(is_gone(&page), "{page} still answers");
    Ok(status)
}

#[test]
fn without_a_terminal_it_ends_by_itself() -> Result<()> {
    let (words, _lock) = demo(&[])?;
    let shown = process::output_in_time(&mut command(&words))?;
    ensure!(shown.contains("Everything arrived") && shown.contains(ENDS) && !shown.contains(STAYS), "{shown}");
    ensure!(is_gone(&page(&shown)?), "the page still answers: {shown}");
    Ok(())
}

#[test]
fn without_a_terminal_it_stays_if_asked_until_its_input_ends() -> Result<()> {
    let (words, _lock) = demo(&["--stay"])?;
    let mut demo = Background::start(command(&words).stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let mut shown = String::new();
    let mut stdout = BufReader::new(demo.child.stdout.take().context("the output is not piped")?);
    while !shown.contains(STAYS) {
        ensure!(stdout.read_line(&mut shown)? > 0, "it has ended: {shown}");
    }
    let page = page(&shown)?;
    moves(&page)?;
    drop(demo.child.stdin.take());
    ensure!(demo.child.wait()?.success(), "it fails: {shown}");
    ensure!(is_gone(&page), "{page} still answers");
    Ok(())
}

#[test]
fn on_a_terminal_it_stays_until_enter() -> Result<()> {
    let status = typed("\r")?;
    ensure!(status.success(), "it fails: {status}");
    Ok(())
}

#[test]
fn on_a_terminal_ctrl_c_ends_it() -> Result<()> {
    let status = typed("\x03")?;
    // By the signal, or, by way of cargo, with its code.
    ensure!(status.signal() == Some(2) || status.code() == Some(130), "it ends otherwise: {status}");
    Ok(())
}
