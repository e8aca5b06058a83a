//! The binary interface: what a program that was linked to libiotda.so.N yesterday relies on today. It is kept in
//! crates/iotda-capi/abi, as libabigail describes it, and compared with the header and with the library.
//! `cargo xtask abi --write` runs the first test here with IOTDA_WRITE set, which then keeps it as it is now.
//!
//! The types come from the header, by a library of empty functions that the C compiler makes of it: that is what
//! programs see, and it does not depend on the version of rustc. The symbols come from the real library.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail, ensure};
use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::{Package, Tool, declared_function, path, process, read, scratch};

const DIR: &str = "crates/iotda-capi/abi";

/// Whether it cannot be compared here. If so, says that the running test is skipped.
fn is_left_out() -> bool {
    if !cfg!(target_arch = "x86_64") {
        testkit::skip("the kept interface is that of x86-64");
        return true;
    }
    testkit::is_missing(Tool::Program("abidiff", "abigail-tools"))
}

#[test]
fn header_is_as_promised() -> Result<()> {
    if is_left_out() {
        return Ok(());
    }
    let current = Current::of_header()?;
    if env::var_os("IOTDA_WRITE").is_some() {
        return write(&current);
    }
    let promised = Promised::read()?;
    if let Some(change) = compare(&promised.description, &current.description)? {
        bail!("{}", change.advice(&promised, &current));
    }
    ensure!(promised.constants == current.constants, "{}", constants_advice(&promised, &current));
    Ok(())
}

#[test]
fn library_is_as_promised() -> Result<()> {
    if is_left_out() {
        return Ok(());
    }
    let library = Package::shipped()?.file("lib/libiotda.so");
    match compare(&Promised::read()?.description, &library)? {
        None => Ok(()),
        Some(change) => bail!("{} does not have the promised interface:\n{}", library.display(), change.report),
    }
}

/// Keeps the interface as it is now. A change that breaks programs is refused, unless the number has moved.
fn write(current: &Current) -> Result<()> {
    if let Ok(promised) = Promised::read() {
        let change = compare(&promised.description, &current.description)?;
        let broken =
            change.as_ref().is_some_and(|change| change.breaks) || lost(&promised.constants, &current.constants);
        if broken && promised.number == current.number {
            let report = change.map_or_else(|| constants_advice(&promised, current), |change| change.report);
            bail!("this breaks programs, so IOTDA_ABI_VERSION and cmake/iotda.map must move first:\n{report}");
        }
    }
    let kept = Promised::paths();
    fs::copy(&current.description, &kept.0).with_context(|| format!("cannot write {}", kept.0.display()))?;
    fs::write(&kept.1, &current.constants).with_context(|| format!("cannot write {}", kept.1.display()))
}

/// What is kept in the repository.
struct Promised {
    description: PathBuf,
    constants: String,
    number: String,
}

impl Promised {
    fn paths() -> (PathBuf, PathBuf) {
        (path(DIR).join("libiotda.abi"), path(DIR).join("constants.txt"))
    }

    fn read() -> Result<Self> {
        let (description, constants) = Self::paths();
        let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
        let text = read(&description)?;
        let number = text.split_once("soname='libiotda.so.").and_then(|(_, rest)| rest.split_once('\''));
        let (number, _) = number.with_context(|| format!("{} names no SONAME", description.display()))?;
        Ok(Self { number: number.to_owned(), constants: read(&constants)?, description })
    }
}

/// What the header says now.
struct Current {
    description: PathBuf,
    constants: String,
    number: String,
}

impl Current {
    fn of_header() -> Result<Self> {
        let dir = scratch()?;
        let header = read("include/iotda.h")?;
        let constants = constants(&header);
        let number = constants.lines().find_map(|line| line.strip_prefix("IOTDA_ABI_VERSION "));
        let number = number.context("include/iotda.h has no IOTDA_ABI_VERSION")?.to_owned();

        let (library, description) = (dir.join("libiotda.so"), dir.join("libiotda.abi"));
        fs::write(dir.join("empty.c"), empty_functions(&header)?)?;
        let mut cc = Command::new("cc");
        // By its name alone: the description holds it.
        cc.current_dir(&dir).arg("empty.c").args(["-g", "-shared", "-fPIC", "-Werror", "-I"]).arg(path("include"));
        cc.arg(format!("-Wl,-soname,libiotda.so.{number}"));
        cc.arg(format!("-Wl,--version-script={}", path("cmake/iotda.map").display()));
        process::output(cc.arg("-o").arg(&library))?;
        let mut abidw = Command::new("abidw");
        abidw.args(["--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--type-id-style", "hash"]);
        process::output(abidw.arg("--out-file").arg(&description).arg(&library))?;
        let map = read("cmake/iotda.map")?;
        ensure!(map.contains(&format!("IOTDA_{number} {{")), "cmake/iotda.map has no node IOTDA_{number}");
        Ok(Self { description, constants, number })
    }
}

