//! What errors of TLS mean to a person, what to do about them, and whether the next attempt may fare better: what is
//! about certificates, versions and ciphers is the same the next time, anything else is a connection that broke.

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerIncompatible};

use crate::date;
use crate::error::{Error, Kind};
use crate::verify::Fault;

/// Why an open connection failed in TLS: whatever it is, a new connection may serve.
pub(crate) fn explain_open(error: &rustls::Error, peer: &str) -> Error {
    Error::new(Kind::Connect, format!("the connection to {peer} broke: {}", broken(error)))
}

/// Why TLS with `peer` could not be begun. `has_begun`: the server has chosen version and cipher, so that it speaks TLS.
pub(crate) fn explain(error: &rustls::Error, peer: &str, has_begun: bool) -> Error {
    use AlertDescription as Alert;
    let message = match error {
        rustls::Error::InvalidCertificate(certificate) => certificate_fault(certificate, peer),
        rustls::Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        )
        | rustls::Error::AlertReceived(Alert::ProtocolVersion) => {
            format!("check the endpoint and its port: {peer} does not speak TLS 1.2")
        }
        rustls::Error::InvalidMessage(InvalidMessage::UnknownProtocolVersion) if !has_begun => {
            format!("check the endpoint and its port: {peer} does not speak TLS 1.2")
        }
        rustls::Error::PeerIncompatible(_)
        | rustls::Error::AlertReceived(Alert::HandshakeFailure | Alert::InsufficientSecurity) => {
            format!("check what {peer} demands: no cipher suite is shared, or it wants a client certificate")
        }
        rustls::Error::AlertReceived(
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::CertificateRequired,
        ) => format!("check the client certificate: {peer} did not accept it, or demands one"),
        rustls::Error::AlertReceived(Alert::UnrecognisedName) => {
            format!("check the endpoint: {peer} does not know this host name")
        }
        // What a server of another protocol sends first, such as plain HTTP.
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) if !has_begun => {
            format!("check the endpoint and its port: {peer} does not answer in TLS")
        }
        rustls::Error::FailedToGetRandomBytes => {
            return Error::new(
                Kind::Internal,
                format!("allow getrandom or /dev/urandom: there is no source of random numbers for TLS with {peer}"),
            );
        }
        _ => return explain_open(error, peer).within("during the TLS handshake"),
    };
    Error::new(Kind::Tls, message)
}

/// What broke, without rustls's own words, which are for those who write it.
fn broken(error: &rustls::Error) -> String {
    use AlertDescription as Alert;
    match error {
        rustls::Error::DecryptError => "a TLS record was damaged".to_owned(),
        rustls::Error::AlertReceived(alert) => {
            let name = match alert {
                Alert::UnexpectedMessage => " (unexpected_message)",
                Alert::BadRecordMac => " (bad_record_mac)",
                Alert::RecordOverflow => " (record_overflow)",
                Alert::HandshakeFailure => " (handshake_failure)",
                Alert::IllegalParameter => " (illegal_parameter)",
                Alert::DecodeError => " (decode_error)",
                Alert::DecryptError => " (decrypt_error)",
                Alert::InternalError => " (internal_error)",
                Alert::UserCanceled => " (user_canceled)",
                _ => "",
            };
            format!("it sent TLS alert {}{name}", u8::from(*alert))
        }
        rustls::Error::PeerMisbehaved(_) | rustls::Error::InappropriateHandshakeMessage { .. } => {
            "it does not keep to TLS".to_owned()
        }
        _ => "what it sent is not TLS, or was damaged".to_owned(),
    }
}

fn certificate_fault(error: &CertificateError, peer: &str) -> String {
    match error {
        CertificateError::ExpiredContext { time, not_after } => format!(
            "set the clock, or renew the certificate of {peer}: expired on {}, the clock says {}",
            day(not_after),
            day(time)
        ),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "set the clock: the certificate of {peer} is not valid before {}, the clock says {}",
            day(not_before),
            day(time)
        ),
        CertificateError::ApplicationVerificationFailure => {
            format!("pin the new key if the platform's has changed: {peer} has none of the pinned public keys")
        }
        CertificateError::Other(other) => match other.0.downcast_ref() {
            Some(fault) => explain_fault(fault, peer),
            None => format!("check the certificate of {peer}: it is not acceptable"),
        },
        // What rustls's own verifier says, which a program's own agent may have.
        #[cfg(feature = "ureq")]
        CertificateError::UnknownIssuer => {
            format!("give the agent the CA: {peer} is not signed by a trusted authority")
        }
        #[cfg(feature = "ureq")]
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("check the endpoint: the certificate of {peer} is for another host name")
        }
        // The server's own signature, over the handshake.
        CertificateError::BadSignature => format!("check the certificate of {peer}: its private key is another"),
        _ => format!("check the certificate of {peer}: it is not acceptable"),
    }
}

