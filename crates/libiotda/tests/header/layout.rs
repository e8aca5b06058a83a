//! How include/iotda.h is laid out: what cbindgen wrote, in the order of the Rust sources, below the titles that
//! crates/iotda-capi/src/lib.rs gives to topics, with comments beside constants and members where that takes fewer lines.

use testkit::declared_function;

const WIDTH: usize = 120;
/// A declaration that is longer does not move the comments of the others to the right, and has its own above it.
const BESIDE: usize = 48;

/// Where an item stands in the Rust sources.
#[derive(Debug, PartialEq)]
pub struct Place {
    pub name: String,
    /// The title of the topic that it begins.
    pub topic: Option<String>,
    /// Whether an empty line stands before it.
    pub apart: bool,
}

/// The items of Rust files in order. A file comes with its title, if it begins a topic.
pub fn places(files: &[(Option<String>, String)]) -> Vec<Place> {
    let mut places = Vec::new();
    for (topic, text) in files {
        let (mut topic, mut apart) = (topic.clone(), true);
        for line in text.lines() {
            if let Some(name) = defined(line) {
                places.push(Place { name: name.to_owned(), topic: topic.take(), apart });
            }
            // Comments and attributes belong to the item that follows.
            apart = line.is_empty() || (apart && line.starts_with(['/', '#']));
        }
    }
    places
}

/// The name that a line of Rust gives to something that the header may have.
fn defined(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ")?;
    let line = line.strip_prefix("unsafe ").unwrap_or(line);
    let name = ["const ", "type ", "struct ", "extern \"C\" fn "].iter().find_map(|kind| line.strip_prefix(kind))?;
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    Some(&name[..end])
}

/// Lays out what cbindgen wrote: `///` for comments, each declaration on one line, and no empty line within an item.
pub fn layout(generated: &str, places: &[Place]) -> String {
    let (mut items, mut before, mut after) = (Vec::new(), Vec::new(), Vec::new());
    for text in generated.split("\n\n").map(|text| text.trim_matches('\n')).filter(|text| !text.is_empty()) {
        match Item::new(text, places) {
            Some(item) => items.push(item),
            // cbindgen opens it before the first function.
            None if items.is_empty() || text.contains("extern \"C\" {") => before.push(text),
            None => after.push(text),
        }
    }
    items.sort_by_key(|item: &Item| item.key(places));
    let mut header = before.join("\n\n") + "\n";
    let (mut rest, mut topic) = (items.as_slice(), None);
    while let Some(first) = rest.first() {
        let beside = |item: &&Item| item.kind == Kind::Constant && !places[item.place].apart;
        let more = if first.kind == Kind::Constant { rest[1..].iter().take_while(beside).count() } else { 0 };
        let begun = first.topic(places);
        if let Some(title) = places[begun].topic.as_deref().filter(|_| topic != Some(begun)) {
            header += &format!("\n/* {:=<1$} */\n", format!("== {title} "), WIDTH - 6);
        }
        topic = Some(begun);
        header.push('\n');
        header += &match first.kind {
            Kind::Constant => table(&rest[..=more].iter().map(Item::constant).collect::<Vec<_>>(), ""),
            Kind::Struct => first.members(),
            Kind::Function => first.comment() + &wrapped(first.code[0]),
            Kind::Other => first.lines.join("\n") + "\n",
        };
        rest = &rest[1 + more..];
    }
    header + "\n" + &after.join("\n\n") + "\n"
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Constant,
    Struct,
    Function,
    Other,
}

/// What stands between two empty lines.
struct Item<'a> {
    kind: Kind,
    place: usize,
    lines: Vec<&'a str>,
    /// The lines that are no comment before it.
    code: Vec<&'a str>,
}

impl<'a> Item<'a> {
    /// None for what is not of a Rust source.
    fn new(text: &'a str, places: &[Place]) -> Option<Self> {
        let lines: Vec<&str> = text.lines().collect();
        let code: Vec<&str> = lines.iter().copied().skip_while(|line| line.starts_with("///")).collect();
        let (first, last) = (*code.first()?, *code.last()?);
        let (kind, name) = if let Some(name) = declared_function(first) {
            (Kind::Function, name.to_owned())
        } else if let Some(rest) = first.strip_prefix("#define ") {
            (Kind::Constant, rest.split(' ').next()?.to_owned())
        } else if let Some(define) = code.iter().find_map(|line| line.strip_prefix("#define IOTDA_")) {
            (Kind::Other, format!("iotda_{}_t", define.split("_INIT").next()?.to_lowercase()))
        } else if let Some((_, name)) = first.split_once("(*").filter(|_| first.starts_with("typedef")) {
            (Kind::Function, name.split(')').next()?.to_owned())
        } else {
            let kind = if code.len() > 1 { Kind::Struct } else { Kind::Other };
            (kind, last.trim_end_matches(';').rsplit(' ').next()?.to_owned())
        };
        let place = places.iter().position(|place| place.name == name)?;
        Some(Self { kind, place, lines, code })
    }

