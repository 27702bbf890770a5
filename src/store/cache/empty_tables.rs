//! Shards that have no pending row, no run or no dead letter at all. Most of the time that is so,
//! and then apply records a delivery without a search for them.
//!
//! Apply asks before it searches, and marks a shard when it adds a row. The answer is read from the
//! file once a transaction and shard. No result depends on it: it only says when a search would
//! find nothing.

use std::cell::Cell;

use rusqlite::{Connection, params};

use crate::model::shard::{SHARDS, ShardId};

/// The tables that the cache knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Occurrences whose next attempt is in the store.
    Pending = 0,
    /// Runs under way.
    Runs = 1,
    /// Dead letters.
    DeadLetters = 2,
}

/// One bit for each shard and table.
#[derive(Default)]
pub(in crate::store) struct EmptyTables {
    known: [Cell<u64>; 3],
    empty: [Cell<u64>; 3],
}

// A shard's bit has to fit.
const _: () = assert!(SHARDS <= 64);

impl EmptyTables {
    /// Forgets everything: a new transaction begins.
    pub(in crate::store) fn forget(&self) {
        self.known.iter().for_each(|known| known.set(0));
    }

    /// Tells whether a shard has no row in a table.
    pub(in crate::store) fn is_empty(
        &self,
        conn: &Connection,
        table: Table,
        shard: ShardId,
    ) -> rusqlite::Result<bool> {
        if let Some(empty) = self.get(table, shard) {
            return Ok(empty);
        }
        let sql = match table {
            Table::Pending => "SELECT NOT EXISTS (SELECT 1 FROM pending WHERE shard = ?1)",
            Table::Runs => "SELECT NOT EXISTS (SELECT 1 FROM runs WHERE shard = ?1)",
            Table::DeadLetters => "SELECT NOT EXISTS (SELECT 1 FROM dead_letters WHERE shard = ?1)",
        };
        let empty = conn.prepare_cached(sql)?.query_row(params![shard], |row| row.get(0))?;
        self.set(table, shard, empty);
        Ok(empty)
    }

    /// Notes that a shard has a row in a table from here on.
    pub(in crate::store) fn mark_occupied(&self, table: Table, shard: ShardId) {
        self.set(table, shard, false);
    }

    fn set(&self, table: Table, shard: ShardId, empty: bool) {
        let (bit, place) = (1 << (shard % 64), table as usize);
        self.known[place].set(self.known[place].get() | bit);
        let others = self.empty[place].get() & !bit;
        self.empty[place].set(if empty { others | bit } else { others });
    }

    fn get(&self, table: Table, shard: ShardId) -> Option<bool> {
        let (bit, place) = (1 << (shard % 64), table as usize);
        let known = self.known[place].get() & bit != 0;
        known.then(|| self.empty[place].get() & bit != 0)
    }
}
