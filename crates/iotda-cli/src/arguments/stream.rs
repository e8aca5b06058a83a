//! The flags of `iotda stream`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Common;

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

/// Reports a second.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate == 0.0 || (0.001..=1e6).contains(&rate) => Ok(rate),
        _ => Err("give reports a second, such as 10 or 0.5; 0: no limit".to_owned()),
    }
}
