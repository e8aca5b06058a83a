//! System calls that fail, one in each run of tests/c/system_calls.c: each call ends with a status that says what
//! happened, what is reported as delivered has arrived, and nothing is worse afterwards. One of each kind, or with
//! `IOTDA_FAULTS=all` each of them with each error, as `cargo xtask faults` has it. Where memory is what fails, the
//! process may end by abort(), which is documented.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use testkit::{Package, Stand, Tool, path, program, scratch};

/// The calls of the program, in the order of its enumeration.
const CALLS: [&str; 11] =
    ["auth", "props", "message", "batch", "child_1", "child_2", "open", "kept", "flush", "last", "again"];

/// What a report of these names says, as the platform shows it.
const REPORTS: [&str; 6] = ["props", "message", "child_1", "child_2", "kept", "last"];

/// `IOTDA_E_STORAGE`.
const STORAGE: i32 = 60;

/// Those by which memory is had.
const MEMORY: [&str; 4] = ["mmap", "brk", "mprotect", "mremap"];

/// The errors that a system call is made to return: such as its manual page names.
fn errors(call: &str) -> &'static [&'static str] {
    match call {
        "socket" => &["EMFILE", "ENOBUFS"],
        "connect" => &["ECONNREFUSED", "ENETUNREACH", "EADDRNOTAVAIL"],
        "sendto" | "sendmsg" => &["ECONNRESET", "EPIPE", "EINTR", "ENOBUFS"],
        "recvfrom" | "recvmsg" => &["ECONNRESET", "EINTR", "ETIMEDOUT"],
        "poll" | "ppoll" => &["EINTR", "ENOMEM"],
        "openat" | "open" => &["EMFILE", "ENOSPC", "EACCES"],
        "read" | "pread64" => &["EIO", "EINTR"],
        "write" | "pwrite64" | "pwritev" => &["ENOSPC", "EIO", "EINTR"],
        "fsync" | "fdatasync" => &["EIO", "ENOSPC"],
        "ftruncate" | "fallocate" | "mkdir" => &["ENOSPC", "EIO"],
        "flock" => &["ENOLCK"],
        "getrandom" => &["EINTR", "ENOSYS"],
        // Linux closes the descriptor whatever it returns; a tracer would leave it open.
        "close" => &[],
        call if MEMORY.contains(&call) => &["ENOMEM"],
        _ => &["EIO"],
    }
}

/// A system call, by how often it was made before in the whole run, from 1.
type Place = (String, usize);

#[test]
fn each_system_call_may_fail() -> Result<()> {
    if testkit::is_missing(Tool::Program("strace", "strace")) {
        return Ok(());
    }
    let bench = Bench::new()?;
    let places = bench.places()?;
    let all = env::var("IOTDA_FAULTS").is_ok_and(|which| which == "all");
    let mut seen = BTreeSet::new();
    let (mut runs, mut reached, mut aborts) = (0, 0, 0);
    let mut wrong = Vec::new();
    for (call, number) in &places {
        let errors = errors(call);
        let errors = if all { errors } else { &errors[..errors.len().min(1)] };
        if !all && !seen.insert(call) {
            continue;
        }
        for error in errors {
            runs += 1;
            match bench.run(&format!("{call}:error={error}:when={number}"), MEMORY.contains(&call.as_str())) {
                Ok(End { injected, aborted }) => {
                    reached += u32::from(injected);
                    aborts += u32::from(aborted);
                }
                Err(failure) => wrong.push(format!("{call} number {number} with {error}: {failure:#}")),
            }
        }
    }
    println!(
        "{runs} runs of {} system calls: {reached} met the fault, {aborts} aborts, {} wrong",
        places.len(),
        wrong.len()
    );
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    // How often a call is made before may differ by one or two from run to run: not in most.
    ensure!(reached * 4 >= runs * 3 && runs > 10, "{reached} of {runs} runs met their fault");
    Ok(())
}

struct End {
    /// The fault was met.
    injected: bool,
    aborted: bool,
}

struct Bench {
    program: PathBuf,
    dir: PathBuf,
}

