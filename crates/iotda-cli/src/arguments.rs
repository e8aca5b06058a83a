//! The command line: every command and every flag, with the help that explains it. What they do is in the module of each
//! command.

mod stream;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};

use crate::pin::Pin;
use crate::values;
pub use stream::{Format, OnError, Stream, Summary};

/// Report to Huawei Cloud IoTDA over HTTPS, and find out why a device does not.
#[derive(Debug, Parser)]
#[command(name = "iotda", version, subcommand_required = true, arg_required_else_help = true, after_help = AFTER)]
pub struct Arguments {
    /// Given before the command's name; those behind it win.
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    output: OutputFlags,
    #[command(subcommand)]
    pub command: Command,
}

const AFTER: &str = "\
Flags win over IOTDA_* variables, those over the profile. A secret is never an argument: others can see those.
Exit: 0 ok, 1 some not delivered, 2 usage, 3 configuration, 4 network or timeout, 5 TLS or clock, 6 authentication,
7 rate limited, 8 rejected or too large, 9 platform fault or protocol, 10 storage, 70 internal, 130 interrupted";

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Report properties
    Report(Report),
    /// Report a message
    Message(Message),
    /// Report for child devices
    Batch(Batch),
    /// Report each line of input
    Stream(Stream),
    /// Authenticate, show validity
    Auth(Auth),
    /// Check settings, network, TLS, clock and credentials
    #[command(
        mut_arg("timeout", |timeout| timeout.help("For all of it [default: 10]")),
        after_help = "Exit: the code of the first ✗; warnings alone are 0"
    )]
    Doctor(Doctor),
    /// Look into a directory of undelivered reports
    #[command(subcommand)]
    Outbox(OutboxAction),
    /// Run a stand-in platform, with a web page
    Serve(Box<iotda_platform::program::Arguments>),
    /// Show what arrives at a stand-in
    Watch(Watch),
    /// Print completions for bash, zsh or fish
    Completions(Completions),
    /// Write the manual pages into a directory, for packages
    #[command(hide = true)]
    Man(Man),
}

/// Report properties of the device.
///
/// NAME=VALUE is a number, true, false or null where VALUE is exactly that in JSON, otherwise a string. NAME:=JSON is any JSON,
/// NAME=@FILE the text of a file, NAME:=@FILE its JSON.
#[derive(Debug, Args)]
#[command(
    override_usage = "iotda report [OPTIONS] <SERVICE> <NAME=VALUE>...\n       iotda report [OPTIONS] --body <FILE|->"
)]
pub struct Report {
    /// The service's id, as the product model names it
    #[arg(required_unless_present = "body")]
    pub service: Option<String>,
    /// Properties
    #[arg(value_name = "NAME=VALUE", required_unless_present_any = ["body", "string"])]
    pub values: Vec<String>,
    /// Always a string
    #[arg(long, value_name = "NAME=VALUE")]
    pub string: Vec<String>,
    /// now, 2021-08-13T10:10:10.555Z or Unix milliseconds [default: the platform's time]
    #[arg(long, value_name = "TIME", value_parser = values::time_ms, allow_hyphen_values = true)]
    pub time: Option<i64>,
    /// A whole request body, {"services":[...]}
    #[arg(long, value_name = "FILE|-", conflicts_with_all = ["service", "values", "string", "time"])]
    pub body: Option<PathBuf>,
    /// Print the request, without the token, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub common: Common,
}

/// Report a message: any bytes below 1 MB.
#[derive(Debug, Args)]
pub struct Message {
    /// The message; - is the standard input
    #[arg(required_unless_present = "file", conflicts_with = "file", value_name = "TEXT|-")]
    pub text: Option<String>,
    /// Take it from a file, or from the standard input
    #[arg(long, short, value_name = "FILE|-")]
    pub file: Option<PathBuf>,
    /// Print the request, without the token, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub common: Common,
}

/// Report properties of child devices of this gateway, any number of them.
///
/// It is sent in requests of at most 50 children. A child that the platform refuses holds back no other.
#[derive(Debug, Args)]
pub struct Batch {
    /// The children: {"devices":[{"device_id":"...","services":[...]}]}
    #[arg(long, short, value_name = "FILE|-")]
    pub file: PathBuf,
    /// Print the request, without the token, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub common: Common,
}

/// Show for how long the device's access token is valid; authenticate if there is none.
///
/// The token is kept in ~/.cache/iotda, for the owner alone, and shared by all commands: each authentication ends the
/// token that the device has elsewhere after 30 s.
#[derive(Debug, Args)]
pub struct Auth {
    /// Authenticate even if there is a valid token
    #[arg(long)]
    pub renew: bool,
    /// Print the token as well, as iotda_config_set_token takes it. It is as secret as the device's secret
    #[arg(long)]
    pub show_token: bool,
    #[command(flatten)]
    pub common: Common,
}

/// What `doctor` takes beside its settings.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Do not authenticate: a new token ends the running device's old one after 30 s
    #[arg(long)]
    pub no_auth: bool,
    /// Then report this (stays on the platform)
    #[arg(long, num_args = 2.., value_names = ["SERVICE", "NAME=VALUE"], conflicts_with = "no_auth")]
    pub report: Vec<String>,
    #[command(flatten)]
    pub common: Common,
}

