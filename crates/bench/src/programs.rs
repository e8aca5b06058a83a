//! The programs of the comparison: those in peers/, each built as well as its parts allow, or the reason why it is not.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::program::WARNINGS;
use testkit::{Package, cargo, path, process, target};

pub struct Peer {
    pub name: String,
    /// Versions of what it is made of.
    pub versions: String,
    /// Whether it does all jobs of bench.h, or "text" alone.
    pub does_all: bool,
    /// Whether valgrind can run it.
    pub is_counted: bool,
    /// The program, stripped; or why there is none.
    pub program: Result<PathBuf>,
}

/// The name of libiotda's Go module among them.
pub const WRAPPER: &str = "libiotda from Go";

impl Peer {
    fn new(name: &str, versions: String, program: Result<PathBuf>) -> Self {
        let program = program.and_then(|program| stripped(&program));
        Self { name: name.to_owned(), versions, does_all: true, is_counted: true, program }
    }
}

/// The C program that reports through libiotda, built with an installed package.
pub fn libiotda(package: &Package, dir: &Path) -> Result<PathBuf> {
    stripped(&compile("libiotda", dir, "libiotda", &package.flags("iotda-static")?)?)
}

/// The C program that puts into an outbox.
pub fn outbox(package: &Package, dir: &Path) -> Result<PathBuf> {
    stripped(&compile("outbox", dir, "outbox", &package.flags("iotda-static")?)?)
}

/// All programs: first the one that does the least for a report, then libiotda.
pub fn build(package: &Package, dir: &Path) -> Vec<Peer> {
    let openssl = format!("OpenSSL {}", package_version("libssl-dev"));
    let cjson = format!("cJSON {}", package_version("libcjson-dev"));
    let curl = format!("libcurl {}", package_version("libcurl4-openssl-dev"));
    let with = |name: &str, program: &str, modules: &[&str]| {
        pkg_config(modules).and_then(|flags| compile(program, dir, name, &flags))
    };
    let mut peers = vec![
        Peer::new("OpenSSL, request pre-built", openssl.clone(), with("floor", "openssl", &["openssl"])),
        Peer::new("libiotda", format!("libiotda {}", testkit::VERSION), libiotda(package, dir)),
        Peer::new(
            "libcurl of Debian, cJSON",
            format!("{curl}, {cjson}, {openssl}"),
            with("debian-curl", "libcurl", &["libcurl", "libcjson", "libcrypto"]),
        ),
    ];
    peers[0].does_all = false;
    let mbedtls = format!("mbedTLS {}", package_version("libmbedtls-dev"));
    for (tls, versions) in [("OpenSSL", &openssl), ("mbedTLS", &mbedtls)] {
        let curl = dir.join("curl");
        let program = static_curl(&curl, dir, tls);
        let unpatched = if curl.join("source/debian").exists() { "" } else { " without Debian's changes" };
        let version = curl_version(&curl.join(tls)).unwrap_or_default();
        let versions = format!("libcurl {version}{unpatched}, {versions}, {cjson}");
        peers.push(Peer::new(&format!("libcurl, HTTP only, static, {tls}, cJSON"), versions, program));
    }
    peers.push(Peer::new("ureq as it comes, serde_json", ureq_versions(), ureq()));
    for (name, module) in [("Go net/http, encoding/json", "nethttp"), (WRAPPER, "wrapper")] {
        let version = process::output(Command::new("go").args(["env", "GOVERSION"])).unwrap_or_default();
        let mut peer = Peer::new(name, version.trim().replacen("go", "Go ", 1), go(package, dir, module));
        peer.is_counted = false;
        peers.push(peer);
    }
    peers
}

fn compile(source: &str, dir: &Path, name: &str, flags: &[String]) -> Result<PathBuf> {
    let program = dir.join(name);
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-std=c11", "-D_GNU_SOURCE"]).args(WARNINGS).arg("-o").arg(&program);
    cc.arg(path("crates/bench/peers").join(source).with_extension("c")).args(flags);
    // As a firmware whose size matters is linked: without what nothing calls, and with addresses listed briefly.
    cc.arg("-Wl,--gc-sections").args(packs_relocations()?.then_some("-Wl,-z,pack-relative-relocs"));
    process::output(&mut cc)?;
    Ok(program)
}

