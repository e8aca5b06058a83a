//! `iotda_transport_t`: the program's own way to the network.

use std::ffi::{CString, c_char, c_void};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use iotda::{Connection, Transport};

use crate::arguments::struct_size;
use crate::outcome::{Outcome, Stop};
use crate::user_data::{UserData, iotda_destroy_t};

/// For send and receive of iotda_transport_t: the time was over before anything could be done.
pub const IOTDA_IO_TIMEOUT: i64 = -1;
/// For send and receive of iotda_transport_t: the connection is broken.
pub const IOTDA_IO_FAILED: i64 = -2;

/// The program's own way to the network. All functions are required, but for destroy.
///
/// They are called in the threads that make the calls: connect at the same time in several of them, the
/// others by one thread at a time for each connection. They must not throw, and must not call the library.
/// Each is told how long it may take; a call that was cancelled ends when the function returns, so the
/// library asks for short waits where a call can be cancelled.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct iotda_transport_t {
    /// sizeof(iotda_transport_t).
    pub struct_size: usize,
    /// Passed to connect and destroy as it is.
    pub user_data: *mut c_void,
    /// Whether the connections are encrypted, and the server's certificate and name verified, by the transport
    /// itself. false: the library does it, by TLS on top.
    pub is_secure: bool,
    /// Opens a connection to host and port within timeout_ms; returns what stands for it, or NULL.
    pub connect: Option<
        unsafe extern "C" fn(user_data: *mut c_void, host: *const c_char, port: u16, timeout_ms: u32) -> *mut c_void,
    >,
    /// Sends some of the len bytes, at least one, and returns how many; IOTDA_IO_TIMEOUT or IOTDA_IO_FAILED.
    pub send:
        Option<unsafe extern "C" fn(connection: *mut c_void, data: *const c_void, len: usize, timeout_ms: u32) -> i64>,
    /// Receives between one and size bytes and returns how many; 0 at the end of the stream; IOTDA_IO_TIMEOUT or
    /// IOTDA_IO_FAILED. With a timeout_ms of 0 it must not wait.
    pub receive:
        Option<unsafe extern "C" fn(connection: *mut c_void, buffer: *mut c_void, size: usize, timeout_ms: u32) -> i64>,
    /// Closes a connection; it is not used afterwards.
    pub close: Option<unsafe extern "C" fn(connection: *mut c_void)>,
    /// Called with user_data once, when the config and all clients made of it are freed; NULL: nothing is.
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
    connect: unsafe extern "C" fn(*mut c_void, *const c_char, u16, u32) -> *mut c_void,
    send: unsafe extern "C" fn(*mut c_void, *const c_void, usize, u32) -> i64,
    receive: unsafe extern "C" fn(*mut c_void, *mut c_void, usize, u32) -> i64,
    close: unsafe extern "C" fn(*mut c_void),
}

impl ProgramTransport {
    /// Checks and copies a table.
    ///
    /// # Safety
    ///
    /// The promise "structs" for `table`, and "callbacks" for what is in it.
    pub(crate) unsafe fn new(table: *const iotda_transport_t) -> Outcome<Self> {
        // SAFETY: the promise "structs".
        let size = unsafe { struct_size(table, "transport") }?;
        if size < size_of::<iotda_transport_t>() {
            return Err(Stop::Argument("transport.struct_size is not sizeof(iotda_transport_t)".to_owned()));
        }
        // SAFETY: whole, as its size says: the promise "structs".
        let table = unsafe { *table };
        // From here on destroy is owed, also if a function is missing.
        let user_data = UserData::new(table.user_data, table.destroy);
        let missing = |name: &str| Stop::Argument(format!("transport.{name} is NULL"));
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
        _cancel: Option<BorrowedFd<'_>>,
    ) -> io::Result<Box<dyn Connection>> {
        let host = CString::new(host)?;
        let table = &self.0;
        // SAFETY: the promise "callbacks"; the host is terminated and lives for the call.
        let connection =
            unsafe { (table.functions.connect)(table.user_data.pointer(), host.as_ptr(), port, milliseconds(timeout)) };
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
        match amount(sent, data.len())? {
            0 => Err(io::ErrorKind::TimedOut.into()),
            sent => Ok(sent),
        }
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

/// What a function of the program's returned, which may be anything.
fn amount(returned: i64, most: usize) -> io::Result<usize> {
    match usize::try_from(returned) {
        Ok(amount) if amount <= most => Ok(amount),
        Ok(_) => Err(io::Error::other("the transport says that it moved more bytes than it was given")),
        Err(_) if returned == IOTDA_IO_TIMEOUT => Err(io::ErrorKind::TimedOut.into()),
        Err(_) => Err(io::Error::other("the program's own transport failed")),
    }
}

/// Rounded up: a wait that ends early would only have to be started again.
fn milliseconds(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn timeouts_are_rounded_up_and_bounded() {
        assert_eq!(milliseconds(Duration::ZERO), 0);
        assert_eq!(milliseconds(Duration::from_nanos(1)), 1);
        assert_eq!(milliseconds(Duration::MAX), u32::MAX);
    }
}
