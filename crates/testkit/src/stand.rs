//! A stand-in platform for programs under test, in this process, so that every request can be looked at.

use crate::{process, scratch};
use anyhow::{Context, Result, ensure};
use iotda_platform::{CertificateKind, Device, Platform, Registry, RequestRecord};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A gateway that may report for any child.
pub const GATEWAY: &str = "test_gateway";
/// A device that is not the gateway's.
pub const SECOND: &str = "second";
/// The secret of both.
pub const SECRET: &str = "a secret of the tests";

/// A platform that knows [`GATEWAY`] and [`SECOND`].
pub struct Stand {
    /// The platform itself.
    pub platform: Platform,
    /// The file with the certificate to trust.
    pub ca_file: PathBuf,
}

impl Stand {
    /// A platform that leaves its certificate in the test's directory.
    pub fn start() -> Result<Self> {
        Self::start_with(CertificateKind::Valid)
    }

    /// A platform with a certificate of another kind.
    pub fn start_with(certificate: CertificateKind) -> Result<Self> {
        let mut registry = Registry::new();
        registry.add_device(Device::new(GATEWAY).with_secret(SECRET).with_any_child())?;
        registry.add_device(Device::new(SECOND).with_secret(SECRET))?;
        let platform = Platform::builder().registry(registry).certificate(certificate).start()?;
        let ca_file = scratch()?.join(format!("ca-{}.pem", platform.address().port()));
        fs::write(&ca_file, platform.ca_pem()).with_context(|| format!("cannot write {}", ca_file.display()))?;
        Ok(Self { platform, ca_file })
    }

    /// Sets in a program's environment that it reports to this platform, as the gateway.
    pub fn configure(&self, program: &mut Command) {
        program
            .env("IOTDA_ENDPOINT", self.platform.url())
            .env("IOTDA_CA_FILE", &self.ca_file)
            .env("IOTDA_DEVICE_ID", GATEWAY)
            .env("IOTDA_DEVICE_SECRET", SECRET);
    }

    /// Runs a program that must succeed and write nothing to standard error, and returns the requests that it made,
    /// all of them accepted.
    pub fn run(&self, program: &mut Command) -> Result<Vec<RequestRecord>> {
        self.platform.clear_records();
        let requests = self.run_refused(program);
        let arrived = self.platform.requests();
        let refusals = arrived.iter().filter(|request| request.status != 200);
        let refusals: Vec<String> = refusals
            .map(|request| format!("{}: {}", request.target, request.reason.as_deref().unwrap_or_default()))
            .collect();
        let requests = requests.with_context(|| format!("the platform refused: {refusals:#?}"))?;
        ensure!(refusals.is_empty(), "{} made requests that were refused: {refusals:#?}", process::line(program));
        Ok(requests)
    }

    /// Runs a program that must succeed and write nothing to standard error, though the platform may refuse requests.
    pub fn run_refused(&self, program: &mut Command) -> Result<Vec<RequestRecord>> {
        self.configure(program);
        process::silent_in_time(program)?;
        Ok(self.platform.requests())
    }
}

/// The path of a report, such as `messages/up`.
pub fn report_path(device: &str, call: &str) -> String {
    format!("/v5/devices/{device}/sys/{call}")
}

/// The requests of one call of one device.
pub fn of_call<'a>(requests: &'a [RequestRecord], device: &str, call: &str) -> Vec<&'a RequestRecord> {
    requests.iter().filter(|request| request.target == report_path(device, call)).collect()
}

/// The bodies of requests.
pub fn bodies<'a>(requests: &[&'a RequestRecord]) -> Vec<&'a [u8]> {
    requests.iter().map(|request| &*request.body).collect()
}

/// The children of a batch, in order.
pub fn children(batch: &RequestRecord) -> Result<Vec<String>> {
    let body: Value = serde_json::from_slice(&batch.body)?;
    let devices = body["devices"].as_array().context("a batch without devices")?;
    let ids = devices.iter().map(|device| device["device_id"].as_str().map(String::from));
    ids.collect::<Option<_>>().context("a child without an id")
}
