//! Which shards have no pending row, no run or no dead letter at all: most of the time that is so, and
//! then recording what was delivered needs no search for them.
//!
//! `command::apply` asks before it searches; whoever adds a row says so. Asked of the books once a
//! transaction and shard, and no result depends on it: it only tells when a search would find nothing.

use std::cell::Cell;

use rusqlite::params;

use super::writer::Tx;
use crate::model::shard::{SHARDS, ShardId};

/// The tables of which it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Occurrences whose next attempt is in the books.
    Pending = 0,
    /// Runs under way.
    Runs = 1,
    /// What was given up.
    DeadLetters = 2,
}

/// A bit a shard and table.
#[derive(Default)]
pub(super) struct EmptyTables {
    known: [Cell<u64>; 3],
    empty: [Cell<u64>; 3],
}

// A shard's bit has to fit.
const _: () = assert!(SHARDS <= 64);

impl EmptyTables {
    /// What is known may be of the past.
    pub(super) fn forget(&self) {
        self.known.iter().for_each(|known| known.set(0));
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

impl Tx<'_> {
    /// Whether a shard has no rows in a table.
    pub fn is_empty(&self, table: Table, shard: ShardId) -> rusqlite::Result<bool> {
        if let Some(empty) = self.kept.empty_tables.get(table, shard) {
            return Ok(empty);
        }
        let sql = match table {
            Table::Pending => "SELECT NOT EXISTS (SELECT 1 FROM pending WHERE shard = ?1)",
            Table::Runs => "SELECT NOT EXISTS (SELECT 1 FROM runs WHERE shard = ?1)",
            Table::DeadLetters => "SELECT NOT EXISTS (SELECT 1 FROM dead_letters WHERE shard = ?1)",
        };
        let empty = self.prepare_cached(sql)?.query_row(params![shard], |row| row.get(0))?;
        self.kept.empty_tables.set(table, shard, empty);
        Ok(empty)
    }

    /// A shard has a row in a table from here on.
    pub(super) fn mark_occupied(&self, table: Table, shard: ShardId) {
        self.kept.empty_tables.set(table, shard, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_bare_until_something_is_added_and_asked_anew_after_that() {
        let folder = tempfile::tempdir().unwrap();
        let (_store, mut writer) = crate::store::Store::open(folder.path()).unwrap();
        let add = |tx: &Tx<'_>| {
            tx.execute_batch(
                "INSERT INTO dead_letters (id, block, project, shard, due, scheduled, attempt,
                     http_code, created, members, count, lone)
                 VALUES (1, 1, 1, 63, 0, 0, 1, 0, 0, x'', 0, 0)",
            )
        };
        let empty = |tx: &Tx<'_>, shard| tx.is_empty(Table::DeadLetters, shard).unwrap();
        let done: rusqlite::Result<()> = writer.transaction(|tx| {
            assert!(empty(tx, 63) && empty(tx, 0) && tx.is_empty(Table::Runs, 63)?);
            add(tx)?;
            tx.mark_occupied(Table::DeadLetters, 63);
            assert!(!empty(tx, 63) && empty(tx, 0) && tx.is_empty(Table::Pending, 63)?);
            Ok(())
        });
        done.unwrap();
        let done: rusqlite::Result<()> = writer.transaction(|tx| {
            assert!(!empty(tx, 63) && empty(tx, 62));
            tx.execute_batch("DELETE FROM dead_letters")?;
            assert!(!empty(tx, 63), "a search that finds nothing does no harm");
            Ok(())
        });
        done.unwrap();
        let done: rusqlite::Result<()> = writer.transaction(|tx| {
            assert!(empty(tx, 63));
            Ok(())
        });
        done.unwrap();
    }
}
