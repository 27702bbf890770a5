//! A project as answers show it.

use axum::response::Response;
use serde::Serialize;

use crate::api::http::{respond, version};
use crate::api::projects::settings::SettingsView;
use crate::app::projects::{PauseState, ProjectRecord};
use crate::model::job::Casing;
use crate::model::time::rfc3339;
use crate::model::{Millis, ProjectId};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProjectView {
    id: ProjectId,
    name: String,
    description: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_until: Option<String>,
    #[serde(flatten)]
    settings: SettingsView,
    /// The new secret, in the answer to its rotation only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) webhook_secret: Option<String>,
    version: u64,
    date_created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_modified: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified_by: Option<String>,
}

/// A project with its pause, as of now.
pub(crate) fn view(record: ProjectRecord, now: Millis) -> ProjectView {
    let ProjectRecord { project, pause } = record;
    let (status, until) = match pause {
        PauseState::Active => ("active", None),
        PauseState::Paused(until) => ("inactive", until),
    };
    ProjectView {
        id: project.id,
        name: project.name,
        description: project.description,
        status,
        pause_until: until.map(rfc3339),
        settings: SettingsView::of(&project.settings, now),
        webhook_secret: None,
        version: project.version,
        date_created: rfc3339(project.created),
        date_modified: project.modified.map(rfc3339),
        created_by: project.created_by,
        modified_by: project.modified_by,
    }
}

/// Answers 200 with a project and its version.
pub(crate) fn respond_project(record: ProjectRecord, now: Millis, casing: Casing) -> Response {
    let version = record.project.version;
    version::tag(respond::ok(&view(record, now), casing), version)
}
