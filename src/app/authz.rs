//! Authorization: which actor may do which action to which resource. Each use case asks before it
//! does anything, and the API asks for every closed route before it reads the request.
//!
//! | actor | may do |
//! |---|---|
//! | operator | every action |
//! | client | every action but those on the cluster |
//!
//! A client reaches only a part of the credentials: its own and those below it. `app::credentials`
//! limits its reads of them, and `command::apply` its changes.

use super::actor::{Actor, ActorKind};

/// A kind of use case. Each closed route of the API has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Reads projects.
    ProjectsRead,
    /// Creates, changes, pauses or deletes projects.
    ProjectsWrite,
    /// Reads jobs, their next runs and previews of schedules.
    JobsRead,
    /// Creates, changes, pauses or deletes jobs.
    JobsWrite,
    /// Runs a job out of turn.
    JobsRun,
    /// Reads executors.
    ExecutorsRead,
    /// Creates, changes or deletes executors.
    ExecutorsWrite,
    /// Reads templates, and checks payloads.
    TemplatesRead,
    /// Creates, changes, imports or deletes templates.
    TemplatesWrite,
    /// Makes instances of templates.
    TemplatesRun,
    /// Reads executions, sums of them, explanations and receipts.
    HistoryRead,
    /// Drops old history.
    HistoryDrop,
    /// Reads runs.
    RunsRead,
    /// Reports about a run, or cancels it.
    RunsReport,
    /// Claims runs for a worker, and sends heartbeats of them.
    RunsWork,
    /// Reads queues and workers.
    WorkersRead,
    /// Reads the stream of events.
    EventsRead,
    /// Reads dead letters.
    DeadLettersRead,
    /// Replays or purges dead letters.
    DeadLettersWrite,
    /// Reads credentials.
    CredentialsRead,
    /// Creates, archives or deletes credentials.
    CredentialsWrite,
    /// Reads the status of the cluster and its members.
    ClusterRead,
    /// Changes the members of the cluster, or commits a checksum entry.
    ClusterWrite,
    /// Makes and reads backups, which hold the jobs of all clients.
    ClusterBackup,
    /// A route that this version does not have.
    Unsupported,
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
#[error("an api key may not do this: it needs the node's username and password")]
pub struct Denied;

/// Checks that an actor may do an action to a resource.
///
/// # Errors
///
/// [`Denied`] where it may not.
pub fn authorize(actor: &Actor, action: Action, _resource: Resource) -> Result<(), Denied> {
    let of_cluster =
        matches!(action, Action::ClusterRead | Action::ClusterWrite | Action::ClusterBackup);
    match actor.kind {
        ActorKind::Client { .. } if of_cluster => Err(Denied),
        ActorKind::Client { .. } | ActorKind::Operator => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Caller;

    #[test]
    fn clients_do_everything_but_administer_the_cluster() {
        let client = Actor::from(Caller::Client { id: 1, root: 1 });
        let operator = Actor::from(Caller::Operator);
        for action in [Action::ClusterRead, Action::ClusterWrite, Action::ClusterBackup] {
            assert_eq!(authorize(&client, action, Resource::Any), Err(Denied), "{action:?}");
            assert_eq!(authorize(&operator, action, Resource::Any), Ok(()));
        }
        for action in [Action::ProjectsWrite, Action::CredentialsWrite, Action::HistoryDrop] {
            assert_eq!(authorize(&client, action, Resource::Project(1)), Ok(()), "{action:?}");
        }
    }
}
