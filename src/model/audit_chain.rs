//! The chain of the audit, and exports of it (*audit chain*): each row has the SHA-256 of the hash
//! before it and of its line. `command::apply` links rows, `app::audit` writes exports, and the
//! command line checks them. Pure.
//!
//! ```text
//!   {"scheduler0Audit":1,"cluster":"...","after":512,"chain":"<hash of row 512>","exportedAt":...}
//!   {"id":768,...,"detail":{...},"chain":"<SHA-256 of hash 512 and of this line without chain>"}
//!   {"id":1024,...}
//!   {"rows":2,"last":1024,"head":"<hash of row 1024>"}
//! ```
//!
//! An export begins with the hash before its first row, because older rows may have been dropped.
//! Whoever compares the head with one that was noted before, or of another node, knows that nothing
//! was changed in between.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Millis;
use super::audit::{AuditRow, ChainHash};

/// The hash before the first row of a cluster.
pub const FIRST: ChainHash = [0; 32];
/// The form of exports.
const FORM: u32 = 1;
/// What comes between the line of a row and its hash in an export.
const HASH_FIELD: &str = ",\"chain\":\"";

/// The first line of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportHead {
    #[serde(rename = "scheduler0Audit")]
    form: u32,
    /// The cluster's id, in hex.
    pub cluster: String,
    /// The number of the row before the first one; 0 where none was before.
    pub after: u64,
    /// The hash of that row, in hex.
    pub chain: String,
    /// The instant of the export.
    pub exported_at: Millis,
}

/// The last line of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportEnd {
    /// The number of rows between head and end.
    pub rows: u64,
    /// The number of the last row; that of the head where there is none.
    pub last: u64,
    /// The hash of that row, in hex.
    pub head: String,
}

/// The reason why an export is not whole, or not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The first line is no head.
    #[error("line 1 is no head of an audit export")]
    Head,
    /// The head is of a newer form.
    #[error("the export has form {0}, and this program knows form {FORM}: use a newer one")]
    Form(u32),
    /// A line is no row.
    #[error("line {line} is no row of the audit")]
    Line {
        /// Its number in the file, from 1.
        line: u64,
    },
    /// A row is not the one that was hashed, or one before it is missing.
    #[error("row {id} (line {line}) differs from what was written, or a row before it is missing")]
    Row {
        /// The number of the row, as it says.
        id: u64,
        /// Its number in the file, from 1.
        line: u64,
    },
    /// There is no last line: the export was cut.
    #[error("the export ends behind row {last} without its last line: it is not whole")]
    Cut {
        /// The last row that is there and right.
        last: u64,
    },
    /// The last line does not fit the rows.
    #[error(
        "the last line names {named} rows and head {head}, and the rows before it do not agree"
    )]
    End {
        /// The number of rows that it names.
        named: u64,
        /// The head that it names.
        head: String,
    },
}

/// The hash of a row, by its line and the hash before it.
pub fn link(before: &ChainHash, line: &str) -> ChainHash {
    Sha256::new().chain_update(before).chain_update(line).finalize().into()
}

