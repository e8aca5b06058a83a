//! The Go module with the library's archives, so that `go get` and a C compiler are all that its users need.
//!
//! Each archive is in a module of its own, below bindings/go/iotda/lib, so that a build downloads that of its processor
//! alone. They are not kept in the repository's branches: a commit that only tags lead to adds them, and what the module
//! requires. The go command itself makes the modules' files of those tags, as it does for every user.

use crate::Options;
use crate::go_archives;
use crate::go_files;
use crate::project::{Project, VERSION};
use anyhow::{Context, Result};
use devkit::process::output;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the module is in the repository; the last part of its path and the first of its tags.
pub(crate) const MODULE: &str = "bindings/go/iotda";

/// What the go command knows the repository by.
pub(crate) const REPOSITORY: &str = "github.com/libiotda/libiotda";

/// Makes the repository with the tags to push, and the modules in the form of a proxy.
pub(crate) fn make(project: &Project, options: &Options) -> Result<Vec<PathBuf>> {
    let work = project.work("go")?;
    let archives = go_archives::collect(project, &options.platforms)?;
    let repository = Repository::copy(project, &work)?;

    for archive in &archives {
        let dir = repository.directory(&format!("{MODULE}/lib/{}", archive.platform.name))?;
        go_files::write_archive(project, archive, &dir)?;
    }
    let libraries: Vec<String> =
        archives.iter().map(|archive| format!("{MODULE}/lib/{}", archive.platform.name)).collect();
    repository.commit(&format!("Add the archives of libiotda {VERSION}"), &libraries)?;
    let cache = work.join("modules");
    let mut sums = String::new();
    for library in &libraries {
        sums += &download(&repository, &cache, library)?;
    }

    let dir = repository.directory(MODULE)?;
    let manifest = fs::read_to_string(project.path(MODULE).join("go.mod"))?;
    go_files::write_module(&dir, &manifest, &archives, &sums)?;
    repository.commit(&format!("Require the archives of libiotda {VERSION}"), &[MODULE.to_owned()])?;
    download(&repository, &cache, MODULE)?;

    let proxy = project.out("go-proxy");
    publish(&cache, &libraries, &proxy)?;
    Ok(vec![proxy, repository.git_dir])
}

/// A bare copy of the repository in which the tags are made.
struct Repository {
    git_dir: PathBuf,
    /// Files to be committed there, beside those of the repository.
    tree: PathBuf,
    index: PathBuf,
    epoch: String,
}

impl Repository {
    fn copy(project: &Project, work: &Path) -> Result<Self> {
        let git_dir = project.out("go-repository.git");
        if git_dir.exists() {
            fs::remove_dir_all(&git_dir).with_context(|| format!("cannot remove {}", git_dir.display()))?;
        }
        let head = output(&mut project.git(&["rev-parse", "HEAD"]))?;
        output(project.git(&["clone", "--quiet", "--bare", "."]).arg(&git_dir))?;
        let tree = work.join("tree");
        fs::create_dir_all(&tree)?;
        let repository = Self { git_dir, tree, index: work.join("index"), epoch: project.epoch.clone() };
        output(repository.git().args(["update-ref", "--no-deref", "HEAD", head.trim()]))?;
        output(repository.git().args(["read-tree", "HEAD"]))?;
        // As it is in the working tree.
        project.warn_of_changes()?;
        let mut add = repository.git();
        add.env("GIT_WORK_TREE", project.path("")).current_dir(project.path(""));
        output(add.args(["add", "--all", MODULE]))?;
        Ok(repository)
    }

    fn git(&self) -> Command {
        let mut git = Command::new("git");
        git.current_dir(&self.tree).env("GIT_DIR", &self.git_dir).env("GIT_INDEX_FILE", &self.index);
        git.env("GIT_WORK_TREE", &self.tree);
        for who in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{who}_NAME"), "The libiotda maintainers");
            git.env(format!("GIT_{who}_EMAIL"), "libiotda@users.noreply.github.com");
            git.env(format!("GIT_{who}_DATE"), format!("{} +0000", self.epoch));
        }
        git
    }

    /// A directory for files to commit.
    fn directory(&self, relative: &str) -> Result<PathBuf> {
        let dir = self.tree.join(relative);
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(dir)
    }

    /// Commits what was written to these modules' directories, after what is there, and tags it as each one's version.
    fn commit(&self, message: &str, modules: &[String]) -> Result<()> {
        // What the repository has and this tree has not, stays.
        output(self.git().args(["add", "--force", "--ignore-removal"]).args(modules))?;
        let tree = output(self.git().arg("write-tree"))?;
        let commit = output(self.git().args(["commit-tree", "-p", "HEAD", "-m", message, tree.trim()]))?;
        output(self.git().args(["update-ref", "--no-deref", "HEAD", commit.trim()]))?;
        for module in modules {
            let tag = format!("refs/tags/{module}/v{VERSION}");
            output(self.git().args(["update-ref", &tag, commit.trim()]))?;
        }
        Ok(())
    }
}

/// Has the go command make a module's files of its tag. Returns the lines for it in a go.sum.
fn download(repository: &Repository, cache: &Path, module: &str) -> Result<String> {
    let module = format!("{REPOSITORY}/{module}");
    let mut go = Command::new("go");
    go.current_dir(&repository.tree).env("GOMODCACHE", cache).env("GOPROXY", "direct").env("GOSUMDB", "off");
    go.env("GOENV", "off").env("GOWORK", "off").env("GOTOOLCHAIN", "local").env("GOFLAGS", "-modcacherw");
    // The copy is looked into wherever the address of the repository is meant.
    go.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_VALUE_0", format!("https://{REPOSITORY}"));
    go.env("GIT_CONFIG_KEY_0", format!("url.file://{}.insteadOf", repository.git_dir.display()));
    let described = output(go.args(["mod", "download", "-json", &format!("{module}@v{VERSION}")]))?;
    let described: Value = serde_json::from_str(&described)?;
    let sum = |name: &str| described[name].as_str().with_context(|| format!("go names no {name} of {module}"));
    Ok(format!("{module} v{VERSION} {}\n{module} v{VERSION}/go.mod {}\n", sum("Sum")?, sum("GoModSum")?))
}

/// Copies the modules' files to a directory that can be named in GOPROXY.
fn publish(cache: &Path, libraries: &[String], proxy: &Path) -> Result<()> {
    if proxy.exists() {
        fs::remove_dir_all(proxy).with_context(|| format!("cannot remove {}", proxy.display()))?;
    }
    for module in libraries.iter().map(String::as_str).chain([MODULE]) {
        // No letter of the paths is a capital, which the go command would write otherwise.
        let versions = format!("{REPOSITORY}/{module}/@v");
        let to = proxy.join(&versions);
        fs::create_dir_all(&to).with_context(|| format!("cannot create {}", to.display()))?;
        for kind in ["info", "mod", "zip"] {
            let file = format!("v{VERSION}.{kind}");
            let from = cache.join("cache/download").join(&versions).join(&file);
            fs::copy(&from, to.join(file)).with_context(|| format!("cannot copy {}", from.display()))?;
        }
        fs::write(to.join("list"), format!("v{VERSION}\n"))?;
    }
    Ok(())
}
