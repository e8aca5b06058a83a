//! What goes over the wire: records and bytes, counted by a relay between client and platform.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use iotda::{CallOptions, Client, Service};

use crate::device::{config, platform};

/// Passes bytes on in both directions and keeps those of the client.
struct Relay {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Relay {
    fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay { address: listener.local_addr().unwrap(), sent: Arc::default() };
        let sent = Arc::clone(&relay.sent);
        thread::spawn(move || {
            let (client, _) = listener.accept().unwrap();
            let server = TcpStream::connect(server).unwrap();
            let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || {
                let _ = std::io::copy(&mut from_server, &mut to_client);
            });
            let (mut client, mut server) = (client, server);
            let mut buffer = [0; 65_536];
            while let Ok(amount @ 1..) = client.read(&mut buffer) {
                // Kept before it is passed on, so that it is there when the answer comes.
                sent.lock().unwrap().extend_from_slice(&buffer[..amount]);
                server.write_all(&buffer[..amount]).unwrap();
            }
            let _ = server.shutdown(Shutdown::Both);
        });
        relay
    }

    /// The lengths of the TLS records of application data that the client sent since the last call, with
    /// their headers (RFC 5246 section 6.2.1: type 23, version, length).
    fn records(&self) -> Vec<usize> {
        let sent = std::mem::take(&mut *self.sent.lock().unwrap());
        let (mut at, mut lengths) = (0, Vec::new());
        while at < sent.len() {
            let length = 5 + usize::from(u16::from_be_bytes([sent[at + 3], sent[at + 4]]));
            if sent[at] == 23 {
                lengths.push(length);
            }
            at += length;
        }
        lengths
    }
}

#[test]
fn a_report_is_one_record_and_a_large_message_is_full_records() {
    let platform = platform();
    let relay = Relay::to(platform.address());
    let mut config = config(&platform);
    config.endpoint(&format!("https://{}", relay.address)).unwrap();
    let client = Client::new(&config).unwrap();
    let options = CallOptions::default;
    client.authenticate(options()).unwrap();
    assert_eq!(relay.records().len(), 1);

    let service = [Service::new("serviceId", r#"{"Height":124,"Speed":23.24}"#).event_time_ms(1_628_849_410_555)];
    for _ in 0..3 {
        client.report_properties(&service, options()).unwrap();
        let [length] = relay.records().try_into().unwrap();
        // The token of the stand-in and its port differ in length from those that the target was measured
        // with: 32 characters of token, "127.0.0.1:8443", a device id of 9.
        let token = platform.requests().last().unwrap().headers.iter().find(|h| h.0 == "access_token").unwrap().1.len();
        assert!(length - token <= 340 - 32, "{length} bytes with a token of {token}");
    }

    client.report_message(&vec![0; 100_000], options()).unwrap();
    let records = relay.records();
    assert_eq!(records.len(), 7, "{records:?}");
    assert!(records[..6].iter().all(|length| *length > 16_384), "{records:?}");
}
