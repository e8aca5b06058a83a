//! `iotda stream`: each line of an input is a report.
//!
//! - `source`: bytes; `lines`: records of them; `columns`: a record as a report. They run on a thread of their own, since
//!   reading can block for ever.
//! - `direct`: sends each report; `kept`: puts it into an outbox, which delivers it; `position`: how far that is.
//! - `refused`: what becomes of what is refused for good. `counts`, `progress`: what is said meanwhile and at the end.

mod columns;
mod counts;
mod direct;
mod kept;
mod lines;
mod position;
mod progress;
mod refused;
mod source;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use crate::arguments::{Connection, Format, Stream, Summary};
use crate::connect::Connected;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::signals;
use columns::Columns;
use counts::Counts;
use lines::Record;
use position::Positions;
use progress::Progress;
use refused::Refused;
use source::Source;

/// Lines that are read ahead. Each has up to 1 MB.
const READ_AHEAD: usize = 64;

/// What arrives for the one who sends.
enum Event {
    Record(Record),
    /// The input is over, or cannot be read.
    End(Result<(), Failure>),
    /// A signal.
    Stop,
}

/// How a stream ended.
enum Ended {
    /// With its input.
    Whole,
    Interrupted,
    Failed(Failure),
}

/// What sending needs.
struct Run {
    connected: Connected,
    counts: Arc<Counts>,
    refused: Refused,
    /// Set by a signal.
    stop: Arc<AtomicBool>,
    events: SyncSender<Event>,
    /// How long one report may take.
    patience: Duration,
}

pub fn run(stream: &Stream, connection: &Connection, output: &Output) -> Result<(), Failure> {
    let file = stream.file.as_deref().filter(|file| *file != Path::new("-"));
    if stream.follow && file.is_none() {
        return Err(Failure::usage("name a file to follow: the standard input needs no --follow"));
    }
    if file.is_none() && connection.secret_file.as_deref() == Some(Path::new("-")) {
        return Err(Failure::usage("give the secret by a file: the standard input has the lines"));
    }
    let refused = Refused::open(stream.on_error, stream.dead_file.as_deref(), *output)?;
    let rate = stream.rate;
    let connected = Connected::open_with(connection, output, |config| {
        config.rates((rate > 0.0).then_some(rate), None)?;
        Ok(())
    })?;
    let patience = connected.timeout;
    let columns = Columns::of(stream, connected.client.device_id());
    let format = stream.format.unwrap_or_else(|| Format::of(file));

    let (events, arriving) = mpsc::sync_channel(READ_AHEAD);
    let stop = Arc::new(AtomicBool::new(false));
    let (stopping, to_stop) = (Arc::clone(&stop), events.clone());
    signals::watch(move || {
        stopping.store(true, Ordering::SeqCst);
        // Where there is no room, the next record brings it.
        let _ = to_stop.try_send(Event::Stop);
    })?;
    let positions = stream.outbox.as_deref().map(Positions::of);
    let last = |input: &Path| positions.as_ref()?.read(input);
    let opened = Source::open(file, stream.follow, Arc::clone(&stop), last).map_err(|error| {
        let shown = file.map_or("standard input".to_owned(), |file| file.display().to_string());
        Failure::usage(format!("check the path: {shown} cannot be read: {error}"))
    })?;
    let (source, note) = opened;
    if let Some(note) = note {
        output.note(&format!("iotda: {note}"));
    }
    let reading = events.clone();
    let reader = thread::Builder::new().name("input".to_owned()).spawn(move || {
        let result = lines::read(source, format, &columns, |record| reading.send(Event::Record(record)).is_ok());
        // Nobody listens any more where the stream has ended.
        let _ = reading.send(Event::End(result));
    });
    reader.map_err(|error| Failure::new(Exit::Internal, format!("no thread can be started: {error}")))?;

    let counts = Arc::new(Counts::default());
    let begun = Instant::now();
    let progress = Progress::start(Arc::clone(&counts), *output);
    let mut run = Run { connected, counts: Arc::clone(&counts), refused, stop, events, patience };
    let ended = match (&stream.outbox, positions) {
        (Some(directory), Some(positions)) => kept::run(&mut run, &arriving, stream, directory, positions),
        _ => direct::run(&mut run, &arriving),
    };
    drop(progress);
    let took = begun.elapsed();
    if output.json {
        output.line(&counts.object(took).to_string());
    }
    match stream.summary {
        Some(Summary::Json) => output.complain(&counts.object(took).to_string()),
        Some(Summary::Text) => output.complain(&format!("iotda: {}", counts.summary(took))),
        None => output.note(&format!("iotda: {}", counts.summary(took))),
    }
    match ended {
        Ended::Failed(failure) => Err(failure),
        Ended::Interrupted => Err(Failure::new(Exit::Interrupted, "interrupted; what was in flight is finished")),
        Ended::Whole if counts.refused.get() > 0 => {
            let refused = counts::counted(counts.refused.get(), "report");
            Err(Failure::new(Exit::Partial, format!("{refused} refused; all else was accepted")))
        }
        Ended::Whole => Ok(()),
    }
}

impl Format {
    /// By the file's name.
    fn of(file: Option<&Path>) -> Self {
        match file.and_then(Path::extension) {
            Some(extension) if extension.eq_ignore_ascii_case("csv") => Format::Csv,
            _ => Format::Jsonl,
        }
    }
}
