//! A program of the comparison, given something to do: the command, and what it says about itself afterwards.

use super::cores::List;
use crate::process;
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const DEVICE: &str = "bench_gateway";
pub(crate) const SECRET: &str = "a secret of the comparison";

/// What a program is to do, as examples/bench/bench.h lists it, and the number beside that of the reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Job {
    pub(crate) name: &'static str,
    pub(crate) size: Option<u64>,
}

pub(crate) const VALUES: Job = Job { name: "values", size: None };
pub(crate) const TEXT: Job = Job { name: "text", size: None };

pub(crate) fn batch(children: u64) -> Job {
    Job { name: "batch", size: Some(children) }
}

/// Where a program reports to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) port: u16,
    pub(crate) ca_file: PathBuf,
    /// Those that a program has which is timed.
    cores: List,
}

impl Target {
    pub(crate) fn new(port: u16, ca_file: &Path) -> Self {
        Self { port, ca_file: ca_file.to_owned(), cores: None }
    }

    /// The same server, for programs that have these cores alone.
    pub(super) fn on(&self, cores: List) -> Self {
        Self { cores, ..self.clone() }
    }

    /// The same server, by another port.
    pub(crate) fn at(&self, port: u16) -> Self {
        Self { port, ..self.clone() }
    }

    /// The command that does a job so many times, under a tool if there is one.
    pub(crate) fn command(&self, under: &[OsString], program: &Path, job: Job, count: u64) -> Command {
        let mut words = under.iter().cloned().chain([program.as_os_str().to_owned()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args([job.name, &count.to_string()]);
        command.args(job.size.map(|size| size.to_string()));
        command
            .env("IOTDA_ENDPOINT", format!("https://localhost:{}", self.port))
            .env("IOTDA_CA_FILE", &self.ca_file)
            .env("IOTDA_DEVICE_ID", DEVICE)
            .env("IOTDA_DEVICE_SECRET", SECRET);
        command
    }

    /// Does a job so many times, and returns what the program says about it.
    pub(crate) fn run(&self, program: &Path, job: Job, count: u64) -> Result<Said> {
        let under: Vec<OsString> = match &self.cores {
            None => Vec::new(),
            Some(cores) => ["taskset", "-c", cores].map(OsString::from).to_vec(),
        };
        Said::parse(&process::output_in_time(&mut self.command(&under, program, job, count))?)
    }
}

/// The line `name=number name=number` of a program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said(HashMap<String, f64>);

impl Said {
    fn parse(line: &str) -> Result<Self> {
        let pair = |word: &str| {
            let (name, value) = word.split_once('=')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        let pairs: Option<_> = line.split_whitespace().map(pair).collect();
        Ok(Self(pairs.with_context(|| format!("not a line of name=number: {line}"))?))
    }

    pub(crate) fn get(&self, name: &str) -> Result<f64> {
        self.0.get(name).copied().with_context(|| format!("the program does not say its {name}"))
    }
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
}
