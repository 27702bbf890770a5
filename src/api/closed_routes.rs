//! The table of all routes that need credentials. `router` serves it, and the OpenAPI document is
//! made from it.

use crate::api::http::action_router::{ActionRouter, any};
use crate::api::http::error::Error;
use crate::api::{
    accounts, admin, audit, events, forecast, history, jobs, projects, runs, targets, templates,
    workers,
};
use crate::app::Action;

/// All routes that need credentials, without prefix.
pub(crate) fn closed_routes() -> ActionRouter {
    ActionRouter::new()
        .merge(projects::routes::router())
        .merge(jobs::routes::router())
        .merge(jobs::preview::router())
        .merge(admin::credentials::router())
        .merge(admin::sessions::router())
        .merge(accounts::routes::router())
        .merge(admin::whoami::router())
        .merge(targets::executors::router())
        .merge(templates::router())
        .merge(history::executions::router())
        .merge(history::rates::router())
        .merge(history::dead_letters::router())
        .merge(history::explain::router())
        .merge(history::async_tasks::router())
        .merge(runs::routes::router())
        .merge(events::router())
        .merge(audit::routes::router())
        .merge(forecast::router())
        .merge(workers::router())
        .merge(admin::cluster::router())
        .merge(admin::backups::router())
        .merge(admin::members::router())
        .route("/prompt", any(Action::Unsupported, prompt))
}

async fn prompt() -> Error {
    Error::not_implemented("jobs from free text need an AI service, which is out of scope here")
}
