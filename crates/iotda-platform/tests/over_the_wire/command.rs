//! The command, as a program that starts it sees it.

use crate::device::Connection;
use crate::inspection::{call, raw};
use crate::program::{Directory, command, ready, start};
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn fails(arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = command().args(arguments).output().expect("the command runs");
    assert!(!status.success(), "{arguments:?}");
    String::from_utf8(stderr).expect("text")
}

#[test]
fn it_says_what_a_client_needs_and_ends_with_its_input() {
    let (mut child, values) = start(&[]);
    assert!(values["IOTDA_ENDPOINT"].starts_with("https://127.0.0.1:"), "{values:?}");
    assert_eq!(
        (values["IOTDA_DEVICE_ID"].as_str(), values["IOTDA_DEVICE_SECRET"].as_str()),
        ("demo_device", "demo-secret")
    );
    assert_eq!(values["IOTDA_GATEWAY_ID"], "demo_gateway");
    let ca_file = PathBuf::from(&values["IOTDA_CA_FILE"]);
    assert!(std::fs::read_to_string(&ca_file).expect("a certificate").starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(call(&values["IOTDA_INSPECT"], "GET", "/counters", "").1["requests"], 0);
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
    assert!(!ca_file.exists());
}

#[cfg(unix)]
#[test]
fn it_ends_on_signals() {
    for signal in ["-TERM", "-INT", "-HUP"] {
        let (mut child, _) = start(&[]);
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
        assert!(child.wait().expect("it ends").success(), "{signal}");
    }
}

#[test]
fn devices_and_gateways_of_the_command_line() {
    let directory = Directory::new("devices");
    let ca_file = directory.0.join("the ca.pem");
    let ca_text = ca_file.to_str().expect("a path that is text");
    let (mut child, values) =
        start(&["--device", "a=x=y", "--gateway", "b=it's", "--ca-out", ca_text, "--token-lifetime", "60"]);
    assert_eq!((values["IOTDA_DEVICE_ID"].as_str(), values["IOTDA_DEVICE_SECRET"].as_str()), ("a", "x=y"));
    assert_eq!((values["IOTDA_GATEWAY_ID"].as_str(), values["IOTDA_GATEWAY_SECRET"].as_str()), ("b", r"'it'\''s'"));
    assert_eq!(values["IOTDA_CA_FILE"], format!("'{ca_text}'"));
    let (_, devices) = call(&values["IOTDA_INSPECT"], "GET", "/devices", "");
    assert_eq!(devices.as_array().map(Vec::len), Some(2));
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
    assert!(ca_file.exists());
}

#[test]
fn a_registry_file_is_used_and_its_errors_are_said() {
    let directory = Directory::new("registry");
    let file = directory.0.join("registry.toml");
    let path = file.to_str().expect("a path that is text");
    std::fs::write(&file, "[[device]]\nid = \"only\"\nsecret = \"s\"\n").expect("a file");
    let (mut child, values) = start(&["--registry", path]);
    assert_eq!(values["IOTDA_DEVICE_ID"], "only");
    assert!(!values.contains_key("IOTDA_GATEWAY_ID"));
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());

    std::fs::write(&file, "[[device]]\nid = \"only\"\nproduct = \"none\"\n").expect("a file");
    let error = fails(&["--registry", path]);
    assert!(error.contains(path) && error.contains("line 2") && error.contains("\"none\""), "{error}");
}

#[test]
fn a_scenario_is_armed_and_its_errors_are_said() {
    let directory = Directory::new("scenario");
    let file = directory.0.join("scenario.toml");
    let path = file.to_str().expect("a path that is text");
    std::fs::write(&file, "[[fault]]\nkind = \"drip\"\nevery_ms = 5\non = \"auth\"\n").expect("a file");
    let (mut child, values) = start(&["--scenario", path, "--narrow-window"]);
    let (_, faults) = call(&values["IOTDA_INSPECT"], "GET", "/faults", "");
    assert_eq!((&faults[0]["kind"], &faults[0]["hits"]), (&"drip".into(), &0.into()));
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());

    std::fs::write(&file, "[[fault]]\nkind = \"drip\"\n").expect("a file");
    let error = fails(&["--scenario", path]);
    assert!(error.contains(path) && error.contains("line 1") && error.contains("every_ms"), "{error}");
}

