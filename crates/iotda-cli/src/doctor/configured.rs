//! The first step: what the settings say, whether it can be right, and who else can read or change it. Of it a
//! configuration is made for the steps that follow, as far as it serves them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use iotda::{Config, Level};
use zeroize::Zeroizing;

use super::endpoint::{self, Verdict};
use super::finding::{Finding, Findings, Step};
use super::{Options, Surroundings, secret, trust};
use crate::exit::{Exit, Failure};
use crate::settings::{ProxyChoice, SecretPlace, Setting, Settings, Source};

/// What the following steps work with.
pub struct Configured {
    /// With endpoint, authorities, proxy and device, each if it is good.
    pub config: Config,
    /// The endpoint's text, and its host.
    pub endpoint: String,
    pub host: String,
    /// Whether it can be connected to: endpoint and proxy are good.
    pub is_reachable: bool,
    /// Whether the authorities are good.
    pub is_trusting: bool,
    /// The file of authorities as it was named; `None`: the ones that are built in.
    pub ca_file: Option<String>,
    pub credentials: Option<Credentials>,
}

/// Whom to authenticate as.
pub struct Credentials {
    pub device: String,
    /// Why its secret is probably none.
    pub doubt: Option<String>,
}

/// What is found on the way, before it is shown: the line of the whole comes first.
#[derive(Default)]
struct Notes {
    faults: Vec<String>,
    doubts: Vec<String>,
}

/// Looks at the settings. Reads the secret, which may ask a person or run a command of the profile's.
pub fn examine(options: &Options<'_>, around: &Surroundings<'_>, findings: &mut Findings<'_>) -> Option<Configured> {
    let began = Instant::now();
    let settings = match Settings::resolve(options.connection, around.environment) {
        Ok(settings) => settings,
        Err(failure) => {
            findings.add(failed(&failure));
            return None;
        }
    };
    let mut notes = Notes::default();
    let mut config = Config::new();
    config.clock(Arc::clone(&around.clock));
    if let Some(log) = &around.log {
        config.log(Level::Debug, Arc::clone(log));
    }
    let endpoint = examine_endpoint(&settings, &mut config, &mut notes);
    let is_proxy_good = examine_proxy(&settings, &mut config, endpoint.is_some(), &mut notes);
    let host = endpoint.as_ref().map(|(_, host)| host.clone()).unwrap_or_default();
    let is_trusting = examine_trust(&settings, &mut config, &host, around, &mut notes);
    let secret = read_secret(options, &settings, &mut notes);
    let credentials = examine_device(&settings, &mut config, secret.as_ref(), options, &mut notes);
    examine_file_of_profiles(&settings, &mut notes);

    let exit = Exit::Config;
    if notes.faults.is_empty() {
        let mode = secret.as_ref().and_then(|(_, mode)| *mode);
        // The environment's may not be for this host.
        let has_proxy = config.probe().is_ok_and(|probe| probe.proxy().is_some());
        findings.add(Finding::ok(Step::Settings, summary(&settings, mode, has_proxy)).since(began));
    }
    notes.faults.into_iter().for_each(|text| findings.add(Finding::fail(Step::Settings, exit, text)));
    notes.doubts.into_iter().for_each(|text| findings.add(Finding::warn(Step::Settings, text)));
    let (endpoint, host, is_reachable) = match endpoint {
        Some((endpoint, host)) => (endpoint, host, is_proxy_good),
        None => (String::new(), String::new(), false),
    };
    let ca_file = settings.ca_file.as_ref().map(|file| file.value.display().to_string());
    Some(Configured { config, endpoint, host, is_reachable, is_trusting, ca_file, credentials })
}

fn failed(failure: &Failure) -> Finding {
    Finding::fail(Step::Settings, failure.exit, sentence(&failure.message))
}

/// Endpoint and host, if they are good.
fn examine_endpoint(settings: &Settings, config: &mut Config, notes: &mut Notes) -> Option<(String, String)> {
    let Some(Setting { value, source }) = &settings.endpoint else {
        notes.faults.push(format!(
            "no endpoint is given, by --endpoint, IOTDA_ENDPOINT or a profile. Take it from the {}.",
            endpoint::CONSOLE
        ));
        return None;
    };
    match endpoint::judge(value) {
        Verdict::Fine => {}
        Verdict::Odd(text) => notes.doubts.push(text),
        Verdict::Wrong(text) => {
            notes.faults.push(text);
            return None;
        }
    }
    if let Err(error) = config.endpoint(value) {
        notes.faults.push(sentence(&format!("{} ({source})", error.message())));
        return None;
    }
    // It is good: the crate has read it.
    let authority = value.split("://").nth(1).unwrap_or_default().trim_end_matches('/');
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    };
    Some((value.clone(), host.trim_matches(['[', ']']).to_ascii_lowercase()))
}

fn examine_proxy(settings: &Settings, config: &mut Config, has_endpoint: bool, notes: &mut Notes) -> bool {
    let Some(Setting { value, source }) = &settings.proxy else { return true };
    let set = match value {
        ProxyChoice::Url(url) => config.proxy(url).map(drop),
        // Whether it is for the endpoint cannot be said without one.
        ProxyChoice::Environment if !has_endpoint => return false,
        ProxyChoice::Environment => config.proxy_from_environment().map(drop),
    };
    let Err(error) = set else { return true };
    notes.faults.push(sentence(&format!("{} ({source})", error.message())));
    false
}