impl Bench {
    fn new() -> Result<Self> {
        let source = path("crates/libiotda/tests/c/system_calls.c");
        Ok(Self { program: program::c(&Package::shipped()?, &source, &[])?, dir: scratch()? })
    }

    fn trace(&self) -> PathBuf {
        self.dir.join("trace")
    }

    /// The program under strace, with nothing left of an earlier run.
    fn command(&self, stand: &Stand, options: &[&str]) -> Result<Command> {
        let outbox = self.dir.join("outbox");
        if outbox.exists() {
            fs::remove_dir_all(&outbox)?;
        }
        let mut strace = Command::new("strace");
        strace.args(options).arg("-o").arg(self.trace()).arg("--").arg(&self.program);
        strace.arg(self.dir.join("results")).arg(outbox);
        stand.configure(&mut strace);
        Ok(strace)
    }

    /// The system calls between the marks, each with its number.
    fn places(&self) -> Result<Vec<Place>> {
        let stand = Stand::start()?;
        let output = self.command(&stand, &[])?.output()?;
        ensure!(output.status.success(), "without a fault: {}", String::from_utf8_lossy(&output.stderr));
        self.judge(&stand)?;
        let trace = fs::read_to_string(self.trace())?;
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut marks = 0;
        let mut places = Vec::new();
        for line in trace.lines() {
            let Some((call, _)) = line.split_once('(') else { continue };
            let count = counts.entry(call).or_default();
            *count += 1;
            if call == "getppid" {
                marks += 1;
            } else if marks == 1 {
                places.push((call.to_owned(), *count));
            }
        }
        ensure!(marks == 2 && places.len() > 50, "{marks} marks and {} system calls", places.len());
        Ok(places)
    }

    fn run(&self, fault: &str, of_memory: bool) -> Result<End> {
        let stand = Stand::start()?;
        let mut command = self.command(&stand, &["-e", &format!("inject={fault}")])?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let output = command.output()?;
        let injected = fs::read_to_string(self.trace())?.contains("(INJECTED)");
        // strace ends as the program did.
        let aborted = output.status.signal() == Some(6) || output.status.code() == Some(128 + 6);
        let may_end_so = output.status.success() || (aborted && of_memory);
        if !may_end_so {
            bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        if !aborted {
            self.judge(&stand)?;
        }
        if injected && fault.starts_with("flock:") {
            // Two processes would write into one directory.
            let open = CALLS.iter().position(|call| *call == "open").context("it opens an outbox")?;
            let (status, _) = results(&self.dir.join("results"))?[open];
            ensure!(status == STORAGE, "without a lock the outbox was opened with status {status}");
        }
        Ok(End { injected, aborted })
    }

    /// Holds what the calls returned against what has arrived.
    fn judge(&self, stand: &Stand) -> Result<()> {
        let returned = results(&self.dir.join("results"))?;
        let reports = stand.platform.reports();
        let arrived: Vec<String> = reports
            .iter()
            .map(|report| match report.services.first() {
                Some(service) => service.properties.clone(),
                None => String::from_utf8_lossy(&report.body).into_owned(),
            })
            .collect();
        let has_arrived =
            |name: &str| arrived.iter().any(|text| text == name || *text == format!("{{\"id\":\"{name}\"}}"));
        for name in REPORTS {
            let index = CALLS.iter().position(|call| *call == name).context("a call has a result")?;
            let (status, may_have_arrived) = returned[index];
            // What was put is delivered by the outbox, or by the one that is opened again.
            if status == 0 {
                ensure!(has_arrived(name), "{name} was reported as delivered, and has not arrived: {arrived:?}");
            } else if !may_have_arrived && name != "kept" {
                ensure!(!has_arrived(name), "{name} was reported as certainly not arrived (status {status}), and has");
            }
        }
        Ok(())
    }
}

/// The status of each call, and whether it may have arrived.
fn results(file: &Path) -> Result<Vec<(i32, bool)>> {
    let bytes = fs::read(file)?;
    let numbers: Vec<i32> =
        bytes.chunks_exact(4).map(|four| four.try_into().map(i32::from_ne_bytes)).collect::<Result<_, _>>()?;
    ensure!(numbers.len() == 2 * CALLS.len(), "{} numbers", numbers.len());
    Ok(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1] != 0)).collect())
}
