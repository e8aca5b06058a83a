//! The packages: Debian's, by its own judge of packages, and that the same build gives the same bytes. They are installed on
//! a bare Debian by `cargo xtask debian`.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, ensure};
use made::{Files, made, made_again};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use testkit::{Tool, VERSION, declared_function, is_missing, process, read, scratch};

mod made;

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

/// The files of a kind, of which a second making has given the same bytes.
fn the_same_twice(kind: &str) -> Result<Files> {
    let (one, other) = (made(kind)?, made_again(kind)?);
    ensure!(one.keys().eq(other.keys()), "other files the second time: {:?}", other.keys());
    for (name, path) in &one {
        ensure!(fs::read(path)? == fs::read(&other[name])?, "two builds of {name} differ");
    }
    Ok(one)
}

#[test]
fn same_build_gives_same_bytes() -> Result<()> {
    if dpkg_is_missing() {
        return Ok(());
    }
    let packages = the_same_twice("packages")?;
    let architecture = architecture()?;
    let debs = ["libiotda1", "libiotda-dev"].map(|name| format!("{name}_{VERSION}_{architecture}.deb"));
    ensure!(debs.iter().all(|deb| packages.contains_key(deb)), "other files: {:?}", packages.keys());
    ensure!(packages.len() == 3, "other files: {:?}", packages.keys());
    Ok(())
}

/// lintian, for which errors and warnings are failures.
fn lintian() -> Command {
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--no-cfg", "--fail-on", "error,warning", "--tag-display-limit", "0"]);
    lintian
}

/// lintian finds nothing that Debian would call an error or worth a warning.
#[test]
fn lintian_is_content() -> Result<()> {
    if dpkg_is_missing() || is_missing(Tool::Program("lintian", "lintian")) {
        return Ok(());
    }
    let files = [made("packages")?, made("tools")?].into_iter().flatten();
    let debs: Vec<_> = files.filter(|(name, _)| name.ends_with(".deb")).map(|(_, path)| path).collect();
    ensure!(debs.len() == 3, "other packages: {debs:?}");
    process::output(lintian().args(&debs))?;
    // It looks at them: a package whose maintainer has no address is found.
    let wrong = scratch()?.join("wrong");
    fs::create_dir_all(wrong.join("DEBIAN"))?;
    fs::write(wrong.join("DEBIAN/control"), WITHOUT_MUCH)?;
    let bad = scratch()?.join("wrong.deb");
    process::output(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&wrong).arg(&bad))?;
    let found = process::output(lintian().arg(&bad));
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
    let made = made("packages")?;
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

/// The command, with what it prints and its pages; the same files twice.
#[test]
fn tools() -> Result<()> {
    if dpkg_is_missing() {
        return Ok(());
    }
    let tools = the_same_twice("tools")?;
    let deb = format!("iotda-tools_{VERSION}_{}.deb", architecture()?);
    ensure!(tools.len() == 2 && tools.contains_key(&deb), "other files: {:?}", tools.keys());
    let root = scratch()?.join("root");
    process::output(Command::new("dpkg-deb").arg("--extract").arg(&tools[&deb]).arg(&root))?;
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
    ensure!(field(&tools[&deb], "Depends")?.contains("libc6 (>= "), "it depends on no libc6");
    Ok(())
}
