//! Writes data to stdout, as a table or as JSON, and messages to stderr. Used by all commands. It
//! never panics on a closed pipe.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, Row, Table, presets};
use serde_json::Value;

use super::visible;
use crate::telemetry;

/// Cells up to this width are never cut: instants, ids and numbers are worth nothing in part.
const NEVER_CUT: usize = 24;

/// The form of the data on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns for people, cut to the terminal's width.
    Table,
    /// More columns, without cutting.
    Wide,
    /// The API's JSON for programs.
    Json,
}

/// The destination and the form of a command's data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    /// The form in which data goes to stdout: a table, or JSON.
    pub format: Format,
    /// Set if stdout is a terminal: JSON is indented then.
    terminal: bool,
    /// Set if the user chose the form.
    chosen: bool,
}

/// A column: its title, and the fields to look for (the first that is there counts; `a.b` looks
/// into an object).
pub(super) type Column = (&'static str, &'static [&'static str]);

/// A column whose cells are computed from several fields.
pub(super) struct ComputedColumn {
    pub(super) title: &'static str,
    /// The text of a record's cell; `-` for nothing.
    pub(super) cell: fn(&Value) -> String,
    /// Shown only by `-o wide`.
    pub(super) wide: bool,
}

impl Output {
    /// The chosen form, else a table, also in a pipe.
    pub(super) fn new(asked: Option<Format>) -> Self {
        let terminal = io::stdout().is_terminal();
        Self { format: asked.unwrap_or(Format::Table), terminal, chosen: asked.is_some() }
    }

    /// The output of a command that scripts read: JSON if stdout is no terminal and the user chose
    /// no form.
    pub(super) fn json_in_a_pipe(self) -> Self {
        let format = if self.terminal || self.chosen { self.format } else { Format::Json };
        Self { format, ..self }
    }

    /// Returns whether the form is JSON.
    pub(super) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Writes a value as JSON.
    pub(super) fn json(self, value: &Value) -> anyhow::Result<()> {
        raw_line(&visible::json(value, self.terminal))
    }

    /// An answer of the API: the envelope as it came, or a table of the records in it.
    pub(super) fn records(
        self,
        envelope: &Value,
        records: &[Value],
        columns: &[Column],
    ) -> anyhow::Result<()> {
        let titles: Vec<_> = columns.iter().map(|(title, _)| *title).collect();
        let row = |r: &Value| columns.iter().map(|(_, names)| cell(r, names)).collect();
        self.rows(envelope, &titles, &records.iter().map(row).collect::<Vec<_>>())
    }

    /// Writes an answer of the API like [`Output::records`], with computed columns.
    pub(super) fn computed(
        self,
        envelope: &Value,
        records: &[Value],
        columns: &[ComputedColumn],
    ) -> anyhow::Result<()> {
        let columns: Vec<_> =
            columns.iter().filter(|c| !c.wide || self.format == Format::Wide).collect();
        let titles: Vec<_> = columns.iter().map(|column| column.title).collect();
        let row = |r: &Value| columns.iter().map(|column| (column.cell)(r)).collect();
        self.rows(envelope, &titles, &records.iter().map(row).collect::<Vec<_>>())
    }

    fn rows(self, envelope: &Value, titles: &[&str], rows: &[Vec<String>]) -> anyhow::Result<()> {
        if self.is_json() {
            return self.json(envelope);
        }
        if rows.is_empty() {
            say("nothing found");
            return Ok(());
        }
        line(&self.table(titles, rows))
    }

    /// A table with only the columns that some row fills; on a terminal it is cut to its width.
    pub(super) fn table(self, titles: &[&str], rows: &[Vec<String>]) -> String {
        let filled = |n: &usize| *n == 0 || rows.iter().any(|row| row[*n] != "-");
        let kept: Vec<_> = (0..titles.len()).filter(filled).collect();
        let rows = rows.iter().map(|row| kept.iter().map(|n| row[*n].clone()).collect());
        arranged(kept.iter().map(|n| titles[*n]), rows, self.width(), Long::Cut)
    }

    /// The width that text for people must fit into: the terminal's, or none with `-o wide`.
    pub(super) fn width(self) -> Option<u16> {
        if self.format == Format::Table { terminal_width() } else { None }
    }

    /// Writes one record: the envelope, or its fields one below the other.
    pub(super) fn record(self, envelope: &Value) -> anyhow::Result<()> {
        if self.is_json() {
            return self.json(envelope);
        }
        let data = &envelope["data"];
        let Some(fields) = data.as_object() else { return line(&show(data)) };
        let width = fields.keys().map(|name| name.chars().count()).max().unwrap_or(0);
        let lines: Vec<_> =
            fields.iter().map(|(name, value)| format!("{name:width$}  {}", show(value))).collect();
        line(&lines.join("\n"))
    }
}

/// The width of the terminal, if stdout is one.
fn terminal_width() -> Option<u16> {
    if !io::stdout().is_terminal() {
        return None;
    }
    rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col).filter(|n| *n > 0)
}

/// Writes text to stdout; see [`visible`].
pub(super) fn line(text: &str) -> anyhow::Result<()> {
    raw_line(&visible::lines(text))
}

/// Writes a record to stdout as a line of JSON.
pub(super) fn json_line(value: &Value) -> anyhow::Result<()> {
    raw_line(&visible::json(value, false))
}

/// Clears the terminal and goes to its upper left corner.
pub(super) fn clear() -> anyhow::Result<()> {
    raw_line("\x1b[H\x1b[2J\x1b[3J")
}

fn raw_line(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Writes a piece of data to stdout as it is; for a terminal with what it would obey written out.
pub(super) fn bytes(piece: &[u8], for_terminal: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if for_terminal {
        out.write_all(visible::lines(&String::from_utf8_lossy(piece)).as_bytes())?;
    } else {
        out.write_all(piece)?;
    }
    Ok(out.flush()?)
}

/// Writes a message for people to stderr. Beside a running node it goes into the stream of the log,
/// which never waits for a reader. A message may quote a server; see [`visible`].
pub(super) fn say(line: &str) {
    let line = &*visible::lines(line);
    if telemetry::say(line) {
        return;
    }
    // The message is lost when stderr is closed.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Returns whether an error only says that the reader of stdout has gone.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// A table without lines, columns two spaces apart.
pub(super) fn table<'a>(
    titles: impl Iterator<Item = &'a str>,
    rows: impl Iterator<Item = Vec<String>>,
) -> String {
    arranged(titles, rows, None, Long::Cut)
}

/// A table whose widest cells are wrapped until it fits into the width.
pub(super) fn wrapped<'a>(
    titles: impl Iterator<Item = &'a str>,
    rows: impl Iterator<Item = Vec<String>>,
    width: Option<u16>,
) -> String {
    arranged(titles, rows, width, Long::Wrapped)
}

/// A text whose later lines begin under a column, each of them no wider than that if it has blanks.
pub(super) fn hanging(text: &str, indent: usize, width: Option<u16>) -> String {
    let width = width.map_or(usize::MAX, usize::from);
    let (mut told, mut column) = (String::with_capacity(text.len()), 0);
    for (nth, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if nth > 0 && column + 1 + length > width && column > indent {
            told.push('\n');
            told.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if nth > 0 {
            told.push(' ');
            column += 1;
        }
        told.push_str(word);
        column += length;
    }
    told
}

/// The treatment of cells that make a table too wide.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Long {
    /// The end of the cell is left out.
    Cut,
    /// The cell takes several lines.
    Wrapped,
}

fn arranged<'a>(
    titles: impl Iterator<Item = &'a str>,
    rows: impl Iterator<Item = Vec<String>>,
    width: Option<u16>,
    long: Long,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(titles.map(str::to_uppercase));
    for row in rows {
        let mut row = Row::from(row);
        if width.is_some() && long == Long::Cut {
            row.max_height(1);
        }
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    if let Some(width) = width {
        // The blanks after the last column are trimmed below.
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width + 2);
        let widths = table.column_max_content_widths();
        for (column, width) in table.column_iter_mut().zip(widths) {
            if usize::from(width) <= NEVER_CUT {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
    }
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The first field of these names that is there, as text.
pub(super) fn cell(record: &Value, names: &[&str]) -> String {
    let value = names.iter().find_map(|name| {
        let found = name.split('.').try_fold(record, |value, part| value.get(part))?;
        (!found.is_null()).then_some(found)
    });
    value.map_or_else(|| "-".to_owned(), show)
}

/// A value as people read it, in one line. Names and errors come from others, so characters that a
/// terminal would obey or hide are escaped.
pub(super) fn show(value: &Value) -> String {
    let plain = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let written_out = match visible::one_line(&plain) {
        Cow::Borrowed(_) => None,
        Cow::Owned(text) => Some(text),
    };
    written_out.unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cell_is_the_first_field_there_and_harmless() {
        let record = json!({"a": null, "b": {"c": 7}, "d": "x\u{1b}[2Jy"});
        assert_eq!(cell(&record, &["a", "b.c"]), "7");
        assert_eq!(cell(&record, &["nothing"]), "-");
        assert_eq!(cell(&record, &["d"]), "x\\u{1b}[2Jy");
        assert_eq!(show(&json!({"a": "\u{202e}"})), "{\"a\":\"\\u{202e}\"}");
    }

    #[test]
    fn a_table_is_cut_to_a_width_in_its_long_cells_only() {
        let row = ["1", "2026-11-21T10:17:37Z", &"a long value ".repeat(9), &"http://a/".repeat(9)];
        let rows = || std::iter::once(row.map(str::to_owned).to_vec());
        let titles = || ["id", "next", "description", "target"].into_iter();
        let text = arranged(titles(), rows(), Some(80), Long::Cut);
        assert!(
            text.lines().count() == 2 && text.lines().all(|l| l.chars().count() <= 80),
            "{text}"
        );
        assert!(
            text.contains("2026-11-21T10:17:37Z  a long value") && text.contains('…'),
            "{text}"
        );
        let wide = arranged(titles(), rows(), Some(400), Long::Cut);
        assert_eq!(wide, table(titles(), rows()));
    }

    #[test]
    fn what_must_not_be_cut_goes_on_below_where_it_began() {
        let row = ["month", "a long value ".repeat(9).trim(), "yes"].map(str::to_owned).to_vec();
        let titles = ["field", "in words", "fits"];
        let text = wrapped(titles.into_iter(), std::iter::once(row), Some(60));
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        let hangs = |line: &str| line.len() - line.trim_start().len() == "month  ".len();
        assert!(text.lines().skip(2).all(hangs) && text.lines().count() > 2, "{text}");
        assert_eq!(text.matches("value").count(), 9, "{text}");

        let told = hanging("error: one two three four", 7, Some(14));
        assert_eq!(told, "error: one two\n       three\n       four");
        assert_eq!(hanging("error: unbreakable", 7, Some(10)), "error: unbreakable");
        assert_eq!(hanging("a  b", 0, None), "a  b");
    }

    #[test]
    fn columns_that_nobody_fills_are_left_out() {
        let output = Output { format: Format::Table, terminal: false, chosen: false };
        let rows = vec![vec!["-".to_owned(), "-".into(), "x".into()]];
        assert_eq!(output.table(&["a", "b", "c"], &rows), "A  C\n-  x");
    }

    #[test]
    fn a_table_lines_up_without_trailing_blanks() {
        let rows = [vec!["1".to_owned(), "alpha".to_owned()], vec!["22".into(), "b".into()]];
        let text = table(["id", "name"].into_iter(), rows.into_iter());
        assert_eq!(text, "ID  NAME\n1   alpha\n22  b");
    }
}
