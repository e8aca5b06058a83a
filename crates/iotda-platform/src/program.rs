//! The commands `iotda-platform` and `iotda serve`: start a platform, say what a client needs to reach it, and wait for its
//! end.

mod arguments;
mod ca_file;
mod end;
mod lines;

pub use arguments::{Arguments, Identity, Model};

use crate::{Device, Platform, Product, Registry};
use ca_file::CaFile;
use end::End;
use lines::Lines;
use std::collections::HashSet;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

/// The exit code where --fail-on-refusal finds that something was refused.
const REFUSED: u8 = 3;

/// Starts a platform as the arguments say, prints what a client needs to reach it, and blocks until a signal ends it.
///
/// An error is a sentence for a person; it may hold what the arguments hold.
pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    if arguments.print_demo_registry {
        return print(Registry::DEMO).map(|()| ExitCode::SUCCESS);
    }
    let registry = registry(arguments)?;
    let (device, gateway) = (announced_device(arguments, &registry), announced_gateway(arguments, &registry));
    let (lines, rest) = Lines::start(arguments.quiet, arguments.exit_with_stdin).unzip();
    let platform = start(arguments, registry, lines.clone())?;
    let ca_file = CaFile::write(arguments.ca_out.as_deref(), platform.ca_pem())?;
    // Before the platform says that it is ready: whoever ends it at once must find it listening for that.
    let end = End::watch(arguments.exit_with_stdin)?;

    let mut values = vec![
        ("IOTDA_ENDPOINT", platform.url().to_owned()),
        ("IOTDA_CA_FILE", ca_file.path().display().to_string()),
        ("IOTDA_INSPECT", platform.inspection_url().to_owned()),
    ];
    if let Some(Identity { id, secret }) = device {
        values.extend([("IOTDA_DEVICE_ID", id), ("IOTDA_DEVICE_SECRET", secret)]);
    }
    if let Some(Identity { id, secret }) = gateway {
        values.extend([("IOTDA_GATEWAY_ID", id), ("IOTDA_GATEWAY_SECRET", secret)]);
    }
    let values: Vec<String> = values.iter().map(|(key, value)| format!("{key}={}\n", shell_word(value))).collect();
    print(&format!("{}ready\n", values.concat()))?;
    end.wait();
    let counters = platform.counters();
    platform.shutdown();
    let refused = counters.refusals + counters.discarded + counters.http_refused + counters.handshakes_failed;
    if let (Some(lines), Some(rest)) = (lines, rest) {
        lines.add(&summary(&counters));
        drop(lines);
        rest.wait();
    }
    Ok(if arguments.fail_on_refusal && refused > 0 { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
}

fn start(arguments: &Arguments, registry: Registry, lines: Option<Lines>) -> Result<Platform, String> {
    let mut builder = Platform::builder()
        .registry(registry)
        .bind(address(&arguments.listen)?)
        .inspection(&arguments.inspect)
        .token_lifetime(Duration::from_secs(arguments.token_lifetime.into()))
        .max_records(arguments.max_records)
        // Half of it for the requests, and half for the reports; but a quarter is for what a request takes while it is read,
        // and for what the system's allocator leaves unused between records that come and go.
        .max_record_bytes(arguments.max_memory.saturating_mul(1_048_576) / 8 * 3);
    if let Some(path) = &arguments.record {
        builder = builder.record_file(path);
    }
    if let Some(path) = &arguments.record_requests {
        builder = builder.request_file(path);
    }
    if let Some(path) = &arguments.scenario {
        builder = builder.scenario_file(path);
    }
    if let Some(path) = &arguments.ca_in {
        builder = builder.authority_file(path);
    }
    if let Some(path) = &arguments.server_key {
        builder = builder.server_key_file(path);
    }
    if arguments.narrow_window {
        builder = builder.narrow_window();
    }
    if arguments.strict_model {
        builder = builder.strict_model();
    }
    if let Some(seed) = arguments.token_seed {
        builder = builder.token_seed(seed);
    }
    if let Some(ms) = arguments.stop_clock_at {
        builder = builder.clock_stopped_at(UNIX_EPOCH + Duration::from_millis(ms));
    }
    for name in &arguments.server_name {
        builder = builder.server_name(name);
    }
    for name in &arguments.inspect_host {
        builder = builder.inspection_host(name);
    }
    if let Some(lines) = lines {
        builder = builder.on_line(move |line| lines.add(line));
    }
    builder.start().map_err(|error| error.to_string())
}

fn address(text: &str) -> Result<SocketAddr, String> {
    crate::address::first(text)
        .ok_or_else(|| format!("--listen {text}: this is no address: write one like 127.0.0.1:8443"))
}

fn summary(counters: &crate::Counters) -> String {
    let reports = counters.messages + counters.property_reports + counters.batches;
    let mut text = format!(
        "{} requests: {} authentications, {reports} reports, {} refused",
        counters.requests, counters.authentications, counters.refusals
    );
    for (number, what) in [
        (counters.discarded, "reports discarded"),
        (counters.http_refused, "not HTTP"),
        (counters.handshakes_failed, "handshakes failed"),
    ] {
        if number > 0 {
            text.push_str(&format!(", {number} {what}"));
        }
    }
    text
}

fn registry(arguments: &Arguments) -> Result<Registry, String> {
    let nobody = arguments.device.is_empty() && arguments.gateway.is_empty();
    let mut registry = match &arguments.registry {
        Some(path) => Registry::from_file(path),
        None if arguments.demo_registry || nobody => Registry::from_toml(Registry::DEMO),
        None => Ok(Registry::new()),
    }
    .map_err(|error| error.to_string())?;
    for model in &arguments.product_model {
        let product = Product::from_model_file(&model.id, &model.path);
        let added = product.and_then(|product| registry.add_product(product));
        added.map_err(|error| format!("--product-model {}=…: {error}", model.id))?;
    }
    // The platform names a device after its product.
    let of_product = |device: Device| {
        let is_its = |id: &str| device.id().strip_prefix(id).is_some_and(|rest| rest.starts_with('_'));
        match arguments.product_model.iter().find(|model| is_its(&model.id)) {
            Some(model) => device.with_product(&model.id),
            None => device,
        }
    };
    for Identity { id, secret } in &arguments.device {
        let device = of_product(Device::new(id).with_secret(secret));
        registry.add_device(device).map_err(|error| format!("--device {id}=…: {error}"))?;
    }
    for Identity { id, secret } in &arguments.gateway {
        let gateway = of_product(Device::new(id).with_secret(secret).with_any_child());
        registry.add_device(gateway).map_err(|error| format!("--gateway {id}=…: {error}"))?;
    }
    Ok(registry)
}

/// The device that is named in the output: one of the command line's, or else one of the registry's. A gateway will
/// do if there is no other, as it is a device too.
fn announced_device(arguments: &Arguments, registry: &Registry) -> Option<Identity> {
    let gateways = gateways(registry);
    let plain = || registry.devices().filter(|device| !is_gateway(device, &gateways)).find_map(identity);
    arguments.device.first().cloned().or_else(plain).or_else(|| announced_gateway(arguments, registry))
}

fn announced_gateway(arguments: &Arguments, registry: &Registry) -> Option<Identity> {
    let gateways = gateways(registry);
    let registered = || registry.devices().filter(|device| is_gateway(device, &gateways)).find_map(identity);
    arguments.gateway.first().cloned().or_else(registered)
}

/// The devices that others name as their gateway.
fn gateways(registry: &Registry) -> HashSet<&str> {
    registry.devices().filter_map(Device::gateway).collect()
}

fn is_gateway(device: &Device, gateways: &HashSet<&str>) -> bool {
    device.takes_any_child() || gateways.contains(device.id())
}

fn identity(device: &Device) -> Option<Identity> {
    Some(Identity { id: device.id().to_owned(), secret: device.secret()?.to_owned() })
}

/// A value as a shell takes it for one word: as it is if it can be, and else in single quotes.
fn shell_word(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@%+,=[]".contains(&byte);
    if !value.is_empty() && value.bytes().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

fn print(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| format!("the standard output cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_a_shell_would_not_take_are_quoted() {
        assert_eq!(shell_word("https://127.0.0.1:8443"), "https://127.0.0.1:8443");
        assert_eq!(shell_word("a b"), "'a b'");
        assert_eq!(shell_word("$HOME"), "'$HOME'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
