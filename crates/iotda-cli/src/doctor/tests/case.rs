//! One set-up: its settings and files, and comparing what the doctor says of it with a file.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use iotda::{Clock, SystemClock};
use iotda_platform::Platform;

use super::server::Server;
use super::{DEVICE, SECRET};
use crate::arguments::Connection;
use crate::doctor::finding::{Finding, Findings};
use crate::doctor::{Lookup, Options, Surroundings, examine, show};
use crate::output::Sign;

/// A directory of the test's own, which is its home, and what the flags say.
pub struct Case {
    pub directory: PathBuf,
    pub connection: Connection,
    pub clock: Arc<dyn Clock>,
    pub lookup: Option<Arc<Lookup>>,
    pub address_timeout: Duration,
    pub handshake_timeout: Duration,
    pub timeout: Duration,
    pub no_auth: bool,
    pub report: Option<String>,
}

impl Case {
    pub fn new(name: &str, endpoint: &str) -> Self {
        let directory = env::temp_dir().join(format!("iotda-doctor-{}-{name}", process::id()));
        fs::create_dir_all(&directory).unwrap();
        let case = Case {
            connection: Connection {
                endpoint: Some(endpoint.to_owned()),
                device: Some(DEVICE.to_owned()),
                secret_file: Some(directory.join("secret")),
                ..Connection::default()
            },
            directory,
            clock: Arc::new(SystemClock),
            lookup: None,
            address_timeout: Duration::from_secs(20),
            handshake_timeout: Duration::from_secs(20),
            timeout: Duration::from_secs(60),
            no_auth: false,
            report: None,
        };
        case.file("secret", SECRET.as_bytes(), 0o600);
        case
    }

    /// For a platform, by the name of its certificate.
    pub fn at(name: &str, platform: &Platform) -> Self {
        Self::new(name, platform.url()).trusting(platform.ca_pem())
    }

    pub fn at_server(name: &str, server: &Server) -> Self {
        Self::new(name, &format!("https://{}", server.address))
    }

    pub fn trusting(mut self, pem: &str) -> Self {
        self.connection.ca_file = Some(self.file("ca.pem", pem.as_bytes(), 0o644));
        self
    }

    pub fn with_secret(self, secret: &str) -> Self {
        self.file("secret", secret.as_bytes(), 0o600);
        self
    }

    pub fn file(&self, name: &str, content: &[u8], mode: u32) -> PathBuf {
        let file = self.directory.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    /// Goes through all steps, as lines with what differs from run to run replaced, and the exit code behind them.
    fn examined(&self) -> (String, u8) {
        let options = Options { connection: &self.connection, no_auth: self.no_auth, report: self.report.clone() };
        let environment = |name: &str| (name == "HOME").then(|| OsString::from(&self.directory));
        let around = Surroundings {
            environment: &environment,
            clock: Arc::clone(&self.clock),
            log: None,
            lookup: self.lookup.clone(),
            address_timeout: self.address_timeout,
            handshake_timeout: self.handshake_timeout,
            timeout: self.timeout,
        };
        let text = Mutex::new(String::new());
        let mut show = |finding: &Finding| {
            let finding = self.masked(finding);
            let sign = match finding.sign {
                Sign::Ok => "✓",
                Sign::Warn => "!",
                Sign::Fail => "✗",
                Sign::Skipped => "-",
            };
            let mut text = text.lock().unwrap();
            text.push_str(&show::lines(&finding, sign, 1));
            text.push('\n');
            // Whatever is printed, no secret is.
            assert!(!show::object(&finding).to_string().contains(SECRET), "{finding:?}");
        };
        let mut findings = Findings::new(&mut show);
        examine(&options, &around, &mut findings);
        let code = findings.fault().map_or(0, |(_, exit)| exit.code());
        (text.into_inner().unwrap(), code)
    }

    /// Without what differs from run to run: before lines are broken, so that they always break at the same place.
    fn masked(&self, finding: &Finding) -> Finding {
        let mut text = finding.text.replace(&self.directory.display().to_string(), "/etc/iotda");
        // First the key: some hold five digits that would be taken for a port.
        if let Some((before, pin)) = text.split_once("sha256//") {
            text = format!("{before}sha256//{}{}", "A".repeat(43), &pin[43..]);
        }
        text = masked_numbers(&text, 5..6, "", "8443");
        text = masked_numbers(&text, 1..9, " days", "213");
        let took = finding.took.map(|_| Duration::from_millis(1));
        Finding { text, took, ..finding.clone() }
    }

    /// Compares with the file of this name; returns the lines and the exit code.
    pub fn compare(&self, name: &str) -> (String, u8) {
        let (text, code) = self.examined();
        let actual = format!("{text}exit {code}\n");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/doctor_{name}.txt"));
        if env::var_os("IOTDA_BLESS").is_some() {
            fs::write(&file, &actual).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(actual, expected, "it differs from {}", file.display());
        (text, code)
    }

    /// The same; the first fault must be in this step, and the exit code be that.
    pub fn finds(&self, name: &str, step: &str, expected: u8) {
        let (text, code) = self.compare(name);
        let first = text.lines().find(|line| line.starts_with('✗')).unwrap_or_default();
        assert_eq!((first.split_whitespace().nth(1), code), (Some(step), expected), "{text}");
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Replaces numbers of so many digits that `suffix` follows.
fn masked_numbers(text: &str, digits: Range<usize>, suffix: &str, word: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
        let (number, after) = from.split_at(end);
        masked.push_str(before);
        masked.push_str(if digits.contains(&number.len()) && after.starts_with(suffix) { word } else { number });
        rest = after;
    }
    masked + rest
}
