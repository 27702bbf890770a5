//! The replicated books: one SQLite file, the same on every node at the same log index.
//!
//! ```text
//!   raft::machine --- Writer::transaction ---> Tx --- command::apply ---> state.db (WAL)
//!   api, worker, coordinator --- Store::read ---> query-only readers, in classes
//!   raft::machine --- snapshot_to / replace_with ---> a file that another node can start from
//! ```
//!
//! One writer, one transaction for a chunk of log entries, `last_applied` in the same transaction:
//! after a crash the books are at some log index, whole, and the log (which is fsynced) is applied
//! again from there. That is why `synchronous=NORMAL` is enough here.
//!
//! Each noun has a file of queries. Functions that take a `&Connection` read and are everybody's;
//! functions that take a [`Tx`] write and are `command::apply`'s alone. The store knows how things
//! are kept, never what may be done: rules live in `command::apply`. It never reads a clock.

pub mod attempts;
mod backup;
pub mod counters;
pub mod credentials;
pub mod cursors;
pub mod dead_letters;
pub mod definitions;
pub mod empty_tables;
pub mod executions;
pub mod executors;
pub mod explain;
mod hash;
pub mod idempotency;
pub mod jobs;
pub mod ledger;
mod limit;
pub mod meta;
pub mod nodes;
mod page;
pub mod pending;
pub mod plans;
mod pool;
pub mod projects;
#[cfg(test)]
mod read_tests;
pub mod restore_gaps;
pub mod runs;
mod schema;
pub mod shards;
mod snapshot;
pub mod staged;
pub mod tasks;
#[cfg(test)]
mod tests;
mod threads;
pub mod timeline;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use crate::disk;
use crate::model::Millis;

pub use backup::{Label, is_hashed};
pub use limit::{End, ReadLimit};
pub use page::{After, Page};
pub use pool::Class;
pub use snapshot::Staged;
pub use writer::{Tx, Writer};

/// The file under `DataDir` that holds the replicated state.
pub const FILE: &str = "state.db";

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite refused or failed.
    #[error("state.db: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file system refused or failed.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file was written by a newer version.
    #[error("state.db has schema version {found}, this binary knows up to {known}: upgrade it")]
    Newer {
        /// The file's version.
        found: i64,
        /// The newest that this binary reads.
        known: i64,
    },
    /// A file that should be a backup is none.
    #[error("this is no backup that can be restored: {0}")]
    NoBackup(String),
    /// A backup whose content is not what was written.
    #[error(
        "the backup is damaged: its content does not match the hash that was written with it; use \
         another copy"
    )]
    Altered,
    /// A file that should be a snapshot is not one that can be used.
    #[error("the snapshot is damaged: {0}")]
    Damaged(String),
    /// A read that was ended before it was through.
    #[error("the read was ended: {0}")]
    Ended(End),
    /// A read that would have had to wait.
    #[error("the state is not read now: {0}")]
    Busy(&'static str),
}

impl Error {
    /// Whether it comes of a lack that may pass (descriptors, disk, memory, permission), and not of
    /// what is stored.
    pub fn may_pass(&self) -> bool {
        use rusqlite::ErrorCode::{
            CannotOpen, DatabaseBusy, DiskFull, OutOfMemory, PermissionDenied, ReadOnly,
            SystemIoFailure,
        };
        match self {
            Error::Io { source, .. } => disk::may_pass(source),
            Error::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(
                    CannotOpen
                        | DatabaseBusy
                        | DiskFull
                        | OutOfMemory
                        | PermissionDenied
                        | ReadOnly
                        | SystemIoFailure
                )
            ),
            Error::Ended(_) | Error::Busy(_) => true,
            _ => false,
        }
    }

    /// Whether it is known to come of such a lack. The others that may pass can be a broken disk's, too:
    /// SQLite has one code for all failures of a read or a write but "the disk is full", and another one
    /// for a file that cannot be opened, which is what no descriptor looks like. Of the first, only the
    /// failure to extend the index of the write-ahead log is a full disk's.
    pub fn is_lack(&self) -> bool {
        use rusqlite::ErrorCode::{OutOfMemory, SystemIoFailure};
        match self {
            Error::Sqlite(rusqlite::Error::SqliteFailure(error, _)) => match error.code {
                SystemIoFailure => error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE,
                OutOfMemory => false,
                _ => self.may_pass(),
            },
            _ => self.may_pass(),
        }
    }

    pub(crate) fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

