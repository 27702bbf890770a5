//! The tokens that were verified lately, by their digest, so that a client that sends one with each
//! request costs a hash. `oidc` asks it. It holds no token, and at most [`MOST_TOKENS`] callers.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::auth::caller::TokenCaller;
use crate::model::Millis;

/// The most tokens.
const MOST_TOKENS: usize = 10_000;
/// The longest time for which a token is not verified again, in milliseconds.
const LONGEST_HOLD: Millis = 5 * 60_000;

/// The digest of a token.
pub(super) type TokenDigest = [u8; 32];

/// A verified token.
#[derive(Clone)]
pub(super) struct Verified {
    pub(super) caller: Arc<TokenCaller>,
    /// The place of its issuer in the configuration.
    pub(super) issuer: usize,
    /// The version of the keys that it was verified by.
    pub(super) version: u64,
}

/// The cache of one node.
pub(super) struct TokenCache {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: HashMap<TokenDigest, (Verified, Millis)>,
    /// The tokens in the order in which they came, which is nearly that in which they end.
    order: VecDeque<TokenDigest>,
}

impl Default for TokenCache {
    fn default() -> Self {
        Self { most: MOST_TOKENS, state: Mutex::default() }
    }
}

impl TokenCache {
    /// The digest of a token.
    pub(super) fn digest(token: &str) -> TokenDigest {
        Sha256::digest(token).into()
    }

    /// A token that was verified, and holds at `now`.
    pub(super) fn get(&self, digest: &TokenDigest, now: Millis) -> Option<Verified> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (verified, until) = state.known.get(digest)?;
        (now < *until).then(|| verified.clone())
    }

    /// Keeps a token that was verified at `now` until it expires, and not too long.
    pub(super) fn insert(&self, digest: TokenDigest, verified: Verified, now: Millis) {
        let until = verified.caller.expires.min(now.saturating_add(LONGEST_HOLD));
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        if state.known.insert(digest, (verified, until)).is_none() {
            state.order.push_back(digest);
        }
        while state.order.len() > self.most
            && let Some(oldest) = state.order.pop_front()
        {
            state.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::scope::Scopes;

    fn verified(expires: Millis) -> Verified {
        let caller = TokenCaller {
            issuer: "i".into(),
            subject: "s".into(),
            name: "n".into(),
            scopes: Scopes::NONE,
            expires,
        };
        Verified { caller: Arc::new(caller), issuer: 0, version: 0 }
    }

    #[test]
    fn a_token_is_kept_until_it_expires_and_at_most_for_five_minutes() {
        let cache = TokenCache::default();
        let (short, long) = (TokenCache::digest("short"), TokenCache::digest("long"));
        cache.insert(short, verified(1_000), 0);
        cache.insert(long, verified(i64::MAX), 0);
        let holds = |digest, now| cache.get(digest, now).is_some();
        assert!(holds(&short, 999) && !holds(&short, 1_000));
        assert!(holds(&long, LONGEST_HOLD - 1) && !holds(&long, LONGEST_HOLD));
        cache.insert(long, verified(i64::MAX), LONGEST_HOLD);
        assert!(holds(&long, LONGEST_HOLD), "it was verified again");
        assert!(!holds(&TokenCache::digest("other"), 0));
    }

    #[test]
    fn the_oldest_token_goes_when_there_are_too_many() {
        let cache = TokenCache { most: 2, ..TokenCache::default() };
        let all = ["a", "b", "b", "c"].map(TokenCache::digest);
        for digest in all {
            cache.insert(digest, verified(i64::MAX), 0);
        }
        let known = all.map(|digest| cache.get(&digest, 0).is_some());
        assert_eq!(known, [false, true, true, true]);
        assert_eq!(cache.state.lock().unwrap().known.len(), 2);
    }
}
