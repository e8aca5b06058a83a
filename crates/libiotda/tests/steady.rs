//! What a report costs once a client is warm: one system call that sends, no thread, no name look-up. And what a
//! client costs that has nothing to send: nothing.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use testkit::{Package, Stand, Tool, path, process, program, scratch};

const REPORTS: usize = 1000;

#[test]
fn a_thousand_reports_cost_a_thousand_sends() -> Result<()> {
    if testkit::is_missing(Tool::Program("strace", "strace")) {
        return Ok(());
    }
    let program = program::c(&Package::shipped()?, &path("crates/libiotda/tests/c/steady.c"), &[])?;
    let trace = scratch()?.join("trace");
    let stand = Stand::start()?;
    let mut strace = Command::new("strace");
    // -f: threads and processes too; -yy: says what each descriptor is.
    strace.args(["-f", "-yy", "-o"]).arg(&trace);
    strace.arg(program).arg(REPORTS.to_string());
    stand.configure(&mut strace);
    strace.env("IOTDA_ENDPOINT", stand.platform.url_for("localhost"));
    process::output_in_time(&mut strace)?;
    let reports = stand.platform.counters().property_reports;
    ensure!(reports == REPORTS as u64 + 1, "{reports} reports arrived");
    let trace = fs::read_to_string(&trace).with_context(|| format!("cannot read {}", trace.display()))?;
    judge(&trace)
}

fn judge(trace: &str) -> Result<()> {
    let calls: Vec<Call> = trace.lines().filter_map(Call::parse).collect();
    let is_mark = |call: &Call, text: &str| call.name == "write" && call.rest.contains(text);
    let position = |text: &str| calls.iter().position(|call| is_mark(call, text));
    let (begin, end) = (position("BEGIN").context("no BEGIN in the trace")?, position("END").context("no END")?);

    let made: Vec<&Call> =
        calls.iter().filter(|call| matches!(call.name, "clone" | "clone3" | "fork" | "vfork")).collect();
    ensure!(made.is_empty(), "the library started a thread or a process: {made:?}");

    let steady = &calls[begin + 1..end];
    let mut counts = BTreeMap::new();
    for call in steady {
        *counts.entry((call.name, call.on_socket())).or_insert(0_usize) += 1;
        ensure!(
            !matches!(call.name, "open" | "openat" | "socket" | "connect" | "setsockopt"),
            "{REPORTS} reports on a warm client led to this: {call:?}"
        );
    }
    let on_sockets: usize = counts.iter().filter(|((_, socket), _)| *socket).map(|(_, count)| count).sum();
    let sends: usize =
        ["sendto", "sendmsg", "write", "writev"].iter().filter_map(|name| counts.get(&(*name, true))).sum();
    ensure!(sends == REPORTS, "{sends} sends for {REPORTS} reports");
    ensure!(on_sockets <= 3 * REPORTS, "{on_sockets} system calls on sockets for {REPORTS} reports");

    let idle = position("IDLE").context("no IDLE in the trace")?;
    let idle: Vec<&Call> = calls[end + 1..idle].iter().collect();
    // The program's own sleep is the only call.
    let sleeps = idle.iter().all(|call| matches!(call.name, "nanosleep" | "clock_nanosleep"));
    ensure!(sleeps && !idle.is_empty(), "an idle client made system calls: {idle:?}");
    Ok(())
}

/// A system call as strace writes it: `123 sendto(5<TCP:[127.0.0.1:1->127.0.0.1:2]>, "...`
#[derive(Debug)]
struct Call<'a> {
    name: &'a str,
    rest: &'a str,
}

impl<'a> Call<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        let (name, rest) = call.split_once('(')?;
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_').then_some(Self { name, rest })
    }

    /// Whether it is about a TCP connection: one descriptor, or a list for poll.
    fn on_socket(&self) -> bool {
        self.rest.contains("<TCP")
    }
}

mod judge {
    use super::*;

    fn trace(reports: usize, per_report: &str) -> String {
        let mut trace = "7 write(1<pipe:[1]>, \"BEGIN\\n\", 6) = 6\n".to_owned();
        trace.push_str(&per_report.repeat(reports));
        trace + "7 write(1<pipe:[1]>, \"END\\n\", 4) = 4\n" + IDLE + "7 write(1<pipe:[1]>, \"IDLE\\n\", 5) = 5\n"
    }

    const IDLE: &str = "7 clock_nanosleep(CLOCK_REALTIME, 0, {tv_sec=10, tv_nsec=0}, NULL) = 0\n";

    const GOOD: &str =
        "7 sendto(3<TCP:[1->2]>, \"x\", 1, 0, NULL, 0) = 1\n7 recvfrom(3<TCP:[1->2]>, \"y\", 1, 0, NULL, NULL) = 1\n";

    #[test]
    fn a_lean_trace_passes() {
        judge(&trace(REPORTS, GOOD)).unwrap();
    }

    #[test]
    fn a_client_that_is_not_idle_is_found() {
        let trace = trace(REPORTS, GOOD).replace(IDLE, &format!("{IDLE}8 futex(0x7f, FUTEX_WAKE) = 1\n"));
        assert!(judge(&trace).unwrap_err().to_string().contains("idle client"));
    }

    #[test]
    fn every_fault_is_found() {
        for (reports, extra, expected) in [
            (REPORTS - 1, "", "sends for"),
            (REPORTS, "7 sendto(3<TCP:[1->2]>, \"x\", 1, 0, NULL, 0) = 1\n", "sends for"),
            (REPORTS, "7 poll([{fd=3<TCP:[1->2]>}], 1, 5) = 1\n7 poll([{fd=3<TCP:[1->2]>}], 1, 5) = 1\n", "on sockets"),
            (REPORTS, "7 setsockopt(3<TCP:[1->2]>, SOL_SOCKET) = 0\n", "setsockopt"),
            (REPORTS, "7 openat(AT_FDCWD</>, \"/etc/resolv.conf\", O_RDONLY) = 3\n", "resolv.conf"),
            (REPORTS, "7 clone3({flags=CLONE_VM}, 88) = 8\n", "started a thread"),
        ] {
            let error = judge(&trace(reports, &format!("{GOOD}{extra}"))).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
