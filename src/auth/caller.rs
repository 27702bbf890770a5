//! The caller of a request, once its credentials were checked.

use crate::listen::Principal;
use crate::model::scope::Scopes;

/// A caller whose credentials were right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A client, which has sent the key and the secret of a credential.
    Client {
        /// The id of its credential.
        id: u64,
        /// The id of the credential at the root of its tree: the one that an operator made, and
        /// with whose key, or with keys that came of it, this one was made. A root has its own id
        /// here.
        root: u64,
        /// What its key may be used for.
        scopes: Scopes,
    },
    /// A node or the command line, by username and password.
    Operator,
}

impl Caller {
    /// The principal by which connections and memory are counted for this caller. All keys of a
    /// tree are one principal: otherwise a key could make others and take a share for each.
    pub fn principal(self) -> Principal {
        match self {
            Self::Operator => Principal::MIN,
            Self::Client { root, .. } => Principal::MIN.saturating_add(1).saturating_add(root),
        }
    }

    /// The id of a client's credential; `None` for an operator.
    pub fn client(self) -> Option<u64> {
        match self {
            Self::Client { id, .. } => Some(id),
            Self::Operator => None,
        }
    }
}
