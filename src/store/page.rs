//! Pages of lists, and parts of long walks. A page begins at an offset or behind the key at which
//! the page before ended. It is found in two steps, first the ids and then row by row, so that
//! neither a sort nor a long page holds whole rows in memory. The files of nouns use it; it knows
//! none of them.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::row::{clamped, id_at};

/// The place where a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct After {
    /// The sort key of its last record; `None` where it has none, and in lists sorted by id.
    pub key: Option<i64>,
    /// The id of its last record.
    pub id: u64,
}

/// The part of a list that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page<O> {
    /// The most records of the page.
    pub limit: u64,
    /// The number of records to leave out before it; SQLite steps over them one by one.
    pub offset: u64,
    /// The column to sort by; ties are sorted by id.
    pub order_by: O,
    /// Largest first.
    pub descending: bool,
    /// Only records behind this place, in the order of the list.
    pub after: Option<After>,
}

impl<O: Default> Default for Page<O> {
    fn default() -> Self {
        Self { limit: 50, offset: 0, order_by: O::default(), descending: false, after: None }
    }
}

impl<O> Page<O> {
    /// `ORDER BY ... LIMIT ... OFFSET ...` for a column name from a fixed list.
    pub(in crate::store) fn clause(&self, column: &'static str) -> String {
        let way = if self.descending { "DESC" } else { "ASC" };
        let (limit, offset) = (clamped(self.limit), clamped(self.offset));
        if column == "id" {
            return format!("ORDER BY id {way} LIMIT {limit} OFFSET {offset}");
        }
        format!("ORDER BY {column} {way}, id {way} LIMIT {limit} OFFSET {offset}")
    }

    /// The condition, beginning with `AND`, that leaves out the pages before; empty for a first
    /// page. Only columns of numbers can be continued behind a key.
    fn keyset(&self, column: &'static str) -> String {
        let Some(After { key, id }) = self.after else { return String::new() };
        let than = if self.descending { '<' } else { '>' };
        let id = clamped(id);
        if column == "id" {
            return format!(" AND id {than} {id}");
        }
        // Records without a value are sorted before all others.
        let (least, key) = (i64::MIN, key.unwrap_or(i64::MIN));
        format!(" AND (COALESCE({column}, {least}), id) {than} ({key}, {id})")
    }

    /// The ids of the page, in its order. `from` is `FROM ... WHERE ...`, with these values.
    pub(in crate::store) fn ids(
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

    /// Reads the records of a page of a whole table one by one, until `f` returns `false`.
    pub(in crate::store) fn each<T>(
        &self,
        conn: &Connection,
        (table, column): (&'static str, &'static str),
        get: impl Fn(&Connection, u64) -> rusqlite::Result<Option<T>>,
        mut f: impl FnMut(T) -> rusqlite::Result<bool>,
    ) -> rusqlite::Result<()> {
        for id in self.ids(conn, &format!("FROM {table} WHERE TRUE"), Vec::new(), column)? {
            if let Some(record) = get(conn, id)?
                && !f(record)?
            {
                break;
            }
        }
        Ok(())
    }
}

/// The ids of all rows of a table, ascending.
pub(in crate::store) fn all_ids(
    conn: &Connection,
    table: &'static str,
) -> rusqlite::Result<Vec<u64>> {
    conn.prepare_cached(&format!("SELECT id FROM {table} ORDER BY id"))?
        .query_map([], |row| id_at(row, 0))?
        .collect()
}

/// The number of rows of a table.
pub(in crate::store) fn count(conn: &Connection, table: &'static str) -> rusqlite::Result<u64> {
    conn.prepare_cached(&format!("SELECT COUNT(*) FROM {table}"))?
        .query_row([], |row| id_at(row, 0))
}

/// One part of a walk through a table. A part looks at a bounded number of rows, however few of
/// them match, so that each call of a long walk takes about as long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked<T> {
    /// The records that match, in the order of ids.
    pub found: Vec<T>,
    /// The last id that was looked at, where the walk goes on; `None` at its end.
    pub on: Option<u64>,
}