fn examine_trust(
    settings: &Settings,
    config: &mut Config,
    host: &str,
    around: &Surroundings<'_>,
    notes: &mut Notes,
) -> bool {
    let Some(Setting { value: file, source }) = &settings.ca_file else { return true };
    let content = match fs::read(file) {
        Ok(content) => content,
        Err(error) => {
            notes.faults.push(format!("the CA file {} cannot be read: {error} ({source}).", file.display()));
            return false;
        }
    };
    let verdict = trust::judge(file, &content, host, around.clock.unix_ms() / 1000);
    notes.doubts.extend(verdict.doubts);
    if let Some(fault) = verdict.fault {
        notes.faults.push(fault);
        return false;
    }
    if mode_of(file).is_some_and(|mode| mode & 0o002 != 0) {
        let name = file.display();
        notes
            .doubts
            .push(format!("everyone can write to {name}, and so decide whom the device trusts: chmod 644 {name}"));
    }
    config.ca_pem(&content).is_ok()
}

/// The secret and the mode of its file.
fn read_secret(
    options: &Options<'_>,
    settings: &Settings,
    notes: &mut Notes,
) -> Option<(Zeroizing<Vec<u8>>, Option<u32>)> {
    if settings.device.is_none() || options.no_auth && settings.secret.is_none() {
        return None;
    }
    let secret = match settings.read_secret() {
        Ok(secret) => secret,
        Err(failure) => {
            notes.faults.push(sentence(&failure.message));
            return None;
        }
    };
    if let (Some(mode), Some(Setting { value: SecretPlace::File(file), .. })) = (secret.mode, &settings.secret) {
        if let Some(who) = others(mode) {
            let file = file.display();
            notes.doubts.push(format!("{who} can read the secret in {file} ({mode:04o}): chmod 600 {file}"));
        }
    }
    Some((secret.bytes, secret.mode))
}

fn examine_device(
    settings: &Settings,
    config: &mut Config,
    secret: Option<&(Zeroizing<Vec<u8>>, Option<u32>)>,
    options: &Options<'_>,
    notes: &mut Notes,
) -> Option<Credentials> {
    let Some(Setting { value: device, source }) = &settings.device else {
        if !options.no_auth {
            notes.faults.push("no device is given, by --device, IOTDA_DEVICE_ID or a profile.".to_owned());
        }
        return None;
    };
    let (secret, _) = secret?;
    let doubt = secret::doubt(secret);
    notes.doubts.extend(doubt.as_deref().map(secret::in_a_line));
    match config.device(device, secret) {
        Ok(_) => Some(Credentials { device: device.clone(), doubt }),
        Err(error) => {
            notes.faults.push(sentence(&format!("{} ({source})", error.message())));
            None
        }
    }
}

/// Who else can change it, or read a password in it.
fn examine_file_of_profiles(settings: &Settings, notes: &mut Notes) {
    let Some(file) = settings.config_file.as_deref() else { return };
    let Some(mode) = mode_of(file) else { return };
    let name = file.display();
    if mode & 0o022 != 0 {
        notes.doubts.push(format!(
            "others can write to {name} ({mode:04o}), and so send the device's reports elsewhere: chmod 600 {name}"
        ));
    }
    let has_password = settings.proxy.as_ref().is_some_and(|proxy| {
        matches!(proxy.source, Source::Profile(_)) && matches!(&proxy.value, ProxyChoice::Url(url) if url.contains('@'))
    });
    if let (true, Some(who)) = (has_password, others(mode)) {
        notes.doubts.push(format!("{who} can read the proxy's password in {name} ({mode:04o}): chmod 600 {name}"));
    }
}

/// Whom a mode lets read beside the owner.
fn others(mode: u32) -> Option<&'static str> {
    match (mode & 0o004 != 0, mode & 0o040 != 0) {
        (true, _) => Some("everyone"),
        (false, true) => Some("the file's group"),
        (false, false) => None,
    }
}

fn mode_of(file: &Path) -> Option<u32> {
    Some(fs::metadata(file).ok()?.mode() & 0o7777)
}

/// Where each setting came from.
fn summary(settings: &Settings, mode: Option<u32>, has_proxy: bool) -> String {
    let mut sources: Vec<String> = Vec::new();
    let named = [settings.endpoint.as_ref().map(|set| &set.source), settings.device.as_ref().map(|set| &set.source)];
    for source in named.into_iter().flatten().map(ToString::to_string) {
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    let mut text = sources.join(", ");
    match (&settings.secret, mode) {
        (Some(secret), Some(mode)) => text.push_str(&format!("; secret from {} ({mode:04o})", secret.value)),
        (Some(secret), None) => text.push_str(&format!("; secret from {}", secret.value)),
        (None, _) => {}
    }
    if let Some(file) = &settings.ca_file {
        text.push_str(&format!("; authorities from {}", file.value.display()));
    }
    if let (Some(proxy), true) = (&settings.proxy, has_proxy) {
        text.push_str(&format!("; proxy from {}", proxy.source));
    }
    text
}

/// With a full stop at its end.
fn sentence(text: &str) -> String {
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}
