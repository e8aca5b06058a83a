//! libFuzzer on the targets of the crate `fuzz`: one program for all, built with instructions that count what is reached.
//! Any rustc can do that; C++ is compiled for libFuzzer itself.

use crate::Arguments;
use anyhow::{Context, Result, bail, ensure};
use devkit::checkout;
use devkit::process::{self, Unavailable};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const MINUTES: u64 = 5;

/// Kept inputs are for tests, which run them all each time.
const KEPT_MOST: usize = 150;
const KEPT_BYTES_MOST: u64 = 600;

/// What rustc is to do: as cargo-fuzz does it, without a sanitizer, which would need a nightly one. The core has no
/// unsafe code; `cargo xtask sanitize` looks at the boundary.
const COVERAGE: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let all = targets()?;
    let names = if arguments.names.is_empty() { &all } else { &arguments.names };
    if let Some(unknown) = names.iter().find(|name| !all.contains(name)) {
        bail!("there is no target `{unknown}`; there are {}", all.join(", "));
    }
    let program = build()?;
    let seconds = 60 * arguments.number("minutes").unwrap_or(MINUTES);
    let mut findings = Vec::new();
    for name in names {
        println!("{name}: {seconds} s");
        let dir = checkout::target().join("fuzz").join(name);
        if let Err(error) = one(&program, name, &dir, seconds) {
            findings.push(format!("{error:#}"));
        } else if arguments.has("keep") {
            keep(&program, name, &dir)?;
        }
    }
    ensure!(findings.is_empty(), "{}", findings.join("\n"));
    Ok(())
}

/// Their names: each has a file of kept inputs.
fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(kept_dir())? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn kept_dir() -> PathBuf {
    checkout::root().join("crates/campaigns/fuzz/corpus")
}

fn build() -> Result<PathBuf> {
    let compilers = ["c++", "g++", "clang++"];
    if !compilers.iter().any(|compiler| checkout::find(compiler)) {
        bail!(Unavailable("libFuzzer takes a C++ compiler: sudo apt-get install g++".to_owned()));
    }
    let host = checkout::host()?;
    let mut cargo = checkout::cargo("build");
    cargo.current_dir(checkout::root().join("crates/campaigns/fuzz/libfuzzer"));
    // With a target, what runs during the build is built without. Not locked: the crates of this repository change more often
    // than what its lock file is about.
    cargo.args(["--release", "--target", &host]).arg("--target-dir").arg(checkout::target().join("fuzz/build"));
    cargo.env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\x1f"));
    process::run(&mut cargo)?;
    Ok(checkout::target().join("fuzz/build").join(host).join("release/libfuzzer"))
}

/// Runs a target, from the kept inputs and what earlier runs have found.
fn one(program: &Path, name: &str, dir: &Path, seconds: u64) -> Result<()> {
    let (corpus, kept) = (dir.join("corpus"), dir.join("kept"));
    fs::create_dir_all(&corpus)?;
    if kept.exists() {
        fs::remove_dir_all(&kept)?;
    }
    fs::create_dir_all(&kept)?;
    let text = fs::read_to_string(kept_dir().join(format!("{name}.txt")))?;
    for (number, input) in fuzz_kept::read(&text).iter().enumerate() {
        fs::write(kept.join(number.to_string()), input)?;
    }
    let mut libfuzzer = libfuzzer(program, name);
    libfuzzer.arg(format!("-max_total_time={seconds}")).args(["-timeout=60", "-max_len=4096", "-print_final_stats=1"]);
    libfuzzer.arg("-rss_limit_mb=2048").arg(format!("-artifact_prefix={}/", dir.display())).arg(corpus).arg(kept);
    let result = process::run(&mut libfuzzer);
    if result.is_ok() {
        return Ok(());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_file() {
            let shown = fuzz_kept::line(&fs::read(&path)?);
            found.push(format!("{name} fails with {}; as a line of corpus/{name}.txt:\n{shown}", path.display()));
        }
    }
    result.with_context(|| found.join("\n"))
}

/// Puts the inputs that reach something that no smaller one reaches into the file of kept ones.
fn keep(program: &Path, name: &str, dir: &Path) -> Result<()> {
    let merged = dir.join("merged");
    if merged.exists() {
        fs::remove_dir_all(&merged)?;
    }
    fs::create_dir_all(&merged)?;
    let mut merge = libfuzzer(program, name);
    process::run(merge.arg("-merge=1").arg(&merged).arg(dir.join("kept")).arg(dir.join("corpus")))?;
    let file = kept_dir().join(format!("{name}.txt"));
    let before = fs::read_to_string(&file)?;
    let mut lines: Vec<String> = before.lines().map(String::from).collect();
    let mut sized = Vec::new();
    for entry in fs::read_dir(&merged)? {
        let entry = entry?;
        sized.push((entry.metadata()?.len(), entry.path()));
    }
    sized.sort();
    for (_, path) in sized.into_iter().filter(|(size, _)| *size <= KEPT_BYTES_MOST) {
        let line = fuzz_kept::line(&fs::read(path)?);
        if lines.len() < KEPT_MOST && !lines.contains(&line) {
            lines.push(line);
        }
    }
    fs::write(&file, lines.join("\n") + "\n")?;
    println!("{name}: {} inputs are kept", lines.len());
    Ok(())
}

/// A program whose `main` is C++ is ended by SIGPIPE unless that is ignored: a peer may end a connection at any time.
fn libfuzzer(program: &Path, name: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' PIPE; exec \"$@\"", "sh"]).arg(program);
    command.env("IOTDA_FUZZ_TARGET", name).env("RUST_BACKTRACE", "1");
    command
}

/// The form of kept inputs, which the targets' tests read as well.
#[path = "../fuzz/src/kept.rs"]
mod fuzz_kept;
