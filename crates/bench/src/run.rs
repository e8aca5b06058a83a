//! A program of the comparison, given something to do: the command, and what it says about itself afterwards.

use anyhow::{Context, Result};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::process;

pub const DEVICE: &str = "bench_gateway";
pub const SECRET: &str = "a secret of the comparison";

/// What a program is to do, as peers/bench.h lists it, and the number beside that of the reports.
#[derive(Clone, Copy, Debug)]
pub struct Job(pub &'static str, pub Option<u64>);

pub const VALUES: Job = Job("values", None);
pub const TEXT: Job = Job("text", None);

pub fn batch(children: u64) -> Job {
    Job("batch", Some(children))
}

/// Where a program reports to.
#[derive(Clone, Debug)]
pub struct Target {
    pub port: u16,
    pub ca_file: PathBuf,
    /// The cores of a program that is timed, as `taskset -c` takes them; `None` for all.
    pub cores: Option<String>,
}

impl Target {
    /// The same server, by another port.
    pub fn at(&self, port: u16) -> Self {
        Self { port, ..self.clone() }
    }

    /// The command that does a job so many times, under a tool if there is one.
    pub fn command(&self, under: &[OsString], program: &Path, Job(job, size): Job, count: u64) -> Command {
        let mut words = under.iter().cloned().chain([program.as_os_str().to_owned()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args([job, &count.to_string()]).args(size.map(|size| size.to_string()));
        command.env("IOTDA_ENDPOINT", format!("https://localhost:{}", self.port)).env("IOTDA_CA_FILE", &self.ca_file);
        command.env("IOTDA_DEVICE_ID", DEVICE).env("IOTDA_DEVICE_SECRET", SECRET);
        command
    }

    /// Does a job so many times, and returns what the program says about it.
    pub fn run(&self, program: &Path, job: Job, count: u64) -> Result<Said> {
        let cores = self.cores.iter().flat_map(|cores| ["taskset", "-c", cores]).map(OsString::from);
        let mut command = self.command(&cores.collect::<Vec<_>>(), program, job, count);
        Said::parse(&process::output_in_time(&mut command)?)
    }
}

/// The line `name=number name=number` of a program.
#[derive(Debug)]
pub struct Said(HashMap<String, f64>);

impl Said {
    fn parse(line: &str) -> Result<Self> {
        let pair = |word: &str| {
            let (name, value) = word.split_once('=')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        let pairs: Option<_> = line.split_whitespace().map(pair).collect();
        Ok(Self(pairs.with_context(|| format!("not a line of name=number: {line}"))?))
    }

    pub fn get(&self, name: &str) -> Result<f64> {
        self.0.get(name).copied().with_context(|| format!("the program does not say its {name}"))
    }
}

/// The cores for the server, which has one thread, and for the programs. Where the two meet is else the kernel's choice,
/// made anew all the time, and a report takes half or twice as long by it.
pub fn split_cores() -> (Option<String>, Option<String>) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let cores = allowed(&status).filter(|cores| cores.len() > 1 && testkit::find("taskset"));
    cores.map_or((None, None), |cores| (Some(cores[0].clone()), Some(cores[1..].join(","))))
}

/// The cores of the line `Cpus_allowed_list: 0-1,4`.
fn allowed(status: &str) -> Option<Vec<String>> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut cores = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cores.extend((first.parse::<u32>().ok()?..=last.parse().ok()?).map(|core| core.to_string()));
    }
    Some(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_is_read() {
        let said = Said::parse("wall_us=12 cpu_us=3\n").unwrap();
        assert_eq!((said.get("wall_us").unwrap(), said.get("cpu_us").unwrap()), (12.0, 3.0));
        assert!(said.get("peak_kb").is_err());
        assert!(Said::parse("12 microseconds").is_err());
    }

    #[test]
    fn cores_are_read() {
        assert_eq!(allowed("Name:\tx\nCpus_allowed_list:\t0-1,4\n").unwrap(), ["0", "1", "4"]);
        assert_eq!(allowed("Name:\tx\n"), None);
    }
}
