//! The packages: Debian's, by its own judge of packages, and that the same build gives the same bytes. They are installed on
//! a bare Debian by `cargo xtask debian`.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::{Lock, Tool, VERSION, declared_function, forget_this_crate, is_missing, process, read, scratch, target};

/// Makes the packages in a directory of their own, and returns them by their names.
fn packages(name: &str, umask: &str) -> Result<BTreeMap<String, PathBuf>> {
    hand_out("packages", name, umask)
}

/// The same for any kind of hand-out.
fn hand_out(kind: &str, name: &str, umask: &str) -> Result<BTreeMap<String, PathBuf>> {
    // CMake's build directory is that of `cargo xtask dist`, for one at a time.
    let _lock = Lock::take(&target().join("test/dist.lock"))?;
    let out = scratch()?.join(name);
    let mut dist = Command::new("sh");
    dist.args(["-c", "umask $0 && exec \"$@\"", umask, env!("CARGO_BIN_EXE_dist"), "--out"]).arg(&out).arg(kind);
    forget_this_crate(&mut dist);
    process::output(dist.env("SOURCE_DATE_EPOCH", "1700000000"))?;
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(&out)? {
        let path = entry?.path();
        found.insert(path.file_name().unwrap_or_default().to_string_lossy().into_owned(), path);
    }
    Ok(found)
}

/// Whether dpkg's tools are missing. If so, says that the running test is skipped.
fn dpkg_is_missing() -> bool {
    is_missing(Tool::Program("dpkg-gensymbols", "dpkg-dev"))
}

fn architecture() -> Result<String> {
    Ok(process::output(Command::new("dpkg").arg("--print-architecture"))?.trim().to_owned())
}

fn field(package: &Path, name: &str) -> Result<String> {
    Ok(process::output(Command::new("dpkg-deb").arg("--field").arg(package).arg(name))?.trim().to_owned())
}

#[test]
fn same_build_gives_same_bytes() -> Result<()> {
    if dpkg_is_missing() {
        return Ok(());
    }
    let (one, other) = (packages("one", "022")?, packages("other", "077")?);
    let architecture = architecture()?;
    let debs = ["libiotda1", "libiotda-dev"].map(|name| format!("{name}_{VERSION}_{architecture}.deb"));
    ensure!(debs.iter().all(|deb| one.contains_key(deb)) && one.len() == 3, "other files: {:?}", one.keys());
    ensure!(one.keys().eq(other.keys()), "other files the second time: {:?}", other.keys());
    for (name, path) in &one {
        ensure!(fs::read(path)? == fs::read(&other[name])?, "two builds of {name} differ");
    }
    Ok(())
}

/// lintian finds nothing that Debian would call an error or worth a warning.
#[test]
fn lintian_is_content() -> Result<()> {
    if dpkg_is_missing() || is_missing(Tool::Program("lintian", "lintian")) {
        return Ok(());
    }
    let debs = packages("out", "022")?.into_values().filter(|path| path.extension().is_some_and(|end| end == "deb"));
    let debs: Vec<PathBuf> = debs.collect();
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--no-cfg", "--fail-on", "error,warning", "--tag-display-limit", "0"]).args(&debs);
    process::output(&mut lintian)?;
    // It looks at them: a package with a wrong rights is found.
    let wrong = scratch()?.join("wrong");
    process::output(Command::new("dpkg-deb").arg("--raw-extract").arg(&debs[0]).arg(&wrong))?;
    fs::remove_file(wrong.join("DEBIAN/control"))
        .and_then(|()| fs::write(wrong.join("DEBIAN/control"), WITHOUT_MUCH))?;
    let bad = scratch()?.join("wrong.deb");
    process::output(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&wrong).arg(&bad))?;
    let mut lintian = Command::new("lintian");
    let found = process::output(lintian.args(["--allow-root", "--no-cfg", "--fail-on", "error,warning"]).arg(&bad));
    ensure!(found.is_err(), "lintian takes a package without a maintainer's address for a good one");
    Ok(())
}

const WITHOUT_MUCH: &str = "Package: libiotda-dev\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: a\n";

