//! What the platform's answers mean. The error *code* decides, not the status: 403 has five different
//! causes (protocol notes, "Errors"). The texts differ between versions of the platform and only serve
//! messages.

use std::time::Duration;

use iotda_http::Answer;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::delivery::token::is_token;
use crate::error::{Answered, Error, ErrorKind, Refusal, Result};

/// An access token as the platform issued it.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) token: Zeroizing<String>,
    pub(crate) lifetime: Duration,
}

/// The error codes that the HTTPS access page documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    AuthenticationFailed,
    InvalidToken,
    InvalidInput,
    DeviceRate,
    TenantRate,
    TooManyChildren,
    UnknownChild,
    TooLarge,
}

impl Code {
    fn read(code: &str) -> Option<Code> {
        Some(match code {
            "IOTDA.000002" => Code::AuthenticationFailed,
            "IOTDA.000004" => Code::InvalidToken,
            "IOTDA.000006" => Code::InvalidInput,
            "IOTDA.021101" => Code::DeviceRate,
            "IOTDA.021102" => Code::TenantRate,
            "IOTDA.021103" => Code::TooManyChildren,
            "IOTDA.021104" => Code::UnknownChild,
            "IOTDA.021105" => Code::TooLarge,
            _ => return None,
        })
    }

    fn refusal(self) -> Refusal {
        match self {
            Code::TenantRate => Refusal::TenantRate,
            Code::TooManyChildren => Refusal::TooManyChildren,
            _ => Refusal::Other,
        }
    }

    /// What a caller does about it, and the advice to give.
    fn meaning(self) -> (ErrorKind, &'static str) {
        match self {
            Code::AuthenticationFailed => (
                ErrorKind::AuthFailed,
                "the device id or its secret is wrong, or the device is disabled; with sign type 1, also check the clock",
            ),
            Code::InvalidToken => (
                ErrorKind::TokenRejected,
                "a new token was refused as well; a proxy on the way may drop the header access_token because of its underscore",
            ),
            Code::InvalidInput => (ErrorKind::Rejected, "compare what was sent with the product model"),
            Code::DeviceRate => (ErrorKind::RateLimited, "this device reports too often; wait, then send again"),
            Code::TenantRate => {
                (ErrorKind::RateLimited, "all devices together report too often; wait, then send again")
            }
            Code::TooManyChildren => (ErrorKind::TooLarge, "send fewer children at a time"),
            Code::UnknownChild => {
                (ErrorKind::UnknownChild, "a child device does not exist or does not belong to this gateway")
            }
            Code::TooLarge => (ErrorKind::TooLarge, "send less at a time"),
        }
    }
}

/// Whether the platform accepted the request; `what` names it in the message, such as "the message".
pub(crate) fn accepted(answer: &Answer, what: &str) -> Result<()> {
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    let (code, text) = code_and_text(&answer.body);
    let known = code.as_deref().and_then(Code::read);
    let (kind, advice) = match known {
        Some(code) => code.meaning(),
        None => by_status(answer.status),
    };
    let mut message = format!("the platform refused {what}: HTTP {}", answer.status);
    for part in [&code, &text].into_iter().flatten() {
        message.push(' ');
        message.push_str(part);
    }
    message.push_str("; ");
    message.push_str(advice);
    Err(Error::new(kind, message).with_answer(Answered {
        http_status: answer.status,
        refusal: known.map_or(Refusal::Other, Code::refusal),
        children_limit: children_limit(known, text.as_deref()),
        rate_limit: rate_limit(known, text.as_deref()),
        platform_code: code.unwrap_or_default(),
        retry_after: answer.retry_after,
    }))
}

