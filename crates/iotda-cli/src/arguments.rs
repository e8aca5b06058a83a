//! The command line: every command and every flag, with the help that explains it. What they do is in the module of each
//! command.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::values;

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

/// Report each line of FILE or of the standard input; end with it.
///
/// A line of JSON is an object: members that no column names are properties of --service or --service-column. Without either, a
/// line is a whole request body, {"services":[...]} or {"devices":[...]}. In CSV the first line names the columns, and a
/// cell is a number, true, false or null where it is exactly that in JSON, and left out where it is empty.
///
/// A failure that passes with time is tried again for --timeout and then ends the stream, whatever --on-error says. With --outbox,
/// lines are kept on disk meanwhile, and the next run of the same command goes on where this one was killed: what a file's
/// last second put is then reported twice; of a pipe up to a tenth of a second is lost.
///
/// Ctrl-C finishes what is in flight and says what was sent; a second one stops at once.
#[derive(Debug, Args)]
pub struct Stream {
    /// What to read; without it, or for -, the standard input
    pub file: Option<PathBuf>,
    /// [default: by the file's name, else jsonl]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// The service of every line
    #[arg(long, value_name = "NAME", conflicts_with = "service_column")]
    pub service: Option<String>,
    /// Its value is the service's id
    #[arg(long, value_name = "NAME")]
    pub service_column: Option<String>,
    /// Its value is the id of the device, which is this one or a child of this gateway
    #[arg(long, value_name = "NAME")]
    pub device_column: Option<String>,
    /// Its value is the time, as --time of iotda report takes it
    #[arg(long, value_name = "NAME")]
    pub time_column: Option<String>,
    /// Wait for more, as tail -F does
    #[arg(long)]
    pub follow: bool,
    /// At most N reports a second, of up to 4 KB each; 0: no limit. The default is the free tier's
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = rate)]
    pub rate: f64,
    /// Keep on disk until accepted; resumes after a kill
    #[arg(long, value_name = "DIR")]
    pub outbox: Option<PathBuf>,
    /// The most that the outbox takes on disk; when it is full, reading waits
    #[arg(long, value_name = "MIB", default_value_t = 16, requires = "outbox", value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    pub outbox_size: u64,
    /// What to do about a line that is refused for good
    #[arg(long, value_enum, default_value_t = OnError::Stop)]
    pub on_error: OnError,
    /// Lines refused for good, with the reason
    #[arg(long, value_name = "FILE")]
    pub dead_file: Option<PathBuf>,
    /// On standard error, at the end, even with --quiet [default: text]
    #[arg(long, value_enum)]
    pub summary: Option<Summary>,
    #[command(flatten)]
    pub common: Common,
}

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Jsonl,
    Csv,
}

/// What to do about a line that is refused for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// End there
    Stop,
    /// Leave it out
    Skip,
    /// Leave it out, and write it to --dead-file
    Dead,
}

/// What a stream says at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Summary {
    Text,
    Json,
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
        let inner = self.command.common().map_or(OutputFlags::default(), |common| common.output);
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
            proxy: self.proxy.or(other.proxy),
            timeout: self.timeout.or(other.timeout),
            profile: self.profile.or(other.profile),
        }
    }
}

/// Reports a second.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate == 0.0 || (0.001..=1e6).contains(&rate) => Ok(rate),
        _ => Err("give reports a second, such as 10 or 0.5; 0: no limit".to_owned()),
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
    fn seconds_are_positive_and_bounded() {
        assert_eq!(seconds("2.5"), Ok(Duration::from_millis(2500)));
        for wrong in ["0", "-1", "NaN", "inf", "86401", "1e300", "soon", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
