//! The actor of a use case: whoever was authenticated.

use std::net::IpAddr;
use std::sync::Arc;

use crate::auth::{Caller, TokenCaller};
use crate::listen::Principal;
use crate::model::actor::ActorRef;
use crate::model::reach::Reach;
use crate::model::scope::Scopes;

/// The kind of an actor, which decides what it may do and how far it reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActorKind {
    /// A node or the command line, by the node's username and password.
    Operator,
    /// A client, by an API key.
    Client {
        /// The id of its credential, which limits its reach.
        credential: u64,
    },
    /// A person or a program, by an access token, which says what it may do.
    Token(Arc<TokenCaller>),
}

/// The party that a use case acts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The kind of party, with the credential of a client.
    pub kind: ActorKind,
    /// The principal that its reads are counted by. All keys of a tree are one principal, and so
    /// are all operators.
    pub principal: Principal,
    /// The scopes of a client's key or an access token. `authz` compares them with the scopes of an
    /// action; an operator needs none.
    pub scopes: Scopes,
    /// The records that exist for it. Only its caller says it, and what narrows it.
    reach: Arc<Reach>,
    /// The address that its request came from, for the audit; `None` where it came by no
    /// connection.
    pub address: Option<IpAddr>,
}

impl Actor {
    /// The records that exist for it: its reads find no others, and its writes change no others.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// The same actor, limited to what another reach has, too.
    #[must_use]
    pub fn within(mut self, reach: &Reach) -> Self {
        self.reach = Arc::new(self.reach.intersect(reach));
        self
    }

    /// The actor of a request that came from this address.
    #[must_use]
    pub fn at(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
    }

    /// The credential that limits its reach; `None` for an operator and for a token, which reach
    /// all credentials as far as they may read or change any.
    pub(in crate::app) fn limit(&self) -> Option<u64> {
        match self.kind {
            ActorKind::Operator | ActorKind::Token(_) => None,
            ActorKind::Client { credential } => Some(credential),
        }
    }
}

impl From<&Actor> for ActorRef {
    fn from(actor: &Actor) -> Self {
        match &actor.kind {
            ActorKind::Operator => Self::Operator,
            ActorKind::Client { credential } => Self::Client { credential: *credential },
            ActorKind::Token(token) => Self::Token {
                issuer: token.issuer.clone(),
                subject: token.subject.clone(),
                name: token.name.clone(),
            },
        }
    }
}

impl From<Caller> for Actor {
    fn from(caller: Caller) -> Self {
        let principal = caller.principal();
        let reach = caller.reach();
        let (kind, scopes) = match caller {
            Caller::Operator => (ActorKind::Operator, Scopes::ALL),
            Caller::Client { id, scopes, .. } => (ActorKind::Client { credential: id }, scopes),
            Caller::Token(token) => {
                let scopes = token.scopes;
                (ActorKind::Token(token), scopes)
            }
        };
        Self { kind, principal, scopes, reach, address: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::scope::Scopes;

    #[test]
    fn the_log_names_the_credential_that_was_authenticated_and_not_the_root_of_its_tree() {
        let client = Actor::from(Caller::client_of_all(7, 3, Scopes::NONE));
        assert_eq!(ActorRef::from(&client), ActorRef::Client { credential: 7 });
        let operator = Actor::from(Caller::Operator);
        assert_eq!(ActorRef::from(&operator), ActorRef::Operator);
        let [issuer, subject, name] = ["https://id", "f:1", "ann"].map(str::to_owned);
        let named = ActorRef::Token {
            issuer: issuer.clone(),
            subject: subject.clone(),
            name: name.clone(),
        };
        let token = TokenCaller { issuer, subject, name, scopes: Scopes::ALL, expires: 7 };
        let token = Actor::from(Caller::Token(Arc::new(token)));
        assert_eq!((ActorRef::from(&token), token.limit()), (named, None));
    }
}
