//! Who wins, and what is refused.

use super::*;
use std::collections::HashMap;
use std::fs;

use crate::pin::Pin;

/// An environment, with a directory for profiles.
struct Setup {
    dir: PathBuf,
    variables: HashMap<&'static str, OsString>,
}

impl Setup {
    fn new(name: &str, profiles: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("iotda-settings-{}-{name}", std::process::id()));
        fs::create_dir_all(dir.join("iotda")).unwrap();
        fs::write(dir.join("iotda/config.toml"), profiles).unwrap();
        let variables = HashMap::from([("XDG_CONFIG_HOME", dir.clone().into_os_string()), ("HOME", "/home/x".into())]);
        Setup { dir, variables }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.insert(name, value.into());
        self
    }

    fn resolve(&self, connection: &Connection) -> Result<Settings, Failure> {
        Settings::resolve(connection, &|name| self.variables.get(name).cloned())
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

const PROFILES: &str = "
[profile.default]
endpoint = 'https://of.profile'
device = 'of_profile'
secret_file = 'secret'
ca_file = '~/ca.pem'
proxy = 'http://proxy:3128'
timeout = 2.5
[profile.other]
endpoint = 'https://other'
";

#[test]
fn flags_win_over_variables_and_those_over_the_profile() {
    let setup = Setup::new("order", PROFILES);
    let settings = setup.resolve(&Connection::default()).unwrap();
    let endpoint = settings.endpoint.unwrap();
    assert_eq!(
        (endpoint.value.as_str(), endpoint.source.to_string().as_str()),
        ("https://of.profile", "profile \"default\"")
    );
    assert_eq!(settings.secret.unwrap().value, SecretPlace::File(setup.dir.join("iotda/secret")));
    assert_eq!(settings.tls.ca_file.unwrap().value, Path::new("/home/x/ca.pem"));
    assert_eq!(settings.timeout.unwrap().value, Duration::from_millis(2500));
    assert_eq!(settings.proxy.unwrap().value, ProxyChoice::Url("http://proxy:3128".to_owned()));

    let setup = setup.with("IOTDA_ENDPOINT", "https://of.variable").with("HTTPS_PROXY", "http://other:1");
    let settings = setup.resolve(&Connection::default()).unwrap();
    assert_eq!(settings.endpoint.unwrap().source, Source::Variable("IOTDA_ENDPOINT"));
    assert_eq!(settings.proxy.unwrap().value, ProxyChoice::Environment);
    let flags = Connection { endpoint: Some("https://of.flag".to_owned()), ..Connection::default() };
    assert_eq!(setup.resolve(&flags).unwrap().endpoint.unwrap().value, "https://of.flag");
    let setup = setup.with("IOTDA_ENDPOINT", "");
    assert_eq!(setup.resolve(&Connection::default()).unwrap().endpoint.unwrap().value, "https://of.profile");
}

#[test]
fn what_is_said_of_tls_has_the_same_order() {
    let pin = |text: &[u8]| Pin::of(text);
    let profile = format!(
        "[profile.default]\nadd_ca_file = 'more.pem'\npins = ['{}', '{}']\nclient_cert = 'c.pem'\nclient_key = '~/c.key'\n\
         tls_1_3 = true\nsign_type = 1\n",
        pin(b"1"),
        pin(b"2")
    );
    let setup = Setup::new("tls", &profile);
    let settings = setup.resolve(&Connection::default()).unwrap();
    let Tls { ca_file, add_ca_file, pins, client, tls_1_3 } = settings.tls;
    assert!(ca_file.is_none());
    assert_eq!(add_ca_file.unwrap().value, setup.dir.join("iotda/more.pem"));
    assert_eq!(pins.unwrap().value, [pin(b"1"), pin(b"2")]);
    let client = client.unwrap();
    assert_eq!(client.certificate.value, setup.dir.join("iotda/c.pem"));
    assert_eq!(client.key.value, Path::new("/home/x/c.key"));
    assert!(tls_1_3.unwrap().value);
    assert_eq!(settings.sign_type.unwrap().value, SignType::PasswordAndTime);

    let setup = setup
        .with("IOTDA_PIN", &format!("{};{}", pin(b"3"), pin(b"4")))
        .with("IOTDA_ADD_CA_FILE", "v.pem")
        .with("IOTDA_CLIENT_CERT", "v.crt")
        .with("IOTDA_CLIENT_KEY", "v.key")
        .with("IOTDA_TLS_1_3", "0")
        .with("IOTDA_SIGN_TYPE", "0");
    let settings = setup.resolve(&Connection::default()).unwrap();
    let Tls { add_ca_file, pins, client, tls_1_3, .. } = settings.tls;
    let pins = pins.unwrap();
    assert_eq!((pins.value, pins.source), (vec![pin(b"3"), pin(b"4")], Source::Variable("IOTDA_PIN")));
    assert_eq!(add_ca_file.unwrap().value, Path::new("v.pem"));
    assert_eq!(client.unwrap().key.source, Source::Variable("IOTDA_CLIENT_KEY"));
    assert!(!tls_1_3.unwrap().value);
    assert_eq!(settings.sign_type.unwrap().value, SignType::PasswordOnly);

    let flags = Connection {
        pin: vec![pin(b"5")],
        client_cert: Some("f.crt".into()),
        tls_1_3: true,
        sign_type: Some(1),
        ..Connection::default()
    };
    let settings = setup.resolve(&flags).unwrap();
    assert_eq!(settings.tls.pins.unwrap().value, [pin(b"5")]);
    assert_eq!(settings.tls.client.unwrap().certificate.value, Path::new("f.crt"));
    assert!(settings.tls.tls_1_3.unwrap().value);
    assert_eq!(settings.sign_type.unwrap().source, Source::Flag("--sign-type"));
}

#[test]
fn what_is_said_of_tls_must_fit_together() {
    let setup = Setup::new("tls-wrong", "");
    for (name, value, part) in [
        (
            "IOTDA_PIN",
            "sha256//AAAA",
            "give the SHA-256 of a public key, as 64 hex digits or sha256//BASE64 (IOTDA_PIN)",
        ),
        ("IOTDA_TLS_1_3", "maybe", "give 1 or 0: IOTDA_TLS_1_3 is \"maybe\""),
        ("IOTDA_SIGN_TYPE", "2", "give 0 (the password alone) or 1"),
        ("IOTDA_CLIENT_KEY", "k.pem", "IOTDA_CLIENT_KEY names the key alone"),
    ] {
        let lookup = |asked: &str| if asked == name { Some(value.into()) } else { setup.variables.get(asked).cloned() };
        let failure = Settings::resolve(&Connection::default(), &lookup).unwrap_err();
        assert!(failure.message.contains(part) && failure.exit.code() == 3, "{failure}");
    }
    // The key is in the certificate's file, if nothing else is said; and no pin is any pin.
    let alone = Connection { client_cert: Some("c.pem".into()), ..Connection::default() };
    let settings = setup.with("IOTDA_PIN", " ").resolve(&alone).unwrap();
    assert_eq!(settings.tls.client.unwrap().key.value, Path::new("c.pem"));
    assert!(settings.tls.pins.is_none());
}

#[test]
fn a_profile_is_named_and_must_exist() {
    let setup = Setup::new("named", PROFILES).with("IOTDA_PROFILE", "other");
    let settings = setup.resolve(&Connection::default()).unwrap();
    assert_eq!(settings.endpoint.unwrap().value, "https://other");
    assert!(settings.device.is_none() && settings.secret.is_none());
    let flags = Connection { profile: Some("none".to_owned()), ..Connection::default() };
    let failure = setup.resolve(&flags).unwrap_err();
    assert!(failure.message.contains("it has: default, other): --profile names \"none\""), "{failure}");
    assert_eq!(failure.exit.code(), 3);
}

#[test]
fn a_device_does_not_go_with_the_secret_of_another() {
    let setup = Setup::new("owner", PROFILES);
    let other = Connection { device: Some("other".to_owned()), ..Connection::default() };
    let failure = setup.resolve(&other).unwrap_err();
    assert_eq!(failure.exit.code(), 3);
    assert!(failure.message.contains("for \"of_profile\""), "{failure}");
    let same = Connection { device: Some("of_profile".to_owned()), ..Connection::default() };
    setup.resolve(&same).unwrap();
    let with_secret = Connection { secret_file: Some("s".into()), ..other.clone() };
    setup.resolve(&with_secret).unwrap();
    // A variable's secret is that of the variable's device, or of nobody in particular.
    let setup = setup.with("IOTDA_DEVICE_ID", "of_variable").with("IOTDA_DEVICE_SECRET", "s");
    assert!(setup.resolve(&other).is_err());
    setup.resolve(&Connection::default()).unwrap();
    let setup = Setup::new("owner-2", "").with("IOTDA_DEVICE_SECRET", "s");
    setup.resolve(&other).unwrap();
}

#[test]
fn no_file_of_profiles_is_no_fault() {
    let settings = Settings::resolve(&Connection::default(), &|_| None).unwrap();
    assert!(settings.endpoint.is_none() && settings.config_file.is_none());
    let nowhere = |name: &str| (name == "XDG_CONFIG_HOME").then(|| "/nowhere".into());
    assert!(Settings::resolve(&Connection::default(), &nowhere).unwrap().endpoint.is_none());
    let both = Setup::new("both", "[profile.default]\nsecret_file = 'a'\nsecret_command = 'b'");
    assert!(both.resolve(&Connection::default()).unwrap_err().message.contains("has both"));
}
