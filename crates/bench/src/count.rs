//! Costs that are counted and not timed: user instructions (callgrind), heap allocations (memcheck), system calls (strace),
//! bytes, TLS records and round trips (our relay). Each is the difference of two runs of different length, so that what
//! a program does once does not count.

use crate::relay::{Relay, Traffic};
use crate::run::{Job, Target};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;
use testkit::process;

/// How many times a job is done in the two runs.
#[derive(Clone, Copy)]
pub struct Runs {
    pub short: u64,
    pub long: u64,
}

impl Runs {
    fn times(self) -> f64 {
        (self.long - self.short) as f64
    }
}

/// A program that is counted.
pub struct Counted<'a> {
    pub target: &'a Target,
    pub program: &'a Path,
    /// For the tools' logs.
    pub dir: &'a Path,
}

impl Counted<'_> {
    /// User instructions for each time that the job is done.
    pub fn instructions(&self, job: Job, runs: Runs) -> Result<f64> {
        Ok((self.all_instructions(job, runs.long)? - self.all_instructions(job, runs.short)?) / runs.times())
    }

    /// User instructions of one run, from the program's start to its end.
    pub fn all_instructions(&self, job: Job, count: u64) -> Result<f64> {
        let log = self.under_valgrind(&["--tool=callgrind", "--callgrind-out-file=/dev/null"], job, count)?;
        collected(&log).context("callgrind does not say what it collected")
    }

    /// What each time takes from the heap: allocations and bytes.
    pub fn heap(&self, job: Job, runs: Runs) -> Result<[f64; 2]> {
        let of = |count| {
            // Only memcheck's count of allocations is wanted.
            let log = self.under_valgrind(&["--leak-check=no", "--undef-value-errors=no"], job, count)?;
            heap_usage(&log).context("valgrind does not say what was allocated")
        };
        let (long, short) = (of(runs.long)?, of(runs.short)?);
        Ok([0, 1].map(|which| (long[which] - short[which]) / runs.times()))
    }

    /// System calls for each time.
    pub fn system_calls(&self, job: Job, runs: Runs) -> Result<f64> {
        let of = |count| -> Result<_> {
            let trace = self.dir.join("strace.log");
            let under = ["strace".into(), "-f".into(), "-o".into(), trace.clone().into_os_string()];
            process::output_in_time(&mut self.target.command(&under, self.program, job, count))?;
            Ok(calls_in(&fs::read_to_string(trace)?))
        };
        Ok((of(runs.long)? - of(runs.short)?) / runs.times())
    }

    /// What passes on the wire for all the times by which the runs differ.
    pub fn traffic(&self, job: Job, runs: Runs) -> Result<Traffic> {
        Ok(self.passed(job, runs.long, Duration::ZERO)?.since(&self.passed(job, runs.short, Duration::ZERO)?))
    }

    /// What passes on the wire in one run, on a way that takes so long in each direction.
    pub fn passed(&self, job: Job, count: u64, one_way: Duration) -> Result<Traffic> {
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
fn heap_usage(log: &str) -> Option<[f64; 2]> {
    let line = log.lines().find_map(|line| Some(line.split_once("total heap usage:")?.1))?;
    let mut numbers = line.split(", ").map(|part| {
        let number = part.trim().split(' ').next().unwrap_or_default();
        number.replace(',', "").parse::<f64>().ok()
    });
    let (allocations, _, bytes) = (numbers.next()??, numbers.next()??, numbers.next()??);
    Some([allocations, bytes])
}

/// How many system calls were made. One that another thread interrupts has two lines, the second without a name first.
fn calls_in(trace: &str) -> f64 {
    let is_call = |line: &&str| {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        let name = call.split_once('(').map_or("", |(name, _)| name);
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    trace.lines().filter(is_call).count() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_are_understood() {
        let log = "==7== Events    : Ir\n==7== Collected : 123456\n==7== \n";
        assert_eq!(collected(log), Some(123_456.0));
        let log = "==7== HEAP SUMMARY:\n==7==   total heap usage: 1,234 allocs, 1,230 frees, 56,789 bytes allocated\n";
        assert_eq!(heap_usage(log), Some([1234.0, 56_789.0]));
        let trace = "7 read(3, \"\", 1) = 0\n7 futex(0x1 <unfinished ...>\n8 read(3, \"\", 1) = 0\n\
                     7 <... futex resumed>) = 0\n7 +++ exited with 0 +++\n7 --- SIGURG (x) ---\n";
        assert_eq!(calls_in(trace), 3.0);
    }
}
