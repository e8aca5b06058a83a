//! Reports with ureq as it comes and serde_json: one agent, which keeps its connection; the addresses and the header
//! made once; buffers kept. The jobs and settings are those of ../bench.h.

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::error::Error;
use std::fmt::Write;
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs};
use ureq::Agent;
use ureq::http::{HeaderValue, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

const CHILDREN_PER_REQUEST: usize = 50;
const TIMEOUT: Duration = Duration::from_secs(30);
const TIME_MS: u64 = 1_628_849_410_555;
const TEXT: &str = "{\"services\":[{\"service_id\":\"serviceId\",\"properties\":{\"Height\":124,\"Speed\":23.24},\
                    \"event_time\":\"2021-08-13T10:10:10.555Z\"}]}";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(Serialize)]
struct Properties {
    #[serde(rename = "Height")]
    height: i64,
    #[serde(rename = "Speed")]
    speed: f64,
}

#[derive(Serialize)]
struct Service<'a> {
    service_id: &'a str,
    properties: Properties,
    event_time: String,
}

#[derive(Serialize)]
struct Report<'a> {
    services: [Service<'a>; 1],
}

#[derive(Serialize)]
struct Child<'a> {
    device_id: &'a str,
    services: [Service<'a>; 1],
}

#[derive(Serialize)]
struct Batch<'a> {
    devices: Vec<Child<'a>>,
}

#[derive(Serialize)]
struct Authentication<'a> {
    device_id: &'a str,
    sign_type: u8,
    timestamp: &'a str,
    password: &'a str,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

/// An authenticated device.
struct Session {
    agent: Agent,
    base: String,
    device: String,
    token: HeaderValue,
    body: Vec<u8>,
}

impl Session {
    fn new() -> Result<Self> {
        let pem = fs::read(env::var("IOTDA_CA_FILE")?)?;
        let items = parse_pem(&pem).filter_map(std::result::Result::ok);
        let roots: Vec<Certificate<'static>> = items
            .filter_map(|item| match item {
                PemItem::Certificate(certificate) => Some(certificate),
                _ => None,
            })
            .collect();
        let tls = TlsConfig::builder().root_certs(RootCerts::from(roots)).build();
        let config = Agent::config_builder().tls_config(tls).timeout_global(Some(TIMEOUT)).proxy(None).build();
        let mut session = Self {
            agent: config.new_agent(),
            base: env::var("IOTDA_ENDPOINT")?,
            device: env::var("IOTDA_DEVICE_ID")?,
            token: HeaderValue::from_static(""),
            body: Vec::new(),
        };
        session.authenticate()?;
        Ok(session)
    }

    fn authenticate(&mut self) -> Result<()> {
        let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let (year, month, day) = date(seconds / 86400);
        let timestamp = format!("{year:04}{month:02}{day:02}{:02}", seconds / 3600 % 24);
        let mut mac = Hmac::<Sha256>::new_from_slice(timestamp.as_bytes())?;
        mac.update(env::var("IOTDA_DEVICE_SECRET")?.as_bytes());
        let mut password = String::new();
        for byte in mac.finalize().into_bytes() {
            write!(password, "{byte:02x}")?;
        }
        let body = serde_json::to_vec(&Authentication {
            device_id: &self.device,
            sign_type: 0,
            timestamp: &timestamp,
            password: &password,
        })?;
        let request = self.agent.post(format!("{}/v5/device-auth", self.base)).content_type("application/json");
        let answer = request.send(&body)?.into_body().read_to_vec()?;
        self.token = HeaderValue::try_from(serde_json::from_slice::<Token>(&answer)?.access_token)?;
        Ok(())
    }

    fn address(&self, call: &str) -> Result<Uri> {
        Ok(format!("{}/v5/devices/{}/sys/{call}", self.base, self.device).parse()?)
    }

    fn post(&self, to: &Uri, body: &[u8]) -> Result<()> {
        let request = self.agent.post(to).content_type("application/json").header("access_token", &self.token);
        request.send(body)?.into_body().read_to_vec()?;
        Ok(())
    }

    fn post_value(&mut self, to: &Uri, value: &impl Serialize) -> Result<()> {
        self.body.clear();
        serde_json::to_writer(&mut self.body, value)?;
        self.post(to, &self.body)
    }

    fn report_children(&mut self, to: &Uri, ids: &[String]) -> Result<()> {
        for (number, ids) in ids.chunks(CHILDREN_PER_REQUEST).enumerate() {
            let first = 124 + (number * CHILDREN_PER_REQUEST) as i64;
            let children = (first..).zip(ids).map(|(height, id)| Child { device_id: id, services: services(height) });
            let batch = Batch { devices: children.collect() };
            self.post_value(to, &batch)?;
        }
        Ok(())
    }
}

fn services(height: i64) -> [Service<'static>; 1] {
    [Service { service_id: "serviceId", properties: Properties { height, speed: 23.24 }, event_time: event_time() }]
}

/// The time of the values, as the platform wants it.
fn event_time() -> String {
    let seconds = TIME_MS / 1000;
    let (year, month, day) = date(seconds / 86400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", TIME_MS % 1000)
}

/// Year, month and day of the days since 1970-01-01: years are counted from March, so that a leap day is a year's last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Processor time of all threads so far.
fn processor_time() -> Duration {
    // SAFETY: a zeroed `rusage` is a valid one, and the call writes to it and nowhere else.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let time = |t: libc::timeval| Duration::from_micros(t.tv_sec as u64 * 1_000_000 + t.tv_usec as u64);
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// The peak of the process's memory, in kB. Not by getrusage, which reports at least the peak of the process that started
/// this one.
fn peak() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().collect();
    let [_, job, count, size @ ..] = &arguments[..] else { return Err("usage: ureq-peer JOB COUNT [SIZE]".into()) };
    let count: u64 = count.parse()?;
    let size: u64 = size.first().map_or(Ok(0), |size| size.parse())?;
    let mut session = Session::new()?;
    let reports = session.address("properties/report")?;
    let batches = session.address("gateway/sub-devices/properties/report")?;
    let messages = session.address("messages/up")?;
    session.post_value(&reports, &Report { services: services(124) })?;
    let ids: Vec<String> =
        (0..if job == "batch" { size } else { 0 }).map(|number| format!("child_{number:06}")).collect();
    let message: Vec<u8> = (b'a'..=b'z').cycle().take(size as usize).collect();

    let (before, begin) = (processor_time(), Instant::now());
    for _ in 0..count {
        match job.as_str() {
            "values" => session.post_value(&reports, &Report { services: services(124) })?,
            "text" => session.post(&reports, TEXT.as_bytes())?,
            "message" => session.post(&messages, &message)?,
            "batch" => session.report_children(&batches, &ids)?,
            _ => return Err(format!("no such job: {job}").into()),
        }
    }
    let (wall, cpu) = (begin.elapsed(), processor_time() - before);
    println!("wall_us={} cpu_us={} peak_kb={}", wall.as_micros(), cpu.as_micros(), peak()?);
    Ok(())
}
