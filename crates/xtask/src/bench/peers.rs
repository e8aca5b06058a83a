//! The programs of the comparison: examples/bench, each built as well as its parts allow, or the reason why it is not.

use super::{curl, machine};
use crate::package::{self, Request};
use crate::process;
use crate::project::Project;
use crate::provision;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// What a program can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// All jobs of bench.h.
    All,
    /// The job "text" on one connection.
    TextOnly,
}

pub(super) struct Peer {
    pub(super) name: String,
    /// Versions of what it is made of.
    pub(super) versions: String,
    pub(super) does: Does,
    /// Whether valgrind can run it.
    pub(super) is_counted: bool,
    /// Whether it is libiotda from Go.
    pub(super) is_wrapper: bool,
    /// The program, stripped; or why there is none.
    pub(super) program: Result<PathBuf>,
}

impl Peer {
    fn new(name: &str, versions: String, program: Result<PathBuf>) -> Self {
        let program = program.and_then(|program| stripped(&program));
        Self { name: name.to_owned(), versions, does: Does::All, is_counted: true, is_wrapper: false, program }
    }
}

/// The package that the comparison is about, installed.
pub(super) fn install(project: &Project) -> Result<PathBuf> {
    let prefix = project.empty_dir("bench/prefix")?;
    package::install(project, &Request { prefix: prefix.clone(), options: Vec::new() })?;
    Ok(prefix)
}

/// The C program that reports through libiotda, built with an installed package.
pub(crate) fn libiotda(project: &Project, prefix: &Path, dir: &Path) -> Result<PathBuf> {
    let flags = pkg_config(Some(&prefix.join("lib/pkgconfig")), &["iotda-static"], &[])?;
    stripped(&compile(project, "libiotda", dir, "libiotda", &flags)?)
}

/// All programs, the least that a report can cost first and ours second.
pub(super) fn build(project: &Project, prefix: &Path, dir: &Path) -> Vec<Peer> {
    let openssl = || format!("OpenSSL {}", package_version("libssl-dev"));
    let mut floor = Peer::new("OpenSSL, request pre-built (the floor)", openssl(), floor(project, dir));
    floor.does = Does::TextOnly;
    let mut peers = vec![
        floor,
        Peer::new("libiotda", format!("libiotda {}", crate::project::VERSION), libiotda(project, prefix, dir)),
    ];
    let curl_version = format!("libcurl {}", package_version("libcurl4-openssl-dev"));
    let cjson = package_version("libcjson-dev");
    peers.push(Peer::new(
        "libcurl of Debian, cJSON",
        format!("{curl_version}, cJSON {cjson}, {}", openssl()),
        debian_curl(project, dir),
    ));
    for tls in [curl::OPENSSL, curl::MBEDTLS] {
        let name = format!("libcurl, HTTP only, static, {}, cJSON", tls.name);
        let built = curl::build(project, tls).and_then(|prefix| static_curl(project, &prefix, dir, tls));
        let (version, program) = match built {
            Ok((version, program)) => (version, Ok(program)),
            Err(error) => (String::new(), Err(error)),
        };
        let version = if curl::is_patched(project) { version } else { version + " without Debian's changes" };
        let tls_version = format!("{} {}", tls.name, package_version(tls.package));
        peers.push(Peer::new(&name, format!("libcurl {version}, {tls_version}, cJSON {cjson}"), program));
    }
    peers.push(Peer::new("ureq as it comes, serde_json", ureq_versions(project), ureq(project)));
    for (name, module) in [("Go net/http, encoding/json", "nethttp"), ("libiotda from Go", "wrapper")] {
        let mut peer = Peer::new(name, go_version(), go(project, prefix, dir, module));
        peer.is_counted = false;
        peer.is_wrapper = module == "wrapper";
        peers.push(peer);
    }
    peers
}

fn compile(project: &Project, source: &str, dir: &Path, name: &str, flags: &[String]) -> Result<PathBuf> {
    let program = dir.join(name);
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-std=c11", "-D_GNU_SOURCE"]).args(WARNINGS).arg("-o").arg(&program);
    cc.arg(project.path("examples/bench").join(source).with_extension("c")).args(flags);
    // As a firmware whose size matters is linked: without what nothing calls, and with addresses listed briefly.
    cc.arg("-Wl,--gc-sections").args(packs_relocations()?.then_some("-Wl,-z,pack-relative-relocs"));
    process::output(&mut cc)?;
    Ok(program)
}

/// Whether programs list the addresses to adapt when they are loaded in the brief form (DT_RELR). glibc reads it since
/// 2.36.
pub(super) fn packs_relocations() -> Result<bool> {
    let version = machine::libc()?;
    let numbers: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
    Ok(numbers.with_context(|| format!("glibc has no version `{version}`"))? >= vec![2, 36])
}

fn floor(project: &Project, dir: &Path) -> Result<PathBuf> {
    compile(project, "openssl", dir, "floor", &pkg_config(None, &["openssl"], &[])?)
}

