//! `Idempotency-Key`: a request that is sent twice is carried out once. A digest of the key travels
//! with the command, and `command::apply` remembers the outcome under it. So the key holds on every
//! node and after a change of leader.

use axum::http::HeaderMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::api::http::error::{Error, refused};
use crate::api::state::AppState;
use crate::auth::Caller;
use crate::command::{Command, Outcome, Rejection, RejectionKind};
use crate::store::idempotency::{self, Remembered};
use crate::store::meta;

const HEADER: &str = "idempotency-key";
/// The longest key, in bytes.
const LONGEST: usize = 255;

/// The digests of a request's key and body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// Digest of caller, route and key, so that equal keys of two clients differ.
    pub(crate) key: [u8; 32],
    /// Digest of the body.
    pub(crate) body: [u8; 32],
}

impl Key {
    /// The key of a request, if it has one. `route` is a fixed text without the prefix.
    pub(crate) fn of(
        headers: &HeaderMap,
        caller: Caller,
        route: &str,
        body: &[u8],
    ) -> Result<Option<Self>, Error> {
        let Some(given) = headers.get(HEADER) else { return Ok(None) };
        let given = given.as_bytes();
        if given.is_empty() || given.len() > LONGEST {
            let message = format!("Idempotency-Key must have 1 to {LONGEST} characters");
            return Err(Error::bad_request(message));
        }
        let caller = match caller {
            Caller::Client { id, .. } => format!("client {id}"),
            Caller::Operator => "operator".to_owned(),
        };
        let mut key = Sha256::new();
        for part in [caller.as_bytes(), route.as_bytes(), given] {
            key.update((part.len() as u64).to_be_bytes());
            key.update(part);
        }
        let (key, body) = (key.finalize().into(), Sha256::digest(body).into());
        Ok(Some(Self { key, body }))
    }

    /// The answer that a request of many commands got when it was sent before and came to its end.
    /// A request that broke off is carried out again, and passes over what is done already.
    pub(crate) async fn replay<T: DeserializeOwned>(
        key: Option<Self>,
        app: &AppState,
    ) -> Result<Option<T>, Error> {
        let Some(key) = key else { return Ok(None) };
        let Some(known) = key.remembered(app).await? else { return Ok(None) };
        let answer = match postcard::from_bytes(&known.outcome) {
            Ok(Outcome::Concluded(answer)) => serde_json::from_str(&answer).ok(),
            _ => None,
        };
        answer.map(Some).ok_or_else(Error::internal)
    }

    /// Says whether a command was carried out under this key before, so that it would not be again.
    pub(crate) async fn is_remembered(self, app: &AppState) -> Result<bool, Error> {
        Ok(self.remembered(app).await?.is_some())
    }

    /// The outcome that `command::apply` would find under this key now. A key that came with
    /// another body is an error.
    async fn remembered(self, app: &AppState) -> Result<Option<Remembered>, Error> {
        let Self { key, body } = self;
        app.cluster.linearize().await?;
        let known =
            app.read(move |conn| Ok((idempotency::get(conn, &key)?, meta::log_time(conn)?)));
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
    pub(crate) async fn store<T: Serialize + DeserializeOwned>(
        key: Option<Self>,
        app: &AppState,
        answer: T,
    ) -> Result<T, Error> {
        if key.is_none() {
            return Ok(answer);
        }
        let text = serde_json::to_string(&answer).map_err(|_| Error::internal())?;
        let command = Self::wrap(key, Command::Conclude { answer: text });
        match app.cluster.propose(command).await? {
            Outcome::Concluded(text) => serde_json::from_str(&text).map_err(|_| Error::internal()),
            other => Err(refused(other)),
        }
    }

    /// Wraps a command so that it is carried out once, if there is a key.
    pub(crate) fn wrap(key: Option<Self>, command: Command) -> Command {
        match key {
            None => command,
            Some(Self { key, body }) => Command::Once { key, body, command: Box::new(command) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_different_callers_routes_and_bodies_differ() {
        let headers =
            |key: &str| HeaderMap::from_iter([(HEADER.parse().unwrap(), key.parse().unwrap())]);
        let client = |id| Caller::Client { id, root: 1 };
        let of = |key: &str, caller, route, body: &str| {
            Key::of(&headers(key), caller, route, body.as_bytes()).unwrap().unwrap()
        };
        let one = of("k", client(1), "POST /jobs", "[]");
        assert_eq!(one, of("k", client(1), "POST /jobs", "[]"));
        let other_body = of("k", client(1), "POST /jobs", "[1]");
        assert!(one.key == other_body.key && one.body != other_body.body);
        for other in [
            of("k", client(2), "POST /jobs", "[]"),
            of("k", Caller::Operator, "POST /jobs", "[]"),
            of("k", client(1), "POST /projects", "[]"),
            of("l", client(1), "POST /jobs", "[]"),
        ] {
            assert_ne!(one.key, other.key);
        }
        assert_eq!(Key::of(&HeaderMap::new(), Caller::Operator, "", b"").unwrap(), None);
        assert!(Key::of(&headers(""), Caller::Operator, "", b"").is_err());
        assert!(Key::of(&headers(&"k".repeat(256)), Caller::Operator, "", b"").is_err());
    }
}
