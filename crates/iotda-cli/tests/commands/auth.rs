//! `iotda auth`, the shared token, and settings that are wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use iotda_platform::{CertificateKind, Fault, InjectedAnswer, Route};
use testkit::{SECRET, Stand, scratch};

use crate::run::{compare, iotda, iotda_at, run, run_with_input};

#[test]
fn the_token_is_shared_by_commands_and_asked_for_once() {
    let stand = Stand::start().unwrap();
    compare("auth_first", &run(&mut iotda_at(&stand, &["auth"])), &[]);
    compare("auth_again", &run(&mut iotda_at(&stand, &["auth"])), &[]);
    assert_eq!(stand.platform.counters().authentications, 1);
    let renewed = run(&mut iotda_at(&stand, &["auth", "--renew", "--json"]));
    assert_eq!(renewed.code, Some(0));
    assert!(
        renewed.stdout.starts_with(r#"{"authenticated":true,"device":"test_gateway","ok":true,"valid_for_s":8639"#)
    );
    assert_eq!(stand.platform.counters().authentications, 2);

    let directory = scratch().unwrap().join(".cache/iotda");
    let files: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&files[0])), (0o700, 0o600));
    let token = fs::read_to_string(&files[0]).unwrap();
    let shown = run(&mut iotda_at(&stand, &["auth", "--show-token"]));
    assert!(shown.stdout.ends_with(&format!("\n{token}\n")), "{shown:?}");
    // Damage costs an authentication, and nothing else.
    fs::write(&files[0], &token[..token.len() - 1]).unwrap();
    assert_eq!(run(&mut iotda_at(&stand, &["auth"])).code, Some(0));
    assert_eq!(stand.platform.counters().authentications, 3);
}

#[test]
fn nothing_printed_holds_secret_or_token_unless_asked() {
    let stand = Stand::start().unwrap();
    let ended = run(&mut iotda_at(&stand, &["-v", "auth"]));
    let issued = run(&mut iotda_at(&stand, &["auth", "--show-token"])).stdout;
    let token = issued.trim_end().rsplit(' ').next().unwrap();
    assert!(token.len() >= 32 && ended.stderr.contains("info: "), "{ended:?}");
    for text in [&ended.stdout, &ended.stderr] {
        assert!(!text.contains(token) && !text.contains(SECRET), "{text}");
    }
}

#[test]
fn the_secret_comes_from_a_file_or_the_input() {
    let stand = Stand::start().unwrap();
    let file = scratch().unwrap().join("secret");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    let mut by_file = iotda_at(&stand, &["auth", "--secret-file", "secret"]);
    assert_eq!(run(by_file.env_remove("IOTDA_DEVICE_SECRET")).code, Some(0));
    let mut by_input = iotda_at(&stand, &["auth", "--renew", "--secret-file", "-"]);
    let ended = run_with_input(by_input.env_remove("IOTDA_DEVICE_SECRET"), SECRET.as_bytes());
    assert_eq!((ended.code, stand.platform.counters().authentications), (Some(0), 2));
    // No terminal, so that there is nobody to ask.
    compare("auth_no_secret", &run(iotda_at(&stand, &["auth"]).env_remove("IOTDA_DEVICE_SECRET")), &[]);
}

#[test]
fn a_profile_says_what_flags_and_variables_do_not() {
    let stand = Stand::start().unwrap();
    let directory = scratch().unwrap().join(".config/iotda");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("secret"), SECRET).unwrap();
    let profile = format!(
        "[profile.field]\nendpoint = '{}'\ndevice = 'test_gateway'\nca_file = '{}'\nsecret_command = 'cat \"$HOME/.config/iotda/secret\"'\n",
        stand.platform.url(),
        stand.ca_file.display()
    );
    fs::write(directory.join("config.toml"), profile).unwrap();
    assert_eq!(run(&mut iotda(&["--profile", "field", "auth"])).code, Some(0));
    assert_eq!(run(iotda(&["auth"]).env("IOTDA_PROFILE", "field")).code, Some(0));
    compare("auth_no_endpoint", &run(&mut iotda(&["auth"])), &[]);
    let other_device = run(&mut iotda(&["auth", "--profile", "field", "-d", "second"]));
    compare("auth_other_device", &other_device, &[]);
    assert_eq!(stand.platform.counters().authentications, 1);
}

#[test]
fn each_failure_has_its_exit_code() {
    let stand = Stand::start().unwrap();
    let endpoint = [(stand.platform.url(), "[ENDPOINT]")];
    let wrong = run(iotda_at(&stand, &["auth"]).env("IOTDA_DEVICE_SECRET", "not the secret"));
    compare("auth_wrong_secret", &wrong, &endpoint);
    let wrong = run(iotda_at(&stand, &["auth", "--json"]).env("IOTDA_DEVICE_SECRET", "not the secret"));
    assert!(
        wrong.stdout.starts_with(r#"{"attempts":"#) && wrong.stdout.contains(r#""kind":"AuthFailed""#),
        "{wrong:?}"
    );
    stand.platform.inject(Fault::refusal("IOTDA.021101").on(Route::Auth)).unwrap();
    assert_eq!(run(&mut iotda_at(&stand, &["auth", "--timeout", "0.2"])).code, Some(7));
    stand.platform.clear_faults();
    stand.platform.inject(Fault::answer(InjectedAnswer::status(503))).unwrap();
    assert_eq!(run(&mut iotda_at(&stand, &["auth", "--timeout", "0.2"])).code, Some(9));
    let untrusted = Stand::start_with(CertificateKind::Expired).unwrap();
    assert_eq!(run(&mut iotda_at(&untrusted, &["auth"])).code, Some(5));
    let closed = run(&mut iotda_at(&stand, &["auth", "--endpoint", "https://127.0.0.1:1", "--timeout", "0.2"]));
    assert_eq!(closed.code, Some(4), "{closed:?}");
    assert_eq!(run(&mut iotda_at(&stand, &["auth", "--endpoint", "mqtts://127.0.0.1:8883"])).code, Some(3));
    assert_eq!(run(&mut iotda_at(&stand, &["auth", "--frobnicate"])).code, Some(2));
}
