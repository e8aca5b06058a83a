//! What can be said of the sources alone: format, lints, documentation, the Rust tests, the C header.

use crate::abi::declared_function;
use crate::project::Project;
use crate::{header, process};
use anyhow::{Context, Result, ensure};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) fn rust_format(project: &Project) -> Result<()> {
    process::run(project.cargo("fmt").args(["--all", "--check"])).context("run: cargo fmt --all")
}

pub(super) fn c_format(project: &Project) -> Result<()> {
    // include/iotda.h is left out: it is generated.
    let mut files = vec![project.path("include/iotda.hpp")];
    for dir in ["examples", "crates/libiotda/tests", "cmake"] {
        c_sources(&project.path(dir), &mut files)?;
    }
    let mut check = Command::new("clang-format");
    check.current_dir(project.root()).args(["--dry-run", "-Werror"]).args(&files);
    process::run(&mut check).context("run clang-format -i on these files")
}

/// The C and C++ files in a directory and those in it.
fn c_sources(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            c_sources(&path, files)?;
        } else if matches!(extension, Some("c" | "h" | "cpp" | "hpp")) {
            files.push(path);
        }
    }
    Ok(())
}

pub(super) fn header(project: &Project) -> Result<()> {
    header::check(project)
}

pub(super) fn headers_compile(project: &Project) -> Result<()> {
    let dir = project.empty_dir("check/header")?;
    const C: &str = "#include \"iotda.h\"\niotda_call_t call = IOTDA_CALL_INIT;\n";
    const CPP: &str = "#include \"iotda.hpp\"\niotda::Client client;\n";
    for (compiler, language, standard, text) in [
        ("cc", "c", "c99", C),
        ("cc", "c", "c11", C),
        ("c++", "c++", "c++17", C),
        ("c++", "c++", "c++20", C),
        ("c++", "c++", "c++17", CPP),
        ("c++", "c++", "c++20", CPP),
    ] {
        let source = dir.join("alone");
        fs::write(&source, text)?;
        let mut compile = Command::new(compiler);
        compile.args(["-fsyntax-only", "-x", language, &format!("-std={standard}")]);
        compile.args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"]).arg(project.path("include"));
        process::output(compile.arg(&source))?;
    }
    Ok(())
}

/// include/iotda.hpp calls every function of include/iotda.h, and has a name for every constant.
pub(super) fn cpp_header_is_complete(project: &Project) -> Result<()> {
    let read = |path: &str| fs::read_to_string(project.path(path)).with_context(|| format!("cannot read {path}"));
    let (c, cpp) = (read("include/iotda.h")?, read("include/iotda.hpp")?);
    let used: HashSet<&str> = cpp.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let functions = c.lines().filter_map(declared_function);
    let constants = c.lines().filter_map(|line| line.strip_prefix("#define ")?.split([' ', '(']).next());
    let lacking: Vec<&str> =
        functions.chain(constants.filter(|name| *name != "IOTDA_H")).filter(|name| !used.contains(name)).collect();
    ensure!(lacking.is_empty(), "include/iotda.hpp lacks what include/iotda.h has: {lacking:?}");
    Ok(())
}

/// The README names nothing that the headers do not have, and refers to no file that is not there. Its programs and
/// commands are tried out by `snippets`.
pub(super) fn readme(project: &Project) -> Result<()> {
    let read = |path: &str| fs::read_to_string(project.path(path)).with_context(|| format!("cannot read {path}"));
    let readme = read("README.md")?;
    let headers = read("include/iotda.h")? + &read("include/iotda.hpp")?;
    let unknown: Vec<&str> = names(&readme).filter(|name| !headers.contains(name)).collect();
    ensure!(unknown.is_empty(), "README.md names what the headers do not have: {unknown:?}");
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let files = links.map(|(link, _)| link).filter(|link| !link.contains("://") && !link.starts_with('#'));
    let missing: Vec<&str> = files.filter(|file| !project.path(file).exists()).collect();
    ensure!(missing.is_empty(), "README.md refers to what is not there: {missing:?}");
    Ok(())
}

/// The words of a text that look like names of the C API.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("iotda_") || word.starts_with("IOTDA_E_"))
}

pub(super) fn clippy(project: &Project) -> Result<()> {
    let mut clippy = project.cargo("clippy");
    process::run(clippy.args(["--locked", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))
}

pub(super) fn documentation(project: &Project) -> Result<()> {
    let mut doc = project.cargo("doc");
    doc.args(["--locked", "--workspace", "--no-deps", "--document-private-items", "--quiet"]);
    process::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

pub(super) fn rust_tests(project: &Project) -> Result<()> {
    process::run(project.cargo("test").args(["--locked", "--workspace"]))
}
