//! Errors of the store, and which of them may pass by themselves. `raft::machine` asks that before
//! it stops the node.

use super::limit::ReadEnd;
use crate::disk;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite refused or failed.
    #[error("state.db: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file system refused or failed.
    #[error("cannot {what}: {source}")]
    Io {
        /// The step that failed.
        what: &'static str,
        /// The error of the system.
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
    /// The content of a backup is not what was written.
    #[error(
        "the backup is damaged: its content does not match the hash that was written with it; use \
         another copy"
    )]
    Altered,
    /// A file that should be a snapshot cannot be used.
    #[error("the snapshot is damaged: {0}")]
    Damaged(String),
    /// A read that was ended before it was through.
    #[error("the read was ended: {0}")]
    Ended(ReadEnd),
    /// A read that is refused rather than made to wait.
    #[error("the state is not read now: {0}")]
    Busy(&'static str),
}

impl Error {
    /// Tells whether the cause may be a lack that passes (descriptors, disk, memory, permission),
    /// and not what is stored.
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

    /// Tells whether the cause is known to be such a lack. The others that may pass can also come
    /// from a broken disk: SQLite has one code for all failed reads and writes except "the disk is
    /// full", and one for a file that cannot be opened, which is also what a lack of descriptors
    /// looks like. Of the failed writes, only the failure to extend the index of the write-ahead
    /// log is known to mean a full disk.
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
