//! What is secret is wiped before its memory is given back: no freed block of the heap holds the token or the device's
//! secret, not even one that a growing buffer left behind.
//!
//! The allocator of this program looks into every block that is freed while a test watches.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use iotda::{CallOptions, Client, Config, Connection, RetryPolicy, Transport};
use zeroize::Zeroizing;

const TOKEN: &str = "t0k3n-of-thirty-two-characters-00";
const SECRET: &str = "s3cr3t-of-the-device";

struct Watching;

#[global_allocator]
static ALLOCATOR: Watching = Watching;

static WATCHES: AtomicBool = AtomicBool::new(false);
static FOUND: AtomicUsize = AtomicUsize::new(0);

fn look_into(block: &[u8]) {
    if WATCHES.load(Ordering::SeqCst) {
        for needle in [TOKEN.as_bytes(), SECRET.as_bytes()] {
            let found = block.windows(needle.len()).filter(|window| *window == needle).count();
            FOUND.fetch_add(found, Ordering::SeqCst);
        }
    }
}

// SAFETY: System's own functions; every block begins as zeros, so that all of it can be read.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the block is the caller's until here, has this size, and was zeroed when it was allocated.
        look_into(unsafe { std::slice::from_raw_parts(pointer, layout.size()) });
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// A platform that is in this process: a transport that does its own TLS, so to speak. What it keeps of a request is
/// wiped with the answer.
#[derive(Debug)]
struct Platform;

#[derive(Debug)]
struct Answering {
    request: Zeroizing<Vec<u8>>,
    answer: Zeroizing<Vec<u8>>,
}

impl Transport for Platform {
    fn connect(&self, _: &str, _: u16, _: Duration, _: Option<BorrowedFd<'_>>) -> io::Result<Box<dyn Connection>> {
        let room = || Zeroizing::new(Vec::with_capacity(64 * 1024));
        Ok(Box::new(Answering { request: room(), answer: room() }))
    }

    fn is_secure(&self) -> bool {
        true
    }
}

impl Connection for Answering {
    fn send(&mut self, data: &[u8], _: Duration) -> io::Result<usize> {
        self.request.extend_from_slice(data);
        Ok(data.len())
    }

    fn receive(&mut self, buffer: &mut [u8], _: Duration) -> io::Result<usize> {
        if self.answer.is_empty() {
            let (status, body) = if self.request.starts_with(b"POST /v5/device-auth") {
                ("200 OK", ["{\"access_token\":\"", TOKEN, "\",\"expires_in\":86399}"])
            } else if self.request.ends_with(b"refused") {
                // A careless server repeats what it was sent.
                (
                    "400 Bad Request",
                    ["{\"error_code\":\"IOTDA.000006\",\"error_msg\":\"\\\"access_token\\\": ", TOKEN, "\"}"],
                )
            } else if self.request.ends_with(b"page") {
                ("200 OK", ["<html>", TOKEN, "</html>"])
            } else {
                ("200 OK", ["{\"token\":\"\\u0020", TOKEN, "\"}"])
            };
            let length = body.iter().map(|part| part.len()).sum::<usize>().to_string();
            for part in ["HTTP/1.1 ", status, "\r\ncontent-length: ", &length, "\r\n\r\n"].iter().chain(&body) {
                self.answer.extend_from_slice(part.as_bytes());
            }
            self.request.iter_mut().for_each(|byte| *byte = 0);
            self.request.clear();
        }
        let amount = buffer.len().min(self.answer.len());
        buffer[..amount].copy_from_slice(&self.answer[..amount]);
        let left = self.answer.len() - amount;
        self.answer.copy_within(amount.., 0);
        self.answer[left..].iter_mut().for_each(|byte| *byte = 0);
        self.answer.truncate(left);
        Ok(amount)
    }
}

/// How many secrets are in what `body` frees.
fn freed_by(body: impl FnOnce()) -> usize {
    FOUND.store(0, Ordering::SeqCst);
    WATCHES.store(true, Ordering::SeqCst);
    body();
    WATCHES.store(false, Ordering::SeqCst);
    FOUND.load(Ordering::SeqCst)
}

#[test]
fn no_freed_block_holds_a_secret() {
    assert_eq!(freed_by(|| drop(TOKEN.to_owned())), 1, "what is not wiped is found");
    let found = freed_by(|| {
        let saved = {
            let mut config = Config::new();
            config.endpoint("https://platform.example").unwrap().device("device-1", SECRET.as_bytes()).unwrap();
            config.transport(Arc::new(Platform));
            let never = Duration::from_millis(1);
            config.retry(RetryPolicy::new().max_attempts(1).base_delay(never).max_delay(never)).unwrap();
            config.on_token(|_, saved| assert!(saved.ends_with(TOKEN)));
            let client = Client::new(&config).unwrap();
            client.authenticate(CallOptions::new()).unwrap();
            client.report_message(b"accepted", CallOptions::new()).unwrap();
            for refused in [&b"refused"[..], b"page"] {
                let error = client.report_message(refused, CallOptions::new()).unwrap_err();
                assert!(!format!("{error:?}").contains(TOKEN));
            }
            Zeroizing::new(client.export_token().unwrap())
        };
        let mut config = Config::new();
        config.endpoint("https://platform.example").unwrap().device("device-1", SECRET.as_bytes()).unwrap();
        config.transport(Arc::new(Platform)).token(&saved).unwrap();
        let client = Client::new(&config).unwrap();
        let second = client.open_device_with_token("device-1", SECRET.as_bytes(), &saved).unwrap();
        second.import_token(&saved).unwrap();
        second.import_token(&saved[..saved.len() - 1]).unwrap_err();
        for client in [client, second] {
            client.report_message(b"accepted", CallOptions::new()).unwrap();
            assert_eq!(client.tokens_issued(), 0);
        }
    });
    assert_eq!(found, 0);
}
