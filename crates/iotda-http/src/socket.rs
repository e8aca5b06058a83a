//! A connection's bytes, within their bounds and with as few system calls as that takes.
//!
//! A receive timeout is set once, when the connection is made; within it a plain `recv` waits. Only a wait that is
//! longer, a deadline that is nearer, or a cancel token needs a `poll` before the `recv`. So an answer that comes in
//! time costs one system call, and no socket option is ever changed.
//!
//! A wait ends at the deadline, or when nothing has moved for as long as the caller's patience. What moves is what
//! arrives, and what the peer acknowledges: a large body disappears into the kernel's buffer at once, so the queue there
//! is looked at before a request is given up.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use iotda_sys::socket::{Interest, Ready, Wait, poll, poll_either, receive, send, unacknowledged};

use crate::bounds::{Bounds, earlier};
use crate::cancel::CANCEL_CHECK;
use crate::transport::Connection;
use crate::watch::{Traffic, Watch};

/// The longest wait of a `recv` without a `poll` before it.
const PLAIN_WAIT: Duration = Duration::from_secs(10);

/// The wait that a custom transport is asked for where there is no deadline.
const VERY_LONG: Duration = Duration::from_secs(86_400);

/// Requests up to this size are not asked for in the kernel's queue: what is one record is there or lost.
const SMALL: usize = 16_384;

/// A connected socket, or a connection of a custom transport.
pub(crate) struct Socket {
    link: Link,
    watch: Arc<Watch>,
    progress: Progress,
}

enum Link {
    /// A socket of the system, and how long a plain `recv` waits in it.
    System(TcpStream, Duration),
    Custom(Box<dyn Connection>),
}

/// When something last moved.
struct Progress {
    at: Instant,
    /// Something has moved since then. When, is asked for when it matters.
    moved: bool,
    /// What the kernel held the last time that it was asked.
    queued: usize,
}

/// A socket whose reads and writes end with [`io::ErrorKind::TimedOut`] at their bounds, and with
/// [`io::ErrorKind::ConnectionAborted`] when the request is cancelled.
pub(crate) struct Bounded<'a> {
    socket: &'a mut Socket,
    bounds: &'a Bounds<'a>,
}

impl Socket {
    /// Takes over a connected stream. `patience` is how long a request usually waits for something to move.
    pub(crate) fn new(stream: TcpStream, patience: Duration, watch: Arc<Watch>) -> io::Result<Self> {
        // Half of the usual time: a request that starts with all of it can always wait this long.
        let plain_wait = (patience / 2).clamp(Duration::from_millis(50), PLAIN_WAIT);
        // A report is one small write: it must not wait for the acknowledgement of an earlier one.
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(plain_wait))?;
        Ok(Self::of(Link::System(stream, plain_wait), watch))
    }

    /// Takes over a connection of a custom transport.
    pub(crate) fn custom(connection: Box<dyn Connection>, watch: Arc<Watch>) -> Self {
        Self::of(Link::Custom(connection), watch)
    }

    fn of(link: Link, watch: Arc<Watch>) -> Self {
        Socket { link, watch, progress: Progress { at: Instant::now(), moved: false, queued: 0 } }
    }

    /// Begins a request of `bytes`: patience runs from `now`. An error if the deadline is over by then.
    pub(crate) fn begin(&mut self, bytes: usize, now: Instant, bounds: &Bounds<'_>) -> io::Result<()> {
        bounds.check()?;
        if bounds.deadline.is_some_and(|deadline| deadline <= now) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.progress = Progress { at: now, moved: false, queued: if bytes > SMALL { bytes } else { 0 } };
        Ok(())
    }

    /// When something last moved, or a little earlier.
    pub(crate) fn last_moved(&self) -> Instant {
        self.progress.at
    }

    /// The socket with what bounds reads and writes.
    pub(crate) fn within<'a>(&'a mut self, bounds: &'a Bounds<'a>) -> Bounded<'a> {
        Bounded { socket: self, bounds }
    }

    /// Receives what is there, without waiting; [`io::ErrorKind::WouldBlock`] if there is nothing.
    pub(crate) fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.link {
            Link::System(stream, _) => receive(stream.as_fd(), buffer, Wait::No),
            Link::Custom(connection) => {
                connection.receive(buffer, Duration::ZERO).map_err(|error| match error.kind() {
                    io::ErrorKind::TimedOut => io::ErrorKind::WouldBlock.into(),
                    _ => error,
                })
            }
        }
    }
}

