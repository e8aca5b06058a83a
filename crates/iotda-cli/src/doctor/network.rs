//! Look-up, TCP and the proxy: each address for itself.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use iotda::ErrorKind as Kind;
use iotda::probe::{Link, Probe, Reached};
use serde_json::{Value, json};

use super::Surroundings;
use super::configured::Configured;
use super::endpoint;
use super::finding::{Finding, Findings, Step};
use crate::exit::Exit;

/// The addresses, if there are any.
pub fn look_up(
    probe: &Probe,
    configured: &Configured,
    deadline: Instant,
    findings: &mut Findings<'_>,
) -> Option<Vec<SocketAddr>> {
    let began = Instant::now();
    let host = probe.host();
    let addresses = match probe.look_up(deadline) {
        Ok(addresses) => addresses,
        Err(error) => {
            let text = match error.kind() {
                Kind::Timeout => format!(
                    "the name server does not answer. Check /etc/resolv.conf and the network: \"{host}\" was looked up for all \
                     of the time."
                ),
                _ => {
                    let why = cause(error.message());
                    format!("\"{host}\" cannot be looked up: {why}. {}", advice_for_name(why, probe, configured))
                }
            };
            findings.add(Finding::fail(Step::Dns, Exit::Network, text).since(began));
            return None;
        }
    };
    let ips: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    let text = match &ips[..] {
        [one] if one == host => format!("{host} is an address: nothing to look up"),
        [one] => format!("1 address: {one}"),
        several => format!("{} addresses: {}", several.len(), several.join(", ")),
    };
    findings.add(Finding::ok(Step::Dns, text).fact("addresses", ips).since(began));
    let private = addresses.iter().find(|address| is_private(address.ip()));
    if let (Some(private), true, None) = (private, endpoint::is_platform(host), probe.proxy()) {
        findings.add(Finding::warn(
            Step::Dns,
            format!(
                "{} is a private address: the instance has private access alone, or a portal or filter of this network \
                 answers for the name server.",
                private.ip()
            ),
        ));
    }
    Some(addresses)
}

fn advice_for_name(why: &str, probe: &Probe, configured: &Configured) -> String {
    // EAI_AGAIN as glibc and musl write it: nobody has said that there is no such name.
    if why.contains("Temporary failure") || why.contains("Try again") {
        return "The name server is out of reach or has a fault: check /etc/resolv.conf and the network.".to_owned();
    }
    match probe.proxy() {
        Some(_) => "Check the proxy's address.".to_owned(),
        None if endpoint::is_platform(&configured.host) => {
            format!("Compare the endpoint with the {}.", endpoint::CONSOLE)
        }
        None => "Check the endpoint's spelling, and /etc/resolv.conf.".to_owned(),
    }
}

/// What the system says, without the library's sentence around it.
fn cause(message: &str) -> &str {
    let why = message.split_once("could not be looked up: ").map_or(message, |(_, why)| why);
    why.strip_prefix("failed to lookup address information: ").unwrap_or(why)
}

/// The connections that stand.
pub fn connect(
    probe: &Probe,
    configured: &Configured,
    addresses: &[SocketAddr],
    around: &Surroundings<'_>,
    deadline: Instant,
    findings: &mut Findings<'_>,
) -> Vec<Link> {
    let began = Instant::now();
    let most = around.address_timeout.min(deadline.saturating_duration_since(began));
    let reached = probe.connect(addresses, most);
    let port = probe.port();
    let facts: Vec<Value> = reached.iter().map(fact).collect();
    let (good, bad): (Vec<Reached>, Vec<Reached>) = reached.into_iter().partition(|reached| reached.result.is_ok());
    let finding = if good.is_empty() {
        Finding::fail(Step::Tcp, Exit::Network, no_connection(probe, configured, &bad))
    } else {
        let failed: Vec<&Reached> = bad.iter().filter(|reached| !is_no_fault(reached)).collect();
        match (&failed[..], good.len()) {
            ([], _) => Finding::ok(Step::Tcp, accepting(&good, bad.len(), port)),
            (failed, count) => {
                let failed: Vec<String> = failed.iter().map(|reached| became_of(reached)).collect();
                Finding::warn(
                    Step::Tcp,
                    format!(
                        "{count} of {} addresses accept on port {port}; {}. Reports go to those that do; each new connection \
                         may be slower.",
                        count + bad.len(),
                        failed.join("; ")
                    ),
                )
            }
        }
    };
    findings.add(finding.fact("port", port).fact("addresses", facts).since(began));
    good.into_iter().filter_map(|reached| reached.result.ok()).collect()
}

