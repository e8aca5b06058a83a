//! The Go modules that are published: a program that gets them from a proxy or from the repository's tags is built by the go
//! command and a C compiler, and reports.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use testkit::program::is_linked;
use testkit::{GATEWAY, Lock, Package, Stand, Tool, VERSION};
use testkit::{find, forget_this_crate, is_missing, path, process, read, report_path, scratch, skip, target};

const MODULE: &str = "github.com/libiotda/libiotda/bindings/go/iotda";

/// A platform that is not this machine's.
struct Other {
    name: &'static str,
    /// How a program is built for it.
    settings: &'static [(&'static str, &'static str)],
    flags: &'static [&'static str],
    /// How it is run here.
    emulator: &'static [&'static str],
    /// The program's interpreter, which says for which processor and C library it is.
    interpreter: &'static str,
}

const ARM64: Other = Other {
    name: "linux-arm64",
    settings: &[("GOARCH", "arm64"), ("CC", "aarch64-linux-gnu-gcc")],
    flags: &[],
    emulator: &["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"],
    interpreter: "/lib/ld-linux-aarch64.so.1",
};
const ARM: Other = Other {
    name: "linux-arm",
    settings: &[("GOARCH", "arm"), ("CC", "arm-linux-gnueabihf-gcc")],
    flags: &[],
    emulator: &["qemu-arm", "-L", "/usr/arm-linux-gnueabihf"],
    interpreter: "/lib/ld-linux-armhf.so.3",
};
const MUSL: Other = Other {
    name: "linux-amd64-musl",
    settings: &[("CC", "musl-gcc")],
    flags: &["-tags", "musl"],
    emulator: &[],
    interpreter: "/lib/ld-musl-x86_64.so.1",
};

impl Other {
    /// Whether its archive was built here before, and there is its compiler: a build of its own takes minutes.
    fn is_built(&self) -> bool {
        let archive = target().join(format!("package/dist-go-{}/libiotda.a", self.name));
        archive.exists() && self.settings.iter().all(|(name, value)| *name != "CC" || find(value))
    }
}

/// What was published: for this machine, and for those others whose archives were built here before.
#[derive(Clone)]
struct Published {
    proxy: PathBuf,
    repository: PathBuf,
    /// What the module's tag leads to.
    commit: String,
    others: Vec<&'static str>,
}

static PUBLISHED: Mutex<Option<Published>> = Mutex::new(None);

/// Publishes the modules, once for all tests. None if a tool is missing.
fn published() -> Result<Option<Published>> {
    let platform = match ARCH {
        "x86_64" => "linux-amd64",
        "aarch64" => "linux-arm64",
        other => {
            skip(&format!("there is no archive for {other}"));
            return Ok(None);
        }
    };
    if is_missing(Tool::Program("go", "golang-go")) || is_missing(Tool::Program("git", "git")) {
        return Ok(None);
    }
    // A test that panicked while it had this left nothing half done.
    let mut published = PUBLISHED.lock().unwrap_or_else(PoisonError::into_inner);
    if published.is_none() {
        let out = target().join("test/dist-go");
        let _lock = Lock::take(&target().join("test/dist.lock"))?;
        let others = [ARM64, ARM, MUSL].iter().filter(|other| ARCH == "x86_64" && other.is_built());
        let others: Vec<&str> = others.map(|other| other.name).collect();
        let mut dist = Command::new(env!("CARGO_BIN_EXE_dist"));
        dist.arg("--out").arg(&out).args(["go", "--platform", platform]);
        for other in &others {
            dist.args(["--platform", other]);
        }
        forget_this_crate(&mut dist);
        process::output(&mut dist)?;
        let repository = out.join("go-repository.git");
        let mut git = Command::new("git");
        git.arg("--git-dir").arg(&repository).args(["rev-parse", &format!("bindings/go/iotda/v{VERSION}")]);
        let commit = process::output(&mut git)?.trim().to_owned();
        *published = Some(Published { proxy: out.join("go-proxy"), repository, commit, others });
    }
    Ok(published.clone())
}

/// The go command at work in a directory, of which no download is left after the test, and for which there is no network
/// and no pkg-config.
fn go(dir: &Path, proxy: &str) -> Result<Command> {
    let kept = |name: &str| -> PathBuf { target().join("go").join(name) };
    let mut go = Command::new("go");
    go.current_dir(dir);
    for name in ["GOOS", "GOARCH", "GOEXPERIMENT", "GODEBUG", "CGO_CFLAGS", "CGO_LDFLAGS", "CC", "PKG_CONFIG_PATH"] {
        go.env_remove(name);
    }
    go.env("GOCACHE", kept("cache")).env("GOPATH", kept("path")).env("XDG_CONFIG_HOME", kept("config"));
    // The go command keeps in its cache what a module of a version is, by its directory: here, it may be another one.
    let commit = published()?.context("nothing is published")?.commit;
    go.env("GOMODCACHE", scratch()?.join(format!("modules-{commit}"))).env("GOFLAGS", "-modcacherw");
    go.env("GOENV", "off").env("GOWORK", "off").env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "1");
    // The README has this variable: no database of checksums knows a module that is not published.
    go.env("GOPROXY", proxy).env("GONOSUMDB", "github.com/libiotda/libiotda").env("PKG_CONFIG", "false");
    Ok(go)
}