/// Such as `2.36`.
pub fn libc() -> Result<String> {
    let version = process::output(Command::new("getconf").arg("GNU_LIBC_VERSION"))?;
    Ok(version.split_whitespace().nth(1).context("this is no glibc")?.to_owned())
}

/// Whether programs list the addresses to adapt when they are loaded in the brief form (DT_RELR). glibc reads it since
/// 2.36.
pub fn packs_relocations() -> Result<bool> {
    let numbers: Option<Vec<u32>> = libc()?.split('.').map(|part| part.parse().ok()).collect();
    Ok(numbers.context("glibc has no version")? >= vec![2, 36])
}

/// libcurl and its TLS library in the program, the rest shared.
fn static_curl(curl: &Path, dir: &Path, tls: &str) -> Result<PathBuf> {
    process::output(Command::new(path("crates/bench/peers/curl.sh")).arg(curl).arg(tls))?;
    let prefix = curl.join(tls);
    let mut flags = vec![format!("-I{}", prefix.join("include").display()), "-DCURL_STATICLIB".to_owned()];
    flags.push(prefix.join("lib/libcurl.a").display().to_string());
    flags.extend(pkg_config(&["libcjson"])?);
    // What the TLS library itself needs may have no static form here: first all of it static, then the rest shared.
    let (options, also) = match tls {
        "OpenSSL" => ("-Wl,-Bstatic -lssl -lcrypto", pkg_config(&["--static", "openssl"])?),
        _ => ("-DBENCH_MBEDTLS -Wl,-Bstatic -lmbedtls -lmbedx509 -lmbedcrypto", Vec::new()),
    };
    flags.extend(options.split(' ').chain(["-Wl,-Bdynamic"]).map(String::from));
    flags.extend(also.into_iter().filter(|flag| !["-lssl", "-lcrypto"].contains(&flag.as_str())));
    compile("libcurl", dir, &format!("curl-{tls}"), &flags)
}

fn curl_version(prefix: &Path) -> Result<String> {
    let package = Package { prefix: prefix.to_owned() };
    Ok(package.pkg_config(&["--modversion", "libcurl"])?.concat())
}

fn ureq() -> Result<PathBuf> {
    let mut build = cargo("build");
    build.current_dir(path("crates/bench/peers/ureq")).args(["--release", "--locked", "--quiet", "--target-dir"]);
    process::output(build.arg(target().join("bench/ureq")))?;
    Ok(target().join("bench/ureq/release/ureq-peer"))
}

fn ureq_versions() -> String {
    let lock = testkit::read("crates/bench/peers/ureq/Cargo.lock").unwrap_or_default();
    let version = |name: &str| {
        let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", after.split_once('"')?.0))
    };
    ["ureq", "rustls", "serde_json"].into_iter().filter_map(version).collect::<Vec<_>>().join(", ")
}

/// A module below peers/go.
fn go(package: &Package, dir: &Path, module: &str) -> Result<PathBuf> {
    ensure!(testkit::find("go"), "Go is not installed");
    let program = dir.join(format!("go-{module}"));
    let kept = |name: &str| target().join("go").join(name);
    let mut build = Command::new("go");
    build.current_dir(path("crates/bench/peers/go").join(module)).args(["build", "-trimpath", "-buildvcs=false"]);
    build.args(["-tags", "iotda_static", "-o"]).arg(&program).arg(".");
    build.env("PKG_CONFIG_PATH", package.file("lib/pkgconfig")).env("CGO_ENABLED", "1");
    // Nothing is fetched, and nothing left elsewhere.
    build.env("GOCACHE", kept("cache")).env("GOMODCACHE", kept("modules")).env("GOPATH", kept("path"));
    build.env("XDG_CONFIG_HOME", kept("config")).env("GOENV", "off").env("GOWORK", "off");
    build.env("GOTOOLCHAIN", "local").env("GOPROXY", "off").env("GOFLAGS", "-mod=readonly");
    process::output(&mut build)?;
    Ok(program)
}

/// What the compiler is given for libraries of this machine.
fn pkg_config(modules: &[&str]) -> Result<Vec<String>> {
    let flags = process::output(Command::new("pkg-config").args(["--cflags", "--libs"]).args(modules))?;
    Ok(flags.split_whitespace().map(String::from).collect())
}

/// The version of an installed package of Debian.
pub fn package_version(package: &str) -> String {
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

/// The length of a file in bytes.
pub fn length(file: &Path) -> Result<u64> {
    Ok(fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?.len())
}
