//! A Debian 13 of its own in a directory below target/, for what must hold there and not only on this machine:
//! old compilers, other processors, packages on a system where nothing else is installed.
//!
//! debootstrap makes it from the mirror that this machine's apt uses. Every program in it runs in mount and
//! process namespaces of its own: whatever happens to xtask, no mount is left behind and no process.

use crate::process;
use crate::project::Project;
use crate::provision::{self, FOR_ROOT, Unavailable};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const RELEASE: &str = "trixie";

/// Run in a root, where it cannot be found.
const FOREIGN: &str = include_str!("root/foreign.sh");

/// As a reason to leave a test out.
fn because(what: &str, error: &anyhow::Error) -> anyhow::Error {
    Unavailable::because(&format!("no Debian 13 root can be made here: {what}"), error)
}

/// A Debian system below target/.
pub(crate) struct Root {
    dir: PathBuf,
    enter: PathBuf,
    /// Directories of this machine that programs in it see, and the options for mounting them.
    shared: Vec<(&'static str, PathBuf)>,
    environment: Vec<(&'static str, OsString)>,
}

impl Root {
    /// A system with the given packages and nothing that they do not need. It is kept for the next time.
    pub(crate) fn with_packages(project: &Project, name: &str, packages: &[&str]) -> Result<Self> {
        let dir = project.target().join("roots").join(name);
        let enter = project.path("crates/xtask/src/root/enter.sh");
        let root = Self { dir, enter, shared: Vec::new(), environment: Vec::new() };
        let note = root.dir.with_extension("packages");
        let noted = packages.join("\n");
        if root.dir.is_dir() && fs::read_to_string(&note).is_ok_and(|text| text == noted) {
            check_rights(project)?;
            return Ok(root);
        }
        let base = base(project)?;
        // Not there while the directory is unfinished.
        if note.exists() {
            fs::remove_file(&note)?;
        }
        remove(&root.dir)?;
        println!("Installing in a Debian 13 root: {} ...", packages.join(" "));
        unpack(&base, &root.dir)?;
        root.install(packages).map_err(|error| because("apt-get in the root", &error))?;
        fs::write(&note, noted)?;
        Ok(root)
    }

    /// A copy that may be changed; an older one of this name is replaced.
    pub(crate) fn copy(&self, project: &Project, name: &str) -> Result<Self> {
        let dir = project.target().join("roots").join(name);
        remove(&dir)?;
        process::output(Command::new("cp").args(["-a", "--reflink=auto"]).arg(&self.dir).arg(&dir))?;
        Ok(Self { dir, enter: self.enter.clone(), shared: self.shared.clone(), environment: self.environment.clone() })
    }

    /// Removes it with all that is in it.
    pub(crate) fn remove(self) -> Result<()> {
        remove(&self.dir)
    }

    /// Installs packages of Debian's, or files that are named by a path with a slash.
    pub(crate) fn install(&self, packages: &[&str]) -> Result<()> {
        self.run("apt-get", &["update", "-qq"])?;
        self.run("apt-get", &[&["install", "-qq", "--yes", "--no-install-recommends"], packages].concat())
    }

    /// Unpacks a package for another processor into the system, where its files do not clash with those for this one.
    pub(crate) fn unpack_foreign(&self, architecture: &str, package: &str) -> Result<()> {
        let mut ask = self.command("dpkg-query");
        // The version that is there for this processor: what is for the other one must fit it.
        let version = process::output(ask.args(["--showformat", "${Version}", "--show", package]))?;
        let mut sh = self.command("sh");
        sh.args(["-c", FOREIGN, "sh", RELEASE, architecture, package, &version]);
        let unpacked = process::output(&mut sh).map(drop);
        unpacked.map_err(|error| because(&format!("{package} {version} for {architecture}"), &error))
    }

    /// Lets programs in the system use a directory of this machine, by the same path.
    pub(crate) fn share(mut self, dir: &Path) -> Self {
        self.shared.push(("rw", dir.to_owned()));
        self
    }

    /// As `share`, but they cannot change it.
    pub(crate) fn show(mut self, dir: &Path) -> Self {
        self.shared.push(("ro", dir.to_owned()));
        self
    }

    /// Sets an environment variable for all programs.
    pub(crate) fn set(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Where a path of the system is on this machine.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.join(path.trim_start_matches('/'))
    }

    /// A program in the system. It has this machine's network, but not its environment.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = namespaces();
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/root").env("LC_ALL", "C.UTF-8");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command.envs(self.environment.iter().map(|(name, path)| (name, path)));
        command.arg("sh").arg(&self.enter).arg(&self.dir);
        for (options, dir) in &self.shared {
            command.arg(options).arg(dir);
        }
        command.arg("--").arg(program.as_ref());
        command
    }

    /// Runs a tool in the system quietly.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Result<()> {
        process::output(self.command(program).args(arguments)).map(drop)
    }
}

