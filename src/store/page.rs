//! Pages of lists: by offset, or by the key at which the page before ended. A page is found in two
//! steps, first the numbers and then row by row, so that neither a sort nor a long page holds whole
//! rows in memory. The files of nouns use it; it knows none of them.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::id_at;

/// Where a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct After {
    /// What its last record is sorted by; `None` where it has none, and in lists that go by number.
    pub key: Option<i64>,
    /// Its number.
    pub id: u64,
}

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page<O> {
    /// At most so many.
    pub limit: u64,
    /// After leaving out so many: they are passed over one by one.
    pub offset: u64,
    /// The column to sort by; ties go by id.
    pub order_by: O,
    /// Largest first.
    pub descending: bool,
    /// Only what comes behind this, in the order of the list.
    pub after: Option<After>,
}

impl<O: Default> Default for Page<O> {
    fn default() -> Self {
        Self { limit: 50, offset: 0, order_by: O::default(), descending: false, after: None }
    }
}

impl<O> Page<O> {
    /// `ORDER BY ... LIMIT ... OFFSET ...` for a column name from a fixed list.
    pub(super) fn clause(&self, column: &'static str) -> String {
        let way = if self.descending { "DESC" } else { "ASC" };
        let (limit, offset) = (self.limit.min(i64::MAX as u64), self.offset.min(i64::MAX as u64));
        if column == "id" {
            return format!("ORDER BY id {way} LIMIT {limit} OFFSET {offset}");
        }
        format!("ORDER BY {column} {way}, id {way} LIMIT {limit} OFFSET {offset}")
    }

    /// The condition, beginning with `AND`, that leaves out what the pages before have shown; nothing
    /// for a first page. Numbers only: a column of text cannot be gone on with.
    pub(super) fn keyset(&self, column: &'static str) -> String {
        let Some(After { key, id }) = self.after else { return String::new() };
        let than = if self.descending { '<' } else { '>' };
        let id = id.min(i64::MAX as u64);
        if column == "id" {
            return format!(" AND id {than} {id}");
        }
        // Records without a value are sorted before all others.
        let (least, key) = (i64::MIN, key.unwrap_or(i64::MIN));
        format!(" AND (COALESCE({column}, {least}), id) {than} ({key}, {id})")
    }

    /// The numbers of the page, in its order. `from` is `FROM ... WHERE ...`, with these values.
    pub(super) fn ids(
        &self,
        conn: &Connection,
        from: &str,
        values: Vec<Value>,
        column: &'static str,
    ) -> rusqlite::Result<Vec<u64>> {
        let (keyset, clause) = (self.keyset(column), self.clause(column));
        conn.prepare(&format!("SELECT id {from}{keyset} {clause}"))?
            .query_map(params_from_iter(values), |row| id_at(row, 0))?
            .collect()
    }
}
