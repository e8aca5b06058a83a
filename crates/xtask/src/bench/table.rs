//! Figures and the Markdown tables that show them.

use std::fmt::Write;

/// Several measurements of one thing.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample(Vec<f64>);

impl Sample {
    pub(super) fn add(&mut self, value: f64) {
        let place = self.0.partition_point(|other| *other < value);
        self.0.insert(place, value);
    }

    /// `None` if there are no measurements.
    pub(super) fn median(&self) -> Option<f64> {
        let middle = self.0.len() / 2;
        if self.0.len() % 2 == 0 {
            Some((self.0.get(middle.checked_sub(1)?)? + self.0[middle]) / 2.0)
        } else {
            self.0.get(middle).copied()
        }
    }

    /// `median (least–most)`.
    pub(super) fn with_spread(&self, decimals: usize) -> String {
        match (self.median(), self.0.first(), self.0.last()) {
            (Some(median), Some(least), Some(most)) => {
                format!("{median:.decimals$} ({least:.decimals$}–{most:.decimals$})")
            }
            _ => NOTHING.to_owned(),
        }
    }
}

/// The cell of what could not be measured.
pub(super) const NOTHING: &str = "–";

/// A cell with one number.
pub(super) fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| NOTHING.to_owned(), |value| grouped(&format!("{value:.decimals$}")))
}

/// A cell with a number of bytes, as MB of 1,000,000.
pub(super) fn megabytes(bytes: Option<f64>) -> String {
    bytes.map_or_else(|| NOTHING.to_owned(), |bytes| format!("{:.2} MB", bytes / 1e6))
}

/// `1234567.5` as `1,234,567.5`.
fn grouped(number: &str) -> String {
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(whole, part)| (whole, Some(part)));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut text = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if let Some(fraction) = fraction {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

/// A Markdown table. The first column is text, the others are numbers.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()] }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(super) fn markdown(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default().max(4)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            for (column, width) in widths.iter().enumerate() {
                let cell = row.get(column).map_or("", String::as_str);
                let padding = " ".repeat(width - cell.chars().count());
                let cell = if column == 0 { format!("{cell}{padding}") } else { format!("{padding}{cell}") };
                // Writing to a string does not fail.
                let _ = write!(text, "| {cell} ");
            }
            text.push_str("|\n");
            if index == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let line = "-".repeat(width + 1);
                    let _ = if column == 0 { write!(text, "|{line}-") } else { write!(text, "|{line}:") };
                }
                text.push_str("|\n");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_spread() {
        let mut sample = Sample::default();
        assert_eq!((sample.median(), sample.with_spread(1).as_str()), (None, "–"));
        for value in [3.0, 1.0, 2.0] {
            sample.add(value);
        }
        assert_eq!(sample.with_spread(1), "2.0 (1.0–3.0)");
        sample.add(10.0);
        assert_eq!(sample.median(), Some(2.5));
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(number(Some(1_234_567.5), 1), "1,234,567.5");
        assert_eq!((number(Some(-999.0), 0), number(Some(1000.0), 0)), ("-999".to_owned(), "1,000".to_owned()));
        assert_eq!((number(None, 0), megabytes(Some(1_650_000.0))), ("–".to_owned(), "1.65 MB".to_owned()));
    }

    #[test]
    fn a_table_is_aligned() {
        let mut table = Table::new(&["name", "n"]);
        table.row(vec!["é".to_owned(), "12345".to_owned()]);
        assert_eq!(table.markdown(), "| name |     n |\n|------|------:|\n| é    | 12345 |\n");
    }
}