/// What dpkg is to know: on what the packages depend, and since which version there is each function.
#[test]
fn metadata() -> Result<()> {
    if dpkg_is_missing() {
        return Ok(());
    }
    let made = packages("out", "022")?;
    let architecture = architecture()?;
    let of = |name: &str| made.get(&format!("{name}_{VERSION}_{architecture}.deb")).context("no such package");
    let (library, dev) = (of("libiotda1")?, of("libiotda-dev")?);
    ensure!(field(library, "Depends")?.contains("libc6 (>= "), "the library depends on no libc6");
    ensure!(field(dev, "Depends")? == format!("libiotda1 (= {VERSION})"), "libiotda-dev takes any libiotda1");
    for package in [library, dev] {
        ensure!(field(package, "Multi-Arch")? == "same" && field(package, "Homepage")?.starts_with("https://"));
        ensure!(field(package, "Description")?.lines().count() > 5, "the description is not extended");
    }
    let info = |name: &str| process::output(Command::new("dpkg-deb").arg("--info").arg(library).arg(name));
    ensure!(info("triggers")?.trim() == "activate-noawait ldconfig", "another trigger");
    ensure!(info("postinst").is_err() && info("postrm").is_err(), "there are maintainer scripts");

    let symbols = info("symbols")?;
    let with_version: BTreeMap<&str, &str> =
        symbols.lines().filter_map(|line| line.strip_prefix(' ')?.split_once("@IOTDA_1 ")).collect();
    let header = read("include/iotda.h")?;
    let declared: BTreeSet<&str> = header.lines().filter_map(declared_function).collect();
    let named: BTreeSet<&str> = with_version.keys().copied().filter(|name| *name != "IOTDA_1").collect();
    ensure!(named == declared, "{:?}", named.symmetric_difference(&declared).collect::<Vec<_>>());
    // No program may need less than it was linked with.
    ensure!(with_version.values().all(|version| *version == VERSION), "{with_version:?}");

    // The files are those of the .tar.gz, but for the documents.
    let unpacked = scratch()?.join("unpacked");
    for package in [library, dev] {
        process::output(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&unpacked))?;
    }
    let multiarch = process::output(Command::new("dpkg-architecture").args(["-qDEB_HOST_MULTIARCH"]))?;
    let archive = made.iter().find(|(name, _)| name.ends_with(".tar.gz")).context("there is no .tar.gz")?.1;
    let listed = process::output(Command::new("tar").arg("-tzf").arg(archive))?;
    let files = listed.lines().filter(|file| !file.ends_with('/')).filter_map(|file| file.split_once('/'));
    let files: Vec<&str> = files.map(|(_, file)| file).filter(|file| !file.starts_with("share/doc")).collect();
    ensure!(files.len() > 10 && files.contains(&"lib/libiotda.a"), "the .tar.gz holds {files:?}");
    for file in files {
        let file = match file.strip_prefix("lib/") {
            Some(rest) => format!("lib/{}/{rest}", multiarch.trim()),
            None => file.to_owned(),
        };
        let found = unpacked.join("usr").join(&file);
        ensure!(found.symlink_metadata().is_ok(), "the packages lack {file}");
    }
    Ok(())
}

/// The command, by Debian's judge, with what it prints and its pages; the same files twice.
#[test]
fn tools() -> Result<()> {
    if dpkg_is_missing() {
        return Ok(());
    }
    let (one, other) = (hand_out("tools", "one", "022")?, hand_out("tools", "other", "077")?);
    let deb = format!("iotda-tools_{VERSION}_{}.deb", architecture()?);
    ensure!(one.len() == 2 && one.contains_key(&deb), "other files: {:?}", one.keys());
    for (name, path) in &one {
        ensure!(fs::read(path)? == fs::read(&other[name])?, "two builds of {name} differ");
    }
    let root = scratch()?.join("root");
    process::output(Command::new("dpkg-deb").arg("--extract").arg(&one[&deb]).arg(&root))?;
    let version = process::output(Command::new(root.join("usr/bin/iotda")).arg("--version"))?;
    ensure!(version.trim() == format!("iotda {VERSION}"), "it says {version}");
    let page = process::output(Command::new("gzip").arg("-dc").arg(root.join("usr/share/man/man1/iotda-stream.1.gz")))?;
    ensure!(page.contains("iotda stream"), "another page: {page}");
    for file in [
        "bash-completion/completions/iotda",
        "zsh/vendor-completions/_iotda",
        "fish/vendor_completions.d/iotda.fish",
        "doc/iotda-tools/copyright",
    ] {
        ensure!(root.join("usr/share").join(file).exists(), "the package lacks {file}");
    }
    let licences = fs::read_to_string(root.join("usr/share/doc/iotda-tools/THIRD-PARTY.txt"))?;
    ensure!(licences.contains("  clap 4") && licences.contains("  hyper 1"), "it lists other crates");
    ensure!(field(&one[&deb], "Depends")?.contains("libc6 (>= "), "it depends on no libc6");
    if !is_missing(Tool::Program("lintian", "lintian")) {
        let mut lintian = Command::new("lintian");
        lintian.args(["--allow-root", "--no-cfg", "--fail-on", "error,warning", "--tag-display-limit", "0"]);
        process::output(lintian.arg(&one[&deb]))?;
    }
    Ok(())
}
