//! The use case of `GET /whoami`: who the node takes a caller for. It tells a caller about itself,
//! so every caller may ask. It shows no secret, and decides nothing.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::state::App;
use crate::auth::{Caller, SessionLife};
use crate::model::scope::Scopes;
use crate::model::{Millis, ProjectId};
use crate::store::credentials;

/// The kind of credentials that a caller has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhoamiKind {
    /// The node's username and password, or a browser's session that was begun with them.
    Operator,
    /// The key pair of a client, or a browser's session that was begun with it.
    Key,
    /// An access token.
    Token,
}

impl WhoamiKind {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Key => "key",
            Self::Token => "token",
        }
    }
}

/// A caller, as far as its credentials tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whoami {
    /// The kind of credentials.
    pub kind: WhoamiKind,
    /// The id of the credential of a key pair.
    pub id: Option<u64>,
    /// The public part of a key pair.
    pub api_key: Option<String>,
    /// The issuer of an access token.
    pub issuer: Option<String>,
    /// The subject of an access token.
    pub subject: Option<String>,
    /// The name for people: of an operator the username.
    pub name: Option<String>,
    /// The scopes; `None` where the credentials are not limited by scopes.
    pub scopes: Option<Scopes>,
    /// The projects that a key is bound to; `None` where it reaches all of its account.
    pub projects: Option<Vec<ProjectId>>,
    /// The end of the session or of the credentials; `None` where they have none.
    pub expires: Option<Millis>,
}

impl App {
    /// Tells who a caller is taken for. `session` is the life of the browser's session that the
    /// caller came by, if it came by one.
    ///
    /// # Errors
    ///
    /// `NotFound` where the credential was deleted since the request was authenticated; `TooSlow`
    /// or `Busy` when it cannot be read in time.
    pub async fn whoami(
        &self,
        actor: &Actor,
        caller: &Caller,
        session: Option<SessionLife>,
    ) -> Result<Whoami, Error> {
        authorize(actor, Action::Whoami, Resource::Any)?;
        let expires = session.map(|life| life.expires);
        let nobody = Whoami {
            kind: WhoamiKind::Operator,
            id: None,
            api_key: None,
            issuer: None,
            subject: None,
            name: None,
            scopes: None,
            projects: None,
            expires,
        };
        match caller {
            Caller::Operator => {
                Ok(Whoami { name: Some(self.keys.username().to_owned()), ..nobody })
            }
            Caller::Client { id, scopes, .. } => {
                let id = *id;
                let stored = self.read(actor, move |conn| credentials::get(conn, id)).await?;
                let stored =
                    stored.ok_or_else(|| Error::not_found("credential cannot be found"))?;
                Ok(Whoami {
                    kind: WhoamiKind::Key,
                    id: Some(id),
                    api_key: Some(stored.api_key),
                    name: stored.terms.name,
                    scopes: Some(*scopes),
                    projects: stored.terms.projects,
                    expires: expires.into_iter().chain(stored.terms.expires).min(),
                    ..nobody
                })
            }
            Caller::Token(token) => Ok(Whoami {
                kind: WhoamiKind::Token,
                issuer: Some(token.issuer.clone()),
                subject: Some(token.subject.clone()),
                name: Some(token.name.clone()),
                scopes: Some(token.scopes),
                expires: Some(token.expires),
                ..nobody
            }),
        }
    }
}
