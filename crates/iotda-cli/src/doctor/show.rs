//! How findings look: a line for a person, with what is longer beneath it, or an object for --json.

use std::time::Duration;

use serde_json::{Value, json};

use super::finding::Finding;

/// Lines are broken here. It does not depend on the terminal: what is pasted into a ticket looks the same everywhere.
const WIDTH: usize = 100;

/// The sign's column, the step's, and what stands between them.
const STEP: usize = 8;

/// Times stand in this column, where the text leaves room for them.
const TIME: usize = 84;

/// A finding as lines; `sign` is the sign of the terminal, `sign_width` what it takes there.
pub fn lines(finding: &Finding, sign: &str, sign_width: usize) -> String {
    let indent = sign_width + 1 + STEP + 2;
    let mut text = String::new();
    let mut column = indent;
    for word in finding.text.split_whitespace() {
        let width = word.chars().count();
        if column > indent {
            if column + 1 + width > WIDTH {
                text.push('\n');
                text.extend(std::iter::repeat_n(' ', indent));
                column = indent;
            } else {
                text.push(' ');
                column += 1;
            }
        }
        text.push_str(word);
        column += width;
    }
    if let Some(time) = finding.took.map(milliseconds) {
        if column + 2 + time.len() > WIDTH {
            text.push('\n');
            column = 0;
        }
        let gap = TIME.saturating_sub(column + time.len()).max(2);
        text.extend(std::iter::repeat_n(' ', gap));
        text.push_str(&time);
    }
    format!("{sign} {:STEP$}  {text}", finding.step.name())
}

/// The same for --json.
pub fn object(finding: &Finding) -> Value {
    let mut object = json!({ "step": finding.step.name(), "result": finding.sign.name(), "text": finding.text });
    if let Some(took) = finding.took {
        object["ms"] = json!(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    }
    if let Some(exit) = finding.exit {
        object["exit"] = json!(exit.code());
    }
    for (name, value) in &finding.facts {
        object[name] = value.clone();
    }
    object
}

fn milliseconds(took: Duration) -> String {
    format!("{} ms", took.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Step;
    use crate::exit::Exit;

    #[test]
    fn what_is_long_stands_beneath_what_it_belongs_to() {
        let long = Finding::fail(Step::Dns, Exit::Network, ["word"; 40].join(" "));
        let text = lines(&long, "✗", 1);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() == 3 && lines[0].starts_with("✗ dns       word word"), "{text}");
        assert!(lines[1..].iter().all(|line| line.starts_with("            word")), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{text}");
        let words = super::lines(&long, "FAIL", 4);
        assert!(words.starts_with("FAIL dns       word") && words.contains("\n               word"), "{words}");
    }

    #[test]
    fn times_stand_in_one_column_or_behind_the_text() {
        let took = |text: String| Finding { took: Some(Duration::from_millis(12)), ..Finding::ok(Step::Tcp, text) };
        let short = lines(&took("a".to_owned()), "✓", 1);
        let longer = lines(&took("a".repeat(40)), "✓", 1);
        assert_eq!(short.chars().count(), longer.chars().count());
        assert!(lines(&took("a".repeat(80)), "✓", 1).ends_with("aa  12 ms"));
        let beneath = lines(&took("a".repeat(85)), "✓", 1);
        assert_eq!(beneath.lines().nth(1).unwrap().chars().count(), TIME, "{beneath}");
    }

    #[test]
    fn an_object_has_what_the_line_says_in_parts() {
        let finding = Finding::fail(Step::Tls, Exit::Tls, "no").fact("issuer", "CA");
        assert_eq!(
            object(&finding),
            json!({ "step": "tls", "result": "fail", "text": "no", "exit": 5, "issuer": "CA" })
        );
    }
}