fn debian_curl(project: &Project, dir: &Path) -> Result<PathBuf> {
    compile(project, "libcurl", dir, "debian-curl", &pkg_config(None, &["libcurl", "libcjson", "libcrypto"], &[])?)
}

/// libcurl and its TLS library in the program, the rest shared.
fn static_curl(project: &Project, prefix: &Path, dir: &Path, tls: curl::Tls) -> Result<(String, PathBuf)> {
    let from = Some(prefix.join("lib/pkgconfig"));
    let version = pkg_config(from.as_deref(), &["libcurl"], &["--modversion"])?.concat();
    let mut flags = vec![
        format!("-I{}", prefix.join("include").display()),
        "-DCURL_STATICLIB".to_owned(),
        prefix.join("lib/libcurl.a").display().to_string(),
    ];
    flags.extend(pkg_config(None, &["libcjson"], &[])?);
    flags.extend(tls.defines.iter().map(|define| (*define).to_owned()));
    flags.push("-Wl,-Bstatic".to_owned());
    flags.extend(tls.libraries.iter().map(|library| (*library).to_owned()));
    let also = match tls.module {
        Some(module) => pkg_config(None, &[module], &["--static", "--libs"])?,
        None => Vec::new(),
    };
    // What the TLS library itself needs may have no static form here: first all of it static, then the rest shared.
    flags.push("-Wl,-Bdynamic".to_owned());
    flags.extend(also.into_iter().filter(|flag| !tls.libraries.contains(&flag.as_str())));
    Ok((version, compile(project, "libcurl", dir, &format!("curl-{}", tls.name), &flags)?))
}

fn ureq_dir(project: &Project) -> PathBuf {
    project.path("examples/bench/ureq")
}

fn ureq(project: &Project) -> Result<PathBuf> {
    let target = project.target().join("bench/ureq");
    let mut cargo = project.cargo("build");
    cargo.current_dir(ureq_dir(project)).args(["--release", "--locked", "--quiet", "--target-dir"]).arg(&target);
    process::run(&mut cargo)?;
    Ok(target.join("release/ureq-peer"))
}

fn ureq_versions(project: &Project) -> String {
    let lock = fs::read_to_string(ureq_dir(project).join("Cargo.lock")).unwrap_or_default();
    let version = |name: &str| {
        let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", after.split_once('"')?.0))
    };
    ["ureq", "rustls", "serde_json"].into_iter().filter_map(version).collect::<Vec<_>>().join(", ")
}

/// A module below examples/bench/go.
fn go(project: &Project, prefix: &Path, dir: &Path, module: &str) -> Result<PathBuf> {
    ensure!(provision::find("go"), "Go is not installed");
    let source = project.path("examples/bench/go").join(module);
    ensure!(
        module != "wrapper" || project.path("bindings/go").exists(),
        "libiotda's Go module, bindings/go, is not there"
    );
    let program = dir.join(format!("go-{module}"));
    let kept = |name: &str| project.target().join("go").join(name);
    let mut build = Command::new("go");
    build.current_dir(&source).args(["build", "-trimpath", "-buildvcs=false", "-tags", "iotda_static"]);
    build.arg("-o").arg(&program).arg(".").env("CGO_LDFLAGS", prefix.join("lib/libiotda.a")).env("CGO_ENABLED", "1");
    // Nothing is fetched, and nothing left elsewhere.
    build.env("GOCACHE", kept("cache")).env("GOMODCACHE", kept("modules")).env("GOPATH", kept("path"));
    build.env("XDG_CONFIG_HOME", kept("config")).env("GOENV", "off").env("GOWORK", "off");
    build.env("GOTOOLCHAIN", "local").env("GOPROXY", "off").env("GOFLAGS", "-mod=readonly");
    process::output(&mut build)?;
    Ok(program)
}

fn go_version() -> String {
    let version = process::output(Command::new("go").args(["env", "GOVERSION"])).unwrap_or_default();
    version.trim().replacen("go", "Go ", 1)
}

fn pkg_config(from: Option<&Path>, modules: &[&str], options: &[&str]) -> Result<Vec<String>> {
    let mut command = Command::new("pkg-config");
    if let Some(from) = from {
        command.env("PKG_CONFIG_PATH", from);
    }
    let options = if options.is_empty() { &["--cflags", "--libs"] } else { options };
    let flags = process::output(command.args(options).args(modules))?;
    Ok(flags.split_whitespace().map(String::from).collect())
}

/// The version of an installed package of Debian.
pub(super) fn package_version(package: &str) -> String {
    let mut query = Command::new("dpkg-query");
    process::output(query.args(["--show", "--showformat", "${Version}", package])).unwrap_or_else(|_| "?".to_owned())
}

/// The program beside the original, without what it does not need to run.
fn stripped(program: &Path) -> Result<PathBuf> {
    let to = program.with_extension("stripped");
    process::output(Command::new("strip").arg("-o").arg(&to).arg(program))
        .with_context(|| format!("cannot strip {}", program.display()))?;
    Ok(to)
}
