//! Where things are: the repository and its target directory.

use anyhow::{Context, Result};
use devkit::checkout;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A checkout of the repository.
pub(crate) struct Project {
    root: PathBuf,
    target: PathBuf,
}

impl Project {
    pub(crate) fn find() -> Self {
        Self { root: checkout::root(), target: checkout::target() }
    }

    /// A path in the repository.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The directory that everything built goes to. It need not be in the repository.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// A directory below the target directory, made empty.
    pub(crate) fn empty_dir(&self, relative: &str) -> Result<PathBuf> {
        let dir = self.target.join(relative);
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("cannot empty {}", dir.display()))?;
        }
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(dir)
    }

    /// git, at work in the repository.
    pub(crate) fn git(&self, subcommand: &str) -> Command {
        let mut git = Command::new("git");
        git.current_dir(&self.root).arg(subcommand);
        git
    }
}
