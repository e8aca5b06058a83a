//! `cargo xtask cross`: libiotda for other processors, built in a Debian 13 root with the oldest Rust that is
//! supported, and for musl; and its programs run there, under emulation, against the stand-in platform outside.

use super::stand::Stand;
use super::suite;
use crate::demo;
use crate::process;
use crate::project::Project;
use crate::root::Root;
use anyhow::{Context, Result, bail, ensure};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What libiotda is built for.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// The file in cmake/toolchains, without its extension.
    toolchain: &'static str,
    rust: Rust,
    /// What runs its programs here, if this processor does not.
    emulator: Option<&'static str>,
    /// Options of the emulator for a program that uses up its memory: the emulators take no notice of the limit that
    /// it sets itself. 32 bits are a limit.
    little_memory: &'static [&'static str],
    has_32_bits: bool,
    /// The number of the processor in an ELF header, `e_machine`.
    machine: u16,
}

/// Where cargo comes from, and Rust's own library for a target.
enum Rust {
    /// Debian 13: the oldest that is supported. Its library is packaged for an architecture.
    Debian(&'static str),
    /// This machine's, which must have its library for a target triple: rustup brings those that Debian has not.
    Machine(&'static str),
}

pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "aarch64",
        toolchain: "aarch64-linux-gnu",
        rust: Rust::Debian("arm64"),
        emulator: Some("qemu-aarch64"),
        little_memory: &["-R", "0x10000000"],
        has_32_bits: false,
        machine: 183,
    },
    Target {
        name: "armhf",
        toolchain: "arm-linux-gnueabihf",
        rust: Rust::Debian("armhf"),
        emulator: Some("qemu-arm"),
        little_memory: &[],
        has_32_bits: true,
        machine: 40,
    },
    Target {
        name: "musl",
        toolchain: "x86_64-linux-musl",
        rust: Rust::Machine("x86_64-unknown-linux-musl"),
        emulator: None,
        little_memory: &[],
        has_32_bits: false,
        machine: 62,
    },
];

const PACKAGES: &[&str] = &[
    "cargo",
    "rustc",
    "cmake",
    "ninja-build",
    "qemu-user",
    "crossbuild-essential-arm64",
    "crossbuild-essential-armhf",
];
const PACKAGES_FOR_MUSL: &[&str] = &["cmake", "ninja-build", "gcc", "libc6-dev", "musl-tools"];

/// Those that need nothing but Debian.
pub(crate) const DEFAULT: &[&str] = &["aarch64", "armhf"];

pub(crate) fn target(name: &str) -> Result<&'static Target> {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    let found = TARGETS.iter().find(|target| target.name == name);
    found.with_context(|| format!("there is no target \"{name}\": there are {}", names.join(", ")))
}

/// A step of `cargo xtask test`.
pub(super) fn check(project: &Project, name: &str) -> Result<()> {
    run(project, target(name)?)
}

/// Builds for one target, and runs what was built.
pub(crate) fn run(project: &Project, target: &Target) -> Result<()> {
    let bench = Bench::new(project, target)?;
    println!("{}: building the library ...", target.name);
    let prefix = bench.library("library", &[])?;
    println!("{}: building and running the C example ...", target.name);
    let monitor = bench.build("examples/c", "example", &prefix, &["-DCMAKE_BUILD_TYPE=Release"])?.join("host_monitor");
    bench.is_for_target(&monitor)?;
    let (reports, counters) = demo::observe(project, &bench.dir, &mut bench.program(&monitor, &[]))?;
    demo::verify(&reports, &counters)?;
    // QEMU tells a 32-bit program the machine's memory in bytes, of which there can be more than it has bits for; a
    // kernel would give it a larger unit.
    if !target.has_32_bits {
        demo::verify_memory(&reports)?;
    }
    println!("{}: building and running the C tests ...", target.name);
    bench.suite(&prefix)?;
    bench.panics()
}

/// A target, a root to build in, and the directory of what is built, which has the same path in the root.
struct Bench<'a> {
    project: &'a Project,
    target: &'a Target,
    root: Root,
    cargo: PathBuf,
    dir: PathBuf,
}

impl<'a> Bench<'a> {
    fn new(project: &'a Project, target: &'a Target) -> Result<Self> {
        let dir = project.target().join("cross").join(target.name);
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        // cargo in the root uses what this machine's has downloaded.
        let cargo_home = cargo_home()?;
        process::output(project.cargo("fetch").args(["--locked", "--quiet"]))?;
        let sysroot = match target.rust {
            Rust::Debian(_) => None,
            Rust::Machine(triple) => Some(sysroot_with(project, triple)?),
        };
        let root = match target.rust {
            Rust::Debian(architecture) => {
                let root = Root::with_packages(project, "cross", PACKAGES)?;
                root.unpack_foreign(architecture, "libstd-rust-dev")?;
                root
            }
            Rust::Machine(_) => Root::with_packages(project, "musl", PACKAGES_FOR_MUSL)?,
        };
        let mut root = root
            .show(project.root())
            .share(&project.target().join("cross"))
            .share(&cargo_home)
            .set("CARGO_HOME", &cargo_home)
            .set("CARGO_NET_OFFLINE", "true");
        let mut cargo = PathBuf::from("/usr/bin/cargo");
        if let Some(sysroot) = sysroot {
            cargo = sysroot.join("bin/cargo");
            root = root.show(&sysroot).set("RUSTC", sysroot.join("bin/rustc"));
        }
        Ok(Self { project, target, root, cargo, dir })
    }

