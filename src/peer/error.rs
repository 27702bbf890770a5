//! The reason why a message came to nothing, and what the caller may conclude from it.

use crate::model::NodeId;

/// The reason why a message came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The node is no member.
    #[error("node {0} is not a member of this cluster: check Replicas")]
    Unknown(NodeId),
    /// No connection: nothing was sent.
    #[error("node {to} cannot be reached: {message}")]
    Unreachable {
        /// The node that was called.
        to: NodeId,
        /// The transport's message.
        message: String,
    },
    /// Bytes may have gone out and no answer came: whether it was carried out is unknown.
    #[error("no answer from node {to}: {message}")]
    Lost {
        /// The node that was called.
        to: NodeId,
        /// The transport's message.
        message: String,
    },
    /// An answer came that cannot be read: whether the message was carried out is unknown.
    #[error("the answer of node {to} cannot be read: {message}")]
    Unreadable {
        /// The node that was called.
        to: NodeId,
        /// Postcard's message.
        message: String,
    },
    /// The receiver answered with an error.
    #[error("node {to} answered {status}: {message}")]
    Refused {
        /// The node that was called.
        to: NodeId,
        /// The HTTP status.
        status: u16,
        /// The reason that the node gave, for a log.
        message: String,
        /// It says that this node must end.
        stop: bool,
    },
    /// A message could not be put into bytes.
    #[error("a message to node {to} cannot be coded: {message}")]
    Codec {
        /// The node that was called.
        to: NodeId,
        /// Postcard's message.
        message: String,
    },
}

impl Error {
    /// True if the receiver certainly did nothing. 503 comes from `server` alone, which had no
    /// room.
    pub fn is_unsent(&self) -> bool {
        matches!(
            self,
            Error::Unknown(_)
                | Error::Unreachable { .. }
                | Error::Codec { .. }
                | Error::Refused { status: 503, .. }
        )
    }
}
