//! Sequences of C calls made of any input, in up to three threads, with cancellation, over a transport in memory that may
//! fail. For the campaigns and the tests of this crate alone (feature `fuzzing`): never in a shipped library.
//!
//! [`run`] panics if a call does not keep the contract: a status that it does not document, a message without an end, a
//! report that is delivered and has not arrived or the other way round, a connection or a transport that is not closed.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::batch::{iotda_gateway_batch, iotda_gateway_batch_json};
use crate::call::iotda_call_t;
use crate::cancel::{iotda_cancel_free, iotda_cancel_new, iotda_cancel_t, iotda_cancel_trigger};
use crate::child::iotda_child_t;
use crate::client::{iotda_auth, iotda_client_t, iotda_close, iotda_init, iotda_open_device};
use crate::config::{
    iotda_config_free, iotda_config_new, iotda_config_set_device, iotda_config_set_endpoint, iotda_config_set_retry,
    iotda_config_set_timeout_ms,
};
use crate::network::iotda_config_set_transport;
use crate::props::{
    iotda_props_add_double, iotda_props_add_json, iotda_props_add_string, iotda_props_free, iotda_props_json,
    iotda_props_new,
};
use crate::report::{iotda_report_message, iotda_report_props, iotda_report_props_json};
use crate::service::iotda_service_t;
use crate::stats::{iotda_stats, iotda_stats_t};
use crate::status::{
    IOTDA_E_CANCELLED, IOTDA_E_CONNECT, IOTDA_E_INVALID_ARGUMENT, IOTDA_E_PARTIAL, IOTDA_E_PROTOCOL, IOTDA_E_TIMEOUT,
    IOTDA_OK, iotda_status_t,
};
use crate::token::iotda_token_export;
use crate::transport::{IOTDA_IO_FAILED, IOTDA_IO_TIMEOUT, iotda_transport_t};

const TOKEN: &str = "token-of-the-platform-in-memory-0123456789";

/// What is left of an input; zeros when there is no more.
struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }

    /// A text without a zero in it, which ends with one.
    fn text(&mut self) -> CString {
        let bytes: Vec<u8> = self.bytes().iter().copied().filter(|byte| *byte != 0).collect();
        CString::new(bytes).expect("no zero is left")
    }
}

/// A platform that takes everything, and how it is reached.
struct Platform {
    /// Each connection takes and gives so many bytes at once.
    piece: usize,
    /// Which of the calls of send and receive fail: one of so many; 0: none.
    fails_every: usize,
    calls: AtomicUsize,
    open: AtomicUsize,
    destroyed: AtomicUsize,
    /// The bodies of reports.
    arrived: Mutex<Vec<Vec<u8>>>,
}

