//! Programs outside the repository that use the installed and moved package: Debug and Release, static and
//! shared, CMake and pkg-config, C and C++. Each makes every call, and every byte that arrives is compared.

use super::installed::{self, cmake};
use super::stand::{GATEWAY, Stand, report_path};
use crate::process;
use crate::project::Project;
use anyhow::{Context, Result, bail, ensure};
use iotda_platform::RequestRecord;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What crates/libiotda/tests/consumer/four_calls.c reports: the calls and their bodies.
const REPORTS: &[(&str, &[u8])] = &[
    (
        "properties/report",
        "{\"services\":[{\"service_id\":\"serviceId\",\"properties\":{\"Height\":124,\"Speed\":23.24,\"Up\":true,\
         \"Place\":\"\\\"Büro\\\"\\n\",\"Raw\":[12345678901234567890123, 1e400]},\
         \"event_time\":\"2021-08-13T10:10:10.555Z\"}]}"
            .as_bytes(),
    ),
    (
        "properties/report",
        b"{ \"services\" : [ {\"service_id\":\"s\",\"properties\":{\"n\":0.10000000000000000000001}} ] }",
    ),
    ("messages/up", b"a\0b\xff"),
    (
        "gateway/sub-devices/properties/report",
        b"{\"devices\":[{\"device_id\":\"deviceId_0001\",\"services\":[{\"service_id\":\"serviceId\",\
          \"properties\":{\"Height\":124},\"event_time\":\"2021-08-13T10:10:10.555Z\"},\
          {\"service_id\":\"other\",\"properties\":{}}]},\
          {\"device_id\":\"deviceId_0002\",\"services\":[{\"service_id\":\"serviceId\",\
          \"properties\":{\"Height\":124},\"event_time\":\"2021-08-13T10:10:10.555Z\"}]}]}",
    ),
    (
        "gateway/sub-devices/properties/report",
        b"{\"devices\":[{\"device_id\":\"deviceId_0003\",\"services\":\
          [{\"service_id\":\"s\",\"properties\":{ \"a\":1}}]}]}\n",
    ),
];

pub(super) fn check(project: &Project) -> Result<()> {
    let prefix = installed::prefix(project);
    let source = installed::copy_of(project, "consumer", "check/consumer")?;
    let stand = Stand::start(&source)?;
    for build_type in ["Debug", "Release"] {
        for linkage in ["static", "shared"] {
            let mut programs = with_cmake(&source, &prefix, build_type, linkage)?;
            programs.extend(with_pkg_config(&source, &prefix, build_type, linkage)?);
            for program in &programs {
                linked_as(program, linkage)?;
                let mut command = Command::new(program);
                command.env("LD_LIBRARY_PATH", prefix.join("lib"));
                let requests = stand.run(&mut command)?;
                arrived(&requests).with_context(|| format!("{} reported", program.display()))?;
            }
            println!("   {build_type}, {linkage}: CMake and pkg-config, C and C++");
        }
    }
    with_static_archive_alone(project, &source, &stand)?;
    components_are_found(&source, &prefix)?;
    unsuitable_requests_fail(&source, &prefix)
}

fn with_cmake(source: &Path, prefix: &Path, build_type: &str, linkage: &str) -> Result<Vec<PathBuf>> {
    let build = source.join(format!("cmake-{build_type}-{linkage}"));
    let (build_type, linkage) = (format!("-DCMAKE_BUILD_TYPE={build_type}"), format!("-DIOTDA_LINKAGE={linkage}"));
    cmake(source, &build, prefix, &[&build_type, &linkage])?;
    Ok(vec![build.join("four_calls_c"), build.join("four_calls_cpp")])
}

fn with_pkg_config(source: &Path, prefix: &Path, build_type: &str, linkage: &str) -> Result<Vec<PathBuf>> {
    let module = if linkage == "static" { "iotda-static" } else { "iotda" };
    let mut pkg_config = Command::new("pkg-config");
    pkg_config.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).args(["--cflags", "--libs", module]);
    let flags = process::output(&mut pkg_config)?;
    let optimization: &[&str] = if build_type == "Debug" { &["-O0", "-g"] } else { &["-O2", "-DNDEBUG"] };
    let mut programs = Vec::new();
    for (compiler, language, standard) in [("cc", "c", "-std=c11"), ("c++", "c++", "-std=c++17")] {
        let program = source.join(format!("pkg-config-{build_type}-{linkage}-{language}"));
        let mut compile = Command::new(compiler);
        compile.args(optimization).args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o"]).arg(&program);
        compile.args(["-x", language]).arg(source.join("four_calls.c")).args(["-x", "none"]);
        process::output(compile.args(flags.split_whitespace()))?;
        programs.push(program);
    }
    Ok(programs)
}

/// Where only libiotda.a is installed, `pkg-config --static` gives all that is to be linked; with -static too.
fn with_static_archive_alone(project: &Project, source: &Path, stand: &Stand) -> Result<()> {
    let prefix = project.empty_dir("check/static-alone")?;
    for file in ["include/iotda.h", "lib/libiotda.a", "lib/pkgconfig/iotda.pc"] {
        let to = prefix.join(file);
        std::fs::create_dir_all(to.parent().context("a file is in a directory")?)?;
        std::fs::copy(installed::prefix(project).join(file), to)?;
    }
    let mut pkg_config = Command::new("pkg-config");
    pkg_config.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).args(["--static", "--cflags", "--libs", "iotda"]);
    let flags = process::output(&mut pkg_config)?;
    for linkage in ["-pie", "-static", "-static-libgcc"] {
        let program = source.join(format!("static-alone{linkage}"));
        let mut compile = Command::new("cc");
        compile.args(["-O2", linkage, "-o"]).arg(&program).arg(source.join("four_calls.c"));
        process::output(compile.args(flags.split_whitespace()))?;
        arrived(&stand.run(&mut Command::new(&program))?).with_context(|| format!("{} reported", program.display()))?;
    }
    println!("   pkg-config --static where there is only the archive, also with -static");
    Ok(())
}

