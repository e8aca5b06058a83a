//! The lines of a stream, one after the other, each with the place behind it, so that a stream can be resumed there. At most
//! one line is in memory here.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use super::columns::{Columns, Report};
use super::source::{Opened, Section, Source};
use crate::arguments::Format;
use crate::exit::Failure;

/// No report has more, so that no line needs to: 1 MB, and room for what the line says beside the report.
const LARGEST: usize = (1 << 20) + 4096;

/// A line, or a row of CSV.
pub struct Record {
    pub section: Arc<Section>,
    /// Counted from 1.
    pub line: u64,
    /// Bytes and lines of the section up to and including it.
    pub end: (u64, u64),
    /// As it was read.
    pub text: String,
    /// What it says, or what is wrong with it.
    pub report: Result<Report, String>,
}

/// Reads all of a source, until `each` refuses a record.
pub fn read(
    mut source: Source,
    format: Format,
    columns: &Columns,
    mut each: impl FnMut(Record) -> bool,
) -> Result<(), Failure> {
    let unreadable = |error: io::Error| Failure::storage(format!("check the input: it cannot be read: {error}"));
    while let Some(opened) = source.next().map_err(unreadable)? {
        let shown = opened.section.shown.clone();
        let goes_on = match format {
            Format::Jsonl => json_lines(opened, columns, &mut each),
            Format::Csv => rows(opened, columns, &mut each),
        };
        match goes_on {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => return Err(Failure { message: format!("{}: {shown}", error.message), ..error }),
        }
    }
    Ok(())
}

/// Whether to go on.
type GoesOn = Result<bool, Failure>;

fn unreadable(error: impl std::fmt::Display) -> Failure {
    Failure::storage(format!("check the input, it cannot be read: {error}"))
}

fn json_lines(opened: Opened, columns: &Columns, each: &mut impl FnMut(Record) -> bool) -> GoesOn {
    let Opened { section, reader, mut offset, mut lines } = opened;
    let mut reader = BufReader::with_capacity(65_536, reader);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let read = (&mut reader).take(LARGEST as u64 + 1).read_until(b'\n', &mut bytes).map_err(unreadable)?;
        if read == 0 {
            return Ok(true);
        }
        let mut length = read as u64;
        let is_too_long = bytes.len() > LARGEST;
        if is_too_long && bytes.last() != Some(&b'\n') {
            length += skip_line(&mut reader).map_err(unreadable)?;
        } else if bytes.last() != Some(&b'\n') && reader.get_ref().is_cut_off() {
            // It is still being written: the next run reads it.
            return Ok(false);
        }
        let is_first = offset == 0;
        offset += length;
        lines += 1;
        let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let text = text.strip_prefix("\u{feff}".as_bytes()).filter(|_| is_first).unwrap_or(text);
        if text.trim_ascii().is_empty() {
            continue;
        }
        let (text, report) = match std::str::from_utf8(text) {
            _ if is_too_long => (String::new(), Err("send less at a time: the line has more than 1 MB".to_owned())),
            Ok(text) => (text.to_owned(), columns.of_json(text)),
            Err(_) => (String::from_utf8_lossy(text).into_owned(), Err("write UTF-8: the line is none".to_owned())),
        };
        let record = Record { section: Arc::clone(&section), line: lines, end: (offset, lines), text, report };
        if !each(record) {
            return Ok(false);
        }
    }
}

/// Passes over the rest of a line; returns how many bytes it had.
fn skip_line(reader: &mut impl BufRead) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(skipped);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(buffer.len(), |end| end + 1);
        reader.consume(length);
        skipped += length as u64;
        if end.is_some() {
            return Ok(skipped);
        }
    }
}

fn rows(opened: Opened, columns: &Columns, each: &mut impl FnMut(Record) -> bool) -> GoesOn {
    let Opened { section, reader, offset, lines } = opened;
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true);
    let mut row = csv::ByteRecord::new();
    let names = match offset {
        0 => None,
        // The last run has read beyond it.
        _ => {
            let mut beginning = builder.from_reader(section.beginning());
            beginning.read_byte_record(&mut row).map_err(unreadable)?;
            Some(header(&row)?)
        }
    };
    let mut rows = builder.from_reader(reader);
    let names = match names {
        Some(names) => names,
        None if rows.read_byte_record(&mut row).map_err(unreadable)? => header(&row)?,
        None => return Ok(true),
    };
    loop {
        if !rows.read_byte_record(&mut row).map_err(unreadable)? {
            return Ok(true);
        }
        let (bytes, read_lines) = (rows.position().byte(), rows.position().line() - 1);
        let is_unended = rows.get_ref().is_unended(offset + bytes);
        if is_unended && rows.get_ref().is_cut_off() {
            return Ok(false);
        }
        // Empty lines before it were passed over.
        let within = row.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
        let line = lines + read_lines + u64::from(is_unended) - within;
        let report = match cells(&row) {
            Err(why) => Err(why),
            Ok(cells) if cells.len() != names.len() => Err(format!(
                "write a cell for each column: the row has {}, and the header {}",
                cells.len(),
                names.len()
            )),
            Ok(cells) => columns.of_cells(names.iter().map(String::as_str).zip(cells)),
        };
        let end = (offset + bytes, lines + read_lines);
        let record = Record { section: Arc::clone(&section), line, end, text: written(&row), report };
        if !each(record) {
            return Ok(false);
        }
    }
}

