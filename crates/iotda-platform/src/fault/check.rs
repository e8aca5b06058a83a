//! What a fault must hold to beside its form: the combinations that could not be carried out are refused before they
//! are armed.

use super::kind::{Close, Kind, Stage};
use super::{Fault, InjectedAnswer, Piece, RetryAfter, Route};
use crate::Error;
use hyper::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, TRANSFER_ENCODING};

/// How much of a thing an answer may have that is made in memory before it is sent.
const AT_MOST: usize = 1_048_576;

/// The same for an answer that is written by hand, in bytes.
const RAW_AT_MOST: usize = 8 * 1_048_576;

impl Fault {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let reason = self.objection();
        reason.map_or(Ok(()), |reason| Err(Error::new(format!("the fault {:?}: {reason}", self.name()))))
    }

    fn objection(&self) -> Option<String> {
        if self.times == Some(0) {
            return Some("0 times is never: leave it out".to_owned());
        }
        if let Some(percent) = self.share.map(|share| share.percent).filter(|percent| *percent > 100) {
            return Some(format!("a share is 0 to 100 percent, not {percent}"));
        }
        if self.is_of_connections() && (self.device.is_some() || self.on != Route::Any) {
            let text = "it is done to a connection, before there is a request: leave the device and the route out";
            return Some(text.to_owned());
        }
        match &self.kind {
            Kind::WireCut { close: Close::Notified | Close::HalfNotified, .. } => {
                Some("a cut below TLS cannot send a close_notify: use fin, reset or half".to_owned())
            }
            Kind::HugeHeader { bytes: count } | Kind::ManyHeaders { count } if *count > AT_MOST => {
                Some(format!("{count} is more than is kept in memory for it: {AT_MOST} will do"))
            }
            Kind::ContinueFirst { count } if usize::try_from(*count).is_ok_and(|count| count > AT_MOST) => {
                Some(format!("{count} is more than is kept in memory for it: {AT_MOST} will do"))
            }
            Kind::Raw { send, .. } if send.iter().map(Piece::length).fold(0, usize::saturating_add) > RAW_AT_MOST => {
                Some(format!("it has more bytes than are kept in memory for it: {RAW_AT_MOST} will do"))
            }
            Kind::RequestSlow { bytes_per_s: 0 } => {
                Some("at 0 bytes a second nothing is read: use request_unread".into())
            }
            Kind::Chunked { chunk: 0, .. } => Some("a chunk has one byte at least".to_owned()),
            Kind::Answer(answer) | Kind::EarlyAnswer(answer) => answer_objection(answer),
            _ => None,
        }
    }

    pub(super) fn is_of_connections(&self) -> bool {
        Stage::CONNECTION.contains(&self.kind.stage())
    }
}

fn answer_objection(answer: &InjectedAnswer) -> Option<String> {
    match (answer.status_sent(), &answer.code) {
        (None, Some(code)) => return Some(format!("the code {code:?} is not documented: give a status with it")),
        (None, None) => return Some("it takes a status or a documented code".to_owned()),
        // Others are no final answers, and HTTP's rules for what follows them are not those of an answer.
        (Some(status), _) if !(200..=599).contains(&status) || status == 204 || status == 304 => {
            return Some(format!(
                "{status} is no status of an answer with a body: it takes 200 to 599, not 204 or 304"
            ));
        }
        (Some(_), _) => {}
    }
    for (name, _) in &answer.headers {
        match HeaderName::from_bytes(name.as_bytes()) {
            Err(_) => return Some(format!("{name:?} is no name of a header field")),
            Ok(CONNECTION | CONTENT_LENGTH | DATE | TRANSFER_ENCODING) => {
                return Some(format!("the header {name:?} is the platform's own: write the answer as a raw one"));
            }
            Ok(_) => {}
        }
    }
    let retry_after = match &answer.retry_after {
        Some(RetryAfter::Text(text)) => Some(text),
        _ => None,
    };
    let values = [("location", answer.location.as_ref()), ("content_type", answer.content_type.as_ref())];
    let values = values.into_iter().chain([("retry_after", retry_after)]);
    let values = values.chain(answer.headers.iter().map(|(name, value)| (name.as_str(), Some(value))));
    let bad = |text: &str| text.bytes().any(|byte| byte != b'\t' && !(b' '..=b'~').contains(&byte));
    values
        .filter_map(|(name, value)| Some((name, value?)))
        .find(|(_, value)| bad(value))
        .map(|(name, value)| format!("{name:?} is {value:?}: a header takes printable ASCII alone"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Direction, Stall};

    #[test]
    fn what_cannot_be_carried_out_is_refused() {
        for (fault, expected) in [
            (Fault::status(503).times(0), "0 times"),
            (Fault::status(503).share(101, 0), "0 to 100 percent, not 101"),
            (Fault::accept_stall(Stall::ForEver).for_device("device"), "before there is a request"),
            (Fault::plain_http().on(Route::Auth), "before there is a request"),
            (Fault::wire_cut(Direction::Sent, 1, Close::Notified), "use fin, reset or half"),
            (Fault::chunked(0, false), "one byte at least"),
            (Fault::huge_header(2_000_000), "1048576 will do"),
            (Fault::continue_first(u32::MAX), "1048576 will do"),
            (Fault::request_slow(0), "use request_unread"),
            (Fault::raw([Piece::bytes(vec![0; RAW_AT_MOST]), Piece::text("x")], None), "8388608 will do"),
            (Fault::raw([Piece::Repeat { text: "xx".into(), count: usize::MAX }], None), "8388608 will do"),
            (Fault::answer(InjectedAnswer::status(400).header("a b", "")), "no name of a header field"),
            (Fault::answer(InjectedAnswer::status(400).header("a", "\n")), "printable ASCII"),
            (Fault::answer(InjectedAnswer::status(400).header("content-Length", "1")), "a raw one"),
            (Fault::status(99), "99 is no status"),
            (Fault::status(204), "204 is no status"),
            (Fault::refusal("IOTDA.1"), "\"IOTDA.1\" is not documented"),
            (Fault::answer(InjectedAnswer::default()), "a status or a documented code"),
            (Fault::answer(InjectedAnswer::redirect(302, "a\r\nb")), "printable ASCII"),
        ] {
            let error = fault.check().expect_err(expected).to_string();
            assert!(error.contains(expected) && error.contains(fault.name()), "{error}");
        }
        assert_eq!(Fault::answer(InjectedAnswer::status(400).code("IOTDA.1")).check(), Ok(()));
    }
}
