//! What the platform's answers mean. The error *code* decides, not the status: 403 has five different causes (protocol
//! notes, "Errors"); and what a code or a status means depends on the call that it answers. The texts differ between
//! versions of the platform and only serve messages.
//!
//! What did not come from the platform is no verdict on the data: a success whose body is a page, and a refusal without a
//! code of the platform's, are [`ErrorKind::Protocol`]. Bodies are read leniently ([`crate::delivery::members`]), and
//! secrets are taken out of them before anything else ([`crate::delivery::redact`]).

use std::fmt::Write;
use std::time::Duration;

use iotda_http::Answer;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::delivery::members::{self, Member};
use crate::delivery::redact::Secrets;
use crate::delivery::token::is_token;
use crate::error::{Answered, Error, ErrorKind, MESSAGE_MAX, Refusal, Result};

/// An access token as the platform issued it.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) token: Zeroizing<String>,
    /// `None`: the answer does not say; valid until it is refused.
    pub(crate) lifetime: Option<Duration>,
}

/// Which call an answer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked<'a> {
    /// Of the device with this id.
    Authentication(&'a str),
    /// As messages name it, such as "the message".
    Report(&'static str),
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

/// What a body says.
#[derive(Debug, Default)]
struct Said {
    code: Option<String>,
    text: Option<String>,
    /// The body is JSON, or begins like it.
    is_json: bool,
    /// There is an `error_code`, of whatever kind.
    is_error: bool,
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
    fn meaning(self, asked: Asked<'_>) -> (ErrorKind, &'static str) {
        match (self, asked) {
            (Code::DeviceRate, _) => (ErrorKind::RateLimited, "wait, then send again: this device reports too often"),
            (Code::TenantRate, _) => {
                (ErrorKind::RateLimited, "wait, then send again: all devices together report too often")
            }
            (Code::AuthenticationFailed | Code::InvalidInput, Asked::Authentication(_)) => {
                (ErrorKind::AuthFailed, CHECK_IDENTITY)
            }
            // Nothing that an authentication could mean by it.
            (_, Asked::Authentication(_)) => (ErrorKind::Protocol, CHECK_ENDPOINT),
            // No secret was sent, so it speaks of the token (protocol notes, "Platform facts").
            (Code::AuthenticationFailed | Code::InvalidToken, Asked::Report(_)) => {
                (ErrorKind::TokenRejected, CHECK_HEADER)
            }
            (Code::InvalidInput, Asked::Report(_)) => (ErrorKind::Rejected, CHECK_MODEL),
            (Code::TooManyChildren, Asked::Report(_)) => (ErrorKind::TooLarge, "send fewer children at a time"),
            (Code::UnknownChild, Asked::Report(_)) => {
                (ErrorKind::UnknownChild, "register the child device on the platform as one of this gateway's")
            }
            (Code::TooLarge, Asked::Report(_)) => (ErrorKind::TooLarge, "send less at a time"),
        }
    }
}

const CHECK_IDENTITY: &str = "check the device's id and secret, and that it is enabled";
const CHECK_HEADER: &str =
    "look for a proxy that drops the header access_token for its underscore: a new token was refused";
const CHECK_MODEL: &str = "compare what was sent with the product model";
const CHECK_ENDPOINT: &str = "check that the endpoint is the platform's device access";
const CHECK_WAY: &str = "look for a proxy or portal on the way: no code of the platform's came";

impl Asked<'_> {
    /// What a refusal by a code that is not documented, or by a status that says enough, is for this call.
    fn refused(self) -> (ErrorKind, &'static str) {
        match self {
            Asked::Authentication(_) => (ErrorKind::AuthFailed, CHECK_IDENTITY),
            Asked::Report(_) => (ErrorKind::Rejected, CHECK_MODEL),
        }
    }
}

/// Whether the platform accepted the request; `secrets` are what it was sent, and must not be shown.
///
/// A success counts as one if its body is empty, white space, or JSON without an `error_code`. JSON that is cut off or
/// damaged counts as well: the status has come, and whoever answers with a page does not begin it like JSON.
pub(crate) fn accepted(answer: &Answer, asked: Asked<'_>, secrets: &[&[u8]]) -> Result<()> {
    let success = (200..300).contains(&answer.status);
    if success && is_plainly_no_error(&answer.body) {
        return Ok(());
    }
    let said = Said::read(&answer.body, &Secrets::new(secrets));
    if success && said.is_json && !said.is_error {
        return Ok(());
    }
    let known = said.code.as_deref().and_then(Code::read);
    let of_platform = said.code.as_deref().is_some_and(|code| code.starts_with("IOTDA."));
    if let (Some(broken), None, true) = (&answer.broken, &said.code, is_explained_by_its_body(answer.status)) {
        return Err(Error::from((**broken).clone()));
    }
    let (kind, advice) = match known {
        Some(code) => code.meaning(asked),
        None => by_status(answer.status, asked, of_platform),
    };
    let is_refused = known.is_some()
        || of_platform && (400..500).contains(&answer.status)
        || matches!(answer.status, 401 | 413 | 429);
    Err(Error::new(kind, message(advice, kind, answer.status, asked, &said))
        .with_arrival(!is_refused && matches!(asked, Asked::Report(_)))
        .with_answer(Answered {
            http_status: answer.status,
            refusal: known.map_or(Refusal::Other, Code::refusal),
            children_limit: children_limit(known, said.text.as_deref()),
            rate_limit: rate_limit(known, said.text.as_deref()),
            platform_code: said.code.unwrap_or_default(),
            retry_after: answer.retry_after,
        }))
}

/// Whether an answer that was [`accepted`] has come whole: half of one may have been about to refuse.
pub(crate) fn is_whole(answer: &Answer) -> bool {
    let body = answer.body.trim_ascii();
    answer.broken.is_none() && (body.is_empty() || serde_json::from_slice::<Value>(body).is_ok())
}

/// Whether a body says nothing, or is JSON that cannot hold an `error_code`: seen without parsing it.
fn is_plainly_no_error(body: &[u8]) -> bool {
    let may_name_it = || body.contains(&b'\\') || body.windows(10).any(|name| name == b"error_code");
    body.trim_ascii().is_empty() || members::is_json_like(body) && !may_name_it()
}

/// Reads the answer to the authentication of `device_id`; `secrets` are what it was sent, and must not be shown.
pub(crate) fn issued(answer: &Answer, device_id: &str, secrets: &[&[u8]]) -> Result<Issued> {
    let asked = Asked::Authentication(device_id);
    if !(200..300).contains(&answer.status) {
        accepted(answer, asked, secrets)?;
    }
    // serde_json would leave copies of the token behind, which nobody wipes.
    let token = match members::find(&answer.body, "access_token") {
        Some(Member::Text(text)) => token(text),
        _ => None,
    };
    let expires = members::find(&answer.body, "expires_in");
    // Half an answer is no fault of the protocol: it may come whole the next time.
    if let (Some(broken), true) = (&answer.broken, token.is_none() || expires.is_none()) {
        return Err(Error::from((**broken).clone()).with_arrival(false));
    }
    match token {
        Some(token) => Ok(Issued { token, lifetime: expires.and_then(seconds) }),
        None => {
            accepted(answer, asked, secrets)?;
            let message = format!(
                "{CHECK_ENDPOINT}: the answer to the authentication of device \"{device_id}\", HTTP {}, holds no usable \
                 access_token",
                answer.status
            );
            Err(Error::new(ErrorKind::Protocol, message)
                .with_answer(Answered { http_status: answer.status, ..Answered::default() }))
        }
    }
}

/// A token from the text of its member.
fn token(text: &[u8]) -> Option<Zeroizing<String>> {
    let mut text = members::unescaped(text);
    let token = String::from_utf8(std::mem::take(&mut *text));
    let token = Zeroizing::new(token.unwrap_or_else(|no_text| {
        drop(Zeroizing::new(no_text.into_bytes()));
        String::new()
    }));
    is_token(&token).then_some(token)
}

/// `expires_in`, as a number or in quotes; a fraction of a second does not matter. What is not a positive number says
/// nothing.
fn seconds(member: Member<'_>) -> Option<Duration> {
    let (Member::Text(text) | Member::Other(text)) = member;
    // Not `parse::<f64>`: it would link 18 kB for this line.
    let (whole, rest) = digits(std::str::from_utf8(text).ok()?.trim());
    let is_fraction = rest.is_empty() || rest.strip_prefix('.').is_some_and(|rest| digits(rest).1.is_empty());
    let seconds = whole.parse().ok().filter(|seconds| *seconds > 0 && is_fraction)?;
    Some(Duration::from_secs(seconds))
}

/// The number of children that the platform takes, if its text names it: "… has reached the upper limit (50)."
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

/// Whether an error with this status means nothing yet without its code.
fn is_explained_by_its_body(status: u16) -> bool {
    !matches!(status, 200..=399 | 401 | 408 | 413 | 429 | 500..=599)
}

/// Without a code that is documented: the best that the status allows. `of_platform`: there is a code of the platform's
/// all the same.
fn by_status(status: u16, asked: Asked<'_>, of_platform: bool) -> (ErrorKind, &'static str) {
    match (status, asked) {
        (401, Asked::Report(_)) => (ErrorKind::TokenRejected, CHECK_HEADER),
        (401, Asked::Authentication(_)) => (ErrorKind::AuthFailed, CHECK_IDENTITY),
        (408 | 500..=599, _) => (ErrorKind::Server, "try again later"),
        (413, Asked::Report(_)) => (ErrorKind::TooLarge, "send less at a time"),
        (429, _) => (ErrorKind::RateLimited, "wait, then send again"),
        (200..=299 | 400..=499, _) if of_platform => asked.refused(),
        (407, _) => (ErrorKind::Protocol, "look for a proxy on the way: it demands a login of its own"),
        (404 | 405, _) => (ErrorKind::Protocol, CHECK_ENDPOINT),
        (200..=299 | 400..=499, _) => (ErrorKind::Protocol, CHECK_WAY),
        (300..=399, _) => (
            ErrorKind::Protocol,
            "check the endpoint: redirects are not followed, they would carry the token elsewhere",
        ),
        _ => (ErrorKind::Protocol, CHECK_ENDPOINT),
    }
}

/// Advice, what happened, and as much of the platform's own text as there is room for.
fn message(advice: &str, kind: ErrorKind, status: u16, asked: Asked<'_>, said: &Said) -> String {
    let verb = if kind == ErrorKind::Protocol { "the answer to" } else { "the platform refused" };
    let mut message = format!("{advice}; {verb} ");
    // Writing into a String cannot fail.
    let _ = match asked {
        Asked::Authentication(device_id) => {
            write!(message, "the authentication of device \"{device_id}\": HTTP {status}")
        }
        Asked::Report(what) => write!(message, "{what}: HTTP {status}"),
    };
    for part in [&said.code, &said.text].into_iter().flatten() {
        message.push(' ');
        message.push_str(part);
    }
    let end = message.len().min(MESSAGE_MAX);
    message.truncate((0..=end).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0));
    message
}

