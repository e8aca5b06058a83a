//! The TLS handshake and the clock. Each needs the other: certificates are valid at times, and only a verified server's
//! time counts. Where the clock is what is wrong, a server that is not verified gives a hint and learns nothing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use iotda::probe::{CertificateFault, Handshake, Link, Probe, Secured};
use iotda::{Error, ErrorKind};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use super::Surroundings;
use super::certificate::{Summary, day, end_of};
use super::configured::Configured;
use super::endpoint;
use super::finding::{Finding, Findings, Step};
use super::pinned;
use crate::exit::Exit;

/// A certificate that ends sooner than in so many days is worth a word.
const SOON: i64 = 14;

/// A clock that is off by more is worth a word: event times are off by as much.
const OFF_MS: i64 = 60_000;

/// A clock that is off by less is not what makes a certificate look too old or too new.
const DAY_MS: i64 = 86_400_000;

/// Names in certificates of products that read TLS on the way.
const INTERCEPTORS: &[&str] = &[
    "Avast",
    "Bitdefender",
    "Blue Coat",
    "Charles Proxy",
    "Check Point",
    "Cisco Umbrella",
    "ESET SSL Filter",
    "Forcepoint",
    "FortiGate",
    "Fortinet",
    "Kaspersky",
    "McAfee",
    "mitmproxy",
    "Netskope",
    "Palo Alto",
    "PortSwigger",
    "Sophos",
    "Squid",
    "Websense",
    "Zscaler",
];

/// As the authorities of the platform's certificates are called.
const PLATFORM_AUTHORITIES: &[&str] = &["GlobalSign", "DigiCert Global Root CA"];

/// The stand-in's.
const STAND_IN: &str = "IoTDA stand-in platform authority";

/// Whether there is a verified server.
pub fn examine(
    probe: &Probe,
    configured: &Configured,
    around: &Surroundings<'_>,
    links: Vec<Link>,
    deadline: Instant,
    findings: &mut Findings<'_>,
) -> bool {
    let addresses: Vec<SocketAddr> = links.iter().map(Link::address).collect();
    if probe.check_clock().is_err() {
        let began = Instant::now();
        let hint = links.into_iter().find_map(|link| probe.unverified_time(link, deadline).ok().flatten());
        findings.add(Finding::skipped(Step::Tls, "not tried, certificates cannot be checked with this clock"));
        findings.add(clock_fault(around.clock.unix_ms(), hint, &configured.host).since(began));
        return false;
    }
    if let Some(what) = configured.unusable {
        findings.skip(&[Step::Tls, Step::Clock], &format!("not tried, {what} is not usable"));
        return false;
    }
    let mut refused: Vec<Refused> = Vec::new();
    for link in links {
        let began = Instant::now();
        let address = link.address();
        let Handshake { chain, fault, result, .. } =
            probe.handshake(link, deadline.min(began + around.handshake_timeout));
        let chain: Vec<Summary> = chain.iter().filter_map(|der| Summary::of(der)).collect();
        match result {
            Ok(secured) => {
                let finding = good(&secured, &chain, configured, around).fact("version", secured.version());
                findings.add(finding.fact("chain", facts(&chain)).since(began));
                for other in refused {
                    let text = format!(
                        "{}, another address of it: {}",
                        other.address.ip(),
                        other.explained(configured, around)
                    );
                    findings.add(Finding::warn(Step::Tls, text));
                }
                examine_clock(probe, secured, around, deadline, findings);
                return true;
            }
            Err(error) => refused.push(Refused { address, chain, fault, error, took: began.elapsed() }),
        }
    }
    if let Some(first) = refused.into_iter().next() {
        examine_refusal(first, probe, configured, around, &addresses, deadline, findings);
    }
    false
}

/// A handshake that failed.
struct Refused {
    address: SocketAddr,
    chain: Vec<Summary>,
    fault: Option<CertificateFault>,
    error: Error,
    took: Duration,
}

