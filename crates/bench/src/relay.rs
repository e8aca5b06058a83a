//! A relay on loopback between a client and its server: counts connections, bytes, TLS records and round trips of what
//! passes, and holds everything up for as long as a way through a network would take.

use anyhow::Result;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What has passed in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Bytes of TCP's payload.
    pub bytes: u64,
    /// TLS records that have begun.
    pub records: u64,
}

/// What has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub connections: u64,
    /// How often the server answered what the client had sent before: the round trips of TLS and HTTP, without
    /// the one in which TCP connects.
    pub answers: u64,
    pub sent: Flow,
    pub received: Flow,
}

impl Traffic {
    /// TCP's included.
    pub fn round_trips(&self) -> u64 {
        self.connections + self.answers
    }

    pub fn since(&self, before: &Self) -> Self {
        let flow = |now: Flow, then: Flow| Flow { bytes: now.bytes - then.bytes, records: now.records - then.records };
        Self {
            connections: self.connections - before.connections,
            answers: self.answers - before.answers,
            sent: flow(self.sent, before.sent),
            received: flow(self.received, before.received),
        }
    }
}

/// Ends when it is dropped; connections that are open then stay until either side closes them.
pub struct Relay {
    address: SocketAddr,
    traffic: Arc<Mutex<Traffic>>,
    is_over: Arc<AtomicBool>,
}

impl Relay {
    /// A relay to a port of this machine, which takes `one_way` in each direction.
    pub fn start(server: u16, one_way: Duration) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let relay = Self {
            address: listener.local_addr()?,
            traffic: Arc::default(),
            is_over: Arc::new(AtomicBool::new(false)),
        };
        let (traffic, is_over) = (relay.traffic.clone(), relay.is_over.clone());
        thread::spawn(move || {
            for client in listener.incoming() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                // A connection that cannot be passed on is closed: the client under test then says so.
                let _ = client.map_err(Into::into).and_then(|client| pass_on(client, server, one_way, &traffic));
            }
        });
        Ok(relay)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn traffic(&self) -> Traffic {
        *self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts. If it fails, that thread is gone already.
        let _ = TcpStream::connect(self.address);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Sent,
    Received,
}

fn pass_on(client: TcpStream, server: u16, one_way: Duration, traffic: &Arc<Mutex<Traffic>>) -> Result<()> {
    let server = TcpStream::connect(("127.0.0.1", server))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    traffic.lock().unwrap_or_else(PoisonError::into_inner).connections += 1;
    let last = Arc::new(Mutex::new(Direction::Received));
    for (from, to, direction) in [(&client, &server, Direction::Sent), (&server, &client, Direction::Received)] {
        let (from, to) = (from.try_clone()?, to.try_clone()?);
        let (traffic, last) = (traffic.clone(), last.clone());
        let (sender, under_way) = mpsc::channel();
        thread::spawn(move || deliver(&under_way, to));
        thread::spawn(move || {
            let mut records = Records::default();
            let mut from = from;
            let mut buffer = vec![0; 65536];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                let bytes = &buffer[..length];
                count(&traffic, &last, direction, length as u64, records.begun(bytes));
                if sender.send((Instant::now() + one_way, bytes.to_vec())).is_err() {
                    break;
                }
            }
        });
    }
    Ok(())
}

fn count(traffic: &Mutex<Traffic>, last: &Mutex<Direction>, direction: Direction, bytes: u64, records: u64) {
    let mut traffic = traffic.lock().unwrap_or_else(PoisonError::into_inner);
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    let turned = *last != direction;
    *last = direction;
    let flow = match direction {
        Direction::Sent => &mut traffic.sent,
        Direction::Received => &mut traffic.received,
    };
    flow.bytes += bytes;
    flow.records += records;
    if turned && direction == Direction::Received {
        traffic.answers += 1;
    }
}

/// Writes each piece when it is due, and closes when there are no more.
fn deliver(pieces: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream) {
    for (due, bytes) in pieces {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    // Fails if the other side has closed it already.
    let _ = to.shutdown(Shutdown::Write);
}

/// Finds where TLS records begin in a stream that comes in pieces: a header has five bytes, the last two its length.
#[derive(Default)]
struct Records {
    header: Vec<u8>,
    /// Bytes of the record's content that are still to come.
    rest: usize,
}

impl Records {
    const HEADER: usize = 5;

    /// Takes the next piece; returns how many headers have become complete in it.
    fn begun(&mut self, mut bytes: &[u8]) -> u64 {
        let mut begun = 0;
        while !bytes.is_empty() {
            if self.rest > 0 {
                let taken = self.rest.min(bytes.len());
                (self.rest, bytes) = (self.rest - taken, &bytes[taken..]);
                continue;
            }
            let taken = (Self::HEADER - self.header.len()).min(bytes.len());
            self.header.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if let [_, _, _, high, low] = self.header[..] {
                self.rest = usize::from(u16::from_be_bytes([high, low]));
                self.header.clear();
                begun += 1;
            }
        }
        begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_RECORDS: &[u8] = &[22, 3, 3, 0, 2, 1, 1, 23, 3, 3, 0, 0];

    #[test]
    fn records_are_counted_however_they_are_cut() {
        for cut in 0..=TWO_RECORDS.len() {
            let mut records = Records::default();
            let begun = records.begun(&TWO_RECORDS[..cut]) + records.begun(&TWO_RECORDS[cut..]);
            assert_eq!(begun, 2, "cut at {cut}");
        }
    }

    #[test]
    fn what_passes_is_counted() {
        let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let relay = Relay::start(server.local_addr().unwrap().port(), Duration::ZERO).unwrap();
        let mut client = TcpStream::connect(("127.0.0.1", relay.port())).unwrap();
        let (mut accepted, _) = server.accept().unwrap();
        for _ in 0..3 {
            let mut received = [0; TWO_RECORDS.len()];
            client.write_all(TWO_RECORDS).unwrap();
            accepted.read_exact(&mut received).unwrap();
            assert_eq!(received, TWO_RECORDS);
            accepted.write_all(&TWO_RECORDS[..7]).unwrap();
            client.read_exact(&mut received[..7]).unwrap();
        }
        let traffic = relay.traffic();
        assert_eq!((traffic.connections, traffic.answers, traffic.round_trips()), (1, 3, 4));
        assert_eq!(traffic.sent, Flow { bytes: 36, records: 6 });
        assert_eq!(traffic.received, Flow { bytes: 21, records: 3 });
    }
}
