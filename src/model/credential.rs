//! A client's key pair: what is kept of it. Stored by `store::credentials`, checked by `auth`.

use serde::{Deserialize, Serialize};

use super::Millis;

/// A credential as stored: the secret itself is never here, only a keyed hash of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// The credential's number.
    pub id: u64,
    /// The public part, sent as `x-api-key`.
    pub api_key: String,
    /// `secret::Keys::verifier` of the secret part: what `x-secret-key` is checked against.
    pub verifier: Vec<u8>,
    /// Archived keys no longer open anything.
    pub archived: bool,
    /// The instant of its creation.
    pub created: Millis,
    /// The instant of its last change.
    pub modified: Option<Millis>,
    /// The creator, in the words of the request.
    pub created_by: Option<String>,
    /// The client that archived it, in the words of the request.
    pub archived_by: Option<String>,
    /// The credential whose key made it; `None`: an operator did, or a version that did not record
    /// it. Known from `Command::ByClient` when it is made, so it is no part of the encoded record.
    #[serde(skip)]
    pub parent: Option<u64>,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential")
            .field("id", &self.id)
            .field("archived", &self.archived)
            .finish_non_exhaustive()
    }
}
