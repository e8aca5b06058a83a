//! Send, receive and wait on a connected stream socket.
//!
//! std's `TcpStream` cannot say "do not wait" for a single call, and its vectored write can raise
//! `SIGPIPE` in a C program (`writev` has no `MSG_NOSIGNAL`). The functions here can do both; they hold
//! no state and never change the socket's options.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// What `connect` answers on a socket that does not wait: the connection is under way (`EINPROGRESS`).
pub const IN_PROGRESS: i32 = libc::EINPROGRESS;

/// Whether a receive may wait for data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Wait as long as the socket's receive timeout (`SO_RCVTIMEO`) allows.
    Yes,
    /// Answer at once; `WouldBlock` when nothing is there.
    No,
}

/// What [`poll`] waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Data, an end of stream or an error can be read.
    Readable,
    /// The socket takes more data, or has failed.
    Writable,
}

impl Interest {
    fn events(self) -> libc::c_short {
        match self {
            Interest::Readable => libc::POLLIN,
            Interest::Writable => libc::POLLOUT,
        }
    }
}

/// Receives into `buffer`; 0 means that the peer closed its side.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], wait: Wait) -> io::Result<usize> {
    let flags = match wait {
        Wait::Yes => 0,
        Wait::No => libc::MSG_DONTWAIT,
    };
    // SAFETY: the pointer and the length describe `buffer`, which is exclusively borrowed for the call;
    // the descriptor is open for as long as `socket` is borrowed.
    let received = unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags) };
    usize::try_from(received).map_err(|_| io::Error::last_os_error())
}

/// Sends as much of `parts` as the socket takes at once, never waits, never raises `SIGPIPE`.
pub fn send(socket: BorrowedFd<'_>, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let sent = if let [only] = parts {
        // SAFETY: the pointer and the length describe `only`, which is borrowed for the call; the
        // descriptor is open for as long as `socket` is borrowed.
        unsafe { libc::send(socket.as_raw_fd(), only.as_ptr().cast(), only.len(), flags) }
    } else {
        // SAFETY: `msghdr` is a plain C struct for which all-zero bytes are a valid value (no name, no
        // control data, no parts).
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = parts.as_ptr().cast_mut().cast();
        // Above IOV_MAX (1024) the system refuses the call; what is left goes with the next one.
        message.msg_iovlen = parts.len().min(1024) as _;
        // SAFETY: `IoSlice` has the layout of `iovec` (std guarantees it on Unix); the parts are borrowed
        // for the call and `sendmsg` only reads them; the descriptor is open.
        unsafe { libc::sendmsg(socket.as_raw_fd(), &message, flags) }
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Waits until `socket` is ready for `interest`, at most for `timeout` (`None`: without end).
///
/// Returns false when the time is over. An interruption by a signal is returned as
/// [`io::ErrorKind::Interrupted`]: the caller knows the deadline and calls again.
pub fn poll(socket: BorrowedFd<'_>, interest: Interest, timeout: Option<Duration>) -> io::Result<bool> {
    let mut entry = libc::pollfd { fd: socket.as_raw_fd(), events: interest.events(), revents: 0 };
    // SAFETY: `entry` is one valid pollfd, exclusively borrowed for the call.
    let ready = unsafe { libc::poll(&mut entry, 1, poll_milliseconds(timeout)) };
    match ready {
        0 => Ok(false),
        1.. => Ok(true),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Which of two descriptors ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// The time is over.
    Neither,
    /// The socket is ready.
    Socket,
    /// The other descriptor is readable; the socket may be ready as well.
    Other,
}

/// As [`poll`], and also ends when `other` becomes readable.
pub fn poll_either(
    socket: BorrowedFd<'_>,
    interest: Interest,
    other: BorrowedFd<'_>,
    timeout: Option<Duration>,
) -> io::Result<Ready> {
    let mut entries = [
        libc::pollfd { fd: socket.as_raw_fd(), events: interest.events(), revents: 0 },
        libc::pollfd { fd: other.as_raw_fd(), events: libc::POLLIN, revents: 0 },
    ];
    // SAFETY: two valid pollfds, exclusively borrowed for the call.
    let ready = unsafe { libc::poll(entries.as_mut_ptr(), 2, poll_milliseconds(timeout)) };
    match ready {
        0 => Ok(Ready::Neither),
        1.. if entries[1].revents != 0 => Ok(Ready::Other),
        1.. => Ok(Ready::Socket),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What ended a wait for several sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// The time is over.
    Neither,
    /// The socket with this number is connected, or has failed.
    Socket(usize),
    /// The other descriptor is readable.
    Other,
}

/// Waits until one of `sockets` that are being connected is writable or has failed, or `other` is readable.
pub fn poll_first(
    sockets: &[BorrowedFd<'_>],
    other: Option<BorrowedFd<'_>>,
    timeout: Option<Duration>,
) -> io::Result<First> {
    let socket = |fd: &BorrowedFd<'_>| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    let mut entries: Vec<_> = sockets.iter().map(socket).collect();
    entries.extend(other.map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }));
    // SAFETY: the pointer and the length describe `entries`, which is exclusively borrowed for the call.
    let ready = unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as _, poll_milliseconds(timeout)) };
    if ready < 0 {
        return Err(io::Error::last_os_error());
    }
    // Looked at from its end, so that a cancellation counts before a connection.
    Ok(match entries.iter().rposition(|entry| entry.revents != 0) {
        None => First::Neither,
        Some(index) if index < sockets.len() => First::Socket(index),
        Some(_) => First::Other,
    })
}

