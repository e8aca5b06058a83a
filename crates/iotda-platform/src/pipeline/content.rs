//! The steps that look at a body as a whole: its size, what it counts against the rates, its declared type. What it
//! says is left to `services`, `batch` and `credentials`.

use crate::journal::ReportKind;
use crate::refusal::Refusal;
use crate::request::{BODY_LIMIT, Body, Headers};

/// What a report counts once for, in bytes: from the vendor's page of product specifications.
const COUNTED_BYTES: usize = 4096;

/// The body, if all of it came and it is not over the limit.
pub(super) fn complete(body: &Body) -> Result<&[u8], Refusal> {
    match body {
        Body::Complete(bytes) => Ok(bytes),
        Body::TooLarge { at_least, .. } => {
            Err(Refusal::invalid_input(format!("the body has {at_least} bytes or more, {BODY_LIMIT} are allowed")))
        }
        Body::Broken { error, .. } => Err(Refusal::invalid_input(format!("the body did not arrive whole: {error}"))),
    }
}

/// The body of a report, if it is not too large. A message must be smaller than the limit, the page says; the others
/// may reach it. The page gives messages no error code for it but that of invalid input.
pub(super) fn within_size(kind: ReportKind, body: &Body) -> Result<&[u8], Refusal> {
    match (kind, body) {
        (ReportKind::Message, Body::Complete(bytes)) if bytes.len() >= BODY_LIMIT => {
            Err(Refusal::invalid_input(format!("the message has {BODY_LIMIT} bytes: it must have fewer")))
        }
        (ReportKind::Properties | ReportKind::Batch, Body::TooLarge { at_least, .. }) => {
            Err(Refusal::too_large(format!("the body has {at_least} bytes or more, {BODY_LIMIT} are allowed")))
        }
        _ => complete(body),
    }
}

/// What a report counts against the rates: once per started 4 KB.
pub(super) fn cost(body: &[u8]) -> u64 {
    body.len().div_ceil(COUNTED_BYTES).max(1) as u64
}

/// Every example of the page sends `Content-Type: application/json`, and no other type is documented. Parameters, such
/// as a character set, may follow it.
pub(super) fn check_type(headers: &Headers) -> Result<(), Refusal> {
    let content_type = headers
        .single("content-type")
        .map_err(Refusal::invalid_input)?
        .ok_or_else(|| Refusal::invalid_input("the header Content-Type is missing: send application/json"))?;
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Refusal::invalid_input(format!("the header Content-Type is {content_type:?}: send application/json")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(kind: ReportKind, length: usize) -> Option<(u16, &'static str)> {
        let body = if length <= BODY_LIMIT {
            Body::Complete(vec![0; length])
        } else {
            Body::TooLarge { start: Vec::new(), at_least: length as u64 }
        };
        within_size(kind, &body).err().map(|refusal| (refusal.status, refusal.code))
    }

    #[test]
    fn sizes_at_the_limit() {
        let invalid = Some((400, "IOTDA.000006"));
        let too_large = Some((403, "IOTDA.021105"));
        assert_eq!(outcome(ReportKind::Message, 0), None);
        assert_eq!(outcome(ReportKind::Message, BODY_LIMIT - 1), None);
        assert_eq!(outcome(ReportKind::Message, BODY_LIMIT), invalid);
        assert_eq!(outcome(ReportKind::Message, BODY_LIMIT + 1), invalid);
        for kind in [ReportKind::Properties, ReportKind::Batch] {
            assert_eq!(outcome(kind, BODY_LIMIT), None);
            assert_eq!(outcome(kind, BODY_LIMIT + 1), too_large);
        }
    }

    #[test]
    fn a_body_that_broke_off_is_invalid() {
        let body = Body::Broken { start: b"{".to_vec(), error: "end of file".to_owned() };
        assert_eq!(within_size(ReportKind::Properties, &body).expect_err("a refusal").code, "IOTDA.000006");
    }

    #[test]
    fn a_report_counts_once_per_started_4_kb() {
        for (length, expected) in [(0, 1), (1, 1), (4096, 1), (4097, 2), (8192, 2), (BODY_LIMIT, 256)] {
            assert_eq!(cost(&vec![0; length]), expected, "{length} bytes");
        }
    }

    #[test]
    fn types() {
        let check = |value: &str| check_type(&Headers(vec![("Content-Type".to_owned(), value.to_owned())])).is_ok();
        for good in ["application/json", "Application/JSON", "application/json;charset=UTF-8", "application/json ; a=b"]
        {
            assert!(check(good), "{good}");
        }
        for bad in
            ["", "text/plain", "application/json-patch", "application/octet-stream", "json", "a;application/json"]
        {
            assert!(!check(bad), "{bad}");
        }
        assert!(check_type(&Headers::default()).is_err());
    }
}