/// A program has the library in it, or asks for the shared one.
pub(super) fn linked_as(program: &Path, linkage: &str) -> Result<()> {
    let dynamic = process::output(Command::new("readelf").arg("-d").arg(program))?;
    let shared = dynamic.contains("[libiotda.so.1]");
    ensure!(shared == (linkage == "shared"), "{} is not linked {linkage}:\n{dynamic}", program.display());
    Ok(())
}

pub(super) fn arrived(requests: &[RequestRecord]) -> Result<()> {
    let [auth, reports @ ..] = requests else { bail!("nothing") };
    authentication(auth)?;
    ensure!(reports.len() == REPORTS.len(), "{} reports instead of {}", reports.len(), REPORTS.len());
    for (request, (call, body)) in reports.iter().zip(REPORTS) {
        ensure!(request.target == report_path(GATEWAY, call), "to {} instead of {call}", request.target);
        ensure!(
            request.body == *body,
            "{}\ninstead of\n{}",
            String::from_utf8_lossy(&request.body),
            String::from_utf8_lossy(body)
        );
        let type_header = ("content-type".to_owned(), "application/json".to_owned());
        ensure!(request.headers.contains(&type_header), "without the content type: {:?}", request.headers);
    }
    Ok(())
}

/// The page's four members and no more. That the password is right, the platform has found.
fn authentication(request: &RequestRecord) -> Result<()> {
    ensure!(request.target == "/v5/device-auth", "without authenticating: {}", request.target);
    ensure!(request.headers.iter().all(|(name, _)| name != "access_token"), "a token before there is one");
    let body: Value = serde_json::from_slice(&request.body)?;
    let length = |name: &str| body[name].as_str().map(str::len);
    ensure!(
        body.as_object().map(serde_json::Map::len) == Some(4)
            && body["device_id"] == GATEWAY
            && body["sign_type"] == 0
            && length("timestamp") == Some(10)
            && length("password") == Some(64),
        "an authentication of another form: {body}"
    );
    Ok(())
}

/// What a project asks for by version and components is what `iotda::iotda` then is.
fn components_are_found(source: &Path, prefix: &Path) -> Result<()> {
    let project = source.join("components");
    std::fs::create_dir_all(&project)?;
    for (request, linkage) in [
        ("0.1 CONFIG REQUIRED", "static"),
        ("0.1.0 EXACT CONFIG REQUIRED COMPONENTS static", "static"),
        ("CONFIG REQUIRED COMPONENTS shared", "shared"),
        ("CONFIG REQUIRED COMPONENTS static shared", "static"),
        ("CONFIG REQUIRED OPTIONAL_COMPONENTS other", "static"),
    ] {
        let text = format!(
            "cmake_minimum_required(VERSION 3.16)\nproject(components LANGUAGES C)\nfind_package(iotda {request})\n\
             get_target_property(is iotda::iotda INTERFACE_LINK_LIBRARIES)\n\
             if(NOT is STREQUAL \"iotda::{linkage}\" OR NOT iotda_VERSION VERSION_EQUAL 0.1.0)\n\
             message(FATAL_ERROR \"${{is}} ${{iotda_VERSION}}\")\nendif()\n"
        );
        std::fs::write(project.join("CMakeLists.txt"), text)?;
        let build = project.join("build");
        cmake(&project, &build, prefix, &[]).with_context(|| format!("find_package(iotda {request})"))?;
        std::fs::remove_dir_all(&build)?;
    }
    Ok(())
}

/// A version that is not compatible, and a linkage that does not exist, are refused at configure time.
fn unsuitable_requests_fail(source: &Path, prefix: &Path) -> Result<()> {
    let project = source.join("unsuitable");
    std::fs::create_dir_all(&project)?;
    for (number, find, expected) in [
        (0, "find_package(iotda 0.2 CONFIG REQUIRED)", "compatible"),
        (1, "find_package(iotda 1 CONFIG REQUIRED)", "compatible"),
        (2, "find_package(iotda 0.0.9 CONFIG REQUIRED)", "compatible"),
        (3, "find_package(iotda CONFIG REQUIRED COMPONENTS other)", "no component \"other\""),
        (4, "set(IOTDA_LINKAGE dynamic)\nfind_package(iotda CONFIG REQUIRED)", "IOTDA_LINKAGE"),
    ] {
        let text = format!("cmake_minimum_required(VERSION 3.16)\nproject(unsuitable LANGUAGES C)\n{find}\n");
        std::fs::write(project.join("CMakeLists.txt"), text)?;
        match cmake(&project, &project.join(format!("build-{number}")), prefix, &[]) {
            Ok(()) => bail!("this should be refused: {find}"),
            Err(error) => ensure!(error.to_string().contains(expected), "{find}: refused otherwise: {error}"),
        }
    }
    Ok(())
}
