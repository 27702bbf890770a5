//! A job, split into a definition that many jobs share and the values of its own.
//!
//! People create jobs by the thousand with one spec, zone and URL. The definition is stored once
//! and counted; a job's row holds its data, its anchor and the number of its definition.
//! `app::jobs` makes jobs, `store::jobs` stores them, `worker` fires them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::delivery::{Delivery, Misfire, Overlap};
use super::members::Members;
use super::on_offer::OnOffer;
use super::run_terms::RetryOn;
use super::shard::ShardId;
use super::target::{Configured, HttpTarget, present};
use super::template_ref::TemplateRef;
use super::{JobId, Millis, ProjectId};
use crate::schedule::DstRule;

/// The part that many jobs have in common: schedule, target and policies.
///
/// A definition is identified by the digest of its JSON, so a newer field is left out while it has
/// its default value. Commands carry it as JSON too (see [`super::text`]): it may grow without a
/// new log format.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JobDefinition {
    /// The project's number.
    pub project: ProjectId,
    /// The schedule, as given: cron, descriptor or `@every`; empty for a one-off.
    pub spec: String,
    /// The period of an `@every` in milliseconds; computed at validation, so that apply need not
    /// read schedules.
    pub period: Option<Millis>,
    /// The IANA zone that the spec is read in.
    pub timezone: String,
    /// The daylight-saving rule.
    #[serde(default)]
    pub dst: DstRule,
    /// The URL that its batches are posted to; empty when `http` or `executor` says where.
    pub callback_url: String,
    /// The execution type of the original's clients: always `http`.
    pub execution_type: String,
    /// The casing of its callback payload: that of the route prefix it was created under.
    #[serde(rename = "dialect")]
    pub casing: Casing,
    /// The instant before which it has no occurrence.
    pub start: Option<Millis>,
    /// The instant after which it has no occurrence.
    pub end: Option<Millis>,
    /// Retries after the first attempt; `None` takes the configuration's.
    pub retry_max: Option<u32>,
    /// The named executor it was created with.
    pub executor: Option<u64>,
    /// The creator, as the client named itself.
    pub created_by: Option<String>,
    /// The kind of its timing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timing: Timing,
    /// The retry policy, where the job has one of its own (`retry_max` is above).
    #[serde(default, skip_serializing_if = "is_default")]
    pub delivery: Delivery,
    /// The misfire policy.
    #[serde(default, skip_serializing_if = "is_default")]
    pub misfire: Misfire,
    /// Each occurrence is delayed by less than this, in milliseconds, as a hash of job and instant
    /// says; 0 for none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub jitter: Millis,
    /// The overlap policy.
    #[serde(default, skip_serializing_if = "is_default")]
    pub overlap: Overlap,
    /// The longest duration of an accepted run, in milliseconds; a longer run is lost.
    #[serde(default, skip_serializing_if = "is_default")]
    pub run_timeout: Option<Millis>,
    /// The longest silence of an accepted run, in milliseconds; a run that is silent for longer is
    /// lost.
    #[serde(default, skip_serializing_if = "is_default")]
    pub heartbeat_timeout: Option<Millis>,
    /// Hides a one-off from the lists when it is over.
    #[serde(default, skip_serializing_if = "is_default")]
    pub delete_after_run: bool,
    /// Names and values by which people find it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
    /// The request for each occurrence, instead of a place in a batch.
    #[serde(default, skip_serializing_if = "is_default")]
    pub http: Option<Box<HttpTarget>>,
    /// The target of another kind, with its settings as the kind has validated them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub target: Option<Box<Configured>>,
    /// The fields that replace those of the settings, as the kind has validated them.
    #[serde(default, skip_serializing_if = "is_default", deserialize_with = "present")]
    pub message: Option<Box<Value>>,
    /// The longest wait for a worker, in milliseconds; only with a queue of workers, as the fields
    /// below.
    #[serde(default, skip_serializing_if = "is_default")]
    pub start_timeout: Option<Millis>,
    /// The longest wait for the confirmation of a cancel, in milliseconds.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cancel_timeout: Option<Millis>,
    /// The failures that are retried; `None` for those of the queue's bus.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry_on: Option<RetryOn>,
    /// The most occurrences that may wait, for a worker or behind another run; 0 for no bound,
    /// `None` for [`MAX_WAITING`](super::delivery::MAX_WAITING). `Overlap::Queue` has the number
    /// that follows from it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_queue: Option<u32>,
    /// The name on a broker; `None` for the client's id of the job.
    #[serde(default, skip_serializing_if = "is_default")]
    pub worker_name: Option<String>,
    /// The template that made it. The job stays a one-off then, and keeps the mark.
    #[serde(default, skip_serializing_if = "is_default")]
    pub template: Option<TemplateRef>,
    /// The type of that template when it made the job, for requests that name it; else empty.
    #[serde(default, skip_serializing_if = "is_default")]
    pub template_type: String,
}

