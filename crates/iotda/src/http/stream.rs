//! An open connection: sends a request, reads the answer.
//!
//! A request leaves as few TLS records as it can, a small one as one record and one `send`. A large one is
//! encrypted record by record, so that it is in memory once.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConnection;
use zeroize::{Zeroize, Zeroizing};

use crate::cancel::Interrupt;
use crate::error::ErrorKind;
use crate::http::body::Framing;
use crate::http::context::Context;
use crate::http::failure::{Failure, io_failure};
use crate::http::request::HEAD_PIECES;
use crate::http::response::{self, Head};
use crate::http::socket::Socket;
use crate::http::tls;

/// The plaintext that fits into one TLS record (RFC 5246 section 6.2.1).
const RECORD: usize = 16_384;

/// Heads longer than this are no answer of the platform's. Also how much is received at a time.
const HEAD_MAX: usize = 8 * 1024;

/// Answers are small (a token, an error text); more than this is not read.
const BODY_MAX: usize = 64 * 1024;

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// As much of it as came, at most [`BODY_MAX`] bytes. It may hold a token.
    pub(crate) body: Zeroizing<Vec<u8>>,
    /// From the `Retry-After` header, where it is a number of seconds.
    pub(crate) retry_after: Option<Duration>,
    /// From the `Date` header, in Unix milliseconds.
    pub(crate) server_time_ms: Option<i64>,
    /// Why the body did not come whole. It matters where the body does: the status has come.
    pub(crate) broken: Option<Failure>,
}

/// An open connection with its buffer.
#[derive(Debug)]
pub(crate) struct Stream {
    /// `None` where the program's own transport does it.
    tls: Option<ClientConnection>,
    socket: Socket,
    /// `host:port`, for messages.
    peer: Arc<str>,
    input: Input,
    /// Answers that this connection has brought before the present request.
    answered: u64,
    /// Something of the present answer has come.
    heard: bool,
    /// The server took no more of the request; what it said before it closed is still to be read.
    write_error: Option<io::Error>,
}

impl Stream {
    /// Takes over a connection whose handshake is done.
    pub(crate) fn new(tls: Option<ClientConnection>, socket: Socket, peer: Arc<str>) -> Self {
        Stream { tls, socket, peer, input: Input::default(), answered: 0, heard: false, write_error: None }
    }

    /// Sends a request and reads the answer, and tells whether the connection can be kept for another.
    pub(crate) fn exchange(
        &mut self,
        head: &[&[u8]; HEAD_PIECES],
        body: &[u8],
        context: &Context,
    ) -> Result<(Answer, bool), Failure> {
        let _attached = match (&context.cancel, self.socket.interruptible()) {
            (Some(cancel), Some(socket)) => Some(cancel.attach(socket as Arc<dyn Interrupt>)),
            _ => None,
        };
        context.check().map_err(|error| io_failure(&error, &self.peer))?;
        self.heard = false;
        self.send_until_refused(head, body, context)?;
        let head = self.read_head(context)?;
        let mut answer = Answer {
            status: head.status,
            body: Zeroizing::default(),
            retry_after: head.retry_after,
            server_time_ms: head.server_time_ms,
            broken: None,
        };
        // The status counts once it has come: a body that breaks off leaves less to explain, no more.
        let is_whole = match self.read_body(&head, &mut answer.body, context) {
            Ok(is_whole) => is_whole,
            Err(failure) => {
                answer.broken = Some(failure);
                false
            }
        };
        self.answered += 1;
        Ok((answer, is_whole && head.persistent && self.input.is_empty() && self.write_error.is_none()))
    }

