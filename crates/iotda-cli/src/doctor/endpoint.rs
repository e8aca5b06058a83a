//! What an endpoint's text shows: an address of MQTT, of applications, of a service that is gone, or an example. The facts
//! are the vendor's: hosts of the device access hold `.iotda-device.`, those for applications `.iotda-app.`.

/// Where the console shows the right one.
pub const CONSOLE: &str =
    "console, IoTDA Instances > (instance) > Overview > Access Details > Device access > HTTPS (443)";

/// The domain of the platform's hosts.
const DOMAIN: &str = ".myhuaweicloud.com";

/// What to say of an endpoint before anybody is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Fine,
    /// It may work.
    Odd(String),
    /// It cannot be the right one.
    Wrong(String),
}

/// Whether it can be the address of the platform's device access over HTTPS.
pub fn judge(endpoint: &str) -> Verdict {
    let endpoint = endpoint.trim();
    if endpoint.contains(['<', '>']) {
        return Verdict::Wrong(format!(
            "{} is a pattern. Take the address of the instance: {CONSOLE}.",
            shown(endpoint)
        ));
    }
    let (scheme, rest) = match endpoint.split_once("://") {
        Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
        None => (None, endpoint),
    };
    // A user name is no part of an endpoint, and may stand before a password.
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, port.parse::<u16>().ok()),
        _ => (authority, None),
    };
    let host = host.to_ascii_lowercase();
    if let Some(protocol) = scheme.as_deref().and_then(other_scheme) {
        return Verdict::Wrong(format!(
            "{} is an address of {protocol}. Take that of HTTPS: {CONSOLE}.",
            shown(endpoint)
        ));
    }
    let is_platform = host.ends_with(DOMAIN);
    if is_platform && host.contains("iotda-app.") {
        return Verdict::Wrong(format!("{host} is the application host. Take the device one: {CONSOLE}."));
    }
    if is_platform && host.starts_with("iot-acc.") {
        return Verdict::Wrong(format!("{host} is retired. Take the host of the instance: {CONSOLE}."));
    }
    if is_platform && (host.starts_with("xxx.") || host.starts_with("xxxx.")) {
        return Verdict::Wrong(format!(
            "{host} is the documentation's example. Take the host of the instance: {CONSOLE}."
        ));
    }
    if let Some((port, protocol)) = port.and_then(|port| Some((port, other_port(port)?))) {
        let text = format!("port {port} is usually that of {protocol}, HTTPS is on 443. See the {CONSOLE}.");
        return if is_platform { Verdict::Wrong(text) } else { Verdict::Odd(text) };
    }
    if scheme.is_none() {
        return match host.is_empty() {
            true => Verdict::Wrong(format!("the endpoint is empty. Take that of the instance: {CONSOLE}.")),
            false => Verdict::Wrong(format!("write https:// before the endpoint {}.", shown(endpoint))),
        };
    }
    if is_platform && host.starts_with("iot-mqtts.") {
        return Verdict::Odd(format!("{host} is the MQTT host of the Basic edition. Compare it with the {CONSOLE}."));
    }
    if is_platform && !host.contains("iotda-device.") {
        return Verdict::Odd(format!(
            "{host} is no host of the device access, which has \"iotda-device\" in it. Compare it with the {CONSOLE}."
        ));
    }
    Verdict::Fine
}

/// Whether the host is one of the vendor's.
pub fn is_platform(host: &str) -> bool {
    host.to_ascii_lowercase().ends_with(DOMAIN)
}

fn other_scheme(scheme: &str) -> Option<&'static str> {
    match scheme {
        "mqtt" | "mqtts" | "tcp" | "ssl" | "tls" | "ws" | "wss" => Some("MQTT"),
        "coap" | "coaps" => Some("LwM2M over CoAP"),
        "amqp" | "amqps" => Some("AMQP, which applications use"),
        _ => None,
    }
}

fn other_port(port: u16) -> Option<&'static str> {
    match port {
        1883 | 8883 => Some("MQTT"),
        5683 | 5684 => Some("CoAP"),
        5671 => Some("AMQP"),
        _ => None,
    }
}

/// As much of a wrong one as a line takes; nothing before an `@`, where a password may stand.
fn shown(endpoint: &str) -> String {
    let endpoint = endpoint.rsplit_once('@').map_or(endpoint, |(_, rest)| rest);
    endpoint.chars().take(100).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_the_device_access_is_named() {
        for (endpoint, part) in [
            ("https://x.st1.iotda-app.cn-north-4.myhuaweicloud.com", "is the application host"),
            ("https://iotda-app.cn-north-4.myhuaweicloud.com:443", "is the application host"),
            ("https://iot-acc.cn-north-4.myhuaweicloud.com", "is retired"),
            ("mqtts://x.st1.iotda-device.cn-north-4.myhuaweicloud.com:8883", "is an address of MQTT"),
            ("ssl://h:8883", "is an address of MQTT"),
            ("amqps://h", "is an address of AMQP"),
            ("https://x.st1.iotda-device.cn-north-4.myhuaweicloud.com:8883", "port 8883 is usually that of MQTT"),
            ("x.st1.iotda-device.cn-north-4.myhuaweicloud.com:1883", "port 1883 is usually that of MQTT"),
            ("x.st1.iotda-device.cn-north-4.myhuaweicloud.com", "write https:// before the endpoint"),
            ("https://<id>.st1.iotda-device.<region>.myhuaweicloud.com", "is a pattern"),
            ("https://xxx.st1.iotda-device.cn-north-4.myhuaweicloud.com", "is the documentation's example"),
            ("", "the endpoint is empty"),
        ] {
            let Verdict::Wrong(text) = judge(endpoint) else { panic!("{endpoint}: {:?}", judge(endpoint)) };
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn what_is_only_unusual_is_tried() {
        for (endpoint, part) in [
            ("https://iot-mqtts.cn-north-4.myhuaweicloud.com", "the MQTT host of the Basic edition"),
            ("https://obs.cn-north-4.myhuaweicloud.com", "is no host of the device access"),
            ("https://10.0.0.1:8883", "port 8883 is usually that of MQTT"),
        ] {
            let Verdict::Odd(text) = judge(endpoint) else { panic!("{endpoint}: {:?}", judge(endpoint)) };
            assert!(text.contains(part), "{text}");
        }
        for endpoint in [
            "https://a1b2c3.st1.iotda-device.cn-north-4.myhuaweicloud.com",
            "https://a1b2c3.ST1.iotda-device.cn-north-4.myhuaweicloud.com:443/",
            "https://iot.example:8943",
            "https://[::1]:8943",
        ] {
            assert_eq!(judge(endpoint), Verdict::Fine, "{endpoint}");
        }
    }

    #[test]
    fn no_password_of_an_endpoint_is_repeated() {
        for endpoint in
            ["mqtts://user:hunter2@h:8883", "user:hunter2@h", "https://user:hunter2@h:8883", "<a>:hunter2@<b>"]
        {
            if let Verdict::Wrong(text) | Verdict::Odd(text) = judge(endpoint) {
                assert!(!text.contains("hunter2"), "{text}");
            }
        }
    }
}
