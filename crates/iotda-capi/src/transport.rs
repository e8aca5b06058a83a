//! `iotda_transport_t`: a custom transport.

use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use iotda::{Connection, Transport};

use crate::arguments::wrong_size;
use crate::outcome::{Outcome, Stop};
use crate::user_data::{UserData, iotda_destroy_t};

/// For send and receive: the time was over before anything could be done.
pub const IOTDA_IO_TIMEOUT: i64 = -1;
/// For send and receive: the connection is broken.
pub const IOTDA_IO_FAILED: i64 = -2;

/// A custom transport: connections that the program supplies. All functions are required, except destroy. connect is
/// called at the same time in several threads, the others by one thread at a time for each connection. Each is given
/// the time that it may take; a call that was cancelled ends when the function returns. So the library asks send and
/// receive for short waits where a call can be cancelled, and gives connect a descriptor.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct iotda_transport_t {
    /// sizeof(iotda_transport_t).
    pub struct_size: usize,
    /// Passed to connect and destroy as it is.
    pub user_data: *mut c_void,
    /// Whether it encrypts and verifies the server's certificate and name itself. false: the library does, by TLS on
    /// top.
    pub is_secure: bool,
    /// Opens a connection to host and port within timeout_ms; returns the connection, or NULL. cancel_fd is a
    /// descriptor that becomes readable (POLLIN) when the call is cancelled, and stays so; -1: the call cannot be
    /// cancelled. Poll it beside your own, and return NULL once it is readable. It is the library's: do not read, close
    /// or keep it. poll() takes -1 for a descriptor that never becomes ready.
    pub connect: Option<
        unsafe extern "C" fn(
            user_data: *mut c_void,
            host: *const c_char,
            port: u16,
            timeout_ms: u32,
            cancel_fd: c_int,
        ) -> *mut c_void,
    >,
    /// Sends some of the len bytes, at least one, and returns how many. Waits for at most timeout_ms until it can send
    /// one; if it cannot, it returns IOTDA_IO_TIMEOUT. IOTDA_IO_FAILED if the connection is broken. 0 is taken for a
    /// broken connection as well, unless timeout_ms is 0; so is a number above len.
    pub send:
        Option<unsafe extern "C" fn(connection: *mut c_void, data: *const c_void, len: usize, timeout_ms: u32) -> i64>,
    /// Receives between one and size bytes and returns how many; 0 at the end of the stream. Waits for at most
    /// timeout_ms until there is one, not at all if that is 0; then it returns IOTDA_IO_TIMEOUT. IOTDA_IO_FAILED if the
    /// connection is broken; a number above size is taken for that.
    pub receive:
        Option<unsafe extern "C" fn(connection: *mut c_void, buffer: *mut c_void, size: usize, timeout_ms: u32) -> i64>,
    /// Closes a connection; it is not used afterwards.
    pub close: Option<unsafe extern "C" fn(connection: *mut c_void)>,
    /// Called with user_data once, after the last connection is closed, as that of a callback.
    pub destroy: iotda_destroy_t,
}

/// A table that is complete.
#[derive(Debug)]
pub(crate) struct ProgramTransport(Arc<Table>);

/// Lives until the transport and its last connection are gone: destroy comes after every close.
#[derive(Debug)]
struct Table {
    functions: Functions,
    is_secure: bool,
    user_data: UserData,
}

#[derive(Clone, Copy, Debug)]
struct Functions {
    connect: unsafe extern "C" fn(*mut c_void, *const c_char, u16, u32, c_int) -> *mut c_void,
    send: unsafe extern "C" fn(*mut c_void, *const c_void, usize, u32) -> i64,
    receive: unsafe extern "C" fn(*mut c_void, *mut c_void, usize, u32) -> i64,
    close: unsafe extern "C" fn(*mut c_void),
}

/// The size of the struct's first version.
const FIRST_VERSION: usize = size_of::<iotda_transport_t>();

/// A table as the program gave it; unless it becomes a transport, it is destroyed with this value.
pub(crate) struct Given(Option<(iotda_transport_t, Option<usize>, UserData)>);

impl Given {
    /// Copies a table.
    ///
    /// # Safety
    ///
    /// The promise "structs" for `table`, and "callbacks" for what is in it.
    pub(crate) unsafe fn read(table: *const iotda_transport_t) -> Self {
        // SAFETY: the promise "structs".
        let wrong_size = unsafe { wrong_size(table, FIRST_VERSION) };
        // SAFETY: NULL, or the promise "structs".
        Given(unsafe { table.as_ref() }.map(|table| {
            let user_data = UserData::new(table.user_data, table.destroy);
            (*table, wrong_size, user_data)
        }))
    }