#[test]
fn mistakes_are_said() {
    assert!(fails(&["--device", "a"]).contains("ID=SECRET"));
    assert!(fails(&["--device", "a=@/nowhere/secret"]).contains("/nowhere/secret"));
    assert!(fails(&["--listen", "nowhere"]).contains("--listen nowhere"));
    // clap takes an escape sequence out where it is built with colours, as for the command `iotda`.
    let hostile = fails(&["--device", "\u{1b}[2J\u{202e}\u{9b}"]);
    assert!(hostile.contains("\\u{202e}\\u{9b}"), "{hostile:?}");
    assert!(hostile.chars().all(|it| it == '\n' || !(it.is_control() || it == '\u{202e}')), "{hostile:?}");
    assert!(fails(&["--device", "a b=s"]).contains("is no device ID"));
    assert!(fails(&["--inspect", "0.0.0.0:0"]).contains("loopback"));
    assert!(fails(&["--ca-out", "/nowhere/ca.pem"]).contains("--ca-out"));
    assert!(fails(&["--record", "/nowhere/record"]).contains("/nowhere/record"));
}

/// Makes a request of the inspection API's own kind to the platform's port for devices: a handshake that fails.
fn fail_a_handshake(values: &HashMap<String, String>) {
    let address = values["IOTDA_ENDPOINT"].trim_start_matches("https://");
    let mut tcp = std::net::TcpStream::connect(address).expect("a connection");
    std::io::Write::write_all(&mut tcp, b"GET / HTTP/1.1\r\n\r\n").expect("it is written");
    while call(&values["IOTDA_INSPECT"], "GET", "/counters", "").1["handshakes_failed"] == 0 {}
}

#[cfg(unix)]
#[test]
fn its_lines_say_what_was_refused_and_its_end_how_many_came() {
    for (arguments, code, has_lines) in [
        (&["--fail-on-refusal"][..], Some(3), true),
        (&["--quiet", "--fail-on-refusal"], Some(3), false),
        (&[], Some(0), true),
    ] {
        let mut child = command().args(arguments).spawn().expect("the command starts");
        let mut values = HashMap::new();
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        while let Some((key, value)) = lines.next().expect("a line").expect("text").split_once('=') {
            values.insert(key.to_owned(), value.to_owned());
        }
        fail_a_handshake(&values);
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs").success());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), code, "{arguments:?}");
        let text = String::from_utf8(output.stderr).expect("text");
        assert_eq!(text.contains(" - handshake - refused: the TLS handshake has failed"), has_lines, "{text}");
        assert_eq!(
            text.contains("0 requests: 0 authentications, 0 reports, 0 refused, 1 handshakes failed"),
            has_lines
        );
    }
}

