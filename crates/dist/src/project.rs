//! Where things are, and when they were made: the repository, the target directory, the version, the time of the commit.

use anyhow::{Context, Result, ensure};
use devkit::{checkout, process};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version of everything that is handed out.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A checkout of the repository, and where its hand-outs go.
pub(crate) struct Project {
    root: PathBuf,
    target: PathBuf,
    out: PathBuf,
    /// Seconds since 1970: the time of everything in an archive.
    pub(crate) epoch: String,
}

impl Project {
    pub(crate) fn find(out: Option<PathBuf>) -> Result<Self> {
        let (root, target) = (checkout::root(), checkout::target());
        let out = std::path::absolute(out.unwrap_or_else(|| target.join("dist")))?;
        fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
        let epoch = epoch(&root)?;
        Ok(Self { root, target, out, epoch })
    }

    /// A path in the repository.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A path below the target directory.
    pub(crate) fn target(&self, relative: &str) -> PathBuf {
        self.target.join(relative)
    }

    /// The path of a file to hand out.
    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    /// A directory to work in, made empty. It is beside what is handed out, so that two runs with a directory each do not
    /// meet.
    pub(crate) fn work(&self, name: &str) -> Result<PathBuf> {
        let dir = self.out.join("work").join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("cannot empty {}", dir.display()))?;
        }
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(dir)
    }

    /// Removes the directories that were worked in.
    pub(crate) fn tidy_up(&self) -> Result<()> {
        let work = self.out.join("work");
        if work.exists() {
            fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
        }
        Ok(())
    }

    /// git, at work in the repository.
    pub(crate) fn git(&self, arguments: &[&str]) -> Command {
        git(&self.root, arguments)
    }

    /// The files of the repository as they are in the working tree.
    pub(crate) fn files(&self) -> Result<Vec<String>> {
        self.warn_of_changes()?;
        let listed = process::output(&mut self.git(&["ls-files", "-z"]))?;
        let files: Vec<String> = listed.split_terminator('\0').map(String::from).collect();
        ensure!(!files.is_empty(), "git knows no file in {}", self.root.display());
        Ok(files)
    }

    /// Says that the files are not those of the commit, whose time and place in the history they get.
    pub(crate) fn warn_of_changes(&self) -> Result<()> {
        let changed = process::output(&mut self.git(&["status", "--porcelain", "--untracked-files=no"]))?;
        if let Some(first) = changed.lines().next() {
            let count = changed.lines().count();
            eprintln!("warning: commit first, to release this: {count} files are changed, such as {}", &first[3..]);
        }
        Ok(())
    }
}

fn git(root: &Path, arguments: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.current_dir(root).args(arguments);
    git
}

fn epoch(root: &Path) -> Result<String> {
    let given = env::var("SOURCE_DATE_EPOCH").unwrap_or_default();
    let epoch = if given.is_empty() {
        let commit = process::output(&mut git(root, &["log", "-1", "--format=%ct"]));
        commit.context("set SOURCE_DATE_EPOCH: no commit has a time to give what is made here")?
    } else {
        given
    };
    let epoch = epoch.trim();
    ensure!(epoch.parse::<u32>().is_ok(), "SOURCE_DATE_EPOCH is \"{epoch}\": it is a number of seconds since 1970");
    Ok(epoch.to_owned())
}
