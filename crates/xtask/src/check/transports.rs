//! The programs of examples/c/transport: reports over sockets of a program's own, and over its own TLS.

use super::installed::{self, cmake};
use super::stand::{GATEWAY, SECRET, Stand};
use super::suite::valgrind;
use crate::project::Project;
use anyhow::{Result, ensure};
use std::process::Command;

const DIR: &str = "check/transports";

pub(super) fn check(project: &Project) -> Result<()> {
    let build = project.empty_dir(DIR)?.join("build");
    let options = ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror"];
    cmake(&project.path("examples/c/transport"), &build, &installed::prefix(project), &options)?;
    for (name, body) in [("poll_transport", "by poll"), ("openssl_transport", "by OpenSSL")] {
        let program = build.join(name);
        ensure!(program.exists(), "{name} was not built: CMake did not find the development files of OpenSSL");
        let stand = Stand::start(&project.target().join(DIR))?;
        let mut checked = valgrind(project);
        checked.arg(&program);
        for mut command in [Command::new(&program), checked] {
            command.args([stand.platform.url(), GATEWAY, SECRET]).arg(&stand.ca_file);
            let requests = stand.run(&mut command)?;
            let messages = requests.iter().filter(|request| request.body == body.as_bytes()).count();
            ensure!(messages == 3, "{messages} messages of {name} instead of 3");
            let connections =
                requests.iter().map(|request| request.connection).collect::<std::collections::BTreeSet<_>>();
            ensure!(connections.len() == 1, "{name} used {} connections instead of one", connections.len());
        }
        refuses_another_authority(&mut Command::new(&program))?;
        println!("   {name}");
    }
    Ok(())
}

/// A transport that does TLS itself must verify as the library does.
fn refuses_another_authority(program: &mut Command) -> Result<()> {
    let dir = program.get_program().to_owned();
    let dir = std::path::Path::new(&dir).parent().unwrap_or(std::path::Path::new("."));
    let (stand, other) = (Stand::start(dir)?, Stand::start(dir)?);
    let output = program.args([stand.platform.url(), GATEWAY, SECRET]).arg(&other.ca_file).output()?;
    ensure!(!output.status.success(), "it reported to a platform that it has no reason to trust");
    ensure!(stand.platform.requests().is_empty(), "it sent a request before it verified the certificate");
    Ok(())
}
