//! Debian's packages on a Debian 13 that has a C compiler, CMake and make, and nothing else: installed there, and
//! examples/c built with them by the commands that README.md gives.

use crate::project::Project;
use crate::root::Root;
use crate::{demo, dist, process};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::process::Command;

const PACKAGES: &[&str] = &["cmake", "gcc", "libc6-dev", "make"];

pub(super) fn check(project: &Project) -> Result<()> {
    let plain = Root::with_packages(project, "plain", PACKAGES)?;
    let shared = project.empty_dir("check/debian")?;
    let root = plain.copy(project, "debian")?.share(&shared);

    let mut packages = Vec::new();
    for file in dist::make(project)?.iter().filter(|file| file.extension().is_some_and(|end| end == "deb")) {
        let name = file.file_name().context("a package without a name")?.to_string_lossy().into_owned();
        fs::copy(file, root.path("/var/tmp").join(&name))?;
        packages.push(format!("/var/tmp/{name}"));
    }
    root.install(&packages.iter().map(String::as_str).collect::<Vec<_>>())?;
    println!("   installed: {}", packages.join(" ").replace("/var/tmp/", ""));

    let mut copy = Command::new("cp");
    process::output(copy.arg("-R").arg(project.path("examples/c")).arg(root.path("/root/example")))?;
    for (linkage, needs_it) in [("static", false), ("shared", true)] {
        let script = "cd /root/example && rm -rf build && cmake -B build -DIOTDA_LINKAGE=\"$1\" && cmake --build build";
        root.run("sh", &["-c", script, "sh", linkage])?;
        let program = "/root/example/build/host_monitor";
        let needed = process::output(root.command("objdump").args(["-p", program]))?;
        ensure!(needed.contains("libiotda.so.1") == needs_it, "host_monitor is not linked {linkage}:\n{needed}");
        let (reports, counters) = demo::observe(project, &shared, &mut root.command(program))?;
        demo::verify(&reports, &counters)?;
        demo::verify_memory(&reports)?;
        println!("   examples/c, {linkage}");
    }
    root.remove()
}
