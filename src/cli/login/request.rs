//! A login that is to be made, and what comes of it, whichever the flow.

use super::id_token::{Expected, Identity, check};
use super::metadata::Metadata;
use super::provider::Provider;
use super::provider_error::ProviderError;
use super::session::{OauthClient, Tokens};
use super::token_answer::TokenAnswer;
use crate::clock::{Clock as _, SystemClock};

/// A login at a provider.
#[derive(Debug)]
pub(super) struct LoginRequest {
    pub(super) provider: Provider,
    pub(super) metadata: Metadata,
    pub(super) client: OauthClient,
    /// The scopes, with blanks between them.
    pub(super) scope: String,
}

impl LoginRequest {
    /// Asks the token endpoint with these fields.
    pub(super) async fn ask(&self, fields: &[(&str, &str)]) -> Result<TokenAnswer, ProviderError> {
        let answer =
            self.provider.post(&self.metadata.token_endpoint, &self.client, fields).await?;
        TokenAnswer::read(&answer, SystemClock.wall()).map_err(|what| self.provider.unusable(what))
    }

    /// The tokens of a session, once the `id_token` is checked.
    pub(super) fn accept(
        &self,
        answer: TokenAnswer,
        nonce: Option<&str>,
    ) -> anyhow::Result<Tokens> {
        let expected = Expected {
            issuer: self.provider.issuer(),
            client_id: &self.client.id,
            nonce,
            now: SystemClock.wall(),
        };
        let Identity { subject, name } = check(answer.id_token.as_deref(), &expected)?;
        Ok(Tokens {
            issuer: self.provider.issuer().to_owned(),
            client: self.client.clone(),
            token_endpoint: self.metadata.token_endpoint.clone(),
            revocation_endpoint: self.metadata.revocation_endpoint.clone(),
            subject,
            name,
            access_token: answer.access_token,
            refresh_token: answer.refresh_token,
            expires_at_ms: answer.expires,
        })
    }
}
