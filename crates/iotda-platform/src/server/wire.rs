//! The bytes between TCP and TLS, and the faults that are done to them: cut after a number of bytes, dripped, held back
//! within the handshake. It also says when the client has gone, and ends the connection in every way that TCP knows.
//! What the bytes mean is left to those above.

use super::gate::Gate;
use crate::fault::{Close, Direction, Kind, Stall};
use socket2::SockRef;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// How much is read before a connection is closed: more than any window holds.
const MOST_UNREAD: usize = 16 * 1_048_576;

/// How much of what a client sends is taken in while nothing is done about it, so as to see it go. One that sends more
/// is not seen to go.
const AHEAD_LIMIT: usize = 65_536;

pub(super) struct Wire {
    /// `None` when it has been cut.
    tcp: Option<TcpStream>,
    /// Only the platform's side has ended: what comes is thrown away.
    half: bool,
    /// What was read to see whether the client has gone.
    ahead: VecDeque<u8>,
    cut: Option<Cut>,
    drip: Option<Drip>,
    gate: Option<Held>,
    /// The last byte of the next record is to be changed.
    damages: bool,
}

struct Cut {
    direction: Direction,
    /// Bytes that may still pass.
    left: u64,
    close: Close,
}

struct Drip {
    every: Duration,
    next: Pin<Box<Sleep>>,
}

/// A gate, and the time for which it stays shut once it has held something back.
struct Held {
    gate: Gate,
    stall: Stall,
    until: Option<Pin<Box<Sleep>>>,
    /// Sent instead of what is held back; then the connection ends.
    alert: Option<u8>,
}

/// What ended the wait on an idle connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idle {
    /// The time is over.
    Over,
    /// The client has sent something.
    Disturbed,
    /// The client has gone.
    Gone,
}

/// What ended a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    Over,
    /// The client has gone.
    Gone,
}

impl Wire {
    /// With those of the connection's faults that are done here.
    pub(super) fn new(tcp: TcpStream, faults: &[Kind]) -> Self {
        let mut wire = Self {
            tcp: Some(tcp),
            half: false,
            ahead: VecDeque::new(),
            cut: None,
            drip: None,
            gate: None,
            damages: false,
        };
        for fault in faults {
            match *fault {
                Kind::WireCut { direction, after, close } => wire.cut = Some(Cut { direction, left: after, close }),
                Kind::WireDrip { every_ms } => {
                    let next = Box::pin(tokio::time::sleep(Duration::ZERO));
                    wire.drip = Some(Drip { every: Duration::from_millis(every_ms), next });
                }
                Kind::HandshakeStall { after, for_ms } => {
                    wire.gate = Some(Held { gate: Gate::new(after), stall: for_ms, until: None, alert: None });
                }
                Kind::TlsAlert { alert, after } => {
                    let stall = Stall::For(Duration::ZERO);
                    wire.gate = Some(Held { gate: Gate::new(after), stall, until: None, alert: Some(alert) });
                }
                _ => {}
            }
        }
        wire
    }

    /// Does nothing for a while. What the client sends meanwhile is kept for later.
    pub(super) async fn pause(&mut self, stall: Stall) -> Pause {
        tokio::select! {
            () = sleep(stall) => Pause::Over,
            () = poll_fn(|context| self.poll_over(context)) => Pause::Gone,
        }
    }

    /// Waits until the client sends something, which is kept, or has gone; no longer than this.
    pub(super) async fn wait_idle(&mut self, at_most: Duration) -> Idle {
        let arrival = poll_fn(|context| match self.poll_arrival(context) {
            Poll::Ready(true) => Poll::Ready(Idle::Disturbed),
            Poll::Ready(false) => Poll::Ready(Idle::Gone),
            Poll::Pending => Poll::Pending,
        });
        if at_most.is_zero() {
            // What comes right behind the answer has come too late, however fast the machine is.
            return Idle::Over;
        }
        tokio::select! {
            biased;
            idle = arrival => idle,
            () = tokio::time::sleep(at_most) => Idle::Over,
        }
    }

    /// The next record that is sent cannot be deciphered.
    pub(super) fn damage_next(&mut self) {
        self.damages = true;
    }

