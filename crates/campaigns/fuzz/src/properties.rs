//! The builder of property objects: after any calls, its text is an object of the members that were taken, which reads
//! back as what was given.

use crate::check_message;
use crate::choices::Choices;
use iotda::{ErrorKind, Properties};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

pub(crate) fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut properties = Properties::new();
    let mut expected: BTreeMap<String, Value> = BTreeMap::new();
    while !choices.is_done() {
        let operation = choices.below(8);
        if operation == 7 {
            properties.clear();
            expected.clear();
            continue;
        }
        let name = if choices.bit() { format!("n{}", choices.byte()) } else { choices.text() };
        let (added, value) = match operation {
            0 => {
                let number = choices.number() as i64;
                (properties.integer(&name, number), Some(Value::from(number)))
            }
            1 => {
                let number = f64::from_bits(choices.number());
                (properties.double(&name, number), number.is_finite().then(|| Value::from(number)))
            }
            2 => {
                let number = f32::from_bits(choices.number() as u32);
                let shortest = number.to_string().parse::<f64>().unwrap_or_default();
                (properties.float(&name, number), number.is_finite().then(|| Value::from(shortest)))
            }
            3 => {
                let is_true = choices.bit();
                (properties.boolean(&name, is_true), Some(Value::from(is_true)))
            }
            4 => {
                let text = choices.text();
                (properties.string(&name, &text), Some(Value::from(text)))
            }
            _ => {
                let text = choices.text();
                let value = serde_json::from_str::<Value>(&text).ok();
                // A number beyond f64, or half a surrogate pair, is JSON that is no Value; of a number among others
                // the last digit may be read otherwise.
                if serde_json::from_str::<&RawValue>(&text).is_ok()
                    && value.as_ref().is_none_or(|value| !value.is_i64() && text.contains(|c: char| c.is_ascii_digit()))
                {
                    continue;
                }
                (properties.json(&name, &text), value)
            }
        };
        let is_new = !name.is_empty() && !expected.contains_key(&name);
        match (added.map(|_| ()), value) {
            (Ok(()), Some(value)) => {
                assert!(is_new, "{name:?} was taken again");
                expected.insert(name, value);
            }
            (Ok(()), None) => panic!("{name:?} was taken: {}", properties.as_json()),
            (Err(error), value) => {
                check_message(&error);
                assert_eq!(error.kind(), ErrorKind::InvalidArgument);
                assert!(!is_new || value.is_none(), "{name:?} was refused: {error}");
            }
        }
    }
    let text = properties.as_json();
    let read: BTreeMap<String, &RawValue> =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("no object: {text}: {error}"));
    assert_eq!(read.len(), expected.len(), "{text}");
    for ((name, value), (read_name, read)) in expected.iter().zip(&read) {
        // serde_json may read the last digit of a number otherwise than std does.
        let is_same = match value.as_f64().filter(|_| !value.is_i64()) {
            Some(given) => read.get().parse() == Ok(given),
            None => serde_json::from_str(read.get()).ok().as_ref() == Some(value),
        };
        assert!(name == read_name && is_same, "{name:?}: {value} is {read}");
    }
    let with_nul = properties.as_json_with_nul();
    assert!(with_nul.iter().position(|byte| *byte == 0) == Some(text.len()) && with_nul.starts_with(text.as_bytes()));
}