/// The books, for reading. Clones share one pool of connections.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    dir: PathBuf,
    pool: pool::Pool,
    threads: threads::Threads,
}

impl Store {
    /// Opens (or makes) the books in a folder, finishes a snapshot install that a crash cut short,
    /// and brings the schema up to date. There may be only one writer a folder: the caller holds
    /// the folder's lock.
    pub fn open(dir: &Path) -> Result<(Self, Writer), Error> {
        snapshot::finish_install(dir)?;
        let file = dir.join(FILE);
        let mut conn = schema::open_writer(&file)?;
        schema::migrate(&mut conn)?;
        let (pool, threads) = (pool::Pool::new(file), threads::Threads::new());
        let shared = Shared { dir: dir.to_path_buf(), pool, threads };
        Ok((Self { shared: Arc::new(shared) }, Writer::new(conn)))
    }

    /// Reads, on one consistent state, as [`Class::Duty`]. Blocks (on SQLite, and while all readers of
    /// its class are taken or a snapshot is being installed): async callers take [`Store::begin`].
    /// Never call it from within itself.
    pub fn read<T>(&self, f: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        self.read_as(Class::Duty, None, f)
    }

    /// As [`Store::read`] for any class; ended with [`Error::Ended`] when `limit` says so.
    pub fn read_as<T>(
        &self,
        class: Class,
        limit: Option<&Arc<ReadLimit>>,
        f: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let reader = self.shared.pool.take(class, limit)?;
        let ended = || limit.and_then(|limit| limit.ended());
        if let Some(end) = ended() {
            return Err(Error::Ended(end));
        }
        let snapshot = reader.unchecked_transaction()?;
        f(&snapshot).map_err(|error| match (error.sqlite_error_code(), ended()) {
            (Some(ErrorCode::OperationInterrupted), Some(end)) => Error::Ended(end),
            _ => error.into(),
        })
    }

