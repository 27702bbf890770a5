//! The credentials that the command line shows to a node. `client` puts them on each request.

use std::sync::Arc;

use reqwest::RequestBuilder;
use zeroize::Zeroizing;

use super::login::live_session::LiveSession;
use crate::secret::{Keys, SecretText};

/// The credentials of a client.
pub(super) enum ClientLogin {
    /// The operator of the nodes.
    Operator {
        /// The name.
        username: String,
        /// The password.
        password: Zeroizing<String>,
    },
    /// A client of the API.
    Pair {
        /// The key.
        key: Zeroizing<String>,
        /// Its secret.
        secret: Zeroizing<String>,
    },
    /// A session of `scheduler0 login`, whose access token is refreshed while the command runs.
    Session(Arc<LiveSession>),
    /// An access token that is in no session yet.
    Token(SecretText),
    /// Nobody: for what the node tells everybody.
    Nobody,
}

impl ClientLogin {
    /// The operator whose credentials these are.
    pub(super) fn of(keys: &Keys) -> Self {
        Self::Operator {
            username: keys.username().to_owned(),
            password: Zeroizing::new(keys.password().to_owned()),
        }
    }

    /// The key pair of a client.
    pub(super) fn pair(key: &str, secret: &str) -> Self {
        let text = |text: &str| Zeroizing::new(text.to_owned());
        Self::Pair { key: text(key), secret: text(secret) }
    }

    /// What the node is shown, for people.
    pub(super) fn words(&self) -> &'static str {
        match self {
            Self::Operator { .. } => "the node's username and password",
            Self::Pair { .. } => "a key pair",
            Self::Session(_) | Self::Token(_) => "the session of `scheduler0 login`",
            Self::Nobody => "nothing",
        }
    }

    /// What to do where a node refuses these credentials with this status; nothing for another
    /// status.
    pub(super) fn advice(&self, status: u16) -> String {
        match (self, status) {
            (Self::Operator { .. }, 401) => {
                "; the node has another username or password than the .scheduler0 (or environment) used here".to_owned()
            }
            (Self::Pair { .. }, 401) => {
                "; the key pair (of SCHEDULER0_API_KEY, else of `scheduler0 login --key`) is wrong, archived or over; --operator acts by .scheduler0".to_owned()
            }
            (Self::Session(session), 401) => {
                let server = session.server();
                format!("; the node does not take the session: scheduler0 login --server {server}")
            }
            (Self::Pair { .. } | Self::Session(_), 403) => {
                "; --operator acts by .scheduler0 instead".to_owned()
            }
            _ => String::new(),
        }
    }

    /// Adds the credentials to a request that is sent now.
    ///
    /// # Errors
    ///
    /// Those of [`LiveSession::access_token`].
    pub(super) async fn sign(&self, request: RequestBuilder) -> anyhow::Result<RequestBuilder> {
        Ok(match self {
            Self::Operator { username, password } => {
                request.basic_auth(username, Some(password.as_str())).header("x-peer", "cmd")
            }
            Self::Pair { key, secret } => {
                request.header("x-api-key", key.as_str()).header("x-secret-key", secret.as_str())
            }
            Self::Session(session) => request.bearer_auth(&*session.access_token().await?),
            Self::Token(token) => request.bearer_auth(&**token),
            Self::Nobody => request,
        })
    }
}
