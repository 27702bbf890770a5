//! A job, split into what many jobs share (its shape) and what is its own.
//!
//! People create jobs by the thousand with one spec, zone and URL. The shape is stored once and
//! counted; a job's row is its data, its anchor and a shape number. Made by `api::jobs`, stored by
//! `store::jobs`, fired by `worker`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{JobId, Millis, ProjectId};
use crate::schedule::DstRule;

/// What many jobs have in common: schedule, target and policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JobShape {
    /// The project.
    pub project: ProjectId,
    /// The schedule, as given: cron, descriptor or `@every`.
    pub spec: String,
    /// The period of an `@every` in milliseconds; computed at validation, so that apply need not
    /// read schedules.
    pub period: Option<Millis>,
    /// The IANA zone that the spec is read in.
    pub timezone: String,
    /// What happens at the two changes of the clock.
    #[serde(default)]
    pub dst: DstRule,
    /// Where it is posted.
    pub callback_url: String,
    /// `http`.
    pub execution_type: String,
    /// The casing of its callback payload: that of the mount it was created at.
    pub dialect: Dialect,
    /// No occurrence before this instant.
    pub start: Option<Millis>,
    /// No occurrence after this instant.
    pub end: Option<Millis>,
    /// Retries after the first attempt; `None` takes the configuration's.
    pub retry_max: Option<u32>,
    /// The named executor it was created with.
    pub executor: Option<u64>,
    /// Who created it, as the client named itself.
    pub created_by: Option<String>,
}

/// The casing of a client: which mount it speaks to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Dialect {
    /// `/`: `project_id`.
    #[default]
    Snake,
    /// `/v1` and `/api/v1`: `projectId`.
    Camel,
}

/// Whether a job fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobStatus {
    /// It does.
    Active = 0,
    /// It is paused.
    Inactive = 1,
}

/// A job as read from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// The number of its shape.
    pub shape_id: u64,
    /// Its shape.
    pub shape: Arc<JobShape>,
    /// What it carries to its target, as text.
    pub data: String,
    /// The stamp of its creation.
    pub created: Millis,
    /// What `@every` counts from.
    pub anchor: Millis,
    /// Its current plan covers instants after this one (the stamp of its creation or last edit).
    pub from: Millis,
    /// Whether it fires.
    pub status: JobStatus,
    /// When it was last changed.
    pub modified: Option<Millis>,
    /// Who last changed it.
    pub modified_by: Option<String>,
}

/// A stretch of time in which a job had one schedule: closed by an edit, a pause or a resume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedPlan {
    /// The job.
    pub job: JobId,
    /// The schedule it had.
    pub shape: Arc<JobShape>,
    /// The number of that shape.
    pub shape_id: u64,
    /// What its `@every` counted from.
    pub anchor: Millis,
    /// It covered instants after this one ...
    pub from: Millis,
    /// ... up to and including this one.
    pub until: Millis,
    /// Whether the job fired in it.
    pub active: bool,
}

/// An occurrence (or several that went out as one) whose next attempt is in the books: retries,
/// one-offs due at commit, manual runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The row's number.
    pub id: u64,
    /// The shard of all members.
    pub shard: super::shard::ShardId,
    /// The project of all members.
    pub project: ProjectId,
    /// When they were due.
    pub due: Millis,
    /// The scheduled instant.
    pub scheduled: Millis,
    /// The number that the next attempt will have.
    pub attempt: u32,
    /// When it is to be made.
    pub next_at: Millis,
    /// The jobs.
    pub members: super::members::Members,
}
