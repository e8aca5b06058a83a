//! What the figures depend on beside the code: processor, compiler, C library, tools.

use super::peers::package_version;
use crate::process;
use anyhow::{Context, Result};
use std::fs;
use std::process::Command;

/// The features by which the C library and the TLS libraries choose among variants of their code, so that counts of
/// instructions differ where they differ. Only those that valgrind shows to the programs under it where the processor
/// has them; it knows none that is newer.
const FEATURES: [&str; 6] = ["sse4_2", "aes", "pclmulqdq", "avx", "avx2", "bmi2"];

/// The processor, for a reader.
pub(super) fn processor() -> String {
    let name = field_of_cpuinfo("model name").unwrap_or_else(|| "unknown processor".to_owned());
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{count} cores of {name}")
}

/// Those of the features that this processor has.
pub(super) fn features() -> String {
    let has = field_of_cpuinfo("flags").unwrap_or_default();
    let has: Vec<&str> = has.split(' ').collect();
    let known: Vec<&str> = FEATURES.into_iter().filter(|feature| has.contains(feature)).collect();
    format!("{} {}", std::env::consts::ARCH, known.join(" "))
}

fn field_of_cpuinfo(name: &str) -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

/// Such as `1.85`.
pub(super) fn rustc_minor() -> Result<String> {
    let version = rustc()?;
    let parts: Vec<&str> = version.split('.').take(2).collect();
    Ok(parts.join("."))
}

/// Such as `1.85.1`.
pub(super) fn rustc() -> Result<String> {
    let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    second_word(&process::output(Command::new(program).arg("--version"))?)
}

/// Such as `3.19.0`.
pub(super) fn valgrind() -> Result<String> {
    let version = process::output(Command::new("valgrind").arg("--version"))?;
    Ok(version.trim().trim_start_matches("valgrind-").to_owned())
}

/// Such as `2.36`.
pub(super) fn libc() -> Result<String> {
    second_word(&process::output(Command::new("getconf").arg("GNU_LIBC_VERSION"))?)
}

/// Such as `12.2.0`.
pub(super) fn cc() -> Result<String> {
    Ok(process::output(Command::new("cc").arg("-dumpfullversion"))?.trim().to_owned())
}

pub(super) fn nginx() -> String {
    ["nginx-light", "nginx-core", "nginx"].map(package_version).into_iter().find(|v| v != "?").unwrap_or_default()
}

fn second_word(line: &str) -> Result<String> {
    Ok(line.split_whitespace().nth(1).with_context(|| format!("no version in `{line}`"))?.to_owned())
}

/// One line for the reader of a table.
pub(super) fn description() -> Result<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.trim().split(['-', '+']).next().unwrap_or_default();
    Ok(format!(
        "{}; Linux {kernel}, Debian {}, glibc {}, gcc {}, rustc {}, nginx {}, valgrind {}",
        processor(),
        fs::read_to_string("/etc/debian_version").unwrap_or_default().trim(),
        libc()?,
        cc()?,
        rustc()?,
        nginx(),
        valgrind()?
    ))
}