/// Whether the server is at fault, or the clock.
fn examine_refusal(
    refused: Refused,
    probe: &Probe,
    configured: &Configured,
    around: &Surroundings<'_>,
    addresses: &[SocketAddr],
    deadline: Instant,
    findings: &mut Findings<'_>,
) {
    let now = around.clock.unix_ms();
    if let Some(CertificateFault::Expired | CertificateFault::NotYetValid) = refused.fault {
        let began = Instant::now();
        let hint = hint(probe, addresses, around, deadline).filter(|hint| (hint - now).abs() > DAY_MS);
        let fits = |hint: &i64| refused.chain.iter().all(|certificate| certificate.is_valid_at(hint / 1000));
        if let Some(hint) = hint.filter(fits) {
            let why = "not judged, the certificate's dates fit the server's clock and not this machine's";
            findings.add(Finding { took: Some(refused.took), ..Finding::skipped(Step::Tls, why) });
            findings.add(clock_fault(now, Some(hint), &configured.host).since(began));
            return;
        }
    }
    let text = refused.explained(configured, around);
    let finding = Finding::fail(Step::Tls, Exit::from(refused.error.kind()), text).fact("chain", facts(&refused.chain));
    findings.add(Finding { took: Some(refused.took), ..finding });
    findings.skip(&[Step::Clock], "not compared, no server is verified");
}

/// The time of a server that is not verified, by a connection of its own.
fn hint(probe: &Probe, addresses: &[SocketAddr], around: &Surroundings<'_>, deadline: Instant) -> Option<i64> {
    let most = around.address_timeout.min(deadline.saturating_duration_since(Instant::now()));
    let reached = probe.connect(addresses, most);
    let links = reached.into_iter().filter_map(|reached| reached.result.ok());
    links.filter_map(|link| unverified(probe, link, deadline)).next()
}

fn unverified(probe: &Probe, mut link: Link, deadline: Instant) -> Option<i64> {
    probe.tunnel(&mut link, deadline).ok()?;
    probe.unverified_time(link, deadline).ok()?
}

fn clock_fault(now_ms: i64, hint: Option<i64>, host: &str) -> Finding {
    let now = minute(now_ms);
    let text = match hint {
        Some(hint) => format!(
            "this machine's clock says {now}, {host} says {} (a hint: who that is cannot be verified). Set the clock, by NTP \
             for example: certificates cannot be checked without it.",
            minute(hint)
        ),
        None => format!(
            "this machine's clock says {now}. Set it, by NTP for example: certificates cannot be checked without it."
        ),
    };
    Finding::fail(Step::Clock, Exit::Tls, text).fact("clock_ms", now_ms).fact("unverified_ms", hint)
}

/// What is said of a verified server.
fn good(secured: &Secured, chain: &[Summary], configured: &Configured, around: &Surroundings<'_>) -> Finding {
    let version = secured.version();
    let Some(leaf) = chain.first() else { return Finding::ok(Step::Tls, version) };
    let pinned =
        configured.pins.as_ref().map(|pins| format!("; {}", pinned::found(&pins.value, chain))).unwrap_or_default();
    let days = leaf.days_left(around.clock.unix_ms() / 1000);
    if days <= SOON {
        let text = format!(
            "{version}, issued by {}, but for {days} days more alone{pinned}: have the certificate of {} renewed before {}.",
            leaf.issuer,
            configured.host,
            day(leaf.not_after)
        );
        return Finding::warn(Step::Tls, text);
    }
    Finding::ok(Step::Tls, format!("{version}, issued by {}, {days} days left{pinned}", leaf.issuer))
}

impl Refused {
    /// Why it failed, and what to do.
    fn explained(&self, configured: &Configured, around: &Surroundings<'_>) -> String {
        let host = &configured.host;
        let end = end_of(&self.chain).unwrap_or_default();
        let names = || self.chain.first().map(|leaf| leaf.names.as_slice()).unwrap_or_default();
        match self.fault {
            Some(CertificateFault::Untrusted) => untrusted(&self.chain, end, configured),
            Some(CertificateFault::SelfSigned) => format!(
                "{host} shows a certificate that it has signed itself, \"{end}\": a router, portal or proxy of this network \
                 answers, or a server of your own, whose certificate --ca-file then takes."
            ),
            Some(CertificateFault::ForeignKey) => format!(
                "{} holds an authority \"{end}\", but with another key than the one that signed: it is of another instance, \
                 or old. Get it anew.",
                configured.trusted()
            ),
            Some(CertificateFault::OtherName) => format!(
                "the certificate is for {}, not for {host}. Compare the endpoint with the {}; if it is right, a portal or \
                 filter of this network answers.",
                listed(names()),
                endpoint::CONSOLE
            ),
            Some(CertificateFault::Expired) => {
                let now = around.clock.unix_ms() / 1000;
                let old = self.chain.iter().find(|one| one.not_after < now).or(self.chain.first());
                let (name, ended) = old.map_or((host.as_str(), 0), |one| (&one.subject, one.not_after));
                format!(
                    "the certificate \"{name}\" of {host} expired on {}: whoever runs the server must renew it. The clock here \
                     says {}.",
                    day(ended),
                    day(now)
                )
            }
            Some(CertificateFault::NotYetValid) => {
                let begins = self.chain.iter().map(|one| one.not_before).max().unwrap_or(0);
                format!(
                    "the certificate of {host} is not valid before {}, the clock here says {}. Set the clock, or the server's.",
                    day(begins),
                    day(around.clock.unix_ms() / 1000)
                )
            }
            Some(CertificateFault::Unpinned) => pinned::lacking(configured.pins.as_ref(), &self.chain, host),
            Some(_) => format!("{}.", self.error.message()),
            None => self.explained_without_certificate(configured),
        }
    }

