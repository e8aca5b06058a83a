//! That all programs of the comparison do the same job: each reports to the stand-in platform, which is strict, and
//! what arrives is compared.

use crate::figures::MESSAGE;
use crate::programs::Peer;
use crate::run::{DEVICE, Job, SECRET, TEXT, Target, VALUES, batch};
use anyhow::{Context, Result, ensure};
use iotda_platform::{Device, Platform, Registry};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const CHILDREN: usize = 120;

/// A stand-in platform that knows the programs' device with any child, and how they reach it.
pub fn platform(dir: &Path) -> Result<(Platform, Target)> {
    let mut registry = Registry::new();
    registry.add_device(Device::new(DEVICE).with_secret(SECRET).with_any_child())?;
    started(dir, registry)
}

/// The same, but it knows the first so many children alone.
pub fn platform_with_children(dir: &Path, count: u64) -> Result<(Platform, Target)> {
    let mut registry = Registry::new();
    registry.add_device(Device::new(DEVICE).with_secret(SECRET))?;
    for number in 0..count {
        registry.add_device(Device::new(format!("child_{number:06}")).with_gateway(DEVICE))?;
    }
    started(dir, registry)
}

fn started(dir: &Path, registry: Registry) -> Result<(Platform, Target)> {
    let platform = Platform::builder().registry(registry).start()?;
    let ca_file = dir.join("stand-in.pem");
    fs::write(&ca_file, platform.ca_pem())?;
    let target = Target { port: platform.address().port(), ca_file, cores: None };
    Ok((platform, target))
}

/// Fails for a program that reports something else, or is refused.
pub fn check(peer: &Peer, program: &Path, dir: &Path) -> Result<()> {
    message(peer, program, dir)?;
    let (platform, target) = platform(dir)?;
    let jobs = if peer.does_all { &[VALUES, TEXT, batch(CHILDREN as u64)][..] } else { &[TEXT] };
    for job in jobs {
        platform.clear_records();
        target.run(program, *job, 2).with_context(|| format!("{} does not do {}", peer.name, job.0))?;
        let arrived = platform.requests();
        let reports: Vec<Value> = arrived
            .iter()
            .filter(|request| request.target != "/v5/device-auth")
            .map(|request| serde_json::from_slice(&request.body))
            .collect::<Result<_, _>>()?;
        ensure!(arrived.iter().all(|request| request.status == 200), "{} was refused: {arrived:?}", peer.name);
        ensure!(arrived.len() == reports.len() + 1, "{} did not authenticate once", peer.name);
        let connections = arrived.iter().map(|request| request.connection).max();
        ensure!(
            connections == arrived.iter().map(|request| request.connection).min(),
            "{}: {connections:?} connections",
            peer.name
        );
        // A batch goes in requests of 50, and each job twice, after one property report.
        let expected = if job.0 == "batch" { 1 + 2 * CHILDREN.div_ceil(50) } else { 3 };
        ensure!(reports.len() == expected, "{} made {} reports, not {expected}", peer.name, reports.len());
        let (properties, batches) = reports.split_at(if job.0 == "batch" { 1 } else { reports.len() });
        for report in properties {
            ensure!(*report == json!({"services": services(124)}), "{} reported {report}", peer.name);
        }
        let children: Vec<&Value> =
            batches.iter().flat_map(|batch| batch["devices"].as_array().into_iter().flatten()).collect();
        for (index, child) in children.into_iter().enumerate() {
            let number = index % CHILDREN;
            let expected = json!({"device_id": format!("child_{number:06}"), "services": services(124 + number)});
            ensure!(*child == expected, "{} reported {child} and not {expected}", peer.name);
        }
    }
    Ok(())
}

/// Messages arrive with the bytes of all others.
fn message(peer: &Peer, program: &Path, dir: &Path) -> Result<()> {
    let (platform, target) = platform(dir)?;
    let length = 100_000;
    target.run(program, Job(MESSAGE.0, Some(length)), 2).with_context(|| format!("{} sends no message", peer.name))?;
    let arrived = platform.requests();
    ensure!(arrived.iter().all(|request| request.status == 200), "{} was refused: {arrived:?}", peer.name);
    let expected: Vec<u8> = (b'a'..=b'z').cycle().take(length as usize).collect();
    let messages: Vec<_> = arrived.iter().filter(|request| request.target.ends_with("/messages/up")).collect();
    // The first program sends one more, before it counts.
    let count = if peer.does_all { 2 } else { 3 };
    ensure!(messages.len() == count, "{} sent {} messages, not {count}", peer.name, messages.len());
    ensure!(messages.iter().all(|request| request.body == expected), "{} sent other messages", peer.name);
    Ok(())
}

fn services(height: usize) -> Value {
    json!([{
        "service_id": "serviceId",
        "properties": {"Height": height, "Speed": 23.24},
        "event_time": "2021-08-13T10:10:10.555Z"
    }])
}