impl Progress {
    /// How long to wait now: until the deadline, or until patience runs out; `None`: without end.
    fn left(&mut self, bounds: &Bounds<'_>, stream: Option<&TcpStream>) -> io::Result<Option<Duration>> {
        bounds.check()?;
        let now = Instant::now();
        if std::mem::take(&mut self.moved) {
            self.at = now;
        }
        if bounds.deadline.is_some_and(|deadline| deadline <= now) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut gives_up = self.at.checked_add(bounds.patience);
        if gives_up.is_some_and(|moment| moment <= now) {
            // The queue counts as moving if it is shorter than it was.
            let queued = match stream {
                Some(stream) if self.queued > 0 => unacknowledged(stream.as_fd()).map_or(0, |bytes| bytes as usize),
                _ => return Err(io::ErrorKind::TimedOut.into()),
            };
            if queued >= self.queued {
                return Err(io::ErrorKind::TimedOut.into());
            }
            *self = Progress { at: now, moved: false, queued };
            gives_up = now.checked_add(bounds.patience);
        }
        Ok(earlier(gives_up, bounds.deadline).map(|end| end.saturating_duration_since(now)))
    }
}

/// Waits until the socket is ready, the time is over, or the request is cancelled.
fn wait(stream: &TcpStream, interest: Interest, progress: &mut Progress, bounds: &Bounds<'_>) -> io::Result<()> {
    loop {
        let left = progress.left(bounds, Some(stream))?;
        let ready = match bounds.cancel {
            None => poll(stream.as_fd(), interest, left),
            Some(cancel) => match cancel.descriptor() {
                Ok(token) => poll_either(stream.as_fd(), interest, token, left).map(|ready| ready == Ready::Socket),
                // No descriptor is left: the token is looked at now and then.
                Err(_) => {
                    let part = left.map_or(CANCEL_CHECK, |left| left.min(CANCEL_CHECK));
                    poll(stream.as_fd(), interest, Some(part))
                }
            },
        };
        match ready {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn read_system(
    stream: &TcpStream,
    plain_wait: Duration,
    progress: &mut Progress,
    bounds: &Bounds<'_>,
    buffer: &mut [u8],
) -> io::Result<usize> {
    let mut how = match progress.left(bounds, Some(stream))? {
        _ if bounds.cancel.is_some() => Wait::No,
        Some(left) if left < plain_wait => Wait::No,
        _ => Wait::Yes,
    };
    loop {
        if how == Wait::No {
            wait(stream, Interest::Readable, progress, bounds)?;
        }
        match receive(stream.as_fd(), buffer, how) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => how = Wait::No,
            // A signal handler ran; what is left of the time is asked for anew.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => how = Wait::No,
            other => return other,
        }
    }
}

fn write_system(
    stream: &TcpStream,
    progress: &mut Progress,
    bounds: &Bounds<'_>,
    parts: &[IoSlice<'_>],
) -> io::Result<usize> {
    // Whoever began the request has looked at the time.
    loop {
        match send(stream.as_fd(), parts) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait(stream, Interest::Writable, progress, bounds)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Lets a custom transport wait, in parts if the request can be cancelled.
fn in_parts<T>(
    progress: &mut Progress,
    bounds: &Bounds<'_>,
    mut work: impl FnMut(Duration) -> io::Result<T>,
) -> io::Result<T> {
    loop {
        let left = progress.left(bounds, None)?.unwrap_or(VERY_LONG);
        let part = if bounds.cancel.is_some() { left.min(CANCEL_CHECK) } else { left };
        match work(part) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
            other => return other,
        }
    }
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Socket { link, watch, progress } = self.socket;
        let amount = match link {
            Link::System(stream, plain_wait) => read_system(stream, *plain_wait, progress, self.bounds, buffer)?,
            Link::Custom(connection) => in_parts(progress, self.bounds, |timeout| connection.receive(buffer, timeout))?,
        };
        progress.moved = true;
        watch.add(Traffic::BytesReceived, amount as u64);
        Ok(amount)
    }
}

impl Write for Bounded<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buffer)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let Socket { link, watch, progress } = self.socket;
        let amount = match link {
            Link::System(stream, _) => write_system(stream, progress, self.bounds, parts)?,
            Link::Custom(connection) => {
                let first = parts.iter().find(|part| !part.is_empty()).map_or(&[][..], |part| part);
                in_parts(progress, self.bounds, |timeout| connection.send(first, timeout))?
            }
        };
        progress.moved = true;
        watch.add(Traffic::BytesSent, amount as u64);
        Ok(amount)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancel::CancelToken;
    use std::net::TcpListener;

    fn pair(patience: Duration) -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Socket::new(ours, patience, Arc::default()).unwrap(), listener.accept().unwrap().0)
    }

    fn until(deadline: Instant) -> Bounds<'static> {
        Bounds { deadline: Some(deadline), ..Bounds::default() }
    }

    #[test]
    fn small_writes_do_not_wait_for_an_acknowledgement() {
        let (socket, _peer) = pair(Duration::from_secs(30));
        let Link::System(stream, _) = &socket.link else { unreachable!() };
        assert!(stream.nodelay().unwrap());
    }

    #[test]
    fn a_deadline_that_passed_is_timed_out_without_waiting() {
        let (mut socket, mut peer) = pair(Duration::from_secs(30));
        peer.write_all(b"late").unwrap();
        let bounds = until(Instant::now());
        assert_eq!(socket.within(&bounds).read(&mut [0; 4]).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(socket.begin(1, Instant::now(), &bounds).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_wait_longer_than_the_plain_one_goes_on() {
        // The plain wait is 50 ms and nothing comes: only the deadline may end the read.
        let (mut socket, _peer) = pair(Duration::ZERO);
        let start = Instant::now();
        let bounds = until(start + Duration::from_millis(200));
        assert_eq!(socket.within(&bounds).read(&mut [0; 4]).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() >= Duration::from_millis(200));
    }

    #[test]
    fn cancelling_ends_a_wait_for_data_and_for_room() {
        for full in [false, true] {
            let (mut socket, _peer) = pair(Duration::from_secs(86_400));
            let cancel = CancelToken::new();
            thread_scope(&cancel, || {
                let bounds = Bounds { cancel: Some(&cancel), ..Bounds::default() };
                let mut socket = socket.within(&bounds);
                let ended =
                    if full { socket.write_all(&vec![0; 64 << 20]) } else { socket.read(&mut [0; 4]).map(drop) };
                assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
            });
        }
    }

    /// Runs `wait` on this thread while another cancels.
    fn thread_scope(cancel: &CancelToken, wait: impl FnOnce()) {
        std::thread::scope(|scope| {
            scope.spawn(|| cancel.cancel());
            wait();
        });
    }

    #[test]
    fn data_is_read_with_a_near_deadline_with_none_and_with_a_token() {
        let (mut socket, mut peer) = pair(Duration::from_secs(30));
        let cancel = CancelToken::new();
        let mut buffer = [0; 2];
        for (deadline, cancel) in
            [(Some(Instant::now() + Duration::from_secs(5)), None), (None, None), (None, Some(&cancel))]
        {
            peer.write_all(b"ok").unwrap();
            let bounds = Bounds { deadline, cancel, ..Bounds::default() };
            socket.within(&bounds).read_exact(&mut buffer).unwrap();
            assert_eq!(&buffer, b"ok");
        }
    }

    #[test]
    fn a_full_socket_is_waited_for_until_the_deadline_or_until_nothing_moves() {
        let short = Duration::from_millis(50);
        for bounds in [until(Instant::now() + short), Bounds { patience: short, ..Bounds::default() }] {
            let (mut socket, _peer) = pair(Duration::from_secs(30));
            socket.begin(64 << 20, Instant::now(), &bounds).unwrap();
            let error = socket.within(&bounds).write_all(&vec![0; 64 << 20]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn patience_runs_out_only_if_the_peer_takes_nothing() {
        let (mut socket, mut peer) = pair(Duration::from_secs(30));
        let bounds = Bounds { patience: Duration::from_secs(60), ..Bounds::default() };
        let data = vec![0; 1 << 20];
        socket.begin(64 << 20, Instant::now(), &bounds).unwrap();
        let Link::System(stream, _) = &socket.link else { unreachable!() };
        let mut sent = 0;
        while let Ok(amount) = send(stream.as_fd(), &[IoSlice::new(&data)]) {
            sent += amount;
        }
        let long_ago = Instant::now() - Duration::from_secs(61);
        let mut gives_up = |stream: &TcpStream| {
            socket.progress.at = long_ago;
            socket.progress.left(&bounds, Some(stream)).is_err()
        };
        assert!(!gives_up(stream), "some of it has gone since the request began");
        assert!(gives_up(stream), "nothing has moved since the last look");
        let before = unacknowledged(stream.as_fd());
        peer.read_exact(&mut vec![0; sent / 2]).unwrap();
        while unacknowledged(stream.as_fd()) >= before {
            std::thread::yield_now();
        }
        assert!(!gives_up(stream), "the peer has taken some");
    }

    #[test]
    fn a_small_request_has_one_patience() {
        let (mut socket, _peer) = pair(Duration::from_secs(30));
        let bounds = Bounds { patience: Duration::from_secs(1), ..Bounds::default() };
        socket.begin(SMALL, Instant::now(), &bounds).unwrap();
        let Link::System(stream, _) = &socket.link else { unreachable!() };
        socket.progress.at = Instant::now() - Duration::from_secs(2);
        assert_eq!(socket.progress.left(&bounds, Some(stream)).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