struct Open {
    platform: *const Platform,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Platform {
    fn fails(&self) -> bool {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        self.fails_every > 0 && call % self.fails_every == 0
    }

    fn arrived(&self) -> Vec<Vec<u8>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

unsafe extern "C" fn connect(
    user_data: *mut c_void,
    host: *const c_char,
    port: u16,
    timeout_ms: u32,
    _: c_int,
) -> *mut c_void {
    // SAFETY: `run` keeps the platform until the transport is destroyed, and the library ends the host with a zero.
    let (platform, host) = unsafe { (&*user_data.cast::<Platform>(), CStr::from_ptr(host)) };
    assert!(host == c"iot.example" && port == 443 && timeout_ms > 0);
    if platform.fails() {
        return null_mut();
    }
    platform.open.fetch_add(1, Ordering::Relaxed);
    let open = Open { platform: user_data.cast(), request: Vec::new(), answer: Vec::new() };
    Box::into_raw(Box::new(open)).cast()
}

unsafe extern "C" fn send(connection: *mut c_void, data: *const c_void, len: usize, _: u32) -> i64 {
    // SAFETY: made by connect, used by one thread at a time; the platform outlives it, and the data is `len` bytes.
    let (open, data) = unsafe { (&mut *connection.cast::<Open>(), std::slice::from_raw_parts(data.cast::<u8>(), len)) };
    // SAFETY: as above.
    let platform = unsafe { &*open.platform };
    if platform.fails() {
        return IOTDA_IO_FAILED;
    }
    let taken = len.min(platform.piece);
    open.request.extend_from_slice(&data[..taken]);
    if let Some((is_auth, body)) = whole_request(&open.request) {
        let text = if is_auth { format!(r#"{{"access_token":"{TOKEN}","expires_in":86399}}"#) } else { String::new() };
        if !is_auth {
            platform.arrived.lock().unwrap_or_else(PoisonError::into_inner).push(body);
        }
        open.answer.extend(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).bytes());
        open.request.clear();
    }
    taken as i64
}

unsafe extern "C" fn receive(connection: *mut c_void, buffer: *mut c_void, size: usize, _: u32) -> i64 {
    // SAFETY: made by connect, used by one thread at a time; the platform outlives it.
    let open = unsafe { &mut *connection.cast::<Open>() };
    // SAFETY: as above.
    let platform = unsafe { &*open.platform };
    if open.answer.is_empty() {
        // Whether the connection still stands.
        return IOTDA_IO_TIMEOUT;
    }
    if platform.fails() {
        return IOTDA_IO_FAILED;
    }
    let given: Vec<u8> = open.answer.drain(..size.min(platform.piece).min(open.answer.len())).collect();
    // SAFETY: the buffer has room for `size` bytes.
    unsafe { std::ptr::copy_nonoverlapping(given.as_ptr(), buffer.cast(), given.len()) };
    given.len() as i64
}

unsafe extern "C" fn close(connection: *mut c_void) {
    // SAFETY: made by connect, and closed once.
    let open = unsafe { Box::from_raw(connection.cast::<Open>()) };
    // SAFETY: the platform outlives it.
    unsafe { &*open.platform }.open.fetch_sub(1, Ordering::Relaxed);
}

unsafe extern "C" fn destroy(user_data: *mut c_void) {
    // SAFETY: `run` keeps the platform.
    unsafe { &*user_data.cast::<Platform>() }.destroyed.fetch_add(1, Ordering::Relaxed);
}

/// Whether a request that has come as a whole is an authentication, and its body.
fn whole_request(bytes: &[u8]) -> Option<(bool, Vec<u8>)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).expect("a head in ASCII");
    let length: usize = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
        .expect("a length");
    let body = &bytes[end + 4..];
    assert!(body.len() <= length && head.starts_with("POST /v5/device"), "{head}");
    (body.len() == length).then(|| (head.starts_with("POST /v5/device-auth "), body.to_vec()))
}

/// Handles that threads share, which the C contract allows.
#[derive(Clone, Copy)]
struct Shared {
    client: *mut iotda_client_t,
    cancel: *mut iotda_cancel_t,
    mark: u64,
}

// SAFETY: any number of threads may use a client and a cancel handle at the same time (see their types); `run` frees
// them after all threads have been joined.
unsafe impl Send for Shared {}

/// Makes the calls that `data` says.
///
/// # Panics
///
/// If one does not keep the contract.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let platform = Arc::new(Platform {
        piece: 1 + usize::from(choices.byte()) * 8,
        fails_every: usize::from(choices.byte() % 32),
        calls: AtomicUsize::new(0),
        open: AtomicUsize::new(0),
        destroyed: AtomicUsize::new(0),
        arrived: Mutex::default(),
    });
    let threads = 1 + usize::from(choices.byte() % 3);
    let cancel = iotda_cancel_new();
    let client = client(&platform);
    // What is in no input, so that a report is known by its text.
    let shared = Shared { client, cancel, mark: RandomState::new().build_hasher().finish() };
    let parts = choices.0.chunks(choices.0.len().div_ceil(threads).max(1));
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let running: Vec<_> =
            parts.enumerate().map(|(number, part)| scope.spawn(move || calls(shared, number, part))).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("no call panics")).collect()
    });
    // SAFETY: made above; no thread uses them any more.
    unsafe {
        iotda_close(client);
        iotda_cancel_free(cancel);
    }
    assert_eq!(platform.open.load(Ordering::Relaxed), 0, "connections are left open");
    assert_eq!(platform.destroyed.load(Ordering::Relaxed), 1, "the transport is destroyed once");
    let arrived = platform.arrived();
    for Outcome { body, status, may_have_arrived } in outcomes {
        let has_arrived = arrived.iter().any(|other| other.windows(body.len()).any(|part| part == body));
        let shown = String::from_utf8_lossy(&body);
        match status {
            IOTDA_OK => assert!(has_arrived, "reported as delivered: {shown}"),
            _ if !may_have_arrived => assert!(!has_arrived, "reported as certainly not arrived: {shown}"),
            _ => {}
        }
    }
}

