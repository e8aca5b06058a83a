//! `iotda doctor`: goes the way from this machine to the platform step by step, and says of each what it found and what to
//! do. It goes on after a fault where it can; the exit code is that of the first one.
//!
//! - `configured`: the settings; with `endpoint`, `secret` and `trust`, which know what wrong ones look like.
//! - `network`: look-up, connections, the proxy.
//! - `secured`: the TLS handshake and the clock; with `certificate`, which reads what the server has shown, and `pinned`.
//! - `account`: authentication, the token, a report.
//! - `finding`: what a step comes to. `show`: how it looks.
//!
//! The steps up to TLS are those of `iotda::probe`, what follows is a `Client` of the same configuration: what the doctor
//! meets is what the library meets. No secret goes to a server that is not verified.

mod account;
mod certificate;
mod configured;
mod endpoint;
mod finding;
mod network;
mod pinned;
mod secret;
mod secured;
mod show;
mod trust;

use std::env;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use iotda::{Client, Clock, Log, SystemClock};

use crate::arguments::{Connection, Doctor};
use crate::body::{self, Service};
use crate::connect::ToStderr;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Sign};
use crate::settings::Environment;
use crate::values;
use configured::Configured;
use finding::{Finding, Findings, Step};

/// How long all of it may take, if nothing else is said.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one address may take to accept a connection.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);

/// How long one TLS handshake may take: what holds it up for longer will not let it pass.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// What was asked for.
struct Options<'a> {
    connection: &'a Connection,
    no_auth: bool,
    /// The body of a property report to make at the end.
    report: Option<String>,
}

/// What the doctor works in. Tests have their own.
struct Surroundings<'a> {
    environment: Environment<'a>,
    clock: Arc<dyn Clock>,
    /// What the library does is logged here.
    log: Option<Arc<dyn Log>>,
    /// Instead of the system's look-up.
    lookup: Option<Arc<Lookup>>,
    /// The most for connecting to one address.
    address_timeout: Duration,
    /// The most for one TLS handshake.
    handshake_timeout: Duration,
    timeout: Duration,
}

/// Addresses of a host and a port.
type Lookup = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Runs the command.
pub fn run(doctor: &Doctor, connection: &Connection, output: &Output) -> Result<(), Failure> {
    let report = match doctor.report.split_first() {
        Some((service, assignments)) => Some(report_body(service, assignments)?),
        None => None,
    };
    let options = Options { connection, no_auth: doctor.no_auth, report };
    let around = Surroundings {
        environment: &|name| env::var_os(name),
        clock: Arc::new(SystemClock),
        log: if output.verbose { Some(Arc::new(ToStderr)) } else { None },
        lookup: None,
        address_timeout: ADDRESS_TIMEOUT,
        handshake_timeout: HANDSHAKE_TIMEOUT,
        timeout: connection.timeout.unwrap_or(DEFAULT_TIMEOUT),
    };
    let mut show = |finding: &Finding| print(finding, output);
    let mut findings = Findings::new(&mut show);
    examine(&options, &around, &mut findings);
    match findings.fault() {
        Some((step, exit)) => Err(Failure::new(exit, format!("the first fault is in the step {}", step.name()))),
        None => {
            output.result(|| WELL.to_owned(), || serde_json::json!({ "ok": true, "exit": 0 }));
            Ok(())
        }
    }
}

/// What is wrong in the report itself is said before anything is tried.
fn report_body(service: &str, assignments: &[String]) -> Result<String, Failure> {
    let properties = values::properties(assignments, &[])?;
    let body = body::properties(&[Service::new(service, properties.as_json(), None)?])?;
    Client::check_properties_json(&body)?;
    Ok(body)
}

const WELL: &str = "\
No fault found. \"Accepted\" is not \"stored\": if the console shows nothing, compare the product model, see Message Trace.";

fn print(finding: &Finding, output: &Output) {
    if output.json {
        output.line(&show::object(finding).to_string());
    } else if !output.quiet || finding.sign == Sign::Fail {
        output.line(&show::lines(finding, &output.sign(finding.sign), output.sign_width()));
    }
}

/// Takes all steps.
fn examine(options: &Options<'_>, around: &Surroundings<'_>, findings: &mut Findings<'_>) {
    let deadline = Instant::now() + around.timeout;
    let Some(configured) = configured::examine(options, around, findings) else {
        findings.skip(&[Step::Dns, Step::Tcp, Step::Tls, Step::Clock, Step::Auth, Step::Token], "not tried");
        account::skip_report(options, "not tried", findings);
        return;
    };
    let way = examine_way(&configured, around, deadline, findings);
    account::examine(options, configured, around, way, deadline, findings);
}

/// How far the way to the platform goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Nowhere,
    /// To somebody who is not verified.
    Unverified,
    Verified,
}

/// The steps up to a verified server.
fn examine_way(
    configured: &Configured,
    around: &Surroundings<'_>,
    deadline: Instant,
    findings: &mut Findings<'_>,
) -> Way {
    let steps = [Step::Dns, Step::Tcp, Step::Tls, Step::Clock];
    if !configured.is_reachable {
        findings.skip(&steps, "not tried, the settings lead nowhere");
        return Way::Nowhere;
    }
    let probe = match configured.config.probe() {
        Ok(probe) => probe,
        Err(error) => {
            findings.add(Finding::fail(Step::Dns, Exit::from(error.kind()), error.message()));
            findings.skip(&steps[1..], "not tried");
            return Way::Nowhere;
        }
    };
    let probe = match &around.lookup {
        Some(lookup) => {
            let lookup = Arc::clone(lookup);
            probe.with_lookup(move |host, port| lookup(host, port))
        }
        None => probe,
    };
    let Some(addresses) = network::look_up(&probe, configured, deadline, findings) else {
        findings.skip(&steps[1..], "not tried, there is no address");
        return Way::Nowhere;
    };
    let links = network::connect(&probe, configured, &addresses, around, deadline, findings);
    if links.is_empty() {
        findings.skip(&steps[2..], "not tried, there is no connection");
        return Way::Nowhere;
    }
    let links = network::tunnel(&probe, links, deadline, findings);
    if links.is_empty() {
        findings.skip(&steps[2..], "not tried, the proxy passes nothing on");
        return Way::Nowhere;
    }
    match secured::examine(&probe, configured, around, links, deadline, findings) {
        true => Way::Verified,
        false => Way::Unverified,
    }
}

#[cfg(test)]
mod tests;
