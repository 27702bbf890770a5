//! Proposals as bytes of the log: a version, and the content in postcard. `cluster` encodes,
//! `raft::machine` decodes.
//!
//! | version | content |
//! |---|---|
//! | 1 | in no release |
//! | 2 | the command; see `version2` |
//! | 3 | the actor, then the command |
//! | 4 | the actor, the way by which the request came in, the command |
//!
//! The proposer chooses the version by the level of the cluster, as far as it has applied the log.
//! So no node meets a version that it does not know (*readable log*). A node that writes version 3
//! has applied the entry that raised the level. That entry is committed, so it comes first in each
//! log in which the new one is committed: a leader of an older term may still take the new one, but
//! can never commit it. Only committed entries are decoded, in order. A program that does not know
//! version 3 was counted by no raise. Where one runs all the same, it ends: by the raise, or by the
//! version of an entry that was committed with it. It skips nothing.
//!
//! The same holds for version 4, which only proposals have whose request is known.
//!
//! A proposal of an older version that is under way while the level rises is applied as well: all
//! versions are read for ever. One of version 2 only lacks its actor, and one of version 3 its row
//! in the audit.

use bytes::Bytes;

use super::commands::Command;
use super::proposal::Proposal;
use super::version2;
use crate::model::actor::{ActorRef, RequestOrigin};

/// The newest version of an encoded proposal, which is its first byte. A node refuses to apply a
/// version that it does not know, rather than guess.
///
/// Frozen: logs that were written are kept and played by `tests/it/formats.rs`. The bytes after the
/// version do not describe themselves. Within a version, variants are only added at the end of an
/// enum, and fields only to what is carried as JSON ([`crate::model::text`]). Any other change
/// takes a new version, beside which the old one is still decoded, and a new folder of fixtures.
pub const VERSION: u8 = 4;
/// The version that names the actor only.
const ACTOR_VERSION: u8 = 3;

/// The level from which on the log has proposals of version 3, which name their actor.
pub const ACTOR_LEVEL: u32 = 3;

/// The level from which on the log has proposals of version 4, which name the way by which the
/// request came in, and with it rows of the audit.
pub const ORIGIN_LEVEL: u32 = 7;

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

impl Proposal {
    /// Encodes the proposal for the log of a cluster of this level. Below [`ACTOR_LEVEL`] the actor
    /// is left out, and below [`ORIGIN_LEVEL`] the way by which the request came in: they take
    /// nothing from what the command may do.
    pub fn encode(&self, level: u32) -> Result<Bytes, Error> {
        let bytes = if level < ACTOR_LEVEL {
            version2::encode(&self.command, vec![version2::VERSION])?
        } else if level >= ORIGIN_LEVEL
            && let Some(origin) = &self.origin
        {
            postcard::to_extend(&(&self.actor, origin, &self.command), vec![VERSION])?
        } else {
            postcard::to_extend(&(&self.actor, &self.command), vec![ACTOR_VERSION])?
        };
        Ok(Bytes::from(bytes))
    }

    /// Decodes what [`Proposal::encode`] wrote, at any level.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => {
                let (actor, origin, command): (Option<ActorRef>, RequestOrigin, Command) =
                    postcard::from_bytes(rest)?;
                Ok(Self { actor, origin: Some(origin), command })
            }
            Some((&ACTOR_VERSION, rest)) => {
                let (actor, command): (Option<ActorRef>, Command) = postcard::from_bytes(rest)?;
                Ok(Self { actor, origin: None, command })
            }
            Some((&version2::VERSION, rest)) => Ok(version2::decode(rest)?.into()),
            Some((&other, _)) => Err(Error::Version(other)),
            None => Err(Error::Decode(postcard::Error::DeserializeUnexpectedEnd)),
        }
    }
}
