//! A job, split into what many jobs share (its definition) and what is its own.
//!
//! People create jobs by the thousand with one spec, zone and URL. The definition is stored once and
//! counted; a job's row is its data, its anchor and a definition number. Made by `api::jobs`, stored by
//! `store::jobs`, fired by `worker`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::delivery::{Delivery, Misfire, Overlap};
use super::target::HttpTarget;
use super::{JobId, Millis, ProjectId};
use crate::schedule::DstRule;

/// What many jobs have in common: schedule, target and policy.
///
/// Known by the digest of its JSON, so a field that came later is left out while it has its default
/// value. Commands carry it as JSON too (see [`super::text`]): it may grow without a new log format.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JobDefinition {
    /// The project.
    pub project: ProjectId,
    /// The schedule, as given: cron, descriptor or `@every`; empty for a one-off.
    pub spec: String,
    /// The period of an `@every` in milliseconds; computed at validation, so that apply need not
    /// read schedules.
    pub period: Option<Millis>,
    /// The IANA zone that the spec is read in.
    pub timezone: String,
    /// What happens at the two changes of the clock.
    #[serde(default)]
    pub dst: DstRule,
    /// Where it is posted, in batches; empty when `http` or `executor` says where.
    pub callback_url: String,
    /// `http`.
    pub execution_type: String,
    /// The casing of its callback payload: that of the route prefix it was created under.
    #[serde(rename = "dialect")]
    pub casing: Casing,
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
    /// What makes it due.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timing: Timing,
    /// How often, how soon and how long it is tried, where it says so itself (`retry_max` is above).
    #[serde(default, skip_serializing_if = "is_default")]
    pub delivery: Delivery,
    /// What becomes of occurrences that could not fire in time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub misfire: Misfire,
    /// Each occurrence is delayed by less than this, in milliseconds, as a hash of job and instant
    /// says; 0 for none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub jitter: Millis,
    /// What an occurrence does while the one before it is under way.
    #[serde(default, skip_serializing_if = "is_default")]
    pub overlap: Overlap,
    /// How long an accepted run may take, in milliseconds, before it counts as lost.
    #[serde(default, skip_serializing_if = "is_default")]
    pub run_timeout: Option<Millis>,
    /// How long an accepted run may be silent, in milliseconds, before it counts as lost.
    #[serde(default, skip_serializing_if = "is_default")]
    pub heartbeat_timeout: Option<Millis>,
    /// A one-off vanishes from the lists when it is over.
    #[serde(default, skip_serializing_if = "is_default")]
    pub delete_after_run: bool,
    /// What people find it by.
    #[serde(default, skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
    /// A request of its own for each occurrence, instead of a place in a batch.
    #[serde(default, skip_serializing_if = "is_default")]
    pub http: Option<Box<HttpTarget>>,
}

/// What makes a job due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Timing {
    /// Its `spec`.
    #[default]
    Spec,
    /// One instant, which is the job's anchor.
    At,
    /// One instant, so many milliseconds after the commit (rounded up to a whole second for a
    /// second or more); it is the job's anchor.
    After(Millis),
}

/// The longest jitter that a job may have, in milliseconds: a closed plan is looked for so long
/// after its end.
pub const LONGEST_JITTER: Millis = 24 * 3_600_000;

impl JobDefinition {
    /// Whether it has one occurrence only: at its anchor.
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
    /// `/`: `project_id`.
    #[default]
    Snake,
    /// `/v1` and `/api/v1`: `projectId`.
    Camel,
}

/// Whether a job fires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobStatus {
    /// It does.
    #[default]
    Active = 0,
    /// It is paused.
    Inactive = 1,
    /// A one-off that is over. (That a recurring job is over is derived: see `store::jobs::is_over`.)
    Completed = 2,
    /// Its target answered 410: it is gone for good. A resume takes it back.
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

    /// Whether a stretch with it has fired, or does: of a one-off that is over, what there was did.
    pub fn fires(self) -> bool {
        matches!(self, Self::Active | Self::Completed)
    }

    /// Its name, as listed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Completed => "completed",
            Self::Disabled => "disabled",
        }
    }
}

