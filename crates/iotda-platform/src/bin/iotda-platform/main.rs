//! The command `iotda-platform`: starts a platform, says what a client needs to reach it, and waits for its end.
//! Everything else is the library's.

#![forbid(unsafe_code)]

mod arguments;

use arguments::{Arguments, Identity};
use clap::Parser;
use iotda_platform::{Device, Platform, Registry};
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("iotda-platform: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    if arguments.print_demo_registry {
        return print(Registry::DEMO);
    }
    let registry = registry(arguments)?;
    let (device, gateway) = (announced_device(arguments, &registry), announced_gateway(arguments, &registry));
    let mut builder = Platform::builder()
        .registry(registry)
        .bind(arguments.listen)
        .inspection(&arguments.inspect)
        .token_lifetime(Duration::from_secs(arguments.token_lifetime.into()))
        .max_records(arguments.max_records);
    if let Some(path) = &arguments.record {
        builder = builder.record_file(path);
    }
    if let Some(path) = &arguments.scenario {
        builder = builder.scenario_file(path);
    }
    if arguments.narrow_window {
        builder = builder.narrow_window();
    }
    for name in &arguments.server_name {
        builder = builder.server_name(name);
    }
    let platform = builder.start().map_err(|error| error.to_string())?;
    let ca_file = CaFile::write(arguments.ca_out.as_deref(), platform.ca_pem())?;
    // Before anybody is told that the platform is ready: whoever ends it at once must find it listening for that.
    let end = End::watch(arguments.exit_with_stdin)?;

    let mut lines = vec![
        ("IOTDA_ENDPOINT", platform.url().to_owned()),
        ("IOTDA_CA_FILE", ca_file.path.display().to_string()),
        ("IOTDA_INSPECT", platform.inspection_url().to_owned()),
    ];
    if let Some(Identity { id, secret }) = device {
        lines.extend([("IOTDA_DEVICE_ID", id), ("IOTDA_DEVICE_SECRET", secret)]);
    }
    if let Some(Identity { id, secret }) = gateway {
        lines.extend([("IOTDA_GATEWAY_ID", id), ("IOTDA_GATEWAY_SECRET", secret)]);
    }
    let lines: Vec<String> = lines.iter().map(|(key, value)| format!("{key}={}\n", shell_word(value))).collect();
    print(&format!("{}ready\n", lines.concat()))?;
    end.wait();
    platform.shutdown();
    Ok(())
}

fn registry(arguments: &Arguments) -> Result<Registry, String> {
    let nobody = arguments.device.is_empty() && arguments.gateway.is_empty();
    let mut registry = match &arguments.registry {
        Some(path) => Registry::from_file(path),
        None if arguments.demo_registry || nobody => Registry::from_toml(Registry::DEMO),
        None => Ok(Registry::new()),
    }
    .map_err(|error| error.to_string())?;
    for Identity { id, secret } in &arguments.device {
        let device = Device::new(id).with_secret(secret);
        registry.add_device(device).map_err(|error| format!("--device {id}=…: {error}"))?;
    }
    for Identity { id, secret } in &arguments.gateway {
        let gateway = Device::new(id).with_secret(secret).with_any_child();
        registry.add_device(gateway).map_err(|error| format!("--gateway {id}=…: {error}"))?;
    }
    Ok(registry)
}

/// The device that is named in the output: one of the command line's, or else one of the registry's. A gateway will
/// do if there is no other, as it is a device too.
fn announced_device(arguments: &Arguments, registry: &Registry) -> Option<Identity> {
    let plain = || registry.devices().filter(|device| !is_gateway(device, registry)).find_map(identity);
    arguments.device.first().cloned().or_else(plain).or_else(|| announced_gateway(arguments, registry))
}

fn announced_gateway(arguments: &Arguments, registry: &Registry) -> Option<Identity> {
    let registered = || registry.devices().filter(|device| is_gateway(device, registry)).find_map(identity);
    arguments.gateway.first().cloned().or_else(registered)
}

fn is_gateway(device: &Device, registry: &Registry) -> bool {
    device.takes_any_child() || registry.devices().any(|child| child.gateway() == Some(device.id()))
}

fn identity(device: &Device) -> Option<Identity> {
    Some(Identity { id: device.id().to_owned(), secret: device.secret()?.to_owned() })
}

/// The file of the platform's certificate authority. One that nobody asked for by name goes with the platform.
struct CaFile {
    path: PathBuf,
    temporary: bool,
}

impl CaFile {
    fn write(path: Option<&Path>, pem: &str) -> Result<Self, String> {
        let mut options = OpenOptions::new();
        let (path, temporary) = match path {
            Some(path) => {
                options.write(true).create(true).truncate(true);
                (std::path::absolute(path).unwrap_or_else(|_| path.to_owned()), false)
            }
            None => {
                // Nothing that is there already is written to, a link that someone else has put there least of all.
                options.write(true).create_new(true);
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
                let name = format!("iotda-platform-{}-{since}.pem", std::process::id());
                (std::env::temp_dir().join(name), true)
            }
        };
        options.open(&path).and_then(|mut file| file.write_all(pem.as_bytes())).map_err(|error| {
            format!("the certificate cannot be written to {}: {error}; choose a file by --ca-out", path.display())
        })?;
        Ok(Self { path, temporary })
    }
}

impl Drop for CaFile {
    fn drop(&mut self) {
        if self.temporary {
            // It may have been removed by others: that is as well.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The events that end the command.
struct End {
    runtime: tokio::runtime::Runtime,
    events: tokio::sync::mpsc::UnboundedReceiver<()>,
}

impl End {
    fn watch(exit_with_stdin: bool) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("signals cannot be waited for: {error}"))?;
        let (sender, events) = tokio::sync::mpsc::unbounded_channel();
        watch_signals(&runtime, &sender).map_err(|error| format!("signals cannot be waited for: {error}"))?;
        if exit_with_stdin {
            std::thread::spawn(move || {
                // An error ends it like an end of file: nothing more can come.
                let mut buffer = [0; 1024];
                while std::io::stdin().read(&mut buffer).is_ok_and(|length| length > 0) {}
                let _ = sender.send(());
            });
        }
        Ok(Self { runtime, events })
    }

    fn wait(mut self) {
        self.runtime.block_on(self.events.recv());
    }
}

#[cfg(unix)]
fn watch_signals(
    runtime: &tokio::runtime::Runtime,
    sender: &tokio::sync::mpsc::UnboundedSender<()>,
) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let _context = runtime.enter();
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let mut signal = signal(kind)?;
        let sender = sender.clone();
        runtime.spawn(async move {
            signal.recv().await;
            let _ = sender.send(());
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn watch_signals(
    runtime: &tokio::runtime::Runtime,
    sender: &tokio::sync::mpsc::UnboundedSender<()>,
) -> std::io::Result<()> {
    let sender = sender.clone();
    runtime.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            let _ = sender.send(());
        }
    });
    Ok(())
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
