//! Requests that are sent twice and carried out once. A digest of the request's key travels with
//! the command, and `command::apply` remembers the outcome under it. So the key holds on every node
//! and after a change of leader.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::app::actor::{Actor, ActorKind};
use crate::app::error::{Error, refused};
use crate::app::state::App;
use crate::auth::TokenCaller;
use crate::command::{Command, Outcome, Rejection, RejectionKind};
use crate::store::idempotency::{self, Remembered};
use crate::store::meta;

/// The digests of a request's key and body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Digest of actor, route and key, so that equal keys of two clients differ.
    pub(crate) key: [u8; 32],
    /// Digest of the body.
    pub(crate) body: [u8; 32],
}

impl Key {
    /// The key of a request. `route` is a fixed text that tells apart what is asked for.
    pub fn new(actor: &Actor, route: &str, given: &[u8], body: &[u8]) -> Self {
        // The texts are part of keys that clusters remember: they never change.
        let of = match &actor.kind {
            ActorKind::Client { credential } => format!("client {credential}"),
            ActorKind::Operator => match actor.reach().account() {
                None => "operator".to_owned(),
                Some(account) => format!("operator of account {account}"),
            },
            ActorKind::Token(token) => {
                let TokenCaller { issuer, subject, .. } = &**token;
                format!("token {} {issuer} {subject}", issuer.len())
            }
        };
        let mut key = Sha256::new();
        for part in [of.as_bytes(), route.as_bytes(), given] {
            key.update((part.len() as u64).to_be_bytes());
            key.update(part);
        }
        Self { key: key.finalize().into(), body: Sha256::digest(body).into() }
    }

    /// Wraps a command so that it is carried out once, if there is a key.
    pub(in crate::app) fn wrap(key: Option<Self>, command: Command) -> Command {
        match key {
            None => command,
            Some(Self { key, body }) => Command::Once { key, body, command: Box::new(command) },
        }
    }
}

impl App {
    /// The answer that a request of many commands got when it was sent before and came to its end.
    /// A request that broke off is carried out again, and passes over what is done already.
    pub(in crate::app) async fn replay<T: DeserializeOwned>(
        &self,
        actor: &Actor,
        key: Option<Key>,
    ) -> Result<Option<T>, Error> {
        let Some(key) = key else { return Ok(None) };
        let Some(known) = self.remembered(actor, key).await? else { return Ok(None) };
        let answer = match postcard::from_bytes(&known.outcome) {
            Ok(Outcome::Concluded(answer)) => serde_json::from_str(&answer).ok(),
            _ => None,
        };
        answer.map(Some).ok_or_else(Error::internal)
    }

    /// Says whether a command was carried out under this key before, so that it would not be again.
    pub(in crate::app) async fn is_remembered(
        &self,
        actor: &Actor,
        key: Key,
    ) -> Result<bool, Error> {
        Ok(self.remembered(actor, key).await?.is_some())
    }

    /// The outcome that `command::apply` would find under this key now. A key that came with
    /// another body is an error.
    async fn remembered(&self, actor: &Actor, key: Key) -> Result<Option<Remembered>, Error> {
        let Key { key, body } = key;
        self.linearize().await?;
        let known = self
            .read(actor, move |conn| Ok((idempotency::get(conn, &key)?, meta::log_time(conn)?)));
        let (known, now) = known.await?;
        let Some(known) = known.filter(|known| known.holds_at(now)) else { return Ok(None) };
        if known.body != body {
            let message = "idempotency key was already used with another request body";
            return Err(Rejection::new(RejectionKind::KeyReused, message).into());
        }
        Ok(Some(known))
    }

    /// Stores the answer to a request of many commands. Returns that answer, or the one that an
    /// equal request at the same time was given.
    pub(in crate::app) async fn conclude<T: Serialize + DeserializeOwned>(
        &self,
        actor: &Actor,
        key: Option<Key>,
        answer: T,
    ) -> Result<T, Error> {
        if key.is_none() {
            return Ok(answer);
        }
        let text = serde_json::to_string(&answer).map_err(|_| Error::internal())?;
        let command = Key::wrap(key, Command::Conclude { answer: text });
        match self.propose(actor, command).await? {
            Outcome::Concluded(text) => serde_json::from_str(&text).map_err(|_| Error::internal()),
            other => Err(refused(other)),
        }
    }
}
