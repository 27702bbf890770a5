//! The store as other modules see it: one folder, its file, and the connections that read it.
//! Clones share one pool. Writing is the `Writer`'s, which [`Store::open`] gives out once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use super::FILE;
use super::backup::{self, Label};
use super::error::Error;
use super::limit::ReadLimit;
use super::pool::{Pool, ReadClass};
use super::reach_views::{in_force, may_be_all};
use super::snapshot::{self, Staged};
use super::threads::Threads;
use super::tx::Tx;
use super::writer::Writer;
use super::{hash, schema};
use crate::model::Millis;
use crate::model::reach::Reach;

/// The replicated state, for reading. Clones share one pool of connections.
#[derive(Clone)]
pub struct Store {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    dir: PathBuf,
    pub(super) pool: Pool,
    threads: Threads,
    /// A read has found records of another account than the first.
    has_other_accounts: AtomicBool,
}

impl Store {
    /// Opens (or creates) the store of a folder, finishes a snapshot install that a crash cut
    /// short, and brings the schema up to date. There may be only one writer a folder: the caller
    /// holds the folder's lock.
    pub fn open(dir: &Path) -> Result<(Self, Writer), Error> {
        snapshot::finish_install(dir)?;
        let file = dir.join(FILE);
        let mut conn = schema::open_writer(&file)?;
        schema::migrate(&mut conn)?;
        let (pool, threads) = (Pool::new(file), Threads::new());
        let (dir, has_other_accounts) = (dir.to_path_buf(), AtomicBool::new(false));
        let shared = Shared { dir, pool, threads, has_other_accounts };
        Ok((Self { shared: Arc::new(shared) }, Writer::new(conn)))
    }

    /// Reads one consistent state, as [`ReadClass::Duty`]. Blocks (on SQLite, and while all readers
    /// of its class are taken or a snapshot is being installed): async callers take
    /// [`Store::begin`]. A read must not call it again.
    pub fn read<T>(&self, f: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        self.read_as(ReadClass::Duty, None, f)
    }

    /// Like [`Store::read`] for any class; fails with [`Error::Ended`] when `limit` ends the read.
    pub fn read_as<T>(
        &self,
        class: ReadClass,
        limit: Option<&Arc<ReadLimit>>,
        f: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        self.read_within(class, limit, &Reach::all(), f)
    }

    /// Like [`Store::read_as`]; the read finds what is in reach, and nothing else.
    pub fn read_within<T>(
        &self,
        class: ReadClass,
        limit: Option<&Arc<ReadLimit>>,
        reach: &Reach,
        f: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let mut reader = self.shared.pool.take(class, limit)?;
        let ended = || limit.and_then(|limit| limit.ended());
        if let Some(end) = ended() {
            return Err(Error::Ended(end));
        }
        let why = |error: rusqlite::Error| match (error.sqlite_error_code(), ended()) {
            (Some(ErrorCode::OperationInterrupted), Some(end)) => Error::Ended(end),
            _ => error.into(),
        };
        if reach.is_all() || may_be_all(reach) {
            let snapshot = reader.unchecked_transaction()?;
            // Asked in the state that is read: an account may be founded at any time.
            if reach.is_all() || in_force(&snapshot, reach).map_err(why)?.is_all() {
                return f(&snapshot).map_err(why);
            }
            self.shared.has_other_accounts.store(true, Ordering::Relaxed);
        }
        reader.limit_to(reach)?;
        let snapshot = reader.unchecked_transaction()?;
        f(&snapshot).map_err(why)
    }

    /// Says whether a read of a client has found that there is more than one account. Reads ask the
    /// state itself; this is for what looks at no state.
    pub fn has_other_accounts(&self) -> bool {
        self.shared.has_other_accounts.load(Ordering::Relaxed)
    }

    /// Begins a read on a thread of its class; the result comes through the channel. A read whose
    /// receiver is dropped before its turn is not carried out. After a panic in the read the
    /// channel is closed without a result. The read finds what is in reach, and nothing else.
    pub fn begin<T, F>(
        &self,
        class: ReadClass,
        limit: Option<Arc<ReadLimit>>,
        reach: Reach,
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
                // The caller may be gone by now.
                let _ = answer.send(store.read_within(class, limit.as_ref(), &reach, f));
            }
        };
        let started = self.shared.threads.run(class, Box::new(job));
        started.map_err(Error::io("start a thread that reads the state"))?;
        Ok(found)
    }

    /// Writes a consistent, compact copy of the state to `path` (under a temporary name beside it,
    /// fsynced and renamed) and returns the `applied` mark found in that copy; empty when nothing
    /// was ever applied. Blocks until it is written; the writer goes on meanwhile. The install of a
    /// snapshot ends it with [`Error::Ended`]: an install waits for all reads, and a connection
    /// must not survive the exchange of the file.
    pub fn snapshot_to(&self, path: &Path) -> Result<Vec<u8>, Error> {
        let limit = Arc::new(ReadLimit::endless());
        let _copying = self.shared.pool.copying(Some(&limit));
        snapshot::write(&self.shared.dir.join(FILE), path, Some(&limit))
    }

    /// Writes a backup to `path`, which must not exist: a snapshot with the label that `describe`
    /// makes of its mark, its log time and its number of jobs. Blocks, and is ended, like
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

    /// The label and the mark of a backup, which is read from end to end; an error for anything
    /// that could not be restored.
    pub fn inspect_backup(path: &Path) -> Result<(Label, Vec<u8>), Error> {
        backup::inspect(path)
    }

    /// Makes a copy of a backup, changed by `change`, the state of a folder that has none: all of
    /// it, or nothing. No node may have the folder open.
    pub fn restore<T, E: From<Error> + From<rusqlite::Error>>(
        path: &Path,
        dir: &Path,
        change: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        backup::restore(path, dir, change)
    }

    /// The length of the file in bytes, without its write-ahead log; 0 when it cannot be read.
    pub fn size(&self) -> u64 {
        std::fs::metadata(self.shared.dir.join(FILE)).map_or(0, |data| data.len())
    }

    /// Copies a snapshot beside the state and checks it; a damaged one, or a lack of disk, changes
    /// nothing. Only one snapshot may be staged at a time. Blocks until it is copied.
    pub fn stage(&self, path: &Path) -> Result<Staged, Error> {
        snapshot::stage(&self.shared.dir, path)
    }

    /// Replaces the state by a staged snapshot. Ends the reads under way that have a [`ReadLimit`],
    /// and waits for the others, which are short; reads that begin meanwhile wait. After an error
    /// `again` decides whether to try once more. After a last error the node must be restarted.
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
        let _closed = self.shared.pool.close_all();
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

    /// Replaces the state by a copy of the snapshot at `path`, which stays as it is; one try.
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
