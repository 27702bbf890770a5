//! The one connection that writes. Only `raft::machine` has a [`Writer`]; only `command::apply`
//! writes through the [`Tx`] that it opens.

use rusqlite::Connection;

use super::error::Error;
use super::tx::{self, Caches, Tx};
use crate::store::cache::meta;

/// The read-write connection, and what it keeps in memory between transactions.
pub struct Writer {
    /// `None` after a snapshot install that failed half-way: the node has to stop.
    conn: Option<Connection>,
    caches: Caches,
}

impl Writer {
    pub(super) fn new(conn: Connection) -> Self {
        Self { conn: Some(conn), caches: Caches::default() }
    }

    /// Runs `f` in one transaction: all of it is committed, or (on any error) nothing.
    pub fn transaction<T, E: From<rusqlite::Error>>(
        &mut self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let conn = self.conn.as_mut().ok_or_else(closed)?;
        // Put back only after the commit: the caches of a failed transaction are worthless.
        let mut caches = std::mem::take(&mut self.caches);
        let value = tx::run(conn, &mut caches, f)?;
        self.caches = caches;
        Ok(value)
    }

    /// The mark that `raft::machine` set with `meta::set_applied` in the last transaction; `None`
    /// on an empty store.
    pub fn applied(&self) -> Result<Option<Vec<u8>>, Error> {
        let conn = self.conn.as_ref().ok_or_else(closed)?;
        Ok(meta::applied(conn)?)
    }

    /// Reads what was committed, on this connection: it takes no descriptor and waits for no
    /// reader.
    pub fn read<T>(&self, f: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        let conn = self.conn.as_ref().ok_or_else(closed)?;
        Ok(f(conn)?)
    }

    /// Moves what the write-ahead log holds into the file and cuts the log. Called on a graceful
    /// stop; after a crash SQLite does it by itself.
    pub fn checkpoint(&self) -> Result<(), Error> {
        let conn = self.conn.as_ref().ok_or_else(closed)?;
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// The connection itself, for tests that damage or fill the file.
    #[cfg(test)]
    pub(crate) fn connection(&self) -> &Connection {
        self.conn.as_ref().unwrap()
    }

    pub(super) fn close(&mut self) {
        self.conn = None;
        self.caches = Caches::default();
    }

    pub(super) fn reopen(&mut self, conn: Connection) {
        self.conn = Some(conn);
        self.caches = Caches::default();
    }
}

fn closed() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_MISUSE),
        Some("closed by a snapshot install that failed: restart the node".into()),
    )
}
