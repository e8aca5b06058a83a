//! Costs that are counted and not timed: user instructions (callgrind), heap allocations (memcheck), system calls (strace),
//! bytes, TLS records and round trips (our relay). Each is the difference of two runs of different length, so that what
//! a program does once does not count.

use super::job::{Job, Target};
use super::relay::{Relay, Traffic};
use crate::process;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How many times a job is done in the two runs.
#[derive(Clone, Copy)]
pub(crate) struct Runs {
    pub(crate) short: u64,
    pub(crate) long: u64,
}

impl Runs {
    fn times(self) -> f64 {
        (self.long - self.short) as f64
    }
}

/// A program that is counted.
pub(crate) struct Counted<'a> {
    pub(crate) target: &'a Target,
    pub(crate) program: &'a Path,
    /// For the tools' logs.
    pub(crate) dir: &'a Path,
}

/// Of the heap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Heap {
    pub(crate) allocations: f64,
    pub(crate) bytes: f64,
}

impl Counted<'_> {
    /// User instructions for each time that the job is done.
    pub(crate) fn instructions(&self, job: Job, runs: Runs) -> Result<f64> {
        let of = |count| {
            let log = self.under_valgrind(&["--tool=callgrind", "--callgrind-out-file=/dev/null"], job, count)?;
            collected(&log).context("callgrind does not say what it collected")
        };
        Ok((of(runs.long)? - of(runs.short)?) / runs.times())
    }

    /// What each time takes from the heap.
    pub(crate) fn heap(&self, job: Job, runs: Runs) -> Result<Heap> {
        let of = |count| {
            // Only memcheck's count of allocations is wanted.
            let log = self.under_valgrind(&["--leak-check=no", "--undef-value-errors=no"], job, count)?;
            heap_usage(&log).context("valgrind does not say what was allocated")
        };
        let (long, short) = (of(runs.long)?, of(runs.short)?);
        let times = runs.times();
        Ok(Heap {
            allocations: (long.allocations - short.allocations) / times,
            bytes: (long.bytes - short.bytes) / times,
        })
    }

    /// System calls by name for each time; those that come less than once in a hundred times left out.
    pub(crate) fn system_calls(&self, job: Job, runs: Runs) -> Result<BTreeMap<String, f64>> {
        let of = |count| -> Result<_> {
            let trace = self.dir.join("strace.log");
            let under = ["strace".into(), "-f".into(), "-o".into(), trace.clone().into_os_string()];
            process::output_in_time(&mut self.target.command(&under, self.program, job, count))?;
            Ok(calls_in(&fs::read_to_string(trace)?))
        };
        let (long, short) = (of(runs.long)?, of(runs.short)?);
        let calls = long.into_iter().map(|(name, count)| {
            let before = short.get(&name).copied().unwrap_or_default();
            (name, (count as f64 - before as f64) / runs.times())
        });
        Ok(calls.filter(|(_, count)| *count >= 0.01).collect())
    }

    /// What passes on the wire for all the times by which the runs differ.
    pub(crate) fn traffic(&self, job: Job, runs: Runs) -> Result<Traffic> {
        Ok(self.passed(job, runs.long, Duration::ZERO)?.since(&self.passed(job, runs.short, Duration::ZERO)?))
    }

    /// What passes on the wire in one run, on a way that takes so long in each direction.
    pub(crate) fn passed(&self, job: Job, count: u64, one_way: Duration) -> Result<Traffic> {
        let relay = Relay::start(self.target.port, one_way)?;
        self.target.at(relay.port()).run(self.program, job, count)?;
        Ok(relay.traffic())
    }

    fn under_valgrind(&self, options: &[&str], job: Job, count: u64) -> Result<String> {
        let log = self.dir.join("valgrind.log");
        let mut log_option = OsString::from("--log-file=");
        log_option.push(&log);
        let mut under = vec![OsString::from("valgrind"), log_option];
        under.extend(options.iter().map(OsString::from));
        process::output_in_time(&mut self.target.command(&under, self.program, job, count))?;
        fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))
    }
}

/// The line `==12== Collected : 3456`.
fn collected(log: &str) -> Option<f64> {
    log.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

/// The line `==12==   total heap usage: 1,234 allocs, 1,230 frees, 56,789 bytes allocated`.
fn heap_usage(log: &str) -> Option<Heap> {
    let line = log.lines().find_map(|line| Some(line.split_once("total heap usage:")?.1))?;
    let mut numbers = line.split(", ").map(|part| {
        let number = part.trim().split(' ').next().unwrap_or_default();
        number.replace(',', "").parse::<f64>().ok()
    });
    let (allocations, _, bytes) = (numbers.next()??, numbers.next()??, numbers.next()??);
    Some(Heap { allocations, bytes })
}

/// How often each system call is made. One that another thread interrupts has two lines, the second without a name first.
fn calls_in(trace: &str) -> BTreeMap<String, u64> {
    let mut calls = BTreeMap::new();
    for line in trace.lines() {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        let Some((name, _)) = call.split_once('(') else { continue };
        if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            *calls.entry(name.to_owned()).or_default() += 1;
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_are_understood() {
        let log = "==7== Events    : Ir\n==7== Collected : 123456\n==7== \n";
        assert_eq!(collected(log), Some(123_456.0));
        let log = "==7== HEAP SUMMARY:\n==7==   total heap usage: 1,234 allocs, 1,230 frees, 56,789 bytes allocated\n";
        assert_eq!(heap_usage(log), Some(Heap { allocations: 1234.0, bytes: 56_789.0 }));
        let trace = "7 read(3, \"\", 1) = 0\n7 futex(0x1 <unfinished ...>\n8 read(3, \"\", 1) = 0\n\
                     7 <... futex resumed>) = 0\n7 +++ exited with 0 +++\n7 --- SIGURG (x) ---\n";
        let calls: Vec<(String, u64)> = calls_in(trace).into_iter().collect();
        assert_eq!(calls, [("futex".to_owned(), 1), ("read".to_owned(), 2)]);
    }
}
