//! The JSON of events. One form serves all types: a field that a type does not have is left out.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::api::history::execution_view::ExecutionView;
use crate::app::events::{
    EventId, Executions, Fact, Hello, Item, JobChange, JobEnd, JobNews, JobSet, JobUpdate,
    LettersChange, RecordChange, ResultCounts, RunChange, TemplateMark,
};
use crate::model::time::rfc3339;
use crate::model::{JobId, Millis, NodeId};

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventView {
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_id: Option<NodeId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<u64>,
    /// `null` where there is no leader.
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<MemberView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    /// `null` for jobs of several projects.
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<Value>,
    /// The template that made all of the jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    template_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<JobId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// Ranges of jobs: first id and number.
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<Vec<(JobId, u64)>>,
    /// The number of jobs that are in no range.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    occurrences: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<JobNewsView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    projects: Option<Vec<ProjectResults>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    others: Option<ResultsView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    moves: Option<Vec<MoveView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
}

/// One attempt at the job that the reader named.
#[derive(Serialize)]
pub(super) struct AttemptView {
    #[serde(flatten)]
    pub(super) execution: ExecutionView,
    /// There were more than are sent: read the list of executions.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) more: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MemberView {
    node_id: NodeId,
    address: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct JobNewsView {
    id: JobId,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    project_id: u64,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_execution_date: Option<String>,
    version: u64,
    /// The type of the template that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProjectResults {
    project_id: u64,
    #[serde(flatten)]
    results: ResultsView,
}

/// Counts of results; those that are 0 are left out.
#[derive(Debug, Serialize)]
struct ResultsView {
    #[serde(skip_serializing_if = "is_zero")]
    delivered: u32,
    #[serde(skip_serializing_if = "is_zero")]
    failed: u32,
    #[serde(skip_serializing_if = "is_zero")]
    dead: u32,
    #[serde(skip_serializing_if = "is_zero")]
    running: u32,
    /// By reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    skipped: BTreeMap<&'static str, u32>,
}

#[derive(Debug, Serialize)]
struct MoveView {
    from: NodeId,
    to: NodeId,
    shards: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl EventView {
    /// The view of an item with its id.
    pub(super) fn of(item: Item, id: Option<EventId>) -> Self {
        let none = Self::default();
        match item {
            Item::Hello(hello) => Self::hello(hello),
            Item::Beat { at } => Self { at: Some(rfc3339(at)), ..none },
            Item::Reset { reason, from } => Self {
                reason: Some(reason.name()),
                from: Some(from.to_string()),
                to: id.map(|id| id.to_string()),
                ..none
            },
            // Attempts have a view of their own.
            Item::Bye | Item::Execution { .. } => none,
            Item::Executions { at, sums } => Self::executions(at, &sums),
            Item::Leader { term, leader } => {
                Self { term: Some(term), leader: Some(or_null(leader)), ..none }
            }
            Item::Fact { event, job, execution_id, members } => {
                let members = (!members.is_empty()).then(|| shown(members));
                let job = job.map(JobNewsView::from);
                let at = Some(rfc3339(event.at));
                Self { at, members, execution_id, job, ..Self::fact(&event.fact) }
            }
        }
    }

    fn hello(hello: Hello) -> Self {
        let common = Self {
            at: Some(rfc3339(hello.at)),
            node_id: Some(hello.node),
            version: Some(hello.version),
            ..Self::default()
        };
        let Some(cluster) = hello.cluster else { return common };
        Self {
            term: Some(cluster.term),
            leader: Some(or_null(cluster.leader)),
            members: Some(shown(cluster.members)),
            ..common
        }
    }

    fn executions(at: Millis, sums: &Executions) -> Self {
        let project = |(id, counts): &(u64, ResultCounts)| ProjectResults {
            project_id: *id,
            results: counts.into(),
        };
        let others = (sums.others != ResultCounts::default()).then(|| (&sums.others).into());
        Self {
            at: Some(rfc3339(at)),
            projects: Some(sums.projects.iter().map(project).collect()),
            others,
            ..Self::default()
        }
    }

    fn fact(fact: &Fact) -> Self {
        let none = Self::default();
        match fact {
            Fact::Jobs { project, template, change, jobs } => {
                let (what, state, reason) = words(*change);
                let project_id = Some(or_null(*project));
                let template_id = match template {
                    TemplateMark::One(id) => Some(*id),
                    TemplateMark::NoTemplate | TemplateMark::Unknown => None,
                };
                Self { project_id, template_id, what, state, reason, ..Self::jobs(jobs) }
            }
            Fact::Run { project, of, attempt, change } => {
                let (percent, message) = match change {
                    RunChange::Progress { percent, message } => (*percent, message.clone()),
                    RunChange::Accepted | RunChange::Lost | RunChange::Cancelled => (None, None),
                };
                Self {
                    project_id: Some((*project).into()),
                    job_id: Some(of.job),
                    attempt: Some(*attempt),
                    percent,
                    message,
                    ..none
                }
            }
            Fact::MoreRuns { count, .. } => Self { count: Some(*count), ..none },
            Fact::DeadLetter { project, letter, jobs, occurrences, error } => Self {
                id: Some(*letter),
                project_id: Some((*project).into()),
                occurrences: Some(*occurrences),
                error: error.clone(),
                ..Self::jobs(jobs)
            },
            Fact::DeadLetters { change, count } => {
                Self { what: Some(letters(*change)), count: Some(*count), ..none }
            }
            Fact::Record { id, change, .. } => {
                let what = match change {
                    RecordChange::Created => "created",
                    RecordChange::Updated => "updated",
                    RecordChange::Deleted => "deleted",
                };
                Self { id: Some(*id), what: Some(what), ..none }
            }
            Fact::Shards(moves) => {
                let views = moves.iter().map(|one| MoveView {
                    from: one.from,
                    to: one.to,
                    shards: one.shards,
                });
                Self { moves: Some(views.collect()), ..none }
            }
            // Results come as sums, and a gap is no item.
            Fact::Executions(_) | Fact::Members | Fact::Gap => none,
        }
    }

    fn jobs(jobs: &JobSet) -> Self {
        let more = (jobs.more > 0).then_some(jobs.more);
        Self { jobs: Some(jobs.ranges.clone()), more, ..Self::default() }
    }
}

/// A number, or `null` where there is none.
fn or_null(number: Option<u64>) -> Value {
    number.map_or(Value::Null, Value::from)
}

fn shown(members: Vec<(NodeId, String)>) -> Vec<MemberView> {
    members.into_iter().map(|(node_id, address)| MemberView { node_id, address }).collect()
}

/// The words of an event for a change of a job: what was changed, the state of a job that is over,
/// and the reason.
fn words(change: JobChange) -> (Option<&'static str>, Option<&'static str>, Option<&'static str>) {
    match change {
        JobChange::Created | JobChange::Deleted => (None, None, None),
        JobChange::Rescheduled => (Some("rescheduled"), None, None),
        JobChange::Updated(update) => {
            let what = match update {
                JobUpdate::Edited => "edited",
                JobUpdate::Paused => "paused",
                JobUpdate::Resumed => "resumed",
                JobUpdate::Disabled => "disabled",
            };
            (Some(what), None, None)
        }
        JobChange::Terminated(JobEnd::Delivered) => (None, Some("delivered"), None),
        JobChange::Terminated(JobEnd::Dead) => (None, Some("dead"), None),
        JobChange::Terminated(JobEnd::Skipped(reason)) => {
            (None, Some("skipped"), Some(reason.name()))
        }
    }
}

fn letters(change: LettersChange) -> &'static str {
    match change {
        LettersChange::Added => "added",
        LettersChange::Replayed => "replayed",
        LettersChange::Purged => "purged",
        LettersChange::Expired => "expired",
        LettersChange::Delivered => "delivered",
    }
}

impl From<&ResultCounts> for ResultsView {
    fn from(counts: &ResultCounts) -> Self {
        let skipped = counts.skipped().map(|(reason, count)| (reason.name(), count));
        Self {
            delivered: counts.delivered,
            failed: counts.failed,
            dead: counts.dead,
            running: counts.running,
            skipped: skipped.collect(),
        }
    }
}

impl From<JobNews> for JobNewsView {
    fn from(job: JobNews) -> Self {
        Self {
            id: job.id,
            external_id: job.external_id,
            project_id: job.project,
            status: job.status.name(),
            next_execution_date: job.next.map(rfc3339),
            version: job.version,
            template: job.template,
        }
    }
}
