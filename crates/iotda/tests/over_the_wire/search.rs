//! What a gateway's batch does about refusals: which children are found, what the call amounts to, and
//! what the next call has learned from it. How many requests a search takes is tested where it is planned.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use iotda::{BatchError, CallOptions, CancelToken, Child, Client, Clock, Delivery, ErrorKind, Service};

use crate::scripted::{Reply, Request, Scripted, answer, authenticated};

const OPTIONS: CallOptions = CallOptions::new();
const TEN_MINUTES_MS: u64 = 600_000;

fn refusal(status: u16, code: &str) -> Reply {
    answer(status, &format!(r#"{{"error_code":"IOTDA.{code}","error_msg":"Some text (100)."}}"#))
}

/// The ids of the children in a request, in their order.
fn ids(request: &Request) -> Vec<String> {
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    let id = |child: &serde_json::Value| child["device_id"].as_str().unwrap().to_owned();
    body["devices"].as_array().unwrap().iter().map(id).collect()
}

/// All requests but authentications.
fn sent(server: &Scripted) -> Vec<Vec<String>> {
    server.requests().iter().filter(|request| request.target.ends_with("/properties/report")).map(ids).collect()
}

/// A platform that refuses these ids, and otherwise answers as `others` says.
fn refusing(unknown: &[&str], invalid: &[&str], others: fn() -> Reply) -> Scripted {
    let set = |ids: &[&str]| -> BTreeSet<String> { ids.iter().map(|&id| id.to_owned()).collect() };
    let (unknown, invalid) = (set(unknown), set(invalid));
    authenticated(move |request| {
        let ids = ids(request);
        if ids.iter().any(|id| unknown.contains(id)) {
            refusal(400, "021104")
        } else if ids.iter().any(|id| invalid.contains(id)) {
            refusal(400, "000006")
        } else {
            others()
        }
    })
}

fn accepts() -> Reply {
    answer(200, "")
}

fn fails() -> Reply {
    answer(503, "")
}

fn report(client: &Client, ids: &[impl AsRef<str>], options: CallOptions) -> Result<Delivery, BatchError> {
    let service = [Service::new("s", "{}")];
    let children: Vec<_> = ids.iter().map(|id| Child::new(id.as_ref(), &service)).collect();
    client.report_batch(&children, options)
}

fn document(ids: &[&str]) -> String {
    let child = |id: &&str| {
        format!(r#"{{"services":[{{"service_id":"device_id","properties":{{"device_id":1}}}}], "device_id" : "{id}"}}"#)
    };
    format!("{{\"devices\":[{}]}}", ids.iter().map(child).collect::<Vec<_>>().join(",\n"))
}

/// Fifty ids, of which the one at `number` is `id`.
fn fifty(number: usize, id: &str) -> Vec<String> {
    (0..50).map(|n| if n == number { id.to_owned() } else { format!("child_{n}") }).collect()
}

#[test]
fn invalid_data_condemns_its_own_child_alone() {
    let id = format!("{:x<64}", "bad");
    let server = refusing(&[], &[&id], accepts);
    let outcome = report(&server.client(), &fifty(31, &id), OPTIONS).unwrap_err();
    for (child, outcome) in outcome.children().iter().enumerate() {
        assert_eq!(*outcome, if child == 31 { Err(ErrorKind::Rejected) } else { Ok(()) }, "child {child}");
    }
    let error = outcome.error();
    let answer = (error.kind(), error.http_status(), error.platform_code());
    assert_eq!(answer, (ErrorKind::Partial, Some(400), Some("IOTDA.000006")));
    assert!(
        error
            .message()
            .starts_with(&format!("compare what children[31] \"{id}\" reports with its product model; 1 of 50 ")),
        "{error}"
    );
    assert!(error.message().len() < 256, "{error}");
    assert_eq!(error.attempts() as usize, sent(&server).len());
    // That is about data, not about the child: it is sent again with the others.
    let before = sent(&server).len();
    report(&server.client(), &fifty(31, &id), OPTIONS).unwrap_err();
    assert_eq!(sent(&server)[before].len(), 50);
}

#[test]
fn a_batch_whose_good_children_failed_for_a_time_is_not_unknown() {
    for (unknown, invalid, kind) in [(&["x"][..], &[][..], ErrorKind::UnknownChild), (&[], &["x"], ErrorKind::Rejected)]
    {
        let server = refusing(unknown, invalid, fails);
        let outcome = report(&server.client(), &["x", "a", "b", "c"], OPTIONS).unwrap_err();
        let transient = Err(ErrorKind::Server);
        assert_eq!(outcome.children(), [Err(kind), transient, transient, transient]);
        let error = outcome.error();
        assert_eq!((error.kind(), error.http_status(), error.platform_code()), (ErrorKind::Server, Some(503), None));
        assert!(
            error.message().starts_with("send again what was not delivered, from children[1] \"a\" on; 4 of 4 "),
            "{error}"
        );
        assert!(error.retry_after().is_some());
    }
}

#[test]
fn a_batch_that_is_cancelled_says_so_for_all_that_were_not_sent() {
    for json in [false, true] {
        let cancel = CancelToken::new();
        let trigger = cancel.clone();
        // The first request without the unknown child, which holds several others: whether its answer is
        // still read makes no difference.
        let server = authenticated(move |request| {
            if !ids(request).iter().any(|id| id == "ghost") {
                trigger.cancel();
            }
            refusal(400, "021104")
        });
        let options = CallOptions::from(cancel);
        let (client, children) = (server.client(), fifty(0, "ghost"));
        let names: Vec<_> = children.iter().map(String::as_str).collect();
        let outcome = match json {
            true => client.report_batch_json(&document(&names), options),
            false => report(&client, &children, options),
        }
        .unwrap_err();
        assert_eq!(outcome.kind(), ErrorKind::Cancelled);
        assert_eq!(outcome.children()[0], Err(ErrorKind::UnknownChild));
        assert_eq!(outcome.children()[1..], [Err(ErrorKind::Cancelled); 49]);
    }
}

#[test]
fn children_that_were_not_sent_do_not_have_the_reason_of_an_earlier_part() {
    let server = authenticated(|request| match ids(request) {
        ids if ids.iter().any(|id| id == "child_0") => refusal(400, "000006"),
        ids if ids.iter().any(|id| id == "child_60") => fails(),
        _ => accepts(),
    });
    let ids: Vec<_> = (0..120).map(|n| format!("child_{n}")).collect();
    let outcome = report(&server.client(), &ids, OPTIONS).unwrap_err();
    assert_eq!(outcome.children()[0], Err(ErrorKind::Rejected));
    assert_eq!(outcome.children()[1..40], [Ok(()); 39]);
    assert_eq!(outcome.children()[60..], [Err(ErrorKind::Server); 60]);
    let error = outcome.error();
    assert_eq!((error.kind(), error.http_status()), (ErrorKind::Partial, Some(503)));
}

/// Moves when the test says so.
#[derive(Debug, Default)]
struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn unix_ms(&self) -> i64 {
        i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

#[test]
fn an_unknown_child_costs_nothing_for_ten_minutes_and_is_delivered_when_it_is_registered() {
    let unknown = Arc::new(Mutex::new(true));
    let is_unknown = Arc::clone(&unknown);
    let server = authenticated(move |request| {
        let ghost = ids(request).iter().any(|id| id == "ghost");
        if ghost && *is_unknown.lock().unwrap() { refusal(400, "021104") } else { accepts() }
    });
    let clock = Arc::new(TestClock::default());
    let mut config = server.config();
    config.clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let client = Client::new(&config).unwrap();
    let children = fifty(7, "ghost");
    let first = iotda::Error::from(report(&client, &children, OPTIONS).unwrap_err());
    assert!(first.attempts() <= 10);
    assert!(
        first.message().contains("children[7] \"ghost\"") && first.message().contains("sent again in 10 min"),
        "{first}"
    );

    // Remembered: one request, and the report of the typed and of the JSON form says the same of the child.
    clock.0.store(TEN_MINUTES_MS - 60_000, Ordering::SeqCst);
    let names: Vec<_> = children.iter().map(String::as_str).collect();
    for json in [false, true] {
        let before = sent(&server).len();
        let outcome = match json {
            true => client.report_batch_json(&document(&names), OPTIONS),
            false => report(&client, &children, OPTIONS),
        }
        .unwrap_err();
        assert_eq!(outcome.children()[7], Err(ErrorKind::UnknownChild));
        assert_eq!(outcome.children().iter().filter(|outcome| outcome.is_ok()).count(), 49);
        let error = outcome.error();
        assert_eq!((error.kind(), error.attempts(), error.http_status()), (ErrorKind::Partial, 1, Some(200)));
        assert!(error.message().contains("sent again in 1 min"), "{error}");
        assert_eq!(sent(&server)[before..].iter().map(Vec::len).collect::<Vec<_>>(), [49]);
    }
    let alone = iotda::Error::from(report(&client, &["ghost"], OPTIONS).unwrap_err());
    assert_eq!((alone.kind(), alone.attempts(), alone.http_status()), (ErrorKind::UnknownChild, 0, None));
    // Another gateway knows nothing of it.
    let other =
        iotda::Error::from(report(&client.open_device("other", b"secret").unwrap(), &["ghost"], OPTIONS).unwrap_err());
    assert_eq!(other.attempts(), 1);

    // Then it is sent by itself, after the others, and once in ten minutes.
    clock.0.store(TEN_MINUTES_MS, Ordering::SeqCst);
    let suspected = report(&client, &children, OPTIONS).unwrap_err();
    assert_eq!((suspected.children()[7], suspected.error().attempts()), (Err(ErrorKind::UnknownChild), 2));
    assert_eq!(sent(&server).last().unwrap(), &["ghost"]);
    assert_eq!(report(&client, &children, OPTIONS).unwrap_err().error().attempts(), 1);

    // Registered meanwhile, it is delivered, and forgotten as unknown.
    *unknown.lock().unwrap() = false;
    clock.0.store(2 * TEN_MINUTES_MS, Ordering::SeqCst);
    assert_eq!(report(&client, &children, OPTIONS).unwrap().attempts, 2);
    assert_eq!(report(&client, &children, OPTIONS).unwrap().attempts, 1);
}

#[test]
fn a_child_that_is_found_because_the_others_were_accepted_is_remembered_too() {
    let server = refusing(&["ghost"], &[], accepts);
    let client = server.client();
    for attempts in [2, 1] {
        let error = iotda::Error::from(report(&client, &["a", "ghost"], OPTIONS).unwrap_err());
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Partial, attempts));
    }
    assert_eq!(sent(&server), [vec!["a", "ghost"], vec!["a"], vec!["a"]]);
}

#[test]
fn a_failure_without_an_answer_leaves_the_last_refusal_to_be_seen() {
    let server = refusing(&["ghost"], &[], || Reply::SendAndClose(Vec::new()));
    let outcome = report(&server.client(), &["ghost", "a"], OPTIONS).unwrap_err();
    assert_eq!(outcome.children(), [Err(ErrorKind::UnknownChild), Err(ErrorKind::Connect)]);
    let error = outcome.error();
    let answer = (error.kind(), error.http_status(), error.platform_code());
    assert_eq!(answer, (ErrorKind::Connect, Some(400), Some("IOTDA.021104")));
    assert!(error.retry_after().is_some());
}

#[test]
fn a_limit_that_is_named_wrongly_is_found_and_remembered() {
    let server = authenticated(|request| if ids(request).len() > 20 { refusal(403, "021103") } else { accepts() });
    let client = server.client();
    let ids: Vec<_> = (0..48).map(|n| format!("child_{n}")).collect();
    assert_eq!(report(&client, &ids, OPTIONS).unwrap().attempts, 6);
    assert_eq!(report(&client, &ids, OPTIONS).unwrap().attempts, 4);
    assert_eq!(sent(&server).iter().map(Vec::len).collect::<Vec<_>>(), [48, 24, 12, 12, 12, 12, 12, 12, 12, 12]);
}

#[test]
fn a_document_is_not_sent_whole_once_that_was_too_much() {
    let server = authenticated(|request| if request.body.len() > 150 { refusal(403, "021105") } else { accepts() });
    let client = server.client();
    let text = document(&["a", "b"]);
    assert!(text.len() > 150);
    for (attempts, lengths) in [(3, &[2, 1, 1][..]), (2, &[2, 1, 1, 1, 1])] {
        assert_eq!(client.report_batch_json(&text, OPTIONS).unwrap().attempts, attempts);
        assert_eq!(sent(&server).iter().map(Vec::len).collect::<Vec<_>>(), lengths);
    }
}

#[test]
fn a_document_whose_white_space_is_too_much_is_sent_without_it() {
    let server = authenticated(|request| if request.body.len() > 250 { refusal(403, "021105") } else { accepts() });
    let client = server.client();
    // Six children of 75 bytes are too much, three are not.
    assert_eq!(report(&client, &["a", "b", "c", "d", "e", "f"], OPTIONS).unwrap().attempts, 3);
    let text = document(&["a", "b"]);
    assert!(text.len() < 220);
    assert_eq!(client.report_batch_json(&(text + &" ".repeat(200)), OPTIONS).unwrap().attempts, 1);
}

#[test]
fn a_failure_for_a_time_ends_the_batch_after_its_own_retries() {
    let server = authenticated(|_| fails());
    let mut config = server.config();
    config.retry(crate::device::at_once(3)).unwrap();
    let ids: Vec<_> = (0..120).map(|n| format!("child_{n}")).collect();
    let outcome = report(&Client::new(&config).unwrap(), &ids, OPTIONS).unwrap_err();
    assert_eq!(outcome.children(), [Err(ErrorKind::Server); 120]);
    let error = outcome.error();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Server, 3));
}
