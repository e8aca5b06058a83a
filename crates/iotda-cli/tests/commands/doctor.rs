//! `iotda doctor` as a shell runs it: its exit code, JSON, quiet, and a terminal without UTF-8. What it says of broken
//! set-ups is compared in src/doctor/tests.rs.

use std::net::TcpListener;
use std::process::Command;

use iotda_platform::{Device, Fault, Platform, Registry, Route};
use serde_json::Value;
use testkit::scratch;

use crate::run::{iotda, run};

const SECRET: &str = "weather-secret-01";

fn platform() -> Platform {
    let mut registry = Registry::new();
    registry.add_device(Device::new("weather-01").with_secret(SECRET)).unwrap();
    Platform::builder().registry(registry).start().unwrap()
}

fn doctor(platform: &Platform, words: &[&str]) -> Command {
    let ca_file = scratch().unwrap().join(format!("ca-{}.pem", platform.address().port()));
    std::fs::write(&ca_file, platform.ca_pem()).unwrap();
    let mut command = iotda(&["doctor"]);
    command.args(words).env("IOTDA_ENDPOINT", platform.url()).env("IOTDA_CA_FILE", ca_file);
    command.env("IOTDA_DEVICE_ID", "weather-01").env("IOTDA_DEVICE_SECRET", SECRET);
    command
}

/// The steps of a line each, with their results.
fn results(output: &str) -> Vec<(String, String)> {
    let text = |object: &Value, name: &str| object[name].as_str().unwrap_or_default().to_owned();
    let lines = output.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|object| (text(&object, "step"), text(&object, "result"))).collect()
}

#[test]
fn a_device_that_is_well_ends_with_0_and_the_last_hint() {
    let platform = platform();
    let ended = run(&mut doctor(&platform, &["--report", "weather", "Temperature=21.5"]));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    assert!(ended.stdout.contains("✓ report    accepted (HTTP 200)"), "{ended:?}");
    assert!(ended.stdout.ends_with("compare the product model, see Message Trace.\n"), "{ended:?}");
    let [report] = &platform.reports()[..] else { panic!("one report") };
    assert_eq!(report.device_id, "weather-01");
    // One authentication, and the next command goes on with its token.
    assert_eq!(run(&mut doctor(&platform, &["--no-auth"])).code, Some(0));
    assert_eq!(platform.counters().authentications, 1);
    let mut auth = iotda(&["auth"]);
    auth.envs(doctor(&platform, &[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert_eq!((run(&mut auth).code, platform.counters().authentications), (Some(0), 1));
}

#[test]
fn the_exit_code_is_that_of_the_first_fault() {
    let platform = platform();
    let ended = run(doctor(&platform, &[]).env("IOTDA_DEVICE_SECRET", "weather-secret-01\n"));
    assert_eq!(ended.code, Some(6), "{ended:?}");
    assert!(ended.stdout.contains("✗ auth      401 IOTDA.000002. The secret ends in a line break"), "{ended:?}");
    assert_eq!(ended.stderr, "iotda: the first fault is in the step auth\n");
    let ended = run(doctor(&platform, &[]).env("IOTDA_ENDPOINT", "mqtts://h:8883"));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(!ended.stdout.contains(SECRET));
    // A report that is wrong in itself is a fault of the command line: nothing is tried.
    let before = platform.requests().len();
    assert_eq!(run(&mut doctor(&platform, &["--report", "weather", "Temperature"])).code, Some(2));
    assert_eq!(run(&mut doctor(&platform, &["--report", "weather", "a=1", "--no-auth"])).code, Some(2));
    assert_eq!(platform.requests().len(), before);
}

#[test]
fn json_has_an_object_for_each_step() {
    let platform = platform();
    platform.inject(Fault::refusal("IOTDA.000004").on(Route::Properties)).unwrap();
    let ended = run(&mut doctor(&platform, &["--json"]));
    assert_eq!(ended.code, Some(6));
    let results = results(&ended.stdout);
    let expected = [
        ("settings", "ok"),
        ("dns", "ok"),
        ("tcp", "ok"),
        ("tls", "ok"),
        ("clock", "ok"),
        ("auth", "ok"),
        ("token", "fail"),
        ("report", "skipped"),
        ("", ""),
    ];
    assert_eq!(results, expected.map(|(step, result)| (step.to_owned(), result.to_owned())));
    let objects: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects[3]["version"], "TLS 1.2");
    assert_eq!(objects[3]["chain"][0]["issuer"], "IoTDA stand-in platform authority");
    assert_eq!((&objects[6]["http_status"], &objects[6]["exit"]), (&Value::from(403), &Value::from(6)));
    assert_eq!((&objects[8]["ok"], &objects[8]["exit"]), (&Value::from(false), &Value::from(6)));
}

#[test]
fn quiet_shows_faults_alone_and_signs_are_words_where_the_terminal_is_not_utf8() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let platform = platform();
    let endpoint = format!("https://{closed}");
    let ended = run(doctor(&platform, &["--quiet"]).env("IOTDA_ENDPOINT", &endpoint).env("LANG", "C"));
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.stdout.starts_with("FAIL tcp       nothing listens on port"), "{ended:?}");
    assert_eq!(ended.stdout.matches("FAIL").count(), 1);
    assert_eq!(run(&mut doctor(&platform, &["--quiet"])).stdout, "");
}

#[test]
fn the_timeout_is_for_all_of_it() {
    let platform = platform();
    let stall = iotda_platform::Stall::ForEver;
    platform.inject(Fault::handshake_stall(iotda_platform::HandshakeMessage::ClientHello, stall)).unwrap();
    let ended = run(&mut doctor(&platform, &["--timeout", "0.2"]));
    // Under load it may not even come to the handshake.
    assert_eq!((ended.code, ended.stdout.matches('✗').count()), (Some(4), 1), "{ended:?}");
}

#[test]
fn a_proxy_of_the_environment_is_named_where_it_is_for_this_host() {
    let platform = platform();
    let mut exempt = doctor(&platform, &["--no-auth"]);
    let ended = run(exempt.env("HTTPS_PROXY", "http://127.0.0.1:1").env("NO_PROXY", "127.0.0.1"));
    assert!(ended.code == Some(0) && !ended.stdout.contains("proxy from"), "{ended:?}");
    let ended = run(doctor(&platform, &["--no-auth"]).env("HTTPS_PROXY", "http://user:hunter2@127.0.0.1:1"));
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.stdout.contains("proxy from HTTPS_PROXY") && !ended.stdout.contains("hunter2"), "{ended:?}");
}

#[test]
fn the_pin_that_it_prints_is_one_for_every_command() {
    let platform = platform();
    let ended = run(&mut doctor(&platform, &["--json", "--no-auth"]));
    let tls = ended.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let tls = tls.into_iter().find(|object| object["step"] == "tls").unwrap();
    let pin = tls["chain"][0]["pin"].as_str().unwrap().to_owned();
    let auth = |pin: &str| {
        let mut auth = iotda(&["auth", "--renew"]);
        auth.envs(doctor(&platform, &[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
        run(auth.env("IOTDA_PIN", pin))
    };
    let other = "0".repeat(64);
    assert_eq!(auth(&format!("{other},{pin}")).code, Some(0));
    let refused = auth(&other);
    assert!(refused.code == Some(5) && refused.stderr.contains("pin"), "{refused:?}");
    assert_eq!(platform.counters().authentications, 1);
}
