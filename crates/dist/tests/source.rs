//! The source archive: what is in it, and that a project builds it by FetchContent where there is no registry.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail, ensure};
use iotda_platform::ReportKind;
use made::{Files, made, made_again};
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::program::is_linked;
use testkit::{Stand, cargo, copy_files, forget_this_crate, path, process, read, scratch};

mod made;

const NAME: &str = concat!("libiotda-", env!("CARGO_PKG_VERSION"));

/// The archive of a making.
fn archive(files: &Files) -> Result<&PathBuf> {
    files.get(&format!("{NAME}.tar.gz")).with_context(|| format!("other files: {:?}", files.keys()))
}

/// Whoever makes it, and whenever: the same bytes, in which nobody and no other time is named.
#[test]
fn same_source_gives_same_bytes() -> Result<()> {
    let (one, other) = (made("source")?, made_again("source")?);
    let one = archive(&one)?;
    ensure!(fs::read(one)? == fs::read(archive(&other)?)?, "two archives of the same source differ");
    let mut list = Command::new("tar");
    list.env("TZ", "UTC").args(["--utc", "--full-time", "--numeric-owner", "-tvzf"]).arg(one);
    let listed = process::output(&mut list)?;
    let mut names = Vec::new();
    for line in listed.lines() {
        // "-rw-r--r-- 0/0  123 2023-11-14 22:13:20 libiotda-0.1.0/Cargo.toml"
        let words: Vec<&str> = line.split_whitespace().collect();
        let [rights, owner, _, date, time, name] = words[..] else { bail!("another kind of entry: {line}") };
        let is_plain = ["-rw-r--r--", "-rwxr-xr-x", "drwxr-xr-x"].contains(&rights);
        ensure!(is_plain && owner == "0/0" && (date, time) == ("2023-11-14", "22:13:20"), "{line}");
        names.push(name);
    }
    ensure!(names.is_sorted_by_key(|name| name.trim_end_matches('/').split('/').collect::<Vec<_>>()), "not sorted");
    // All of the repository, and what cargo is to know of the crates.
    let names: BTreeSet<&str> = names.into_iter().collect();
    for file in
        ["README.md", "cmake/CMakeLists.txt", "include/iotda.h", "crates/iotda/src/lib.rs", "examples/c/gateway.c"]
    {
        ensure!(names.contains(&*format!("{NAME}/{file}")), "the archive lacks {file}");
    }
    let untracked = ["target", ".git", "work"].map(|dir| format!("{NAME}/{dir}/"));
    ensure!(untracked.iter().all(|dir| !names.contains(&**dir)), "the archive holds what is not of the repository");
    Ok(())
}

/// README.md's project, outside of the repository, with the archive's address. cargo has nothing downloaded.
#[test]
fn fetch_content_builds_it_without_a_registry() -> Result<()> {
    let made = made("source")?;
    let archive = archive(&made)?;
    let source = scratch()?.join("project");
    copy_files("crates/libiotda/tests/docs/source_tree", &source)?;
    copy_files("examples/c", &source.join("examples"))?;
    fs::rename(source.join("examples/host_monitor.c"), source.join("host_monitor.c"))?;
    let text = fs::read_to_string(source.join("CMakeLists.txt"))?;
    let url =
        format!("https://github.com/libiotda/libiotda/releases/download/v{}/{NAME}.tar.gz", env!("CARGO_PKG_VERSION"));
    ensure!(text.contains(&url), "README.md names another archive");
    fs::write(source.join("CMakeLists.txt"), text.replace(&url, &format!("file://{}", archive.display())))?;

    let build = source.join("build");
    let home = scratch()?.join("empty-cargo-home");
    fs::create_dir(&home)?;
    // Where cargo is, HOME is: rustup finds the toolchain by it.
    let mut configure = without_registry(Command::new("cmake"), &home);
    configure.arg("-S").arg(&source).arg("-B").arg(&build).args(["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug"]);
    process::output(configure.arg(format!("-DIOTDA_CARGO={}", program_of(&cargo("build")).display())))?;
    process::output(without_registry(Command::new("cmake"), &home).arg("--build").arg(&build))?;
    ensure!(!home.join("registry/cache").exists(), "cargo has downloaded crates");

    let program = build.join("host_monitor");
    is_linked(&program, "static")?;
    let stand = Stand::start()?;
    let mut monitor = Command::new(&program);
    stand.configure(&mut monitor);
    process::output_in_time(&mut monitor)?;
    let reports = stand.platform.reports();
    for kind in [ReportKind::Message, ReportKind::Properties, ReportKind::Batch] {
        ensure!(reports.iter().any(|report| report.kind == kind), "no {kind:?} arrived: {reports:?}");
    }
    Ok(())
}

/// A command in whose environment cargo has an empty home and may not use the network.
fn without_registry(mut command: Command, home: &Path) -> Command {
    forget_this_crate(&mut command);
    for (name, _) in env::vars_os() {
        // A registry or a target directory that this machine's cargo is to use.
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_")) {
            command.env_remove(name);
        }
    }
    command.env("CARGO_HOME", home).env("CARGO_NET_OFFLINE", "true");
    command
}

fn program_of(command: &Command) -> PathBuf {
    command.get_program().into()
}

/// Without git, and without a time to give the files, it says what to set.
#[test]
fn a_time_is_needed() -> Result<()> {
    let mut dist = Command::new(env!("CARGO_BIN_EXE_dist"));
    dist.env("SOURCE_DATE_EPOCH", "yesterday").args(["source", "--out"]).arg(scratch()?);
    match process::output(&mut dist) {
        Ok(_) => bail!("it takes \"yesterday\" for a time"),
        Err(error) => {
            let text = error.to_string();
            ensure!(text.contains("SOURCE_DATE_EPOCH is \"yesterday\""), "{text}");
            Ok(())
        }
    }
}

#[test]
fn an_unknown_kind_is_refused() -> Result<()> {
    let mut dist = Command::new(env!("CARGO_BIN_EXE_dist"));
    let error = process::output(dist.args(["sauce", "--out"]).arg(scratch()?)).err().context("it takes any kind")?;
    ensure!(error.to_string().contains("there is no kind \"sauce\""), "{error}");
    Ok(())
}

/// Build directories below examples and elsewhere, which README.md's commands make, are not taken for sources.
#[test]
fn build_directories_are_ignored() -> Result<()> {
    let ignored = read(".gitignore")?;
    ensure!(ignored.lines().any(|line| line == "build/"), "{ignored}");
    let mut check = Command::new("git");
    let files = ["build/CMakeCache.txt", "examples/c/build/x.o"];
    process::output(check.current_dir(path("")).args(["check-ignore", "--no-index"]).args(files)).map(drop)
}
