//! Finding the snippets in Markdown and in the comments of a header.

use anyhow::{Result, bail, ensure};

/// A piece of code in a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Snippet {
    pub(super) heading: String,
    pub(super) language: String,
    /// The line of the document that it begins in, counted from 1.
    pub(super) line: usize,
    /// Whole lines.
    pub(super) text: String,
}

/// The fenced blocks of a Markdown text. Each must say its language.
pub(super) fn fenced(markdown: &str) -> Result<Vec<Snippet>> {
    let mut snippets = Vec::new();
    let mut heading = "";
    let mut lines = (1..).zip(markdown.lines());
    while let Some((line, text)) = lines.next() {
        let Some(language) = text.trim_start().strip_prefix("```") else {
            if text.starts_with('#') {
                heading = text.trim_start_matches('#').trim();
            }
            continue;
        };
        ensure!(!language.is_empty(), "the fenced block of line {line} does not say its language");
        let mut block = String::new();
        loop {
            match lines.next() {
                Some((_, text)) if text.trim() == "```" => break,
                Some((_, text)) => block.extend([text, "\n"]),
                None => bail!("the fenced block of line {line} does not end"),
            }
        }
        snippets.push(Snippet {
            heading: heading.to_owned(),
            language: language.to_owned(),
            line: line + 1,
            text: block,
        });
    }
    Ok(snippets)
}

/// The examples in the comments of a header: lines that are indented by three spaces after the star.
pub(super) fn indented(header: &str, language: &str) -> Vec<Snippet> {
    let mut snippets: Vec<Snippet> = Vec::new();
    let mut heading = "";
    // Empty lines that are of the example if it goes on after them.
    let mut gap = None;
    for (line, text) in (1..).zip(header.lines()) {
        match text.strip_prefix(" *") {
            Some("") => gap = gap.map(|lines: usize| lines + 1),
            Some(text) => {
                if let Some(code) = text.strip_prefix("   ") {
                    match (gap, snippets.last_mut()) {
                        (Some(lines), Some(snippet)) => snippet.text.push_str(&"\n".repeat(lines)),
                        _ => snippets.push(Snippet {
                            heading: heading.to_owned(),
                            language: language.to_owned(),
                            line,
                            text: String::new(),
                        }),
                    }
                    if let Some(snippet) = snippets.last_mut() {
                        snippet.text.extend([code, "\n"]);
                    }
                    gap = Some(0);
                } else {
                    heading = if heading.is_empty() { text.trim() } else { heading };
                    gap = None;
                }
            }
            None => {
                heading = "";
                gap = None;
            }
        }
    }
    snippets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_with_their_headings() {
        let text = "# A\ntext\n```c\n# no heading\n\nb\n```\n## B\n```sh\nc\n```\n";
        let found = fenced(text).unwrap();
        let of = |heading: &str, language: &str, line, text: &str| Snippet {
            heading: heading.to_owned(),
            language: language.to_owned(),
            line,
            text: text.to_owned(),
        };
        assert_eq!(found, [of("A", "c", 4, "# no heading\n\nb\n"), of("B", "sh", 10, "c\n")]);
        assert!(fenced("```\nx\n```\n").is_err());
        assert!(fenced("```c\nx\n").is_err());
    }

    #[test]
    fn examples_are_found_in_comments() {
        let header = "/*\n * H\n *\n *   a\n *\n *     b\n *\n * text\n */\nint x;\n/** Line.\n * I\n *   c\n */\n";
        let found = indented(header, "c");
        let texts: Vec<(&str, usize, &str)> =
            found.iter().map(|snippet| (&*snippet.heading, snippet.line, &*snippet.text)).collect();
        assert_eq!(texts, [("H", 4, "a\n\n  b\n"), ("I", 13, "c\n")]);
    }
}