/// How many bytes that were sent have not been acknowledged by the peer (Linux, `SIOCOUTQ`, tcp(7)); `None` where the
/// system does not say.
pub fn unacknowledged(socket: BorrowedFd<'_>) -> Option<u32> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let mut bytes: libc::c_int = 0;
        // SAFETY: the descriptor is open, and the request (which has the number of TIOCOUTQ) writes one int.
        let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &mut bytes) };
        if done == 0 { u32::try_from(bytes).ok() } else { None }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = socket;
        None
    }
}

/// Rounds up: a wait that ends early would only have to be started again.
fn poll_milliseconds(timeout: Option<Duration>) -> libc::c_int {
    match timeout {
        None => -1,
        Some(timeout) => {
            let milliseconds = timeout.as_nanos().div_ceil(1_000_000);
            libc::c_int::try_from(milliseconds).unwrap_or(libc::c_int::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (ours, listener.accept().unwrap().0)
    }

    #[test]
    fn receive_without_waiting_says_would_block() {
        let (ours, _theirs) = pair();
        let error = receive(ours.as_fd(), &mut [0; 8], Wait::No).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn parts_arrive_joined_and_in_order() {
        let (ours, mut theirs) = pair();
        let parts = [IoSlice::new(b"one "), IoSlice::new(b"two "), IoSlice::new(b"three")];
        assert_eq!(send(ours.as_fd(), &parts).unwrap(), 13);
        assert_eq!(send(ours.as_fd(), &[IoSlice::new(b"!")]).unwrap(), 1);
        let mut got = [0; 14];
        theirs.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"one two three!");
    }

    #[test]
    fn end_of_stream_is_zero_bytes_and_readable() {
        let (ours, theirs) = pair();
        drop(theirs);
        assert!(poll(ours.as_fd(), Interest::Readable, None).unwrap());
        assert_eq!(receive(ours.as_fd(), &mut [0; 8], Wait::Yes).unwrap(), 0);
    }

    #[test]
    fn sending_to_a_closed_peer_is_an_error_and_no_signal() {
        let (ours, theirs) = pair();
        drop(theirs);
        let data = vec![0; 1 << 16];
        let error = (0..10_000)
            .find_map(|_| match send(ours.as_fd(), &[IoSlice::new(&data)]) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => Some(error),
                _ => None,
            })
            .expect("a closed peer refuses data");
        assert!(matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset));
    }

    #[test]
    fn sending_to_a_closed_peer_raises_no_signal_where_one_would_end_the_process() {
        // A child would hold what other tests have locked.
        let _no_other_forks = crate::fork::tests::ONE_AT_A_TIME.lock();
        let (ours, theirs) = pair();
        drop(theirs);
        // SAFETY: the child calls nothing but signal, sendmsg and _exit, all async-signal-safe.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "fork failed");
        if child == 0 {
            // The test runner ignores the signal, and so would the child.
            // SAFETY: as above; what is sent lives on this stack.
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
            let (two, one) = ([IoSlice::new(b"x"), IoSlice::new(b"y")], [IoSlice::new(b"z")]);
            // The first is answered by a reset, and the next ones meet a closed connection.
            for _ in 0..100 {
                for pieces in [&two[..], &one] {
                    let _ = send(ours.as_fd(), pieces);
                }
            }
            // SAFETY: leaves the child at once, without running the test runner's exit handlers.
            unsafe { libc::_exit(0) };
        }
        let mut status = 0;
        // SAFETY: waits for the child made above; `status` is a valid output.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "the child ended by a signal: {status}");
    }

    #[test]
    fn poll_tells_time_out_from_readiness() {
        let (ours, mut theirs) = pair();
        assert!(!poll(ours.as_fd(), Interest::Readable, Some(Duration::ZERO)).unwrap());
        assert!(poll(ours.as_fd(), Interest::Writable, Some(Duration::ZERO)).unwrap());
        theirs.write_all(b"x").unwrap();
        assert!(poll(ours.as_fd(), Interest::Readable, None).unwrap());
    }

    #[test]
    fn another_descriptor_ends_a_wait() {
        let (ours, mut theirs) = pair();
        let wake = crate::wake::Wake::new();
        let wait = |timeout| poll_either(ours.as_fd(), Interest::Readable, wake.fd().unwrap(), timeout).unwrap();
        assert_eq!(wait(Some(Duration::ZERO)), Ready::Neither);
        theirs.write_all(b"x").unwrap();
        assert_eq!(wait(None), Ready::Socket);
        wake.raise();
        assert_eq!(wait(None), Ready::Other);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_the_peer_has_not_taken_is_counted() {
        let (ours, mut theirs) = pair();
        assert_eq!(unacknowledged(ours.as_fd()), Some(0));
        // More than both sides' buffers hold: some stays with us until the peer reads.
        let data = vec![0; 1 << 20];
        let mut sent = 0;
        while let Ok(amount) = send(ours.as_fd(), &[IoSlice::new(&data)]) {
            sent += amount;
        }
        let waiting = unacknowledged(ours.as_fd()).unwrap();
        assert!(waiting > 0 && waiting as usize <= sent);
        let mut all = vec![0; sent];
        theirs.read_exact(&mut all).unwrap();
    }

    #[test]
    fn poll_time_is_rounded_up_and_bounded() {
        assert_eq!(poll_milliseconds(None), -1);
        assert_eq!(poll_milliseconds(Some(Duration::ZERO)), 0);
        assert_eq!(poll_milliseconds(Some(Duration::from_nanos(1))), 1);
        assert_eq!(poll_milliseconds(Some(Duration::from_millis(1500))), 1500);
        assert_eq!(poll_milliseconds(Some(Duration::MAX)), libc::c_int::MAX);
    }
}
