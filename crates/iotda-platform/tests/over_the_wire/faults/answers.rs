//! Answers that the rules did not make, and tokens that are worth less than they should be.

use super::{assert_done_once, authenticated, counts, once};
use crate::device::{Connection, accepted, platform, refused};
use iotda_platform::{Fault, InjectedAnswer, RetryAfter, Route};
use std::time::Duration;

#[test]
fn every_documented_refusal() {
    let (platform, mut connection, token) = authenticated();
    for (status, code, text) in [
        (400, "IOTDA.000006", "Invalid input data."),
        (400, "IOTDA.021104", "Subdevices in the request does not exist or does not belong to the gateway."),
        (401, "IOTDA.000002", "Authentication failed."),
        (403, "IOTDA.000004", "Invalid access token."),
        (403, "IOTDA.021101", "Request reached the maximum rate limit."),
        (403, "IOTDA.021102", "The request rate has reached the upper limit of the tenant, limit 10."),
        (403, "IOTDA.021103", "The number of child devices in the request has reached the upper limit (50)."),
        (403, "IOTDA.021105", "The content reported in a single request cannot exceed 1 MB."),
    ] {
        once(&platform, Fault::refusal(code));
        let response = connection.message("device", &token, b"refused");
        assert_eq!(response.outcome(), refused(status, code));
        assert_eq!(response.json()["error_msg"], text);
        let record = platform.requests().pop().expect("a record");
        assert_eq!((record.status, record.error_code.as_deref()), (status, Some(code)));
        assert_eq!((record.faults, record.device_id.as_deref()), (vec!["answer".to_owned()], Some("device")));
        assert_eq!(connection.message("device", &token, b"").outcome(), accepted());
    }
    assert!(platform.reports().iter().all(|report| report.body.is_empty()));
    assert_eq!((platform.counters().request_faults, platform.counters().connection_faults), (8, 0));
    assert!(counts(&platform).iter().all(|count| *count == (1, Some(0))));
    assert_eq!(platform.counters().connections, 1);
}

