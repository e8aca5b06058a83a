//! Request bodies that the caller wrote as JSON: checked against the shape that the HTTPS access page
//! documents, and otherwise left as they are.
//!
//! Members that the page does not name are refused. The platform ignores what it does not know, so a
//! misspelt `event_time` would silently lose the time of a measurement.

use std::fmt;

use crate::error::{Error, Result};
use crate::report::calendar;
use crate::report::identifier::check_device_id;
use crate::report::json::fault::{Fault, shown};
use crate::report::json::scan::{Kind, Scanner};

/// Checks the body of a property report: `{"services":[…]}`.
pub(crate) fn check_properties(text: &str) -> Result<()> {
    let mut walk = Walk::new(text);
    let mut members = Members::default();
    walk.object(Place::BODY, &mut |walk, name| {
        members.first(name, &["services"], Place::BODY)?;
        walk.services(Place::BODY)
    })?;
    members.require(0, "services", Place::BODY)?;
    walk.end()
}

/// A child of a batch, as it is written.
#[derive(Debug)]
pub(crate) struct ChildText<'a> {
    pub(crate) text: &'a str,
    /// What is wrong with this child, while the rest of the body can be sent. Boxed: nearly all are right, and a
    /// batch may have many.
    pub(crate) check: Result<(), Box<Error>>,
}

/// Checks the body of a gateway batch, `{"devices":[…]}`, and returns its children.
///
/// A child that is wrong in itself (id, service, time, a member too many, nested too deep) is one of them. What is no
/// JSON has no children, and neither has a body of another shape: then all is refused.
pub(crate) fn children(text: &str) -> Result<Vec<ChildText<'_>>> {
    let mut children: Vec<ChildText<'_>> = Vec::new();
    let mut walk = Walk::new(text);
    let mut members = Members::default();
    walk.object(Place::BODY, &mut |walk, name| {
        members.first(name, &["devices"], Place::BODY)?;
        walk.array(Place::BODY.member("devices"), &mut |walk, index| {
            let start = walk.scanner;
            let check = walk.child(Place { child: Some(index), ..Place::BODY });
            if check.is_err() {
                walk.scanner = start;
                // What is no JSON is found here once more, and refuses all.
                walk.scanner.skip().map_err(|fault| walk.fault(Place::BODY, fault))?;
            }
            children.try_reserve(1).map_err(|_| Error::no_memory((index + 1) * size_of::<ChildText<'_>>()))?;
            children.push(ChildText { text: &text[start.at()..walk.scanner.at()], check: check.map_err(Box::new) });
            Ok(())
        })
    })?;
    members.require(0, "devices", Place::BODY)?;
    walk.end()?;
    Ok(children)
}

/// Where something stands, for messages; no text is made before one is needed.
#[derive(Clone, Copy)]
struct Place {
    child: Option<usize>,
    service: Option<usize>,
    member: &'static str,
}

impl Place {
    const BODY: Place = Place { child: None, service: None, member: "" };

    fn member(self, member: &'static str) -> Self {
        Place { member, ..self }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut dot = "";
        if let Some(child) = self.child {
            write!(f, "devices[{child}]")?;
            dot = ".";
        }
        if let Some(service) = self.service {
            write!(f, "{dot}services[{service}]")?;
            dot = ".";
        }
        match (self.member, dot) {
            ("", "") => f.write_str("the body"),
            ("", _) => Ok(()),
            (member, dot) => write!(f, "{dot}{member}"),
        }
    }
}

/// Which of the documented members an object has shown, as a bit each.
#[derive(Default)]
struct Members {
    seen: u8,
}

impl Members {
    /// The number of `name` among `known`; unknown names and second appearances are refused.
    fn first(&mut self, name: &str, known: &[&str], place: Place) -> Result<usize> {
        let Some(number) = known.iter().position(|known| *known == name) else {
            return Err(Error::invalid(format!(
                "use the documented members alone, which are {}: {place} has \"{}\"",
                known.join(", "),
                shown(name)
            )));
        };
        if self.seen & (1 << number) != 0 {
            return Err(Error::invalid(format!("give each member once: {place} has \"{name}\" again")));
        }
        self.seen |= 1 << number;
        Ok(number)
    }

    fn require(&self, number: usize, name: &str, place: Place) -> Result<()> {
        if self.seen & (1 << number) == 0 {
            return Err(Error::invalid(format!("add the member \"{name}\": {place} has none")));
        }
        Ok(())
    }
}

struct Walk<'a> {
    text: &'a str,
    scanner: Scanner<'a>,
}