fn client(platform: &Arc<Platform>) -> *mut iotda_client_t {
    let transport = iotda_transport_t {
        struct_size: size_of::<iotda_transport_t>(),
        user_data: Arc::as_ptr(platform).cast_mut().cast(),
        is_secure: true,
        connect: Some(connect),
        send: Some(send),
        receive: Some(receive),
        close: Some(close),
        destroy: Some(destroy),
    };
    let config = iotda_config_new();
    let mut client = null_mut();
    // SAFETY: the config is alive, the texts end, and the platform outlives the transport, which `run` sees to.
    unsafe {
        assert_eq!(iotda_config_set_endpoint(config, c"https://iot.example".as_ptr()), IOTDA_OK);
        assert_eq!(iotda_config_set_device(config, c"gateway".as_ptr(), b"secret".as_ptr().cast(), 6), IOTDA_OK);
        assert_eq!(iotda_config_set_retry(config, if cfg!(miri) { 1 } else { 2 }, 1, 1), IOTDA_OK);
        assert_eq!(iotda_config_set_timeout_ms(config, 60_000), IOTDA_OK);
        assert_eq!(iotda_config_set_transport(config, &raw const transport), IOTDA_OK);
        assert_eq!(iotda_init(config, &raw mut client, null_mut()), IOTDA_OK);
        iotda_config_free(config);
    }
    client
}

/// What became of a report whose body is like no other.
struct Outcome {
    body: Vec<u8>,
    status: iotda_status_t,
    may_have_arrived: bool,
}

/// The calls of one thread.
fn calls(Shared { client, cancel, mark }: Shared, thread: usize, data: &[u8]) -> Vec<Outcome> {
    let mut choices = Choices(data);
    let mut outcomes = Vec::new();
    for number in 0.. {
        if choices.0.is_empty() {
            break;
        }
        let kind = choices.byte();
        let mut call = iotda_call_t {
            struct_size: size_of::<iotda_call_t>(),
            timeout_ms: 0,
            cancel: if kind & 0x80 == 0 { null() } else { cancel },
            // What it writes into all fields.
            http_status: -1,
            attempts: u32::MAX,
            retry_after_ms: u32::MAX,
            platform_code: [1; 24],
            message: [1; 256],
            may_have_arrived: true,
        };
        let unique = format!("<{mark:x}-{thread}-{number}>");
        // SAFETY: the handles are alive until all threads have been joined; texts end, arrays have their length, and
        // outputs are this function's own.
        let (status, body) = unsafe {
            match kind % 10 {
                0 => (iotda_auth(client, &raw mut call), None),
                1 => {
                    let body = [unique.as_bytes(), choices.bytes()].concat();
                    let status = iotda_report_message(client, body.as_ptr().cast(), body.len(), &raw mut call);
                    (status, Some(body))
                }
                2 => {
                    let properties = CString::new(format!("{{\"id\":\"{unique}\"}}")).expect("no zero");
                    let id = choices.text();
                    let service =
                        iotda_service_t { service_id: id.as_ptr(), properties: properties.as_ptr(), event_time_ms: 0 };
                    let status = iotda_report_props(client, &raw const service, 1, &raw mut call);
                    (status, Some(unique.into_bytes()))
                }
                3 => {
                    let json = choices.bytes();
                    let status = iotda_report_props_json(client, json.as_ptr().cast(), json.len(), &raw mut call);
                    (status, None)
                }
                4 => (batch(client, &mut choices, &unique, &mut call, &mut outcomes), None),
                5 => {
                    let json = choices.bytes();
                    let mut statuses = [-1; 4];
                    let mut count = usize::MAX;
                    let status = iotda_gateway_batch_json(
                        client,
                        json.as_ptr().cast(),
                        json.len(),
                        statuses.as_mut_ptr(),
                        4,
                        &raw mut count,
                        &raw mut call,
                    );
                    (status, None)
                }
                6 => {
                    builder(&mut choices);
                    continue;
                }
                7 => {
                    iotda_cancel_trigger(cancel);
                    continue;
                }
                8 => {
                    let mut stats: iotda_stats_t = std::mem::zeroed();
                    assert_eq!(iotda_stats(client, &raw mut stats), IOTDA_OK);
                    let mut device = null_mut();
                    let id = choices.text();
                    let status =
                        iotda_open_device(client, id.as_ptr(), b"s".as_ptr().cast(), 1, &raw mut device, &raw mut call);
                    assert_eq!(status == IOTDA_OK, !device.is_null());
                    iotda_close(device);
                    (status, None)
                }
                _ => {
                    let mut out = vec![0; usize::from(choices.byte())];
                    let mut length = 0;
                    let (pointer, size) = (out.as_mut_ptr(), out.len());
                    let status = iotda_token_export(client, pointer, size, &raw mut length, &raw mut call);
                    // Too small a buffer holds nothing of it.
                    assert!(status != IOTDA_OK || length < size.max(1), "{length} bytes in {size}");
                    assert!(out.get(length).is_none_or(|byte| status != IOTDA_OK || *byte == 0));
                    (status, None)
                }
            }
        };
        check(status, &call);
        if let Some(body) = body {
            outcomes.push(Outcome { body, status, may_have_arrived: call.may_have_arrived });
        }
    }
    outcomes
}

