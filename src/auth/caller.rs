//! The caller of a request, once its credentials were checked.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::listen::Principal;
use crate::model::reach::Reach;
use crate::model::scope::Scopes;
use crate::model::{AccountId, FIRST_ACCOUNT, Millis};

/// A caller whose credentials were right.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        /// The records that exist for it.
        reach: Arc<Reach>,
    },
    /// A person or a program, by an access token of an issuer.
    Token(Arc<TokenCaller>),
    /// A node or the command line, by username and password.
    Operator,
}

/// A caller as its access token names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenCaller {
    /// The issuer, as it is configured (`iss`).
    pub issuer: String,
    /// The subject, which is unique at the issuer (`sub`).
    pub subject: String,
    /// A name for people, of at most 128 bytes and without control characters. It identifies
    /// nobody.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// The instant at which the token expires.
    pub expires: Millis,
}

impl TokenCaller {
    /// The principal of a subject: all its tokens are one. Its number is beyond those of keys,
    /// whose ids are counted.
    fn principal(&self) -> Principal {
        let mut digest = Sha256::new();
        for part in [&self.issuer, &self.subject] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let first = digest.finalize();
        let number = first.iter().take(8).fold(0, |all, byte| (all << 8) | u64::from(*byte));
        Principal::MIN | (number | (1 << 63))
    }
}

impl Caller {
    /// A client of the first account whose key reaches all projects.
    pub fn client_of_all(id: u64, root: u64, scopes: Scopes) -> Self {
        Self::Client { id, root, scopes, reach: Arc::new(Reach::of_account(FIRST_ACCOUNT)) }
    }

    /// The records that exist for this caller. An access token reaches all of the first account.
    pub fn reach(&self) -> Arc<Reach> {
        match self {
            Self::Operator => Arc::new(Reach::all()),
            Self::Client { reach, .. } => Arc::clone(reach),
            Self::Token(_) => Arc::new(Reach::of_account(FIRST_ACCOUNT)),
        }
    }

    /// The principal by which connections and memory are counted for this caller. All keys of a
    /// tree are one principal: otherwise a key could make others and take a share for each.
    pub fn principal(&self) -> Principal {
        match self {
            Self::Operator => Principal::MIN,
            Self::Client { root, .. } => Principal::MIN.saturating_add(1).saturating_add(*root),
            Self::Token(token) => token.principal(),
        }
    }

    /// The account of a key or a token; `None` for operators, who belong to none.
    pub fn account(&self) -> Option<AccountId> {
        self.reach().account()
    }

    /// The id of a client's credential; `None` for any other caller.
    pub fn client(&self) -> Option<u64> {
        match self {
            Self::Client { id, .. } => Some(*id),
            Self::Token(_) | Self::Operator => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tokens_of_a_subject_are_one_principal() {
        let token = |issuer: &str, subject: &str, expires| {
            let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
            let (name, scopes) = (String::new(), Scopes::NONE);
            Caller::Token(Arc::new(TokenCaller { issuer, subject, name, scopes, expires }))
                .principal()
        };
        assert_eq!(token("a", "b", 1), token("a", "b", 2));
        assert_ne!(token("a", "b", 1), token("a", "c", 1));
        assert_ne!(token("a", "b", 1), token("", "ab", 1));
        assert!(token("a", "b", 1).get() > 1 << 63);
    }
}