/// The names of the columns.
fn header(row: &csv::ByteRecord) -> Result<Vec<String>, Failure> {
    let wrong = |why: &str| Failure::usage(format!("name each column once in the first line: {why}"));
    let mut names: Vec<String> = Vec::with_capacity(row.len());
    for (index, name) in row.iter().enumerate() {
        let name = name.strip_prefix("\u{feff}".as_bytes()).filter(|_| index == 0).unwrap_or(name);
        let name = std::str::from_utf8(name).map_err(|_| wrong("it is not UTF-8"))?;
        if name.is_empty() || names.iter().any(|other| other == name) {
            return Err(wrong(&format!("column {} is \"{name}\"", index + 1)));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

fn cells(row: &csv::ByteRecord) -> Result<Vec<&str>, String> {
    row.iter().map(|cell| std::str::from_utf8(cell).map_err(|_| "write UTF-8: the row is none".to_owned())).collect()
}

/// A row as a line of CSV, for who reads what was refused.
fn written(row: &csv::ByteRecord) -> String {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
    // A vector takes everything.
    let _ = writer.write_byte_record(row);
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;
    use std::sync::atomic::AtomicBool;

    use super::super::position::Position;

    struct Input(PathBuf);

    impl Input {
        fn new(name: &str, bytes: &[u8]) -> Self {
            let path = std::env::temp_dir().join(format!("iotda-lines-{}-{name}", std::process::id()));
            fs::write(&path, bytes).unwrap();
            Input(path)
        }

        /// All records from a position on.
        fn read(&self, format: Format, columns: &Columns, last: Option<Position>) -> Vec<Record> {
            let stop = Arc::new(AtomicBool::new(false));
            let (source, _) = Source::open(Some(&self.0), false, stop, |_| last).unwrap();
            let mut records = Vec::new();
            read(source, format, columns, |record| {
                records.push(record);
                true
            })
            .unwrap();
            records
        }
    }

    impl Drop for Input {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn service() -> Columns {
        Columns { service: Some("s".to_owned()), ..Columns::default() }
    }

    fn shown(records: &[Record]) -> Vec<(u64, &str, bool)> {
        records.iter().map(|record| (record.line, record.text.as_str(), record.report.is_ok())).collect()
    }

    #[test]
    fn lines_need_no_end_and_empty_ones_are_none() {
        let input = Input::new("jsonl", b"\xef\xbb\xbf{\"a\":1}\r\n\n  \n{\"a\":2}\nx\n\xff\n{\"a\":3}");
        let records = input.read(Format::Jsonl, &service(), None);
        let expected = [
            (1, "{\"a\":1}\r", true),
            (4, "{\"a\":2}", true),
            (5, "x", false),
            (6, "\u{fffd}", false),
            (7, "{\"a\":3}", true),
        ];
        assert_eq!(shown(&records), expected);
        assert!(Input::new("empty", b"").read(Format::Jsonl, &service(), None).is_empty());
    }

    #[test]
    fn a_line_beyond_every_limit_is_refused_and_the_next_one_read() {
        let mut text = vec![b'x'; 3 * LARGEST];
        text.extend_from_slice(b"\n{\"a\":1}\n");
        let input = Input::new("long", &text);
        let records = input.read(Format::Jsonl, &service(), None);
        assert_eq!(shown(&records), [(1, "", false), (2, "{\"a\":1}", true)]);
        assert_eq!(records[0].end.0 as usize, 3 * LARGEST + 1);
    }

    #[test]
    fn rows_are_checked_against_the_header() {
        let text = "a,b\n1,\"x\ny\"\n\n2\n3,4,5\n6,7";
        let records = Input::new("csv", text.as_bytes()).read(Format::Csv, &service(), None);
        let expected = [(2, "1,\"x\ny\"", true), (5, "2", false), (6, "3,4,5", false), (7, "6,7", true)];
        assert_eq!(shown(&records), expected);
        let stop = Arc::new(AtomicBool::new(false));
        let twice = Input::new("twice", b"a,a\n1,2\n");
        let (source, _) = Source::open(Some(&twice.0), false, stop, |_| None).unwrap();
        assert_eq!(read(source, Format::Csv, &service(), |_| true).unwrap_err().exit.code(), 2);
    }

    #[test]
    fn reading_resumes_behind_any_record_in_both_formats() {
        for (name, format, text) in [
            ("resumed-jsonl", Format::Jsonl, "{\"a\":1}\n\n{\"a\":2}\r\n{\"a\":3}"),
            ("resumed-csv", Format::Csv, "a,b\r\n1,\"x\ny\"\r\n\r\n2,3\n4,5"),
        ] {
            let input = Input::new(name, text.as_bytes());
            let all = input.read(format, &service(), None);
            assert_eq!(all.len(), 3);
            for (index, record) in all.iter().enumerate() {
                let last = Position::of(&record.section, record.end.0, record.end.1);
                let rest = input.read(format, &service(), last);
                assert_eq!(shown(&rest), shown(&all[index + 1..]), "{name} behind record {index}");
                let reports: Vec<_> = rest.iter().map(|record| record.report.clone()).collect();
                assert!(reports.iter().eq(all[index + 1..].iter().map(|record| &record.report)));
            }
        }
    }
}
