//! What goes to stdout, as a table or as JSON, and what is said on stderr. Used by all commands;
//! never panics on a closed pipe, and never mixes the two.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Table, presets};
use serde_json::Value;

use crate::telemetry;

/// The form of the data on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns for people.
    Table,
    /// The API's JSON for programs.
    Json,
}

/// Where data goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    /// In which form.
    pub format: Format,
    /// Whether a person reads it: JSON is indented then.
    terminal: bool,
}

/// A column: its title, and the fields to look for (the first that is there counts; `a.b` looks
/// into an object).
pub(super) type Column = (&'static str, &'static [&'static str]);

impl Output {
    /// What was asked for, else a table on a terminal and JSON otherwise.
    pub(super) fn new(asked: Option<Format>) -> Self {
        let terminal = io::stdout().is_terminal();
        let format = asked.unwrap_or(if terminal { Format::Table } else { Format::Json });
        Self { format, terminal }
    }

    /// A value as JSON.
    pub(super) fn json(self, value: &Value) -> anyhow::Result<()> {
        let text = if self.terminal { format!("{value:#}") } else { value.to_string() };
        line(&text)
    }

    /// An answer of the API: the envelope as it came, or a table of the records in it.
    pub(super) fn records(
        self,
        envelope: &Value,
        records: &[Value],
        columns: &[Column],
    ) -> anyhow::Result<()> {
        match self.format {
            Format::Json => self.json(envelope),
            Format::Table if records.is_empty() => {
                say("nothing found");
                Ok(())
            }
            Format::Table => line(&table(
                columns.iter().map(|(title, _)| *title),
                records.iter().map(|r| columns.iter().map(|(_, names)| cell(r, names)).collect()),
            )),
        }
    }

    /// One record: the envelope, or its fields one below the other.
    pub(super) fn record(self, envelope: &Value) -> anyhow::Result<()> {
        if self.format == Format::Json {
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

/// One line of data on stdout.
pub(super) fn line(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Says something to the person, on stderr; beside a node, in the log's own stream, which waits for
/// no reader.
pub(super) fn say(line: &str) {
    if telemetry::say(line) {
        return;
    }
    // Nobody is left to be told when stderr is closed.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Whether an error is only that the reader of stdout went away.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// A table without lines, columns two spaces apart.
pub(super) fn table<'a>(
    titles: impl Iterator<Item = &'a str>,
    rows: impl Iterator<Item = Vec<String>>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(titles.map(str::to_uppercase));
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
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

/// A value as people read it. Control characters are shown, not obeyed: names and errors come from
/// others, and a terminal would act on escape sequences in them.
pub(super) fn show(value: &Value) -> String {
    let plain = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if plain.chars().any(char::is_control) { plain.escape_debug().to_string() } else { plain }
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
    }

    #[test]
    fn a_table_lines_up_without_trailing_blanks() {
        let rows = [vec!["1".to_owned(), "alpha".to_owned()], vec!["22".into(), "b".into()]];
        let text = table(["id", "name"].into_iter(), rows.into_iter());
        assert_eq!(text, "ID  NAME\n1   alpha\n22  b");
    }
}
