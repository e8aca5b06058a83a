//! Bodies of reports as the platform's page has them ("HTTPS Access", tables ServiceProperty and DeviceProperty), read
//! by serde_json. Beside the page: members that it does not document, and members twice, are refused, since the platform
//! would ignore one; an event time in another form likewise.

use crate::json::depth;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// A JSON object with its members in order, of which some may have the same name.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Collect).map(Members)
    }
}

/// The values of an object's members by their names: those that must be there, and those that may.
fn object<'a, const N: usize>(text: &'a str, known: [(&str, bool); N]) -> Option<[Option<&'a RawValue>; N]> {
    let Members(members) = serde_json::from_str(text).ok()?;
    let mut values = [None; N];
    for (name, value) in members {
        let place = known.iter().position(|(other, _)| *other == name)?;
        if values[place].replace(value).is_some() {
            return None;
        }
    }
    let is_whole = known.iter().zip(&values).all(|((_, needed), value)| !needed || value.is_some());
    is_whole.then_some(values)
}

fn elements(value: &RawValue) -> Option<Vec<&RawValue>> {
    let elements: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
    (!elements.is_empty()).then_some(elements)
}

/// Whether `text` is the body of a property report.
pub(crate) fn is_properties(text: &str) -> bool {
    object(text, [("services", true)]).is_some_and(|[services]| services.is_some_and(are_services))
}

/// The children of a batch, each with whether it is right in itself; `None`: it is no batch.
pub(crate) fn children(text: &str) -> Option<Vec<(&str, bool)>> {
    let [devices] = object(text, [("devices", true)])?;
    Some(elements(devices?)?.into_iter().map(|child| (child.get(), is_child(child.get()))).collect())
}

/// The id of a child that is right in itself.
pub(crate) fn child_id(text: &str) -> Option<String> {
    let [id, _] = object(text, [("device_id", true), ("services", true)])?;
    serde_json::from_str(id?.get()).ok()
}

fn is_child(text: &str) -> bool {
    let Some([Some(id), Some(services)]) = object(text, [("device_id", true), ("services", true)]) else {
        return false;
    };
    let is_id = |id: String| {
        (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    serde_json::from_str(id.get()).is_ok_and(is_id) && are_services(services)
}

fn are_services(value: &RawValue) -> bool {
    elements(value).is_some_and(|services| services.iter().all(|service| is_service(service.get())))
}

fn is_service(text: &str) -> bool {
    let known = [("service_id", true), ("properties", true), ("event_time", false)];
    let Some([Some(id), Some(properties), time]) = object(text, known) else { return false };
    serde_json::from_str::<String>(id.get()).is_ok_and(|id| !id.is_empty())
        && properties.get().starts_with('{')
        && depth(properties.get()) <= 128
        && time.is_none_or(|time| serde_json::from_str(time.get()).is_ok_and(|time: String| is_event_time(&time)))
}

/// `yyyy-MM-dd'T'HH:mm:ss.SSS'Z'`, of a day that there is, from the year 2000 on: before, no clock was set.
fn is_event_time(text: &str) -> bool {
    let form = b"dddd-dd-ddTdd:dd:dd.dddZ";
    let fits = |(byte, form): (u8, &u8)| if *form == b'd' { byte.is_ascii_digit() } else { byte == *form };
    if text.len() != form.len() || !text.bytes().zip(form).all(fits) {
        return false;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<u32>().unwrap_or(u32::MAX);
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(is_leap),
        1..=12 => 31,
        _ => 0,
    };
    let is_time = number(11, 13) < 24 && number(14, 16) < 60 && number(17, 19) < 60;
    year >= 2000 && (1..=days).contains(&day) && is_time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_examples_are_right_and_what_it_does_not_document_is_not() {
        let service =
            r#"{"service_id":"serviceId","properties":{"Height":124},"event_time":"2021-08-13T10:10:10.555Z"}"#;
        assert!(is_properties(&format!(r#"{{ "services" : [{service}, {service}] }}"#)));
        for wrong in ["2021-02-29T10:10:10.555Z", "1999-12-31T10:10:10.555Z", "2021-08-13T10:10:60.555Z"] {
            assert!(!is_properties(
                &format!(r#"{{"services":[{service}]}}"#).replace("2021-08-13T10:10:10.555Z", wrong)
            ));
        }
        for wrong in [r#"{"services":[]}"#, r#"{"services":{}}"#, "{}", "[]", r#"{"services":[{}],"services":[]}"#] {
            assert!(!is_properties(wrong), "{wrong}");
        }
        let child = |id: &str| format!(r#"{{"device_id":"{id}","services":[{service}]}}"#);
        let batch = format!(r#"{{"devices":[{},{}]}}"#, child("a-1"), child("a b"));
        let rights: Vec<bool> = children(&batch).unwrap().into_iter().map(|(_, is_right)| is_right).collect();
        assert_eq!(rights, [true, false]);
    }
}
