//! A job as answers show it: the stored fields, and the runs that follow from its schedule at the
//! moment of asking (`app::jobs::next_runs`). A client may send back what it was shown. Used on the
//! thread that reads the store.

use crate::app::fields::verbatim;
use std::collections::BTreeMap;

use rusqlite::Connection;
use serde::Serialize;

use crate::api::http::duration;
use crate::app::jobs::next_runs::ScheduleCache;
use crate::app::targets::http::view::{HttpView, show};
use crate::model::Millis;
use crate::model::attempt::execution_id;
use crate::model::delivery::{Misfire, MisfirePolicy, Overlap};
use crate::model::job::{Job, JobDefinition, JobStatus, Timing};
use crate::model::time::rfc3339;
use crate::schedule::DstRule;
use crate::store::meta;

/// A job in camelCase. The casing of the prefix is made when it is written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobView {
    id: u64,
    project_id: u64,
    spec: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    callback_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<HttpView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executor_id: Option<u64>,
    data: String,
    execution_type: String,
    timezone: String,
    /// Seconds east of UTC, now.
    timezone_offset: i32,
    retry_max: u32,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "verbatim")]
    labels: BTreeMap<String, String>,
    #[serde(flatten)]
    policies: Policies,
    #[serde(skip_serializing_if = "Option::is_none")]
    dst: Option<DstRule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_execution_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_execution_date: Option<String>,
    /// The instant at which the next occurrence is due, where jitter makes that another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_due_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_id: Option<String>,
    date_created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_modified: Option<String>,
    /// The version, which `ETag` shows.
    pub(crate) version: u64,
}

/// The fields that few jobs have, in the form of a request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Policies {
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    misfire: Option<MisfireView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_delay: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_factor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_max_delay: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    overlap: Option<Overlap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat_timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_after_run: Option<bool>,
}

/// The misfire policy, in the form of a request.
#[derive(Debug, Serialize)]
pub(crate) struct MisfireView {
    policy: MisfirePolicy,
    #[serde(skip_serializing_if = "Option::is_none")]
    grace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<u32>,
}

impl MisfireView {
    /// The view of a misfire policy.
    pub(crate) fn of(misfire: &Misfire) -> Self {
        Self {
            policy: misfire.policy,
            grace: misfire.grace.map(duration::show),
            window: misfire.window.map(duration::show),
            max: misfire.max,
        }
    }
}

impl Policies {
    fn of(definition: &JobDefinition) -> Self {
        let JobDefinition { delivery, misfire, .. } = definition;
        let shown = |length: Option<Millis>| length.map(duration::show);
        Self {
            jitter: shown(Some(definition.jitter).filter(|jitter| *jitter > 0)),
            misfire: (*misfire != Misfire::default()).then(|| MisfireView::of(misfire)),
            retry_delay: shown(delivery.retry_delay),
            retry_factor: delivery.retry_factor.map(|thousandths| f64::from(thousandths) / 1_000.0),
            retry_max_delay: shown(delivery.retry_max_delay),
            timeout: shown(delivery.timeout),
            overlap: Some(definition.overlap).filter(|overlap| *overlap != Overlap::Allow),
            run_timeout: shown(definition.run_timeout),
            heartbeat_timeout: shown(definition.heartbeat_timeout),
            delete_after_run: Some(true).filter(|_| definition.delete_after_run),
        }
    }
}

/// Makes views of jobs for one answer.
pub(crate) struct Views<'c> {
    cluster: u128,
    now: Millis,
    schedules: ScheduleCache<'c>,
}

impl<'c> Views<'c> {
    /// Views as of now. `retry_max` is the configuration's, for jobs that have none of their own.
    pub(crate) fn new(conn: &'c Connection, now: Millis, retry_max: u32) -> rusqlite::Result<Self> {
        let cluster = meta::cluster_id(conn)?.unwrap_or_default();
        Ok(Self { cluster, now, schedules: ScheduleCache::new(conn, now, retry_max) })
    }

    /// The view of a job.
    pub(crate) fn job(&mut self, job: Job) -> rusqlite::Result<JobView> {
        let last = self.schedules.last(&job)?;
        let (next, due) = self.schedules.next(&job, self.now)?.unzip();
        let due = due.filter(|due| next != Some(*due) || job.definition.jitter > 0);
        let retry_max = match job.definition.retry_max {
            Some(own) => own,
            None => self.schedules.project(job.definition.project)?.retry_max,
        };
        let offset = self.schedules.offset(job.definition_id, &job.definition);
        let (status, paused) = if self.schedules.is_over(&job)? {
            (JobStatus::Completed, None)
        } else {
            (job.status_at(self.now), job.paused_until(self.now))
        };
        let definition = &*job.definition;
        Ok(JobView {
            id: job.id,
            project_id: definition.project,
            spec: definition.spec.clone(),
            at: (definition.timing == Timing::At).then(|| rfc3339(job.anchor)),
            after: match definition.timing {
                Timing::After(delay) => Some(duration::show(delay)),
                Timing::At | Timing::Spec => None,
            },
            callback_url: definition.callback_url.clone(),
            http: definition.http.as_deref().map(show),
            executor_id: definition.executor,
            data: job.data,
            execution_type: definition.execution_type.clone(),
            timezone: definition.timezone.clone(),
            timezone_offset: offset,
            retry_max,
            // A paused job fires again by itself, but not now.
            status: status.name(),
            pause_until: paused.map(rfc3339),
            external_id: job.external_id,
            labels: definition.labels.clone(),
            policies: Policies::of(definition),
            dst: Some(definition.dst).filter(|dst| *dst != DstRule::default()),
            start_date: definition.start.map(rfc3339),
            end_date: definition.end.map(rfc3339),
            created_by: definition.created_by.clone(),
            modified_by: job.modified_by,
            last_execution_date: last.map(rfc3339),
            next_execution_date: next.map(rfc3339),
            next_due_date: due.map(rfc3339),
            execution_id: last.map(|last| execution_id(self.cluster, job.id, last)),
            date_created: rfc3339(job.created),
            date_modified: job.modified.map(rfc3339),
            version: job.version,
        })
    }
}
