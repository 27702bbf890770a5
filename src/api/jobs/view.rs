//! A job as answers show it: the stored fields, and the runs that follow from its schedule at the
//! moment of asking. A client may send back what it was shown.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::app::App;
use crate::app::fields::verbatim;
use crate::app::jobs::JobRecord;
use crate::app::jobs::misfire::MisfireView;
use crate::app::jobs::show_retry_on;
use crate::app::targets::http::view::{HttpView, show};
use crate::app::targets::settings::shown::Shown;
use crate::model::Millis;
use crate::model::delivery::{Misfire, Overlap};
use crate::model::job::{JobDefinition, Timing};
use crate::model::time::rfc3339;
use crate::schedule::{DstRule, show_duration};

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
    /// The settings of a target of another kind, under its name.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    settings: Option<BTreeMap<String, Shown>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executor_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Shown>,
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
    /// The type of the template that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template_version: Option<u64>,
    /// The version, which `ETag` shows.
    version: u64,
}

/// The fields that few jobs have, in the form of a request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Policies {
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
    overlap: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_queue: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat_timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel_timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_on: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_after_run: Option<bool>,
}

impl Policies {
    /// The policies of a definition.
    pub(crate) fn of(definition: &JobDefinition) -> Self {
        let JobDefinition { delivery, misfire, .. } = definition;
        let shown = |length: Option<Millis>| length.map(show_duration);
        Self {
            jitter: shown(Some(definition.jitter).filter(|jitter| *jitter > 0)),
            misfire: (*misfire != Misfire::default()).then(|| MisfireView::of(misfire)),
            retry_delay: shown(delivery.retry_delay),
            retry_factor: delivery.retry_factor.map(|thousandths| f64::from(thousandths) / 1_000.0),
            retry_max_delay: shown(delivery.retry_max_delay),
            timeout: shown(delivery.timeout),
            overlap: Some(definition.overlap)
                .filter(|overlap| *overlap != Overlap::Allow)
                .map(Overlap::name),
            max_queue: definition.max_queue,
            start_timeout: shown(definition.start_timeout),
            run_timeout: shown(definition.run_timeout),
            heartbeat_timeout: shown(definition.heartbeat_timeout),
            cancel_timeout: shown(definition.cancel_timeout),
            retry_on: definition.retry_on.map(show_retry_on),
            worker_name: definition.worker_name.clone(),
            delete_after_run: Some(true).filter(|_| definition.delete_after_run),
        }
    }
}

impl JobView {
    /// The view of a job.
    pub(crate) fn of(record: JobRecord, app: &App) -> Self {
        let (job, template) = (record.job, record.template);
        let definition = &*job.definition;
        Self {
            id: job.id,
            project_id: definition.project,
            spec: definition.spec.clone(),
            at: (definition.timing == Timing::At).then(|| rfc3339(job.anchor)),
            after: match definition.timing {
                Timing::After(delay) => Some(show_duration(delay)),
                Timing::At | Timing::Spec => None,
            },
            callback_url: definition.callback_url.clone(),
            http: definition.http.as_deref().map(show),
            settings: app.show_job_settings(definition),
            message: app.show_message(definition),
            executor_id: definition.executor,
            data: job.data,
            execution_type: match record.kind {
                Some(kind) => kind.to_string(),
                None => definition.execution_type.clone(),
            },
            timezone: definition.timezone.clone(),
            timezone_offset: record.timezone_offset,
            retry_max: record.retry_max,
            status: record.status.name(),
            pause_until: record.paused_until.map(rfc3339),
            external_id: job.external_id,
            labels: definition.labels.clone(),
            policies: Policies::of(definition),
            dst: Some(definition.dst).filter(|dst| *dst != DstRule::default()),
            start_date: definition.start.map(rfc3339),
            end_date: definition.end.map(rfc3339),
            created_by: definition.created_by.clone(),
            modified_by: job.modified_by,
            last_execution_date: record.last.map(rfc3339),
            next_execution_date: record.next.map(rfc3339),
            next_due_date: record.next_due.map(rfc3339),
            execution_id: record.last_execution_id,
            date_created: rfc3339(job.created),
            date_modified: job.modified.map(rfc3339),
            template: template.as_ref().and_then(|link| Some(link.kind.as_ref()?.to_string())),
            template_id: template.as_ref().map(|link| link.of.id),
            template_version: template.as_ref().map(|link| link.of.version),
            version: job.version,
        }
    }
}
