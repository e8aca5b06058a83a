//! How the bytes of an answer are sent when a fault has a say in it: after a pause, byte by byte, not to the end, or
//! without one. What the bytes are is decided in `reply`.

use super::plain::Plain;
use super::reply::{Then, Written};
use super::wire::Pause;
use crate::fault::{Damage, Kind, Part, Stall};
use std::io::{self, ErrorKind};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// Sends an answer with a fault of delivery or without, and says what becomes of the connection. An error says that it
/// is gone.
pub(super) async fn send(plain: &mut Plain, written: Written, fault: Option<&Kind>) -> io::Result<Then> {
    let Written { head, body, later, endless, then } = written;
    match fault {
        Some(Kind::Delay { before: Part::Header, for_ms }) => {
            pause(plain, *for_ms).await?;
            write(plain, &[head, body].concat()).await?;
        }
        Some(Kind::Delay { before: Part::Body, for_ms }) => {
            write(plain, &head).await?;
            pause(plain, *for_ms).await?;
            write(plain, &body).await?;
        }
        Some(Kind::Drip { every_ms }) => {
            let every = Stall::For(Duration::from_millis(*every_ms));
            drip(plain, &[head, body].concat(), every).await?;
            for (pause_ms, bytes) in &later {
                pause(plain, Stall::For(Duration::from_millis(*pause_ms))).await?;
                drip(plain, bytes, every).await?;
            }
            while !endless.is_empty() {
                drip(plain, &endless, every).await?;
            }
            return hold(plain, then).await;
        }
        Some(Kind::ResponseCut { after, close }) => {
            let whole = later.into_iter().fold([head, body].concat(), |whole, (_, bytes)| [whole, bytes].concat());
            if write_up_to(plain, whole, &endless, *after).await? {
                return Ok(Then::Close(*close));
            }
            return hold(plain, then).await;
        }
        Some(Kind::IdleClose { after_ms, close }) => {
            write(plain, &[head, body].concat()).await?;
            send_later(plain, &later).await?;
            return Ok(if then == Then::KeepAlive { Then::Idle(*after_ms, *close) } else { then });
        }
        Some(Kind::DamagedRecord { when: Damage::Answer }) => {
            plain.damage_next();
            write(plain, &[head, body].concat()).await?;
        }
        Some(Kind::DamagedRecord { when: Damage::Idle }) => {
            write(plain, &[head, body].concat()).await?;
            // So that the client has most likely read the answer: together with a bad record it might not see it.
            pause(plain, Stall::For(Duration::from_millis(50))).await?;
            plain.damage_next();
            // What is in it does not matter: nobody can decipher it.
            write(plain, b"?").await?;
        }
        _ => write(plain, &[head, body].concat()).await?,
    }
    send_later(plain, &later).await?;
    // Many at a time: how they are divided is nothing that a client could go by.
    let block = endless.repeat(64);
    while !block.is_empty() {
        write(plain, &block).await?;
    }
    hold(plain, then).await
}

async fn hold(plain: &mut Plain, then: Then) -> io::Result<Then> {
    if then == Then::Hold {
        pause(plain, Stall::ForEver).await?;
    }
    Ok(then)
}

async fn send_later(plain: &mut Plain, later: &[(u64, Vec<u8>)]) -> io::Result<()> {
    for (pause_ms, bytes) in later {
        pause(plain, Stall::For(Duration::from_millis(*pause_ms))).await?;
        write(plain, bytes).await?;
    }
    Ok(())
}

async fn write(plain: &mut Plain, bytes: &[u8]) -> io::Result<()> {
    plain.write_all(bytes).await?;
    plain.flush().await
}

async fn drip(plain: &mut Plain, bytes: &[u8], every: Stall) -> io::Result<()> {
    for byte in bytes {
        write(plain, &[*byte]).await?;
        pause(plain, every).await?;
    }
    Ok(())
}

/// Sends `bytes` and what follows them without an end, but no more than `limit` in all. Whether the limit was reached.
async fn write_up_to(plain: &mut Plain, mut bytes: Vec<u8>, endless: &[u8], limit: u64) -> io::Result<bool> {
    let mut left = limit;
    loop {
        bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        write(plain, &bytes).await?;
        left -= bytes.len() as u64;
        if left == 0 || endless.is_empty() {
            return Ok(left == 0);
        }
        bytes = endless.to_vec();
    }
}

async fn pause(plain: &mut Plain, stall: Stall) -> io::Result<()> {
    match plain.pause(stall).await {
        Pause::Over => Ok(()),
        Pause::Gone => Err(ErrorKind::BrokenPipe.into()),
    }
}
