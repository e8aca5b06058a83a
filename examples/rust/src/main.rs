//! A gateway: it puts the readings of its child devices into an outbox, which keeps them on disk and reports them in
//! batches until the platform has taken them, over outages and restarts.
//!
//!     gateway DIRECTORY
//!
//! The outbox is in DIRECTORY. A line of the input is a reading, whose last part is a JSON object; an empty line, or the
//! end, ends a round, and the gateway answers with how many readings are safe by now: they are on disk, or delivered.
//!
//!     meter_1 power {"Voltage":230.4,"Phases":[229.8,230.1,230.4]}
//!     door_7 lock {"State":"open"}
//!
//! Who the gateway is comes from the environment: IOTDA_ENDPOINT, IOTDA_DEVICE_ID, IOTDA_DEVICE_SECRET and, unless a
//! public authority signed the platform's certificate, IOTDA_CA_FILE.
//!
//! What waits at the end is delivered by the next run. The exit status is 0 if no reading was lost: by a line that is
//! none, by the platform's refusal, or for want of room.

use std::env;
use std::error::Error;
use std::io::{self, BufRead};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use iotda::{CallOptions, Child, Client, Config, Level, Log, Outbox, OutboxOptions, Service, WhenFull};

const PUT_TRIES: u32 = 3;
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
const LAST_DELIVERIES: Duration = Duration::from_secs(5);

struct Gateway {
    client: Client,
    outbox: Outbox,
    put: u64,
    /// Counted by the outbox's thread as well.
    lost: Arc<AtomicU64>,
}

impl Gateway {
    fn open(directory: PathBuf) -> Result<Self, Box<dyn Error>> {
        let client = Client::new(&config()?)?;
        let lost = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&lost);
        let options = OutboxOptions::new(directory)
            .max_age(MAX_AGE)
            .when_full(WhenFull::DropOldest)
            // The outbox logs why. What the platform refused is a dead letter: Outbox::dead_read.
            .settled(move |settled| {
                if settled.outcome.is_err() {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            });
        let outbox = client.open_outbox(options)?;
        Ok(Gateway { client, outbox, put: 0, lost })
    }

    fn read(&mut self, input: impl BufRead) -> io::Result<()> {
        for line in input.lines() {
            let line = line?;
            let mut parts = line.splitn(3, ' ');
            match (parts.next(), parts.next(), parts.next()) {
                (Some(child), Some(service_id), Some(properties)) => {
                    self.put(child, &Service::new(service_id, properties));
                }
                (Some(""), None, None) => self.end_round(),
                (child, ..) => self.lose(child.unwrap_or_default(), "a line is CHILD SERVICE PROPERTIES"),
            }
        }
        self.end_round();
        Ok(())
    }

    /// Puts a reading, with the time of now. What is transient passes, or somebody puts it right (a disk that is full): it
    /// is worth some more tries. What is wrong with the reading itself stays so.
    fn put(&mut self, child: &str, service: &Service) {
        let reading = [Child::new(child, std::slice::from_ref(service))];
        for tries in 1.. {
            match self.outbox.put_batch(&self.client, &reading, CallOptions::new()) {
                Ok(_) => {
                    self.put += 1;
                    return;
                }
                Err(error) if !error.is_transient() || tries == PUT_TRIES => {
                    self.lose(child, &format!("{:?}: {error}", error.kind()));
                    return;
                }
                Err(_) => thread::sleep(Duration::from_secs(1)),
            }
        }
    }

    fn lose(&self, child: &str, why: &str) {
        eprintln!("gateway: a reading of {child} is lost: {why}");
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    fn end_round(&self) {
        match self.outbox.sync(CallOptions::new()) {
            Ok(()) => println!("{} readings are safe", self.put),
            Err(error) => eprintln!("gateway: {error}"),
        }
    }

    /// How many readings were lost.
    fn end(self) -> Result<u64, Box<dyn Error>> {
        // What is not delivered by then goes on waiting in the directory.
        let _ = self.outbox.flush(LAST_DELIVERIES);
        let stats = self.outbox.stats()?;
        self.outbox.close()?;
        let lost = self.lost.load(Ordering::Relaxed);
        println!("delivered {} readings, lost {lost}, {} wait", stats.delivered, stats.waiting);
        Ok(lost)
    }
}

fn config() -> Result<Config, Box<dyn Error>> {
    let setting = |name| env::var(name).map_err(|_| format!("set {name}"));
    let mut config = Config::new();
    config
        .endpoint(&setting("IOTDA_ENDPOINT")?)?
        .device(&setting("IOTDA_DEVICE_ID")?, setting("IOTDA_DEVICE_SECRET")?.as_bytes())?
        .log(Level::Warning, Arc::new(StandardError));
    if let Some(file) = env::var_os("IOTDA_CA_FILE") {
        config.ca_file(file)?;
    }
    Ok(config)
}

#[derive(Debug)]
struct StandardError;

impl Log for StandardError {
    fn log(&self, level: Level, message: &str) {
        eprintln!("gateway: {level:?}: {message}");
    }
}

fn run(directory: PathBuf) -> Result<u64, Box<dyn Error>> {
    let mut gateway = Gateway::open(directory)?;
    gateway.read(io::stdin().lock())?;
    gateway.end()
}

fn main() -> ExitCode {
    let Some(directory) = env::args_os().nth(1) else {
        eprintln!("usage: gateway DIRECTORY");
        return ExitCode::from(2);
    };
    match run(directory.into()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("gateway: {error}");
            ExitCode::FAILURE
        }
    }
}