/// What to do with an outbox's directory.
///
/// It is read as it is: nothing is changed, and a program may use it meanwhile, whose last record may then look damaged.
#[derive(Debug, Subcommand)]
pub enum OutboxAction {
    /// Say how many reports wait, for whom, and since when
    Inspect(OutboxDir),
    /// Look for damage
    Verify(OutboxDir),
    /// Print what waits as JSON, one report a line
    Export(OutboxDir),
    /// Print what the platform refused for good, or forget it
    Dead(OutboxDead),
}

impl OutboxAction {
    fn common(&self) -> &Common {
        match self {
            OutboxAction::Inspect(of) | OutboxAction::Verify(of) | OutboxAction::Export(of) => &of.common,
            OutboxAction::Dead(dead) => &dead.of.common,
        }
    }
}

/// An outbox's directory. Its files have hashes of device ids: --device gives a name to one of them.
#[derive(Debug, Args)]
pub struct OutboxDir {
    /// The directory, as --outbox of iotda stream and the library's outbox take it
    pub dir: PathBuf,
    #[command(flatten)]
    pub common: Common,
}

/// Print what the platform refused for good, as JSON, one report a line.
#[derive(Debug, Args)]
pub struct OutboxDead {
    #[command(flatten)]
    pub of: OutboxDir,
    /// Forget what has this number or a smaller one; no program may have the outbox open
    #[arg(long, value_name = "NUMBER")]
    pub forget: Option<u64>,
}

/// Show what arrives at a stand-in, a row for each request, until it is interrupted.
#[derive(Debug, Args)]
pub struct Watch {
    /// The stand-in's inspection API, as it prints it [env: IOTDA_INSPECT]
    #[arg(long, value_name = "URL")]
    pub inspect: Option<String>,
    /// Begin with what has arrived already
    #[arg(long)]
    pub all: bool,
    /// End after so many
    #[arg(long, short = 'n', value_name = "N")]
    pub count: Option<u64>,
    /// Of this device, or for it
    #[arg(long, value_name = "ID")]
    pub of_device: Option<String>,
    /// auth, properties, message, batch, none
    #[arg(long, value_name = "CALL")]
    pub call: Option<String>,
    /// accepted, discarded, refused, unanswered
    #[arg(long, value_name = "RESULT")]
    pub result: Option<String>,
    #[command(flatten)]
    pub output: OutputFlags,
}

/// Print completions: source <(iotda completions bash)
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: ShellName,
}

/// Shells that completions are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShellName {
    Bash,
    Zsh,
    Fish,
}

/// Write the manual pages: iotda.1, and one for each command.
#[derive(Debug, Args)]
pub struct Man {
    /// A directory that exists
    pub dir: PathBuf,
}

/// What every command that connects takes.
#[derive(Clone, Debug, Default, Args)]
pub struct Common {
    #[command(flatten)]
    pub connection: Connection,
    #[command(flatten)]
    pub output: OutputFlags,
}

/// Where to connect, and as whom.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    // Not as a comment of its own, which rustdoc would take for HTML.
    #[arg(
        long,
        value_name = "URL",
        help = "https://<id>.st1.iotda-device.<region>.myhuaweicloud.com [env: IOTDA_ENDPOINT]"
    )]
    pub endpoint: Option<String>,
    /// [env: IOTDA_DEVICE_ID]
    #[arg(long, short, value_name = "ID")]
    pub device: Option<String>,
    /// Without it: IOTDA_DEVICE_SECRET, then the profile, then a prompt on a terminal
    #[arg(long, value_name = "FILE|-")]
    pub secret_file: Option<PathBuf>,
    /// Trust these certificates only [env: IOTDA_CA_FILE]
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Trust these as well [env: IOTDA_ADD_CA_FILE]
    #[arg(long, value_name = "FILE")]
    pub add_ca_file: Option<PathBuf>,
    /// Only with this public key in the server's verified chain: its SHA-256, as hex digits or sha256//BASE64. Given several
    /// times, one of them must be there [env: IOTDA_PIN]
    #[arg(long, value_name = "SHA256")]
    pub pin: Vec<Pin>,
    /// This machine's own certificate, as PEM, for a gateway that demands one [env: IOTDA_CLIENT_CERT]
    #[arg(long, value_name = "FILE")]
    pub client_cert: Option<PathBuf>,
    /// Its private key [default: in the same file] [env: IOTDA_CLIENT_KEY]
    #[arg(long, value_name = "FILE")]
    pub client_key: Option<PathBuf>,
    /// Offer TLS 1.3 beside 1.2 [env: IOTDA_TLS_1_3]
    #[arg(long)]
    pub tls_1_3: bool,
    /// 1: the platform compares the time of authentications with its own [default: 0] [env: IOTDA_SIGN_TYPE]
    #[arg(long, value_name = "0|1", value_parser = value_parser!(i32).range(0..=1))]
    pub sign_type: Option<i32>,
    /// [env: HTTPS_PROXY]
    #[arg(long, value_name = "URL")]
    pub proxy: Option<String>,
    /// For all that one report takes, retries included [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// From ~/.config/iotda/config.toml [env: IOTDA_PROFILE]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
}