    /// As [`send`](Self::send); but a server that answers early and closes must still be heard, so a
    /// connection that takes no more is no error until it has nothing to say either.
    fn send_until_refused(&mut self, head: &[&[u8]], body: &[u8], context: &Context) -> Result<(), Failure> {
        match self.send(head, body, context) {
            Ok(()) => Ok(()),
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                self.write_error = Some(error);
                Ok(())
            }
            Err(error) => Err(io_failure(&error, &self.peer)),
        }
    }

    /// Encrypts and sends a request.
    fn send(&mut self, head: &[&[u8]], body: &[u8], context: &Context) -> io::Result<()> {
        let head_length: usize = head.iter().map(|piece| piece.len()).sum();
        let (beginning, rest) = body.split_at(body.len().min(RECORD.saturating_sub(head_length)));
        let mut first = [IoSlice::new(&[]); HEAD_PIECES + 1];
        for (place, piece) in first.iter_mut().zip(head.iter().chain([&beginning])) {
            *place = IoSlice::new(piece);
        }
        self.send_pieces(&first, context)?;
        for record in rest.chunks(RECORD) {
            self.send_pieces(&[IoSlice::new(record)], context)?;
        }
        Ok(())
    }

    fn send_pieces(&mut self, pieces: &[IoSlice<'_>], context: &Context) -> io::Result<()> {
        let mut socket = self.socket.within(context);
        let Some(tls) = &mut self.tls else {
            let mut joined = Zeroizing::new(Vec::with_capacity(RECORD));
            pieces.iter().for_each(|piece| joined.extend_from_slice(piece));
            return socket.write_all(&joined);
        };
        // It takes all there is: its buffer has no limit.
        let _ = tls.writer().write_vectored(pieces)?;
        while tls.wants_write() {
            tls.write_tls(&mut socket)?;
        }
        Ok(())
    }

    /// Reads the head of the answer; answers before the answer are passed over.
    fn read_head(&mut self, context: &Context) -> Result<Head, Failure> {
        loop {
            if !self.input.is_empty() {
                let parsed = response::parse(self.input.bytes()).map_err(|why| {
                    Failure::new(ErrorKind::Protocol, format!("{} did not answer in HTTP: {why}", self.peer))
                })?;
                match parsed {
                    Some((length, head)) => {
                        self.input.consume(length);
                        if head.is_interim() {
                            continue;
                        }
                        return Ok(head);
                    }
                    None if self.input.is_full() => {
                        return Err(Failure::new(
                            ErrorKind::Protocol,
                            format!("{} answered with a header of more than {HEAD_MAX} bytes", self.peer),
                        ));
                    }
                    None => {}
                }
            }
            if self.receive(context)? > 0 {
                self.heard = true;
            } else if self.heard {
                return Err(io_failure(&io::ErrorKind::UnexpectedEof.into(), &self.peer));
            } else {
                return Err(self.ended_without_answer());
            }
        }
    }

    fn ended_without_answer(&mut self) -> Failure {
        let message = match self.write_error.take() {
            Some(error) => format!("{} closed the connection while the request was sent: {error}", self.peer),
            None => format!("{} closed the connection without an answer", self.peer),
        };
        Failure { kind: ErrorKind::Connect, message, stale: self.is_stale() }
    }

    /// Reads the body, and tells whether its end has come.
    fn read_body(&mut self, head: &Head, body: &mut Vec<u8>, context: &Context) -> Result<bool, Failure> {
        let mut framing = head.framing;
        while !framing.is_done() {
            let used = framing.take(self.input.bytes(), body).map_err(|_| {
                Failure::new(ErrorKind::Protocol, format!("the body of the answer of {} is damaged", self.peer))
            })?;
            self.input.consume(used);
            if body.len() > BODY_MAX {
                body.truncate(BODY_MAX);
                return Ok(false);
            }
            if framing.is_done() {
                break;
            }
            // A line that does not fit is none.
            if self.input.is_full() {
                return Ok(false);
            }
            if self.receive(context)? == 0 {
                return match framing {
                    Framing::UntilClose => Ok(false),
                    _ => Err(io_failure(&io::ErrorKind::UnexpectedEof.into(), &self.peer)),
                };
            }
        }
        Ok(true)
    }

    /// Receives some plaintext behind what is there; 0 at the end of the stream.
    fn receive(&mut self, context: &Context) -> Result<usize, Failure> {
        let mut socket = self.socket.within(context);
        let result = match &mut self.tls {
            None => self.input.fill(&mut socket),
            Some(tls) => loop {
                match self.input.fill(&mut tls.reader()) {
                    // Nothing is there yet.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // The peer closed the socket without closing TLS.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break Ok(0),
                    other => break other,
                }
                match tls.read_tls(&mut socket) {
                    Ok(0) => break Ok(0),
                    Ok(_) => {}
                    Err(error) => break Err(error),
                }
                if let Err(error) = tls.process_new_packets() {
                    // An alert may tell the server why; it does not matter whether it arrives.
                    let _ = tls.write_tls(&mut socket);
                    return Err(tls::explain(&error, &self.peer));
                }
            },
        };
        result.map_err(|error| {
            let mut failure = io_failure(&error, &self.peer);
            failure.stale = failure.kind == ErrorKind::Connect && self.is_stale();
            failure
        })
    }

    /// The connection served before, and has brought nothing of the present answer.
    fn is_stale(&self) -> bool {
        !self.heard && self.answered > 0
    }

    /// Whether a kept connection still stands, as far as one look at the socket can tell.
    pub(crate) fn still_stands(&mut self) -> bool {
        let Some(tls) = &mut self.tls else {
            let seen = self.socket.read_now(&mut [0]);
            return seen.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        };
        match tls.read_tls(&mut Now(&mut self.socket)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
            Err(_) | Ok(0) => false,
            // Something came without a request: a closing alert, or data that belongs to no answer.
            Ok(_) => tls
                .process_new_packets()
                .is_ok_and(|state| !state.peer_has_closed() && state.plaintext_bytes_to_read() == 0),
        }
    }
}

/// Reads from the socket what is there, without waiting.
struct Now<'a>(&'a mut Socket);

impl Read for Now<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_now(buffer)
    }
}

/// What has been received and not been used.
#[derive(Debug)]
struct Input {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Default for Input {
    fn default() -> Self {
        Input { buffer: vec![0; HEAD_MAX].into(), start: 0, end: 0 }
    }
}

impl Input {
    fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn is_full(&self) -> bool {
        self.end - self.start == self.buffer.len()
    }

    fn consume(&mut self, amount: usize) {
        self.start += amount;
    }

    /// Reads behind what is there; there must be room.
    fn fill(&mut self, source: &mut impl Read) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let amount = source.read(&mut self.buffer[self.end..])?;
        self.end += amount;
        Ok(amount)
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // Answers may bring an access token.
        self.buffer.zeroize();
    }
}
