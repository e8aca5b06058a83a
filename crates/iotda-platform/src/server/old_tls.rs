//! A server that speaks an old version of TLS alone, as far as a client hears of it that does not: it reads the
//! client's first record and answers it with an alert or a ServerHello of its version. And one that speaks none at all.

use super::wire::Wire;
use crate::fault::{OldTls, OldTlsReply};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a web server says on a port that takes plain HTTP.
const BAD_REQUEST: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Answers a client in an old version. An error says that the client has gone.
pub(super) async fn answer(wire: &mut Wire, version: OldTls, reply: OldTlsReply) -> io::Result<()> {
    read_record(wire).await?;
    let version = match version {
        OldTls::Tls10 => [3, 1],
        OldTls::Tls11 => [3, 2],
    };
    let answer = match reply {
        // A fatal alert, protocol_version.
        OldTlsReply::Alert => [&[21][..], &version, &[0, 2, 2, 70]].concat(),
        OldTlsReply::ServerHello => server_hello(version),
    };
    wire.write_all(&answer).await
}

/// Answers a client that speaks TLS in plain HTTP.
pub(super) async fn answer_in_plain_http(wire: &mut Wire) -> io::Result<()> {
    read_record(wire).await?;
    wire.write_all(BAD_REQUEST).await
}

/// Reads a record, so that it is not thrown back by a reset.
async fn read_record(wire: &mut Wire) -> io::Result<()> {
    let mut header = [0; 5];
    wire.read_exact(&mut header).await?;
    let mut record = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
    wire.read_exact(&mut record).await.map(|_| ())
}

/// The record of a ServerHello, complete enough that a client minds nothing but the version.
fn server_hello(version: [u8; 2]) -> Vec<u8> {
    // A random value that is none will do: nothing comes of this handshake.
    let random = [0x5a; 32];
    // One extension: the server renegotiates in the secure way, as clients demand of it.
    let renegotiation_info = [0xff, 0x01, 0, 1, 0];
    let extensions = [&[0, 5][..], &renegotiation_info].concat();
    // No session ID, TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
    let body = [&version[..], &random, &[0], &[0x00, 0x2f], &[0], &extensions].concat();
    let length = u8::try_from(body.len()).expect("the length is fixed");
    [&[22][..], &version, &[0, length + 4], &[2, 0, 0, length], &body].concat()
}
