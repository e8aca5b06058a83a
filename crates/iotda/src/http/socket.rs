//! A TCP socket that keeps a deadline, with as few system calls as that takes.
//!
//! A receive timeout is set once, when the connection is made; within it a plain `recv` waits. Only a
//! wait that is longer, or a deadline that is nearer, needs a `poll` before the `recv`. So an answer
//! that comes in time costs one system call, and no socket option is ever changed.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use iotda_sys::socket::{Interest, Wait, poll, receive, send};

use crate::cancel::Interrupt;
use crate::http::context::Context;
use crate::monitor::{Count, Monitor};
use crate::transport::Connection;

/// The longest wait of a `recv` without a `poll` before it.
const PLAIN_WAIT: Duration = Duration::from_secs(10);

/// Between two looks at a cancel token while a program's own transport waits, which nothing else interrupts.
const CANCEL_CHECK: Duration = Duration::from_millis(50);

/// Where a transport of the program's is told to wait without end.
const VERY_LONG: Duration = Duration::from_secs(86_400);

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Socket {
    link: Link,
    monitor: Arc<Monitor>,
}

#[derive(Debug)]
enum Link {
    /// A socket of the system, and how long a plain `recv` waits in it.
    System(Arc<Interruptible>, Duration),
    /// A connection of the program's own transport.
    Program(Box<dyn Connection>),
}

/// A socket whose reads and writes end with [`io::ErrorKind::TimedOut`] at a deadline.
#[derive(Debug)]
pub(crate) struct Bounded<'a> {
    socket: &'a mut Socket,
    bounds: &'a Context,
}

/// The part of a socket that another thread may touch: it can end the connection.
#[derive(Debug)]
pub(crate) struct Interruptible(TcpStream);

impl Interrupt for Interruptible {
    fn interrupt(&self) {
        // Wakes a thread that waits in the socket. It fails only if the connection has already ended.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Socket {
    /// Takes over a connected stream. `usual_timeout` is how long an attempt usually may take.
    pub(crate) fn new(stream: TcpStream, usual_timeout: Duration, monitor: Arc<Monitor>) -> io::Result<Self> {
        // Half of the usual time: an attempt that starts with all of it can always wait this long.
        let plain_wait = (usual_timeout / 2).clamp(Duration::from_millis(50), PLAIN_WAIT);
        // A report is one small write: it must not wait for the acknowledgement of an earlier one.
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(plain_wait))?;
        Ok(Socket { link: Link::System(Arc::new(Interruptible(stream)), plain_wait), monitor })
    }

    /// Takes over a connection of the program's own transport.
    pub(crate) fn of_program(connection: Box<dyn Connection>, monitor: Arc<Monitor>) -> Self {
        Socket { link: Link::Program(connection), monitor }
    }

    /// The socket with what bounds reads and writes.
    pub(crate) fn within<'a>(&'a mut self, bounds: &'a Context) -> Bounded<'a> {
        Bounded { socket: self, bounds }
    }

    /// What a cancelled call interrupts, if it can be interrupted.
    pub(crate) fn interruptible(&self) -> Option<Arc<Interruptible>> {
        match &self.link {
            Link::System(stream, _) => Some(Arc::clone(stream)),
            Link::Program(_) => None,
        }
    }

    /// Receives what is there, without waiting; [`io::ErrorKind::WouldBlock`] if there is nothing.
    pub(crate) fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.link {
            Link::System(stream, _) => receive(stream.0.as_fd(), buffer, Wait::No),
            Link::Program(connection) => {
                connection.receive(buffer, Duration::ZERO).map_err(|error| match error.kind() {
                    io::ErrorKind::TimedOut => io::ErrorKind::WouldBlock.into(),
                    _ => error,
                })
            }
        }
    }
}