/// A hash in hex.
pub fn hex(hash: &[u8]) -> String {
    hash.iter().fold(String::with_capacity(2 * hash.len()), |mut text, byte| {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<ChainHash> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c)) {
        return None;
    }
    for (place, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(hash)
}

/// The line of a row in an export, without its end of line.
pub fn export_line(row: &AuditRow, hash: &ChainHash) -> String {
    let mut line = row.line();
    line.pop();
    line.push_str(HASH_FIELD);
    line.push_str(&hex(hash));
    line.push_str("\"}");
    line
}

impl ExportHead {
    /// The head of an export that goes on behind a row.
    pub fn new(cluster: u128, (after, hash): (u64, &ChainHash), exported_at: Millis) -> Self {
        let (cluster, chain) = (format!("{cluster:032x}"), hex(hash));
        Self { form: FORM, cluster, after, chain, exported_at }
    }
}

/// The check of an export, line by line.
#[derive(Clone, Debug, Default)]
pub struct ExportCheck {
    lines: u64,
    chain: ChainHash,
    last: u64,
    rows: u64,
    end: Option<ExportEnd>,
}

impl ExportCheck {
    /// Takes the next line, without its end of line.
    ///
    /// # Errors
    ///
    /// [`Broken`] where the line is not the one that was written there.
    pub fn line(&mut self, text: &str) -> Result<(), Broken> {
        self.lines += 1;
        let line = self.lines;
        if line == 1 {
            let head: ExportHead = serde_json::from_str(text).map_err(|_| Broken::Head)?;
            if head.form != FORM {
                return Err(Broken::Form(head.form));
            }
            self.chain = unhex(&head.chain).ok_or(Broken::Head)?;
            self.last = head.after;
            return Ok(());
        }
        if self.end.is_some() {
            return Err(Broken::Line { line });
        }
        if let Ok(end) = serde_json::from_str::<ExportEnd>(text) {
            if (end.rows, end.last, &end.head) != (self.rows, self.last, &hex(&self.chain)) {
                return Err(Broken::End { named: end.rows, head: end.head });
            }
            self.end = Some(end);
            return Ok(());
        }
        let (id, found) = self.row(text).ok_or(Broken::Line { line })?;
        let Some(chain) = found.filter(|_| id > self.last) else {
            return Err(Broken::Row { id, line });
        };
        (self.chain, self.last, self.rows) = (chain, id, self.rows + 1);
        Ok(())
    }

    /// The number of a row, and its hash if it is right.
    fn row(&self, text: &str) -> Option<(u64, Option<ChainHash>)> {
        #[derive(Deserialize)]
        struct Numbered {
            id: u64,
        }
        let (line, hash) = text.rsplit_once(HASH_FIELD)?;
        // What was changed may be no JSON any more, and still names its row.
        let id = serde_json::from_str(text).map(|row: Numbered| row.id).ok().or_else(|| {
            let digits = text.strip_prefix("{\"id\":")?.split_once(',')?.0;
            digits.parse().ok()
        })?;
        let chain = link(&self.chain, &format!("{line}}}"));
        Some((id, (hash.strip_suffix("\"}") == Some(hex(&chain).as_str())).then_some(chain)))
    }

    /// The end of the export, once all its lines were taken.
    ///
    /// # Errors
    ///
    /// [`Broken`] where lines are missing.
    pub fn end(self) -> Result<ExportEnd, Broken> {
        match self.end {
            Some(end) => Ok(end),
            None if self.lines == 0 => Err(Broken::Head),
            None => Err(Broken::Cut { last: self.last }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(rows: u64) -> Vec<String> {
        let head = ExportHead::new(7, (256, &[9; 32]), 5);
        let mut lines = vec![serde_json::to_string(&head).unwrap()];
        let (mut chain, mut last) = ([9; 32], 256);
        for n in 0..rows {
            last = 512 + 256 * n;
            let detail = format!("{{\"count\":{n}}}");
            let row = AuditRow { id: last, account: 1, detail, ..AuditRow::default() };
            chain = link(&chain, &row.line());
            lines.push(export_line(&row, &chain));
        }
        let end = ExportEnd { rows, last, head: hex(&chain) };
        lines.push(serde_json::to_string(&end).unwrap());
        lines
    }

    fn check<S: AsRef<str>>(lines: &[S]) -> Result<ExportEnd, Broken> {
        let mut check = ExportCheck::default();
        for line in lines {
            check.line(line.as_ref())?;
        }
        check.end()
    }

    #[test]
    fn an_export_is_right_as_it_was_written() {
        for rows in [0, 1, 5] {
            let end = check(&export(rows)).unwrap();
            assert_eq!((end.rows, end.last), (rows, 256 + 256 * rows));
        }
    }

    #[test]
    fn one_byte_that_was_changed_names_its_row() {
        let lines = export(5);
        let last = lines.len() - 1;
        for (at, line) in lines.iter().enumerate().take(last).skip(1) {
            let id = 256 + 256 * at as u64;
            for place in 0..line.len() {
                let mut bytes = line.clone().into_bytes();
                bytes[place] = if bytes[place] == b'1' { b'2' } else { b'1' };
                let mut changed = lines.clone();
                changed[at] = String::from_utf8(bytes).unwrap();
                let broken = check(&changed).unwrap_err();
                let named = match broken {
                    Broken::Row { line, .. } | Broken::Line { line } => line,
                    other => panic!("{other}"),
                };
                assert_eq!(named, at as u64 + 1, "row {id}, byte {place}");
            }
        }
    }

    #[test]
    fn a_row_that_is_missing_moved_or_doubled_is_found() {
        let lines = export(4);
        let without = |at: usize| {
            let mut less = lines.clone();
            less.remove(at);
            check(&less).unwrap_err()
        };
        assert_eq!(without(0), Broken::Head);
        assert_eq!(without(2), Broken::Row { id: 1_024, line: 3 });
        assert!(matches!(without(4), Broken::End { named: 4, .. }));
        assert_eq!(without(5), Broken::Cut { last: 1_280 });
        let mut moved = lines.clone();
        moved.swap(1, 2);
        assert_eq!(check(&moved).unwrap_err(), Broken::Row { id: 768, line: 2 });
        let mut doubled = lines.clone();
        doubled.insert(1, lines[1].clone());
        assert_eq!(check(&doubled).unwrap_err(), Broken::Row { id: 512, line: 3 });
        let mut behind = lines.clone();
        behind.push(lines[1].clone());
        assert_eq!(check(&behind).unwrap_err(), Broken::Line { line: 7 });
        assert_eq!(check::<String>(&[]).unwrap_err(), Broken::Head);
        let newer = lines[0].replace("\"scheduler0Audit\":1", "\"scheduler0Audit\":2");
        assert_eq!(check(&[newer]).unwrap_err(), Broken::Form(2));
    }
}
