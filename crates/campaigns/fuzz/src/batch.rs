//! How a batch is cut and searched, against a platform in memory that refuses as the page says: each child that it would
//! take alone arrives exactly once, of the others it is said why, and the search takes few requests.

use crate::choices::Choices;
use crate::documents::outcomes;
use crate::memory::Platform;
use crate::page;
use iotda::{CallOptions, Child, ErrorKind, Service};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// About as many children a batch has at most.
const MOST: usize = 200;

pub(crate) fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut rules = Rules {
        children_max: [50, 50, 20, 7, 1][choices.below(5)],
        names_limit: choices.bit(),
        data_first: choices.bit(),
        bytes_max: [1_048_575, 1_048_575, 200_000, 3_000][choices.below(4)],
        unknown: BTreeSet::new(),
        invalid: BTreeSet::new(),
    };
    let mut children: Vec<String> = Vec::new();
    while !choices.is_done() && children.len() < MOST {
        let kind = choices.below(8);
        let properties = match kind {
            2 => format!("{{\"x\":\"{}\"}}", "x".repeat(1_000 * choices.below(64))),
            _ => "{\"a\":1}".to_owned(),
        };
        // Several of a kind, so that an input of some bytes is a batch of many children.
        for _ in 0..=choices.below(16) {
            let id = format!("c{}", children.len());
            match kind {
                0 => drop(rules.unknown.insert(id)),
                1 => drop(rules.invalid.insert(id)),
                _ => {}
            }
            children.push(properties.clone());
        }
    }
    if !children.is_empty() {
        play(&rules, &children);
    }
}

#[derive(Clone, Debug)]
struct Rules {
    children_max: usize,
    /// Whether the text of IOTDA.021103 says how many there may be.
    names_limit: bool,
    /// Which of two faults in a request decides the answer.
    data_first: bool,
    bytes_max: usize,
    unknown: BTreeSet<String>,
    invalid: BTreeSet<String>,
}

impl Rules {
    /// The answer to a request for these children, in so many bytes.
    fn answer(&self, ids: &[String], bytes: usize) -> (u16, String) {
        let refused =
            |status, code: &str, text: &str| (status, format!(r#"{{"error_code":"{code}","error_msg":"{text}"}}"#));
        if bytes > self.bytes_max {
            return refused(403, "IOTDA.021105", "The content reported in a single request cannot exceed 1 MB.");
        }
        if ids.len() > self.children_max {
            let limit = if self.names_limit { format!(" ({})", self.children_max) } else { String::new() };
            let text = format!("The number of child devices in the request has reached the upper limit{limit}.");
            return refused(403, "IOTDA.021103", &text);
        }
        let has = |set: &BTreeSet<String>| ids.iter().any(|id| set.contains(id));
        let unknown = || refused(400, "IOTDA.021104", "Subdevices in the request does not exist.");
        let invalid = || refused(400, "IOTDA.000006", "Invalid input data.");
        match (has(&self.unknown), has(&self.invalid)) {
            (false, false) => (200, String::new()),
            (true, false) => unknown(),
            (false, true) => invalid(),
            (true, true) if self.data_first => invalid(),
            (true, true) => unknown(),
        }
    }
}

/// What arrived: the ids of each request that was taken, and how many requests there were.
#[derive(Default)]
struct Arrived {
    taken: Vec<String>,
    unknown: Vec<String>,
    requests: usize,
}

fn play(rules: &Rules, children: &[String]) {
    let arrived = Arc::new(Mutex::new(Arrived::default()));
    let (kept, held) = (Arc::clone(&arrived), rules.clone());
    let platform = Platform::new(usize::MAX, move |_, body| {
        let text = std::str::from_utf8(body).expect("UTF-8");
        let ids: Vec<String> = page::children(text)
            .unwrap_or_else(|| panic!("no batch was sent: {text}"))
            .into_iter()
            .map(|(child, _)| page::child_id(child).expect("an id"))
            .collect();
        let answer = held.answer(&ids, body.len());
        let mut arrived = kept.lock().expect("no panic before");
        arrived.requests += 1;
        arrived.unknown.extend(ids.iter().filter(|id| held.unknown.contains(*id)).cloned());
        if answer.0 == 200 {
            arrived.taken.extend(ids);
        }
        answer
    });
    let client = platform.client();
    let ids: Vec<String> = (0..children.len()).map(|number| format!("c{number}")).collect();
    let services: Vec<[Service; 1]> = children.iter().map(|properties| [Service::new("s", properties)]).collect();
    let batch: Vec<Child> =
        ids.iter().zip(&services).map(|(id, services)| Child::new(id, services.as_slice())).collect();
    for call in 0..2 {
        let outcomes = outcomes(&client.report_batch(&batch, CallOptions::new()), children.len());
        let Arrived { mut taken, unknown, requests } = std::mem::take(&mut *arrived.lock().expect("no panic before"));
        assert_eq!(outcomes.len(), children.len());
        let mut expected = Vec::new();
        for (index, (id, outcome)) in ids.iter().zip(&outcomes).enumerate() {
            // Alone in a request, with what stands around it.
            let alone = children[index].len() + id.len() + 80;
            match outcome {
                Ok(()) => expected.push(id.clone()),
                Err(ErrorKind::UnknownChild) => assert!(rules.unknown.contains(id), "{id} is known"),
                Err(ErrorKind::Rejected) => assert!(rules.invalid.contains(id), "{id} is right"),
                Err(ErrorKind::TooLarge) => assert!(alone > rules.bytes_max, "{id} has {alone} bytes"),
                other => panic!("{id}: {other:?}"),
            }
            let is_bad = rules.unknown.contains(id) || rules.invalid.contains(id);
            assert!(outcome.is_err() || !is_bad, "{id} was reported as delivered");
        }
        taken.sort();
        expected.sort();
        assert_eq!(taken, expected, "what is reported as delivered arrived once");
        // Two for each child that is left out, and one for each that fits into no request with another.
        assert!(requests <= 2 * children.len() + 20, "{requests} requests for {} children", children.len());
        // What is unknown is remembered, so that it holds up no later batch.
        assert!(call == 0 || unknown.is_empty(), "sent again: {unknown:?}");
    }
}
