//! A client's key pair: what is kept of it. Stored by `store::credentials`, checked by `auth`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::key_terms::KeyTerms;
use super::reach::Reach;
use super::{AccountId, FIRST_ACCOUNT, Millis};

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
    /// Its name, what it may be used for, until when, and from where. Since level 6; the record of
    /// a credential that has none of them is that of older levels, byte for byte.
    #[serde(default, skip_serializing_if = "KeyTerms::are_default")]
    pub terms: KeyTerms,
    /// The credential whose key made it; `None`: an operator did, or a version that did not record
    /// it. Known from `Command::ByClient` when it is made, so it is no part of the encoded record.
    #[serde(skip)]
    pub parent: Option<u64>,
    /// The secret before the present one.
    #[serde(skip)]
    pub old_secret: Option<OldSecret>,
    /// The last use that is known to the cluster.
    #[serde(skip)]
    pub last_use: Option<LastUse>,
    /// The account that it belongs to. Known when it is made, as its parent is.
    #[serde(skip, default = "first_account")]
    pub account: AccountId,
}

const fn first_account() -> AccountId {
    FIRST_ACCOUNT
}

impl Default for Credential {
    fn default() -> Self {
        Self {
            id: 0,
            api_key: String::new(),
            verifier: Vec::new(),
            archived: false,
            created: 0,
            modified: None,
            created_by: None,
            archived_by: None,
            terms: KeyTerms::default(),
            parent: None,
            old_secret: None,
            last_use: None,
            account: FIRST_ACCOUNT,
        }
    }
}

impl Credential {
    /// The reach of its key.
    pub fn reach(&self) -> Reach {
        Reach::of_projects(self.account, self.terms.projects.as_deref())
    }
}

/// A secret that was replaced, and opens until the end of the overlap.
#[derive(Clone, PartialEq, Eq)]
pub struct OldSecret {
    /// What it is checked against.
    pub verifier: Vec<u8>,
    /// It opens before this instant.
    pub until: Millis,
}

/// The last use of a key, to the hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastUse {
    /// The hour, counted from 1970.
    pub hour: i64,
    /// The address of a client that used it in that hour.
    pub from: Option<IpAddr>,
}

/// A use of a key, as a node tells the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse {
    /// The credential.
    pub id: u64,
    /// The hour, counted from 1970.
    pub hour: i64,
    /// The address of the client; `None` where the request came by no connection.
    pub from: Option<IpAddr>,
}

/// The number of milliseconds in an hour.
pub const HOUR_MS: Millis = 3_600_000;

impl LastUse {
    /// The instant at which its hour began.
    pub fn at(&self) -> Millis {
        self.hour.saturating_mul(HOUR_MS)
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential")
            .field("id", &self.id)
            .field("archived", &self.archived)
            .finish_non_exhaustive()
    }
}
