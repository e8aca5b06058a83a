//! Programs outside the repository that use libiotda: the installed and moved package in Debug and Release, static and
//! shared, by CMake and pkg-config, in C and C++; and the source tree as a part of a project. Each makes every call, and
//! every byte that arrives is compared.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail, ensure};
use iotda_platform::RequestRecord;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::program::{WARNINGS, is_linked};
use testkit::{
    GATEWAY, Package, Stand, VERSION, copy_files, forget_this_crate, path, process, report_path, scratch, target,
};

/// What tests/consumer/four_calls.c reports: the calls and their bodies.
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

mod debug {
    use super::*;

    #[test]
    fn linked_static() -> Result<()> {
        report("Debug", "static")
    }

    #[test]
    fn linked_shared() -> Result<()> {
        report("Debug", "shared")
    }
}

mod release {
    use super::*;

    #[test]
    fn linked_static() -> Result<()> {
        report("Release", "static")
    }

    #[test]
    fn linked_shared() -> Result<()> {
        report("Release", "shared")
    }
}

/// By CMake and by pkg-config, in C and in C++.
fn report(build_type: &str, linkage: &str) -> Result<()> {
    let package = Package::shipped()?;
    let source = source()?;
    let mut programs = with_cmake(&package, &source, build_type, linkage)?;
    programs.extend(with_pkg_config(&package, &source, build_type, linkage)?);
    let stand = Stand::start()?;
    for program in &programs {
        is_linked(program, linkage)?;
        let requests = stand.run(&mut package.command(program))?;
        arrived(&requests).with_context(|| format!("{} reported", program.display()))?;
    }
    Ok(())
}

/// A copy outside the repository, to be built as a user's project is.
fn source() -> Result<PathBuf> {
    let source = scratch()?.join("source");
    copy_files("crates/libiotda/tests/consumer", &source)?;
    Ok(source)
}

fn with_cmake(package: &Package, source: &Path, build_type: &str, linkage: &str) -> Result<Vec<PathBuf>> {
    let build = source.join("cmake");
    let options = [format!("-DCMAKE_BUILD_TYPE={build_type}"), format!("-DIOTDA_LINKAGE={linkage}")];
    package.cmake(source, &build, &options.each_ref().map(String::as_str))?;
    Ok(vec![build.join("four_calls_c"), build.join("four_calls_cpp")])
}

fn with_pkg_config(package: &Package, source: &Path, build_type: &str, linkage: &str) -> Result<Vec<PathBuf>> {
    let flags = package.flags(if linkage == "static" { "iotda-static" } else { "iotda" })?;
    let optimization: &[&str] = if build_type == "Debug" { &["-O0", "-g"] } else { &["-O2", "-DNDEBUG"] };
    let mut programs = Vec::new();
    for (compiler, language, standard) in [("cc", "c", "-std=c11"), ("c++", "c++", "-std=c++17")] {
        let program = source.join(format!("pkg-config-{language}"));
        let mut compile = Command::new(compiler);
        compile.args(optimization).arg(standard).args(WARNINGS).arg("-o").arg(&program);
        compile.args(["-x", language]).arg(source.join("four_calls.c")).args(["-x", "none"]);
        process::output(compile.args(&flags))?;
        programs.push(program);
    }
    Ok(programs)
}

/// Where only libiotda.a is installed, `pkg-config --static` gives all that is to be linked; with -static too.
#[test]
fn static_archive_alone() -> Result<()> {
    let (whole, source, stand) = (Package::shipped()?, source()?, Stand::start()?);
    let package = Package { prefix: scratch()?.join("prefix") };
    for file in ["include/iotda.h", "lib/libiotda.a", "lib/pkgconfig/iotda.pc"] {
        let to = package.file(file);
        fs::create_dir_all(to.parent().context("a file is in a directory")?)?;
        fs::copy(whole.file(file), to)?;
    }
    let flags = package.pkg_config(&["--static", "--cflags", "--libs", "iotda"])?;
    for linkage in ["-pie", "-static", "-static-libgcc"] {
        let program = source.join(format!("static-alone{linkage}"));
        let mut compile = Command::new("cc");
        compile.args(["-O2", linkage, "-o"]).arg(&program).arg(source.join("four_calls.c"));
        process::output(compile.args(&flags))?;
        arrived(&stand.run(&mut Command::new(&program))?).with_context(|| format!("{} reported", program.display()))?;
    }
    Ok(())
}

