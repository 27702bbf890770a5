//! A command with the actor that asked for it: what is proposed, and what an entry of the log
//! holds. `cluster` takes it, `raft::machine` gives it to `apply`.

use super::commands::Command;
use crate::model::actor::{ActorRef, RequestOrigin};

/// A command and who asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The actor, as the node found it that authenticated the request. `None` where the cluster
    /// acts by itself, and in entries that were written below [`super::ACTOR_LEVEL`].
    pub actor: Option<ActorRef>,
    /// The way by which the actor's request came in, for the audit. `None` without a request, and
    /// in entries that were written below [`super::ORIGIN_LEVEL`]: those have no row in the audit.
    pub origin: Option<RequestOrigin>,
    /// The command.
    pub command: Command,
}

impl From<Command> for Proposal {
    fn from(command: Command) -> Self {
        Self { actor: None, origin: None, command }
    }
}

impl Command {
    /// Proposes the command for an actor.
    #[must_use]
    pub fn asked_by(self, actor: ActorRef) -> Proposal {
        Proposal { actor: Some(actor), ..Proposal::from(self) }
    }
}

impl Proposal {
    /// Names the way by which the request came in.
    #[must_use]
    pub fn received(self, origin: RequestOrigin) -> Self {
        Self { origin: Some(origin), ..self }
    }
}
