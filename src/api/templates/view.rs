//! A template as answers show it: everything but the secrets of its target. Schemas and payload are
//! shown as they were given; what a `GET` shows can be sent back.

use std::collections::BTreeMap;

use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::api::http::{respond, version};
use crate::api::jobs::view::Policies;
use crate::app::App;
use crate::app::fields::verbatim;
use crate::app::targets::http::view::{HttpView, show};
use crate::app::targets::settings::shown::Shown;
use crate::app::templates::{ImportReport, Imported};
use crate::model::job::{Casing, JobDefinition};
use crate::model::template::{PayloadSchema, Template};
use crate::model::time::rfc3339;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TemplateView {
    id: u64,
    project_id: u64,
    #[serde(rename = "type")]
    kind: String,
    label: String,
    description: String,
    start_in_seconds: u32,
    user_triggered: bool,
    reschedule_after_termination: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_schema: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_schema: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<TargetView>,
    job: TermsView,
    keep_completed: u32,
    active: bool,
    version: u64,
    date_created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_modified: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified_by: Option<String>,
}

/// The target of a template's jobs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TargetView {
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<HttpView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executor_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Shown>,
    /// The settings of a target of another kind, under its name.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    settings: Option<BTreeMap<String, Shown>>,
}

/// The policies of a template's jobs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TermsView {
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_max: Option<u32>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "verbatim")]
    labels: BTreeMap<String, String>,
    #[serde(flatten)]
    policies: Policies,
}

/// JSON as it was given. The store has valid JSON only.
fn raw(text: String) -> Option<Box<RawValue>> {
    RawValue::from_string(text).ok()
}

impl TemplateView {
    /// The view of a template.
    pub(crate) fn of(template: Template, app: &App) -> Self {
        let has_target = template.has_target();
        let definition = &template.definition;
        let target = has_target.then(|| TargetView::of(definition, app));
        let job = TermsView {
            retry_max: definition.retry_max,
            labels: definition.labels.clone(),
            policies: Policies::of(definition),
        };
        let (payload_schema, json_schema) = match template.schema {
            PayloadSchema::Fields(text) => (raw(text), None),
            PayloadSchema::Json(text) => (None, raw(text)),
        };
        Self {
            id: template.id,
            project_id: template.project,
            kind: template.kind,
            label: template.label,
            description: template.description,
            start_in_seconds: template.start_in_seconds,
            user_triggered: template.user_triggered,
            reschedule_after_termination: template.reschedule,
            payload_schema,
            json_schema,
            payload: raw(template.payload),
            target,
            job,
            keep_completed: template.keep_completed,
            active: template.active,
            version: template.version,
            date_created: rfc3339(template.created),
            date_modified: template.modified.map(rfc3339),
            created_by: template.created_by,
            modified_by: template.modified_by,
        }
    }
}

impl TargetView {
    fn of(definition: &JobDefinition, app: &App) -> Self {
        Self {
            callback_url: Some(definition.callback_url.clone()).filter(|url| !url.is_empty()),
            http: definition.http.as_deref().map(show),
            executor_id: definition.executor,
            message: app.show_message(definition),
            settings: app.show_job_settings(definition),
        }
    }
}

/// Answers 200 with a template and its version.
pub(crate) fn respond_template(template: Template, app: &App, casing: Casing) -> Response {
    let version = template.version;
    version::tag(respond::ok(&TemplateView::of(template, app), casing), version)
}

/// The report of an import: the templates that it made, changed or left, and its warnings.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImportView {
    dry_run: bool,
    created: Vec<ImportedView>,
    updated: Vec<ImportedView>,
    unchanged: Vec<ImportedView>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct ImportedView {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(rename = "type")]
    kind: String,
    active: bool,
}

impl ImportView {
    /// The view of a report.
    pub(crate) fn of(report: ImportReport, dry_run: bool) -> Self {
        let views = |list: Vec<Imported>| {
            let view =
                |one: Imported| ImportedView { id: one.id, kind: one.kind, active: one.active };
            list.into_iter().map(view).collect()
        };
        Self {
            dry_run,
            created: views(report.created),
            updated: views(report.updated),
            unchanged: views(report.unchanged),
            warnings: report.warnings,
        }
    }
}