    fn explained_without_certificate(&self, configured: &Configured) -> String {
        let host = &configured.host;
        match self.error.kind() {
            _ if self.error.message().starts_with("check the client certificate:") => match &configured.client_cert {
                Some(file) => format!(
                    "{host} does not accept the client certificate of {file}: it may be expired, or of an authority that \
                     the server does not know."
                ),
                None => format!(
                    "{host} demands a client certificate, which the platform does not: a gateway of this network answers. \
                     Name one that it accepts by --client-cert, or compare the endpoint with the {}.",
                    endpoint::CONSOLE
                ),
            },
            ErrorKind::Timeout => format!(
                "{host} accepts the connection and does not answer the TLS handshake. Something on the way holds it up: a \
                 firewall that looks at TLS, or a link that loses large packets (try a smaller MTU)."
            ),
            ErrorKind::Connect => format!(
                "{}. A firewall that looks at host names, or a server that is not for HTTPS: compare the endpoint with the {}.",
                self.error.message(),
                endpoint::CONSOLE
            ),
            _ => {
                let message = self.error.message();
                let message = message.strip_prefix("check the endpoint and its port: ").unwrap_or(message);
                format!(
                    "{message}. Compare the endpoint with the {}; if it is right, a portal or filter of this network answers.",
                    endpoint::CONSOLE
                )
            }
        }
    }
}

/// Nobody who is trusted has the name of the authority at the chain's end.
fn untrusted(chain: &[Summary], end: &str, configured: &Configured) -> String {
    let host = &configured.host;
    let ends = match chain.first().map(|leaf| leaf.issuer.as_str()) {
        Some(issuer) if issuer != end => format!("the chain, by \"{issuer}\", ends at \"{end}\""),
        _ => format!("the chain ends at \"{end}\""),
    };
    let has = |names: &[&'static str]| names.iter().copied().find(|name| end.contains(name));
    let add = match configured.ca_file.as_ref().or(configured.add_ca_file.as_ref()) {
        Some(file) => format!("add its CA to {file}"),
        None => "name its CA by --ca-file".to_owned(),
    };
    if let Some(product) = has(INTERCEPTORS) {
        return format!("{ends}: {product} reads this connection. Have it let {host} pass unread, or {add}.");
    }
    if end == STAND_IN {
        return format!(
            "the server is a stand-in platform. Give --ca-file the file that its --ca-out has written ({end})."
        );
    }
    match &configured.ca_file {
        Some(file) if has(PLATFORM_AUTHORITIES).is_some() => format!(
            "{ends}, which is an authority of the platform's, and {file} does not hold it. Take the PEM in \
             the folder c/ of the vendor's page \"Certificates\", or leave --ca-file out."
        ),
        Some(_) => format!(
            "{ends}, which {}: a proxy reads this connection, or the file is wrong. Let the proxy pass {host}, or {add}.",
            configured.lacks()
        ),
        None => format!(
            "{ends}, which {}: a proxy reads this connection, or the instance has a certificate of its owner's. Let the proxy \
             pass {host}, or {add}.",
            configured.lacks()
        ),
    }
}

/// The clock against a verified server's.
fn examine_clock(
    probe: &Probe,
    secured: Secured,
    around: &Surroundings<'_>,
    deadline: Instant,
    findings: &mut Findings<'_>,
) {
    let began = Instant::now();
    let before = around.clock.unix_ms();
    let said = match probe.ask(secured, deadline) {
        Ok(said) => said,
        Err(error) => {
            let text =
                format!("the server does not answer in HTTP: {}. Its port may be another service's.", error.message());
            findings.add(Finding::warn(Step::Clock, text).since(began));
            return;
        }
    };
    let Some(time_ms) = said.time_ms else {
        findings.skip(&[Step::Clock], "not compared, the server's answer has no time");
        return;
    };
    // A date counts in seconds, and the answer took its time.
    let after = around.clock.unix_ms();
    let latest = after - time_ms;
    let earliest = before - time_ms - 1_000;
    let off = if earliest > 0 { earliest } else { latest.min(0) };
    let finding = match off {
        0 => Finding::ok(Step::Clock, "agrees with the platform's"),
        off => {
            let which = if off < 0 { "behind" } else { "ahead of" };
            let text = format!("{} {which} the platform's", span(off.abs()));
            match off.abs() > OFF_MS {
                true => Finding::warn(
                    Step::Clock,
                    format!("{text}: event times are off by as much. Set the clock, by NTP for example."),
                ),
                false => Finding::ok(Step::Clock, text),
            }
        }
    };
    findings.add(finding.fact("off_ms", off).since(began));
}

fn facts(chain: &[Summary]) -> Vec<Value> {
    let fact = |one: &Summary| {
        json!({
            "subject": one.subject, "issuer": one.issuer, "names": one.names,
            "not_before": day(one.not_before), "not_after": day(one.not_after), "pin": one.pin.to_string(),
        })
    };
    chain.iter().map(fact).collect()
}

/// Some of a certificate's names.
fn listed(names: &[String]) -> String {
    match names {
        [] => "no host".to_owned(),
        [first, second, _, _, ..] => format!("{first}, {second} and {} more", names.len() - 2),
        few => few.join(", "),
    }
}

fn minute(ms: i64) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let time = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000)).ok();
    time.and_then(|time| time.format(format).ok()).unwrap_or_else(|| "a time that cannot be".to_owned())
}

