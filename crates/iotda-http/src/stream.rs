//! An open connection: sends a request, reads the answer.
//!
//! A request leaves as few TLS records as it can, a small one as one record and one `send`. A large one is
//! encrypted record by record, so that it is in memory once.

use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConnection;
use zeroize::{Zeroize, Zeroizing};

use crate::body::Framing;
use crate::bounds::Bounds;
use crate::clock::Clock;
use crate::date::Dates;
use crate::error::{Arrived, Error, Kind, Result, io_error};
use crate::exchange::Answer;
use crate::explain::explain_open;
use crate::records::Records;
use crate::request::HEAD_PIECES;
use crate::response::{self, BODY_MAX, Head, ORDINARY_MAX};
use crate::socket::{Bounded, Socket};

/// The plaintext that fits into one TLS record (RFC 5246 section 6.2.1).
const RECORD: usize = 16_384;

/// Heads longer than this are no answer of the platform's. The room grows to it only where a head needs it.
const HEAD_MAX: usize = 64 * 1024;

/// An open connection with its buffer.
pub(crate) struct Stream {
    /// `None` where a custom transport does it.
    tls: Option<Box<ClientConnection>>,
    socket: Socket,
    /// `host[:port]`, for messages.
    peer: Arc<str>,
    /// Whom it is connected to; `None`: only the custom transport knows.
    address: Option<SocketAddr>,
    opened: Instant,
    input: Input,
    records: Records,
    dates: Dates,
    /// Plaintext that TLS holds and has not handed out.
    decrypted: usize,
    /// Answers that this connection has brought before the present request.
    answered: u64,
    /// What is known about the present request.
    request: Request,
}

/// One request on its way.
#[derive(Default)]
struct Request {
    sent: bool,
    arrived: Arrived,
    /// Something of its answer has come.
    heard: bool,
    /// The server took no more of it; what it said before it closed is still to be read.
    write_error: Option<io::Error>,
}

impl Stream {
    /// Takes over a connection whose handshake is done.
    pub(crate) fn new(
        tls: Option<(Box<ClientConnection>, Records)>,
        socket: Socket,
        peer: Arc<str>,
        address: Option<SocketAddr>,
        opened: Instant,
    ) -> Self {
        let (tls, records) = tls.map_or((None, Records::default()), |(tls, records)| (Some(tls), records));
        Stream {
            tls,
            socket,
            peer,
            address,
            opened,
            input: Input::default(),
            records,
            dates: Dates::default(),
            decrypted: 0,
            answered: 0,
            request: Request::default(),
        }
    }