#[test]
fn bodies_that_are_not_the_platform_s() {
    let (platform, mut connection, token) = authenticated();
    for (answer, content_type, body) in [
        (InjectedAnswer::status(500), None, ""),
        (InjectedAnswer::status(502).body("<html>Bad Gateway</html>"), Some("text/html"), "<html>Bad Gateway</html>"),
        (InjectedAnswer::status(403).body(r#"{"error_code":"IOT"#), Some("application/json"), r#"{"error_code":"IOT"#),
        (InjectedAnswer::status(200).body("ok").content_type("text/plain"), Some("text/plain"), "ok"),
    ] {
        once(&platform, Fault::answer(answer));
        let response = connection.message("device", &token, b"");
        assert_eq!((response.header("content-type"), response.body.as_str()), (content_type, body));
    }
    let own = InjectedAnswer::status(418).code("IOTDA.999999").text("A teapot.");
    once(&platform, Fault::answer(own));
    let response = connection.message("device", &token, b"");
    assert_eq!(response.outcome(), refused(418, "IOTDA.999999"));
    assert_eq!(response.json()["error_msg"], "A teapot.");
    assert!(platform.reports().is_empty());
}

#[test]
fn when_to_come_again_and_where_to_go() {
    let (platform, mut connection, token) = authenticated();
    for (retry_after, expected) in [
        (RetryAfter::Seconds(7), "7"),
        (RetryAfter::Date { date_in_s: 90 }, "Mon, 02 Dec 2019 19:31:30 GMT"),
        (RetryAfter::Text("later".to_owned()), "later"),
    ] {
        for status in [500, 502, 503] {
            once(&platform, Fault::answer(InjectedAnswer::status(status).retry_after(retry_after.clone())));
            let response = connection.message("device", &token, b"");
            assert_eq!((response.status, response.header("retry-after")), (status, Some(expected)));
        }
    }
    for status in [301, 302, 307, 308] {
        once(&platform, Fault::answer(InjectedAnswer::redirect(status, "https://localhost:1/")));
        let response = connection.message("device", &token, b"");
        assert_eq!((response.status, response.header("location")), (status, Some("https://localhost:1/")));
    }
    assert_done_once(&platform, &token);
}

#[test]
fn a_fault_for_a_route_or_a_device_leaves_the_others_alone() {
    let (platform, mut connection, token) = authenticated();
    platform.inject(Fault::status(500).on(Route::Properties)).expect("a fault");
    platform.inject(Fault::status(501).for_device("another")).expect("a fault");
    assert_eq!(connection.message("device", &token, b"").outcome(), accepted());
    assert_eq!(connection.properties("device", &token, "{}").status, 500);
    // An authentication names its device in its body.
    assert_eq!(connection.authenticate("another").status, 501);
    assert_eq!(connection.authenticate("device").status, 200);
    assert_eq!(connection.batch("another", "none", "{}").status, 501);
    assert_eq!(connection.post("/v5/other", None, b"").status, 404);
    platform.clear_faults();
    assert_eq!(connection.authenticate("another").status, 200);
    assert!(platform.faults().is_empty());

    for (route, status) in [(Route::Auth, 503), (Route::Message, 504), (Route::Batch, 505)] {
        platform.inject(Fault::status(status).on(route)).expect("a fault");
    }
    assert_eq!(connection.authenticate("device").status, 503);
    assert_eq!(connection.message("device", &token, b"").status, 504);
    assert_eq!(connection.batch("device", &token, "{}").status, 505);
}

#[test]
fn a_share_of_the_requests() {
    let statuses = |seed| -> Vec<u16> {
        let (platform, mut connection, token) = authenticated();
        platform.inject(Fault::status(500).share(30, seed)).expect("a fault");
        let statuses = (0..100).map(|_| connection.message("device", &token, b"").status).collect();
        assert_eq!(platform.faults()[0].hits, platform.counters().request_faults);
        statuses
    };
    let first = statuses(1);
    let hits = first.iter().filter(|status| **status == 500).count();
    assert!((15..45).contains(&hits), "{hits}");
    assert_eq!(first, statuses(1));
    assert_ne!(first, statuses(2));
}

#[test]
fn dates() {
    let (platform, mut connection, _) = authenticated();
    for (off_s, date) in [(-3600, "Mon, 02 Dec 2019 18:30:00 GMT"), (86_400, "Tue, 03 Dec 2019 19:30:00 GMT")] {
        once(&platform, Fault::date(off_s));
        assert_eq!(connection.authenticate("device").header("date"), Some(date));
    }
    assert_eq!(connection.authenticate("device").header("date"), Some("Mon, 02 Dec 2019 19:30:00 GMT"));
}

#[test]
fn an_expired_token() {
    let (platform, mut connection, token) = authenticated();
    let other = connection.token("another");
    once(&platform, Fault::token_expired(false));
    assert_eq!(connection.message("device", &token, b"").outcome(), refused(403, "IOTDA.000004"));
    assert_eq!(connection.message("another", &other, b"").outcome(), accepted());
    assert_eq!(connection.message("device", &token, b"").outcome(), refused(403, "IOTDA.000004"));
    let new = connection.token("device");
    assert_eq!(connection.message("device", &new, b"").outcome(), accepted());
    assert_eq!(platform.requests()[2].faults, ["token_expired"]);
}

#[test]
fn a_token_that_expires_with_grace_or_is_rotated() {
    for fault in [Fault::token_expired(true), Fault::token_rotated()] {
        let (platform, mut connection, token) = authenticated();
        once(&platform, fault);
        assert_eq!(connection.message("device", &token, b"").outcome(), accepted());
        platform.advance(Duration::from_millis(29_999));
        assert_eq!(connection.message("device", &token, b"").outcome(), accepted());
        platform.advance(Duration::from_millis(1));
        assert_eq!(connection.message("device", &token, b"").outcome(), refused(403, "IOTDA.000004"));
        // What is issued to nobody is no authentication.
        assert_eq!(platform.counters().authentications, 1);
    }
}

#[test]
fn faults_of_different_stages_are_done_to_one_request() {
    let platform = platform();
    for fault in [Fault::status(503), Fault::date(-60), Fault::continue_first(1), Fault::refusal("IOTDA.021101")] {
        once(&platform, fault);
    }
    let mut connection = Connection::open(&platform);
    let response = connection.authenticate("device");
    assert_eq!(response.status, 100);
    let response = connection.read().expect("the answer");
    assert_eq!((response.status, response.header("date")), (503, Some("Mon, 02 Dec 2019 19:29:00 GMT")));
    assert_eq!(platform.requests()[0].faults, ["answer", "date", "continue_first"]);
    assert_eq!(connection.authenticate("device").outcome(), refused(403, "IOTDA.021101"));
    assert_eq!(connection.authenticate("device").status, 200);
}
