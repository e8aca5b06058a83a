//! The edge towards devices: from a TCP connection to TLS and to HTTP, and what faults do to a connection on that way.
//! From the bottom up, `wire` is below TLS, `plain` above it, and `http` makes requests of it; `reply` and `delivery`
//! are the way back where a fault has a part in it. What a request means and what it is answered is for `pipeline`.

mod crowd;
mod delivery;
mod gate;
mod http;
mod old_tls;
mod plain;
mod reply;
mod scan;
mod tls;
mod wire;

pub(crate) use crowd::Crowd;
pub use crowd::Timeouts;
pub(crate) use tls::Tls;

use crate::fault::{Kind, Stall};
use crate::journal::IncidentKind;
use crate::state::State;
use crowd::{Activity, Phase};
use plain::{Plain, Progress};
use rustls::HandshakeKind;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use wire::{Pause, Wire};

/// Accepts connections for ever.
pub(crate) async fn serve(listener: TcpListener, tls: Arc<Tls>, state: Arc<State>) {
    let mut connections = 0;
    loop {
        let Some(stream) = accept(&listener, &state).await else { continue };
        connections += 1;
        state.count(|counters| counters.connections = connections);
        let activity = state.crowd.enter();
        let (tls, state) = (Arc::clone(&tls), Arc::clone(&state));
        tokio::spawn(async move {
            let over = tokio::select! {
                () = connection(stream, &tls, &state, &activity, connections) => None,
                reason = activity.over(&state.settings.timeouts) => Some(reason),
            };
            state.crowd.leave(&activity);
            if let Some(reason) = over {
                state.note(IncidentKind::Timeout, connections, reason);
            }
            state.count(|counters| counters.connections_closed += 1);
        });
    }
}

/// The next connection, or `None` if there was none to be had: what goes wrong with one is no reason to stop.
pub(crate) async fn accept(listener: &TcpListener, state: &State) -> Option<TcpStream> {
    match listener.accept().await {
        Ok((stream, _)) => {
            // An answer is small and complete: nothing is gained by waiting for more of it.
            stream.set_nodelay(true).ok()?;
            Some(stream)
        }
        Err(_) => {
            // Most likely there are too many open files. Closing one takes time.
            state.crowd.make_room();
            tokio::time::sleep(Duration::from_millis(5)).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, tls: &Tls, state: &Arc<State>, activity: &Arc<Activity>, number: u64) {
    let faults = state.faults().meet_connection();
    if !faults.is_empty() {
        // A fault may take as long as it wants to.
        activity.is_in(Phase::Busy);
    }
    let mut wire = Wire::new(stream, &faults);
    let names: Vec<_> = faults.iter().map(Kind::name).collect();
    let handshake_failed = |reason: String| {
        let fault = if names.is_empty() { String::new() } else { format!(" [fault: {}]", names.join(", ")) };
        state.note(IncidentKind::Handshake, number, reason + &fault);
    };
    for fault in &faults {
        let answered = match fault {
            Kind::AcceptStall { for_ms } => match wire.pause(*for_ms).await {
                Pause::Over => continue,
                Pause::Gone => return handshake_failed("the client has gone".to_owned()),
            },
            Kind::OldTls { version, reply } => old_tls::answer(&mut wire, *version, *reply).await,
            Kind::PlainHttp {} => old_tls::answer_in_plain_http(&mut wire).await,
            _ => continue,
        };
        handshake_failed("the client was answered in something else than TLS 1.2".to_owned());
        if answered.is_ok() {
            // The client is to have the last word: what it makes of the answer.
            wire.pause(Stall::ForEver).await;
        }
        return;
    }
    let stream = match tls.acceptor(&faults).accept(wire).into_fallible().await {
        Ok(stream) => stream,
        // Counted before the connection is closed, so that a client that has seen the end finds it counted.
        Err((error, _open)) => return handshake_failed(handshake_reason(&error)),
    };
    let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
    state.count(|counters| match resumed {
        true => counters.handshakes_resumed += 1,
        false => counters.handshakes_full += 1,
    });
    let progress = Progress::default();
    activity.is_in(Phase::Idle);
    let plain = Plain::new(stream, progress.clone(), Arc::clone(state), Arc::clone(activity));
    http::serve(plain, progress, state, activity, number).await;
}

/// Why a handshake has failed, as far as this side knows it.
fn handshake_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the TLS handshake has failed: the client has closed the connection".to_owned(),
        _ => format!("the TLS handshake has failed: {error}"),
    }
}