    /// Whom it is connected to, if that is known.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    pub(crate) fn opened(&self) -> Instant {
        self.opened
    }

    /// When something last moved on it, or a little earlier.
    pub(crate) fn last_moved(&self) -> Instant {
        self.socket.last_moved()
    }

    /// Whether the present answer is the first on this connection.
    pub(crate) fn is_first_answer(&self) -> bool {
        self.answered == 1
    }

    /// Whether it brought an answer before the present request.
    pub(crate) fn was_kept(&self) -> bool {
        self.answered > 0
    }

    /// Whether something of the present answer has come.
    pub(crate) fn was_heard(&self) -> bool {
        self.request.heard
    }

    /// Sends a request and reads the answer, and says whether the connection can be kept for another.
    pub(crate) fn exchange(
        &mut self,
        head: &[&[u8]; HEAD_PIECES],
        body: &[u8],
        now: Instant,
        clock: &dyn Clock,
        bounds: &Bounds<'_>,
    ) -> Result<(Answer, bool)> {
        self.request = Request::default();
        self.exchange_once(head, body, now, clock, bounds).map_err(|error| Error {
            sent: self.request.sent,
            arrived: self.request.arrived,
            ..error
        })
    }

    fn exchange_once(
        &mut self,
        head: &[&[u8]; HEAD_PIECES],
        body: &[u8],
        now: Instant,
        clock: &dyn Clock,
        bounds: &Bounds<'_>,
    ) -> Result<(Answer, bool)> {
        self.socket.begin(body.len(), now, bounds).map_err(|error| io_error(&error, &self.peer))?;
        self.send_until_refused(head, body, bounds)?;
        let head = self.read_head(bounds)?;
        let mut answer = Answer {
            status: head.status,
            body: Zeroizing::default(),
            retry_after: head.retry_after(clock),
            server_time_ms: head.server_time_ms,
            broken: None,
        };
        // The status counts once it has come: a body that breaks off leaves less to explain, no more.
        let is_whole = match self.read_body(&head, &mut answer.body, bounds) {
            Ok(is_whole) => is_whole,
            Err(error) => {
                answer.broken = Some(Box::new(Error { sent: true, arrived: Arrived::Perhaps, ..error }));
                false
            }
        };
        self.answered += 1;
        let keep = is_whole && head.persistent && self.is_clean() && self.request.write_error.is_none();
        Ok((answer, keep))
    }

    /// Whether nothing is left behind the answer: whatever it is, it must not be read as the next one.
    fn is_clean(&self) -> bool {
        self.input.is_empty() && self.decrypted == 0 && self.records.at_boundary()
    }

    /// As [`send`](Self::send); but a server that answers early and closes must still be heard, so a
    /// connection that takes no more is no error until it has nothing to say either.
    fn send_until_refused(&mut self, head: &[&[u8]], body: &[u8], bounds: &Bounds<'_>) -> Result<()> {
        match self.send(head, body, bounds) {
            Ok(()) => {
                // Without its end nobody acts on a request; with it somebody may.
                self.request.arrived = Arrived::Perhaps;
                Ok(())
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                self.request.write_error = Some(error);
                Ok(())
            }
            Err(error) => Err(io_error(&error, &self.peer)),
        }
    }

    /// Encrypts and sends a request.
    fn send(&mut self, head: &[&[u8]], body: &[u8], bounds: &Bounds<'_>) -> io::Result<()> {
        let head_length: usize = head.iter().map(|piece| piece.len()).sum();
        let (beginning, rest) = body.split_at(body.len().min(RECORD.saturating_sub(head_length)));
        let mut first = [IoSlice::new(&[]); HEAD_PIECES + 1];
        for (place, piece) in first.iter_mut().zip(head.iter().chain([&beginning])) {
            *place = IoSlice::new(piece);
        }
        self.send_pieces(&first, bounds)?;
        for record in rest.chunks(RECORD) {
            self.send_pieces(&[IoSlice::new(record)], bounds)?;
        }
        Ok(())
    }

    fn send_pieces(&mut self, pieces: &[IoSlice<'_>], bounds: &Bounds<'_>) -> io::Result<()> {
        let mut socket = Sending(self.socket.within(bounds), &mut self.request.sent);
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
    fn read_head(&mut self, bounds: &Bounds<'_>) -> Result<Head> {
        loop {
            if !self.input.is_empty() {
                let parsed = response::parse(self.input.bytes(), &mut self.dates).map_err(|why| {
                    Error::new(Kind::Protocol, format!("{} did not answer in HTTP: {why}", self.peer))
                })?;
                match parsed {
                    Some((length, head)) => {
                        self.input.consume(length);
                        if head.is_interim() {
                            continue;
                        }
                        return Ok(head);
                    }
                    None if self.input.is_full() && !self.input.grow() => {
                        return Err(Error::new(
                            Kind::Protocol,
                            format!("{} answered with a header of more than {HEAD_MAX} bytes", self.peer),
                        ));
                    }
                    None => {}
                }
            }
            if self.receive(bounds)? > 0 {
                self.request.heard = true;
            } else if self.request.heard {
                return Err(io_error(&io::ErrorKind::UnexpectedEof.into(), &self.peer));
            } else {
                return Err(self.ended_without_answer());
            }
        }
    }

    fn ended_without_answer(&mut self) -> Error {
        let message = match self.request.write_error.take() {
            Some(error) => format!("{} closed the connection while the request was sent: {error}", self.peer),
            None => format!("{} closed the connection without an answer", self.peer),
        };
        Error::new(Kind::Connect, message)
    }

    /// Reads the body, and says whether its end has come, as the grammar has it.
    fn read_body(&mut self, head: &Head, body: &mut Vec<u8>, bounds: &Bounds<'_>) -> Result<bool> {
        let mut framing = head.framing;
        while !framing.is_done() {
            let used = framing.take(self.input.bytes(), body).map_err(|_| {
                Error::new(Kind::Protocol, format!("the body of the answer of {} is damaged", self.peer))
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
            if self.receive(bounds)? == 0 {
                return match framing {
                    Framing::UntilClose => Ok(false),
                    _ => Err(io_error(&io::ErrorKind::UnexpectedEof.into(), &self.peer)),
                };
            }
        }
        Ok(framing.is_strict())
    }

    /// Receives some plaintext behind what is there; 0 at the end of the stream.
    fn receive(&mut self, bounds: &Bounds<'_>) -> Result<usize> {
        let mut socket = self.socket.within(bounds);
        let result = match &mut self.tls {
            None => self.input.fill(&mut socket),
            Some(tls) => loop {
                match self.input.fill(&mut tls.reader()) {
                    // Nothing is there yet.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // The peer closed the socket without closing TLS.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break Ok(0),
                    Ok(amount) => {
                        self.decrypted = self.decrypted.saturating_sub(amount);
                        break Ok(amount);
                    }
                    Err(error) => break Err(error),
                }
                match tls.read_tls(&mut self.records.watching(&mut socket)) {
                    Ok(0) => break Ok(0),
                    Ok(_) => {}
                    Err(error) => break Err(error),
                }
                match tls.process_new_packets() {
                    Ok(state) => self.decrypted = state.plaintext_bytes_to_read(),
                    Err(error) => {
                        // By an alert the server may learn why; it does not matter whether it arrives.
                        let _ = tls.write_tls(&mut socket);
                        return Err(explain_open(&error, &self.peer));
                    }
                }
            },
        };
        result.map_err(|error| io_error(&error, &self.peer))
    }

    /// Whether a kept connection still stands, as far as one look at the socket can tell.
    pub(crate) fn still_stands(&mut self) -> bool {
        let Some(tls) = &mut self.tls else {
            let seen = self.socket.read_now(&mut [0]);
            return seen.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        };
        match tls.read_tls(&mut self.records.watching(&mut Now(&mut self.socket))) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
            Err(_) | Ok(0) => false,
            // Something came without a request: a closing alert, data that belongs to no answer or the beginning of it;
            // or a ticket of TLS 1.3, which is welcome.
            Ok(_) => {
                self.records.at_boundary()
                    && tls
                        .process_new_packets()
                        .is_ok_and(|state| !state.peer_has_closed() && state.plaintext_bytes_to_read() == 0)
            }
        }
    }
}

/// Notes that something of the request has been handed to the socket.
struct Sending<'a>(Bounded<'a>, &'a mut bool);

impl Write for Sending<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buffer)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let amount = self.0.write_vectored(parts)?;
        *self.1 = true;
        Ok(amount)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
struct Input {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// The most that was ever there; nothing was written behind it.
    most: usize,
}

impl Default for Input {
    fn default() -> Self {
        Input { buffer: vec![0; ORDINARY_MAX].into(), start: 0, end: 0, most: 0 }
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

    /// Makes more room; `false` if there is as much as is allowed.
    #[cold]
    fn grow(&mut self) -> bool {
        let length = (self.buffer.len() * 2).min(HEAD_MAX);
        if length == self.buffer.len() {
            return false;
        }
        let mut larger = vec![0; length].into_boxed_slice();
        larger[..self.buffer.len()].copy_from_slice(&self.buffer);
        let most = self.most;
        std::mem::replace(&mut self.buffer, larger)[..most].zeroize();
        true
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
        self.most = self.most.max(self.end);
        Ok(amount)
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // Answers may bring an access token.
        self.buffer[..self.most].zeroize();
    }
}
