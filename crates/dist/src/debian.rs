//! Debian's packages, by Debian's own tools (dpkg-dev): libiotda1 with the shared library, libiotda-dev with all else
//! of the library, iotda-tools with the command. What is written about them is in crates/dist/debian, as in a Debian source package.

use crate::project::{Project, VERSION};
use anyhow::{Context, Result};
use devkit::process::{output, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each package, and the component of CMake's installation that is in it.
const PACKAGES: [(&str, &str); 2] = [(LIBRARY, "runtime"), ("libiotda-dev", "dev")];

const LIBRARY: &str = "libiotda1";

/// The package of the command `iotda`.
const TOOLS: &str = "iotda-tools";

/// Makes the packages of what was built with /usr as its prefix.
pub(crate) fn make(project: &Project, build: &Path) -> Result<Vec<PathBuf>> {
    let work = prepared(project, "debian")?;
    let debian = work.join("debian");
    let mut files = Vec::new();
    for (package, component) in PACKAGES {
        let root = debian.join(package);
        output(
            Command::new("cmake").env("DESTDIR", &root).arg("--install").arg(build).args(["--component", component]),
        )?;
        documents(project, build, &root, package)?;
        files.push(pack(project, &work, &root, package)?);
    }
    Ok(files)
}

/// Makes the package of the command `iotda`, which `install` puts below a root. `licences` is where THIRD-PARTY.txt is.
pub(crate) fn tools(project: &Project, licences: &Path, install: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let work = prepared(project, "debian-tools")?;
    let root = work.join("debian").join(TOOLS);
    install(&root)?;
    documents(project, licences, &root, TOOLS)?;
    pack(project, &work, &root, TOOLS)
}

/// A directory to work in, with what is written about the packages.
fn prepared(project: &Project, name: &str) -> Result<PathBuf> {
    let work = project.work(name)?;
    // The tools look for debian/control and debian/changelog where they are run.
    let debian = work.join("debian");
    fs::create_dir(&debian)?;
    for file in ["control", "copyright", "libiotda1.symbols", "libiotda1.triggers"] {
        let text = fs::read_to_string(project.path("crates/dist/debian").join(file))?;
        write(&debian.join(file), &text.replace("@VERSION@", VERSION))?;
    }
    let date =
        output(Command::new("date").env("LC_ALL", "C").args(["-u", "-R", &format!("--date=@{}", project.epoch)]))?;
    write(&debian.join("changelog"), &changelog(&fs::read_to_string(debian.join("control"))?, date.trim())?)?;
    Ok(work)
}

/// Debian's changelog has one entry, which refers to libiotda's own.
fn changelog(control: &str, date: &str) -> Result<String> {
    let maintainer = control.lines().find_map(|line| line.strip_prefix("Maintainer: "));
    let maintainer = maintainer.context("debian/control names no maintainer")?;
    Ok(format!(
        "libiotda ({VERSION}) unstable; urgency=medium\n\n  * Version {VERSION}: its changes are in CHANGELOG.md.gz.\n\n \
         -- {maintainer}  {date}\n"
    ))
}

/// Replaces the installed documents with those that Debian wants.
fn documents(project: &Project, build: &Path, root: &Path, package: &str) -> Result<()> {
    let documents = root.join("usr/share/doc");
    if documents.exists() {
        fs::remove_dir_all(&documents)?;
    }
    let own = documents.join(package);
    fs::create_dir_all(&own)?;
    let debian = root.parent().context("a package is in debian/")?;
    for (from, name, is_packed) in [
        (debian.join("copyright"), "copyright", false),
        (build.join("THIRD-PARTY.txt"), "THIRD-PARTY.txt", false),
        (debian.join("changelog"), "changelog", true),
        (project.path("CHANGELOG.md"), "CHANGELOG.md", true),
    ] {
        let to = own.join(name);
        fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        if is_packed {
            run(Command::new("gzip").args(["--best", "--no-name"]).arg(&to))?;
        }
    }
    Ok(())
}

/// Writes what dpkg is to know about a package, and packs it.
fn pack(project: &Project, work: &Path, root: &Path, package: &str) -> Result<PathBuf> {
    let about = root.join("DEBIAN");
    fs::create_dir(&about)?;
    let substitutes = format!("debian/{package}.substvars");
    write(&work.join(&substitutes), "")?;
    if package == LIBRARY {
        let library = shared_library(root)?;
        let mut symbols = Command::new("dpkg-gensymbols");
        symbols.current_dir(work).arg(format!("-p{package}")).arg(format!("-P{}", root.display()));
        symbols.arg(format!("-e{}", library.display())).arg(format!("-Idebian/{package}.symbols"));
        // -c4: any difference from that file is an error.
        output(symbols.arg(format!("-O{}", about.join("symbols").display())).arg("-c4"))?;
        write(&about.join("shlibs"), &format!("libiotda 1 {package} (>= {VERSION})\n"))?;
        fs::copy(work.join(format!("debian/{package}.triggers")), about.join("triggers"))?;
        let mut needs = Command::new("dpkg-shlibdeps");
        output(needs.current_dir(work).arg(format!("-T{substitutes}")).arg(&library))?;
    }
    if package == TOOLS {
        let mut needs = Command::new("dpkg-shlibdeps");
        output(needs.current_dir(work).arg(format!("-T{substitutes}")).arg(root.join("usr/bin/iotda")))?;
    }
    let sums = "find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums";
    output(Command::new("sh").current_dir(root).args(["-euc", sums]))?;
    let mut control = Command::new("dpkg-gencontrol");
    control.current_dir(work).arg(format!("-p{package}")).arg(format!("-P{}", root.display()));
    output(control.arg(format!("-T{substitutes}")).arg("-fdebian/files"))?;
    run(Command::new("chmod").args(["-R", "u=rwX,go=rX"]).arg(root))?;

    // "libiotda1_0.1.0_amd64.deb libs optional" for each package so far.
    let listed = fs::read_to_string(work.join("debian/files"))?;
    let name = listed
        .lines()
        .filter_map(|line| line.split(' ').next())
        .find(|name| name.split_once('_').is_some_and(|(name, _)| name == package));
    let file = project.out(name.with_context(|| format!("dpkg-gencontrol names no file for {package}"))?);
    let mut deb = Command::new("dpkg-deb");
    // Several threads would cut the data into blocks, which are packed each by itself.
    deb.env("SOURCE_DATE_EPOCH", &project.epoch).args(["--root-owner-group", "-Zxz", "--threads-max=1", "--build"]);
    output(deb.arg(root).arg(&file))?;
    Ok(file)
}

/// The link libiotda.so.1, in Debian's directory for this processor.
fn shared_library(root: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir(root.join("usr/lib"))? {
        let library = entry?.path().join("libiotda.so.1");
        if library.exists() {
            return Ok(library);
        }
    }
    anyhow::bail!("libiotda.so.1 is not in a directory of {}/usr/lib", root.display())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
