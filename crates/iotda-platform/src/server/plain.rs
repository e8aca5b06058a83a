//! The bytes above TLS: it counts those of a request as they come in, so that a connection can be cut in the midst of
//! it, and gives back what HTTP has read too much of.

use super::crowd::Activity;
use super::scan::Scan;
use super::wire::{Idle, Pause, Wire};
use crate::fault::{Close, Kind, Stall};
use crate::state::State;
use bytes::{Buf, Bytes};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;

/// How long what is read at once lasts where reading is slow.
const TICK_MS: u64 = 20;

pub(super) struct Plain {
    tls: TlsStream<Wire>,
    /// What was read from TLS and is still to be given on.
    unread: Bytes,
    progress: Progress,
    state: Arc<State>,
    activity: Arc<Activity>,
    /// When the next bytes of a request may be taken that is read slowly.
    next_read: Option<Pin<Box<Sleep>>>,
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
    /// Bytes a second.
    rate: Option<u64>,
    scan: Scan,
    objection: Option<&'static str>,
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

    /// What is wrong with the head of the request, although it could be read.
    pub(super) fn objection(&self) -> Option<&'static str> {
        self.counts().objection
    }

    /// What follows of the request is to be read at this rate.
    pub(super) fn read_slowly(&self, bytes_per_s: u64) {
        self.counts().rate = Some(bytes_per_s);
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
    pub(super) fn new(tls: TlsStream<Wire>, progress: Progress, state: Arc<State>, activity: Arc<Activity>) -> Self {
        Self { tls, unread: Bytes::new(), progress, state, activity, next_read: None }
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

    /// Waits until the client sends something or has gone; no longer than this.
    pub(super) async fn wait_idle(&mut self, at_most: Duration) -> Idle {
        // Where TLS wants no bytes, it has some of the client's already, or its end.
        match at_most.is_zero() || self.unread.is_empty() && self.tls.get_ref().1.wants_read() {
            true => self.tls.get_mut().0.wait_idle(at_most).await,
            false => Idle::Disturbed,
        }
    }

    /// The next TLS record that is sent cannot be deciphered.
    pub(super) fn damage_next(&mut self) {
        self.tls.get_mut().0.damage_next();
    }

    pub(super) async fn end(mut self, close: Close) {
        if close.notifies() {
            self.tls.get_mut().1.send_close_notify();
            // A client that has gone gets nothing.
            let _ = self.tls.flush().await;
        }
        self.tls.into_inner().0.end(close).await;
    }

    fn poll_more(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.tls).poll_read(context, buffer);
        }
        let length = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread[..length]);
        self.unread.advance(length);
        Poll::Ready(Ok(()))
    }

    /// Counts bytes that have come. An error if the connection is to be cut now.
    fn count(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.activity.received();
        let begins = !self.progress.counts().has_begun;
        let fault = if begins { self.state.faults().meet_first_byte() } else { None };
        let mut counts = self.progress.counts();
        counts.has_begun = true;
        counts.received += bytes.len() as u64;
        if let Some(objection) = counts.scan.push(bytes) {
            counts.objection = Some(objection);
        }
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
        if let Some(next) = &mut self.next_read {
            ready!(next.as_mut().poll(context));
            self.next_read = None;
        }
        let rate = self.progress.counts().rate;
        let before = buffer.filled().len();
        if let Some(rate) = rate {
            let share = usize::try_from(rate.saturating_mul(TICK_MS) / 1000).unwrap_or(usize::MAX).max(1);
            let mut part = vec![0; share.min(buffer.remaining())];
            let mut part = ReadBuf::new(&mut part);
            ready!(self.poll_more(context, &mut part))?;
            buffer.put_slice(part.filled());
        } else {
            ready!(self.poll_more(context, buffer))?;
        }
        let read = (buffer.filled().len() - before) as u64;
        if let Some(rate) = rate {
            self.next_read = Some(Box::pin(sleep(Duration::from_micros(read.saturating_mul(1_000_000) / rate))));
        }
        Poll::Ready(if read == 0 { Ok(()) } else { self.count(&buffer.filled()[before..]) })
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
