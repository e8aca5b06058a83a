//! What the setters take and refuse.

use super::*;
use crate::error::ErrorKind;

#[test]
fn a_wrong_value_keeps_the_old_one() {
    let mut config = Config::new();
    config.endpoint("https://a.example").unwrap().device("d", b"s").unwrap();
    config.timeout(Duration::from_secs(1)).unwrap();
    config.endpoint("ftp://b").unwrap_err();
    config.device("e", b"").unwrap_err();
    config.device("", b"s").unwrap_err();
    config.timeout(Duration::ZERO).unwrap_err();
    config.connect_timeout(Duration::ZERO).unwrap_err();
    assert_eq!(config.endpoint.unwrap().host, "a.example");
    assert_eq!(config.identity.unwrap().device_id, "d");
    assert_eq!(config.timeout, Duration::from_secs(1));
}

#[test]
fn a_missing_ca_file_is_named() {
    let error = Config::new().ca_file("/nonexistent/ca.pem").map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("/nonexistent/ca.pem"), "{error}");
    let error = Config::new().ca_file("/dev/null").map(drop).unwrap_err();
    assert!(error.message().contains("/dev/null") && error.message().contains("it is empty"), "{error}");
}

#[test]
fn a_path_need_not_be_utf_8_nor_short() {
    use std::os::unix::ffi::OsStrExt;
    let name = std::ffi::OsStr::from_bytes(b"/nonexistent/caf\xe9.pem");
    let error = Config::new().ca_file(name).map(drop).unwrap_err();
    assert!(error.message().contains("No such file"), "{error}");
    let error = Config::new().add_ca_file("/x".repeat(300)).map(drop).unwrap_err();
    assert!(error.message().contains("...") && error.message().len() < 256, "{error}");
}

#[test]
fn a_file_without_end_is_given_up() {
    let error = Config::new().ca_file("/dev/zero").map(drop).unwrap_err();
    assert!(error.message().contains("more than 4 MB") && error.message().contains("/dev/zero"), "{error}");
}

#[test]
fn tls_1_3_is_there_if_it_was_built_in() {
    let mut config = Config::new();
    config.tls_1_3(false).unwrap();
    let refused = config.tls_1_3(true).map(drop).err();
    assert_eq!((refused.is_none(), config.tls.tls_1_3), (cfg!(feature = "tls13"), cfg!(feature = "tls13")));
    if let Some(error) = refused {
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains("built without it"), "{error}");
    }
}

#[cfg(not(any(feature = "public-roots", feature = "platform-roots")))]
#[test]
fn without_authorities_one_must_be_configured() {
    let mut config = Config::new();
    config.endpoint("https://a.example").unwrap().device("d", b"s").unwrap();
    let error = crate::Client::new(&config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("configure the platform's CA (ca_file)"), "{error}");
}

#[test]
fn sign_types_are_numbers_of_the_protocol() {
    for number in [0, 1] {
        assert_eq!(SignType::from_number(number).unwrap().number(), number);
    }
    for number in [-1, 2, i32::MAX] {
        assert_eq!(SignType::from_number(number).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
}

#[test]
fn debug_shows_no_secret() {
    let mut config = Config::new();
    config.device("device-1", b"hunter2").unwrap();
    let shown = format!("{config:?}");
    assert!(shown.contains("device-1") && !shown.contains("hunter2") && !shown.contains("104, 117"), "{shown}");
}