fn accepting(good: &[Reached], without: usize, port: u16) -> String {
    let who = match good {
        [one] if without == 0 => format!("{} accepts", one.address.ip()),
        [_, _] if without == 0 => "both accept".to_owned(),
        several if without == 0 => format!("all {} accept", several.len()),
        several => format!("{} of {} addresses accept, which will do,", several.len(), several.len() + without),
    };
    format!("{who} on port {port}")
}

/// Why nobody can be connected to, and what that usually means.
fn no_connection(probe: &Probe, configured: &Configured, bad: &[Reached]) -> String {
    let (host, port) = (probe.host(), probe.port());
    let all = |kind: ErrorKind| bad.iter().all(|reached| error_kind(reached) == Some(kind));
    let each: Vec<String> = bad.iter().map(became_of).collect();
    let each = each.join("; ");
    if let Some(proxy) = probe.proxy() {
        return format!(
            "the proxy {proxy} cannot be reached ({each}). Check its address, or whether there is to be one."
        );
    }
    if all(ErrorKind::ConnectionRefused) {
        let which = if port == 443 { "" } else { " HTTPS is on port 443." };
        return format!(
            "nothing listens on port {port} of {host}, or a firewall refuses it.{which} Compare the endpoint with the {}.",
            endpoint::CONSOLE
        );
    }
    if all(ErrorKind::TimedOut) {
        let instance = match endpoint::is_platform(&configured.host) {
            true => {
                " The instance may have an IP white list without this network, or no public access: look there in the console."
            }
            false => "",
        };
        return format!("{each}. A firewall on the way drops the packets: let port {port} of {host} out.{instance}");
    }
    if bad.iter().all(is_unreachable) {
        return format!(
            "this machine has no route to {host} ({each}). Check its interface, its SIM or APN, its gateway."
        );
    }
    format!("no address of {host} can be connected to: {each}.")
}

fn became_of(reached: &Reached) -> String {
    let address = reached.address.ip();
    match &reached.result {
        Ok(_) => format!("{address} accepts"),
        Err(error) => match error.kind() {
            ErrorKind::TimedOut => format!("{address} does not answer"),
            ErrorKind::ConnectionRefused => format!("{address} refuses"),
            ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => format!("{address} is out of reach"),
            _ => format!("{address}: {error}"),
        },
    }
}

fn fact(reached: &Reached) -> Value {
    let error = reached.result.as_ref().err().map(io::Error::to_string);
    let ms = u64::try_from(reached.took.as_millis()).unwrap_or(u64::MAX);
    json!({ "address": reached.address.ip().to_string(), "ms": ms, "error": error })
}

fn error_kind(reached: &Reached) -> Option<ErrorKind> {
    reached.result.as_ref().err().map(io::Error::kind)
}

fn is_unreachable(reached: &Reached) -> bool {
    matches!(error_kind(reached), Some(ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable))
}

/// As it should be where another address accepts: a machine without IPv6 cannot reach such addresses, and a server on this
/// machine may listen on one of its two.
fn is_no_fault(reached: &Reached) -> bool {
    let without_ipv6 = matches!(error_kind(reached), Some(ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable));
    reached.address.is_ipv6() && without_ipv6 || reached.address.ip().is_loopback() && !is_silent(reached)
}