#[test]
fn secrets_come_from_a_file_or_the_environment() {
    let directory = Directory::new("secrets");
    let file = directory.0.join("secret");
    std::fs::write(&file, "of-a-file\n").expect("a file");
    let device = format!("a=@{}", file.to_str().expect("a path that is text"));
    let mut child = command()
        .args(["--exit-with-stdin", "--device", &device, "--gateway", "b", "--listen", "localhost:0"])
        .env("IOTDA_GATEWAY_SECRET", "of-the-environment")
        .spawn()
        .expect("the command starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "IOTDA_DEVICE_SECRET=of-a-file"));
    assert!(lines.any(|line| line == "IOTDA_GATEWAY_SECRET=of-the-environment"));
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}

/// Each option does what it says, and two runs with the same ones are the same to a device.
#[test]
fn options_of_a_run_that_is_to_be_repeated() {
    let directory = Directory::new("options");
    let text = |path: PathBuf| path.to_str().expect("a path that is text").to_owned();
    let model =
        r#"{"service_capabilities":[{"service_id":"s","properties":[{"property_name":"T","data_type":"int"}]}]}"#;
    let model = format!("p={}", text(directory.write("model.json", model)));
    let key = text(directory.write("server.pem", crate::connections::RSA_KEY));
    let (authority, ca_file) = (text(directory.0.join("authority.pem")), text(directory.0.join("ca.pem")));
    let mut runs = Vec::new();
    for _ in 0..2 {
        let (mut child, values) = start(
            &[
                ["--ca-in", &authority],
                ["--ca-out", &ca_file],
                ["--server-key", &key],
                ["--server-name", "board.example"],
                ["--token-seed", "7"],
                ["--stop-clock-at", "1575315000250"],
                ["--product-model", &model],
                ["--device", "p_1=secret"],
                ["--inspect-host", "proxy.example"],
                ["--max-records", "3"],
                ["--strict-model", "--demo-registry"],
            ]
            .concat(),
        );
        let inspect = &values["IOTDA_INSPECT"];
        let clock = call(inspect, "GET", "/clock", "").1;
        assert_eq!((&clock["now_ms"], &clock["stopped"]), (&1_575_315_000_250_u64.into(), &true.into()));
        for (host, status) in [("proxy.example", 200), ("other.example", 403)] {
            let request = format!("GET /clock HTTP/1.0\r\nHost: {host}\r\n\r\n");
            assert_eq!(raw(inspect, &request).0, status, "{host}");
        }
        let devices = call(inspect, "GET", "/devices", "").1;
        let devices: Vec<_> = devices.as_array().expect("a list").iter().map(|it| it["device_id"].as_str()).collect();
        assert!(devices.contains(&Some("demo_device")) && devices.contains(&Some("p_1")), "{devices:?}");
        let ca = std::fs::read_to_string(&ca_file).expect("a certificate");
        let address = values["IOTDA_ENDPOINT"].trim_start_matches("https://");
        let config = crate::connections::tls_of_rsa(&ca);
        let mut connection = Connection::open_at_with(address, config, "board.example");
        let token = connection.token("p_1");
        let report = |value| format!(r#"{{"services":[{{"service_id":"s","properties":{{"T":{value}}}}}]}}"#);
        for (value, status) in [("1", 200), ("\"1\"", 400), ("2", 200), ("3", 200)] {
            assert_eq!(connection.properties("p_1", &token, &report(value)).status, status, "{value}");
        }
        assert_eq!(call(inspect, "GET", "/requests", "").1.as_array().map(Vec::len), Some(3));
        runs.push((ca, token));
        drop(child.stdin.take());
        assert!(child.wait().expect("it ends").success());
    }
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn a_product_model_is_used() {
    let directory = Directory::new("model");
    let file = directory.0.join("model.json");
    let model =
        r#"{"service_capabilities":[{"service_id":"s","properties":[{"property_name":"T","data_type":"int"}]}]}"#;
    std::fs::write(&file, model).expect("a file");
    let argument = format!("p={}", file.to_str().expect("a path that is text"));
    let (mut child, values) = start(&["--product-model", &argument, "--device", "p_n=secret-of-it", "--device", "q=s"]);
    let (_, devices) = call(&values["IOTDA_INSPECT"], "GET", "/devices", "");
    assert_eq!((&devices[0]["product_id"], &devices[1]["product_id"]), (&"p".into(), &serde_json::Value::Null));
    let (_, products) = call(&values["IOTDA_INSPECT"], "GET", "/products", "");
    assert_eq!(products[0]["services"]["s"]["T"], "int");
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
    assert!(fails(&["--product-model", "p=/nowhere/model"]).contains("/nowhere/model"));
}

#[cfg(unix)]
#[test]
fn its_files_are_for_their_owner_and_no_link_is_followed() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let directory = Directory::new("files");
    let path = |name: &str| directory.0.join(name);
    let text = |name: &str| path(name).to_str().expect("a path that is text").to_owned();
    std::fs::write(path("precious"), "precious").expect("a file");
    symlink(path("precious"), path("ca.pem")).expect("a link");
    let arguments = ["--ca-out", &text("ca.pem"), "--record", &text("reports"), "--record-requests", &text("requests")];
    let (mut child, values) = start(&arguments);
    assert_eq!(std::fs::read_to_string(path("precious")).as_deref().ok(), Some("precious"));
    for name in ["ca.pem", "reports", "requests"] {
        let metadata = std::fs::symlink_metadata(path(name)).expect("a file");
        assert!(metadata.is_file() && metadata.permissions().mode() & 0o777 == 0o600, "{name}: {metadata:?}");
    }
    assert_eq!(std::fs::read_dir(&directory.0).expect("a directory").count(), 4);
    drop((child.stdin.take(), values));
    assert!(child.wait().expect("it ends").success());
}

/// More silent connections than the process may have descriptors, by far: whoever has something to report is served all
/// the same, over a connection that was there before them and over a new one.
#[cfg(target_os = "linux")]
#[test]
fn silent_connections_make_way_at_the_limit_of_descriptors() {
    for silent_ones in ["IOTDA_ENDPOINT", "IOTDA_INSPECT"] {
        let directory = Directory::new("descriptors");
        let ca = directory.0.join("ca.pem");
        let mut child = Command::new("sh")
            .args(["-c", "ulimit -n 200; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_iotda-platform")])
            .args(["--exit-with-stdin", "--device", "device=secret", "--ca-out", ca.to_str().expect("text")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let values = ready(&mut child);
        let address = |name: &str| values[name].rsplit('/').next().expect("an address").to_owned();
        let endpoint = address("IOTDA_ENDPOINT");
        let ca = std::fs::read_to_string(&ca).expect("a certificate");
        let mut busy = Connection::open_at(&endpoint, &ca);
        let token = busy.token("device");
        let mut silent = Vec::new();
        for _ in 0..250 {
            silent.push(std::net::TcpStream::connect(address(silent_ones)).expect("a connection"));
            let answer = busy.message("device", &token, b"while the others are silent");
            assert_eq!(answer.outcome(), crate::device::accepted());
        }
        let mut late = Connection::open_at(&endpoint, &ca);
        assert_eq!(late.message("device", &token, b"after all of them").outcome(), crate::device::accepted());
        let inspect = &values["IOTDA_INSPECT"];
        assert_eq!(call(inspect, "GET", "/counters", "").1["messages"], 251);
        if silent_ones == "IOTDA_ENDPOINT" {
            // Those made way that had been silent the longest.
            let (_, log) = call(inspect, "GET", "/log?q=no+more+descriptors", "");
            let log = log.as_array().expect("a list");
            let mut made_way: Vec<_> = log.iter().map(|it| it["connection"].as_u64()).collect();
            made_way.sort_unstable();
            assert!(made_way.len() > 50, "{made_way:?}");
            let expected: Vec<_> = (2..).map(Some).take(made_way.len()).collect();
            assert_eq!(made_way, expected);
        }
        drop((silent, child.stdin.take()));
        assert!(child.wait().expect("it ends").success());
    }
}

#[test]
fn the_demonstration_registry_can_be_printed() {
    let output = command().arg("--print-demo-registry").output().expect("the command runs");
    assert_eq!(String::from_utf8(output.stdout).as_deref(), Ok(iotda_platform::Registry::DEMO));
}

#[test]
fn the_help_lists_every_call_of_the_inspection_api() {
    let output = command().arg("--help").output().expect("the command runs");
    let help = String::from_utf8(output.stdout).expect("text");
    for path in [
        "/reports",
        "/requests",
        "/counters",
        "/products",
        "/devices",
        "/clock",
        "/clock/advance",
        "/tokens/expire",
        "/faults",
    ] {
        assert!(help.contains(path), "{path}");
    }
}

#[test]
fn the_help_names_every_fault_of_the_documentation() {
    let output = command().arg("--help").output().expect("the command runs");
    let help = String::from_utf8(output.stdout).expect("text");
    let rows: Vec<_> = include_str!("../../src/lib.rs").lines().filter(|row| row.contains("| `{\"kind\":")).collect();
    assert!(rows.len() > 20, "{rows:?}");
    for row in rows {
        let name = row.split('`').nth(1).expect("a name");
        let line = help.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap_or_else(|| {
            panic!("the help does not name {name}");
        });
        let example = row.trim_end_matches("` |").rsplit('`').next().expect("an example");
        let example: serde_json::Value = serde_json::from_str(example).expect("JSON");
        let parameters = example.as_object().expect("an object").keys().map(String::as_str);
        for parameter in parameters.filter(|it| !["kind", "times", "device", "on", "share"].contains(it)) {
            assert!(name == "early_answer" || line.contains(parameter), "{name} takes {parameter}: {line}");
        }
    }
}
