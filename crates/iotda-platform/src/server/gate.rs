//! A gate in the platform's half of a TLS 1.2 handshake: it lets the messages up to a given one through, each in a
//! record of its own, and holds back what follows. Bytes in, bytes out; when it is opened is for `wire` to say.

use crate::fault::HandshakeMessage;

const HEADER: usize = 5;
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;

pub(super) struct Gate {
    last: HandshakeMessage,
    /// What has come and is no whole record yet.
    partial: Vec<u8>,
    passed: Vec<u8>,
    held: Vec<u8>,
    is_shut: bool,
    is_open: bool,
}

impl Gate {
    /// Lets messages through up to `last`.
    pub(super) fn new(last: HandshakeMessage) -> Self {
        Self { last, partial: Vec::new(), passed: Vec::new(), held: Vec::new(), is_shut: false, is_open: false }
    }

    /// Takes what TLS wants to send.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        while let Some(record) = take_record(&mut self.partial) {
            if record[0] != HANDSHAKE || self.is_shut {
                // After a change of ciphers nothing can be read. It is the last of what a server sends in any case.
                self.is_shut |= record[0] == CHANGE_CIPHER_SPEC;
                self.put(&record);
                continue;
            }
            let (version, mut messages) = (&record[..3], &record[HEADER..]);
            while !messages.is_empty() {
                let (message, rest) = messages.split_at(message_length(messages));
                self.is_shut |= message_place(message[0]).is_none_or(|place| place > self.last);
                let length = u16::try_from(message.len()).expect("a message within a record is no longer than that");
                self.put(&[version, &length.to_be_bytes(), message].concat());
                messages = rest;
            }
        }
    }

    fn put(&mut self, record: &[u8]) {
        match self.is_shut {
            true => self.held.extend_from_slice(record),
            false => self.passed.extend_from_slice(record),
        }
    }

    /// What has passed and was not sent yet.
    pub(super) fn passed(&self) -> &[u8] {
        &self.passed
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.passed.drain(..bytes);
    }

    pub(super) fn holds_back(&self) -> bool {
        !self.held.is_empty()
    }

    /// Replaces what is held back.
    pub(super) fn replace_held(&mut self, bytes: Vec<u8>) {
        self.partial.clear();
        self.held = bytes;
    }

    /// Lets everything through.
    pub(super) fn open(&mut self) {
        self.is_open = true;
        self.passed.append(&mut self.held);
        self.passed.append(&mut self.partial);
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }
}

/// The first record of `bytes`, if it is there in whole.
fn take_record(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = HEADER + usize::from(u16::from_be_bytes([*bytes.get(3)?, *bytes.get(4)?]));
    (bytes.len() >= length).then(|| bytes.drain(..length).collect())
}

/// The length of the first message, its header included. One that goes on in the next record ends with this one.
fn message_length(messages: &[u8]) -> usize {
    let &[_, high, middle, low, ..] = messages else { return messages.len() };
    let body = u32::from_be_bytes([0, high, middle, low]);
    usize::try_from(body).map_or(messages.len(), |body| (4 + body).min(messages.len()))
}

/// Up to which message a handshake has come with one of this type. `None` for those that come after all that can be
/// waited for.
fn message_place(message_type: u8) -> Option<HandshakeMessage> {
    Some(match message_type {
        2 => HandshakeMessage::ServerHello,
        // The certificate, and its status.
        11 | 22 => HandshakeMessage::Certificate,
        12 => HandshakeMessage::ServerKeyExchange,
        // A request for a certificate comes right before the end.
        13 | 14 => HandshakeMessage::ServerHelloDone,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(message_type: u8, length: u8) -> Vec<u8> {
        [&[message_type, 0, 0, length], vec![message_type; length.into()].as_slice()].concat()
    }

    fn record(messages: &[u8]) -> Vec<u8> {
        let length = u8::try_from(messages.len()).expect("a short record");
        [&[HANDSHAKE, 3, 3, 0, length], messages].concat()
    }

    /// A server's first messages as one record, and then what it sends last.
    fn handshake() -> Vec<u8> {
        let first = [message(2, 70), message(11, 90), message(12, 20), message(14, 0)].concat();
        [record(&first), vec![CHANGE_CIPHER_SPEC, 3, 3, 0, 1, 1], record(&[9; 40])].concat()
    }

    #[test]
    fn messages_pass_up_to_the_one_given_in_whatever_pieces_they_come() {
        let parts =
            [record(&message(2, 70)), record(&message(11, 90)), record(&message(12, 20)), record(&message(14, 0))];
        let places = [
            HandshakeMessage::ClientHello,
            HandshakeMessage::ServerHello,
            HandshakeMessage::Certificate,
            HandshakeMessage::ServerKeyExchange,
            HandshakeMessage::ServerHelloDone,
        ];
        for (number, place) in places.into_iter().enumerate() {
            for size in [1, 7, 1000] {
                let mut gate = Gate::new(place);
                handshake().chunks(size).for_each(|chunk| gate.push(chunk));
                assert_eq!(gate.passed(), parts[..number].concat(), "{place:?} in pieces of {size}");
                assert!(gate.holds_back());
                let sent = gate.passed().len();
                gate.sent(sent);
                gate.open();
                let rest = [parts[number..].concat(), handshake()[5 + 196..].to_vec()].concat();
                assert_eq!(gate.passed(), rest, "{place:?}");
            }
        }
    }

    #[test]
    fn a_resumed_handshake_is_held_where_it_has_come_too_far() {
        let resumed =
            [record(&message(2, 70)), record(&message(4, 30)), vec![CHANGE_CIPHER_SPEC, 3, 3, 0, 1, 1]].concat();
        let mut gate = Gate::new(HandshakeMessage::Certificate);
        gate.push(&resumed);
        assert_eq!(gate.passed(), record(&message(2, 70)));
        assert!(gate.holds_back());
    }
}
