//! What is in the installed package: the right files and symbols, and nothing that ties it to this machine.

use super::installed;
use crate::abi::declared_function;
use crate::project::{Project, VERSION};
use crate::{abi, cargo, process};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

pub(super) fn check(project: &Project) -> Result<()> {
    let prefix = installed::prefix(project);
    files(&prefix)?;
    symbols(project, &prefix)?;
    soname(&prefix)?;
    native_libraries(project, &prefix)?;
    no_build_paths(project, &prefix)
}

fn files(prefix: &Path) -> Result<()> {
    let mut found = BTreeSet::new();
    list(prefix, prefix, &mut found)?;
    let shared = format!("lib/libiotda.so.{VERSION}");
    let expected = [
        "include/iotda.h",
        "include/iotda.hpp",
        "lib/cmake/iotda/iotdaConfig.cmake",
        "lib/cmake/iotda/iotdaConfigVersion.cmake",
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
    ];
    let expected: BTreeSet<String> = expected.into_iter().map(String::from).collect();
    ensure!(found == expected, "the package holds {found:#?}\nand should hold {expected:#?}");
    Ok(())
}

fn list(root: &Path, dir: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            list(root, &path, found)?;
        } else {
            found.insert(path.strip_prefix(root)?.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// The functions that the header declares are those that the libraries have, without the tests' own.
fn symbols(project: &Project, prefix: &Path) -> Result<()> {
    let header = fs::read_to_string(project.path("include/iotda.h"))?;
    let declared: BTreeSet<String> = header.lines().filter_map(declared_function).map(String::from).collect();
    ensure!(declared.contains("iotda_report_props"), "the header's functions are not found in it");
    for (library, option) in [("libiotda.a", "--extern-only"), ("libiotda.so", "--dynamic")] {
        let path = prefix.join("lib").join(library);
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

/// The binary interface is the one that was promised.
pub(super) fn interface(project: &Project) -> Result<()> {
    abi::check(project, &installed::prefix(project).join("lib/libiotda.so"))
}

fn soname(prefix: &Path) -> Result<()> {
    let dynamic = process::output(Command::new("readelf").arg("-d").arg(prefix.join("lib/libiotda.so")))?;
    ensure!(dynamic.contains("SONAME") && dynamic.contains("[libiotda.so.1]"), "no SONAME libiotda.so.1:\n{dynamic}");
    Ok(())
}

/// What a program links beside the archive is what rustc says, but for libgcc_s: every compiler links an unwinder
/// by itself, and another one with -static.
fn native_libraries(project: &Project, prefix: &Path) -> Result<()> {
    let mut ask = project.cargo("rustc");
    ask.args(["--locked", "--package", "libiotda", "--lib", "--crate-type", "staticlib", "--quiet"]);
    ask.args(["--message-format", "json", "--", "--print", "native-static-libs"]);
    let mut named = BTreeSet::new();
    cargo::messages(&mut ask, |message| {
        let text = message["message"]["message"].as_str().unwrap_or_default();
        if let Some(list) = text.strip_prefix("native-static-libs:") {
            named.extend(list.split_whitespace().filter(|library| *library != "-lgcc_s").map(String::from));
        }
    })?;
    let pc = fs::read_to_string(prefix.join("lib/pkgconfig/iotda.pc"))?;
    let line = pc.lines().find_map(|line| line.strip_prefix("Libs.private: "));
    let packaged = line.context("iotda.pc has no Libs.private")?;
    let listed: BTreeSet<String> = packaged.split(' ').map(String::from).collect();
    ensure!(listed == named, "cmake/modules/target.cmake lists {listed:?}, and rustc says {named:?}");
    let targets = fs::read_to_string(prefix.join("lib/cmake/iotda/iotda-static.cmake"))?;
    ensure!(targets.contains(&packaged.replace(' ', ";")), "the CMake package lacks {packaged}");
    Ok(())
}

/// Nothing names a directory of the build: such a package breaks elsewhere, or tells about its maker.
pub(super) fn no_build_paths(project: &Project, prefix: &Path) -> Result<()> {
    let mut paths =
        vec![project.root().to_owned(), project.path("crates"), project.target().to_owned(), prefix.to_owned()];
    paths.extend(["CARGO_HOME", "HOME"].iter().filter_map(env::var_os).map(Into::into));
    let sysroot = process::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    // The system's own directory for everything, where distributions put Rust, is no path of a build.
    paths.extend((sysroot.trim() != "/usr").then(|| sysroot.trim().into()));
    let mut found = BTreeSet::new();
    list(prefix, prefix, &mut found)?;
    for file in &found {
        let bytes = fs::read(prefix.join(file))?;
        for path in &paths {
            if holds(&bytes, path) {
                bail!("{file} holds the path {}", path.display());
            }
        }
    }
    Ok(())
}

/// Whether the path is among the bytes, and not as a part of a longer name. What is before it does not tell, because the
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

#[cfg(test)]
mod tests {
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
