//! What is in the installed package: the right files and symbols, and nothing that ties it to this machine. Also that each
//! file of the repository which names its version names the same.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::{
    OWN_STD, Package, VERSION, cargo, cpp_headers, declared_function, own_std_is_missing, path, process, read, target,
};

#[test]
fn files() -> Result<()> {
    let files = Package::shipped()?.files()?;
    let found: BTreeSet<String> = files.keys().map(|path| path.to_string_lossy().into_owned()).collect();
    let shared = format!("lib/libiotda.so.{VERSION}");
    let expected = [
        "include/iotda.h",
        "lib/cmake/iotda/iotdaConfig.cmake",
        "lib/cmake/iotda/iotdaConfigVersion.cmake",
        "lib/cmake/iotda/iotda-gc-sections.cmake",
        "lib/cmake/iotda/iotda-shared-release.cmake",
        "lib/cmake/iotda/iotda-shared.cmake",
        "lib/cmake/iotda/iotda-static-release.cmake",
        "lib/cmake/iotda/iotda-static.cmake",
        "lib/libiotda.a",
        "lib/libiotda.so",
        "lib/libiotda.so.1",
        &shared,
        "lib/pkgconfig/iotda-static.pc",
        "lib/pkgconfig/iotda.pc",
        "share/doc/libiotda/LICENSE-APACHE",
        "share/doc/libiotda/LICENSE-MIT",
        "share/doc/libiotda/THIRD-PARTY.txt",
        "share/iotda/iotda.supp",
    ];
    let mut expected: BTreeSet<String> = expected.into_iter().map(String::from).collect();
    expected.extend(cpp_headers()?);
    ensure!(found == expected, "the package holds {found:#?}\nand should hold {expected:#?}");
    Ok(())
}

/// The functions that the header declares are those that the libraries have, without the tests' own.
#[test]
fn symbols() -> Result<()> {
    let header = read("include/iotda.h")?;
    let declared: BTreeSet<String> = header.lines().filter_map(declared_function).map(String::from).collect();
    ensure!(declared.contains("iotda_report_props"), "the header's functions are not found in it");
    for (library, option) in [("libiotda.a", "--extern-only"), ("libiotda.so", "--dynamic")] {
        let path = Package::shipped()?.file("lib").join(library);
        let listing =
            process::output(Command::new("nm").args(["--defined-only", "--format=posix", option]).arg(&path))?;
        // An archive's listing begins with the name of its member, "libiotda.a[iotda.o]:".
        let symbols = listing.lines().filter(|line| !line.is_empty() && !line.ends_with("]:"));
        let names = symbols.filter_map(|line| line.split(' ').next());
        // The version script's own symbol is "IOTDA_1", which a function cannot be called.
        let exported: BTreeSet<String> =
            names.filter(|name| *name != "IOTDA_1").map(|name| name.replace("@@IOTDA_1", "")).collect();
        ensure!(
            exported == declared,
            "{library} does not hold just what the header declares: {:?}",
            exported.symmetric_difference(&declared).collect::<Vec<_>>()
        );
    }
    Ok(())
}

