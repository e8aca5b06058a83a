//! Installing the library as a package: header, libraries, CMake package, pkg-config files, licences.
//! The libraries are built by `package::library`.

mod library;

use crate::project::{Project, VERSION};
use crate::{process, provision};
use anyhow::{Context, Result, bail};
use library::Library;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What to install, and where.
pub(crate) struct Request {
    pub(crate) prefix: PathBuf,
    /// Features of crates/iotda-dist.
    pub(crate) features: Vec<String>,
    /// The cargo profile.
    pub(crate) profile: String,
}

/// Builds the library and installs it below the prefix.
pub(crate) fn install(project: &Project, request: &Request) -> Result<()> {
    provision::ensure(project, provision::FOR_PACKAGE)?;
    let library = library::build(project, request)?;
    let prefix = std::path::absolute(&request.prefix)?;
    let install = Install { project, prefix: &prefix, values: values(&library) };

    install.copy(&project.path("include/iotda.h"), "include/iotda.h")?;

    install.copy(&library.archive, "lib/libiotda.a")?;
    // The standard library is shipped with debug information, which is most of an archive's size.
    process::output(Command::new("strip").arg("--strip-debug").arg(prefix.join("lib/libiotda.a")))?;

    let full_name = format!("libiotda.so.{VERSION}");
    let soname = format!("libiotda.so.{}", env!("CARGO_PKG_VERSION_MAJOR"));
    install.copy(&library.shared, &format!("lib/{full_name}"))?;
    install.link(&full_name, &format!("lib/{soname}"))?;
    install.link(&soname, "lib/libiotda.so")?;

    install.fill_in("cmake/iotdaConfig.cmake.in", "lib/cmake/iotda/iotdaConfig.cmake")?;
    install.fill_in("cmake/iotdaConfigVersion.cmake.in", "lib/cmake/iotda/iotdaConfigVersion.cmake")?;
    install.fill_in("cmake/iotdaTargets.cmake.in", "lib/cmake/iotda/iotdaTargets.cmake")?;
    install.fill_in("cmake/iotda.pc.in", "lib/pkgconfig/iotda.pc")?;
    install.fill_in("cmake/iotda-static.pc.in", "lib/pkgconfig/iotda-static.pc")?;

    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        install.copy(&project.path(licence), &format!("share/doc/libiotda/{licence}"))?;
    }
    Ok(())
}

/// What the templates in cmake/ may name, as `@NAME@`.
fn values(library: &Library) -> Vec<(&'static str, String)> {
    let (major, minor) = (env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"));
    vec![
        ("VERSION", VERSION.to_owned()),
        ("VERSION_MAJOR", major.to_owned()),
        ("VERSION_MINOR", minor.to_owned()),
        ("POINTER_BYTES", size_of::<usize>().to_string()),
        ("NATIVE_LIBS", library.native_libs.join(" ")),
        ("NATIVE_LIBS_LIST", library.native_libs.join(";")),
    ]
}

/// One installation under way.
struct Install<'a> {
    project: &'a Project,
    prefix: &'a Path,
    values: Vec<(&'static str, String)>,
}

impl Install<'_> {
    fn copy(&self, from: &Path, to: &str) -> Result<()> {
        let to = self.place(to)?;
        fs::copy(from, &to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        Ok(())
    }

    fn link(&self, to: &str, name: &str) -> Result<()> {
        let name = self.place(name)?;
        symlink(to, &name).with_context(|| format!("cannot create {}", name.display()))
    }

    fn fill_in(&self, template: &str, to: &str) -> Result<()> {
        let path = self.project.path(template);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = fill_in(&text, &self.values).with_context(|| format!("in {template}"))?;
        let to = self.place(to)?;
        fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))
    }

    /// Where a file goes: its directory is made, and what a former installation left there removed.
    fn place(&self, relative: &str) -> Result<PathBuf> {
        let path = self.prefix.join(relative);
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot replace {}", path.display()))
            }
            _ => Ok(path),
        }
    }
}

/// Puts the values in the place of their names. A name that has no value is an error, so that no
/// template is ever installed half filled in.
fn fill_in(template: &str, values: &[(&str, String)]) -> Result<String> {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('@') {
        let Some((name, after)) = after.split_once('@') else { bail!("a lone @ in `{rest}`") };
        let value = values.iter().find(|(known, _)| *known == name);
        let (_, value) = value.with_context(|| format!("@{name}@ has no value"))?;
        text.push_str(before);
        text.push_str(value);
        rest = after;
    }
    Ok(text + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_their_values() {
        let values = [("A", "1".to_owned()), ("B", "two words".to_owned())];
        assert_eq!(fill_in("x @A@@B@ y", &values).unwrap(), "x 1two words y");
        assert_eq!(fill_in("nothing", &values).unwrap(), "nothing");
    }

    #[test]
    fn a_name_without_a_value_is_an_error() {
        assert_eq!(fill_in("@C@", &[]).unwrap_err().to_string(), "@C@ has no value");
        assert!(fill_in("a@b", &[]).is_err());
    }
}