/// The kind of a job's timing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Timing {
    /// A recurring schedule, given by `spec`.
    #[default]
    Spec,
    /// One instant, which is the job's anchor.
    At,
    /// One instant, so many milliseconds after the commit (rounded up to a whole second for a
    /// second or more); it is the job's anchor.
    After(Millis),
}

/// The longest jitter that a job may have, in milliseconds: a closed plan is kept in view for so
/// long after its end.
pub const LONGEST_JITTER: Millis = 24 * 3_600_000;

/// The longest time, in milliseconds, for which an owner fires by a plan that a change has
/// replaced: from the stamp of the change until it has heard of it. An owner that lags longer has
/// no lease.
pub const LATE_CHANGE: Millis = 60_000;

impl JobDefinition {
    /// Returns whether the job has exactly one occurrence, at its anchor.
    pub fn is_one_off(&self) -> bool {
        self.timing != Timing::Spec
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The casing of a client's JSON, chosen by the route prefix it uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Casing {
    /// The prefix `/`: `project_id`.
    #[default]
    Snake,
    /// `/v1` and `/api/v1`: `projectId`.
    Camel,
}

/// The status of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobStatus {
    /// The job fires.
    #[default]
    Active = 0,
    /// The job is paused.
    Inactive = 1,
    /// A one-off that has ended. (The end of a recurring job is derived: see
    /// `store::jobs::is_over`.)
    Completed = 2,
    /// The target answered 410: it is gone for good. A resume undoes this.
    Disabled = 3,
}

impl JobStatus {
    /// The status of a stored number.
    pub fn from_code(code: i64) -> Self {
        match code {
            0 => Self::Active,
            2 => Self::Completed,
            3 => Self::Disabled,
            _ => Self::Inactive,
        }
    }

    /// Returns whether a plan with this status fires or has fired. The occurrence of a one-off that
    /// has ended has fired.
    pub fn fires(self) -> bool {
        matches!(self, Self::Active | Self::Completed)
    }

    /// The name in listings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Completed => "completed",
            Self::Disabled => "disabled",
        }
    }
}

/// A job as read from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The job's number.
    pub id: JobId,
    /// The number of its definition.
    pub definition_id: u64,
    /// The number of its definition.
    pub definition: Arc<JobDefinition>,
    /// The data for its target, as text.
    pub data: String,
    /// The stamp of its creation.
    pub created: Millis,
    /// The anchor: `@every` counts from it, and it is the instant of a one-off.
    pub anchor: Millis,
    /// The beginning of its current plan, which covers instants after this one: the stamp of its
    /// creation or last edit, or the last instant of its pause, which may be in the future.
    pub from: Millis,
    /// The status; only an active job fires.
    pub status: JobStatus,
    /// The instant of the last change.
    pub modified: Option<Millis>,
    /// The client that changed it last.
    pub modified_by: Option<String>,
    /// The client's name for it, unique in its project.
    pub external_id: Option<String>,
    /// Counts its changes, from 1: what `ETag` shows.
    pub version: u64,
}

impl Job {
    /// The end of a pause that has one, if the job is in it at this instant. Occurrences due after
    /// the end fire. A job without such an end is paused as long as its status says so.
    pub fn paused_until(&self, now: Millis) -> Option<Millis> {
        // Without a pause, the plan begins at the stamp of a change, which may be in the future of
        // a clock that is behind.
        let stamp = self.modified.unwrap_or(self.created);
        let pauses = self.status == JobStatus::Active && self.from > stamp;
        (pauses && self.from >= now).then_some(self.from + 1)
    }

    /// The status at an instant, as listed: inactive during a pause with an end.
    pub fn status_at(&self, now: Millis) -> JobStatus {
        if self.paused_until(now).is_some() { JobStatus::Inactive } else { self.status }
    }
}