fn arrived(requests: &[RequestRecord]) -> Result<()> {
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

/// By default a program leaves out what it does not call; not if the project wants otherwise, nor where the linker does not
/// know how.
#[test]
fn sections_that_nothing_calls_are_left_out() -> Result<()> {
    let (package, project) = (Package::shipped()?, scratch()?);
    let text = "cmake_minimum_required(VERSION 3.18)\nproject(one_call LANGUAGES C)\nfind_package(iotda CONFIG REQUIRED)\n\
                find_package(iotda CONFIG REQUIRED)\nadd_executable(one_call one_call.c)\n\
                target_link_libraries(one_call PRIVATE iotda::iotda)\n";
    fs::write(project.join("CMakeLists.txt"), text)?;
    let call = "#include <iotda.h>\nint main(void) { return iotda_auth(NULL, NULL) == IOTDA_OK; }\n";
    fs::write(project.join("one_call.c"), call)?;
    // Of a linker without it, the compiler says so.
    let compiler = project.join("cc-without");
    fs::write(&compiler, "#!/bin/sh\ncase \"$*\" in *gc-sections*) exit 1 ;; esac\nexec cc \"$@\"\n")?;
    process::output(Command::new("chmod").arg("+x").arg(&compiler))?;
    let without = format!("-DCMAKE_C_COMPILER={}", compiler.display());
    let mut sizes = Vec::new();
    for (name, option) in [("default", None), ("off", Some("-DIOTDA_GC_SECTIONS=OFF")), ("without", Some(&*without))] {
        let build = project.join(name);
        let options: Vec<&str> = ["-DCMAKE_BUILD_TYPE=Release"].into_iter().chain(option).collect();
        package.cmake(&project, &build, &options)?;
        let commands = fs::read_to_string(build.join("build.ninja"))?;
        // Once, though the package was looked for twice.
        let count = commands.matches("-Wl,--gc-sections").count();
        ensure!(count == usize::from(name == "default"), "{name}: the linker is given --gc-sections {count} times");
        let program = build.join("one_call");
        process::output(Command::new("strip").arg(&program))?;
        sizes.push(fs::metadata(&program)?.len());
    }
    ensure!(sizes[0] + 100_000 < sizes[1] && sizes[1] == sizes[2], "the programs have {sizes:?} bytes");
    Ok(())
}

/// What a project asks for by version and components is what `iotda::iotda` then is.
#[test]
fn components_are_found() -> Result<()> {
    let (package, project) = (Package::shipped()?, scratch()?);
    let (release, _) = VERSION.rsplit_once('.').context("the version has no dot")?;
    for (request, linkage) in [
        (&*format!("{release} CONFIG REQUIRED"), "static"),
        (&format!("{VERSION} EXACT CONFIG REQUIRED COMPONENTS static"), "static"),
        ("CONFIG REQUIRED COMPONENTS shared", "shared"),
        ("CONFIG REQUIRED COMPONENTS static shared", "static"),
        ("CONFIG REQUIRED OPTIONAL_COMPONENTS other", "static"),
    ] {
        let text = format!(
            "cmake_minimum_required(VERSION 3.16)\nproject(components LANGUAGES C)\nfind_package(iotda {request})\n\
             get_target_property(is iotda::iotda INTERFACE_LINK_LIBRARIES)\n\
             if(NOT is STREQUAL \"iotda::{linkage}\" OR NOT iotda_VERSION VERSION_EQUAL {VERSION})\n\
             message(FATAL_ERROR \"${{is}} ${{iotda_VERSION}}\")\nendif()\n"
        );
        fs::write(project.join("CMakeLists.txt"), text)?;
        let build = project.join("build");
        package.cmake(&project, &build, &[]).with_context(|| format!("find_package(iotda {request})"))?;
        fs::remove_dir_all(&build)?;
    }
    Ok(())
}

/// A version that is not compatible, and a linkage that does not exist, are refused at configure time.
#[test]
fn unsuitable_requests_fail() -> Result<()> {
    let (package, project) = (Package::shipped()?, scratch()?);
    let numbers: Vec<u32> = VERSION.split('.').map(str::parse).collect::<Result<_, _>>()?;
    let [major, minor, _] = numbers[..] else { bail!("the version is {VERSION}") };
    for (number, find, expected) in [
        (0, &*format!("find_package(iotda {major}.{} CONFIG REQUIRED)", minor + 1), "compatible"),
        (1, &format!("find_package(iotda {} CONFIG REQUIRED)", major + 1), "compatible"),
        (2, "find_package(iotda 0.0.9 CONFIG REQUIRED)", "compatible"),
        (3, "find_package(iotda CONFIG REQUIRED COMPONENTS other)", "no component \"other\""),
        (4, "set(IOTDA_LINKAGE dynamic)\nfind_package(iotda CONFIG REQUIRED)", "IOTDA_LINKAGE"),
    ] {
        let text = format!("cmake_minimum_required(VERSION 3.16)\nproject(unsuitable LANGUAGES C)\n{find}\n");
        fs::write(project.join("CMakeLists.txt"), text)?;
        match package.cmake(&project, &project.join(format!("build-{number}")), &[]) {
            Ok(()) => bail!("this should be refused: {find}"),
            Err(error) => ensure!(error.to_string().contains(expected), "{find}: refused otherwise: {error}"),
        }
    }
    Ok(())
}

mod source_tree {
    use super::*;

    #[test]
    fn release_static() -> Result<()> {
        built_as_a_part(&["-DCMAKE_BUILD_TYPE=Release", "-DIOTDA_LINKAGE=static"], "static", false)
    }

    #[test]
    fn with_debug_information() -> Result<()> {
        built_as_a_part(&["-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DIOTDA_LINKAGE=static"], "static", true)
    }

    #[test]
    fn release_shared() -> Result<()> {
        built_as_a_part(&["-DCMAKE_BUILD_TYPE=Release", "-DIOTDA_LINKAGE=shared"], "shared", false)
    }

    #[test]
    fn debug_by_subdirectory() -> Result<()> {
        built_as_a_part(&["-DCMAKE_BUILD_TYPE=Debug", "-DBY_SUBDIRECTORY=ON"], "static", true)
    }

    #[test]
    fn unknown_linkage_is_refused() -> Result<()> {
        is_refused(&["-DIOTDA_LINKAGE=dynamic"], "it takes \"static\" or \"shared\"")
    }

    #[test]
    fn without_cargo_it_says_how_to_get_it() -> Result<()> {
        let options = [
            "-DCMAKE_PROGRAM_PATH=/nowhere",
            "-DCMAKE_FIND_USE_SYSTEM_ENVIRONMENT_PATH=OFF",
            "-DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF",
            "-DCMAKE_C_COMPILER=/usr/bin/cc",
            "-DCMAKE_MAKE_PROGRAM=ninja",
        ];
        is_refused(&options, "sudo apt-get install cargo")
    }
}

/// A project that takes in the source tree, by FetchContent or by add_subdirectory.
fn built_as_a_part(options: &[&str], linkage: &str, has_debug: bool) -> Result<()> {
    let build = configured(options)?;
    let mut make = Command::new("cmake");
    forget_this_crate(&mut make);
    process::output(make.arg("--build").arg(&build))?;
    let program = build.join("four_calls");
    is_linked(&program, linkage)?;
    // The shared library always is linked so.
    let links = fs::read_to_string(build.join("build.ninja"))?.matches("-Wl,--gc-sections").count();
    ensure!(links == if linkage == "static" { 2 } else { 1 }, "{links} links leave out what is not called");
    let sections = process::output(Command::new("readelf").arg("-SW").arg(&program))?;
    // The program itself is compiled without -g in Release.
    ensure!(sections.contains(".debug_line") == has_debug, "debug information is not as asked for");
    arrived(&Stand::start()?.run(&mut Command::new(&program))?)?;
    // Only the project's own program is installed with it.
    let prefix = build.join("prefix");
    process::output(Command::new("cmake").arg("--install").arg(&build).arg("--prefix").arg(&prefix))?;
    ensure!(prefix.join("bin/four_calls").exists() && !prefix.join("lib").exists(), "libiotda was installed too");
    Ok(())
}

fn is_refused(options: &[&str], expected: &str) -> Result<()> {
    match configured(options) {
        Ok(_) => bail!("this should be refused: {options:?}"),
        Err(error) => ensure!(error.to_string().contains(expected), "{options:?}: refused otherwise: {error}"),
    }
    Ok(())
}

/// Configures a copy of tests/source_tree. Returns the build directory.
fn configured(options: &[&str]) -> Result<PathBuf> {
    let source = scratch()?.join("source");
    copy_files("crates/libiotda/tests/source_tree", &source)?;
    fs::copy(path("crates/libiotda/tests/consumer/four_calls.c"), source.join("four_calls.c"))?;
    let build = source.join("build");
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(&source).arg("-B").arg(&build).args(["-G", "Ninja"]).args(options);
    configure.arg(format!("-DIOTDA_SOURCE={}", path("").display()));
    // What the package was built with need not be built again.
    configure.arg(format!("-DIOTDA_CARGO_TARGET_DIR={}", target().join("package/cargo").display()));
    process::output(&mut configure)?;
    Ok(build)
}