/// A span in its largest sensible unit.
fn span(ms: i64) -> String {
    match ms {
        0..10_000 => format!("{:.1} s", ms as f64 / 1000.0),
        10_000..120_000 => format!("{} s", ms / 1000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} days", ms / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_names_as_a_person_reads_them() {
        for (ms, expected) in
            [(400, "0.4 s"), (59_000, "59 s"), (120_000, "2 min"), (86_400_000, "24 h"), (864_000_000, "10 days")]
        {
            assert_eq!(span(ms), expected);
        }
        assert_eq!(minute(0), "1970-01-01 00:00 UTC");
        let names: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        assert_eq!((listed(&names[..3]), listed(&names)), ("a, b, c".to_owned(), "a, b and 2 more".to_owned()));
        assert_eq!(listed(&[]), "no host");
    }

    #[test]
    fn the_end_of_a_chain_says_who_reads_the_connection() {
        let mut config = iotda::Config::new();
        config.endpoint("https://h").unwrap();
        let mut configured = Configured {
            config,
            endpoint: "https://h".to_owned(),
            host: "h".to_owned(),
            is_reachable: true,
            unusable: None,
            ca_file: Some("ca.pem".to_owned()),
            add_ca_file: None,
            client_cert: None,
            pins: None,
            credentials: None,
        };
        for (end, part) in [
            ("Zscaler Intermediate Root CA", "Zscaler reads this connection"),
            ("GlobalSign Root R46", "an authority of the platform's, and ca.pem does not hold it"),
            ("Corp Proxy CA", "which ca.pem does not hold: a proxy reads this connection, or the file is wrong"),
            (STAND_IN, "--ca-out"),
        ] {
            let text = untrusted(&[], end, &configured);
            assert!(text.contains(part), "{text}");
        }
        configured.ca_file = None;
        assert!(untrusted(&[], "GlobalSign Root R46", &configured).contains("none of the built-in authorities"));
        assert!(untrusted(&[], "Corp", &configured).contains("name its CA by --ca-file"));
        configured.add_ca_file = Some("more.pem".to_owned());
        let text = untrusted(&[], "Corp", &configured);
        assert!(text.contains("none of the built-in authorities and not in more.pem"), "{text}");
        assert!(text.contains("add its CA to more.pem"), "{text}");
        configured.ca_file = Some("ca.pem".to_owned());
        let text = untrusted(&[], "Corp", &configured);
        assert!(text.contains("which neither ca.pem nor more.pem holds"), "{text}");
    }
}
