//! Commands as bytes of the log: a version, and the command in postcard. `cluster` encodes,
//! `raft::machine` decodes.

use bytes::Bytes;

use super::commands::Command;

/// The first byte of an encoded command. A node refuses to apply a version that it does not know,
/// rather than guess. Version 1 was in no release.
///
/// Frozen: logs that were written are kept and played by `tests/it/formats.rs`. The bytes after the
/// version do not describe themselves. Within a version, variants are only added at the end of an
/// enum, and fields only to what is carried as JSON ([`crate::model::text`]). Any other change
/// takes a new version, beside which the old one is still decoded, and a new folder of fixtures.
pub const VERSION: u8 = 2;

/// A command that cannot be decoded, or cannot be applied because this node fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command was written by a newer version.
    #[error(
        "the log holds a command of version {0}, this binary knows up to {VERSION}: upgrade this node"
    )]
    Version(u8),
    /// The bytes are damaged.
    #[error("a command in the log cannot be decoded: {0}")]
    Decode(#[from] postcard::Error),
    /// The state of a backup does not obey the rules of the state.
    #[error("the state of the backup cannot be opened again: {0}")]
    Restore(String),
    /// The store failed. This is no rejection: the node must stop.
    #[error(transparent)]
    Store(#[from] rusqlite::Error),
}

impl Command {
    /// Encodes the command for the log.
    pub fn encode(&self) -> Result<Bytes, Error> {
        let bytes = postcard::to_extend(self, vec![VERSION])?;
        Ok(Bytes::from(bytes))
    }

    /// Decodes what [`Command::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => Ok(postcard::from_bytes(rest)?),
            Some((&other, _)) => Err(Error::Version(other)),
            None => Err(Error::Decode(postcard::Error::DeserializeUnexpectedEnd)),
        }
    }
}
