//! The actor of a use case: whoever was authenticated, or this process itself.

use crate::auth::Caller;
use crate::listen::Principal;
use crate::model::actor::ActorRef;

/// The kind of an actor, which decides what it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorKind {
    /// A node or the command line, by the node's username and password.
    Operator,
    /// A client, by an API key.
    Client,
}

/// The party that a use case acts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The kind.
    pub kind: ActorKind,
    /// The id of a client's credential; `None` for an operator.
    pub credential: Option<u64>,
    /// The principal that its reads are counted by. All keys of a tree are one principal, and so
    /// are all operators.
    pub principal: Principal,
}

impl From<&Actor> for ActorRef {
    fn from(actor: &Actor) -> Self {
        match actor.credential {
            Some(credential) => Self::Client { credential },
            None => Self::Operator,
        }
    }
}

impl From<Caller> for Actor {
    fn from(caller: Caller) -> Self {
        let kind = match caller {
            Caller::Operator => ActorKind::Operator,
            Caller::Client { .. } => ActorKind::Client,
        };
        Self { kind, credential: caller.client(), principal: caller.principal() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_names_the_credential_that_was_authenticated_and_not_the_root_of_its_tree() {
        let client = Actor::from(Caller::Client { id: 7, root: 3 });
        assert_eq!(ActorRef::from(&client), ActorRef::Client { credential: 7 });
        let operator = Actor::from(Caller::Operator);
        assert_eq!(ActorRef::from(&operator), ActorRef::Operator);
    }
}
