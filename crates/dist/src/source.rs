//! The source archive: the files of the repository, and below vendor/ the crates that they need, of which cargo's
//! configuration in it knows. Crates for other systems than Linux are there by name, because the lock file has them, and
//! are empty.

use crate::archive;
use crate::project::{Project, VERSION};
use anyhow::{Context, Result, ensure};
use devkit::checkout;
use devkit::process::output;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What cargo is to know beside the repository's own configuration.
const VENDORED: &str = "
# The crates come from this archive, not from a registry.
[source.crates-io]
replace-with = \"vendored-sources\"

[source.vendored-sources]
directory = \"vendor\"
";

/// The processors and C libraries that it can be built for. They differ in hardly a crate.
const TARGETS: &[&str] = &[
    "x86_64-unknown-linux-gnu",
    "x86_64-unknown-linux-musl",
    "i686-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "aarch64-unknown-linux-musl",
    "armv7-unknown-linux-gnueabihf",
    "armv7-unknown-linux-musleabihf",
    "armv5te-unknown-linux-gnueabi",
    "riscv64gc-unknown-linux-gnu",
    "riscv64gc-unknown-linux-musl",
];

/// Makes the archive.
pub(crate) fn make(project: &Project) -> Result<Vec<PathBuf>> {
    let name = format!("libiotda-{VERSION}");
    let work = project.work("source")?;
    let root = work.join(&name);
    for file in project.files()? {
        let to = root.join(&file);
        fs::create_dir_all(to.parent().context("a file is in a directory")?)?;
        fs::copy(project.path(&file), &to).with_context(|| format!("cannot copy {file}"))?;
    }
    vendor(&root)?;
    let archive = project.out(&format!("{name}.tar.gz"));
    archive::pack(&root, &project.epoch, &archive)?;
    Ok(vec![archive])
}

/// Adds the crates to a copy of the repository.
fn vendor(root: &Path) -> Result<()> {
    let needed = needed(root)?;
    let vendor = root.join("vendor");
    output(cargo(root).args(["vendor", "--quiet", "--locked", "--versioned-dirs"]).arg(&vendor))?;
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(&vendor)? {
        let dir = entry?.path();
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !needed.contains(&name) {
            empty(&dir).with_context(|| format!("cannot empty {}", dir.display()))?;
        }
        found.insert(name);
    }
    let missing: Vec<_> = needed.difference(&found).collect();
    ensure!(missing.is_empty(), "cargo vendor leaves out what is needed: {missing:?}");
    let config = root.join(".cargo/config.toml");
    let text = fs::read_to_string(&config).with_context(|| format!("cannot read {}", config.display()))?;
    fs::write(&config, text + VENDORED)?;
    Ok(())
}

/// The directories of the crates that are used on Linux: "ring-0.17.14".
fn needed(root: &Path) -> Result<BTreeSet<String>> {
    let mut metadata = cargo(root);
    metadata.args(["metadata", "--quiet", "--locked", "--all-features", "--format-version=1"]);
    metadata.args(TARGETS.iter().flat_map(|target| ["--filter-platform", target]));
    let metadata: Value = serde_json::from_str(&output(&mut metadata)?)?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let used: BTreeSet<String> =
        list(&metadata["resolve"]["nodes"]).iter().filter_map(|node| Some(node["id"].as_str()?.to_owned())).collect();
    // The workspace's own come from no source.
    let packages = list(&metadata["packages"]).into_iter().filter(|package| !package["source"].is_null());
    let used = packages.filter(|package| package["id"].as_str().is_some_and(|id| used.contains(id)));
    let names = used.map(|package| Some(format!("{}-{}", package["name"].as_str()?, package["version"].as_str()?)));
    names.collect::<Option<_>>().context("cargo metadata describes a package without name or version")
}

/// cargo, at work in the copy. The environment may name the repository's own directories.
fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new(checkout::cargo_program());
    cargo.current_dir(root).env_remove("CARGO_TARGET_DIR");
    cargo
}

/// Leaves of a crate its manifest, with a library that is empty. The checksum of the whole, by which the lock file knows
/// it, stays; those of its files go.
fn empty(dir: &Path) -> Result<()> {
    let checksums = fs::read_to_string(dir.join(".cargo-checksum.json"))?;
    let (_, package) = checksums.rsplit_once("\"package\":").context("no checksum of the package")?;
    let manifest = fs::read_to_string(dir.join("Cargo.toml"))?;
    fs::remove_dir_all(dir)?;
    fs::create_dir_all(dir.join("src"))?;
    fs::write(dir.join("Cargo.toml"), without_files(&manifest))?;
    fs::write(dir.join("src/lib.rs"), "// This crate is not for Linux.\n")?;
    fs::write(dir.join(".cargo-checksum.json"), format!("{{\"files\":{{}},\"package\":{package}"))?;
    Ok(())
}

/// A manifest without the lines that name files which are no longer there. cargo has written it: a line for each key.
fn without_files(manifest: &str) -> String {
    let mut text = String::new();
    let mut of_files = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            let table = line.trim_matches(['[', ']']);
            of_files = ["lib", "bin", "example", "test", "bench"].contains(&table);
        }
        let names_a_file =
            ["build = ", "autolib = ", "readme = ", "license-file = "].iter().any(|key| line.starts_with(key));
        if !of_files && !names_a_file {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_without_its_files_names_none() {
        let manifest = "[package]\nname = \"a\"\nbuild = \"build.rs\"\nautolib = false\n\n[features]\nb = []\n\n[lib]\nname = \"a\"\n\
                        path = \"src/lib.rs\"\n\n[[test]]\nname = \"c\"\n\n[dependencies.d]\nversion = \"1\"\n";
        let expected = "[package]\nname = \"a\"\n\n[features]\nb = []\n\n[dependencies.d]\nversion = \"1\"\n";
        assert_eq!(without_files(manifest), expected);
    }
}