    /// The transport that it describes.
    pub(crate) fn check(self) -> Outcome<ProgramTransport> {
        let (table, wrong_size, user_data) = self.0.ok_or_else(|| {
            Stop::Argument("pass the address of an iotda_transport_t as transport: it is NULL".into())
        })?;
        if let Some(size) = wrong_size {
            return Err(Stop::Argument(format!(
                "set transport.struct_size to sizeof(iotda_transport_t): it is {size}, less than any version's"
            )));
        }
        let missing = |name: &str| Stop::Argument(format!("set transport.{name} to a function: it is NULL"));
        let table = Table {
            functions: Functions {
                connect: table.connect.ok_or_else(|| missing("connect"))?,
                send: table.send.ok_or_else(|| missing("send"))?,
                receive: table.receive.ok_or_else(|| missing("receive"))?,
                close: table.close.ok_or_else(|| missing("close"))?,
            },
            is_secure: table.is_secure,
            user_data,
        };
        Ok(ProgramTransport(Arc::new(table)))
    }
}

impl Transport for ProgramTransport {
    fn connect(
        &self,
        host: &str,
        port: u16,
        timeout: Duration,
        cancel: Option<BorrowedFd<'_>>,
    ) -> io::Result<Box<dyn Connection>> {
        let host = CString::new(host)?;
        let table = &self.0;
        let cancel = cancel.map_or(-1, |cancel| cancel.as_raw_fd());
        // SAFETY: the promise "callbacks"; the host is terminated, and it and the descriptor live for the call.
        let connection = unsafe {
            (table.functions.connect)(table.user_data.pointer(), host.as_ptr(), port, milliseconds(timeout), cancel)
        };
        if connection.is_null() {
            return Err(io::Error::other("its connect function returned NULL"));
        }
        Ok(Box::new(ProgramConnection { table: Arc::clone(table), connection }))
    }

    fn is_secure(&self) -> bool {
        self.0.is_secure
    }
}

/// What connect returned, until it is closed.
#[derive(Debug)]
struct ProgramConnection {
    table: Arc<Table>,
    connection: *mut c_void,
}

// SAFETY: the promise "callbacks"; a connection is used by one thread at a time.
unsafe impl Send for ProgramConnection {}
// SAFETY: nothing can be done with a shared reference to it.
unsafe impl Sync for ProgramConnection {}

impl Connection for ProgramConnection {
    fn send(&mut self, data: &[u8], timeout: Duration) -> io::Result<usize> {
        // SAFETY: the promise "callbacks"; the data lives for the call.
        let sent = unsafe {
            (self.table.functions.send)(self.connection, data.as_ptr().cast(), data.len(), milliseconds(timeout))
        };
        progress(amount(sent, data.len())?, timeout)
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        // SAFETY: the promise "callbacks"; the buffer is ours for the call.
        let received = unsafe {
            (self.table.functions.receive)(
                self.connection,
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                milliseconds(timeout),
            )
        };
        amount(received, buffer.len())
    }
}

impl Drop for ProgramConnection {
    fn drop(&mut self) {
        // SAFETY: the promise "callbacks"; it is closed this once.
        unsafe { (self.table.functions.close)(self.connection) };
    }
}

/// What send returned is no progress if it is 0. Taken for a time-out while there is time left, it would be tried
/// again at once, for as long as the call may take.
fn progress(sent: usize, timeout: Duration) -> io::Result<usize> {
    match sent {
        0 if timeout.is_zero() => Err(io::ErrorKind::TimedOut.into()),
        0 => Err(io::Error::other(
            "its send function returned 0 with time left: let it wait, and return IOTDA_IO_TIMEOUT",
        )),
        sent => Ok(sent),
    }
}

/// What a function of the program returned, which may be anything.
fn amount(returned: i64, most: usize) -> io::Result<usize> {
    match usize::try_from(returned) {
        Ok(amount) if amount <= most => Ok(amount),
        Ok(_) => Err(io::Error::other("its function returned a number above the length that it was given")),
        Err(_) if returned == IOTDA_IO_TIMEOUT => Err(io::ErrorKind::TimedOut.into()),
        Err(_) => Err(io::Error::other("its function returned IOTDA_IO_FAILED")),
    }
}