impl<'a> Walk<'a> {
    fn new(text: &'a str) -> Self {
        Walk { text, scanner: Scanner::new(text) }
    }

    /// The error about what is no JSON, or nested too deep; the position is that in the body.
    fn fault(&self, place: Place, fault: Fault) -> Error {
        match place {
            Place { child: None, service: None, .. } => fault.error(self.text, format_args!("the body")),
            within => fault.error(self.text, format_args!("the body in {within}")),
        }
    }

    /// Nothing but white space may follow.
    fn end(&mut self) -> Result<()> {
        self.scanner.end().map_err(|fault| self.fault(Place::BODY, fault))
    }

    fn child(&mut self, place: Place) -> Result<()> {
        let mut members = Members::default();
        self.object(place, &mut |walk, name| match members.first(name, &["device_id", "services"], place)? {
            0 => {
                let place = place.member("device_id");
                let id = walk.text(place)?;
                check_device_id(id, &place)
            }
            _ => walk.services(place),
        })?;
        members.require(0, "device_id", place)?;
        members.require(1, "services", place)
    }

    /// The services of `place`.
    fn services(&mut self, place: Place) -> Result<()> {
        self.array(place.member("services"), &mut |walk, index| walk.service(Place { service: Some(index), ..place }))
    }

    fn service(&mut self, place: Place) -> Result<()> {
        let known = ["service_id", "properties", "event_time"];
        let mut members = Members::default();
        self.object(place, &mut |walk, name| match members.first(name, &known, place)? {
            0 if walk.text(place.member("service_id"))?.is_empty() => {
                Err(Error::invalid(format!("give the service's id in the product model: {place}.service_id is empty")))
            }
            0 => Ok(()),
            1 => {
                let place = place.member("properties");
                walk.expect(Kind::Object, place)?;
                walk.scanner.value().map(drop).map_err(|fault| walk.fault(place, fault))
            }
            _ => {
                let text = walk.text(place.member("event_time"))?;
                if calendar::is_event_time(text.as_bytes()) {
                    return Ok(());
                }
                // The platform refuses neither: it takes the time at which it receives the report.
                let advice = if calendar::is_event_time_of_no_clock(text.as_bytes()) {
                    "set the clock before it is read (years 2000 to 9999 are taken)"
                } else {
                    "give UTC in the form 2021-08-13T10:10:10.555Z, years 2000 to 9999"
                };
                Err(Error::invalid(format!("{advice}: {place}.event_time is \"{}\"", shown(text))))
            }
        })?;
        members.require(0, "service_id", place)?;
        members.require(1, "properties", place)
    }

