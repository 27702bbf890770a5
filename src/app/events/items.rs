//! The items of a stream, in the order in which a reader gets them.

use std::sync::Arc;

use crate::app::history::ExecutionRecord;
use crate::app::state::App;
use crate::events::{EventId, LostReason};
use crate::model::event::ChangeEvent;
use crate::model::event_counts::Executions;
use crate::model::job::JobStatus;
use crate::model::{JobId, Millis, NodeId, ProjectId};

/// An item. All instants are in milliseconds since 1970, by scheduler time.
#[derive(Clone, Debug)]
pub struct StreamItem {
    /// The id that a reader goes on behind; `None` for what is not in the log.
    pub id: Option<EventId>,
    /// What it says.
    pub item: Item,
}

/// What an item says.
#[derive(Clone, Debug)]
pub enum Item {
    /// The stream begins.
    Hello(Hello),
    /// The stream lives, and the reader has seen all up to the id.
    Beat {
        /// The instant.
        at: Millis,
    },
    /// Events are missing: the reader has to read again what it shows.
    Reset {
        /// The reason.
        reason: ResetReason,
        /// The reader's place before.
        from: EventId,
    },
    /// The node is about to stop, or the reader may not read any more.
    Bye,
    /// A fact.
    Fact {
        /// The fact, with its place and instant.
        event: Arc<ChangeEvent>,
        /// The job, where the fact is about a single one that could be read.
        job: Option<JobNews>,
        /// The execution id, where the fact is about a run.
        execution_id: Option<String>,
        /// The members, where they changed.
        members: Vec<(NodeId, String)>,
    },
    /// Results of one second or more.
    Executions {
        /// Log time after the last entry.
        at: Millis,
        /// The results of the projects that the reader wants.
        sums: Executions,
    },
    /// An attempt at the job that the reader named.
    Execution {
        /// The attempt.
        record: Box<ExecutionRecord>,
        /// There were more than are sent.
        more: bool,
    },
    /// This node knows another leader.
    Leader {
        /// The term.
        term: u64,
        /// The leader, if there is one.
        leader: Option<NodeId>,
    },
}

/// The first item of a stream.
#[derive(Clone, Debug)]
pub struct Hello {
    /// This node.
    pub node: NodeId,
    /// The cluster, for a reader that may read its status.
    pub cluster: Option<HelloCluster>,
    /// The instant.
    pub at: Millis,
    /// The version of the program.
    pub version: &'static str,
}

/// The cluster as the first item shows it.
#[derive(Clone, Debug)]
pub struct HelloCluster {
    /// The term, as this node knows it.
    pub term: u64,
    /// The leader with a majority, if this node knows of one.
    pub leader: Option<NodeId>,
    /// The members with the addresses of their APIs.
    pub members: Vec<(NodeId, String)>,
}

/// The job of an event, as it is when the event is sent.
#[derive(Clone, Debug)]
pub struct JobNews {
    /// Its id.
    pub id: JobId,
    /// The client's own id of it.
    pub external_id: Option<String>,
    /// Its project.
    pub project: ProjectId,
    /// Its status.
    pub status: JobStatus,
    /// Its next planned instant.
    pub next: Option<Millis>,
    /// Its version.
    pub version: u64,
    /// The type of the template that made it.
    pub template: Option<String>,
}

/// Why a reader has to read again what it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// The events behind its place are not kept, or this node never had them.
    Expired,
    /// The cluster was restored or recovered: the log is another one.
    Lineage,
    /// Its place lies ahead of this node, which did not reach it in time.
    Ahead,
}

impl ResetReason {
    /// The name in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Lineage => "lineage",
            Self::Ahead => "ahead",
        }
    }
}

impl From<LostReason> for ResetReason {
    fn from(reason: LostReason) -> Self {
        match reason {
            LostReason::Expired => Self::Expired,
            LostReason::Lineage => Self::Lineage,
        }
    }
}

/// The members of the cluster with the addresses of their APIs.
pub(super) fn members(app: &App) -> Vec<(NodeId, String)> {
    app.cluster.members().into_iter().map(|(id, member)| (id, member.address)).collect()
}
