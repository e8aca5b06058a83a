//! Projects that build libiotda as a part of themselves, by FetchContent and by add_subdirectory, in CMake's build
//! types; and what they are told when something is missing.

use super::consumers::{arrived, linked_as};
use super::installed;
use super::stand::Stand;
use crate::process;
use crate::project::{Project, forget_this_crate};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) fn check(project: &Project) -> Result<()> {
    let source = installed::copy_of(project, "source_tree", "check/source_tree")?;
    std::fs::copy(project.path("crates/libiotda/tests/consumer/four_calls.c"), source.join("four_calls.c"))?;
    let stand = Stand::start(&source)?;
    for (number, (options, linkage, has_debug)) in [
        (["-DCMAKE_BUILD_TYPE=Release", "-DIOTDA_LINKAGE=static"], "static", false),
        (["-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DIOTDA_LINKAGE=static"], "static", true),
        (["-DCMAKE_BUILD_TYPE=Release", "-DIOTDA_LINKAGE=shared"], "shared", false),
        (["-DCMAKE_BUILD_TYPE=Debug", "-DBY_SUBDIRECTORY=ON"], "static", true),
    ]
    .into_iter()
    .enumerate()
    {
        let build = source.join(format!("build-{number}"));
        configure(project, &source, &build, &options)?;
        let mut make = Command::new("cmake");
        forget_this_crate(&mut make);
        process::output(make.arg("--build").arg(&build))?;

        let program = build.join("four_calls");
        linked_as(&program, linkage)?;
        let sections = process::output(Command::new("readelf").arg("-SW").arg(&program))?;
        // The program itself is compiled without -g in Release.
        ensure!(sections.contains(".debug_line") == has_debug, "{options:?}: debug information is not as asked for");
        let requests = stand.run(&mut Command::new(&program))?;
        arrived(&requests).with_context(|| format!("{options:?}"))?;
        // Only the project's own program is installed with it.
        let prefix = build.join("prefix");
        process::output(Command::new("cmake").arg("--install").arg(&build).arg("--prefix").arg(&prefix))?;
        ensure!(prefix.join("bin/four_calls").exists() && !prefix.join("lib").exists(), "libiotda was installed too");
        println!("   {}", options.join(" "));
    }
    for (number, (option, expected)) in [
        ("-DIOTDA_LINKAGE=dynamic", "it takes \"static\" or \"shared\""),
        ("-DCMAKE_PROGRAM_PATH=/nowhere", "sudo apt-get install cargo"),
    ]
    .into_iter()
    .enumerate()
    {
        let build = source.join(format!("refused-{number}"));
        match configure(project, &source, &build, &[option]) {
            Ok(()) => bail!("this should be refused: {option}"),
            Err(error) => ensure!(error.to_string().contains(expected), "{option}: refused otherwise: {error}"),
        }
    }
    Ok(())
}

fn configure(project: &Project, source: &Path, build: &Path, options: &[&str]) -> Result<()> {
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(source).arg("-B").arg(build).args(["-G", "Ninja"]).args(options);
    configure.arg(format!("-DIOTDA_SOURCE={}", project.root().display()));
    // What the package was built with need not be built again.
    let cargo_target: PathBuf = project.target().join("package/cargo");
    configure.arg(format!("-DIOTDA_CARGO_TARGET_DIR={}", cargo_target.display()));
    if options.contains(&"-DCMAKE_PROGRAM_PATH=/nowhere") {
        configure.args(["-DCMAKE_FIND_USE_SYSTEM_ENVIRONMENT_PATH=OFF", "-DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF"]);
        configure.args(["-DCMAKE_C_COMPILER=/usr/bin/cc", "-DCMAKE_MAKE_PROGRAM=ninja"]);
    }
    process::output(&mut configure).map(drop)
}
