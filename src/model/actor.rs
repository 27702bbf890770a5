//! The actor of a command, as the log names it: the party that was authenticated, not what a client
//! says about itself. `app` names it, `cluster` carries it, `command::apply` reads it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::NodeId;

/// The party that asked for a command. The enum is append-only: the place of a variant is its code
/// in the log. A new variant takes a new level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActorRef {
    /// The operator, by the node's username and password.
    Operator,
    /// A client, by its API key.
    Client {
        /// The id of its credential.
        credential: u64,
    },
    /// A node, by itself.
    Node {
        /// Its id.
        node: NodeId,
    },
    /// A person or a program, by an access token of an identity provider. Since level 6.
    Token {
        /// The provider, as it is configured (`iss`).
        issuer: String,
        /// The subject, which is unique at the provider (`sub`).
        subject: String,
        /// A name for people, which identifies nobody.
        name: String,
    },
}

impl ActorRef {
    /// The id of a client's credential; `None` for any other actor.
    pub fn client(&self) -> Option<u64> {
        match self {
            Self::Client { credential } => Some(*credential),
            Self::Operator | Self::Node { .. } | Self::Token { .. } => None,
        }
    }
}

/// The way by which the request of a command came in. The audit names it; nothing depends on it.
/// Frozen: its fields are those of version 4 of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RequestOrigin {
    /// The node that authenticated the request.
    pub node: NodeId,
    /// The address of the client, or of the last proxy before that node; `None` for a request that
    /// came by no connection.
    pub address: Option<IpAddr>,
}