    /// Does nothing for a while, and does not read either. A client that has more to send than the windows hold is not
    /// seen to go: its end comes after what it could not send.
    pub(super) async fn pause_unread(&self, stall: Stall) -> Pause {
        let Some(tcp) = &self.tcp else { return Pause::Gone };
        let gone = async {
            // An error says that there is no connection any more.
            while let Ok(ready) = tcp.ready(Interest::READABLE).await {
                if ready.is_read_closed() {
                    break;
                }
                // Nothing is read, but the next call is to wait until more has come.
                let _ = tcp.try_io(Interest::READABLE, || Err::<(), _>(ErrorKind::WouldBlock.into()));
            }
        };
        tokio::select! {
            () = sleep(stall) => Pause::Over,
            () = gone => Pause::Gone,
        }
    }

    /// Ends the connection. What TLS has to say first has been said.
    pub(super) async fn end(mut self, close: Close) {
        if close == Close::Silent {
            self.pause_unread(Stall::ForEver).await;
            return;
        }
        self.cut(close);
        if self.half {
            poll_fn(|context| self.poll_discard(context)).await;
        }
    }

    fn cut(&mut self, close: Close) {
        let Some(tcp) = self.tcp.take() else { return };
        // An error in the following says that there is no connection any more: then there is nothing to end.
        match close {
            Close::Reset => {
                let _ = SockRef::from(&tcp).set_linger(Some(Duration::ZERO));
            }
            Close::Fin | Close::Notified => {
                let socket = SockRef::from(&tcp);
                let _ = socket.shutdown(Shutdown::Write);
                // To close while something is unread would be a reset.
                let mut buffer = [0; 4096];
                let mut read = 0..MOST_UNREAD / buffer.len();
                while read.next().is_some() && (&*socket).read(&mut buffer).is_ok_and(|length| length > 0) {}
            }
            Close::Half | Close::HalfNotified => {
                let _ = SockRef::from(&tcp).shutdown(Shutdown::Write);
                self.half = true;
                self.tcp = Some(tcp);
            }
            Close::Silent => {
                self.half = true;
                self.tcp = Some(tcp);
            }
        }
    }

