//! A session of the command line at one server, as it is kept. `session_file` reads and writes it.
//! `Debug` shows none of its secrets.

use serde::{Deserialize, Serialize};

use crate::model::Millis;
use crate::secret::SecretText;

/// What a command shows to a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub(in crate::cli) enum Session {
    /// Tokens of a provider.
    Tokens(Tokens),
    /// A key pair of the server.
    Key(KeyPair),
}

/// The tokens of a provider, and where they are refreshed and revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct Tokens {
    /// The provider.
    pub(super) issuer: String,
    /// The client that the tokens were issued to.
    pub(super) client: OauthClient,
    /// The URL at which they are refreshed.
    pub(super) token_endpoint: String,
    /// The URL at which they are revoked; `None` where the provider has none.
    pub(super) revocation_endpoint: Option<String>,
    /// The user: `sub` of the `id_token`.
    pub(super) subject: String,
    /// The user's name for people.
    pub(super) name: Option<String>,
    #[serde(with = "secret")]
    pub(super) access_token: SecretText,
    /// `None` where the provider gives none: the session ends with the access token.
    #[serde(with = "optional_secret")]
    pub(super) refresh_token: Option<SecretText>,
    /// The end of the access token by this machine's clock; `None` where nobody says.
    pub(super) expires_at_ms: Option<Millis>,
}

/// A client of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct OauthClient {
    /// Its `client_id`.
    pub(super) id: String,
    /// Its secret; `None` for a public client.
    #[serde(with = "optional_secret")]
    pub(super) secret: Option<SecretText>,
    /// The provider takes the secret in the form only (`client_secret_post`), and not as Basic
    /// authorization.
    pub(super) secret_in_form: bool,
}

/// A key pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct KeyPair {
    /// The key.
    pub(in crate::cli) api_key: String,
    #[serde(with = "secret")]
    pub(in crate::cli) api_secret: SecretText,
}

/// A secret in JSON. [`SecretText`] itself is not serialised, so that no secret is by accident.
mod secret {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::secret::SecretText;

    pub(super) fn serialize<S: Serializer>(text: &SecretText, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SecretText, D::Error> {
        String::deserialize(from).map(SecretText::from)
    }
}

/// A secret in JSON that may be null.
mod optional_secret {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::secret::SecretText;

    #[expect(clippy::ref_option, reason = "serde calls it with the field as it is")]
    pub(super) fn serialize<S: Serializer>(
        text: &Option<SecretText>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        text.as_deref().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<SecretText>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.map(SecretText::from))
    }
}
