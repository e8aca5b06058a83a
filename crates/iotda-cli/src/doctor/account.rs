//! Authentication, the token and a report: what the platform says to this device. Only a verified server is asked.

use std::time::{Duration, Instant};

use iotda::{CallOptions, Client, Error, ErrorKind, RetryPolicy};

use super::configured::{Configured, Credentials};
use super::endpoint;
use super::finding::{Finding, Findings, Step};
use super::{Options, Surroundings, Way};
use crate::exit::Exit;
use crate::token_cache::TokenCache;

/// The doctor looks at what one attempt comes to.
const ONCE: RetryPolicy =
    RetryPolicy::new().max_attempts(1).base_delay(Duration::from_millis(1)).max_delay(Duration::from_millis(1));

/// What the platform allows (vendor, IoTDA product specifications).
const RATES: &str = "The free unit takes 10 reports a second and 10,000 a day (one in 8.64 s) for the whole instance, larger \
                     units up to 6,000 a second; a report counts once for each started 4 KB. A unit takes 100 new connections \
                     a second";

/// The report was not made, and why.
pub fn skip_report(options: &Options<'_>, why: &str, findings: &mut Findings<'_>) {
    let why = if options.report.is_some() { why } else { "not tried (--report SERVICE NAME=VALUE)" };
    findings.skip(&[Step::Report], why);
}

/// Takes the steps.
pub fn examine(
    options: &Options<'_>,
    configured: Configured,
    around: &Surroundings<'_>,
    way: Way,
    deadline: Instant,
    findings: &mut Findings<'_>,
) {
    let skip = |why: &str, findings: &mut Findings<'_>| {
        findings.skip(&[Step::Auth, Step::Token], why);
        skip_report(options, why, findings);
    };
    if options.no_auth {
        return skip("not tried (--no-auth)", findings);
    }
    match way {
        Way::Nowhere => return skip("not tried, nobody is reached", findings),
        Way::Unverified => return skip("not tried, no secret goes to a server that is not verified", findings),
        Way::Verified => {}
    }
    let Some(credentials) = &configured.credentials else {
        return skip("not tried, device or secret are missing", findings);
    };
    let left = deadline.saturating_duration_since(Instant::now());
    let mut config = configured.config.clone();
    let client = config.retry(ONCE).and_then(|config| config.timeout(left)).and_then(|config| Client::new(config));
    let client = match client {
        Ok(client) => client,
        Err(_) if left.is_zero() => return skip("not tried, the time is over (--timeout)", findings),
        Err(error) => {
            findings.add(Finding::fail(Step::Auth, Exit::from(error.kind()), explained(&error, credentials)));
            findings.skip(&[Step::Token], "not tried, there is none");
            return skip_report(options, "not tried, there is no token", findings);
        }
    };
    let began = Instant::now();
    if let Err(error) = client.authenticate(within(deadline)) {
        findings.add(failed(Step::Auth, &error, credentials).since(began));
        findings.skip(&[Step::Token], "not tried, there is none");
        return skip_report(options, "not tried, there is no token", findings);
    }
    let remaining = client.token_remaining();
    let valid = match remaining {
        Some(left) => format!("token valid for {}", crate::auth::span(left)),
        None => "the token's validity is not known".to_owned(),
    };
    let finding = Finding::ok(Step::Auth, format!("{} accepted, {valid}", credentials.device));
    findings.add(finding.fact("valid_for_s", remaining.map(|left| left.as_secs())).since(began));

    let began = Instant::now();
    let is_taken = match client.check_token(within(deadline)) {
        Ok(_) => {
            findings.add(Finding::ok(Step::Token, "arrives, and the platform takes it").since(began));
            true
        }
        // It has just taken an authentication: perhaps it only does not know what to say to a report without services.
        Err(error) if error.kind() == ErrorKind::Server => {
            let text = format!("not judged: {}. --report tries it with a report that stays.", error.message());
            findings.add(Finding::warn(Step::Token, text).since(began));
            true
        }
        Err(error) => {
            findings.add(failed(Step::Token, &error, credentials).since(began));
            false
        }
    };
    keep_token(&client, &configured, around, findings);
    match &options.report {
        Some(body) if is_taken => {
            let began = Instant::now();
            let finding = match client.report_properties_json(body, within(deadline)) {
                Ok(delivery) => Finding::ok(Step::Report, format!("accepted (HTTP {})", delivery.http_status)),
                Err(error) => failed(Step::Report, &error, credentials),
            };
            findings.add(finding.since(began));
        }
        _ => skip_report(options, "not tried, the platform does not take the token", findings),
    }
}

/// The other commands' token ends in 30 s: here is the one that they go on with.
fn keep_token(client: &Client, configured: &Configured, around: &Surroundings<'_>, findings: &mut Findings<'_>) {
    let cache = TokenCache::of(&configured.endpoint, client.device_id(), around.environment);
    let Some(token) = client.export_token() else { return };
    if let Err(error) = cache.write(&token) {
        let text = format!("the other commands will authenticate anew: the token cannot be kept: {error}.");
        findings.add(Finding::warn(Step::Token, text));
    }
}

fn within(deadline: Instant) -> CallOptions {
    // A call that is given no time at all is an error of the doctor's; one that has 1 ms ends by itself.
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    CallOptions::from(left)
}

fn failed(step: Step, error: &Error, credentials: &Credentials) -> Finding {
    Finding::fail(step, Exit::from(error.kind()), explained(error, credentials))
        .fact("http_status", error.http_status())
        .fact("platform_code", error.platform_code())
}

/// What a failure usually comes from, and what to do.
fn explained(error: &Error, credentials: &Credentials) -> String {
    let device = &credentials.device;
    let answer = match (error.http_status(), error.platform_code()) {
        (Some(status), Some(code)) => format!("{status} {code}. "),
        (Some(status), None) => format!("HTTP {status}. "),
        (None, _) => String::new(),
    };
    match error.kind() {
        ErrorKind::AuthFailed => match &credentials.doubt {
            Some(doubt) => format!("{answer}{doubt}"),
            None if credentials.with_time => format!(
                "{answer}The platform does not know {device} with this secret, or this machine's clock is off by more than it \
                 allows: with sign type 1 it compares. Set the clock, or use sign type 0."
            ),
            None => format!(
                "{answer}The platform does not know {device} with this secret. Look for it in the console of this instance, \
                 Devices > All Devices: is that its ID, is it enabled, was its secret reset, was it deleted because it did not \
                 connect in time?"
            ),
        },
        ErrorKind::TokenRejected => format!(
            "{answer}The platform does not see the token that it has just issued: something on the way drops the header \
             access_token because of its underscore. In nginx: underscores_in_headers on. A proxy of this network must let it \
             pass."
        ),
        ErrorKind::RateLimited => {
            format!(
                "{answer}More is sent than the platform takes: report less often, or enlarge the instance. {RATES}."
            )
        }
        ErrorKind::Protocol if error.http_status().is_none() => format!(
            "{}. Another service listens there: compare the endpoint with the {}.",
            error.message(),
            endpoint::CONSOLE
        ),
        ErrorKind::Protocol if error.platform_code().is_none() => format!(
            "{answer}What answers is not the platform: a portal or proxy of this network. Open a page in a browser and log in \
             there, or have it let the endpoint pass."
        ),
        ErrorKind::Rejected => format!(
            "{answer}The platform refuses this report: compare the service, its properties and their types with the product \
             model in the console."
        ),
        _ => format!("{}.", error.message()),
    }
}