/// A closed plan: an interval of time in which a job had one schedule and one status. An edit, a
/// pause or a resume closes it. The schedule decides which instants are *scheduled* in it, the
/// status what happens to occurrences *due* in it; jitter makes the two differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedPlan {
    /// The job's number.
    pub job: JobId,
    /// The schedule it had.
    pub definition: Arc<JobDefinition>,
    /// The number of that definition.
    pub definition_id: u64,
    /// The anchor of its `@every`.
    pub anchor: Millis,
    /// The beginning: the plan covers instants after this one ...
    pub from: Millis,
    /// ... up to and including this one.
    pub until: Millis,
    /// The status of the job during the plan.
    pub status: JobStatus,
}

impl ClosedPlan {
    /// The last instant at which an occurrence of the plan is due.
    pub fn reach(&self) -> Millis {
        self.until.saturating_add(self.definition.jitter.max(0))
    }
}

/// An occurrence, or several that were sent together, whose next attempt is a row in the store:
/// retries, one-offs due at commit, manual runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The row's number.
    pub id: u64,
    /// The shard of all members.
    pub shard: ShardId,
    /// The project of all members.
    pub project: ProjectId,
    /// The due instant.
    pub due: Millis,
    /// The scheduled instant.
    pub scheduled: Millis,
    /// The number that the next attempt will have.
    pub attempt: u32,
    /// The instant of the attempt; [`PARKED`] while it waits behind another run, [`OFFERED`] while
    /// it waits for a worker.
    pub next_at: Millis,
    /// The jobs of the row.
    pub members: Members,
    /// The number of a manual run; 0 for a planned occurrence.
    pub run: u64,
    /// Attempts that do not count against the retries any more: those before a replay.
    pub base: u32,
    /// Set for a manual run that ignores other runs.
    pub forced: bool,
    /// Why the attempt was not made yet, where it was held back: the text of a
    /// [`Postponement`](super::postponement::Postponement).
    pub postponed: Option<String>,
    /// The number of the queue whose workers perform the occurrences; `None` until they were on
    /// offer or handed out.
    pub queue: Option<u64>,
    /// The wait for a worker; only with [`OFFERED`].
    pub on_offer: Option<OnOffer>,
}

impl Pending {
    /// A row of planned occurrences of jobs of one shard: their first attempt, due at the scheduled
    /// instant. It has no id yet.
    pub fn new(project: ProjectId, shard: ShardId, scheduled: Millis, members: Members) -> Self {
        Self {
            id: 0,
            shard,
            project,
            due: scheduled,
            scheduled,
            attempt: 1,
            next_at: scheduled,
            members,
            run: 0,
            base: 0,
            forced: false,
            postponed: None,
            queue: None,
            on_offer: None,
        }
    }

    /// A row of the occurrence of a run. It is not forced, because its run has its place already.
    pub fn of_run(run: &super::run::Run, attempt: u32, next_at: Millis) -> Self {
        let super::run::Occurrence { job, scheduled, run: number } = run.occurrence;
        let member = Members::from_sorted([job]);
        Self {
            due: run.due,
            attempt,
            next_at,
            run: number,
            base: run.base,
            queue: run.queue(),
            ..Self::new(run.project, run.shard, scheduled, member)
        }
    }

    /// The row with another instant for its next attempt.
    #[must_use]
    pub fn next_at(self, next_at: Millis) -> Self {
        Self { next_at, ..self }
    }

    /// Returns whether the row waits for a worker.
    pub fn is_offered(&self) -> bool {
        self.next_at == OFFERED
    }

    /// The instant of the next attempt; `None` while the row waits for something else than time.
    pub fn attempt_at(&self) -> Option<Millis> {
        Some(self.next_at).filter(|at| *at <= LAST_ATTEMPT)
    }

    /// The reason of a deferral, unless the row waits for something else than time.
    pub fn postponement(&self) -> Option<super::postponement::Postponement> {
        let text = self.postponed.as_deref().filter(|_| self.attempt_at().is_some())?;
        super::postponement::Postponement::from_text(text)
    }
}

/// The `next_at` of a row that waits behind another run of its job.
pub const PARKED: Millis = Millis::MAX;

/// The `next_at` of a row that waits for a worker.
pub const OFFERED: Millis = Millis::MAX - 1;

/// The latest instant that an attempt can have.
pub const LAST_ATTEMPT: Millis = OFFERED - 1;