/// Reads the answer to an authentication.
pub(crate) fn issued(answer: &Answer) -> Result<Issued> {
    accepted(answer, "the authentication")?;
    let fault = |why: &str| {
        Error::new(
            ErrorKind::Protocol,
            format!("the answer to the authentication {why}; check that the endpoint is the platform's device access"),
        )
        .with_answer(Answered { http_status: answer.status, ..Answered::default() })
    };
    let mut body: Value = serde_json::from_slice(&answer.body).map_err(|_| fault("is not JSON"))?;
    let token = match body.get_mut("access_token").map(Value::take) {
        Some(Value::String(token)) => Zeroizing::new(token),
        _ => return Err(fault("holds no access_token")),
    };
    if !is_token(&token) {
        return Err(fault("holds an access_token that is no header value"));
    }
    match body.get("expires_in").and_then(Value::as_u64) {
        Some(seconds) if seconds > 0 => Ok(Issued { token, lifetime: Duration::from_secs(seconds) }),
        _ => Err(fault("does not say how long the token is valid (expires_in)")),
    }
}

/// The number of children that the platform takes, if its text tells: "… has reached the upper limit (50)."
fn children_limit(code: Option<Code>, text: Option<&str>) -> Option<usize> {
    code.filter(|code| *code == Code::TooManyChildren)?;
    let (_, after) = text?.rsplit_once('(')?;
    after.split_once(')')?.0.trim().parse().ok().filter(|limit| *limit > 0)
}

/// The tenant's rate, if the text names it: "… the upper limit of the tenant, limit 100." Only a number right behind
/// the last "limit" counts, with what may stand between them in a sentence; a number with a unit other than the second
/// does not.
fn rate_limit(code: Option<Code>, text: Option<&str>) -> Option<f64> {
    code.filter(|code| *code == Code::TenantRate)?;
    let text = text?.to_ascii_lowercase();
    let (_, after) = text.rsplit_once("limit")?;
    let after = after.trim_start_matches(|c: char| c.is_whitespace() || "(:=,[\"'".contains(c));
    let after = after.strip_prefix("is ").unwrap_or(after).trim_start();
    let (number, rest) = digits(after);
    let (fraction, rest) = match rest.strip_prefix('.').map(digits) {
        Some((fraction, rest)) if !fraction.is_empty() => (fraction, rest),
        _ => ("", rest),
    };
    let mut behind = rest.chars();
    let sentence_goes_on = match behind.next() {
        None => false,
        Some(mark) => !".,;)]\"'".contains(mark) || behind.next().is_some_and(|c| c.is_ascii_digit()),
    };
    let per_second = ["/s", "per second", "qps", "tps", "times/s", "requests/s"];
    if sentence_goes_on && !per_second.iter().any(|unit| rest.trim_start().starts_with(unit)) {
        return None;
    }
    // Not `parse::<f64>`: it would link 18 kB for this line.
    let whole: u32 = number.parse().ok()?;
    let thousandths = fraction.bytes().take(3).zip([100, 10, 1]).map(|(digit, place)| u32::from(digit - b'0') * place);
    let limit = f64::from(whole) + f64::from(thousandths.sum::<u32>()) / 1000.0;
    (limit > 0.0).then_some(limit)
}

/// The decimal digits at the start of `text`, and the rest.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// Without a code that we know: the best that the status allows.
fn by_status(status: u16) -> (ErrorKind, &'static str) {
    match status {
        401 => (ErrorKind::AuthFailed, "check the device id and the secret"),
        403 => (
            ErrorKind::Rejected,
            "the answer has none of the platform's error codes: a proxy on the way may have refused it",
        ),
        404 | 405 => (ErrorKind::Rejected, "check that the endpoint is the platform's device access"),
        408 | 500..=599 => (ErrorKind::Server, "try again later"),
        413 => (ErrorKind::TooLarge, "send less at a time"),
        429 => (ErrorKind::RateLimited, "wait, then send again"),
        300..=399 => (
            ErrorKind::Protocol,
            "redirects are not followed, since they would carry the token elsewhere; check the endpoint",
        ),
        400..=499 => (ErrorKind::Rejected, "compare what was sent with the product model"),
        _ => (ErrorKind::Protocol, "this is no answer of the platform's; check the endpoint"),
    }
}