    /// Where the topic that it belongs to begins.
    fn topic(&self, places: &[Place]) -> usize {
        (0..=self.place).rev().find(|&index| places[index].topic.is_some()).unwrap_or(0)
    }

    /// What it is sorted by: a topic's handles come first, and what a struct is started with after the struct.
    fn key(&self, places: &[Place]) -> (usize, usize, bool) {
        let is_handle = self.kind == Kind::Other && self.code[0].starts_with("typedef struct");
        let place = if is_handle { 0 } else { 1 + self.place };
        (self.topic(places), place, self.code[0].starts_with("#ifdef"))
    }

    fn comment(&self) -> String {
        let comment = &self.lines[..self.lines.len() - self.code.len()];
        comment.iter().map(|line| format!("{line}\n")).collect()
    }

    /// A constant, with a negative value in parentheses.
    fn constant(&self) -> (Vec<&'a str>, String) {
        let comment = self.lines[..self.lines.len() - 1].to_vec();
        let code = match self.code[0].rsplit_once(' ') {
            Some((name, value)) if value.starts_with('-') => format!("{name} ({value})"),
            _ => self.code[0].to_owned(),
        };
        (comment, code)
    }

    fn members(&self) -> String {
        let (mut members, mut comment) = (Vec::new(), Vec::new());
        for line in &self.code[1..self.code.len() - 1] {
            match line.trim() {
                text if text.starts_with("///") => comment.push(text),
                text => members.push((std::mem::take(&mut comment), text.to_owned())),
            }
        }
        let (first, last) = (self.code[0], self.code[self.code.len() - 1]);
        format!("{}{first}\n{}{last}\n", self.comment(), table(&members, "    "))
    }
}

/// Declarations with their comments, which stand beside them where that takes no more lines.
fn table(rows: &[(Vec<&str>, String)], indent: &str) -> String {
    let width = rows.iter().map(|(_, code)| code.len()).filter(|&width| width <= BESIDE).max().unwrap_or(BESIDE);
    let column = indent.len() + width + 1;
    let mut table = String::new();
    for (comment, code) in rows {
        let words: Vec<&str> =
            comment.iter().flat_map(|line| line.trim_start_matches('/').split_whitespace()).collect();
        let beside = filled(&words, WIDTH - column - "///< ".len());
        let paragraphs = comment.contains(&"///");
        if comment.is_empty() || code.len() > width || paragraphs || beside.len() > comment.len() + 1 {
            comment.iter().for_each(|line| table.extend([indent, line, "\n"]));
            table += &wrapped(&format!("{indent}{code}"));
            continue;
        }
        for (index, text) in beside.iter().enumerate() {
            let code = if index == 0 { format!("{indent}{code}") } else { String::new() };
            table += &format!("{code:column$}///< {text}\n");
        }
    }
    table
}

/// Lines of words, each no wider than `width` where the words allow.
fn filled(words: &[&str], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => line.extend([" ", word]),
            _ => lines.push((*word).to_owned()),
        }
    }
    lines
}

/// A declaration of a function, over several lines if it is too long for one.
fn wrapped(declaration: &str) -> String {
    let open = declaration.find("(*").and_then(|at| declaration[at + 1..].find('(').map(|open| at + 1 + open));
    let open = open.or_else(|| declaration.find('(')).filter(|_| declaration.len() > WIDTH);
    let Some((head, arguments)) = open.map(|open| declaration.split_at(open + 1)) else {
        return format!("{declaration}\n");
    };
    let arguments: Vec<&str> = arguments.split_inclusive(", ").map(str::trim_end).collect();
    let lines = filled(&arguments, WIDTH - head.len());
    format!("{head}{}\n", lines.join(&format!("\n{:1$}", "", head.len())))
}
