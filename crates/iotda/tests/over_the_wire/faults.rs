//! The stand-in platform misbehaves: each fault has a defined outcome, none is a hang, a crash or a wrong
//! success, and the call after it works.

use std::time::Duration;

use iotda::{CallOptions, Client, Config, Error, ErrorKind};
use iotda_platform::{
    Close, Direction, EndlessForm, Fault, HandshakeMessage, OldTls, OldTlsReply, Part, Platform, Route,
    ShownCertificate, Stall,
};

use crate::device::{at_once, config, platform, registry};

const OPTIONS: CallOptions = CallOptions::new();

/// A client that has its token already, on no connection yet.
fn with_token(platform: &Platform) -> Config {
    let mut config = config(platform);
    let first = Client::new(&config).unwrap();
    first.authenticate(OPTIONS).unwrap();
    config.token(&first.export_token().unwrap()).unwrap();
    platform.clear_records();
    config
}

/// What a report meets with `fault`; the next one must go through.
fn outcome(platform: &Platform, config: &Config, fault: Fault) -> Result<(), Error> {
    let client = Client::new(config).unwrap();
    platform.clear_faults();
    let shown = format!("{fault:?}");
    platform.inject(fault.times(1)).unwrap();
    let outcome = client.report_message(b"first", OPTIONS).map(drop);
    platform.clear_faults();
    // A client that never tries again may meet the connection that the fault left behind, once.
    let second = client.report_message(b"second", OPTIONS).or_else(|error| match error.kind() {
        ErrorKind::Connect => client.report_message(b"third", OPTIONS),
        _ => Err(error),
    });
    if let Err(error) = second {
        panic!("after {shown}: {error}");
    }
    outcome
}

#[test]
fn time_faults_end_with_the_call() {
    let platform = Platform::builder().registry(registry()).narrow_window().start().unwrap();
    let mut config = with_token(&platform);
    let mut faults = vec![
        Fault::accept_stall(Stall::ForEver),
        Fault::delay(Part::Header, Stall::ForEver),
        Fault::delay(Part::Body, Stall::ForEver),
        Fault::request_unread(Stall::ForEver),
        // One byte a minute: the first is all that comes.
        Fault::drip(Duration::from_secs(60)),
        Fault::wire_drip(Duration::from_secs(60)),
        Fault::endless(EndlessForm::Close),
    ];
    for message in [
        HandshakeMessage::ClientHello,
        HandshakeMessage::ServerHello,
        HandshakeMessage::Certificate,
        HandshakeMessage::ServerKeyExchange,
        HandshakeMessage::ServerHelloDone,
    ] {
        faults.push(Fault::handshake_stall(message, Stall::ForEver));
    }
    for fault in faults {
        config.timeout(Duration::from_millis(300)).unwrap();
        // A platform that stalls behind a success leaves a connection that looks well: the next attempt is another.
        config.attempt_timeout(Duration::from_secs(1)).unwrap().retry(at_once(5)).unwrap();
        let client = Client::new(&config).unwrap();
        platform.clear_faults();
        let shown = format!("{fault:?}");
        platform.inject(fault).unwrap();
        // Larger than what the narrow window and the system's buffers hold.
        let outcome = client.report_message(&vec![0; 1_000_000], OPTIONS).map(drop);
        platform.clear_faults();
        match outcome {
            // A text without an end is no answer of the platform's, whatever its status; on a machine that is busy, so
            // much of it does not come in time.
            Err(error) if shown.contains("ndless") => {
                assert!(matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Timeout), "{shown}: {error}");
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Timeout, "{shown}: {error}"),
            // The status of a success had come; only its body, which says nothing, never ended.
            Ok(()) => assert!(shown.contains("Body") || shown.contains("ndless"), "{shown}"),
        }
        let patient = CallOptions::new().timeout(Duration::from_secs(30));
        if let Err(error) = client.report_message(b"next", patient) {
            panic!("after {shown}: {error}");
        }
    }
}

#[test]
fn oddities_of_http_are_no_obstacle() {
    let platform = platform();
    let config = with_token(&platform);
    for fault in [
        Fault::http_1_0(),
        Fault::chunked(3, false),
        Fault::continue_first(3),
        Fault::many_headers(40),
        Fault::idle_close(Duration::ZERO, Close::Fin),
        Fault::idle_close(Duration::ZERO, Close::Notified),
        Fault::idle_close(Duration::ZERO, Close::Reset),
        Fault::trailing("more than was announced"),
        Fault::date(3600),
        Fault::token_rotated(),
        Fault::token_expired(false),
        Fault::token_expired(true),
        // To a report it speaks of the token.
        Fault::refusal("IOTDA.000002"),
    ] {
        let shown = format!("{fault:?}");
        outcome(&platform, &config, fault).unwrap_or_else(|error| panic!("{shown}: {error}"));
    }
}