/// A batch of children, of which some are wrong.
///
/// # Safety
///
/// The promise "handles" for the client.
unsafe fn batch(
    client: *mut iotda_client_t,
    choices: &mut Choices<'_>,
    unique: &str,
    call: &mut iotda_call_t,
    outcomes: &mut Vec<Outcome>,
) -> iotda_status_t {
    let count = usize::from(choices.byte() % 8);
    let bodies: Vec<String> = (0..count).map(|index| format!("{unique}{index};")).collect();
    let texts: Vec<CString> =
        bodies.iter().map(|body| CString::new(format!("{{\"id\":\"{body}\"}}")).expect("no zero")).collect();
    let ids: Vec<CString> = (0..count).map(|_| choices.text()).collect();
    let service =
        |text: &CString| iotda_service_t { service_id: c"s".as_ptr(), properties: text.as_ptr(), event_time_ms: 0 };
    let services: Vec<iotda_service_t> = texts.iter().map(service).collect();
    let child = |(id, service): (&CString, &iotda_service_t)| iotda_child_t {
        device_id: id.as_ptr(),
        services: service,
        service_count: 1,
    };
    let children: Vec<iotda_child_t> = ids.iter().zip(&services).map(child).collect();
    let mut statuses = vec![-1; count];
    // SAFETY: the client is the caller's; the arrays have their length and are alive.
    let status = unsafe { iotda_gateway_batch(client, children.as_ptr(), count, statuses.as_mut_ptr(), call) };
    let delivered = statuses.iter().filter(|status| **status == IOTDA_OK).count();
    match status {
        IOTDA_OK => assert!(count > 0 && delivered == count, "{statuses:?}"),
        IOTDA_E_PARTIAL => assert!(0 < delivered && delivered < count, "{statuses:?}"),
        _ => assert_eq!(delivered, 0, "{statuses:?}"),
    }
    for (body, status) in bodies.into_iter().zip(statuses) {
        let may_have_arrived = call.may_have_arrived;
        outcomes.push(Outcome { body: body.into_bytes(), status, may_have_arrived });
    }
    status
}

fn builder(choices: &mut Choices<'_>) {
    let props = iotda_props_new();
    for _ in 0..choices.byte() % 8 {
        let (name, value) = (choices.text(), choices.text());
        let number = f64::from(choices.byte()) / 3.0;
        // SAFETY: the builder is alive, and the texts end.
        let statuses = unsafe {
            [
                iotda_props_add_string(props, name.as_ptr(), value.as_ptr()),
                iotda_props_add_json(props, name.as_ptr(), value.as_ptr()),
                iotda_props_add_double(props, value.as_ptr(), number),
            ]
        };
        assert!(statuses.iter().all(|status| [IOTDA_OK, IOTDA_E_INVALID_ARGUMENT].contains(status)), "{statuses:?}");
    }
    // SAFETY: the builder is alive, its text ends, and it is freed once.
    unsafe {
        let json = CStr::from_ptr(iotda_props_json(props)).to_bytes();
        assert!(json.starts_with(b"{") && json.ends_with(b"}"));
        iotda_props_free(props);
    }
}

/// What holds for every call.
fn check(status: iotda_status_t, call: &iotda_call_t) {
    let expected = [
        IOTDA_OK,
        IOTDA_E_INVALID_ARGUMENT,
        IOTDA_E_CONNECT,
        IOTDA_E_TIMEOUT,
        IOTDA_E_CANCELLED,
        IOTDA_E_PROTOCOL,
        IOTDA_E_PARTIAL,
    ];
    let message = text(&call.message);
    assert!(expected.contains(&status), "status {status}: {message}");
    assert_eq!(message.is_empty(), status == IOTDA_OK, "{message}");
    assert!(!message.contains(TOKEN) && !message.contains("secret\""), "{message}");
    assert_eq!(text(&call.platform_code), "");
    assert!([0, 200].contains(&call.http_status) && call.attempts < 1000, "{} {}", call.http_status, call.attempts);
}

/// A text that has its end within its field, in UTF-8.
fn text(field: &[c_char]) -> String {
    let end = field.iter().position(|byte| *byte == 0).expect("it ends");
    let bytes: Vec<u8> = field[..end].iter().map(|byte| u8::from_ne_bytes(byte.to_ne_bytes())).collect();
    String::from_utf8(bytes).expect("UTF-8")
}
