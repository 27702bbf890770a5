//! Authorization: which actor may do which action to which resource. Each use case asks before it
//! does anything, and the API asks for every closed route before it reads the request.
//!
//! The table of [`Action`] *is* the authorization: each action has the scopes that it needs beside
//! it, and one without them does not compile. An operator may do every action, and a client or an
//! access token those whose scopes it has. Scopes that a key did not name are [`Scopes::OF_KEYS`].
//! A token has no record that `command::apply` could compare a key with: it changes keys only if it
//! has all scopes there are.
//!
//! A client reaches only a part of the credentials: its own and those below it. `app::credentials`
//! limits its reads of them, and `command::apply` its changes.

use super::actor::{Actor, ActorKind};
use crate::model::scope::{Scope, Scopes};
use crate::model::scope_words::set_of;

/// The table of actions, a row each: its doc comment, its name, and the scopes that it needs.
macro_rules! actions {
    ($($(#[$doc:meta])+ $name:ident => [$($scope:ident),*],)+) => {
        /// A kind of use case. Each closed route of the API has one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Action {
            $($(#[$doc])+ $name,)+
        }

        impl Action {
            /// All actions.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The scopes that a key needs for it, all of them.
            pub const fn scopes(self) -> Scopes {
                match self {
                    $(Self::$name => set_of(&[$(Scope::$scope),*]),)+
                }
            }
        }
    };
}

actions! {
    /// Reads projects.
    ProjectsRead => [ProjectsRead],
    /// Creates, changes, pauses or deletes projects.
    ProjectsWrite => [ProjectsWrite],
    /// Reads jobs, their next runs and previews of schedules.
    JobsRead => [JobsRead],
    /// Creates, changes, pauses or deletes jobs.
    JobsWrite => [JobsWrite],
    /// Runs a job out of turn.
    JobsRun => [RunsWrite],
    /// Reads executors.
    ExecutorsRead => [ExecutorsRead],
    /// Creates, changes or deletes executors.
    ExecutorsWrite => [ExecutorsWrite],
    /// Reads templates, and checks payloads.
    TemplatesRead => [JobsRead],
    /// Creates, changes, imports or deletes templates.
    TemplatesWrite => [JobsWrite],
    /// Makes instances of templates.
    TemplatesRun => [JobsWrite],
    /// Reads executions, sums of them, explanations and receipts.
    HistoryRead => [RunsRead],
    /// Drops old history, which is that of all clients.
    HistoryDrop => [ClusterAdmin],
    /// Reads runs.
    RunsRead => [RunsRead],
    /// Reports about a run, or cancels it.
    RunsReport => [RunsWrite],
    /// Claims runs for a worker, and sends heartbeats of them.
    RunsWork => [RunsWrite],
    /// Reads queues and workers.
    WorkersRead => [RunsRead],
    /// Reads the stream of events.
    EventsRead => [JobsRead, RunsRead],
    /// Reads dead letters.
    DeadLettersRead => [RunsRead],
    /// Replays or purges dead letters.
    DeadLettersWrite => [RunsWrite],
    /// Reads credentials.
    CredentialsRead => [CredentialsRead],
    /// Creates, changes, archives or deletes credentials.
    CredentialsWrite => [CredentialsWrite],
    /// Reads accounts and features.
    AccountsRead => [AccountsRead],
    /// Creates, changes or deletes accounts, and grants executions.
    AccountsWrite => [AccountsWrite],
    /// Reads and exports the audit.
    AuditRead => [AuditRead],
    /// Ends the sessions of browsers that were begun with the actor's own credentials.
    OwnSessionsEnd => [],
    /// Reads the status of the cluster and its members.
    ClusterRead => [ClusterRead],
    /// Changes the members of the cluster, or commits a checksum entry.
    ClusterWrite => [ClusterAdmin],
    /// Makes and reads backups, which hold the jobs of all clients.
    ClusterBackup => [ClusterAdmin],
    /// Asks who it is taken for. Every caller may.
    Whoami => [],
    /// A route that this version does not have.
    Unsupported => [],
}

/// The record that an action concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// The records of the action's kind, or one that the use case names later.
    Any,
    /// A project by its id, or the records in it.
    Project(u64),
}

impl Resource {
    /// The records of a project, or of all projects where none is named.
    pub(in crate::app) fn of_project(id: Option<u64>) -> Self {
        id.map_or(Self::Any, Self::Project)
    }
}

/// The actor may not do this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("missing required scopes: {missing}")]
pub struct Denied {
    /// The scopes that it lacks.
    pub missing: Scopes,
}

/// The scopes that an action needs of an access token.
fn of_token(action: Action) -> Scopes {
    if action == Action::CredentialsWrite { Scopes::ALL } else { action.scopes() }
}

/// Checks that an actor may do an action to a resource.
///
/// # Errors
///
/// [`Denied`] where it may not.
pub fn authorize(actor: &Actor, action: Action, _resource: Resource) -> Result<(), Denied> {
    let missing = match actor.kind {
        ActorKind::Operator => Scopes::NONE,
        ActorKind::Client { .. } => action.scopes().without(actor.scopes),
        ActorKind::Token(_) => of_token(action).without(actor.scopes),
    };
    if missing.is_empty() { Ok(()) } else { Err(Denied { missing }) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::auth::{Caller, TokenCaller};

    fn client(scopes: Scopes) -> Actor {
        Actor::from(Caller::client_of_all(1, 1, scopes))
    }

    #[test]
    fn an_action_needs_its_scopes_and_no_other() {
        for &action in Action::ALL {
            let needed = action.scopes();
            let ask = |scopes| authorize(&client(scopes), action, Resource::Any);
            assert_eq!(ask(needed), Ok(()), "{action:?}");
            let operator = Actor::from(Caller::Operator);
            assert_eq!(authorize(&operator, action, Resource::Project(1)), Ok(()), "{action:?}");
            for scope in needed.iter() {
                let missing = Scopes::one(scope);
                let others = Scopes::ALL.without(missing);
                assert_eq!(ask(others), Err(Denied { missing }), "{action:?} {scope:?}");
            }
            if !needed.is_empty() {
                assert_eq!(ask(Scopes::NONE), Err(Denied { missing: needed }), "{action:?}");
            }
        }
    }

    #[test]
    fn a_key_without_scopes_does_not_administer_accounts_and_the_cluster_or_read_the_audit() {
        let key = client(Scopes::OF_KEYS);
        let denied = |action: &&Action| authorize(&key, **action, Resource::Any).is_err();
        let denied: Vec<_> = Action::ALL.iter().filter(denied).collect();
        let others = [
            Action::HistoryDrop,
            Action::AccountsRead,
            Action::AccountsWrite,
            Action::AuditRead,
            Action::ClusterRead,
            Action::ClusterWrite,
            Action::ClusterBackup,
        ];
        assert_eq!(denied, others.iter().collect::<Vec<_>>());
    }

    #[test]
    fn who_writes_does_not_read() {
        let writer = client(Scopes::of_word("write").unwrap());
        for action in [Action::JobsWrite, Action::TemplatesRun, Action::ProjectsWrite] {
            assert_eq!(authorize(&writer, action, Resource::Any), Ok(()), "{action:?}");
        }
        for action in [Action::JobsRead, Action::JobsRun, Action::CredentialsWrite] {
            assert!(authorize(&writer, action, Resource::Any).is_err(), "{action:?}");
        }
        let both = authorize(&writer, Action::EventsRead, Resource::Any).unwrap_err();
        assert_eq!(both.to_string(), "missing required scopes: jobs:read, runs:read");
    }

    #[test]
    fn a_token_does_what_a_key_with_its_scopes_does_and_changes_keys_only_with_all_of_them() {
        let token = |scopes: Scopes| {
            let caller = TokenCaller {
                issuer: "https://id".into(),
                subject: "s".into(),
                name: "n".into(),
                scopes,
                expires: 0,
            };
            Actor::from(Caller::Token(Arc::new(caller)))
        };
        for &action in Action::ALL {
            let ask = |scopes| authorize(&token(scopes), action, Resource::Any);
            assert_eq!(ask(Scopes::ALL), Ok(()), "{action:?}");
            for scope in Scope::ALL {
                let missing = Scopes::one(scope);
                let scopes = Scopes::ALL.without(missing);
                let of_key = authorize(&client(scopes), action, Resource::Any);
                let expected = if action == Action::CredentialsWrite {
                    Err(Denied { missing })
                } else {
                    of_key
                };
                assert_eq!(ask(scopes), expected, "{action:?} without {scope:?}");
            }
        }
    }
}
