//! The session of a command while it runs: its access token, refreshed before it ends (RFC 6749,
//! section 6). Many providers take a refresh token once, so of all processes and tasks of a user
//! one refreshes, under the lock of the session file, and the others read what it wrote.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::id_token::{Expected, check};
use super::provider::Provider;
use super::provider_error::ProviderError;
use super::session::{Session, Tokens};
use super::session_file::SessionFile;
use super::token_answer::TokenAnswer;
use crate::cli::Failure;
use crate::clock::{Clock as _, SystemClock};
use crate::model::Millis;
use crate::model::time::rfc3339;
use crate::secret::SecretText;

/// The time before its end at which an access token is refreshed, in milliseconds.
const REFRESH_BEFORE_MS: Millis = 30_000;

/// The session of a server.
#[derive(Debug)]
pub(in crate::cli) struct LiveSession {
    file: SessionFile,
    server: String,
    held: Mutex<Tokens>,
}

impl LiveSession {
    /// The session of a server, as the file has it.
    pub(in crate::cli) fn new(file: SessionFile, server: String, tokens: Tokens) -> Self {
        Self { file, server, held: Mutex::new(tokens) }
    }

    /// The server.
    pub(in crate::cli) fn server(&self) -> &str {
        &self.server
    }

    /// An access token for a request that is sent now.
    ///
    /// # Errors
    ///
    /// [`Failure::SessionOver`] where only a new login helps; [`Failure::Usage`] where the session
    /// file cannot be used; [`ProviderError`] where the provider does not answer, or answers what
    /// it may not.
    pub(in crate::cli) async fn access_token(self: &Arc<Self>) -> anyhow::Result<SecretText> {
        let session = Arc::clone(self);
        // In a task of its own: a caller that gives up must not lose the tokens of an answer.
        let token = tokio::spawn(async move { session.current().await });
        token.await.unwrap_or_else(|_| Err(self.over("the session could not be refreshed")))
    }

    async fn current(&self) -> anyhow::Result<SecretText> {
        let mut held = self.held.lock().await;
        if is_due(&held, SystemClock.wall()) {
            *held = self.renewed(&held).await?;
        }
        Ok(held.access_token.clone())
    }

    /// The tokens that another process has refreshed, or that are refreshed now.
    async fn renewed(&self, held: &Tokens) -> anyhow::Result<Tokens> {
        let mut locked = self.file.lock().await?;
        let stored = match locked.find(&self.server) {
            Some(Session::Tokens(tokens)) if tokens.subject == held.subject => tokens.clone(),
            Some(_) => return Err(self.over("somebody else has logged in here meanwhile")),
            None => return Err(self.over("you have logged out meanwhile; log in again")),
        };
        let now = SystemClock.wall();
        if !is_due(&stored, now) {
            return Ok(stored);
        }
        // Until its last second the old token serves where there is no new one.
        let is_valid = stored.expires_at_ms.is_none_or(|ends| now < ends);
        let Some(refresh_token) = &stored.refresh_token else {
            if is_valid {
                return Ok(stored);
            }
            let ended = stored.expires_at_ms.map(rfc3339).unwrap_or_default();
            return Err(self.over(&format!(
                "the session ended at {ended}, and the provider gave nothing to refresh it with \
                 (scope offline_access); log in again"
            )));
        };
        match self.refresh(&stored, refresh_token).await {
            Ok(fresh) => {
                locked.put(&self.server, Session::Tokens(fresh.clone()))?;
                Ok(fresh)
            }
            Err(error) if is_passing(&error) && is_valid => Ok(stored),
            Err(error) => Err(error),
        }
    }

    async fn refresh(&self, stored: &Tokens, token: &str) -> anyhow::Result<Tokens> {
        let provider = Provider::new(&stored.issuer)?;
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
        let answer = provider.post(&stored.token_endpoint, &stored.client, &fields).await;
        let answer = answer.map_err(|error| match error.code() {
            Some(_) if !error.is_passing() => {
                self.over(&format!("the session has ended ({error}); log in again"))
            }
            _ => anyhow::Error::from(error).context("the session cannot be refreshed"),
        })?;
        let now = SystemClock.wall();
        let answer = TokenAnswer::read(&answer, now).map_err(|what| provider.unusable(what))?;
        if let Some(id_token) = &answer.id_token {
            let (issuer, client_id) = (stored.issuer.as_str(), stored.client.id.as_str());
            // OpenID Connect Core 1.0, section 12.2: issuer, audience and subject. A clock that is
            // wrong must not cost the session its new tokens.
            let expected = Expected { issuer, client_id, nonce: None, now: Millis::MIN };
            let identity =
                check(Some(id_token), &expected).map_err(|e| self.over(&e.to_string()))?;
            if identity.subject != stored.subject {
                return Err(self.over("the provider refreshed the session of another user"));
            }
        }
        Ok(Tokens {
            access_token: answer.access_token,
            refresh_token: answer.refresh_token.or_else(|| stored.refresh_token.clone()),
            expires_at_ms: answer.expires,
            ..stored.clone()
        })
    }

    fn over(&self, reason: &str) -> anyhow::Error {
        Failure::SessionOver { reason: reason.to_owned(), server: self.server.clone() }.into()
    }
}

/// Returns whether an error is one of a provider that may answer later.
fn is_passing(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(ProviderError::is_passing)
}

fn is_due(tokens: &Tokens, now: Millis) -> bool {
    tokens.expires_at_ms.is_some_and(|ends| ends - REFRESH_BEFORE_MS <= now)
}
