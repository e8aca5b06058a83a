//! What libiotda's own reports cost, in counts: the figures that are budgets. Measured against the stand-in platform, in
//! this process, so that nothing else need be installed.

use super::counts::{Counted, Runs};
use super::job::{DEVICE, Job, SECRET, TEXT, Target, VALUES, batch};
use super::{machine, peers};
use crate::process;
use crate::project::Project;
use anyhow::{Context, Result};
use iotda_platform::{Device, Platform, Registry};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const REPORTS: Runs = Runs { short: 50, long: 550 };
const BATCHES: Runs = Runs { short: 1, long: 5 };
const CHILDREN: u64 = 500;

/// What figures depend on beside the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// Version of the compiler, without the part that only mends: `1.85`.
    pub(super) rustc: String,
    /// What counts of instructions depend on beside that: processor features, C library, valgrind.
    pub(super) processor: String,
    pub(super) glibc: String,
    pub(super) valgrind: String,
}

impl Setting {
    pub(super) fn here() -> Result<Self> {
        Ok(Self {
            rustc: machine::rustc_minor()?,
            processor: machine::features(),
            glibc: machine::libc()?,
            valgrind: machine::valgrind()?,
        })
    }
}

/// Figures by name. Each is the less the better.
pub(super) type Named = BTreeMap<String, f64>;

/// By how they are compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Costs {
    /// User instructions.
    pub(super) instructions: Named,
    /// Of system calls, bytes and so on; with one decimal.
    pub(super) counts: Named,
    /// Bytes of files.
    pub(super) sizes: Named,
}

/// Builds the program that reports through an installed libiotda, and counts.
pub(super) fn costs(project: &Project, prefix: &Path, dir: &Path) -> Result<Costs> {
    let program = peers::libiotda(project, prefix, dir)?;
    let mut registry = Registry::new();
    registry.add_device(Device::new(DEVICE).with_secret(SECRET).with_any_child())?;
    let platform = Platform::builder().registry(registry).start()?;
    let ca_file = dir.join("stand-in.pem");
    fs::write(&ca_file, platform.ca_pem())?;
    let target = Target::new(platform.address().port(), &ca_file);
    let counted = Counted { target: &target, program: &program, dir };
    let (object, message) = (Job { name: "object", size: None }, Job { name: "message", size: None });

    let mut costs = Costs { sizes: sizes(prefix, &program)?, ..Costs::default() };
    let jobs = [
        ("report_from_values", VALUES),
        ("report_from_object", object),
        ("report_from_text", TEXT),
        ("message", message),
    ];
    for (name, job) in jobs {
        costs.instructions.insert(name.to_owned(), counted.instructions(job, REPORTS)?.round());
        let heap = counted.heap(job, REPORTS)?;
        costs.counts.insert(format!("allocations_of_{name}"), one_decimal(heap.allocations));
        costs.counts.insert(format!("bytes_allocated_of_{name}"), one_decimal(heap.bytes));
    }
    let children = |value: f64| value / CHILDREN as f64;
    let per_child = children(counted.instructions(batch(CHILDREN), BATCHES)?);
    costs.instructions.insert("child_of_batch".to_owned(), per_child.round());
    let heap = counted.heap(batch(CHILDREN), BATCHES)?;
    let times = (REPORTS.long - REPORTS.short) as f64;
    let traffic = counted.traffic(object, REPORTS)?;
    let start = counted.passed(object, 0, Duration::ZERO)?;
    for (name, value) in [
        ("allocations_of_child_of_batch", children(heap.allocations)),
        ("bytes_sent_of_report", traffic.sent.bytes as f64 / times),
        ("records_sent_of_report", traffic.sent.records as f64 / times),
        ("round_trips_to_first_report", start.round_trips() as f64),
        ("system_calls_of_report", counted.system_calls(object, REPORTS)?.values().sum()),
        ("symbols_of_shared_library", exported(prefix)?),
    ] {
        costs.counts.insert(name.to_owned(), one_decimal(value));
    }
    Ok(costs)
}

fn one_decimal(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn sizes(prefix: &Path, program: &Path) -> Result<Named> {
    let is_packed = peers::packs_relocations()?;
    let files = [
        ("archive", prefix.join("lib/libiotda.a")),
        ("shared_library", prefix.join("lib/libiotda.so")),
        // An older C library's program is no measure for this one.
        (if is_packed { "program_stripped" } else { "program_stripped_unpacked" }, program.to_owned()),
    ];
    let size = |(name, path): (&str, std::path::PathBuf)| {
        let length = fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?.len();
        Ok((name.to_owned(), length as f64))
    };
    files.into_iter().map(size).collect()
}

fn exported(prefix: &Path) -> Result<f64> {
    let mut nm = Command::new("nm");
    nm.args(["--defined-only", "--dynamic", "--format=posix"]).arg(prefix.join("lib/libiotda.so"));
    // Beside the functions, the name of the version that they have is listed.
    Ok(process::output(&mut nm)?.lines().filter(|line| line.starts_with("iotda_")).count() as f64)
}
