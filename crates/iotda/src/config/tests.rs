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
fn pauses_rates_and_connections_are_checked() {
    let mut config = Config::new();
    let policy =
        |base, max| RetryPolicy::new().base_delay(Duration::from_millis(base)).max_delay(Duration::from_millis(max));
    for (base, max, is_good) in [(1, 1, true), (1, 2, true), (2, 1, false), (0, 1, false)] {
        assert_eq!(config.retry(policy(base, max)).is_ok(), is_good, "{base} {max}");
    }
    assert!(config.retry(policy(1, 1).max_attempts(0)).is_err());
    assert_eq!((config.retry.base_delay, config.retry.max_delay), (Duration::from_millis(1), Duration::from_millis(2)));
    for rate in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(config.rates(Some(rate), None).is_err() && config.rates(Some(1.0), Some(rate)).is_err(), "{rate}");
    }
    config.rates(Some(0.1), Some(f64::MIN_POSITIVE)).unwrap();
    config.rates(None, None).unwrap();
    assert!(config.max_connections(0).is_err() && config.max_connections(1).is_ok());
}

#[test]
fn what_was_set_can_be_taken_back() {
    #[derive(Debug)]
    struct Ignores;
    impl Log for Ignores {
        fn log(&self, _: Level, _: &str) {}
    }
    let mut config = Config::new();
    config.log(Level::Error, Arc::new(Ignores)).on_token(|_, _| {});
    assert!(config.log.is_some() && config.on_token.is_some());
    config.no_log().no_on_token();
    assert!(config.log.is_none() && config.on_token.is_none());
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

#[test]
fn what_a_connection_is_given_is_what_was_set() {
    let mut config = Config::new();
    assert!(config.proxy_from_environment().is_err(), "whether the proxy is for it depends on the endpoint");
    config.endpoint("https://a.example").unwrap();
    let timing = |config: &Config| config.http(config.endpoint.clone().unwrap(), Arc::default()).timing;
    let usual = timing(&config);
    assert_eq!(usual.keepalive, None);
    config.tcp_keepalive(Some(Duration::from_secs(25)));
    config.timeout(Duration::from_millis(1)).unwrap();
    let set = timing(&config);
    assert_eq!((set.keepalive, set.patience), (Some(Duration::from_secs(25)), Duration::from_millis(1)));
    assert!(usual.patience > set.patience && set.connect == usual.connect);
}