    /// A string, as written between its quotes.
    fn text(&mut self, place: Place) -> Result<&'a str> {
        self.expect(Kind::String, place)?;
        let quoted = self.scanner.value().map_err(|fault| self.fault(place, fault))?;
        Ok(&quoted[1..quoted.len() - 1])
    }

    /// An array with at least one element. Not generic, as `object`: one copy of it does for all.
    fn array(&mut self, place: Place, element: &mut dyn FnMut(&mut Self, usize) -> Result<()>) -> Result<()> {
        self.expect(Kind::Array, place)?;
        self.scanner.enter();
        let mut count = 0;
        while self.scanner.next_item(count == 0, b']').map_err(|fault| self.fault(place, fault))? {
            element(self, count)?;
            count += 1;
        }
        if count == 0 {
            return Err(Error::invalid(format!("give at least one element: {place} is empty")));
        }
        Ok(())
    }

    fn object(&mut self, place: Place, member: &mut dyn FnMut(&mut Self, &'a str) -> Result<()>) -> Result<()> {
        self.expect(Kind::Object, place)?;
        self.scanner.enter();
        let mut first = true;
        while self.scanner.next_item(first, b'}').map_err(|fault| self.fault(place, fault))? {
            let name = self.scanner.name().map_err(|fault| self.fault(place, fault))?;
            member(self, name)?;
            first = false;
        }
        Ok(())
    }

    fn expect(&self, wanted: Kind, place: Place) -> Result<()> {
        match self.scanner.kind().map_err(|fault| self.fault(place, fault))? {
            kind if kind == wanted => Ok(()),
            other => Err(Error::invalid(format!("give {}: {place} is {}", wanted.name(), other.name()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROPERTIES: &str = r#"{
  "services" : [ {
    "service_id" : "serviceId",
    "properties" : { "Height" : 124, "Speed" : 23.24, "n" : 1e400, "n" : 1 },
    "event_time" : "2021-08-13T10:10:10.555Z"
  } ]
}"#;

    #[test]
    fn the_pages_example_passes() {
        check_properties(PROPERTIES).unwrap();
    }

    #[test]
    fn children_are_returned_as_written() {
        let service = r#"{"service_id":"s","properties":{ "a":1 }}"#;
        let one = format!(r#"{{ "device_id" : "c1","services":[{service}]}}"#);
        let two = format!(r#"{{"services":[{service},{service}],"device_id":"c2"}}"#);
        let text = format!(" {{\"devices\" : [ {one} , {two} ]}}");
        let children = children(&text).unwrap();
        assert!(children.iter().all(|child| child.check.is_ok()));
        assert_eq!(children.iter().map(|child| child.text).collect::<Vec<_>>(), [one, two]);
    }

    #[test]
    fn each_member_may_stand_once_alone() {
        for (member, value) in
            [("service_id", "\"s\""), ("properties", "{}"), ("event_time", "\"2021-08-13T10:10:10.555Z\"")]
        {
            let again = format!(
                r#"{{"services":[{{"service_id":"s","properties":{{}},"event_time":"2021-08-13T10:10:10.555Z","{member}":{value}}}]}}"#
            );
            let error = check_properties(&again).unwrap_err();
            assert!(error.message().contains(&format!("has \"{member}\" again")), "{error}");
        }
    }

    #[test]
    fn refusals_name_the_place() {
        for (text, part) in [
            ("", "correct the JSON: the body, byte 0: the text ends where a JSON value is expected"),
            ("[]", "give an object: the body is an array"),
            ("{}", "add the member \"services\": the body has none"),
            (r#"{"services":[]}"#, "give at least one element: services is empty"),
            (r#"{"services":{}}"#, "give an array: services is an object"),
            (r#"{"services":[1]}"#, "give an object: services[0] is a number"),
            (r#"{"devices":[]}"#, "use the documented members alone, which are services: the body has \"devices\""),
            (r#"{"services":[{"service_id":"s"}]}"#, "add the member \"properties\": services[0] has none"),
            (r#"{"services":[{"properties":{}}]}"#, "add the member \"service_id\": services[0] has none"),
            (
                r#"{"services":[{"service_id":"","properties":{}}]}"#,
                "give the service's id in the product model: services[0].service_id is empty",
            ),
            (r#"{"services":[{"service_id":7,"properties":{}}]}"#, "give a string: services[0].service_id is a number"),
            (
                r#"{"services":[{"service_id":"s","properties":[]}]}"#,
                "give an object: services[0].properties is an array",
            ),
            (
                r#"{"services":[{"service_id":"s","properties":{},"eventTime":1}]}"#,
                "use the documented members alone, which are service_id, properties, event_time: services[0] has \"eventTime\"",
            ),
            (
                r#"{"services":[{"service_id":"s","service_id":"s","properties":{}}]}"#,
                "give each member once: services[0] has \"service_id\" again",
            ),
            (
                r#"{"services":[{"service_id":"s","properties":{},"event_time":"2021-08-13T10:10:10Z"}]}"#,
                "give UTC in the form 2021-08-13T10:10:10.555Z, years 2000 to 9999: services[0].event_time is \"2021-08-13T10:10:10Z\"",
            ),
            (
                r#"{"services":[{"service_id":"s","properties":{},"event_time":"1970-01-20T20:27:29.410Z"}]}"#,
                "set the clock before it is read (years 2000 to 9999 are taken): services[0].event_time is \"1970-01-20T20:27:29.410Z\"",
            ),
            (
                r#"{"services":[{"service_id":"s","properties":{},"event_time":null}]}"#,
                "give a string: services[0].event_time is true, false or null",
            ),
            (
                r#"{"services":[{"service_id":"s","properties":{}}]} x"#,
                "correct the JSON: the body, byte 50, near `...operties\":{}}]} x`: unexpected text after the end of the value",
            ),
            (
                r#"{"services":[{"service_id":"s","properties":{"a":}}]}"#,
                "correct the JSON: the body in services[0].properties, byte 49, near `...roperties\":{\"a\":}}]}`: expected a JSON value",
            ),
            (
                r#"{"services":[{"service_id":"s","properties":{"t":21,5}}]}"#,
                "write a decimal point, not a comma (printf follows the locale): the body in services[0].properties, \
                 byte 52, near `...erties\":{\"t\":21,5}}]}`: expected a name in double quotes",
            ),
        ] {
            assert_eq!(check_properties(text).unwrap_err().message(), part, "{text}");
        }
    }

    #[test]
    fn what_is_no_batch_is_refused_as_a_whole() {
        let good = r#"{"device_id":"a","services":[{"service_id":"s","properties":{}}]}"#;
        for (text, part) in [
            (r#"{"devices":[]}"#.to_owned(), "devices is empty"),
            (r#"{"devices":{}}"#.to_owned(), "devices is an object"),
            (r#"{"services":[]}"#.to_owned(), "the body has \"services\""),
            (format!(r#"{{"devices":[{good}],"devices":[{good}]}}"#), "the body has \"devices\" again"),
            (format!(r#"{{"devices":[{good}],"more":1}}"#), "the body has \"more\""),
            (format!(r#"{{"devices":[{good} {good}]}}"#), "expected ',' or ']' after an element"),
            (format!(r#"{{"devices":[{good},]}}"#), "nothing follows the comma"),
            (format!(r#"{{"devices":[{good}]}}{{"#), "unexpected text after the end"),
            // What is wrong in itself comes first here, and does not hide what is no JSON.
            (format!(r#"{{"devices":[{{"device_id":"a b","services":[}},{good}]}}"#), "expected a JSON value"),
            (
                r#"{"devices":[7,{"device_id":"a","services":[{"service_id":"s","properties":{"t":21,5}}]}]}"#
                    .to_owned(),
                "write a decimal point",
            ),
            (format!(r#"{{"devices":[7,{}"#, "[".repeat(5000)), "nested deeper than 4096 levels"),
        ] {
            let error = children(&text).unwrap_err();
            assert!(error.message().contains(part), "{text}: {error}");
        }
    }

    /// Among children that are right, one that is wrong in itself, at each place.
    #[test]
    fn a_child_that_is_wrong_leaves_the_others() {
        let good = |id: usize| {
            format!(r#"{{"device_id":"c{id}","services":[{{"service_id":"s","properties":{{"n":{id}}}}}]}}"#)
        };
        let services = r#"[{"service_id":"s","properties":{}}]"#;
        let deep = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for (wrong, end) in [
            (format!(r#"{{"device_id":"a b","services":{services}}}"#), "].device_id has ' ' at byte 1"),
            (format!(r#"{{"device_id":"","services":{services}}}"#), "].device_id is empty"),
            (format!(r#"{{"device_id":"{}","services":{services}}}"#, "x".repeat(129)), "].device_id has 129"),
            (format!(r#"{{ "services":{services} }}"#), "] has none"),
            (format!(r#"{{"device_id":"a","services":{services},"x":{{"]}}":["}}]"]}}}}"#), "] has \"x\""),
            (format!(r#"{{"device_id":"a","device_id":"a","services":{services}}}"#), "] has \"device_id\" again"),
            (r#"{"device_id":"a","services":[]}"#.to_owned(), "].services is empty"),
            (r#"{"services":[1,{"}":"]\\"}],"device_id":"a"}"#.to_owned(), "].services[0] is a number"),
            (
                r#"{"device_id":"a","services":[{"service_id":"s","properties":{}},{"service_id":"s","properties":0}]}"#.to_owned(),
                "].services[1].properties is a number",
            ),
            (
                r#"{"device_id":"a","services":[{"service_id":"s","properties":{},"event_time":"1970-01-20T20:27:29.410Z"}]}"#.to_owned(),
                "].services[0].event_time is \"1970-01-20T20:27:29.410Z\"",
            ),
            (
                format!(r#"{{"device_id":"a","services":[{{"service_id":"s","properties":{{"a":{}}}}}]}}"#, deep(128)),
                "nested deeper than 128 levels",
            ),
            (deep(4096), "] is an array"),
            ("null".to_owned(), "] is true, false or null"),
        ] {
            for position in 0..3 {
                let mut texts: Vec<_> = (0..3).map(good).collect();
                texts[position].clone_from(&wrong);
                let body = format!("{{\"devices\":[{}]}}", texts.join(" , "));
                let children = children(&body).unwrap();
                assert_eq!(children.iter().map(|child| child.text).collect::<Vec<_>>(), texts);
                for (index, child) in children.iter().enumerate() {
                    match &child.check {
                        Ok(()) => assert_ne!(index, position, "{wrong}"),
                        Err(error) => {
                            let message = error.message();
                            assert_eq!(index, position, "{message}");
                            assert!(message.contains(&format!("devices[{position}]")), "{message}");
                            assert!(message.ends_with(end) && message.len() < 256, "{message}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn refusals_fit_their_place_however_far_down() {
        let place = Place { child: Some(4_294_967_295), service: Some(4_294_967_295), member: "properties" };
        let known = ["service_id", "properties", "event_time"];
        let error = Members::default().first(&"\u{e9}".repeat(64), &known, place).unwrap_err();
        assert!(error.message().len() < 256, "{} bytes: {error}", error.message().len());
        let text = format!(r#"{{"{}":21,5}}"#, "x".repeat(64));
        let fault = Fault { at: 70, what: "a control character in a string must be escaped" };
        let error = Walk::new(&text).fault(place, fault);
        assert!(error.message().starts_with("write a decimal") && error.message().len() < 256, "{error}");
    }

    #[test]
    fn deep_properties_are_refused() {
        let deep = |levels: usize| {
            format!(
                r#"{{"services":[{{"service_id":"s","properties":{{"a":{}{}}}}}]}}"#,
                "[".repeat(levels),
                "]".repeat(levels)
            )
        };
        check_properties(&deep(127)).unwrap();
        let error = check_properties(&deep(128)).unwrap_err();
        assert!(error.message().starts_with("nest less deep: the body in services[0].properties, byte"), "{error}");
        let error = check_properties(&deep(200_000)).unwrap_err();
        assert!(error.message().contains("nested deeper"), "{error}");
    }
}
