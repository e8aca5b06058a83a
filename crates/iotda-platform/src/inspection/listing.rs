//! Lists of records, written as they are read: some records at a time are taken out of the journal, and made into JSON
//! without its lock, so that no device waits for whoever looks, and no list is ever in memory as a whole.

use super::body::{Body, Sender};
use super::query::Query;
use crate::journal::json;
use crate::journal::{Entry, Report, Seen};
use crate::state::State;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How many records are taken at once.
const PAGE: usize = 250;
/// How large a piece of the answer gets before it is sent, in bytes.
const CHUNK: usize = 32_768;

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Requests,
    /// Requests and incidents.
    Log,
    Reports,
}

enum Item {
    Entry(Entry),
    Report(Arc<Report>),
}

/// The list that a query asks for, oldest first. With a limit and nothing to start after it is the latest ones.
pub(super) async fn list(state: Arc<State>, what: What, query: Query, pretty: bool) -> Body {
    if let Some(wait_ms) = query.wait_ms {
        wait(&state, what, &query, Duration::from_millis(wait_ms)).await;
    }
    let (sender, body) = Body::channel();
    tokio::spawn(async move {
        // An error says that nobody reads on.
        let _ = write(&state, what, &query, pretty, sender).await;
    });
    body
}

/// Waits until there is something to list, but no longer than this.
async fn wait(state: &State, what: What, query: &Query, at_most: Duration) {
    let deadline = Instant::now() + at_most;
    let mut news = state.journal().follow();
    let mut from = query.after.unwrap_or_default();
    loop {
        let last = last(*news.borrow_and_update(), what);
        while from < last {
            let items = after(state, what, from, PAGE);
            if items.iter().any(|item| takes(query, what, item)) {
                return;
            }
            from = items.last().map_or(last, number);
            tokio::task::yield_now().await;
        }
        if !matches!(timeout_at(deadline, news.changed()).await, Ok(Ok(()))) {
            return;
        }
    }
}

async fn write(state: &State, what: What, query: &Query, pretty: bool, sender: Sender) -> Result<(), ()> {
    let mut writer = Writer { sender, text: "[".to_owned(), is_empty: true, pretty };
    let last = last(state.journal().seen(), what);
    let newest_first = query.before.is_some() || (query.limit.is_some() && query.after.is_none());
    if newest_first {
        for item in newest(state, what, query, last).await.iter().rev() {
            writer.add(what, item).await?;
        }
        return writer.end().await;
    }
    let mut left = query.limit.unwrap_or(usize::MAX);
    let mut from = query.after.unwrap_or_default();
    while from < last && left > 0 {
        let items = after(state, what, from, PAGE);
        let Some(end) = items.last().map(number) else { break };
        for item in items.iter().filter(|item| number(item) <= last && takes(query, what, item)).take(left) {
            writer.add(what, item).await?;
            left -= 1;
        }
        from = end;
        // Others look as well, and each is to have its turn.
        tokio::task::yield_now().await;
    }
    writer.end().await
}

/// The latest of those that a query takes, newest first: no more than a limit allows.
async fn newest(state: &State, what: What, query: &Query, last: u64) -> Vec<Item> {
    let limit = query.limit.unwrap_or(super::query::MOST);
    let mut found = Vec::new();
    let mut before = query.before.unwrap_or(last + 1);
    while found.len() < limit {
        let items = match what {
            What::Reports => state.journal().reports().before(before, PAGE).into_iter().map(Item::Report).collect(),
            _ => state.journal().entries().before(before, PAGE).into_iter().map(Item::Entry).collect::<Vec<_>>(),
        };
        let Some(end) = items.last().map(number) else { break };
        before = end;
        let room = limit - found.len();
        found.extend(items.into_iter().filter(|item| takes(query, what, item)).take(room));
        tokio::task::yield_now().await;
    }
    found
}

fn after(state: &State, what: What, number: u64, count: usize) -> Vec<Item> {
    match what {
        What::Reports => state.journal().reports().after(number, count).into_iter().map(Item::Report).collect(),
        _ => state.journal().entries().after(number, count).into_iter().map(Item::Entry).collect(),
    }
}

fn last(seen: Seen, what: What) -> u64 {
    if what == What::Reports { seen.last_report } else { seen.last_entry }
}

fn number(item: &Item) -> u64 {
    match item {
        Item::Entry(entry) => entry.number(),
        Item::Report(report) => report.number,
    }
}

fn takes(query: &Query, what: What, item: &Item) -> bool {
    match item {
        Item::Entry(Entry::Incident(_)) if what == What::Requests => false,
        Item::Entry(entry) => query.takes_entry(entry),
        Item::Report(report) => query.takes_report(report),
    }
}

/// Writes a list of JSON piece by piece.
struct Writer {
    sender: Sender,
    text: String,
    is_empty: bool,
    pretty: bool,
}

impl Writer {
    async fn add(&mut self, what: What, item: &Item) -> Result<(), ()> {
        let text = match item {
            Item::Entry(entry) if what == What::Log => json::entry(entry),
            Item::Entry(Entry::Request(request)) => json::request(request),
            Item::Entry(entry) => json::entry(entry),
            Item::Report(report) => json::report(report),
        };
        if !self.is_empty {
            self.text.push_str(",\n");
        }
        self.is_empty = false;
        self.text.push_str(&super::body::presentable(&text, self.pretty));
        if self.text.len() >= CHUNK { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), ()> {
        self.sender.send(Bytes::from(std::mem::take(&mut self.text))).await
    }

    async fn end(mut self) -> Result<(), ()> {
        self.text.push_str("]\n");
        self.flush().await
    }
}
