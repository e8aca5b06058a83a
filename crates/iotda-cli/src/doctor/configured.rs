//! The first step: what the settings say, whether it can be right, and who else can read or change it. Of it a
//! configuration is made for the steps that follow, as far as it serves them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use iotda::{Config, Level, SignType};
use zeroize::Zeroizing;

use super::endpoint::{self, Verdict};
use super::finding::{Finding, Findings, Step};
use super::{Options, Surroundings, secret, trust};
use crate::exit::{Exit, Failure};
use crate::pin::Pin;
use crate::settings::{ProxyChoice, SecretPlace, Setting, Settings, Source, Tls};

/// What the following steps work with.
pub struct Configured {
    /// With endpoint, authorities, proxy and device, each if it is good.
    pub config: Config,
    /// The endpoint's text, and its host.
    pub endpoint: String,
    pub host: String,
    /// Whether it can be connected to: endpoint and proxy are good.
    pub is_reachable: bool,
    /// What keeps a TLS handshake from being tried, such as "the CA file".
    pub unusable: Option<&'static str>,
    /// The file of authorities as it was named; `None`: the ones that are built in.
    pub ca_file: Option<String>,
    /// Another, whose authorities are trusted as well.
    pub add_ca_file: Option<String>,
    /// The file of the client certificate.
    pub client_cert: Option<String>,
    pub pins: Option<Setting<Vec<Pin>>>,
    pub credentials: Option<Credentials>,
}

impl Configured {
    /// Which authorities are trusted.
    pub fn trusted(&self) -> String {
        let first = self.ca_file.as_deref().unwrap_or("the built-in list");
        match &self.add_ca_file {
            None => first.to_owned(),
            Some(more) => format!("{first} or {more}"),
        }
    }

    /// That an authority is not one of them, behind "which".
    pub fn lacks(&self) -> String {
        match (&self.ca_file, &self.add_ca_file) {
            (Some(file), None) => format!("{file} does not hold"),
            (Some(file), Some(more)) => format!("neither {file} nor {more} holds"),
            (None, None) => "is none of the built-in authorities".to_owned(),
            (None, Some(more)) => format!("is none of the built-in authorities and not in {more}"),
        }
    }
}

/// Whom to authenticate as.
pub struct Credentials {
    pub device: String,
    /// Why its secret is probably none.
    pub doubt: Option<String>,
    /// Whether the platform compares the time (sign type 1).
    pub with_time: bool,
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
    let unusable = match (is_trusting, examine_client(&settings, &mut config, &mut notes)) {
        (false, _) => Some("the CA file"),
        (true, false) => Some("the client certificate"),
        (true, true) => None,
    };
    if let Some(sign_type) = &settings.sign_type {
        config.sign_type(sign_type.value);
    }
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
    let Tls { ca_file, add_ca_file, client, pins, .. } = settings.tls;
    let [ca_file, add_ca_file, client_cert] = [ca_file, add_ca_file, client.map(|client| client.certificate)]
        .map(|file| file.map(|file| file.value.display().to_string()));
    Some(Configured {
        config,
        endpoint,
        host,
        is_reachable,
        unusable,
        ca_file,
        add_ca_file,
        client_cert,
        pins,
        credentials,
    })
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

/// Whether the authorities are good.
fn examine_trust(
    settings: &Settings,
    config: &mut Config,
    host: &str,
    around: &Surroundings<'_>,
    notes: &mut Notes,
) -> bool {
    let Tls { ca_file, add_ca_file, .. } = &settings.tls;
    let whole = read_authorities(ca_file.as_ref(), Some(host), around, notes);
    let more = read_authorities(add_ca_file.as_ref(), None, around, notes);
    let (Ok(whole), Ok(more)) = (whole, more) else { return false };
    whole.is_none_or(|pem| config.ca_pem(&pem).is_ok()) && more.is_none_or(|pem| config.add_ca_pem(&pem).is_ok())
}

/// What a file of authorities holds; `Err`: it is not usable. `host`: as `trust::judge` takes it.
fn read_authorities(
    file: Option<&Setting<PathBuf>>,
    host: Option<&str>,
    around: &Surroundings<'_>,
    notes: &mut Notes,
) -> Result<Option<Vec<u8>>, ()> {
    let Some(Setting { value: file, source }) = file else { return Ok(None) };
    let content = match fs::read(file) {
        Ok(content) => content,
        Err(error) => {
            notes.faults.push(format!("the CA file {} cannot be read: {error} ({source}).", file.display()));
            return Err(());
        }
    };
    let verdict = trust::judge(file, &content, host, around.clock.unix_ms() / 1000);
    notes.doubts.extend(verdict.doubts);
    if let Some(fault) = verdict.fault {
        notes.faults.push(fault);
        return Err(());
    }
    if mode_of(file).is_some_and(|mode| mode & 0o002 != 0) {
        let name = file.display();
        notes
            .doubts
            .push(format!("everyone can write to {name}, and so decide whom the device trusts: chmod 644 {name}"));
    }
    Ok(Some(content))
}

/// Whether the client certificate, pins and TLS version are good.
fn examine_client(settings: &Settings, config: &mut Config, notes: &mut Notes) -> bool {
    let key = settings.tls.client.as_ref().map(|client| client.key.value.as_path());
    if let Some((name, mode)) = key.and_then(|key| Some((key.display(), mode_of(key)?))) {
        if let Some(who) = others(mode) {
            notes.doubts.push(format!("{who} can read the private key in {name} ({mode:04o}): chmod 600 {name}"));
        }
    }
    let set = settings.tls.set_others(config);
    notes.faults.extend(set.as_ref().err().map(|failure| sentence(&failure.message)));
    set.is_ok()
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
        Ok(_) => {
            let with_time = settings.sign_type.as_ref().is_some_and(|set| set.value == SignType::PasswordAndTime);
            Some(Credentials { device: device.clone(), doubt, with_time })
        }
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
    let Tls { ca_file, add_ca_file, pins, client, .. } = &settings.tls;
    if let Some(file) = ca_file {
        text.push_str(&format!("; authorities from {}", file.value.display()));
    }
    if let Some(file) = add_ca_file {
        text.push_str(&format!("; more authorities from {}", file.value.display()));
    }
    if let Some(Setting { value, source }) = pins {
        let keys = if value.len() == 1 { "key" } else { "keys" };
        text.push_str(&format!("; {} pinned {keys} from {source}", value.len()));
    }
    if let Some(client) = client {
        text.push_str(&format!("; client certificate from {}", client.certificate.value.display()));
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
