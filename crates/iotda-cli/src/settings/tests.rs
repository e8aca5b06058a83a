//! Who wins, and what is refused.

use super::*;
use std::collections::HashMap;
use std::fs;

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
    assert_eq!(settings.ca_file.unwrap().value, Path::new("/home/x/ca.pem"));
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
