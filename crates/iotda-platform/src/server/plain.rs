//! The bytes above TLS: it counts those of a request as they come in, so that a connection can be cut in the midst of
//! it, and gives back what HTTP has read too much of.

use super::wire::{Pause, Wire};
use crate::fault::{Close, Kind, Stall};
use crate::state::State;
use bytes::{Buf, Bytes};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::server::TlsStream;

pub(super) struct Plain {
    tls: TlsStream<Wire>,
    /// What was read from TLS and is still to be given on.
    unread: Bytes,
    progress: Progress,
    state: Arc<State>,
}

/// How far the request has come that is being received. Shared by those who read the bytes and those who know what
/// they are.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    /// What comes next belongs to a request that has begun.
    has_begun: bool,
    received: u64,
    cut: Option<(u64, Close)>,
}

impl Progress {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request has come in whole: what follows is another one.
    pub(super) fn request_is_over(&self) {
        *self.counts() = Counts::default();
    }

    /// The connection is to be cut after so many bytes of the request. Whether they have come already.
    pub(super) fn cut_after(&self, bytes: u64, close: Close) -> bool {
        let mut counts = self.counts();
        counts.cut = Some((bytes, close));
        counts.received >= bytes
    }

    /// How the connection is to be cut, if it is to be.
    pub(super) fn is_cut(&self) -> Option<Close> {
        let counts = self.counts();
        counts.cut.filter(|(after, _)| counts.received >= *after).map(|(_, close)| close)
    }

    /// Whether a cut has been decided on for this request.
    pub(super) fn has_cut(&self) -> bool {
        self.counts().cut.is_some()
    }
}

impl Plain {
    pub(super) fn new(tls: TlsStream<Wire>, progress: Progress, state: Arc<State>) -> Self {
        Self { tls, unread: Bytes::new(), progress, state }
    }

    /// Puts back what was read too much. It is counted again, as a part of the next request.
    pub(super) fn put_back(&mut self, unread: Bytes) {
        self.unread = unread;
    }

    pub(super) async fn pause(&mut self, stall: Stall) -> Pause {
        self.tls.get_mut().0.pause(stall).await
    }

    pub(super) async fn pause_unread(&self, stall: Stall) -> Pause {
        self.tls.get_ref().0.pause_unread(stall).await
    }

    pub(super) async fn end(mut self, close: Close) {
        if close.notifies() {
            self.tls.get_mut().1.send_close_notify();
            // A client that has gone is told nothing.
            let _ = self.tls.flush().await;
        }
        self.tls.into_inner().0.end(close).await;
    }

    /// Counts bytes that have come. An error if the connection is to be cut now.
    fn count(&mut self, bytes: u64) -> io::Result<()> {
        let begins = !self.progress.counts().has_begun;
        let fault = if begins { self.state.faults().meet_first_byte() } else { None };
        let mut counts = self.progress.counts();
        counts.has_begun = true;
        counts.received += bytes;
        if let Some(Kind::RequestCut { after, close }) = fault {
            counts.cut = Some((after, close));
        }
        drop(counts);
        match self.progress.is_cut() {
            Some(_) => Err(io::Error::other("a fault cuts the connection")),
            None => Ok(()),
        }
    }
}

impl AsyncRead for Plain {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.unread.is_empty() {
            ready!(Pin::new(&mut self.tls).poll_read(context, buffer))?;
        } else {
            let length = self.unread.len().min(buffer.remaining());
            buffer.put_slice(&self.unread[..length]);
            self.unread.advance(length);
        }
        let read = (buffer.filled().len() - before) as u64;
        Poll::Ready(if read == 0 { Ok(()) } else { self.count(read) })
    }
}

impl AsyncWrite for Plain {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(context)
    }
}