/// What ends with its program: mounts, and all processes.
fn namespaces() -> Command {
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]);
    unshare
}

/// Whether this machine lets us do what a root needs.
fn check_rights(project: &Project) -> Result<()> {
    if !provision::is_root()? {
        bail!(Unavailable::new("no Debian 13 root can be made here: only root may, who runs chroot and mount"));
    }
    provision::ensure(project, FOR_ROOT).map_err(|error| because("debootstrap", &error))?;
    let dir = project.empty_dir("roots/rights")?;
    let mut mount = namespaces();
    mount.args(["mount", "-t", "proc", "proc"]).arg(dir);
    process::output(&mut mount).map(drop).map_err(|error| because("mounting", &error))
}

/// The smallest Debian, as a .tar file.
fn base(project: &Project) -> Result<PathBuf> {
    check_rights(project)?;
    let tar = project.target().join("roots/base.tar");
    if !tar.exists() {
        println!("Making a Debian 13 root with debootstrap ...");
        make_base(project, &tar).map_err(|error| because("debootstrap", &error))?;
    }
    Ok(tar)
}

fn make_base(project: &Project, tar: &Path) -> Result<()> {
    let dir = project.empty_dir("roots/base")?;
    let mut debootstrap = namespaces();
    debootstrap.args(["debootstrap", "--variant=minbase", RELEASE]).arg(&dir).args(mirror());
    process::output(&mut debootstrap)?;
    // What apt must be told to get at the mirror, a proxy for example, it is told in there too.
    let settings = process::output(Command::new("apt-config").args(["dump", "--format", "%f \"%v\";%n", "Acquire"]));
    fs::write(dir.join("etc/apt/apt.conf.d/80machine"), settings.unwrap_or_default())?;
    for file in ["/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt"] {
        let copy = dir.join(file.trim_start_matches('/'));
        if Path::new(file).exists() {
            fs::create_dir_all(copy.parent().context("not a file")?)?;
            fs::copy(file, &copy).with_context(|| format!("cannot write {}", copy.display()))?;
        }
    }
    // Nothing here outlives a loss of power anyhow.
    fs::write(dir.join("etc/dpkg/dpkg.cfg.d/80fast"), "force-unsafe-io\n")?;
    let unfinished = tar.with_extension("unfinished");
    process::output(Command::new("tar").arg("-cf").arg(&unfinished).arg("-C").arg(&dir).arg("."))?;
    fs::rename(&unfinished, tar)?;
    remove(&dir)
}

/// The mirror of Debian that this machine's apt has. None, on a machine without: debootstrap knows one.
fn mirror() -> Option<String> {
    let ask = || {
        let mut apt = Command::new("apt-get");
        apt.args(["indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)", "Created-By: Packages"]);
        mirror_in(&process::output(&mut apt).unwrap_or_default())
    };
    // apt knows the origin of what it has a list of, which it need not have yet.
    ask().or_else(|| process::output(Command::new("apt-get").args(["-qq", "update"])).ok().and_then(|_| ask()))
}

fn mirror_in(targets: &str) -> Option<String> {
    targets.lines().find_map(|line| line.strip_prefix("Debian Debian ")).map(String::from)
}

fn unpack(tar: &Path, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    process::output(Command::new("tar").arg("-xf").arg(tar).arg("-C").arg(dir)).map(drop)
}

/// Removes a system, and never what is mounted in it: that is in other namespaces.
fn remove(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_that_of_the_distribution_itself() {
        let targets = "Other Debian http://other.example/debian/\n\
                       Debian Debian-Security http://a.example/debian-security/\n\
                       Debian Debian http://a.example/debian/\n";
        assert_eq!(mirror_in(targets).as_deref(), Some("http://a.example/debian/"));
        assert_eq!(mirror_in("  http://a.example/debian/\n"), None);
    }
}
