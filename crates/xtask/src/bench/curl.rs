//! libcurl with HTTP and TLS alone, as a static library: Debian's packages have none, so it is built of Debian's source
//! package, below target/.

use crate::process;
use crate::project::Project;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A TLS library to build libcurl with.
#[derive(Clone, Copy)]
pub(super) struct Tls {
    pub(super) name: &'static str,
    /// Debian's package.
    pub(super) package: &'static str,
    /// Its name for pkg-config, where that knows more libraries that are needed.
    pub(super) module: Option<&'static str>,
    /// For the linker.
    pub(super) libraries: &'static [&'static str],
    /// For the compiler.
    pub(super) defines: &'static [&'static str],
    /// CMake's option of libcurl.
    option: &'static str,
}

pub(super) const OPENSSL: Tls = Tls {
    name: "OpenSSL",
    package: "libssl-dev",
    module: Some("openssl"),
    libraries: &["-lssl", "-lcrypto"],
    defines: &[],
    option: "CURL_USE_OPENSSL",
};

pub(super) const MBEDTLS: Tls = Tls {
    name: "mbedTLS",
    package: "libmbedtls-dev",
    module: None,
    libraries: &["-lmbedtls", "-lmbedx509", "-lmbedcrypto"],
    defines: &["-DBENCH_MBEDTLS"],
    option: "CURL_USE_MBEDTLS",
};

/// In the names of the archives of a source package.
const ORIGINAL: &str = ".orig.tar.";
const CHANGES: &str = ".debian.tar.";

/// Builds it, unless it is there from an earlier time. Returns where it is installed.
pub(super) fn build(project: &Project, tls: Tls) -> Result<PathBuf> {
    let dir = curl_dir(project);
    let prefix = dir.join(tls.name);
    if prefix.join("lib/libcurl.a").exists() {
        return Ok(prefix);
    }
    println!("Building libcurl with {} ...", tls.name);
    let source = source(&dir)?;
    let build = dir.join(format!("build-{}", tls.name));
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(&source).arg("-B").arg(&build).args(["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]);
    configure.arg(format!("-DCMAKE_INSTALL_PREFIX={}", prefix.display())).arg("-DCMAKE_INSTALL_LIBDIR=lib");
    configure.args(["-DBUILD_SHARED_LIBS=OFF", "-DBUILD_STATIC_LIBS=ON", "-DBUILD_CURL_EXE=OFF"]);
    configure.args(["-DBUILD_TESTING=OFF", "-DHTTP_ONLY=ON", "-DCURL_DISABLE_VERBOSE_STRINGS=ON"]);
    for absent in [
        "CURL_ZLIB",
        "CURL_BROTLI",
        "CURL_ZSTD",
        "USE_NGHTTP2",
        "CURL_USE_LIBSSH2",
        "CURL_USE_LIBPSL",
        "USE_LIBIDN2",
        "CURL_USE_GSSAPI",
        "CURL_USE_OPENSSL",
        "CURL_USE_MBEDTLS",
        "ENABLE_MANUAL",
        "BUILD_LIBCURL_DOCS",
        "BUILD_MISC_DOCS",
        "ENABLE_CURL_MANUAL",
    ] {
        if absent != tls.option {
            configure.arg(format!("-D{absent}=OFF"));
        }
    }
    configure.arg(format!("-D{}=ON", tls.option));
    process::output(&mut configure)?;
    process::output(Command::new("cmake").arg("--build").arg(&build).args(["--target", "install"]))?;
    ensure!(prefix.join("lib/libcurl.a").exists(), "libcurl was built and is not in {}", prefix.display());
    Ok(prefix)
}

/// Whether the source that libcurl was built of has Debian's changes.
pub(super) fn is_patched(project: &Project) -> bool {
    source_dir(&curl_dir(project)).join("debian").exists()
}

fn curl_dir(project: &Project) -> PathBuf {
    project.target().join("bench/curl")
}

fn source_dir(dir: &Path) -> PathBuf {
    dir.join("source")
}

/// Debian's source of libcurl, unpacked and patched as Debian does. A mirror that has not caught up with Debian's last
/// changes has the original all the same, which then does: it is the same version.
fn source(dir: &Path) -> Result<PathBuf> {
    let unpacked = source_dir(dir);
    if unpacked.exists() {
        return Ok(unpacked);
    }
    let fetched = dir.join("fetched");
    if fetched.exists() {
        fs::remove_dir_all(&fetched)?;
    }
    fs::create_dir_all(fetched.join("lists/partial"))?;
    fs::create_dir_all(fetched.join("archives/partial"))?;
    let complete = fetch(&fetched);
    if let (Err(error), Ok(_)) = (&complete, file_with(&fetched, ORIGINAL)) {
        println!("libcurl is built without Debian's changes: {error:#}");
    } else {
        complete?;
    }
    let fresh = dir.join("unpacking");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    fs::create_dir_all(&fresh)?;
    let tar = |part: &str, strip: &str| {
        let archive = file_with(&fetched, part)?;
        let mut tar = Command::new("tar");
        process::output(tar.arg("-xf").arg(archive).arg("-C").arg(&fresh).arg(format!("--strip-components={strip}")))
    };
    tar(ORIGINAL, "1")?;
    if file_with(&fetched, CHANGES).is_ok() {
        tar(CHANGES, "0")?;
    }
    let series = fs::read_to_string(fresh.join("debian/patches/series")).unwrap_or_default();
    for patch in series.lines().filter_map(|line| line.split_whitespace().next()).filter(|p| !p.starts_with('#')) {
        let path = fresh.join("debian/patches").join(patch);
        let mut command = Command::new("patch");
        command.arg("-d").arg(&fresh).args(["-p1", "--quiet", "--force", "-i"]).arg(&path);
        process::output(&mut command).with_context(|| format!("Debian's patch {patch} does not apply"))?;
    }
    fs::rename(&fresh, &unpacked)?;
    Ok(unpacked)
}

/// Fetches the source package with apt, which knows Debian's keys. The machine's own lists are not touched.
fn fetch(dir: &Path) -> Result<()> {
    let format = "$(SITE) $(RELEASE) $(COMPONENT)";
    let targets =
        process::output(Command::new("apt-get").args(["indextargets", "--format", format, "Created-By: Packages"]))?;
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let options = if Path::new(keyring).exists() { format!("[signed-by={keyring}] ") } else { String::new() };
    let mut list = String::new();
    for target in targets.lines() {
        let mut words = target.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some(site), Some(release), Some("main")) if site.contains("debian") => {
                list.push_str(&format!("deb-src {options}{site} {release} main\n"));
            }
            _ => {}
        }
    }
    if list.is_empty() {
        bail!("apt has no sources of Debian's packages: it says {targets}");
    }
    fs::write(dir.join("sources.list"), list)?;
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.current_dir(dir).args(["-qq", "-o", "Dir::Etc::SourceParts=/dev/null", "-o"]);
        command.arg(format!("Dir::Etc::SourceList={}", dir.join("sources.list").display())).arg("-o");
        command.arg(format!("Dir::State::Lists={}", dir.join("lists").display())).arg("-o");
        command.arg(format!("Dir::Cache={}", dir.display())).args(["-o", "APT::Sandbox::User=root"]);
        process::output(command.args(arguments))
    };
    apt(&["update"])?;
    apt(&["source", "--download-only", "curl"])?;
    Ok(())
}

fn file_with(dir: &Path, part: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.contains(part) && !name.ends_with(".asc") {
            return Ok(path);
        }
    }
    bail!("Debian's source package of curl has no file {part}*")
}
