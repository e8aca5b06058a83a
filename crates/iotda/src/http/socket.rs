//! A TCP socket that keeps a deadline, with as few system calls as that takes.
//!
//! A receive timeout is set once, when the connection is made; within it a plain `recv` waits. Only a
//! wait that is longer, or a deadline that is nearer, needs a `poll` before the `recv`. So an answer
//! that comes in time costs one system call, and no socket option is ever changed.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use iotda_sys::socket::{Interest, Wait, poll, receive, send};

/// The longest wait of a `recv` without a `poll` before it.
const PLAIN_WAIT: Duration = Duration::from_secs(10);

/// A connected socket; reads and writes end with [`io::ErrorKind::TimedOut`] at the deadline.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    plain_wait: Duration,
    deadline: Option<Instant>,
}

impl Socket {
    /// Takes over a connected stream. `usual_timeout` is how long a whole call usually may take.
    pub(crate) fn new(stream: TcpStream, usual_timeout: Duration) -> io::Result<Self> {
        // Half of the usual time: a call that starts with all of it can always wait this long.
        let plain_wait = (usual_timeout / 2).clamp(Duration::from_millis(50), PLAIN_WAIT);
        // A report is one small write: it must not wait for the acknowledgement of an earlier one.
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(plain_wait))?;
        Ok(Socket { stream, plain_wait, deadline: None })
    }

    /// From now on; `None` is no deadline.
    pub(crate) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Receives what is there, without waiting.
    pub(crate) fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        receive(self.stream.as_fd(), buffer, Wait::No)
    }

    /// The time left, `None` if there is no end; an error if it is over.
    fn remaining(&self) -> io::Result<Option<Duration>> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        match deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            remaining => Ok(Some(remaining)),
        }
    }

    fn wait(&self, interest: Interest) -> io::Result<()> {
        loop {
            match poll(self.stream.as_fd(), interest, self.remaining()?) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut wait = match self.remaining()? {
            Some(remaining) if remaining < self.plain_wait => Wait::No,
            _ => Wait::Yes,
        };
        loop {
            if wait == Wait::No {
                self.wait(Interest::Readable)?;
            }
            match receive(self.stream.as_fd(), buffer, wait) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait = Wait::No,
                // A signal handler of the program ran; what is left of the time is asked for anew.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => wait = Wait::No,
                other => return other,
            }
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buffer)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            self.remaining()?;
            match send(self.stream.as_fd(), parts) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(Interest::Writable)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn pair(usual_timeout: Duration) -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Socket::new(ours, usual_timeout).unwrap(), listener.accept().unwrap().0)
    }

    #[test]
    fn a_deadline_that_passed_is_timed_out_without_waiting() {
        let (mut socket, mut peer) = pair(Duration::from_secs(30));
        peer.write_all(b"late").unwrap();
        socket.set_deadline(Some(Instant::now()));
        assert_eq!(socket.read(&mut [0; 4]).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(socket.write(b"x").unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_wait_longer_than_the_plain_one_goes_on() {
        // The plain wait is 50 ms and nothing comes: only the deadline may end the read.
        let (mut socket, _peer) = pair(Duration::ZERO);
        let start = Instant::now();
        socket.set_deadline(Some(start + Duration::from_millis(200)));
        assert_eq!(socket.read(&mut [0; 4]).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() >= Duration::from_millis(200));
    }

    #[test]
    fn data_is_read_with_a_near_deadline_and_with_none() {
        let (mut socket, mut peer) = pair(Duration::from_secs(30));
        let mut buffer = [0; 2];
        for deadline in [Some(Instant::now() + Duration::from_secs(5)), None] {
            peer.write_all(b"ok").unwrap();
            socket.set_deadline(deadline);
            socket.read_exact(&mut buffer).unwrap();
            assert_eq!(&buffer, b"ok");
        }
    }

    #[test]
    fn a_full_socket_is_waited_for_until_the_deadline() {
        let (mut socket, _peer) = pair(Duration::from_secs(30));
        socket.set_deadline(Some(Instant::now() + Duration::from_millis(50)));
        let error = socket.write_all(&vec![0; 64 << 20]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