fn wait(stream: &Interruptible, interest: Interest, bounds: &Context) -> io::Result<()> {
    loop {
        match poll(stream.0.as_fd(), interest, bounds.remaining()?) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn read_system(stream: &Interruptible, plain_wait: Duration, bounds: &Context, buffer: &mut [u8]) -> io::Result<usize> {
    let mut how = match bounds.remaining()? {
        Some(remaining) if remaining < plain_wait => Wait::No,
        _ => Wait::Yes,
    };
    loop {
        if how == Wait::No {
            wait(stream, Interest::Readable, bounds)?;
        }
        match receive(stream.0.as_fd(), buffer, how) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => how = Wait::No,
            // A signal handler of the program ran; what is left of the time is asked for anew.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => how = Wait::No,
            other => return other,
        }
    }
}

fn write_system(stream: &Interruptible, bounds: &Context, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    loop {
        bounds.remaining()?;
        match send(stream.0.as_fd(), parts) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(stream, Interest::Writable, bounds)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Lets a program's transport wait, in parts if the call can be cancelled.
fn in_parts<T>(bounds: &Context, mut work: impl FnMut(Duration) -> io::Result<T>) -> io::Result<T> {
    loop {
        bounds.check()?;
        let left = bounds.remaining()?.unwrap_or(VERY_LONG);
        let part = if bounds.cancel.is_some() { left.min(CANCEL_CHECK) } else { left };
        match work(part) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
            other => return other,
        }
    }
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let amount = match &mut self.socket.link {
            Link::System(stream, plain_wait) => read_system(stream, *plain_wait, self.bounds, buffer)?,
            Link::Program(connection) => in_parts(self.bounds, |timeout| connection.receive(buffer, timeout))?,
        };
        self.socket.monitor.add(Count::BytesReceived, amount as u64);
        Ok(amount)
    }
}

impl Write for Bounded<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buffer)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let amount = match &mut self.socket.link {
            Link::System(stream, _) => write_system(stream, self.bounds, parts)?,
            Link::Program(connection) => {
                let first = parts.iter().find(|part| !part.is_empty()).map_or(&[][..], |part| part);
                in_parts(self.bounds, |timeout| connection.send(first, timeout))?
            }
        };
        self.socket.monitor.add(Count::BytesSent, amount as u64);
        Ok(amount)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::time::Instant;

    fn pair(usual_timeout: Duration) -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Socket::new(ours, usual_timeout, Arc::default()).unwrap(), listener.accept().unwrap().0)
    }

    fn until(deadline: Instant) -> Context {
        Context { deadline: Some(deadline), cancel: None }
    }

    #[test]
    fn a_deadline_that_passed_is_timed_out_without_waiting() {
        let (mut socket, mut peer) = pair(Duration::from_secs(30));
        peer.write_all(b"late").unwrap();
        let bounds = until(Instant::now());
        assert_eq!(socket.within(&bounds).read(&mut [0; 4]).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(socket.within(&bounds).write(b"x").unwrap_err().kind(), io::ErrorKind::TimedOut);
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
    fn an_interrupt_ends_a_wait_for_data() {
        let (mut socket, _peer) = pair(Duration::from_secs(86_400));
        let other_thread = socket.interruptible().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| socket.within(&Context::default()).read(&mut [0; 4]));
            other_thread.interrupt();
            assert_eq!(waiting.join().unwrap().unwrap(), 0);
        });
    }

    #[test]
    fn data_is_read_with_a_near_deadline_and_with_none() {
        let (mut socket, mut peer) = pair(Duration::from_secs(30));
        let mut buffer = [0; 2];
        for deadline in [Some(Instant::now() + Duration::from_secs(5)), None] {
            peer.write_all(b"ok").unwrap();
            let bounds = Context { deadline, cancel: None };
            socket.within(&bounds).read_exact(&mut buffer).unwrap();
            assert_eq!(&buffer, b"ok");
        }
    }

    #[test]
    fn a_full_socket_is_waited_for_until_the_deadline() {
        let (mut socket, _peer) = pair(Duration::from_secs(30));
        let bounds = until(Instant::now() + Duration::from_millis(50));
        let error = socket.within(&bounds).write_all(&vec![0; 64 << 20]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
