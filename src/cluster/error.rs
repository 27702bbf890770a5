//! The reason why a proposal, a read or a change of the members came to nothing, and what the
//! caller may conclude from it.

use crate::command::{Rejection, RejectionKind};
use crate::model::NodeId;
use crate::peer;
use crate::store::ReadEnd;

/// The reason why a proposal or a read came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// No leader became known in time; nothing was written.
    #[error("the cluster has no leader at the moment: try again")]
    NoLeader,
    /// The places for requests to the leader were taken all the time; nothing was sent.
    #[error(
        "as many requests to the leader as may be are under way at this node: try again, or ask \
         another node"
    )]
    Busy,
    /// This node does not lead, or not in that term any more; nothing was written.
    #[error("this node does not lead the cluster")]
    NotLeader {
        /// The leader, if it is known.
        leader: Option<NodeId>,
    },
    /// The request was sent, and its outcome is unknown: repeat it only under an idempotency key.
    #[error("the outcome is unknown: {0}")]
    Unavailable(String),
    /// The command is too long; nothing was written.
    #[error("the command has {bytes} bytes, at most {max} are allowed: send fewer at once")]
    TooLarge {
        /// Its length as it would be in the log, in bytes.
        bytes: usize,
        /// The most bytes that a command may have.
        max: usize,
    },
    /// Nothing was changed, for a reason that the caller can remove.
    #[error("{0}")]
    Refused(Rejection),
    /// A member runs an older version, which does not understand the command; nothing was written.
    #[error(
        "node {node} runs an older version (level {level}, this needs {needs}), or does not answer: \
         repeat the request when all nodes are upgraded"
    )]
    UpgradePending {
        /// The member that is behind; the one of the lowest level where several are.
        node: NodeId,
        /// Its level, as far as is known.
        level: u32,
        /// The level of the command.
        needs: u32,
    },
    /// The level of the cluster could not be raised, which the command needs; the command was not
    /// written.
    #[error("nothing was written, the level of the cluster could not be raised: {0}")]
    NotRaised(String),
    /// This node has stopped taking part.
    #[error("this node has stopped: {0}")]
    Fatal(String),
    /// The state could not be read.
    #[error("the state cannot be read: {0}")]
    Store(String),
    /// A read was ended before it was complete.
    #[error("the read was ended: {0}")]
    Ended(ReadEnd),
    /// Log or state could not be opened.
    #[error("{0}")]
    Open(String),
}

impl Error {
    /// True if nothing was written for certain, so that the caller may simply try again.
    pub fn is_unwritten(&self) -> bool {
        matches!(
            self,
            Error::NoLeader
                | Error::Busy
                | Error::NotLeader { .. }
                | Error::TooLarge { .. }
                | Error::UpgradePending { .. }
                | Error::NotRaised(_)
                | Error::Refused(_)
        )
    }

    /// The HTTP status that says this to a client.
    pub fn status(&self) -> u16 {
        match self {
            Error::NoLeader
            | Error::Busy
            | Error::NotLeader { .. }
            | Error::Unavailable(_)
            | Error::NotRaised(_)
            | Error::Ended(_) => 503,
            Error::TooLarge { .. } => 413,
            Error::UpgradePending { .. } => 409,
            Error::Refused(rejection) => match rejection.kind {
                RejectionKind::NotFound => 404,
                RejectionKind::Conflict => 409,
                RejectionKind::Invalid => 400,
                RejectionKind::KeyReused => 422,
                RejectionKind::Stale => 412,
                RejectionKind::Forbidden
                | RejectionKind::QuotaExceeded
                | RejectionKind::FeatureDisabled => 403,
            },
            Error::Fatal(_) | Error::Store(_) | Error::Open(_) => 500,
        }
    }
}

impl From<peer::Error> for Error {
    fn from(error: peer::Error) -> Self {
        if error.is_unsent() { Error::NoLeader } else { Error::Unavailable(error.to_string()) }
    }
}
