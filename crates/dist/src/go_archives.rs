//! The static libraries for the Go module: one for each processor and C library, built by CMake with the toolchain files
//! of the repository, as far as this machine has what they take.

use crate::package;
use crate::project::Project;
use anyhow::{Context, Result, bail, ensure};
use devkit::process::output;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// What an archive is for.
pub(crate) struct Platform {
    /// Of the archive's module: "linux-amd64".
    pub(crate) name: &'static str,
    /// Go's name of the processor.
    pub(crate) processor: &'static str,
    /// Go does not know with which C library a program is linked: with musl if it is built with the tag of that name.
    pub(crate) is_musl: bool,
    rust_target: &'static str,
    /// The toolchain file in cmake/toolchains, its compiler, and Debian's package of that.
    toolchain: (&'static str, &'static str, &'static str),
}

pub(crate) const PLATFORMS: &[Platform] = &[
    Platform {
        name: "linux-amd64",
        processor: "amd64",
        is_musl: false,
        rust_target: "x86_64-unknown-linux-gnu",
        toolchain: ("", "", ""),
    },
    Platform {
        name: "linux-arm64",
        processor: "arm64",
        is_musl: false,
        rust_target: "aarch64-unknown-linux-gnu",
        toolchain: ("aarch64-linux-gnu", "aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    },
    Platform {
        name: "linux-arm",
        processor: "arm",
        is_musl: false,
        rust_target: "armv7-unknown-linux-gnueabihf",
        toolchain: ("arm-linux-gnueabihf", "arm-linux-gnueabihf-gcc", "gcc-arm-linux-gnueabihf"),
    },
    Platform {
        name: "linux-amd64-musl",
        processor: "amd64",
        is_musl: true,
        rust_target: "x86_64-unknown-linux-musl",
        toolchain: ("x86_64-linux-musl", "musl-gcc", "musl-tools"),
    },
];

/// An archive, and what goes with it.
pub(crate) struct Archive {
    pub(crate) platform: &'static Platform,
    /// libiotda.a.
    pub(crate) file: PathBuf,
    /// The licences of what is in it.
    pub(crate) licences: PathBuf,
    /// What a program links beside it: "-lm -lc".
    pub(crate) libraries: String,
}

/// Builds the archives of these platforms, or of all that this machine can build for. Those that it cannot are named.
pub(crate) fn collect(project: &Project, names: &[String]) -> Result<Vec<Archive>> {
    let mut archives = Vec::new();
    if let Some(unknown) = names.iter().find(|name| !PLATFORMS.iter().any(|platform| platform.name == **name)) {
        let known: Vec<&str> = PLATFORMS.iter().map(|platform| platform.name).collect();
        bail!("there is no platform \"{unknown}\": there are {}", known.join(", "));
    }
    for platform in
        PLATFORMS.iter().filter(|platform| names.is_empty() || names.iter().any(|name| name == platform.name))
    {
        match platform.lacks()? {
            Some(lacking) if names.is_empty() => eprintln!("warning: without {}: {lacking}", platform.name),
            Some(lacking) => bail!("{} cannot be built here: {lacking}", platform.name),
            None => archives.push(platform.build(project)?),
        }
    }
    ensure!(!archives.is_empty(), "this machine can build for none of the platforms");
    Ok(archives)
}

impl Platform {
    /// Whether it is what this program runs on.
    fn is_this_machine(&self) -> bool {
        !self.is_musl && self.rust_target.split('-').next() == Some(env::consts::ARCH)
    }

    /// What this machine lacks to build for it.
    fn lacks(&self) -> Result<Option<String>> {
        if self.is_this_machine() {
            return Ok(None);
        }
        let (_, compiler, package) = self.toolchain;
        if compiler.is_empty() || output(Command::new(compiler).arg("--version")).is_err() {
            return Ok(Some(format!("install its C compiler; on Debian: sudo apt-get install {package}")));
        }
        let libraries = output(Command::new("rustc").args(["--print", "target-libdir", "--target", self.rust_target]))?;
        if !fs::exists(libraries.trim())? {
            return Ok(Some(format!("install Rust's library for it: rustup target add {}", self.rust_target)));
        }
        Ok(None)
    }

    fn build(&'static self, project: &Project) -> Result<Archive> {
        let build = if self.is_this_machine() {
            package::build(project, "prefix", &[])?
        } else {
            let toolchain = project.path(&format!("cmake/toolchains/{}.cmake", self.toolchain.0));
            let toolchain = format!("-DCMAKE_TOOLCHAIN_FILE={}", toolchain.display());
            package::build(project, &format!("go-{}", self.name), &[&toolchain])?
        };
        let file = build.join("made/iotda.pc");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Libs.private: "));
        // An option for the linker is none that cgo lets a module give. It is for -static, which Go programs are rarely.
        let words = line.context("iotda.pc has no Libs.private")?.split(' ').filter(|word| word.starts_with("-l"));
        Ok(Archive {
            platform: self,
            file: build.join("libiotda.a"),
            licences: build.join("THIRD-PARTY.txt"),
            libraries: words.collect::<Vec<_>>().join(" "),
        })
    }

    /// Which programs it is for, as Go's build constraints say it.
    pub(crate) fn constraint(&self) -> String {
        format!("linux && {} && {}musl", self.processor, if self.is_musl { "" } else { "!" })
    }

    /// The name of its module as a Go package.
    pub(crate) fn package(&self) -> String {
        self.name.replace('-', "_")
    }
}
