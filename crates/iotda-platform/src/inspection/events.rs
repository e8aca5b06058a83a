//! What happens, as it happens: server-sent events (the `EventSource` of HTML) for the page and whoever else follows.
//!
//! A stream reads the journal from where it is, as far as the journal still has it: no device ever waits for a slow
//! reader, and nothing is lost to one that is only a little behind. What has made way meanwhile is said by a `gap`.

use super::body::{Body, Sender};
use crate::journal::{Seen, json};
use crate::state::State;
use crate::terminal;
use bytes::Bytes;
use serde_json::json;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How many may follow at a time.
const MOST_STREAMS: usize = 8;
/// How many records are taken at once.
const PAGE: usize = 250;
/// How much of a body is sent along, in bytes.
const MOST_OF_BODY: usize = 65_536;
/// So that whoever follows, and what is between, sees that the stream is alive.
const PING_EVERY: Duration = Duration::from_secs(15);

/// How many follow.
#[derive(Debug, Default)]
pub(super) struct Streams(AtomicUsize);

/// One that follows, counted while it is there.
struct Place(Arc<Streams>);

impl Place {
    fn take(streams: &Arc<Streams>) -> Option<Self> {
        let more = |number: usize| (number < MOST_STREAMS).then_some(number + 1);
        streams.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Self(Arc::clone(streams)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream of what has a larger number than `after`. `None` if there are too many.
pub(super) fn stream(state: &Arc<State>, streams: &Arc<Streams>, after: u64) -> Option<Body> {
    let place = Place::take(streams)?;
    let (sender, body) = Body::channel();
    let state = Arc::clone(state);
    tokio::spawn(async move {
        // An error says that nobody reads on.
        let _ = follow(&state, after, &sender).await;
        drop(place);
    });
    Some(body)
}

async fn follow(state: &State, after: u64, sender: &Sender) -> Result<(), ()> {
    let mut news = state.journal().follow();
    let mut seen = *news.borrow_and_update();
    // A number of another run, or of none.
    let mut from = if after > seen.last_entry { 0 } else { after };
    sender.send(Bytes::from(start(state, seen, after != from))).await?;
    loop {
        from = send_new(state, from, seen, sender).await?;
        loop {
            let changed = tokio::select! {
                changed = tokio::time::timeout(PING_EVERY, news.changed()) => changed,
                () = sender.closed() => return Err(()),
            };
            match changed {
                Ok(Ok(())) => break,
                Ok(Err(_)) => return Err(()),
                Err(_) => sender.send(Bytes::from_static(b": still here\n\n")).await?,
            }
        }
        let now = *news.borrow_and_update();
        if now.clears != seen.clears {
            sender.send(Bytes::from(start(state, now, true))).await?;
        }
        seen = now;
    }
}

/// The first event: which run of the platform this is, and whether what was shown is no longer true.
fn start(state: &State, seen: Seen, reset: bool) -> String {
    let event = if reset { "reset" } else { "start" };
    let data = json!({ "run": state.run, "clears": seen.clears, "last": seen.last_entry });
    format!("event: {event}\ndata: {data}\n\n")
}

/// Sends what has come after a number, and gives the last number that was sent.
async fn send_new(state: &State, mut from: u64, seen: Seen, sender: &Sender) -> Result<u64, ()> {
    while from < seen.last_entry {
        let entries = state.journal().entries().after(from, PAGE);
        let Some(last) = entries.last() else {
            // All of it was forgotten meanwhile.
            return Ok(seen.last_entry);
        };
        let mut text = String::new();
        let first = entries[0].number();
        if first > from + 1 && from > 0 {
            write!(text, "event: gap\ndata: {}\n\n", json!({ "from": from, "to": first })).expect("a text");
        }
        from = last.number();
        for entry in &entries {
            let json = terminal::escape_json(&json::summary(entry, MOST_OF_BODY));
            write!(text, "id: {}\ndata: {json}\n\n", entry.number()).expect("a text");
            if text.len() > MOST_OF_BODY {
                sender.send(Bytes::from(std::mem::take(&mut text))).await?;
            }
        }
        sender.send(Bytes::from(text)).await?;
        tokio::task::yield_now().await;
    }
    Ok(from)
}
