//! The files that the Go module and the modules of its archives have, beside those of the repository.

use crate::go::{MODULE, REPOSITORY};
use crate::go_archives::Archive;
use crate::project::{Project, VERSION};
use anyhow::{Context, Result, ensure};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Writes the module of an archive.
pub(crate) fn write_archive(project: &Project, archive: &Archive, dir: &Path) -> Result<()> {
    let (name, package) = (archive.platform.name, archive.platform.package());
    let files = [
        (archive.file.clone(), "libiotda.a"),
        (archive.licences.clone(), "THIRD-PARTY.txt"),
        (project.path("LICENSE-MIT"), "LICENSE-MIT"),
        (project.path("LICENSE-APACHE"), "LICENSE-APACHE"),
    ];
    for (from, to) in files {
        fs::copy(&from, dir.join(to)).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    let go = goes_by(&project.path(MODULE).join("go.mod"))?;
    write(&dir.join("go.mod"), &format!("module {REPOSITORY}/{MODULE}/lib/{name}\n\n{go}\n"))?;
    let text = format!(
        "//go:build {}\n\n\
         // Package {package} holds libiotda {VERSION}, a static library, for programs of\n\
         // {REPOSITORY}/{MODULE}, which imports it. It has nothing to call.\n\
         package {package}\n\n\
         // #cgo LDFLAGS: ${{SRCDIR}}/libiotda.a {}\n\
         import \"C\"\n",
        archive.platform.constraint(),
        archive.libraries
    );
    write(&dir.join("archive.go"), &text)
}

/// The line of a go.mod that names Go's version.
fn goes_by(manifest: &Path) -> Result<String> {
    let text = fs::read_to_string(manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    Ok(text.lines().find(|line| line.starts_with("go ")).context("go.mod names no version of Go")?.to_owned())
}

/// Writes what the module has in place of the repository's link_archive.go, and what it requires.
pub(crate) fn write_module(dir: &Path, manifest: &str, archives: &[Archive], sums: &str) -> Result<()> {
    ensure!(!manifest.contains("require"), "the module's go.mod requires something: say here what becomes of it");
    let mut required = String::new();
    for archive in archives {
        let platform = archive.platform;
        let path = format!("{REPOSITORY}/{MODULE}/lib/{}", platform.name);
        // Writing to a String cannot fail.
        let _ = writeln!(required, "\t{path} v{VERSION}");
        let text = format!(
            "//go:build cgo && !iotda_system && !iotda_static && {}\n\npackage iotda\n\n\
             // The library, in a module of its own.\nimport _ \"{path}\"\n",
            platform.constraint()
        );
        write(&dir.join(format!("link_{}.go", platform.package())), &text)?;
    }
    write(&dir.join("go.mod"), &format!("{manifest}\nrequire (\n{required})\n"))?;
    // As the go command sorts it.
    let mut sums: Vec<&str> = sums.lines().collect();
    sums.sort_unstable();
    write(&dir.join("go.sum"), &format!("{}\n", sums.join("\n")))?;
    write(&dir.join("link_archive.go"), &without_archive(archives))
}

/// For processors that there is no archive for: the build ends with a line that says what to do.
fn without_archive(archives: &[Archive]) -> String {
    let known: Vec<String> = archives.iter().map(|archive| format!("({})", archive.platform.constraint())).collect();
    format!(
        "//go:build cgo && !iotda_system && !iotda_static && !({})\n\n\
         // There is no archive of libiotda for this system. The name below exists nowhere: the compiler's message is meant\n\
         // for whoever builds.\n\n\
         package iotda\n\n\
         var _ = no_archive_of_libiotda_for_this_system__install_it_and_build_with_tags_iotda_system\n",
        known.join(" || ")
    )
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