/// How results are shown.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputFlags {
    /// Print errors alone
    #[arg(long, short)]
    pub quiet: bool,
    /// Print what happens: connections, attempts, authentications
    #[arg(long, short)]
    pub verbose: bool,
    /// Print results as JSON, one object a line
    #[arg(long)]
    pub json: bool,
    /// [default: auto]
    #[arg(long, value_name = "WHEN", value_enum)]
    pub color: Option<Color>,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Arguments {
    /// The flags of the command, and those before its name where it has none.
    pub fn connection(&self) -> Connection {
        match self.command.common() {
            Some(common) => common.connection.clone().or(&self.connection),
            None => self.connection.clone(),
        }
    }

    /// The same for how results are shown.
    pub fn output(&self) -> OutputFlags {
        let outer = self.output;
        let inner = match &self.command {
            Command::Watch(watch) => watch.output,
            command => command.common().map_or(OutputFlags::default(), |common| common.output),
        };
        OutputFlags {
            quiet: inner.quiet || outer.quiet,
            verbose: inner.verbose || outer.verbose,
            json: inner.json || outer.json,
            color: inner.color.or(outer.color),
        }
    }
}

impl Command {
    fn common(&self) -> Option<&Common> {
        match self {
            Command::Report(report) => Some(&report.common),
            Command::Message(message) => Some(&message.common),
            Command::Batch(batch) => Some(&batch.common),
            Command::Stream(stream) => Some(&stream.common),
            Command::Auth(auth) => Some(&auth.common),
            Command::Doctor(doctor) => Some(&doctor.common),
            Command::Outbox(action) => Some(action.common()),
            Command::Serve(_) | Command::Watch(_) | Command::Completions(_) | Command::Man(_) => None,
        }
    }
}

impl Connection {
    fn or(self, other: &Connection) -> Connection {
        let other = other.clone();
        Connection {
            endpoint: self.endpoint.or(other.endpoint),
            device: self.device.or(other.device),
            secret_file: self.secret_file.or(other.secret_file),
            ca_file: self.ca_file.or(other.ca_file),
            add_ca_file: self.add_ca_file.or(other.add_ca_file),
            pin: if self.pin.is_empty() { other.pin } else { self.pin },
            client_cert: self.client_cert.or(other.client_cert),
            client_key: self.client_key.or(other.client_key),
            tls_1_3: self.tls_1_3 || other.tls_1_3,
            sign_type: self.sign_type.or(other.sign_type),
            proxy: self.proxy.or(other.proxy),
            timeout: self.timeout.or(other.timeout),
            profile: self.profile.or(other.profile),
        }
    }
}

/// A number of seconds, which may have decimals.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "give a number of seconds, such as 30 or 2.5".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if duration >= Duration::from_millis(1) && seconds <= 86_400.0 => Ok(duration),
        _ => Err("give 0.001 to 86400 seconds".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use clap::CommandFactory;

    fn parse(words: &[&str]) -> Arguments {
        Arguments::try_parse_from(words).unwrap()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn flags_stand_before_or_behind_the_command_and_the_latter_win() {
        let arguments = parse(&["iotda", "-d", "a", "--endpoint", "https://h", "--json", "auth", "-d", "b", "-q"]);
        let connection = arguments.connection();
        assert_eq!((connection.device.as_deref(), connection.endpoint.as_deref()), (Some("b"), Some("https://h")));
        assert!(arguments.output().json && arguments.output().quiet && !arguments.output().verbose);
    }

    #[test]
    fn settings_of_tls_stand_before_or_behind_the_command() {
        let pin = Pin::of(b"").to_string();
        let words = [
            "--pin",
            &pin,
            "--add-ca-file",
            "a",
            "--client-cert",
            "c",
            "--client-key",
            "k",
            "--tls-1-3",
            "--sign-type",
            "1",
        ];
        let before = parse(&[&["iotda"], &words[..], &["auth"]].concat()).connection();
        let behind = parse(&[&["iotda", "auth"], &words[..]].concat()).connection();
        for connection in [before, behind] {
            assert_eq!(connection.pin, [Pin::of(b"")]);
            assert_eq!(connection.add_ca_file.as_deref(), Some(Path::new("a")));
            assert_eq!(connection.client_cert.as_deref(), Some(Path::new("c")));
            assert_eq!(connection.client_key.as_deref(), Some(Path::new("k")));
            assert_eq!((connection.tls_1_3, connection.sign_type), (true, Some(1)));
        }
        for wrong in [["--pin", "sha256//AAAA"], ["--sign-type", "2"]] {
            assert!(Arguments::try_parse_from([&["iotda", "auth"], &wrong[..]].concat()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn seconds_are_positive_and_bounded() {
        assert_eq!(seconds("2.5"), Ok(Duration::from_millis(2500)));
        for wrong in ["0", "-1", "NaN", "inf", "86401", "1e300", "soon", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
