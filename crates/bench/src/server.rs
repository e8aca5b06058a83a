//! The server that the peers report to: nginx, on loopback, which answers at once and does no more than check that the
//! token came with the report. It has three ports: one keeps connections, two close them after each request, with and
//! without TLS sessions to resume.

use anyhow::{Context, Result, bail};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::fs;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use testkit::process::Background;

const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// nginx, until it is dropped.
pub struct Server {
    /// Keeps connections.
    pub keeping: u16,
    /// Closes each after one request; a session can be resumed.
    pub closing: u16,
    /// Closes each after one request; no session can be resumed.
    pub forgetting: u16,
    pub ca_file: PathBuf,
    _process: Background,
}

impl Server {
    pub fn start(dir: &Path, cores: Option<&str>) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let ports = free_ports()?;
        let [keeping, closing, forgetting, _] = ports;
        let ca_file = certificates(dir)?;
        fs::write(dir.join("nginx.conf"), configuration(ports))?;
        let log = dir.join("nginx.log");
        let mut command = Command::new(if cores.is_some() { "taskset" } else { "nginx" });
        command.args(cores.into_iter().flat_map(|cores| ["-c", cores, "nginx"]));
        command.arg("-p").arg(dir).arg("-e").arg(&log).args(["-c", "nginx.conf"]).stdin(Stdio::null());
        let mut process = Background::start(&mut command)?;
        // It says nowhere that it is ready, so it is asked until it answers.
        let limit = Instant::now() + Duration::from_secs(30);
        while let Err(error) = TcpStream::connect(("127.0.0.1", forgetting)) {
            let ended = process.child.try_wait()?.is_some();
            if ended || error.kind() != ErrorKind::ConnectionRefused || Instant::now() > limit {
                bail!("nginx did not start: {}", fs::read_to_string(&log).unwrap_or_default());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { keeping, closing, forgetting, ca_file, _process: process })
    }
}

/// Four ports that were free a moment ago.
fn free_ports() -> Result<[u16; 4]> {
    let bind = || TcpListener::bind(("127.0.0.1", 0));
    let held = [bind()?, bind()?, bind()?, bind()?];
    let mut ports = [0; 4];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

/// Makes an authority and a certificate for localhost. Returns the file to trust.
fn certificates(dir: &Path) -> Result<PathBuf> {
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.distinguished_name.push(DnType::CommonName, "libiotda comparison");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let ca_key = KeyPair::generate()?;
    let ca_file = dir.join("ca.pem");
    fs::write(&ca_file, ca.self_signed(&ca_key)?.pem())?;
    let mut leaf = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    leaf.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let signed = leaf.signed_by(&key, &Issuer::new(ca, ca_key))?;
    fs::write(dir.join("server.pem"), signed.pem())?;
    fs::write(dir.join("server.key"), key.serialize_pem()).context("cannot write the server's key")?;
    Ok(ca_file)
}

/// One process, so that ending it ends all of it. One cipher for all: peers that prefer another would be measured
/// by their taste. A message is read whole before it is answered: nginx does so for a server behind it alone.
fn configuration([keeping, closing, forgetting, inner]: [u16; 4]) -> String {
    let locations = format!(
        "location = /v5/device-auth {{ return 200 '{{\"access_token\":\"{TOKEN}\",\"expires_in\":86399}}'; }}
         location / {{ if ($http_access_token != {TOKEN}) {{ return 403; }} return 200; }}"
    );
    format!(
        "daemon off; master_process off; pid nginx.pid; worker_rlimit_nofile 65536;
         events {{ worker_connections 16384; }}
         http {{
             access_log off; underscores_in_headers on; default_type application/json;
             client_max_body_size 2m; client_body_buffer_size 2m;
             client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
             uwsgi_temp_path uwsgi; scgi_temp_path scgi;
             keepalive_timeout 3600s; keepalive_requests 1000000000; tcp_nodelay on;
             ssl_certificate server.pem; ssl_certificate_key server.key; ssl_protocols TLSv1.2;
             ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384; ssl_prefer_server_ciphers on;
             upstream inner {{ server 127.0.0.1:{inner}; keepalive 256; }}
             server {{ listen 127.0.0.1:{inner}; return 200; }}
             server {{
                 listen 127.0.0.1:{keeping} ssl; {locations}
                 location ~ /messages/up$ {{
                     if ($http_access_token != {TOKEN}) {{ return 403; }}
                     proxy_pass http://inner; proxy_http_version 1.1; proxy_set_header Connection '';
                     proxy_pass_request_body off; proxy_set_header Content-Length '';
                 }}
             }}
             server {{
                 listen 127.0.0.1:{closing} ssl; keepalive_requests 1; ssl_session_cache shared:a:1m; {locations}
             }}
             server {{
                 listen 127.0.0.1:{forgetting} ssl; keepalive_requests 1;
                 ssl_session_cache off; ssl_session_tickets off; {locations}
             }}
         }}\n"
    )
}
