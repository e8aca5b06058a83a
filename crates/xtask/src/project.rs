//! Where things are: the repository, its target directory, and the cargo that runs us.

use crate::process;
use anyhow::{Context, Result};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A checkout of the repository.
pub(crate) struct Project {
    root: PathBuf,
    target: PathBuf,
}

impl Project {
    pub(crate) fn find() -> Result<Self> {
        let here =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = here.ancestors().nth(2).context("xtask is not in crates/ of the repository")?;
        let mut project = Self { root: root.to_owned(), target: PathBuf::new() };
        let metadata = process::output(project.cargo("metadata").args(["--no-deps", "--format-version", "1"]))?;
        let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
        let target = metadata["target_directory"].as_str();
        project.target = target.context("cargo metadata names no target directory")?.into();
        Ok(project)
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

    /// The cargo that started us.
    pub(crate) fn cargo_program() -> PathBuf {
        env::var_os("CARGO").unwrap_or_else(|| "cargo".into()).into()
    }

    /// git, at work in the repository.
    pub(crate) fn git(&self, subcommand: &str) -> Command {
        let mut git = Command::new("git");
        git.current_dir(&self.root).arg(subcommand);
        git
    }

    /// The cargo that started us, at work in the repository.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut cargo = Command::new(Self::cargo_program());
        cargo.current_dir(&self.root).arg(subcommand);
        forget_this_crate(&mut cargo);
        cargo
    }
}

/// Removes what cargo says about this crate in the environment: build scripts of the crates that `command` is to build
/// would take it for a change.
pub(crate) fn forget_this_crate(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_")) {
            command.env_remove(name);
        }
    }
    command.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_MANIFEST_PATH");
}