    /// Ready when the client has gone and nothing more is to be expected of the connection.
    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self.half {
            true => self.poll_discard(context),
            false => self.poll_gone(context).map(|_| ()),
        }
    }

    /// Whether something has come that is still to be read, or nothing will: ready in either case.
    fn poll_arrival(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        if !self.ahead.is_empty() {
            return Poll::Ready(true);
        }
        let Some(tcp) = &mut self.tcp else { return Poll::Ready(false) };
        let mut chunk = [0; 4096];
        let mut buffer = ReadBuf::new(&mut chunk);
        match ready!(Pin::new(tcp).poll_read(context, &mut buffer)) {
            Ok(()) if !buffer.filled().is_empty() => {
                self.ahead.extend(buffer.filled());
                Poll::Ready(true)
            }
            _ => Poll::Ready(false),
        }
    }

    /// Ready when the client has gone, or the connection has.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let Some(tcp) = &mut self.tcp else { return Poll::Ready(ErrorKind::BrokenPipe.into()) };
        let mut chunk = [0; 4096];
        while self.ahead.len() < AHEAD_LIMIT {
            let mut buffer = ReadBuf::new(&mut chunk);
            match ready!(Pin::new(&mut *tcp).poll_read(context, &mut buffer)) {
                Err(error) => return Poll::Ready(error),
                Ok(()) if buffer.filled().is_empty() => return Poll::Ready(ErrorKind::UnexpectedEof.into()),
                Ok(()) => self.ahead.extend(buffer.filled()),
            }
        }
        Poll::Pending
    }

    /// Ready when the client has ended its side; what it sends until then is thrown away.
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            self.ahead.clear();
            if !self.poll_gone(context).is_pending() {
                return Poll::Ready(());
            }
            if self.ahead.len() < AHEAD_LIMIT {
                return Poll::Pending;
            }
        }
    }

    /// Sends what the gate lets through. Ready when nothing is held back.
    fn poll_gate(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(held) = &mut self.gate {
            let queued = held.gate.passed();
            if !queued.is_empty() {
                let queued = queued.to_vec();
                let sent = ready!(self.poll_send(context, &queued))?;
                if let Some(held) = &mut self.gate {
                    held.gate.sent(sent);
                }
                continue;
            }
            if held.gate.is_open() {
                let alerted = held.alert.is_some();
                self.gate = None;
                if alerted {
                    self.cut(Close::Fin);
                }
                continue;
            }
            if !held.gate.holds_back() {
                return Poll::Ready(Ok(()));
            }
            if let Stall::For(duration) = held.stall {
                let until = held.until.get_or_insert_with(|| Box::pin(tokio::time::sleep(duration)));
                if until.as_mut().poll(context).is_ready() {
                    if let Some(alert) = held.alert {
                        held.gate.replace_held(fatal_alert(alert));
                    }
                    held.gate.open();
                    continue;
                }
            }
            return self.poll_gone(context).map(Err);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.half {
            return self.poll_send_cut(context);
        }
        let mut bytes = bytes;
        let length = bytes.len();
        let damaged =
            if self.damages { bytes.split_last().map(|(last, rest)| [rest, &[last ^ 1]].concat()) } else { None };
        if let Some(damaged) = &damaged {
            bytes = damaged;
        }
        if let Some(Cut { direction: Direction::Sent, left, close }) = self.cut {
            if left == 0 {
                self.cut(close);
                return self.poll_send_cut(context);
            }
            bytes = &bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        }
        let Some(tcp) = &mut self.tcp else { return self.poll_send_cut(context) };
        if let Some(drip) = &mut self.drip {
            ready!(drip.next.as_mut().poll(context));
            bytes = &bytes[..bytes.len().min(1)];
        }
        let sent = ready!(Pin::new(tcp).poll_write(context, bytes))?;
        if let Some(drip) = &mut self.drip {
            drip.next.set(tokio::time::sleep(drip.every));
        }
        // Less than all of it is sent if the client does not read; the last byte is then still to come.
        self.damages &= sent < length;
        self.passed(Direction::Sent, sent);
        Poll::Ready(Ok(sent))
    }

    /// What becomes of bytes when the platform's side has ended: they wait, as if the client did not read, until the
    /// client's side has ended too. To take them in would let a body without an end be written for ever.
    fn poll_send_cut(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.half {
            ready!(self.poll_discard(context));
        }
        Poll::Ready(Err(ErrorKind::BrokenPipe.into()))
    }

    /// Counts bytes that have gone in a direction, and cuts the connection after the last one that may.
    fn passed(&mut self, towards: Direction, bytes: usize) {
        match &mut self.cut {
            Some(Cut { direction, left, close }) if *direction == towards => {
                *left -= bytes as u64;
                if *left == 0 {
                    let close = *close;
                    self.cut(close);
                }
            }
            _ => {}
        }
    }

    fn poll_receive(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.half {
            return self.poll_discard(context).map(Ok);
        }
        if !self.ahead.is_empty() {
            let mut ahead = vec![0; buffer.remaining().min(self.ahead.len())];
            self.ahead.read_exact(&mut ahead)?;
            buffer.put_slice(&ahead);
            return Poll::Ready(Ok(()));
        }
        match &mut self.tcp {
            Some(tcp) => Pin::new(tcp).poll_read(context, buffer),
            None => Poll::Ready(Err(ErrorKind::ConnectionAborted.into())),
        }
    }
}

/// A fatal alert of TLS 1.2, before its messages are encrypted.
fn fatal_alert(number: u8) -> Vec<u8> {
    vec![21, 3, 3, 0, 2, 2, number]
}

async fn sleep(stall: Stall) {
    match stall {
        Stall::ForEver => std::future::pending().await,
        Stall::For(duration) => tokio::time::sleep(duration).await,
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_gate(context))?;
        let Some(Cut { direction: Direction::Received, left, close }) = self.cut else {
            return self.poll_receive(context, buffer);
        };
        if left == 0 {
            self.cut(close);
            return self.poll_receive(context, buffer);
        }
        let mut part = vec![0; buffer.remaining().min(usize::try_from(left).unwrap_or(usize::MAX))];
        let mut part = ReadBuf::new(&mut part);
        ready!(self.poll_receive(context, &mut part))?;
        buffer.put_slice(part.filled());
        self.passed(Direction::Received, part.filled().len());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_gate(context))?;
        match &mut self.gate {
            Some(held) => {
                held.gate.push(bytes);
                Poll::Ready(Ok(bytes.len()))
            }
            None => self.poll_send(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_gate(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_gate(context))?;
        match &mut self.tcp {
            Some(tcp) => Pin::new(tcp).poll_shutdown(context),
            None => Poll::Ready(Ok(())),
        }
    }
}