/// A new module with the program of the documentation, which has got libiotda as the README says.
fn new_module(proxy: &str, configure: impl Fn(&mut Command)) -> Result<PathBuf> {
    let dir = scratch()?.join("device");
    fs::create_dir(&dir)?;
    process::output(go(&dir, proxy)?.args(["mod", "init", "example.com/device"]))?;
    fs::write(dir.join("main.go"), read("bindings/go/iotda/hello/main.go")?)?;
    let readme = read("bindings/go/iotda/README.md")?;
    let line = readme.lines().find_map(|line| line.strip_prefix("go ")).context("the README has no go get")?;
    ensure!(line == format!("get {MODULE}"), "the README begins with another command: go {line}");
    let mut get = go(&dir, proxy)?;
    configure(&mut get);
    process::output(get.args(line.split(' ')))?;
    Ok(dir)
}

fn build(dir: &Path, proxy: &str, name: &str, flags: &[&str]) -> Result<PathBuf> {
    let program = dir.join(name);
    process::output(go(dir, proxy)?.arg("build").args(flags).arg("-o").arg(&program).arg("."))?;
    Ok(program)
}

/// One report, of the documentation's temperature.
fn reports(command: &mut Command) -> Result<()> {
    let stand = Stand::start()?;
    let requests = stand.run(command)?;
    let last = requests.last().context("it reported nothing")?;
    ensure!(last.target == report_path(GATEWAY, "properties/report"), "to {}", last.target);
    let body = String::from_utf8_lossy(&last.body).into_owned();
    ensure!(body.contains(r#""properties":{"Temperature":21.5}"#), "{body}");
    Ok(())
}

#[test]
fn from_a_proxy_with_a_compiler_alone() -> Result<()> {
    let Some(published) = published()? else { return Ok(()) };
    let proxy = format!("file://{},off", published.proxy.display());
    let dir = new_module(&proxy, |_| {})?;
    let program = build(&dir, &proxy, "device", &[])?;
    is_linked(&program, "static")?;
    reports(&mut Command::new(&program))?;

    // Vendored, without a proxy.
    process::output(go(&dir, &proxy)?.args(["mod", "tidy"]))?;
    process::output(go(&dir, &proxy)?.args(["mod", "vendor"]))?;
    let vendored = build(&dir, "off", "vendored", &["-mod=vendor"])?;
    is_linked(&vendored, "static")?;
    reports(&mut Command::new(&vendored))?;

    // One archive is downloaded for this build; vendoring takes all.
    let sums = fs::read_to_string(dir.join("go.sum"))?;
    ensure!(sums.contains(&format!("{MODULE} v{VERSION} h1:")), "go.sum does not hold the module:\n{sums}");
    Ok(())
}

/// What the README says for other processors: the installed libraries, by pkg-config.
#[test]
fn with_the_installed_libraries() -> Result<()> {
    let Some(published) = published()? else { return Ok(()) };
    if is_missing(Tool::Program("pkg-config", "pkg-config")) {
        return Ok(());
    }
    let proxy = format!("file://{},off", published.proxy.display());
    let (dir, package) = (new_module(&proxy, |_| {})?, Package::shipped()?);
    for (tag, linkage) in [("iotda_system", "shared"), ("iotda_static", "static")] {
        let program = dir.join(tag);
        let mut build = go(&dir, &proxy)?;
        build.env_remove("PKG_CONFIG").env("PKG_CONFIG_PATH", package.file("lib/pkgconfig"));
        process::output(build.args(["build", "-tags", tag, "-o"]).arg(&program).arg("."))?;
        is_linked(&program, linkage)?;
        reports(&mut package.command(&program))?;
    }
    Ok(())
}

/// As from the repository itself, once the tags are pushed.
#[test]
fn from_the_tags() -> Result<()> {
    let Some(published) = published()? else { return Ok(()) };
    let of_repository = |go: &mut Command| {
        go.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_VALUE_0", "https://github.com/libiotda/libiotda");
        go.env("GIT_CONFIG_KEY_0", format!("url.file://{}.insteadOf", published.repository.display()));
    };
    let dir = new_module("direct", of_repository)?;
    reports(&mut Command::new(build(&dir, "off", "device", &[])?))?;

    // The tags and nothing else lead to the archives; their parent is the commit of the sources.
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        process::output(git.arg("--git-dir").arg(&published.repository).args(arguments))
    };
    let tag = format!("bindings/go/iotda/v{VERSION}");
    let files = git(&["ls-tree", "-r", "--name-only", &tag, "bindings/go/iotda/lib/"])?;
    ensure!(files.lines().any(|file| file.ends_with("/libiotda.a")), "the tag leads to no archive:\n{files}");
    for branch in git(&["for-each-ref", "--format=%(refname)", "refs/heads"])?.lines() {
        let files = git(&["ls-tree", "-r", "--name-only", branch])?;
        ensure!(!files.lines().any(|file| file.ends_with(".a")), "{branch} has an archive");
    }
    let sources = git(&["rev-parse", &format!("{tag}~2")])?;
    let head = process::output(Command::new("git").current_dir(path("")).args(["rev-parse", "HEAD"]))?;
    ensure!(sources == head, "the tag's commit does not follow that of the sources");
    Ok(())
}

/// Each module of the proxy: its files, and that the module holds all of its sources and no archive.
#[test]
fn modules() -> Result<()> {
    let Some(published) = published()? else { return Ok(()) };
    let versions = |module: &str| published.proxy.join(module).join("@v");
    let libraries = published.proxy.join(MODULE).join("lib");
    let mut modules: Vec<String> = vec![MODULE.to_owned()];
    for entry in fs::read_dir(libraries)? {
        modules.push(format!("{MODULE}/lib/{}", entry?.file_name().to_string_lossy()));
    }
    ensure!(modules.len() == 2 + published.others.len(), "{modules:?}");
    for module in &modules {
        let found: BTreeSet<String> = fs::read_dir(versions(module))?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_>>()?;
        let expected = ["info", "mod", "zip"].map(|kind| format!("v{VERSION}.{kind}"));
        let expected: BTreeSet<String> = expected.into_iter().chain(["list".to_owned()]).collect();
        ensure!(found == expected, "{module}: {found:?}");
        let size = fs::metadata(versions(module).join(format!("v{VERSION}.zip")))?.len();
        ensure!(size < 3 << 20 && (module != MODULE || size < 1 << 20), "{module} has {size} bytes");
    }
    // Its files are those of the repository, but for one that is another, and those that link the archives.
    let git = |tree: &str| {
        let mut git = Command::new("git");
        git.arg("--git-dir").arg(&published.repository).args(["ls-tree", "-r", tree, "bindings/go/iotda/"]);
        process::output(&mut git).map(|text| text.lines().map(String::from).collect::<BTreeSet<_>>())
    };
    let tag = format!("bindings/go/iotda/v{VERSION}");
    let (published, sources) = (git(&tag)?, git(&format!("{tag}~2"))?);
    let name = |line: &String| line.rsplit('/').next().unwrap_or_default().to_owned();
    let changed: BTreeSet<String> = sources.difference(&published).map(name).collect();
    ensure!(changed == ["go.mod", "link_archive.go"].map(String::from).into(), "others are changed: {changed:?}");
    Ok(())
}

/// Where there is no archive for a system, one line says what to do.
#[test]
fn without_an_archive() -> Result<()> {
    let Some(published) = published()? else { return Ok(()) };
    let proxy = format!("file://{},off", published.proxy.display());
    let dir = new_module(&proxy, |_| {})?;
    let mut build = go(&dir, &proxy)?;
    if published.others.contains(&MUSL.name) {
        // There is none for musl on other processors.
        if is_missing(Tool::Program("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu")) {
            return Ok(());
        }
        build.envs(ARM64.settings.iter().copied());
    }
    let error = process::output(build.args(["build", "-tags", "musl", "."])).err().context("it builds for musl")?;
    let said = error.to_string();
    let lines: Vec<&str> = said.lines().filter(|line| line.contains(".go:")).collect();
    ensure!(lines.len() == 1 && lines[0].contains("build_with_tags_iotda_system"), "it says: {said}");
    Ok(())
}

/// Programs for other platforms, under emulation where the processor is another one.
mod elsewhere {
    use super::*;

    #[test]
    fn on_64_bit_arm() -> Result<()> {
        reports_from(&ARM64)
    }

    #[test]
    fn on_32_bit_arm() -> Result<()> {
        reports_from(&ARM)
    }

    #[test]
    fn with_musl() -> Result<()> {
        reports_from(&MUSL)
    }

    fn reports_from(other: &Other) -> Result<()> {
        let Some(published) = published()? else { return Ok(()) };
        if !published.others.contains(&other.name) {
            skip(&format!("no archive for {0} was built here (cargo xtask dist go --platform {0})", other.name));
            return Ok(());
        }
        if !other.emulator.is_empty() && is_missing(Tool::Program(other.emulator[0], "qemu-user")) {
            return Ok(());
        }
        let proxy = format!("file://{},off", published.proxy.display());
        let dir = new_module(&proxy, |_| {})?;
        let program = dir.join("device");
        let mut build = go(&dir, &proxy)?;
        build.envs(other.settings.iter().copied()).arg("build").args(other.flags);
        process::output(build.arg("-o").arg(&program).arg("."))?;
        is_linked(&program, "static")?;
        let headers = process::output(Command::new("readelf").arg("--program-headers").arg(&program))?;
        ensure!(headers.contains(other.interpreter), "it is for another platform: {headers}");
        let mut run = match other.emulator {
            [] => Command::new(&program),
            [emulator, arguments @ ..] => {
                let mut run = Command::new(emulator);
                run.args(arguments).arg(&program);
                run
            }
        };
        reports(&mut run)
    }
}