    fn cmake(&self, source: &str, build: &Path, options: &[&str]) -> Result<()> {
        let toolchain = format!("cmake/toolchains/{}.cmake", self.target.toolchain);
        let mut configure = self.root.command("cmake");
        configure.args(["-G", "Ninja", "-S"]).arg(self.project.path(source)).arg("-B").arg(build);
        configure.arg("--toolchain").arg(self.project.path(&toolchain)).args(options);
        process::output(&mut configure)?;
        process::output(self.root.command("cmake").arg("--build").arg(build)).map(drop)
    }

    /// Builds and installs it by the commands of README.md. Returns the prefix.
    fn library(&self, name: &str, options: &[&str]) -> Result<PathBuf> {
        let (build, prefix) = (self.dir.join(name), self.dir.join(format!("{name}-installed")));
        // Build scripts and macros, which run here, are the same for all targets.
        let target_dir = self.project.target().join("cross/cargo");
        let target_dir = format!("-DIOTDA_CARGO_TARGET_DIR={}", target_dir.display());
        let cargo = format!("-DIOTDA_CARGO={}", self.cargo.display());
        self.cmake("cmake", &build, &[&[target_dir.as_str(), &cargo], options].concat())?;
        let mut install = self.root.command("cmake");
        process::output(install.arg("--install").arg(build).arg("--prefix").arg(&prefix))?;
        Ok(prefix)
    }

    /// Builds programs with an installed library. Returns the directory that they are in.
    fn build(&self, source: &str, name: &str, prefix: &Path, options: &[&str]) -> Result<PathBuf> {
        let build = self.dir.join(name);
        let prefix = format!("-DCMAKE_PREFIX_PATH={}", prefix.display());
        let warnings = "-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror";
        self.cmake(source, &build, &[&[prefix.as_str(), warnings], options].concat())?;
        Ok(build)
    }

    fn suite(&self, prefix: &Path) -> Result<()> {
        let build = self.build("crates/libiotda/tests/c", "suite", prefix, &["-DCMAKE_BUILD_TYPE=Debug"])?;
        self.is_for_target(&build.join("reports"))?;
        suite::run(&self.dir, &build, |program| self.program(program, &[]))?;
        let memory = &mut self.program(&build.join("memory"), self.target.little_memory);
        Stand::start(&self.dir)?.run(memory)?;
        println!("   memory");
        Ok(())
    }

    /// That a panic inside is an error outside depends on the processor's tables for unwinding, and on what is
    /// left of them in the one object that the libraries are made of.
    fn panics(&self) -> Result<()> {
        let prefix = self.library("library-with-panic-hook", &["-DIOTDA_CARGO_FEATURES=panic-hook-for-tests"])?;
        let build = self.build("crates/libiotda/tests/c", "panics", &prefix, &["-DPANIC_HOOK=ON"])?;
        Stand::start(&self.dir)?.run(&mut self.program(&build.join("panics"), &[]))?;
        println!("   panics");
        Ok(())
    }

    /// A program of the target's, to be run.
    fn program(&self, program: &Path, options: &[&str]) -> Command {
        let Some(emulator) = self.target.emulator else { return self.root.command(program) };
        let mut command = self.root.command(emulator);
        command.args(options).arg("-L").arg(Path::new("/usr").join(self.target.toolchain)).arg(program);
        command
    }

    /// Not one for this machine's processor, which would run as well.
    fn is_for_target(&self, program: &Path) -> Result<()> {
        let head = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
        let &[0x7f, b'E', b'L', b'F', ..] = head.as_slice() else { bail!("{} is no program", program.display()) };
        let machine = head.get(18..20).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
        ensure!(machine == Some(self.target.machine), "{} is for processor {machine:?}", program.display());
        Ok(())
    }
}

/// The directory of this machine's Rust, if it has its library for the target.
fn sysroot_with(project: &Project, triple: &str) -> Result<PathBuf> {
    let rustc = |what: &str| {
        let mut rustc = Command::new("rustc");
        process::output(rustc.current_dir(project.root()).args(["--target", triple, "--print", what]))
    };
    let library = rustc("target-libdir")?;
    ensure!(Path::new(library.trim()).is_dir(), "rustc has no library for {triple}; run: rustup target add {triple}");
    Ok(PathBuf::from(rustc("sysroot")?.trim()))
}

fn cargo_home() -> Result<PathBuf> {
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home).context("neither CARGO_HOME nor HOME is set")
}