impl JobDefinition {
    /// The field, if there is one, that needs a request of its own for each occurrence.
    pub fn single_only(&self) -> Option<&'static str> {
        let fields = [
            ("overlap", self.overlap != Overlap::Allow),
            ("runTimeout", self.run_timeout.is_some()),
            ("heartbeatTimeout", self.heartbeat_timeout.is_some()),
        ];
        fields.iter().find(|(_, given)| *given).map(|(field, _)| *field)
    }
}

/// A job as read from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// The number of its definition.
    pub definition_id: u64,
    /// Its definition.
    pub definition: Arc<JobDefinition>,
    /// What it carries to its target, as text.
    pub data: String,
    /// The stamp of its creation.
    pub created: Millis,
    /// What `@every` counts from; the instant of a one-off.
    pub anchor: Millis,
    /// Its current plan covers instants after this one: the stamp of its creation or last edit, or
    /// the last instant of its pause, which may lie ahead.
    pub from: Millis,
    /// Whether it fires.
    pub status: JobStatus,
    /// When it was last changed.
    pub modified: Option<Millis>,
    /// Who last changed it.
    pub modified_by: Option<String>,
    /// What the client calls it; unique in its project.
    pub external_id: Option<String>,
    /// Counts its changes, from 1: what `ETag` shows.
    pub version: u64,
}

impl Job {
    /// The end of the pause that it is in at an instant, if that is known: what is due then fires. A
    /// job without one is paused as long as its status says so.
    pub fn paused_until(&self, now: Millis) -> Option<Millis> {
        // Without a pause, the plan begins at the stamp of a change, which a clock that is behind may
        // not show yet.
        let stamp = self.modified.unwrap_or(self.created);
        let pauses = self.status == JobStatus::Active && self.from > stamp;
        (pauses && self.from >= now).then_some(self.from + 1)
    }

    /// Its status at an instant, as listed: during a pause with an end it is inactive.
    pub fn status_at(&self, now: Millis) -> JobStatus {
        if self.paused_until(now).is_some() { JobStatus::Inactive } else { self.status }
    }
}

/// A stretch of time in which a job had one schedule and one status: closed by an edit, a pause or a
/// resume. The schedule decides about what is *scheduled* in it, the status about what is *due* in
/// it; jitter makes the two differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedPlan {
    /// The job.
    pub job: JobId,
    /// The schedule it had.
    pub definition: Arc<JobDefinition>,
    /// The number of that definition.
    pub definition_id: u64,
    /// What its `@every` counted from.
    pub anchor: Millis,
    /// It covered instants after this one ...
    pub from: Millis,
    /// ... up to and including this one.
    pub until: Millis,
    /// That of the job then.
    pub status: JobStatus,
}

impl ClosedPlan {
    /// No occurrence of it is due after this instant.
    pub fn reach(&self) -> Millis {
        self.until.saturating_add(self.definition.jitter.max(0))
    }
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
    /// When it is to be made; [`PARKED`] while it waits behind another run.
    pub next_at: Millis,
    /// The jobs.
    pub members: super::members::Members,
    /// The number of a manual run; 0 for a planned occurrence.
    pub run: u64,
    /// Attempts that do not count against the retries any more: those before a replay.
    pub base: u32,
    /// A manual run that does not ask whether another is under way.
    pub forced: bool,
    /// Why the attempt was not made yet, where it was held back: the text of a
    /// [`Postponement`](super::postponement::Postponement).
    pub postponed: Option<String>,
}

impl Pending {
    /// What the attempt was put off for, if it was and does not wait for a run instead.
    pub fn postponement(&self) -> Option<super::postponement::Postponement> {
        let text = self.postponed.as_deref().filter(|_| self.next_at != PARKED)?;
        super::postponement::Postponement::from_text(text)
    }
}

/// The `next_at` of a row that waits for something else than time.
pub const PARKED: Millis = Millis::MAX;
