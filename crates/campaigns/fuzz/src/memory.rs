//! A platform without sockets: a transport that reads each request as it must be written, and has a function answer it.

use iotda::{Client, Config, Connection, RetryPolicy, Transport};
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The device of every client here.
pub(crate) const GATEWAY: &str = "gateway";

const TOKEN: &str = "token-of-the-platform-in-memory-0123456789";

/// Answers reports: by the last part of their path and the body, with a status and a body.
type Answer = Box<dyn FnMut(&str, &[u8]) -> (u16, String) + Send>;

#[derive(Clone)]
pub(crate) struct Platform {
    answer: Arc<Mutex<Answer>>,
    /// How many bytes a connection takes or gives at once.
    piece: usize,
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a platform in memory")
    }
}

impl Platform {
    pub(crate) fn new(piece: usize, answer: impl FnMut(&str, &[u8]) -> (u16, String) + Send + 'static) -> Self {
        Self { answer: Arc::new(Mutex::new(Box::new(answer))), piece: piece.max(1) }
    }

    /// A client that reports to it, and never waits.
    pub(crate) fn client(&self) -> Client {
        let mut config = Config::new();
        config.endpoint("https://iot.example").expect("an endpoint").device(GATEWAY, b"secret").expect("a device");
        let once = RetryPolicy::new().max_attempts(1);
        config.retry(once).expect("a policy").transport(Arc::new(self.clone()));
        Client::new(&config).expect("a client")
    }

    fn serve(&self, target: &str, token: Option<&str>, body: &[u8]) -> Vec<u8> {
        let (status, text) = if target == "/v5/device-auth" {
            assert_eq!(token, None);
            (200, format!(r#"{{"access_token":"{TOKEN}","expires_in":86399}}"#))
        } else {
            assert_eq!(token, Some(TOKEN), "{target}");
            let call =
                target.strip_prefix("/v5/devices/gateway/sys/").unwrap_or_else(|| panic!("no such path: {target}"));
            // A panic in it, which is a finding, ends the process or the test.
            let mut answer = self.answer.lock().expect("no panic before");
            answer(call, body)
        };
        format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}", text.len())
            .into_bytes()
    }
}

impl Transport for Platform {
    fn connect(&self, _: &str, _: u16, _: Duration, _: Option<BorrowedFd<'_>>) -> io::Result<Box<dyn Connection>> {
        Ok(Box::new(Open { platform: self.clone(), arrived: Vec::new(), answers: Vec::new(), given: 0 }))
    }

    fn is_secure(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Open {
    platform: Platform,
    arrived: Vec<u8>,
    answers: Vec<u8>,
    given: usize,
}

impl Connection for Open {
    fn send(&mut self, data: &[u8], _: Duration) -> io::Result<usize> {
        let amount = data.len().min(self.platform.piece);
        self.arrived.extend_from_slice(&data[..amount]);
        if let Some((target, token, body)) = request(&self.arrived) {
            let answer = self.platform.serve(&target, token.as_deref(), body);
            self.answers.extend(answer);
            self.arrived.clear();
        }
        Ok(amount)
    }

    fn receive(&mut self, buffer: &mut [u8], _: Duration) -> io::Result<usize> {
        let left = &self.answers[self.given..];
        if left.is_empty() {
            // Whether the connection still stands: it does, and nothing has come.
            return Err(io::ErrorKind::TimedOut.into());
        }
        let amount = left.len().min(buffer.len()).min(self.platform.piece);
        buffer[..amount].copy_from_slice(&left[..amount]);
        self.given += amount;
        Ok(amount)
    }
}

/// Target, token and body of a request that has come as a whole.
fn request(bytes: &[u8]) -> Option<(String, Option<String>, &[u8])> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).expect("a head in ASCII");
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let target = line.strip_prefix("POST ").and_then(|rest| rest.strip_suffix(" HTTP/1.1"));
    let target = target.unwrap_or_else(|| panic!("no request line: {line}"));
    let (mut length, mut token) = (None, None);
    for field in lines {
        let (name, value) = field.split_once(": ").unwrap_or_else(|| panic!("no field: {field}"));
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.parse::<usize>().expect("a length")),
            "access_token" => token = Some(value.to_owned()),
            "transfer-encoding" => panic!("{field}"),
            _ => {}
        }
    }
    let body = &bytes[end + 4..];
    let length = length.expect("a length");
    assert!(body.len() <= length, "more than a request");
    (body.len() == length).then(|| (target.to_owned(), token, body))
}
