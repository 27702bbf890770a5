//! The errors of a journal. `node` shows them to the operator; the worker stops firing on them.

use std::io;

/// The reason why a journal cannot be opened or does not take an entry.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operation on the disk failed while the journal was opened.
    #[error("the journal cannot be opened: {0}")]
    Io(#[from] io::Error),
    /// A record that had been safe on disk cannot be read any more. This is not a torn tail.
    #[error(
        "the journal {path} is damaged at byte {offset}: {what}; move its folder away to start \
         without what it held (those executions are made up as far as the cluster knows)"
    )]
    Damaged {
        /// The path of the damaged file.
        path: String,
        /// The position of the damage in the file.
        offset: u64,
        /// The damage, for people.
        what: String,
    },
    /// A file was written by another version.
    #[error(
        "{path} has format {format} of the journal, this binary knows another: start the version \
         that wrote it, let the cluster collect it, and upgrade then"
    )]
    Format {
        /// The path of the file that was written by another version.
        path: String,
        /// The number of its format.
        format: String,
    },
    /// An entry has no binary form: a mistake in the program.
    #[error("an entry cannot be encoded: {0}")]
    Encode(#[from] postcard::Error),
    /// No disk space could be reserved. Nothing was written, and it may work again later.
    #[error("the disk is full: no space for the journal")]
    NoRoom,
    /// A write failed before. The content of the disk is unknown until the node restarts.
    #[error("the journal has failed: {0}")]
    Failed(String),
}

impl Error {
    /// The same error for another caller that waits.
    pub(super) fn again(&self) -> Self {
        match self {
            Error::Failed(why) => Error::Failed(why.clone()),
            _ => Error::NoRoom,
        }
    }
}
