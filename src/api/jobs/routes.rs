//! The routes of jobs. `router` calls it once.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::api::jobs::create::create_jobs;
use crate::api::jobs::edit::{patch_job, put_job};
use crate::api::jobs::get::get_job;
use crate::api::jobs::list::list_jobs;
use crate::api::jobs::{actions, bulk, delete, external_id};
use crate::api::state::AppState;

pub(crate) fn router() -> Router<Arc<AppState>> {
    Router::new()
        .route("/jobs", get(list_jobs).post(create_jobs))
        .route("/jobs/pause", post(bulk::pause_jobs))
        .route("/jobs/resume", post(bulk::resume_jobs))
        .route("/jobs/delete", post(bulk::delete_jobs))
        .route("/jobs/{id}", get(get_job).put(put_job).patch(patch_job).delete(delete::delete_job))
        .route("/jobs/{id}/pause", post(actions::pause_job))
        .route("/jobs/{id}/resume", post(actions::resume_job))
        .route("/jobs/{id}/run", post(actions::run_job))
        .route(
            "/projects/{id}/jobs/by-external-id/{external}",
            get(external_id::get_job).put(external_id::upsert_job).delete(external_id::delete_job),
        )
}
