//! Archives that are the same bytes for the same files, whoever makes them, where and when.

use anyhow::{Context, Result, ensure};
use devkit::process::run;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// Packs a directory into a .tar.gz, in which it has its own name. All times in it are `epoch`.
pub(crate) fn pack(dir: &Path, epoch: &str, archive: &Path) -> Result<()> {
    ensure!(archive.extension() == Some(OsStr::new("gz")), "{} is named otherwise", archive.display());
    let (parent, name) = dir.parent().zip(dir.file_name()).context("the directory to pack has no name")?;
    let tar = archive.with_extension("");
    let mut pack = Command::new("tar");
    pack.env("LC_ALL", "C").current_dir(parent).args(["--format=gnu", "--sort=name", "--owner=0", "--group=0"]);
    pack.args(["--numeric-owner", "--mode=u=rwX,go=rX"]).arg(format!("--mtime=@{epoch}"));
    run(pack.arg("-cf").arg(&tar).arg(name))?;
    run(Command::new("gzip").args(["--force", "--best", "--no-name"]).arg(&tar))
}
