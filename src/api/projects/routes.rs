//! The routes of projects. `router` calls it once.

use crate::api::http::action_router::{ActionRouter, get, post};
use crate::api::projects::pause::{pause_project, resume_project};
use crate::api::projects::{create, delete, read, rotate, update};

use crate::app::Action;

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new()
        .route(
            "/projects",
            get(Action::ProjectsRead, read::list_projects)
                .post(Action::ProjectsWrite, create::create_project),
        )
        .route(
            "/projects/{id}",
            get(Action::ProjectsRead, read::get_project)
                .put(Action::ProjectsWrite, update::put_project)
                .patch(Action::ProjectsWrite, update::patch_project)
                .delete(Action::ProjectsWrite, delete::delete_project),
        )
        .route("/projects/{id}/pause", post(Action::ProjectsWrite, pause_project))
        .route("/projects/{id}/resume", post(Action::ProjectsWrite, resume_project))
        .route("/projects/{id}/rotate-secret", post(Action::ProjectsWrite, rotate::rotate_secret))
}
