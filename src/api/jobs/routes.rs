//! The routes of jobs. `router` calls it once.

use crate::api::http::action_router::{ActionRouter, get, post};
use crate::api::jobs::create::create_jobs;
use crate::api::jobs::get::get_job;
use crate::api::jobs::list::list_jobs;
use crate::api::jobs::update::{patch_job, put_job};
use crate::api::jobs::{actions, bulk, bulk_edit, delete, external_id};

use crate::app::Action;

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new()
        .route("/jobs", get(Action::JobsRead, list_jobs).post(Action::JobsWrite, create_jobs))
        .route("/jobs/pause", post(Action::JobsWrite, bulk::pause_jobs))
        .route("/jobs/resume", post(Action::JobsWrite, bulk::resume_jobs))
        .route("/jobs/delete", post(Action::JobsWrite, bulk::delete_jobs))
        .route("/jobs/edit", post(Action::JobsWrite, bulk_edit::edit_jobs))
        .route(
            "/jobs/{id}",
            get(Action::JobsRead, get_job)
                .put(Action::JobsWrite, put_job)
                .patch(Action::JobsWrite, patch_job)
                .delete(Action::JobsWrite, delete::delete_job),
        )
        .route("/jobs/{id}/pause", post(Action::JobsWrite, actions::pause_job))
        .route("/jobs/{id}/resume", post(Action::JobsWrite, actions::resume_job))
        .route("/jobs/{id}/terminate", post(Action::JobsWrite, actions::terminate_job))
        .route("/jobs/{id}/run", post(Action::JobsRun, actions::run_job))
        .route(
            "/projects/{id}/jobs/by-external-id/{external}",
            get(Action::JobsRead, external_id::get_job)
                .put(Action::JobsWrite, external_id::upsert_job)
                .delete(Action::JobsWrite, external_id::delete_job),
        )
}