fn explain_fault(fault: &Fault, peer: &str) -> String {
    match fault {
        Fault::Untrusted { issuer, self_signed: false } => {
            ending_in(format!("give the CA by ca_file: {peer} is not signed by a trusted authority, but by"), issuer)
        }
        Fault::Untrusted { self_signed: true, .. } => {
            format!("give the CA by ca_file: {peer} is not signed by a trusted authority, but by itself")
        }
        Fault::ForeignKey { issuer } => ending_in(
            format!("give the CA by ca_file: {peer} is not signed by a trusted authority, but by another key of"),
            issuer,
        ),
        Fault::OtherName { example: Some(name) } => {
            ending_in(format!("check the endpoint: the certificate of {peer} is for another host name,"), name)
        }
        Fault::OtherName { example: None } => {
            format!("check the endpoint: the certificate of {peer} is for another host name or address")
        }
        Fault::OnlyCommonName => {
            format!("issue the certificate of {peer} with a subjectAltName: it names the host only in its CN")
        }
        Fault::IsAuthority => {
            format!("give the server one of its own: the certificate of {peer} is itself a CA certificate")
        }
        Fault::IssuerIsNone => format!("check the certificate of {peer}: its issuer is not a CA"),
        Fault::NotForServers => format!("check the certificate of {peer}: it is not for TLS servers (key usage)"),
        Fault::WeakSignature => {
            format!("renew the certificate of {peer}: it is signed in a way that is not accepted, such as with SHA-1")
        }
        Fault::Constrained => format!("check the certificate of {peer}: its CA may not certify this host"),
        Fault::Unreadable => format!("check the certificate of {peer}: it is damaged, or not X.509 version 3"),
    }
}

/// A sentence that ends in a name, which is cut where there is no room for it.
fn ending_in(mut sentence: String, name: &str) -> String {
    /// Of the 255 bytes of a message of the C API, what is left beside a device's id.
    const ROOM: usize = 180;
    sentence.push_str(" \"");
    for character in name.chars() {
        if sentence.len() + character.len_utf8() >= ROOM {
            break;
        }
        sentence.push(if character.is_control() { '?' } else { character });
    }
    sentence.push('"');
    sentence
}

fn day(time: &UnixTime) -> String {
    date::day(time.as_secs())
}

#[cfg(test)]
mod tests {
    use rustls::PeerMisbehaved;

    use super::*;

    #[test]
    fn certificates_versions_and_ciphers_stay_and_everything_else_is_tried_again() {
        use AlertDescription as Alert;
        use rustls::Error as Tls;
        for (error, kind) in [
            (Tls::InvalidCertificate(CertificateError::BadSignature), Kind::Tls),
            (Tls::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon), Kind::Tls),
            (Tls::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13), Kind::Tls),
            (Tls::AlertReceived(Alert::ProtocolVersion), Kind::Tls),
            (Tls::AlertReceived(Alert::HandshakeFailure), Kind::Tls),
            (Tls::AlertReceived(Alert::UnknownCA), Kind::Tls),
            (Tls::AlertReceived(Alert::UnrecognisedName), Kind::Tls),
            (Tls::AlertReceived(Alert::InternalError), Kind::Connect),
            (Tls::AlertReceived(Alert::DecodeError), Kind::Connect),
            (Tls::AlertReceived(Alert::BadRecordMac), Kind::Connect),
            (Tls::AlertReceived(Alert::Unknown(200)), Kind::Connect),
            (Tls::DecryptError, Kind::Connect),
            (Tls::PeerMisbehaved(PeerMisbehaved::TooMuchEarlyDataReceived), Kind::Connect),
            (Tls::PeerSentOversizedRecord, Kind::Connect),
            (Tls::FailedToGetRandomBytes, Kind::Internal),
        ] {
            for has_begun in [false, true] {
                let peer = format!("{}.example:65535", "x".repeat(72));
                let explained = explain(&error, &peer, has_begun);
                assert_eq!(explained.kind, kind, "{explained}");
                // A message of the C API has 255 bytes, of which 75 are for the device's id.
                assert!(explained.message.contains(&peer) && explained.message.len() <= 180, "{explained}");
            }
            assert_eq!(explain_open(&error, "iot.example").kind, Kind::Connect);
        }
        // Before the server has spoken TLS it is another protocol; afterwards it is damage.
        for fault in [InvalidMessage::InvalidContentType, InvalidMessage::UnknownProtocolVersion] {
            let error = Tls::InvalidMessage(fault);
            assert_eq!(explain(&error, "iot.example", false).kind, Kind::Tls);
            assert_eq!(explain(&error, "iot.example", true).kind, Kind::Connect);
        }
    }

    #[test]
    fn rustls_speaks_to_those_who_write_it() {
        let error = rustls::Error::AlertReceived(AlertDescription::InternalError);
        assert_eq!(
            explain_open(&error, "h").message,
            "the connection to h broke: it sent TLS alert 80 (internal_error)"
        );
        use AlertDescription as Alert;
        for (alert, name) in [
            (Alert::UnexpectedMessage, " 10 (unexpected_message)"),
            (Alert::BadRecordMac, " 20 (bad_record_mac)"),
            (Alert::RecordOverflow, " 22 (record_overflow)"),
            (Alert::HandshakeFailure, " 40 (handshake_failure)"),
            (Alert::IllegalParameter, " 47 (illegal_parameter)"),
            (Alert::DecodeError, " 50 (decode_error)"),
            (Alert::DecryptError, " 51 (decrypt_error)"),
            (Alert::UserCanceled, " 90 (user_canceled)"),
            (Alert::Unknown(200), " 200"),
        ] {
            let message = explain_open(&rustls::Error::AlertReceived(alert), "h").message;
            assert!(message.ends_with(name), "{message}");
        }
        let misbehaved = rustls::Error::PeerMisbehaved(PeerMisbehaved::TooMuchEarlyDataReceived);
        assert!(explain(&misbehaved, "h", true).message.ends_with("it does not keep to TLS"));
        let random = explain(&rustls::Error::FailedToGetRandomBytes, "h", false);
        assert!(random.message.contains("no source of random numbers"), "{random}");
    }
}
