//! The packages to hand out, on a Debian 13 that has a C compiler, CMake and make, and nothing else: Debian's installed
//! there, the .tar.gz unpacked, and examples/c built with each by the commands that README.md gives.

use crate::project::Project;
use crate::root::Root;
use crate::{demo, dist, process};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The library that is linked, and whether the program then needs libiotda.so.
const LINKAGES: &[(&str, bool)] = &[("static", false), ("shared", true)];

const PACKAGES: &[&str] = &["cmake", "gcc", "libc6-dev", "make"];

pub(super) fn check(project: &Project) -> Result<()> {
    let plain = Root::with_packages(project, "plain", PACKAGES)?;
    let shared = project.empty_dir("check/debian")?;
    let root = plain.copy(project, "debian")?.share(&shared);

    let mut copy = Command::new("cp");
    process::output(copy.arg("-R").arg(project.path("examples/c")).arg(root.path("/srv/example")))?;
    let (packages, archives): (Vec<PathBuf>, Vec<PathBuf>) =
        dist::make(project)?.into_iter().partition(|file| file.extension().is_some_and(|end| end == "deb"));

    // First, since what is installed below /usr would be found without being asked for.
    for archive in archives {
        let name = take_over(&root, &archive)?;
        root.run("tar", &["-xzf", &name, "-C", "/opt"])?;
        let prefix = format!("/opt/{}", name.trim_start_matches("/var/tmp/").trim_end_matches(".tar.gz"));
        for (linkage, needs_it) in LINKAGES {
            example(project, &root, &shared, linkage, *needs_it, &format!("-DCMAKE_PREFIX_PATH={prefix}"))?;
        }
        println!("   unpacked: {}, examples/c static and shared", name.trim_start_matches("/var/tmp/"));
    }

    let names = packages.iter().map(|file| take_over(&root, file)).collect::<Result<Vec<_>>>()?;
    root.install(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
    for (linkage, needs_it) in LINKAGES {
        example(project, &root, &shared, linkage, *needs_it, "")?;
    }
    println!("   installed: {}, examples/c static and shared", names.join(" ").replace("/var/tmp/", ""));
    root.remove()
}

/// Copies a file into the root, and returns where it is there.
fn take_over(root: &Root, file: &Path) -> Result<String> {
    let name = file.file_name().context("a package without a name")?.to_string_lossy().into_owned();
    fs::copy(file, root.path("/var/tmp").join(&name))?;
    Ok(format!("/var/tmp/{name}"))
}

/// Builds examples/c as its README says, and runs it against a platform outside of the root.
fn example(project: &Project, root: &Root, shared: &Path, linkage: &str, needs_it: bool, option: &str) -> Result<()> {
    let script = "cd /srv/example && rm -rf build && cmake -B build -DIOTDA_LINKAGE=\"$1\" $2 && cmake --build build";
    root.run("sh", &["-euc", script, "sh", linkage, option])?;
    let program = "/srv/example/build/host_monitor";
    let needed = process::output(root.command("objdump").args(["-p", program]))?;
    ensure!(needed.contains("libiotda.so.1") == needs_it, "host_monitor is not linked {linkage}:\n{needed}");
    let (reports, counters) = demo::observe(project, shared, &mut root.command(program))?;
    demo::verify(&reports, &counters)?;
    demo::verify_memory(&reports)
}
