//! The crates as a registry would have them, and a program that is built from them. Used by the test of the example in
//! Rust.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::{Lock, VERSION, cargo, copy_files, path, process, target};

/// In the order in which they need one another.
const CRATES: [&str; 3] = ["iotda-sys", "iotda-http", "iotda"];
const PROGRAM: &str = "gateway-of-published-crates";

/// Builds a copy of examples/rust, below `work`, from the packaged crates. Everything else is compiled once for all tests.
pub fn gateway(work: &Path) -> Result<PathBuf> {
    let _lock = Lock::take(&target().join("test/published.lock"))?;
    let unpacked = unpacked()?;
    let source = work.join("rust");
    copy_files("examples/rust/src", &source.join("src"))?;
    // As a user has it: with crates of a registry, for which these are put.
    let manifest = fs::read_to_string(path("examples/rust/Cargo.toml"))?;
    let (name, dependency) = ("\"gateway\"", ", path = \"../../crates/iotda\"");
    ensure!(manifest.contains(name) && manifest.contains(dependency), "examples/rust has another manifest");
    let mut manifest = manifest.replace(name, &format!("{PROGRAM:?}")).replace(dependency, "");
    manifest.push_str("\n[workspace]\n\n[patch.crates-io]\n");
    for name in CRATES {
        manifest.push_str(&format!("{name} = {{ path = {:?} }}\n", unpacked.join(format!("{name}-{VERSION}"))));
    }
    fs::write(source.join("Cargo.toml"), manifest)?;
    // The versions that are downloaded already.
    fs::copy(path("Cargo.lock"), source.join("Cargo.lock"))?;
    let mut build = cargo("build");
    build.args(["--quiet", "--offline", "--target-dir"]).arg(target()).current_dir(&source);
    process::output(&mut build)?;
    is_made_of(&source, &unpacked)?;
    let program = work.join(PROGRAM);
    fs::copy(target().join("debug").join(PROGRAM), &program)?;
    Ok(program)
}

/// That cargo took these crates for the program, and not those of the repository.
fn is_made_of(source: &Path, unpacked: &Path) -> Result<()> {
    let mut ask = cargo("metadata");
    ask.args(["--offline", "--locked", "--format-version", "1"]).current_dir(source);
    let metadata: Value = serde_json::from_str(&process::output(&mut ask)?)?;
    let packages = metadata["packages"].as_array().context("cargo names no packages")?;
    for name in CRATES {
        let found: Vec<&str> = packages
            .iter()
            .filter(|package| package["name"] == name)
            .filter_map(|package| package["manifest_path"].as_str())
            .collect();
        let expected = unpacked.join(format!("{name}-{VERSION}")).join("Cargo.toml");
        ensure!(found == [expected.to_string_lossy()], "the program is made of {found:?}");
    }
    Ok(())
}

/// Packages the crates, about which cargo has no warning, and unpacks them.
fn unpacked() -> Result<PathBuf> {
    let mut package = cargo("package");
    if cargo_minor_version()? < 90 {
        // It knows how to package crates that need one another, and does not do it unless asked.
        package.env("RUSTC_BOOTSTRAP", "1").arg("-Zpackage-workspace");
    }
    package.args(["--quiet", "--offline", "--no-verify", "--allow-dirty", "--target-dir"]).arg(target());
    process::silent_in_time(package.args(CRATES.iter().flat_map(|name| ["--package", name])))?;
    let to = target().join("test/published");
    let _ = fs::remove_dir_all(&to);
    fs::create_dir_all(&to)?;
    for name in CRATES {
        let archive = target().join("package").join(format!("{name}-{VERSION}.crate"));
        process::output(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&to))?;
        let unpacked = to.join(format!("{name}-{VERSION}"));
        for file in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            ensure!(unpacked.join(file).is_file(), "{} lacks {file}", archive.display());
        }
        let manifest = fs::read_to_string(unpacked.join("Cargo.toml"))
            .with_context(|| format!("{} lacks its manifest", archive.display()))?;
        ensure!(!manifest.contains("iotda-platform"), "{name} names a crate that is not published");
    }
    Ok(to)
}

/// 85 of "cargo 1.85.1 (…)".
fn cargo_minor_version() -> Result<u32> {
    let version = process::output(&mut cargo("--version"))?;
    let minor = version.split('.').nth(1).and_then(|minor| minor.parse().ok());
    minor.with_context(|| format!("cargo has another version: {version}"))
}
