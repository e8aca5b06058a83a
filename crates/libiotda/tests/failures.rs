//! What a program gets when it cannot get through: each cause by its status and in words that name it. The program is
//! tests/c/outcome.c, which authenticates and compares how that ends.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, anyhow, ensure};
use iotda_platform::CertificateKind;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use testkit::{GATEWAY, Package, SECRET, Stand, path, process, program};

/// The program, which is to find what is expected: a status, and words of the message.
fn outcome(stand: &Stand, expected: &[&str]) -> Result<Command> {
    let built = program::c(&Package::shipped()?, &path("crates/libiotda/tests/c/outcome.c"), &[])?;
    let mut command = program::command(&built);
    stand.configure(&mut command);
    command.args(expected);
    Ok(command)
}

fn requests_are(stand: &Stand, number: u64) -> Result<()> {
    let requests = stand.platform.counters().requests;
    ensure!(requests == number, "{requests} requests instead of {number}");
    Ok(())
}

/// One request, no loop.
#[test]
fn a_wrong_secret() -> Result<()> {
    let stand = Stand::start()?;
    process::output_in_time(outcome(&stand, &["IOTDA_E_AUTH_FAILED"])?.env("IOTDA_DEVICE_SECRET", "another secret"))?;
    requests_are(&stand, 1)?;
    let request = &stand.platform.requests()[0];
    ensure!(request.status == 401 && request.device_id.as_deref() == Some(GATEWAY), "{request:?}");
    let body = String::from_utf8_lossy(&request.body);
    ensure!(!body.contains("another secret") && !body.contains(SECRET), "the secret itself was sent");
    Ok(())
}

#[test]
fn another_authority() -> Result<()> {
    let (stand, other) = (Stand::start()?, Stand::start()?);
    let mut program = outcome(&stand, &["IOTDA_E_TLS", "authority", "ca_file"])?;
    process::output_in_time(program.env("IOTDA_CA_FILE", &other.ca_file))?;
    requests_are(&stand, 0)
}

#[test]
fn another_host_name() -> Result<()> {
    let stand = Stand::start_with(CertificateKind::WrongName)?;
    process::output_in_time(&mut outcome(&stand, &["IOTDA_E_TLS", "host name"])?)?;
    requests_are(&stand, 0)
}

#[test]
fn an_expired_certificate() -> Result<()> {
    let stand = Stand::start_with(CertificateKind::Expired)?;
    process::output_in_time(&mut outcome(&stand, &["IOTDA_E_TLS", "expired"])?)?;
    requests_are(&stand, 0)
}

/// A server that speaks no TLS later than 1.1 chooses that, and leaves it to the client to end it.
#[test]
fn an_old_server_that_chooses_tls_1_1() -> Result<()> {
    // Version 1.1 (3, 2), a random number, no session, AES_128_CBC_SHA, no compression.
    let mut body = vec![3, 2];
    body.extend([0x5a; 32]);
    body.extend([0, 0x00, 0x2f, 0]);
    let length = u8::try_from(body.len())?;
    let mut answer = vec![22, 3, 2, 0, length + 4, 2, 0, 0, length];
    answer.extend(body);
    old_tls(answer)
}

/// Such a server ends it itself, by the alert protocol_version.
#[test]
fn an_old_server_that_refuses_tls_1_2() -> Result<()> {
    old_tls(vec![21, 3, 2, 0, 2, 2, 70])
}

fn old_tls(answer: Vec<u8>) -> Result<()> {
    let stand = Stand::start()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let endpoint = format!("https://{}", listener.local_addr()?);
    let served = thread::spawn(move || -> Result<()> { answer_hello(&answer, &mut listener.accept()?.0) });
    process::output_in_time(outcome(&stand, &["IOTDA_E_TLS", "TLS 1.2"])?.env("IOTDA_ENDPOINT", endpoint))?;
    served.join().map_err(|_| anyhow!("the server of an old TLS has panicked"))?.context("the server of an old TLS")
}

fn answer_hello(answer: &[u8], stream: &mut TcpStream) -> Result<()> {
    let mut header = [0; 5];
    stream.read_exact(&mut header)?;
    ensure!(header[0] == 22, "the client began with no handshake: {header:?}");
    let mut hello = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
    stream.read_exact(&mut hello)?;
    ensure!(hello[0] == 1 && hello[4..6] == [3, 3], "no ClientHello of TLS 1.2");
    stream.write_all(answer)?;
    // Until the client has closed, so that it is the client that decides.
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}