struct Change {
    /// Whether programs that are built already are affected; otherwise there are only new functions.
    breaks: bool,
    report: String,
}

impl Change {
    fn advice(&self, promised: &Promised, current: &Current) -> String {
        let report = &self.report;
        if promised.number != current.number {
            return format!(
                "{DIR} is that of number {} and the header's is {}: run cargo xtask abi --write",
                promised.number, current.number
            );
        }
        if self.breaks {
            return format!(
                "the header breaks programs that are linked to libiotda.so.{}. Undo that, or move \
                 IOTDA_ABI_VERSION and cmake/iotda.map, and then run cargo xtask abi --write:\n{report}",
                promised.number
            );
        }
        format!("the header has what {DIR} does not know of; run cargo xtask abi --write:\n{report}")
    }
}

/// Compares two interfaces, each a description or a library.
fn compare(promised: &Path, current: &Path) -> Result<Option<Change>> {
    let ignored = promised.with_file_name("growing.abignore");
    let abidiff = |options: &[&str]| -> Result<(i32, String)> {
        let mut abidiff = Command::new("abidiff");
        abidiff.args(options).arg("--suppressions").arg(&ignored).args([promised, current]);
        let output = abidiff.output().context("cannot run abidiff")?;
        let code = output.status.code().unwrap_or(1);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // Bits of abidiff's exit status: 1 a failure, 2 a wrong command line, 4 a change, 8 an incompatible one.
        ensure!(code & 3 == 0, "abidiff failed: {text}{}", String::from_utf8_lossy(&output.stderr));
        Ok((code, text))
    };
    let (code, report) = abidiff(&[])?;
    if code == 0 {
        return Ok(None);
    }
    let (without_new_functions, _) = abidiff(&["--no-added-syms"])?;
    Ok(Some(Change { breaks: without_new_functions != 0, report }))
}

/// Whether a constant has gone or has another value.
fn lost(promised: &str, current: &str) -> bool {
    promised.lines().any(|line| !line.starts_with("IOTDA_ABI_VERSION ") && !current.lines().any(|other| other == line))
}

fn constants_advice(promised: &Promised, current: &Current) -> String {
    let differ = |a: &str, b: &str| -> Vec<String> {
        a.lines().filter(|line| !b.lines().any(|other| other == *line)).map(String::from).collect()
    };
    format!(
        "constants that were promised and are not there: {:?}; constants that are new: {:?}. If there are only new \
         ones, run cargo xtask abi --write",
        differ(&promised.constants, &current.constants),
        differ(&current.constants, &promised.constants)
    )
}

/// The header's constants, a line each: name and value.
fn constants(header: &str) -> String {
    let mut list: Vec<String> = header
        .lines()
        .filter_map(|line| line.strip_prefix("#define ")?.split("///").next())
        .filter(|rest| rest.starts_with("IOTDA_") && rest.contains(' ') && !rest.contains(['{', '\\']))
        .map(|rest| rest.trim_end().replace(['(', ')'], ""))
        .collect();
    list.sort_unstable();
    list.iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{line}");
        text
    })
}

/// A C source in which every function of the header has a body that does nothing.
fn empty_functions(header: &str) -> Result<String> {
    let mut source = String::from("#include <iotda.h>\n");
    let mut lines = header.lines();
    while let Some(line) = lines.next() {
        if declared_function(line).is_none() {
            continue;
        }
        let mut declaration = line.to_owned();
        while !declaration.ends_with(';') {
            declaration.push(' ');
            declaration.push_str(lines.next().context("a declaration in include/iotda.h does not end")?.trim());
        }
        source.push_str(declaration.trim_end_matches(';'));
        source.push_str(" { __builtin_trap(); }\n");
    }
    Ok(source)
}

mod text {
    use super::*;

    #[test]
    fn a_declaration_over_several_lines_gets_a_body() {
        let header = "/** iotda_x() */\nint iotda_x(int a,\n            int b);\ntypedef int iotda_t;\n";
        let source = empty_functions(header).unwrap();
        assert_eq!(source, "#include <iotda.h>\nint iotda_x(int a, int b) { __builtin_trap(); }\n");
        assert!(empty_functions("int iotda_x(int a,\n").is_err());
    }

    #[test]
    fn constants_are_those_with_a_value() {
        let header = concat!(
            "#define IOTDA_H\n#define IOTDA_B 2 ///< B {.\n                  ///< More.\n#define IOTDA_A (-1)\n",
            "#define IOTDA_CALL_INIT {0, 0}\n#define IOTDA_OPTIONS_INIT    \\\n    {0}\n",
        );
        assert_eq!(constants(header), "IOTDA_A -1\nIOTDA_B 2\n");
        assert!(lost("IOTDA_A -1\n", "IOTDA_A 1\n"));
        assert!(!lost("IOTDA_A -1\nIOTDA_ABI_VERSION 1\n", "IOTDA_A -1\nIOTDA_B 2\nIOTDA_ABI_VERSION 2\n"));
    }
}
