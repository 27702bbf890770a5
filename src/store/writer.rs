//! The one connection that writes, and what it keeps in memory between statements. Only
//! `raft::machine` has a [`Writer`]; only `command::apply` writes through its [`Tx`].
//!
//! What changes with almost every command (log time, counters, definition references, shards, tallies)
//! is kept in memory and written once at the end of the transaction. It is a cache of the file and
//! nothing else: after a rollback or a snapshot install it is dropped and read again. No result may
//! depend on where a transaction ends.

use std::ops::Deref;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::counters::OutcomeCounters;
use super::definitions::Definitions;
use super::empty_tables::EmptyTables;
use super::meta::Meta;
use super::shards::Shards;
use super::{Error, meta};

/// The read-write connection.
pub struct Writer {
    /// `None` after a snapshot install that failed half-way: the node has to stop.
    conn: Option<Connection>,
    kept: Kept,
}

/// What is kept in memory, read when first asked for.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) empty_tables: EmptyTables,
    pub(super) meta: Option<Meta>,
    pub(super) definitions: Definitions,
    pub(super) shards: Option<Shards>,
    pub(super) counters: OutcomeCounters,
}

/// A transaction under way. Reads through it see what it wrote, except for what is kept in memory:
/// `meta`, `definitions`, `shards` and `tallies` have functions of their own for that.
pub struct Tx<'a> {
    pub(super) sql: Transaction<'a>,
    pub(super) kept: &'a mut Kept,
}

impl<'a> Deref for Tx<'a> {
    type Target = Transaction<'a>;

    fn deref(&self) -> &Transaction<'a> {
        &self.sql
    }
}

impl Writer {
    pub(super) fn new(conn: Connection) -> Self {
        Self { conn: Some(conn), kept: Kept::default() }
    }

    /// Runs `f` in one transaction: all of it is committed, or (on any error) nothing.
    pub fn transaction<T, E: From<rusqlite::Error>>(
        &mut self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let conn = self.conn.as_mut().ok_or_else(closed)?;
        // Put back only after the commit: what a failed transaction leaves behind is worthless.
        let mut kept = std::mem::take(&mut self.kept);
        let value = run(conn, &mut kept, f)?;
        self.kept = kept;
        Ok(value)
    }

    /// The mark that `raft::machine` left with [`meta::set_applied`] in the last transaction;
    /// `None` on an empty store.
    pub fn applied(&self) -> Result<Option<Vec<u8>>, Error> {
        let conn = self.conn.as_ref().ok_or_else(closed)?;
        Ok(meta::applied(conn)?)
    }

    /// Reads what was committed, on this connection: it takes no descriptor and waits for no reader.
    pub fn read<T>(&self, f: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        let conn = self.conn.as_ref().ok_or_else(closed)?;
        Ok(f(conn)?)
    }

    /// Moves what the write-ahead log holds into the file and cuts the log. Called on a graceful
    /// stop; a crash needs nothing of the sort.
    pub fn checkpoint(&self) -> Result<(), Error> {
        let conn = self.conn.as_ref().ok_or_else(closed)?;
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// For tests that give it a hard time.
    #[cfg(test)]
    pub(crate) fn connection(&self) -> &Connection {
        self.conn.as_ref().unwrap()
    }

    pub(super) fn close(&mut self) {
        self.conn = None;
        self.kept = Kept::default();
    }

    pub(super) fn reopen(&mut self, conn: Connection) {
        self.conn = Some(conn);
        self.kept = Kept::default();
    }
}

impl Tx<'_> {
    /// Writes what is kept in memory and differs from the file.
    fn flush(&mut self) -> rusqlite::Result<()> {
        if let Some(meta) = self.kept.meta.as_mut() {
            meta.flush(&self.sql)?;
        }
        self.kept.definitions.flush(&self.sql)?;
        if let Some(shards) = self.kept.shards.as_mut() {
            shards.flush(&self.sql)?;
        }
        self.kept.counters.flush(&self.sql)
    }
}

fn run<T, E: From<rusqlite::Error>>(
    conn: &mut Connection,
    kept: &mut Kept,
    f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let sql = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    kept.empty_tables.forget();
    let mut tx = Tx { sql, kept };
    let value = f(&mut tx)?;
    tx.flush()?;
    tx.sql.commit()?;
    Ok(value)
}

fn closed() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_MISUSE),
        Some("closed by a snapshot install that failed: restart the node".into()),
    )
}