/// Rounded up: a wait that ends early would only have to be started again.
fn milliseconds(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use iotda::CancelToken;

    use super::*;

    /// What a program's functions were called with. Its address is the transport's, and the connection's.
    #[derive(Debug, Default)]
    struct Calls {
        connected: Vec<(String, u16, u32, i32)>,
        timeouts: Vec<u32>,
        closed: u32,
        destroyed: u32,
        refuses: bool,
    }

    /// # Safety
    ///
    /// The test passes the address of `Calls`, which nothing else uses meanwhile.
    unsafe fn calls<'a>(pointer: *mut c_void) -> &'a mut Calls {
        // SAFETY: as the caller promises.
        unsafe { &mut *pointer.cast() }
    }

    unsafe extern "C" fn connect(
        user_data: *mut c_void,
        host: *const c_char,
        port: u16,
        timeout_ms: u32,
        cancel_fd: i32,
    ) -> *mut c_void {
        // SAFETY: the test's promise; the host is terminated.
        let (calls, host) = unsafe { (calls(user_data), std::ffi::CStr::from_ptr(host)) };
        calls.connected.push((host.to_str().unwrap().to_owned(), port, timeout_ms, cancel_fd));
        if calls.refuses { ptr::null_mut() } else { user_data }
    }

    unsafe extern "C" fn send(connection: *mut c_void, _: *const c_void, len: usize, timeout_ms: u32) -> i64 {
        // SAFETY: the test's promise.
        unsafe { calls(connection) }.timeouts.push(timeout_ms);
        len as i64 - 1
    }

    unsafe extern "C" fn receive(connection: *mut c_void, buffer: *mut c_void, size: usize, timeout_ms: u32) -> i64 {
        // SAFETY: the test's promise, and room for so many bytes.
        unsafe {
            calls(connection).timeouts.push(timeout_ms);
            buffer.cast::<u8>().write_bytes(b'x', size);
        }
        size as i64
    }

    unsafe extern "C" fn close(connection: *mut c_void) {
        // SAFETY: the test's promise.
        unsafe { calls(connection) }.closed += 1;
    }

    unsafe extern "C" fn destroy(user_data: *mut c_void) {
        // SAFETY: the test's promise.
        unsafe { calls(user_data) }.destroyed += 1;
    }

    fn transport(calls: *mut Calls, is_secure: bool) -> ProgramTransport {
        let functions = Functions { connect, send, receive, close };
        ProgramTransport(Arc::new(Table {
            functions,
            is_secure,
            user_data: UserData::new(calls.cast(), Some(destroy)),
        }))
    }

    #[test]
    fn the_programs_functions_are_given_what_the_header_promises() {
        let mut made = Calls::default();
        let pointer = &raw mut made;
        let mut of_another = Calls::default();
        assert!(!transport(&raw mut of_another, false).is_secure());
        let transport = transport(pointer, true);
        assert!(transport.is_secure());
        let mut connection = transport.connect("iot.example", 443, Duration::from_micros(1_500), None).unwrap();
        assert_eq!(connection.send(b"abc", Duration::from_secs(2)).unwrap(), 2);
        let mut buffer = [0; 4];
        assert_eq!(connection.receive(&mut buffer, Duration::ZERO).unwrap(), 4);
        assert_eq!(&buffer, b"xxxx");
        let token = CancelToken::new();
        let other = transport.connect("h", 1, Duration::ZERO, Some(token.descriptor().unwrap())).unwrap();
        drop((connection, other));
        // SAFETY: no function of the transport runs.
        unsafe { (*pointer).refuses = true };
        let refused = transport.connect("h", 1, Duration::ZERO, None).map(drop).unwrap_err();
        assert_eq!(refused.to_string(), "its connect function returned NULL");
        drop(transport);
        let [first, second, third] = &made.connected[..] else { panic!("{made:?}") };
        assert_eq!(*first, ("iot.example".to_owned(), 443, 2, -1));
        assert!(second.3 >= 0, "{second:?}");
        assert_eq!(third.3, -1);
        assert_eq!(made.timeouts, [2000, 0]);
        assert_eq!((made.closed, made.destroyed), (2, 1));
    }

    #[test]
    fn what_a_transport_returns_is_not_believed_blindly() {
        assert_eq!(amount(5, 10).unwrap(), 5);
        assert_eq!(amount(0, 10).unwrap(), 0);
        assert_eq!(amount(IOTDA_IO_TIMEOUT, 10).unwrap_err().kind(), io::ErrorKind::TimedOut);
        for wrong in [11, i64::MAX, IOTDA_IO_FAILED, i64::MIN] {
            assert_eq!(amount(wrong, 10).unwrap_err().kind(), io::ErrorKind::Other);
        }
    }

    #[test]
    fn nothing_sent_is_a_failure_while_there_is_time() {
        assert_eq!(progress(3, Duration::ZERO).unwrap(), 3);
        assert_eq!(progress(0, Duration::ZERO).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(progress(0, Duration::from_millis(1)).unwrap_err().kind(), io::ErrorKind::Other);
    }

    #[test]
    fn timeouts_are_rounded_up_and_bounded() {
        assert_eq!(milliseconds(Duration::ZERO), 0);
        assert_eq!(milliseconds(Duration::from_nanos(1)), 1);
        assert_eq!(milliseconds(Duration::MAX), u32::MAX);
    }
}
