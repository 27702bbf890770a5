//! The routes of projects. `router` calls it once.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::api::projects::pause::{pause_project, resume_project};
use crate::api::projects::{create, delete, read, rotate, update};
use crate::api::state::AppState;

pub(crate) fn router() -> Router<Arc<AppState>> {
    Router::new()
        .route("/projects", get(read::list_projects).post(create::create_project))
        .route(
            "/projects/{id}",
            get(read::get_project)
                .put(update::put_project)
                .patch(update::patch_project)
                .delete(delete::delete_project),
        )
        .route("/projects/{id}/pause", post(pause_project))
        .route("/projects/{id}/resume", post(resume_project))
        .route("/projects/{id}/rotate-secret", post(rotate::rotate_secret))
}