    /// Begins a read on a thread of its class, and gives where what it finds will be. One that nobody
    /// waits for any more when its turn comes is passed over; the channel is closed without an
    /// answer when it panics.
    pub fn begin<T, F>(
        &self,
        class: Class,
        limit: Option<Arc<ReadLimit>>,
        f: F,
    ) -> Result<oneshot::Receiver<Result<T, Error>>, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, found) = oneshot::channel();
        let store = self.clone();
        let job = move || {
            if !answer.is_closed() {
                // Whoever asked may be gone by now.
                let _ = answer.send(store.read_as(class, limit.as_ref(), f));
            }
        };
        let started = self.shared.threads.run(class, Box::new(job));
        started.map_err(Error::io("start a thread that reads the state"))?;
        Ok(found)
    }

    /// Writes a consistent, compact copy of the books to `path` (by way of a temporary name beside
    /// it, fsynced and renamed) and returns the `applied` mark found in that copy; empty when
    /// nothing was ever applied. Blocks for as long as it takes to write it; the writer goes on. A
    /// snapshot that is to be installed meanwhile ends it, with [`Error::Ended`]: all reads wait for that
    /// install, and a connection must not survive the exchange of the file.
    pub fn snapshot_to(&self, path: &Path) -> Result<Vec<u8>, Error> {
        let limit = Arc::new(ReadLimit::endless());
        let _copying = self.shared.pool.copying(Some(&limit));
        snapshot::write(&self.shared.dir.join(FILE), path, Some(&limit))
    }

    /// Writes a backup to `path`, which must not exist: a snapshot with the label that `describe`
    /// makes from the mark, log time and the number of jobs in it. Blocks, and is ended, as
    /// [`Store::snapshot_to`].
    pub fn backup_to<E: From<Error>>(
        &self,
        path: &Path,
        describe: impl FnOnce(Vec<u8>, Millis, u64) -> Result<Label, E>,
    ) -> Result<(), E> {
        let mark = self.snapshot_to(path)?;
        let (stamp, jobs) = backup::measure(path)?;
        Ok(backup::label(path, &describe(mark, stamp, jobs)?)?)
    }

    /// The label and the mark of a backup, which is read from end to end; an error for anything that
    /// could not be restored.
    pub fn inspect_backup(path: &Path) -> Result<(Label, Vec<u8>), Error> {
        backup::inspect(path)
    }

    /// Makes a copy of a backup the books of a folder that has none, changed by `change`: all of it,
    /// or nothing. Not while a node has the folder open.
    pub fn restore<T, E: From<Error> + From<rusqlite::Error>>(
        path: &Path,
        dir: &Path,
        change: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        backup::restore(path, dir, change)
    }

    /// The length of the file, in bytes, without what its log holds beyond it; 0 when it cannot be
    /// read.
    pub fn size(&self) -> u64 {
        std::fs::metadata(self.shared.dir.join(FILE)).map_or(0, |data| data.len())
    }

    /// Copies a snapshot beside the books and checks it; a damaged one, or a lack of disk, changes
    /// nothing. Not while another one is staged. Blocks for as long as it takes to copy it.
    pub fn stage(&self, path: &Path) -> Result<Staged, Error> {
        snapshot::stage(&self.shared.dir, path)
    }

    /// Replaces the books by a staged snapshot. Ends the reads under way that have a [`ReadLimit`], and
    /// waits for the others, which are short; reads that begin meanwhile wait. After an error, `again`
    /// is asked whether to try once more: who says no has a node that must be started anew.
    pub fn put_in_place(
        &self,
        writer: &mut Writer,
        staged: &Staged,
        mut again: impl FnMut(&Error) -> bool,
    ) -> Result<(), Error> {
        while let Err(error) = snapshot::decide(&self.shared.dir, staged) {
            if !again(&error) {
                return Err(error);
            }
        }
        // Held over all tries: between them the file may be the old one, without its log.
        let _quiet = self.shared.pool.close_all();
        writer.close();
        let open = || {
            snapshot::finish_install(&self.shared.dir)?;
            let mut conn = schema::open_writer(&self.shared.dir.join(FILE))?;
            schema::migrate(&mut conn)?;
            Ok(conn)
        };
        loop {
            match open() {
                Ok(conn) => {
                    writer.reopen(conn);
                    return Ok(());
                }
                Err(error) if again(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Replaces the books by a copy of the snapshot at `path`, which stays as it is; one try.
    pub fn replace_with(&self, writer: &mut Writer, path: &Path) -> Result<(), Error> {
        let staged = self.stage(path)?;
        self.put_in_place(writer, &staged, |_| false)
    }

    /// SHA-256 over everything that is replicated, in key order: equal on all nodes at the same log
    /// index, however their logs were cut into transactions. The `applied` mark is raft's own and
    /// not part of it. Reads the whole file.
    pub fn hash(conn: &Connection) -> rusqlite::Result<[u8; 32]> {
        hash::hash(conn)
    }
}

/// A 128-bit number as it is stored: 16 bytes, big end first, so that its order is kept.
fn u128_at(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u128> {
    Ok(u128::from_be_bytes(row.get::<_, [u8; 16]>(column)?))
}

/// An id. They are given from 1 up, so that the cast loses nothing; an id from outside that is too
/// large becomes negative and is not found.
fn id_at(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)? as u64)
}
