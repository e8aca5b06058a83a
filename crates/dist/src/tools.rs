//! The command `iotda` with its manual pages and completions: as Debian's iotda-tools, and as a .tar.gz whose files can stay
//! anywhere. The command makes the pages and the completions itself.

use crate::Options;
use crate::archive;
use crate::debian;
use crate::licences;
use crate::project::{Project, VERSION};
use anyhow::{Context, Result};
use devkit::checkout;
use devkit::process::{output, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each shell, and where its completions are found.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/iotda"),
    ("zsh", "share/zsh/vendor-completions/_iotda"),
    ("fish", "share/fish/vendor_completions.d/iotda.fish"),
];

/// Makes both.
pub(crate) fn make(project: &Project, options: &Options) -> Result<Vec<PathBuf>> {
    let program = build(project, options.profile.as_deref().unwrap_or("release"))?;
    let work = project.work("tools")?;
    licences::write(project, "iotda-cli", &work)?;
    let system = checkout::host()?.replace("-unknown", "");
    let name = format!("iotda-tools-{VERSION}-{system}");
    let prefix = work.join(&name);
    install(&program, &prefix)?;
    let documents = prefix.join("share/doc/iotda-tools");
    fs::create_dir_all(&documents)?;
    for file in
        ["LICENSE-MIT", "LICENSE-APACHE", "CHANGELOG.md", "crates/iotda-cli/README.md", "crates/iotda-cli/doctor.md"]
    {
        let from = project.path(file);
        fs::copy(&from, documents.join(from.file_name().context("a file has a name")?))?;
    }
    fs::copy(work.join("THIRD-PARTY.txt"), documents.join("THIRD-PARTY.txt"))?;
    let packed = project.out(&format!("{name}.tar.gz"));
    archive::pack(&prefix, &project.epoch, &packed)?;
    Ok(vec![debian::tools(project, &work, |root| install(&program, &root.join("usr")))?, packed])
}

/// Builds the command by one of cargo's profiles; returns it.
fn build(project: &Project, profile: &str) -> Result<PathBuf> {
    let mut cargo = checkout::cargo("build");
    cargo.args(["--locked", "--quiet", "--package", "iotda-cli", "--profile", profile]);
    run(cargo.arg("--target-dir").arg(project.target("")).env_remove("SOURCE_DATE_EPOCH"))?;
    // cargo's name for the directory of that one alone is another.
    Ok(project.target(if profile == "dev" { "debug" } else { profile }).join("iotda"))
}

/// Puts the command and what belongs to it below a prefix.
fn install(program: &Path, prefix: &Path) -> Result<()> {
    let (bin, man) = (prefix.join("bin"), prefix.join("share/man/man1"));
    fs::create_dir_all(&bin)?;
    fs::create_dir_all(&man)?;
    let installed = bin.join("iotda");
    fs::copy(program, &installed).with_context(|| format!("cannot copy {}", program.display()))?;
    run(Command::new("strip").args(["--strip-all", "--remove-section=.comment"]).arg(&installed))?;
    output(Command::new(&installed).arg("man").arg(&man))?;
    for page in fs::read_dir(&man)? {
        run(Command::new("gzip").args(["--force", "--best", "--no-name"]).arg(page?.path()))?;
    }
    for (shell, file) in COMPLETIONS {
        let file = prefix.join(file);
        fs::create_dir_all(file.parent().context("a file is in a directory")?)?;
        fs::write(&file, output(Command::new(&installed).args(["completions", shell]))?)?;
    }
    Ok(())
}
