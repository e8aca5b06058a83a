//! What each answer means for the call that it answers, and what is shown of it.

use super::*;
use iotda_http::{Arrived, Kind};
use proptest::prelude::*;

const REPORT: Asked<'_> = Asked::Report("the report");
const AUTHENTICATION: Asked<'_> = Asked::Authentication("device-1");

fn answer(status: u16, body: impl AsRef<[u8]>) -> Answer {
    Answer { status, body: body.as_ref().to_vec().into(), ..Answer::default() }
}

/// An answer whose body broke off.
fn broken(status: u16, body: &str) -> Answer {
    let error = iotda_http::Error { arrived: Arrived::Perhaps, ..iotda_http::Error::new(Kind::Connect, "closed") };
    Answer { broken: Some(Box::new(error)), ..answer(status, body) }
}

fn refusal(status: u16, body: impl AsRef<[u8]>) -> Error {
    accepted(&answer(status, body), REPORT, &[]).unwrap_err()
}

fn coded(code: &str) -> String {
    format!(r#"{{"error_code":"{code}","error_msg":"Some text."}}"#)
}

#[test]
fn every_documented_code_for_each_call() {
    for (status, code, of_report, of_authentication) in [
        (400, "IOTDA.000006", ErrorKind::Rejected, ErrorKind::AuthFailed),
        (400, "IOTDA.021104", ErrorKind::UnknownChild, ErrorKind::Protocol),
        (401, "IOTDA.000002", ErrorKind::TokenRejected, ErrorKind::AuthFailed),
        (403, "IOTDA.000004", ErrorKind::TokenRejected, ErrorKind::Protocol),
        (403, "IOTDA.021101", ErrorKind::RateLimited, ErrorKind::RateLimited),
        (403, "IOTDA.021102", ErrorKind::RateLimited, ErrorKind::RateLimited),
        (403, "IOTDA.021103", ErrorKind::TooLarge, ErrorKind::Protocol),
        (403, "IOTDA.021105", ErrorKind::TooLarge, ErrorKind::Protocol),
        // Not documented, but the platform's own word.
        (403, "IOTDA.999999", ErrorKind::Rejected, ErrorKind::AuthFailed),
        (500, "IOTDA.999999", ErrorKind::Server, ErrorKind::Server),
    ] {
        for (asked, kind) in [(REPORT, of_report), (AUTHENTICATION, of_authentication)] {
            let error = accepted(&answer(status, coded(code)), asked, &[]).unwrap_err();
            assert_eq!(error.kind(), kind, "{code} {asked:?}");
            assert_eq!((error.platform_code(), error.http_status()), (Some(code), Some(status)));
            assert!(!error.may_have_arrived() || status == 500 && asked == REPORT, "{code} {asked:?}");
            let end = format!(": HTTP {status} {code} Some text.");
            assert!(error.message().ends_with(&end), "{error}");
            // Whatever an authentication meets is no verdict on the report that needed it.
            assert!(asked == REPORT || error.is_transient(), "{code}");
        }
    }
}

#[test]
fn the_code_decides_and_not_the_status_or_the_text() {
    for status in [200, 302, 500] {
        let error = refusal(status, r#"{"error_code":"IOTDA.021101","error_msg":"Invalid access token."}"#);
        assert_eq!((error.kind(), error.may_have_arrived()), (ErrorKind::RateLimited, false), "{status}");
    }
    for (code, of_report, of_authentication) in [
        ("IOTDA.000002", ErrorKind::TokenRejected, ErrorKind::AuthFailed),
        ("IOTDA.000004", ErrorKind::TokenRejected, ErrorKind::Protocol),
        ("IOTDA.000006", ErrorKind::Rejected, ErrorKind::AuthFailed),
        ("IOTDA.021101", ErrorKind::RateLimited, ErrorKind::RateLimited),
        ("IOTDA.021102", ErrorKind::RateLimited, ErrorKind::RateLimited),
        ("IOTDA.021103", ErrorKind::TooLarge, ErrorKind::Protocol),
        ("IOTDA.021104", ErrorKind::UnknownChild, ErrorKind::Protocol),
        ("IOTDA.021105", ErrorKind::TooLarge, ErrorKind::Protocol),
    ] {
        for status in [200, 302, 400, 401, 403, 404, 413, 429, 500] {
            for (asked, kind) in [(REPORT, of_report), (AUTHENTICATION, of_authentication)] {
                let error = accepted(&answer(status, coded(code)), asked, &[]).unwrap_err();
                assert_eq!((error.kind(), error.may_have_arrived()), (kind, false), "{status} {code} {asked:?}");
            }
        }
    }
}

#[test]
fn the_message_advises_by_the_status_where_no_code_came() {
    for (status, body, start) in [
        (
            302,
            "",
            "check the endpoint: redirects are not followed, they would carry the token elsewhere; the answer to",
        ),
        (401, "", "look for a proxy that drops the header access_token"),
        (403, "", "look for a proxy or portal on the way: no code of the platform's came; the answer to the report"),
        (404, "", "check that the endpoint is the platform's device access; the answer to the report: HTTP 404"),
        (405, "", "check that the endpoint is the platform's device access; the answer to the report: HTTP 405"),
        (407, "", "look for a proxy on the way: it demands a login of its own; the answer to the report: HTTP 407"),
        (413, "", "send less at a time; the platform refused the report: HTTP 413"),
        (429, "", "wait, then send again; the platform refused the report: HTTP 429"),
        (503, "", "try again later; the platform refused the report: HTTP 503"),
        (700, "", "check that the endpoint is the platform's device access; the answer to the report: HTTP 700"),
        // With a code of the platform's, even an unknown one, the status says nothing of what is on the way.
        (
            404,
            "IOTDA.999999",
            "compare what was sent with the product model; the platform refused the report: HTTP 404",
        ),
        (
            407,
            "IOTDA.999999",
            "compare what was sent with the product model; the platform refused the report: HTTP 407",
        ),
    ] {
        let body = if body.is_empty() { String::new() } else { coded(body) };
        let error = refusal(status, body);
        assert!(error.message().starts_with(start), "{error}");
    }
}

#[test]
fn the_code_is_found_in_damaged_bodies() {
    let long = format!(r#"{{"a":"{}","error_code":"IOTDA.021101"}}"#, "x".repeat(60_000));
    let deep = format!(r#"{{"a":{},"error_code":"IOTDA.021101"}}"#, "[".repeat(300) + &"]".repeat(300));
    for body in [
        &b"\xef\xbb\xbf{\"error_code\":\"IOTDA.021101\"}"[..],
        b"{\"error_code\":\"IOTDA.021101\",\"error_msg\":\"\xc7\xeb\xc7\xf3\xb3\xac\xcf\xde",
        b"{\"error_msg\":\"\xc7\xeb\\\xd5\x5c\",\"error_code\":\"IOTDA.021101\"}",
        b"{\"error_msg\":\"caf\xe9\n\",\"error_code\":\"IOTDA.021101\"}\0",
        br#"{"error_msg":"\udc00","n":1e999,"error_code":"IOTDA.021101"}"#,
        long.as_bytes(),
        deep.as_bytes(),
    ] {
        assert_eq!(refusal(403, body).kind(), ErrorKind::RateLimited, "{}", String::from_utf8_lossy(body));
        let mut half = broken(403, "");
        half.body = body.to_vec().into();
        assert_eq!(accepted(&half, REPORT, &[]).unwrap_err().kind(), ErrorKind::RateLimited);
    }
}

#[test]
fn an_error_that_broke_off_before_its_code_is_a_broken_connection() {
    for (status, kind) in [
        (400, ErrorKind::Connect),
        (403, ErrorKind::Connect),
        (404, ErrorKind::Connect),
        // They speak for themselves.
        (401, ErrorKind::TokenRejected),
        (413, ErrorKind::TooLarge),
        (429, ErrorKind::RateLimited),
        (503, ErrorKind::Server),
    ] {
        for body in ["", r#"{"error_code":"IOTDA.0211"#, "<html"] {
            let error = accepted(&broken(status, body), REPORT, &[]).unwrap_err();
            assert_eq!(error.kind(), kind, "{status} {body}");
            assert_eq!(error.may_have_arrived(), !matches!(status, 401 | 413 | 429), "{status}");
        }
    }
}

#[test]
fn what_is_not_the_platforms_is_no_verdict_on_the_data() {
    let html = "<html><body>403 Forbidden</body></html>";
    for body in ["", html, r#"{"error_code":"IOTDA.0000"#, "[]", "null", r#"{"error_code":7}"#, "\u{0}", &coded("X.1")]
    {
        for (status, kind) in [
            (400, ErrorKind::Protocol),
            (401, ErrorKind::TokenRejected),
            (403, ErrorKind::Protocol),
            (404, ErrorKind::Protocol),
            (407, ErrorKind::Protocol),
            (408, ErrorKind::Server),
            (413, ErrorKind::TooLarge),
            (422, ErrorKind::Protocol),
            (429, ErrorKind::RateLimited),
            (500, ErrorKind::Server),
            (503, ErrorKind::Server),
            (302, ErrorKind::Protocol),
            (101, ErrorKind::Protocol),
            (700, ErrorKind::Protocol),
        ] {
            let error = refusal(status, body);
            assert_eq!(error.kind(), kind, "{status} {body}");
            assert_eq!(error.may_have_arrived(), !matches!(status, 401 | 413 | 429), "{status}");
            let of_authentication = accepted(&answer(status, body), AUTHENTICATION, &[]).unwrap_err();
            assert!(of_authentication.is_transient() && !of_authentication.may_have_arrived(), "{status} {body}");
            assert!(!of_authentication.message().contains("product model"), "{of_authentication}");
        }
    }
}

#[test]
fn successes() {
    for body in
        ["", " \r\n", "{}", "[]", r#"{"a":1}"#, "null", r#""ok""#, r#"{"error_code":null}"#, r#"{"error_code":""}"#]
    {
        accepted(&answer(200, body), REPORT, &[]).unwrap_or_else(|error| panic!("{body}: {error}"));
    }
    accepted(&answer(204, ""), REPORT, &[]).unwrap();
    // The status has come; damage behind it changes nothing.
    for body in [r#"{"resul"#, r#"{"a\"#, "\u{feff}{\"a\":1}", "[1,"] {
        accepted(&answer(200, body), REPORT, &[]).unwrap();
        accepted(&broken(200, body), REPORT, &[]).unwrap();
    }
    accepted(&broken(200, ""), REPORT, &[]).unwrap();
}

#[test]
fn pages_and_errors_with_the_status_of_a_success_are_none() {
    for body in ["<!DOCTYPE html><html>", "OK", "login required", "\u{0}", r#"{"error_code":7}"#, &coded("X.1")] {
        let error = refusal(200, body);
        assert_eq!((error.kind(), error.may_have_arrived()), (ErrorKind::Protocol, true), "{body}");
        assert!(error.message().starts_with("look for a proxy or portal on the way"), "{error}");
    }
    assert_eq!(refusal(200, coded("IOTDA.000006")).kind(), ErrorKind::Rejected);
    assert_eq!(refusal(200, coded("IOTDA.999999")).kind(), ErrorKind::Rejected);
    assert_eq!(refusal(200, r#"{"error\u005fcode":"IOTDA.000004"}"#).kind(), ErrorKind::TokenRejected);
}

#[test]
fn what_the_server_writes_is_safe_to_show_and_never_too_long() {
    let error = refusal(400, r#"{"error_code":"IOTDA.999999","error_msg":"New.\r\nX: y"}"#);
    assert!(error.message().contains("New.  X: y"), "{error}");
    for code in ["x".repeat(24), "a b".to_owned(), "é".to_owned(), "\\n".to_owned()] {
        assert_eq!(refusal(400, coded(&code)).platform_code(), None, "{code}");
    }
    let device = "d".repeat(64);
    let text = "é".repeat(5_000);
    for status in [200, 302, 400, 401, 403, 404, 407, 413, 429, 503, 700] {
        for code in ["IOTDA.000002", "IOTDA.000006", "IOTDA.021102", "IOTDA.021104", "APIGW.0301", ""] {
            for asked in [Asked::Authentication(&device), Asked::Report("the property report")] {
                let body = format!(r#"{{"error_code":"{code}","error_msg":"{text}"}}"#);
                if let Err(error) = accepted(&answer(status, body), asked, &[]) {
                    assert!(error.message().len() <= MESSAGE_MAX && error.message().len() > 200, "{error}");
                    let before_text = error.message().split('é').next().unwrap();
                    assert!(before_text.contains(&format!("HTTP {status}")), "{error}");
                }
            }
        }
    }
}

#[test]
fn what_was_sent_is_never_shown() {
    let token = "0123456789abcdef0123456789abcdef";
    let escaped: String = token.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    for echo in [
        token.to_owned(),
        token.to_uppercase(),
        escaped,
        // Cut off by whoever wrote it, or where our own room ends.
        token[..20].to_owned(),
        format!("{}{token}", "x".repeat(100)),
    ] {
        for body in [
            format!(r#"{{"error_code":"IOTDA.000006","error_msg":"bad header: {echo}"}}"#),
            format!(r#"{{"error_code":"IOTDA.000006","error_msg":"bad header: {echo}"}}"#) + "\u{0}",
            format!(r#"{{"error_code":"{}"}}"#, &echo[..20]),
        ] {
            let error = accepted(&answer(400, &body), REPORT, &[token.as_bytes()]).unwrap_err();
            let shown = format!("{error:?}").to_lowercase();
            assert!(!shown.contains(&token[..8]), "{shown}");
        }
    }
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

fn read(answer: &Answer) -> Result<(String, Option<f64>)> {
    let issued = issued(answer, "device-1", &[])?;
    Ok((issued.token.to_string(), issued.lifetime.map(|lifetime| lifetime.as_secs_f64())))
}

#[test]
fn a_token_is_read_however_it_is_written() {
    for (body, token, lifetime) in [
        (r#"{"access_token":"abc","expires_in":86399,"more":1}"#, "abc", Some(86_399.0)),
        (r#"{"access_token":"abc","expires_in":"86399"}"#, "abc", Some(86_399.0)),
        (r#"{"access_token":"abc","expires_in":86399.0}"#, "abc", Some(86_399.0)),
        (r#"{"access_token":"abc","expires_in":99999999999999999999}"#, "abc", None),
        (r#"{"access_token":"abc","expires_in":18446744073709551615}"#, "abc", Some(u64::MAX as f64)),
        (r#"{"access_token":"a\/\u0062","expires_in":1}"#, "a/b", Some(1.0)),
        ("\u{feff}{\"expires_in\": 7 ,\"access_token\": \"abc\"}\u{0}", "abc", Some(7.0)),
        // Valid until it is refused.
        (r#"{"access_token":"abc"}"#, "abc", None),
        (r#"{"access_token":"abc""#, "abc", None),
        (r#"{"access_token":"abc","expires_in":0}"#, "abc", None),
        (r#"{"access_token":"abc","expires_in":-1}"#, "abc", None),
        (r#"{"access_token":"abc","expires_in":null}"#, "abc", None),
        (r#"{"access_token":"abc","expires_in":1e999}"#, "abc", None),
        (r#"{"access_token":"abc","expires_in":"soon"}"#, "abc", None),
    ] {
        assert_eq!(read(&answer(200, body)).unwrap(), (token.to_owned(), lifetime), "{body}");
    }
    assert_eq!(read(&broken(200, r#"{"access_token":"abc","expires_in":7,"mo"#)).unwrap().0, "abc");
}

#[test]
fn half_an_authentication_is_a_broken_connection() {
    for body in ["", r#"{"access_token":"ab"#, r#"{"access_token":"abc","#, r#"{"access_token":"abc","expires_in":86"#]
    {
        let error = read(&broken(200, body)).unwrap_err();
        assert_eq!((error.kind(), error.may_have_arrived()), (ErrorKind::Connect, false), "{body}");
    }
}

#[test]
fn answers_without_a_usable_token_are_no_success() {
    for body in [
        "",
        "<html>",
        "[]",
        r#"{"expires_in":1}"#,
        r#"{"access_token":"","expires_in":1}"#,
        r#"{"access_token":7,"expires_in":1}"#,
        r#"{"access_token":"abc d","expires_in":1}"#,
        r#"{"access_token":"abc\r\nd","expires_in":1}"#,
        r#"{"access_token":"abcé","expires_in":1}"#,
        r#"{"data":{"access_token":"abc"}}"#,
    ] {
        let error = read(&answer(200, body)).unwrap_err();
        assert_eq!((error.kind(), error.http_status()), (ErrorKind::Protocol, Some(200)), "{body}");
        assert!(!error.message().contains("abc"), "{error}");
    }
    assert_eq!(read(&answer(401, "")).unwrap_err().kind(), ErrorKind::AuthFailed);
    for (status, kind) in [(302, ErrorKind::Protocol), (401, ErrorKind::AuthFailed), (503, ErrorKind::Server)] {
        let error = read(&answer(status, r#"{"access_token":"abc","expires_in":86399}"#)).unwrap_err();
        assert_eq!(error.kind(), kind, "an error with a token in it is an error: {status}");
    }
    assert_eq!(read(&answer(200, coded("IOTDA.000002"))).unwrap_err().kind(), ErrorKind::AuthFailed);
}

proptest! {
    #[test]
    fn any_answer_is_survived(
        status in 100..1000_u16,
        start in "(\\{\"(access_token|error_code)\":\"?)?",
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let answer = answer(status, [start.as_bytes(), &body].concat());
        let _ = issued(&answer, "device-1", &[b"password"]);
        if let Err(error) = accepted(&answer, REPORT, &[b"password"]) {
            prop_assert!(error.message().len() <= MESSAGE_MAX);
        }
    }
}
