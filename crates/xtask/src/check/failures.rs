//! What a program is told when it cannot get through: each cause by its status and in words that name it.

use super::stand::{GATEWAY, SECRET, Stand};
use super::suite;
use crate::process;
use crate::project::Project;
use anyhow::{Context, Result, ensure};
use iotda_platform::CertificateKind;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

pub(super) fn check(project: &Project) -> Result<()> {
    let dir = project.empty_dir("check/failures")?;
    let valid = Stand::start(&dir)?;
    let other = Stand::start(&dir)?;
    let expired = Stand::start_with(&dir, CertificateKind::Expired)?;
    let wrong_name = Stand::start_with(&dir, CertificateKind::WrongName)?;

    wrong_secret(project, &valid)?;

    let mut with_wrong_ca = outcome(project, &valid, &["IOTDA_E_TLS", "authority", "CA certificate"]);
    show(with_wrong_ca.env("IOTDA_CA_FILE", &other.ca_file))?;
    show(&mut outcome(project, &wrong_name, &["IOTDA_E_TLS", "host name"]))?;
    show(&mut outcome(project, &expired, &["IOTDA_E_TLS", "expired"]))?;
    for old_server in [ServerHello, ProtocolVersionAlert] {
        old_tls(project, &valid, old_server)?;
    }
    for stand in [&valid, &other, &expired, &wrong_name] {
        let counters = stand.platform.counters();
        ensure!(counters.requests == u64::from(std::ptr::eq(stand, &valid)), "a request over TLS that failed");
    }
    Ok(())
}

/// The program that authenticates and compares how that ends.
fn outcome(project: &Project, stand: &Stand, expected: &[&str]) -> Command {
    let mut program = Command::new(suite::program(project, "outcome"));
    stand.tell(&mut program);
    program.args(expected);
    program
}

fn show(program: &mut Command) -> Result<()> {
    print!("   {}", process::output_in_time(program)?);
    Ok(())
}

/// One request, no loop.
fn wrong_secret(project: &Project, stand: &Stand) -> Result<()> {
    show(outcome(project, stand, &["IOTDA_E_AUTH_FAILED"]).env("IOTDA_DEVICE_SECRET", "another secret"))?;
    let requests = stand.platform.requests();
    ensure!(requests.len() == 1, "{} requests with a wrong secret", requests.len());
    ensure!(requests[0].status == 401 && requests[0].device_id.as_deref() == Some(GATEWAY), "{:?}", requests[0]);
    let body = String::from_utf8_lossy(&requests[0].body);
    ensure!(!body.contains("another secret") && !body.contains(SECRET), "the secret itself was sent");
    Ok(())
}

/// How a server that speaks no TLS later than 1.1 refuses a client that wants 1.2.
#[derive(Clone, Copy, Debug)]
enum OldServer {
    /// It chooses TLS 1.1 and leaves it to the client to end it.
    ServerHello,
    /// It ends it itself.
    ProtocolVersionAlert,
}
use OldServer::{ProtocolVersionAlert, ServerHello};

fn old_tls(project: &Project, stand: &Stand, server: OldServer) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let endpoint = format!("https://{}", listener.local_addr()?);
    let served = thread::spawn(move || -> Result<()> { answer_as(server, &mut listener.accept()?.0) });
    show(outcome(project, stand, &["IOTDA_E_TLS", "TLS 1.2"]).env("IOTDA_ENDPOINT", endpoint))?;
    let served = served.join().map_err(|_| anyhow::anyhow!("the server of an old TLS has panicked"))?;
    served.with_context(|| format!("the server of an old TLS ({server:?})"))
}

fn answer_as(server: OldServer, stream: &mut TcpStream) -> Result<()> {
    let mut header = [0; 5];
    stream.read_exact(&mut header)?;
    ensure!(header[0] == 22, "the client began with no handshake: {header:?}");
    let mut hello = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
    stream.read_exact(&mut hello)?;
    ensure!(hello[0] == 1 && hello[4..6] == [3, 3], "no ClientHello of TLS 1.2");
    let mut answer = Vec::new();
    match server {
        ServerHello => {
            // Version 1.1 (3, 2), a random number, no session, AES_128_CBC_SHA, no compression.
            let mut body = vec![3, 2];
            body.extend([0x5a; 32]);
            body.extend([0, 0x00, 0x2f, 0]);
            let length = u8::try_from(body.len())?;
            answer.extend([22, 3, 2, 0, length + 4, 2, 0, 0, length]);
            answer.extend(body);
        }
        ProtocolVersionAlert => answer.extend([21, 3, 2, 0, 2, 2, 70]),
    }
    stream.write_all(&answer)?;
    // Until the client has closed, so that it is the client that decides.
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}