/// What a release changes by hand. A version that a test looks for in vain may have been put in another way.
#[test]
fn each_file_names_the_version() -> Result<()> {
    let mut wrong = Vec::new();
    for (document, before, count) in [
        ("Cargo.toml", "\nversion = \"", 1),
        ("Cargo.toml", ", version = \"", 3),
        ("README.md", "libiotda/", 1),
        ("README.md", "/download/v", 1),
        ("README.md", "libiotda-", 1),
        ("README.zh-CN.md", "libiotda/", 1),
        ("README.zh-CN.md", "/download/v", 1),
        ("README.zh-CN.md", "libiotda-", 1),
        ("crates/libiotda/tests/docs/source_tree/CMakeLists.txt", "/download/v", 1),
        ("crates/libiotda/tests/docs/source_tree/CMakeLists.txt", "libiotda-", 1),
        ("examples/rust/Cargo.toml", "iotda = { version = \"", 1),
        ("examples/rust/Cargo.toml", "iotda = \"", 1),
    ] {
        let text = read(document)?;
        let versions = text.split(before).skip(1).map(|rest| {
            rest.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default().trim_end_matches('.')
        });
        // Not "libiotda/tests".
        let versions: Vec<&str> = versions.filter(|version| !version.is_empty()).collect();
        if versions != vec![VERSION; count] {
            wrong.push(format!("{document} names {versions:?} after {before:?}"));
        }
    }
    ensure!(wrong.is_empty(), "this is {VERSION}, but\n{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn soname() -> Result<()> {
    let library = Package::shipped()?.file("lib/libiotda.so");
    let dynamic = process::output(Command::new("readelf").arg("-d").arg(library))?;
    ensure!(dynamic.contains("SONAME") && dynamic.contains("[libiotda.so.1]"), "no SONAME libiotda.so.1:\n{dynamic}");
    Ok(())
}

/// What a program links beside the archive is what rustc says, but for libgcc_s: every compiler links an unwinder
/// by itself, and another one with -static.
#[test]
fn native_libraries() -> Result<()> {
    let mut ask = cargo("rustc");
    ask.args(["--locked", "--package", "libiotda", "--lib", "--crate-type", "staticlib", "--quiet"]);
    ask.args(["--message-format", "json", "--", "--print", "native-static-libs"]);
    let mut named = BTreeSet::new();
    for line in process::output(&mut ask)?.lines() {
        let message: Value = serde_json::from_str(line)?;
        let text = message["message"]["message"].as_str().unwrap_or_default();
        if let Some(list) = text.strip_prefix("native-static-libs:") {
            named.extend(list.split_whitespace().filter(|library| *library != "-lgcc_s").map(String::from));
        }
    }
    let package = Package::shipped()?;
    let text = |file: &str| {
        let path = package.file(file);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let pc = text("lib/pkgconfig/iotda.pc")?;
    let line = pc.lines().find_map(|line| line.strip_prefix("Libs.private: "));
    let packaged = line.context("iotda.pc has no Libs.private")?;
    let listed: BTreeSet<String> = packaged.split(' ').map(String::from).collect();
    ensure!(listed == named, "cmake/modules/target.cmake lists {listed:?}, and rustc says {named:?}");
    let targets = text("lib/cmake/iotda/iotda-static.cmake")?;
    ensure!(targets.contains(&packaged.replace(' ', ";")), "the CMake package lacks {packaged}");
    Ok(())
}

/// Nothing names a directory of the build: such a package breaks elsewhere, or discloses where it was made.
#[test]
fn no_build_paths() -> Result<()> {
    names_no_build_path(&Package::shipped()?)
}

/// Rust's own library, built from its source, has other paths.
#[test]
fn no_build_paths_in_an_own_std() -> Result<()> {
    if own_std_is_missing() {
        return Ok(());
    }
    names_no_build_path(&Package::with(OWN_STD)?)
}

fn names_no_build_path(package: &Package) -> Result<()> {
    let mut paths = vec![path(""), path("crates"), target(), package.prefix.clone()];
    paths.extend(["CARGO_HOME", "HOME"].iter().filter_map(env::var_os).map(PathBuf::from));
    let sysroot = process::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    // The system's own directory for everything, where distributions put Rust, is no path of a build.
    paths.extend((sysroot.trim() != "/usr").then(|| sysroot.trim().into()));
    for (file, bytes) in package.files()? {
        for path in &paths {
            if holds(&bytes, path) {
                bail!("{} holds the path {}", file.display(), path.display());
            }
        }
    }
    Ok(())
}

/// Whether the path is among the bytes, and not as a part of a longer name. What is before it says nothing, because the
/// texts of a library follow each other without a gap; but `/src` after a name is in the middle of another path.
fn holds(bytes: &[u8], path: &Path) -> bool {
    let is_of_a_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let is_short = path.components().count() <= 2; // the root directory is one
    let path = path.as_os_str().as_encoded_bytes();
    path.len() > 1
        && bytes.windows(path.len()).enumerate().any(|(at, window)| {
            window == path
                && !bytes.get(at + path.len()).is_some_and(is_of_a_name)
                && !(is_short && at > 0 && is_of_a_name(&bytes[at - 1]))
        })
}

mod holds {
    use super::*;

    #[test]
    fn a_path_is_found_and_not_taken_for_another() {
        let long = Path::new("/home/a/iotda");
        assert!(holds(b"x/home/a/iotda/crates/iotda/src/lib.rs", long));
        assert!(holds(b"the end./home/a/iotda", long));
        assert!(!holds(b"/home/a/iotda2/crates", long));
        let short = Path::new("/src");
        assert!(holds(b"\0/src\0", short));
        assert!(!holds(b"rustls-0.23.1/src/lib.rs", short));
        assert!(!holds(b"/srcs", short));
        assert!(!holds(b"/a/b", Path::new("/")));
    }
}