/// `error_code` and `error_msg`, made safe to show; either may be missing, and the body may be
/// anything: HTML, cut off, empty.
fn code_and_text(body: &[u8]) -> (Option<String>, Option<String>) {
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else { return (None, None) };
    let text = |name: &str, most: usize| match members.get(name) {
        Some(Value::String(text)) if !text.is_empty() => {
            Some(text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most).collect::<String>())
        }
        _ => None,
    };
    // 23 bytes are what the C struct holds; a longer code is not one of the platform's.
    let code = text("error_code", 24).filter(|code| code.len() < 24);
    (code, text("error_msg", 120))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, body: body.as_bytes().to_vec().into(), ..Answer::default() }
    }

    fn refusal(status: u16, body: &str) -> Error {
        accepted(&answer(status, body), "the report").unwrap_err()
    }

    #[test]
    fn every_documented_code() {
        for (status, code, kind) in [
            (400, "IOTDA.000006", ErrorKind::Rejected),
            (400, "IOTDA.021104", ErrorKind::UnknownChild),
            (401, "IOTDA.000002", ErrorKind::AuthFailed),
            (403, "IOTDA.000004", ErrorKind::TokenRejected),
            (403, "IOTDA.021101", ErrorKind::RateLimited),
            (403, "IOTDA.021102", ErrorKind::RateLimited),
            (403, "IOTDA.021103", ErrorKind::TooLarge),
            (403, "IOTDA.021105", ErrorKind::TooLarge),
        ] {
            let error = refusal(status, &format!(r#"{{"error_code":"{code}","error_msg":"Some text."}}"#));
            assert_eq!(error.kind(), kind, "{code}");
            assert_eq!(error.platform_code(), Some(code));
            assert_eq!(error.http_status(), Some(status));
            let start = format!("the platform refused the report: HTTP {status} {code} Some text.; ");
            assert!(error.message().starts_with(&start), "{error}");
        }
    }

    #[test]
    fn the_code_decides_and_not_the_status_or_the_text() {
        let error = refusal(500, r#"{"error_code":"IOTDA.021101","error_msg":"Invalid access token."}"#);
        assert_eq!(error.kind(), ErrorKind::RateLimited);
    }

    #[test]
    fn bodies_that_say_nothing() {
        let html = "<html><body>403 Forbidden</body></html>";
        for body in ["", html, r#"{"error_code":"IOTDA.0000"#, "[]", "null", r#"{"error_code":7}"#, "\u{0}"] {
            for (status, kind) in [
                (400, ErrorKind::Rejected),
                (401, ErrorKind::AuthFailed),
                (403, ErrorKind::Rejected),
                (404, ErrorKind::Rejected),
                (408, ErrorKind::Server),
                (413, ErrorKind::TooLarge),
                (429, ErrorKind::RateLimited),
                (500, ErrorKind::Server),
                (503, ErrorKind::Server),
                (302, ErrorKind::Protocol),
                (101, ErrorKind::Protocol),
                (700, ErrorKind::Protocol),
            ] {
                let error = refusal(status, body);
                assert_eq!(error.kind(), kind, "{status} {body}");
                assert_eq!(error.platform_code(), None);
            }
        }
    }

    #[test]
    fn an_unknown_code_is_shown_and_the_status_decides() {
        let error = refusal(400, r#"{"error_code":"IOTDA.999999","error_msg":"New.\r\nX: y"}"#);
        assert_eq!((error.kind(), error.platform_code()), (ErrorKind::Rejected, Some("IOTDA.999999")));
        assert!(error.message().contains("New.  X: y"), "{error}");
        let long = format!(r#"{{"error_code":"{0}","error_msg":"{0}"}}"#, "x".repeat(5_000));
        let error = refusal(400, &long);
        assert_eq!(error.platform_code(), None);
        assert!(error.message().len() < 400);
    }

    #[test]
    fn success_needs_no_body() {
        accepted(&answer(200, ""), "the report").unwrap();
        accepted(&answer(204, "whatever"), "the report").unwrap();
    }

    #[test]
    fn the_limit_of_children_is_read_from_the_text() {
        for (text, limit) in [
            ("The number of child devices in the request has reached the upper limit (20).", Some(20)),
            ("(a) limit ( 7 )", Some(7)),
            ("limit (0)", None),
            ("limit (%s)", None),
            ("no number", None),
            ("(", None),
        ] {
            assert_eq!(children_limit(Some(Code::TooManyChildren), Some(text)), limit, "{text}");
        }
        assert_eq!(children_limit(Some(Code::TenantRate), Some("limit (10)")), None);
        let error = refusal(403, r#"{"error_code":"IOTDA.021103","error_msg":"limit (20)"}"#);
        assert_eq!((error.answer().refusal, error.answer().children_limit), (Refusal::TooManyChildren, Some(20)));
    }

    #[test]
    fn the_tenants_rate_is_read_from_the_text() {
        for (text, limit) in [
            ("The request rate has reached the upper limit of the tenant, limit 100.", Some(100.0)),
            ("limit 100", Some(100.0)),
            ("Limit: 6000", Some(6000.0)),
            ("limit (20).", Some(20.0)),
            ("limit is 7", Some(7.0)),
            ("limit 0.5", Some(0.5)),
            ("limit 100/s.", Some(100.0)),
            ("limit 100 per second", Some(100.0)),
            ("limit 100. Try again later.", Some(100.0)),
            ("limit 100, try again later", Some(100.0)),
            // Not a rate by the second.
            ("limit 10000 messages a day", None),
            ("limit 600/min", None),
            ("limit 1,000", None),
            ("limit 0", None),
            ("limit -5", None),
            ("limit %s.", None),
            ("limit", None),
            ("100", None),
            ("", None),
        ] {
            assert_eq!(rate_limit(Some(Code::TenantRate), Some(text)), limit, "{text}");
        }
        let long = format!("limit {}", "9".repeat(400));
        assert_eq!(rate_limit(Some(Code::TenantRate), Some(&long)), None);
        assert_eq!(rate_limit(Some(Code::DeviceRate), Some("limit 10")), None);
        let error = refusal(403, r#"{"error_code":"IOTDA.021102","error_msg":"of the tenant, limit 12."}"#);
        assert_eq!((error.answer().refusal, error.answer().rate_limit), (Refusal::TenantRate, Some(12.0)));
    }

    #[test]
    fn a_token_is_read() {
        let issued = issued(&answer(200, r#"{"access_token":"abc","expires_in":86399,"more":1}"#)).unwrap();
        assert_eq!((issued.token.as_str(), issued.lifetime), ("abc", Duration::from_secs(86_399)));
    }

    #[test]
    fn answers_without_a_usable_token_are_no_success() {
        for body in [
            "",
            "<html>",
            "[]",
            r#"{"access_token":"abc""#,
            r#"{"expires_in":1}"#,
            r#"{"access_token":"","expires_in":1}"#,
            r#"{"access_token":7,"expires_in":1}"#,
            r#"{"access_token":"a b","expires_in":1}"#,
            r#"{"access_token":"a\r\nb","expires_in":1}"#,
            r#"{"access_token":"abc"}"#,
            r#"{"access_token":"abc","expires_in":0}"#,
            r#"{"access_token":"abc","expires_in":-1}"#,
            r#"{"access_token":"abc","expires_in":"86399"}"#,
        ] {
            let error = issued(&answer(200, body)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{body}");
            assert!(!error.message().contains("abc"), "{error}");
        }
        assert_eq!(issued(&answer(401, "")).unwrap_err().kind(), ErrorKind::AuthFailed);
    }
}