impl Said {
    /// The body may be anything: HTML, cut off, in another encoding, empty.
    fn read(body: &[u8], secrets: &Secrets) -> Said {
        // From here on there is no secret in it, so that nothing that is made of it needs to be wiped.
        let body = secrets.hidden_in(body);
        let (code, text, is_json) = match serde_json::from_slice(&body) {
            Ok(Value::Object(members)) => {
                let text = |name: &str| match members.get(name)? {
                    Value::Null => None,
                    Value::String(text) => Some(Some(text.as_bytes().to_vec())),
                    _ => Some(None),
                };
                (text("error_code"), text("error_msg"), true)
            }
            Ok(_) => (None, None, true),
            Err(_) => {
                let text = |name: &str| {
                    members::find(&body, name).filter(|member| *member != Member::Other(b"null")).map(|member| {
                        match member {
                            Member::Text(text) => Some(members::unescaped(text).to_vec()),
                            Member::Other(_) => None,
                        }
                    })
                };
                (text("error_code"), text("error_msg"), members::is_json_like(&body))
            }
        };
        let is_error = code.as_ref().is_some_and(|code| code.as_ref().is_none_or(|code| !code.is_empty()));
        // 23 bytes are what the C struct holds; a longer code is not one of the platform's, nor one with other characters.
        let is_code = |code: &String| {
            (1..24).contains(&code.len())
                && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        Said {
            code: code.flatten().and_then(|code| shown(&code, secrets)).filter(is_code),
            text: text.flatten().and_then(|text| shown(&text, secrets)),
            is_json,
            is_error,
        }
    }
}

/// A text of the server's, safe to show; `None`: there is nothing in it.
fn shown(text: &[u8], secrets: &Secrets) -> Option<String> {
    // Once more: escapes may have hidden a secret, and whoever wrote the text may have cut one off at its end.
    let text = secrets.hidden_in_cut(text);
    let text: String = String::from_utf8_lossy(&text)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MESSAGE_MAX)
        .collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests;