fn is_silent(reached: &Reached) -> bool {
    error_kind(reached) == Some(ErrorKind::TimedOut)
}

/// Has the proxy, if there is one, pass the connections on; returns those that it did.
pub fn tunnel(probe: &Probe, links: Vec<Link>, deadline: Instant, findings: &mut Findings<'_>) -> Vec<Link> {
    let Some(proxy) = probe.proxy() else { return links };
    let began = Instant::now();
    let mut passed = Vec::new();
    let mut failure = None;
    for mut link in links {
        match probe.tunnel(&mut link, deadline) {
            Ok(()) => passed.push(link),
            Err(error) => failure = Some(error),
        }
    }
    let finding = match failure {
        Some(error) if passed.is_empty() => {
            let text = format!("{}.", error.message());
            Finding::fail(Step::Proxy, Exit::from(error.kind()), text)
        }
        _ => Finding::ok(Step::Proxy, format!("{proxy} passes the connection on")),
    };
    findings.add(finding.fact("proxy", proxy).since(began));
    passed
}

/// Of a network of somebody's own, or of none (RFC 1918, 3927, 4193, 4291, 6598).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || first == 100 && (64..128).contains(&second)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn reached(address: &str, kind: ErrorKind) -> Reached {
        Reached { address: address.parse().unwrap(), took: Duration::ZERO, result: Err(kind.into()) }
    }

    fn explained(endpoint: &str, bad: &[Reached]) -> String {
        let mut config = iotda::Config::new();
        config.endpoint(endpoint).unwrap();
        let probe = config.probe().unwrap();
        let configured = Configured {
            host: probe.host().to_owned(),
            endpoint: endpoint.to_owned(),
            config,
            is_reachable: true,
            unusable: None,
            ca_file: None,
            add_ca_file: None,
            client_cert: None,
            pins: None,
            credentials: None,
        };
        no_connection(&probe, &configured, bad)
    }

    #[test]
    fn why_nobody_can_be_connected_to_depends_on_what_all_addresses_did() {
        let platform = "https://a.st1.iotda-device.cn-north-4.myhuaweicloud.com";
        let [one, other] = ["192.0.2.1:443", "192.0.2.2:443"];
        for (bad, parts) in [
            (
                vec![reached(one, ErrorKind::TimedOut), reached(other, ErrorKind::TimedOut)],
                &["IP white list", "no public access", "192.0.2.2 does not answer"][..],
            ),
            (
                vec![reached(one, ErrorKind::ConnectionRefused)],
                &["nothing listens on port 443", "Compare the endpoint"],
            ),
            (
                vec![reached(one, ErrorKind::NetworkUnreachable), reached(other, ErrorKind::HostUnreachable)],
                &["no route", "SIM or APN"],
            ),
            (
                vec![reached(one, ErrorKind::TimedOut), reached(other, ErrorKind::ConnectionRefused)],
                &["192.0.2.1 does not answer; 192.0.2.2 refuses"],
            ),
        ] {
            let text = explained(platform, &bad);
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
        let text = explained("https://iot.example:8943", &[reached("192.0.2.1:8943", ErrorKind::ConnectionRefused)]);
        assert!(text.contains("HTTPS is on port 443"), "{text}");
        let text = explained("https://iot.example", &[reached(one, ErrorKind::TimedOut)]);
        assert!(!text.contains("white list"), "{text}");
    }

    #[test]
    fn private_addresses_are_known() {
        for address in [
            "10.1.2.3",
            "192.168.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "0.0.0.0",
            "169.254.1.1",
            "fd00::1",
            "::1",
            "fe80::1",
        ] {
            assert!(is_private(address.parse().unwrap()), "{address}");
        }
        for address in ["192.0.2.1", "100.128.0.1", "11.0.0.1", "2001:db8::1"] {
            assert!(!is_private(address.parse().unwrap()), "{address}");
        }
    }
}