#[test]
fn a_kept_connection_that_was_closed_is_seen_before_a_request_is_put_on_it() {
    let platform = platform();
    let client = Client::new(&with_token(&platform)).unwrap();
    for close in [Close::Fin, Close::Notified, Close::Reset] {
        platform.inject(Fault::idle_close(Duration::ZERO, close).times(1)).unwrap();
        client.report_message(b"first", OPTIONS).unwrap();
        while platform.counters().connections_closed < platform.counters().connections {
            std::thread::yield_now();
        }
        // Not sent in vain and then again: sent once, on a new connection.
        let delivery = client.report_message(b"second", OPTIONS).unwrap();
        assert_eq!(delivery.attempts, 1, "{close:?}");
    }
}

#[test]
fn oddities_that_are_no_answer_are_told_as_such() {
    let platform = platform();
    let config = with_token(&platform);
    for (fault, kind) in [
        (Fault::huge_header(100_000), ErrorKind::Protocol),
        (Fault::garbage("SSH-2.0-OpenSSH_9.2\r\n\r\n"), ErrorKind::Protocol),
        (Fault::status(500), ErrorKind::Server),
        (Fault::refusal("IOTDA.021102"), ErrorKind::RateLimited),
        (Fault::certificate(ShownCertificate::Expired), ErrorKind::Tls),
        (Fault::certificate(ShownCertificate::WrongName), ErrorKind::Tls),
        (Fault::certificate(ShownCertificate::UnknownCa), ErrorKind::Tls),
        (Fault::old_tls(OldTls::Tls11, OldTlsReply::Alert), ErrorKind::Tls),
        (Fault::old_tls(OldTls::Tls11, OldTlsReply::ServerHello), ErrorKind::Tls),
        (Fault::old_tls(OldTls::Tls10, OldTlsReply::ServerHello), ErrorKind::Tls),
        (Fault::plain_http(), ErrorKind::Tls),
    ] {
        let shown = format!("{fault:?}");
        let error = outcome(&platform, &config, fault).expect_err(&shown);
        assert_eq!(error.kind(), kind, "{shown}: {error}");
    }
}

/// Every offset is tried, until the cut has come too late for so many in a row that it always will.
fn cut_everywhere(close: Close, fault: impl Fn(u64, Close) -> Fault) {
    let platform = platform();
    let config = with_token(&platform);
    let (mut met, mut late) = (0, 0);
    for offset in 0.. {
        platform.clear_records();
        let shown = format!("cut at {offset}, {close:?}");
        let result = outcome(&platform, &config, fault(offset, close));
        match result {
            Ok(()) => {
                // What did not arrive is never a success.
                let arrived = platform.reports().iter().filter(|report| report.body == b"first").count();
                assert_eq!(arrived, 1, "{shown}");
                late += 1;
            }
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::Connect), "{shown}: {error}");
                (met, late) = (met + 1, 0);
            }
        }
        if late == 40 {
            break;
        }
    }
    assert!(met > 15, "{met} cuts were met");
}

#[test]
fn a_request_cut_at_every_offset() {
    for close in [Close::Fin, Close::Notified, Close::Reset] {
        cut_everywhere(close, |offset, close| Fault::request_cut(offset, close).on(Route::Message));
    }
}

#[test]
fn a_response_cut_at_every_offset() {
    for close in [Close::Fin, Close::Notified, Close::Reset] {
        cut_everywhere(close, |offset, close| Fault::response_cut(offset, close).on(Route::Message));
    }
}

#[test]
fn the_wire_cut_at_every_offset_of_what_the_client_sends() {
    for close in [Close::Fin, Close::Reset] {
        cut_everywhere(close, |offset, close| Fault::wire_cut(Direction::Received, offset, close));
    }
}

#[test]
fn the_wire_cut_at_every_offset_of_what_the_platform_sends() {
    for close in [Close::Fin, Close::Reset] {
        cut_everywhere(close, |offset, close| Fault::wire_cut(Direction::Sent, offset, close));
    }
}

#[test]
fn a_share_of_failures_is_outlasted() {
    let platform = platform();
    let mut config = config(&platform);
    config.retry(at_once(20)).unwrap();
    platform.inject(Fault::status(503).share(30, 1)).unwrap();
    platform.inject(Fault::response_cut(10, Close::Reset).share(20, 2)).unwrap();
    let client = Client::new(&config).unwrap();
    for _ in 0..100 {
        client.report_message(b"x", OPTIONS).unwrap();
    }
    assert!(client.stats().retries > 10, "{:?}", client.stats());
    assert!(platform.reports().len() >= 100);
}
