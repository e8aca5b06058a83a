//! A stand-in platform for programs under test, in this process, so that every request can be looked at.

use crate::process;
use anyhow::{Context, Result, ensure};
use iotda_platform::{CertificateKind, Device, Platform, Registry, RequestRecord};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) const GATEWAY: &str = "test_gateway";
pub(super) const SECOND: &str = "second";
pub(super) const SECRET: &str = "a secret of the tests";

pub(super) struct Stand {
    pub(super) platform: Platform,
    /// The file with the certificate to trust.
    pub(super) ca_file: PathBuf,
}

impl Stand {
    /// A platform with a gateway that may report for any child, and a second device.
    pub(super) fn start(dir: &Path) -> Result<Self> {
        Self::start_with(dir, CertificateKind::Valid)
    }

    pub(super) fn start_with(dir: &Path, certificate: CertificateKind) -> Result<Self> {
        let mut registry = Registry::new();
        registry.add_device(Device::new(GATEWAY).with_secret(SECRET).with_any_child())?;
        registry.add_device(Device::new(SECOND).with_secret(SECRET))?;
        let platform = Platform::builder().registry(registry).certificate(certificate).start()?;
        let ca_file = dir.join(format!("ca-{}.pem", platform.address().port()));
        fs::write(&ca_file, platform.ca_pem()).with_context(|| format!("cannot write {}", ca_file.display()))?;
        Ok(Self { platform, ca_file })
    }

    /// Tells a program, by its environment, to report to this platform.
    pub(super) fn tell(&self, program: &mut Command) {
        program
            .env("IOTDA_ENDPOINT", self.platform.url())
            .env("IOTDA_CA_FILE", &self.ca_file)
            .env("IOTDA_DEVICE_ID", GATEWAY)
            .env("IOTDA_DEVICE_SECRET", SECRET);
    }

    /// Runs a program that must succeed and write nothing to standard error, and returns the requests that it made, all of them accepted.
    pub(super) fn run(&self, program: &mut Command) -> Result<Vec<RequestRecord>> {
        self.platform.clear_records();
        self.tell(program);
        let end = process::silent_in_time(program);
        let requests = self.platform.requests();
        let refusals = requests.iter().filter(|request| request.status != 200);
        let refusals: Vec<String> = refusals
            .map(|request| format!("{}: {}", request.target, request.reason.as_deref().unwrap_or_default()))
            .collect();
        end.with_context(|| format!("the platform refused: {refusals:#?}"))?;
        ensure!(refusals.is_empty(), "{} made requests that were refused: {refusals:#?}", process::line(program));
        Ok(requests)
    }
}

/// The path of a report.
pub(super) fn report_path(device: &str, call: &str) -> String {
    format!("/v5/devices/{device}/sys/{call}")
}
