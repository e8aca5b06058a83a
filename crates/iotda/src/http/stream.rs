//! A connection with TLS as `ureq` uses it.
//!
//! `ureq` hands over a request's header and body one after the other. Sent as they come they would be
//! two TLS records and two system calls; here they are gathered in the output buffer, whose length is
//! that of a TLS record, and leave when it is full or when the answer is awaited.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::ClientConnection;
use ureq::unversioned::transport::{Buffers, NextTimeout, Transport};

use crate::cancel::Interrupt;
use crate::error::ErrorKind;
use crate::http::context;
use crate::http::failure::{Failure, io_failure};
use crate::http::socket::Socket;
use crate::http::tls;

/// The plaintext that fits into one TLS record (RFC 5246 section 6.2.1).
const RECORD: usize = 16_384;

/// An open connection with its buffers.
#[derive(Debug)]
pub(crate) struct Stream {
    /// `None` where the program's own transport does it.
    tls: Option<ClientConnection>,
    socket: Socket,
    buffers: RecordBuffers,
    /// `host:port`, for messages.
    peer: String,
    phase: Phase,
    /// Answers that this connection has brought before the present request.
    answered: u64,
    /// The server took no more of the request; what it said before it closed is still to be read.
    write_error: Option<io::Error>,
}

/// Where the connection is between two requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A request is being sent, or nothing of its answer has come.
    Asking,
    /// Something of the answer has come.
    Answering,
    /// The answer was whole, and the connection has been put away.
    Kept,
}

impl Stream {
    /// Takes over a connection whose handshake is done.
    pub(crate) fn new(tls: Option<ClientConnection>, socket: Socket, peer: String) -> Self {
        Stream {
            tls,
            socket,
            buffers: RecordBuffers::new(),
            peer,
            phase: Phase::Asking,
            answered: 0,
            write_error: None,
        }
    }

    /// Encrypts and sends what has been gathered.
    fn send_gathered(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            self.socket.write_all(self.buffers.gathered())?;
            self.buffers.sent();
            return Ok(());
        };
        tls.writer().write_all(self.buffers.gathered())?;
        self.buffers.sent();
        while tls.wants_write() {
            tls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }

    /// As [`send_gathered`](Self::send_gathered); but a server that answers early and closes must still
    /// be heard, so a connection that takes no more is no error until it has nothing to say either.
    fn send_until_refused(&mut self) -> Result<(), Failure> {
        if self.write_error.is_some() {
            self.buffers.sent();
            return Ok(());
        }
        match self.send_gathered() {
            Ok(()) => Ok(()),
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                self.write_error = Some(error);
                self.buffers.sent();
                Ok(())
            }
            Err(error) => Err(io_failure(&error, &self.peer)),
        }
    }

    /// Reads some plaintext into the input buffer; 0 at the end of the stream.
    fn receive(&mut self) -> Result<usize, Failure> {
        let Some(tls) = &mut self.tls else {
            return self.socket.read(self.buffers.input_append_buf()).map_err(|error| self.broken(&error));
        };
        loop {
            match tls.reader().read(self.buffers.input_append_buf()) {
                Ok(amount) => return Ok(amount),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The peer closed the socket without closing TLS.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) => return Err(self.broken(&error)),
            }
            match tls.read_tls(&mut self.socket) {
                Ok(0) => return Ok(0),
                Ok(_) => {}
                Err(error) => return Err(self.broken(&error)),
            }
            if let Err(error) = tls.process_new_packets() {
                // An alert may tell the server why; it does not matter whether it arrives.
                let _ = tls.write_tls(&mut self.socket);
                return Err(tls::explain(&error, &self.peer));
            }
        }
    }

    /// Runs `work` within the bounds of the current call.
    fn bounded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Failure>) -> Result<T, Failure> {
        let context = context::current();
        let _attached = match (&context.cancel, self.socket.interruptible()) {
            (Some(cancel), Some(socket)) => Some(cancel.attach(socket as Arc<dyn Interrupt>)),
            _ => None,
        };
        context.check().map_err(|error| io_failure(&error, &self.peer))?;
        self.socket.set_bounds(context.clone());
        work(self)
    }

    fn broken(&self, error: &io::Error) -> Failure {
        let mut failure = io_failure(error, &self.peer);
        failure.stale = failure.kind == ErrorKind::Connect && self.is_stale();
        failure
    }

    /// The connection served before, and has brought nothing of the present answer.
    fn is_stale(&self) -> bool {
        self.phase == Phase::Asking && self.answered > 0
    }

    /// Whether a kept connection still stands, as far as one look at the socket can tell.
    fn still_stands(&mut self) -> bool {
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

impl Transport for Stream {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.buffers.gather(amount);
        if self.buffers.is_full() {
            self.bounded(Self::send_until_refused)?;
        }
        Ok(())
    }

    fn await_input(&mut self, _timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let amount = self.bounded(|stream| {
            stream.send_until_refused()?;
            stream.receive()
        })?;
        self.buffers.input_appended(amount);
        if amount > 0 {
            self.phase = Phase::Answering;
        } else if self.phase == Phase::Asking {
            let why = match self.write_error.take() {
                Some(error) => format!("{} closed the connection while the request was sent: {error}", self.peer),
                None => format!("{} closed the connection without an answer", self.peer),
            };
            return Err(Failure { kind: ErrorKind::Connect, message: why, stale: self.is_stale() }.into());
        }
        Ok(amount > 0)
    }

    /// `ureq` asks twice: when it puts the connection away, and when it takes it out. Only the second
    /// time can anything have changed that is worth a system call.
    fn is_open(&mut self) -> bool {
        match self.phase {
            Phase::Asking => false,
            Phase::Answering => {
                self.phase = Phase::Kept;
                self.write_error.is_none() && self.buffers.gathered().is_empty()
            }
            Phase::Kept => {
                self.phase = Phase::Asking;
                self.answered += 1;
                self.still_stands()
            }
        }
    }

    fn is_tls(&self) -> bool {
        true
    }
}

/// Reads from the socket what is there, without waiting.
struct Now<'a>(&'a mut Socket);

impl Read for Now<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_now(buffer)
    }
}

/// Buffers of one TLS record each; the output buffer gathers several writes.
#[derive(Debug)]
struct RecordBuffers {
    output: Vec<u8>,
    gathered: usize,
    input: Vec<u8>,
    filled: usize,
    consumed: usize,
    /// The last look at the input used some of it.
    progress: bool,
}

impl RecordBuffers {
    fn new() -> Self {
        RecordBuffers {
            output: vec![0; RECORD],
            gathered: 0,
            input: vec![0; RECORD],
            filled: 0,
            consumed: 0,
            progress: false,
        }
    }

    fn gathered(&self) -> &[u8] {
        &self.output[..self.gathered]
    }

    fn gather(&mut self, amount: usize) {
        self.gathered += amount;
    }

    fn is_full(&self) -> bool {
        self.gathered == self.output.len()
    }

    fn sent(&mut self) {
        self.gathered = 0;
    }
}

impl Buffers for RecordBuffers {
    fn output(&mut self) -> &mut [u8] {
        &mut self.output[self.gathered..]
    }

    fn input(&self) -> &[u8] {
        &self.input[self.consumed..self.filled]
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        if self.consumed > 0 {
            self.input.copy_within(self.consumed..self.filled, 0);
            self.filled -= self.consumed;
            self.consumed = 0;
        }
        &mut self.input[self.filled..]
    }

    fn input_appended(&mut self, amount: usize) {
        self.filled += amount;
    }

    fn input_consume(&mut self, amount: usize) {
        self.progress = amount > 0;
        self.consumed += amount;
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        (&mut self.input[self.filled..], &mut self.output[self.gathered..])
    }

    fn can_use_input(&self) -> bool {
        self.consumed < self.filled && self.progress
    }
}

impl Drop for RecordBuffers {
    fn drop(&mut self) {
        // Requests carry the access token, answers may bring one.
        zeroize::Zeroize::zeroize(&mut self.output);
        zeroize::Zeroize::zeroize(&mut self.input);
    }
}
