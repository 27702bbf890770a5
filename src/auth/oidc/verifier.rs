//! The verifier of access tokens: all issuers of a node, with their keys and the tokens that were
//! verified lately. `node` makes one, `auth::check` asks it, and `node` runs [`Oidc::follow`] as a
//! task.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::Value;

use super::claims;
use super::error::TokenError;
use super::issuer_keys::IssuerKeys;
use super::provider::{self, Provider};
use super::token::Token;
use super::token_cache::{TokenCache, Verified};
use crate::auth::caller::TokenCaller;
use crate::clock::SchedulerTime;
use crate::config::OidcIssuer;

/// The verifier of one node.
pub struct Oidc {
    issuers: Vec<Issuer>,
    cache: TokenCache,
    time: Arc<SchedulerTime>,
}

struct Issuer {
    terms: OidcIssuer,
    keys: Arc<IssuerKeys>,
}

impl Oidc {
    /// A verifier of tokens of these issuers. It asks nobody yet.
    ///
    /// # Errors
    ///
    /// A sentence where this machine has no root certificates, or an issuer has no address.
    pub fn new(issuers: &[OidcIssuer], time: Arc<SchedulerTime>) -> Result<Self, String> {
        let client = provider::client()?;
        let issuer = |terms: &OidcIssuer| {
            let name = &terms.issuer;
            let provider = Provider::new(client.clone(), name)
                .ok_or_else(|| format!("{name} is no address of an issuer"))?;
            let keys = IssuerKeys::new(name.clone(), provider, Arc::clone(time.clock()));
            Ok(Issuer { terms: terms.clone(), keys })
        };
        let issuers = issuers.iter().map(issuer).collect::<Result<_, String>>()?;
        Ok(Self { issuers, cache: TokenCache::default(), time })
    }

    /// Keeps the keys of all issuers fresh, without end.
    pub async fn follow(self: Arc<Self>) {
        join_all(self.issuers.iter().map(|issuer| Arc::clone(&issuer.keys).follow())).await;
    }

    /// The issuers, in the order of the configuration.
    pub fn issuers(&self) -> impl Iterator<Item = &OidcIssuer> {
        self.issuers.iter().map(|issuer| &issuer.terms)
    }

    /// The caller that a token names, by the scheduler time of this node.
    ///
    /// # Errors
    ///
    /// Each rule that a token may break has a variant of [`TokenError`].
    pub async fn caller(&self, token: &str) -> Result<Arc<TokenCaller>, TokenError> {
        let digest = TokenCache::digest(token);
        if let Some(known) = self.cache.get(&digest, self.time.now()) {
            // A key that is gone takes its tokens along. The cache has places of this list only,
            // which never changes.
            if self.issuers[known.issuer].keys.version() == known.version {
                return Ok(known.caller);
            }
        }
        let read = Token::read(token)?;
        let named = match read.claims.get("iss") {
            Some(Value::String(named)) => named,
            Some(_) => return Err(TokenError::Issuer("iss is no text")),
            None => return Err(TokenError::Issuer("iss is missing")),
        };
        let found = self.issuers.iter().position(|issuer| issuer.terms.issuer == *named);
        let Some(place) = found else {
            return Err(TokenError::Issuer("the token's iss is none of the issuers of this node"));
        };
        // The place is one of this list.
        let Issuer { terms, keys } = &self.issuers[place];
        let (key, version) = keys.key(read.key_id.as_deref(), &read.algorithm).await?;
        if !key.verifies(read.signed, &read.signature) {
            return Err(TokenError::Invalid("its signature is not that of its issuer's key"));
        }
        // The keys may have been waited for.
        let now = self.time.now();
        let caller = Arc::new(claims::caller(&read.claims, terms, now)?);
        let verified = Verified { caller: Arc::clone(&caller), issuer: place, version };
        self.cache.insert(digest, verified, now);
        Ok(caller)
    }
}
