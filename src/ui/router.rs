//! The routes of all pages. `node` calls [`router`] once, with the router of the API, which it goes
//! beside.

use std::sync::Arc;

use axum::Router;
use axum::extract::Extension;
use axum::middleware::from_fn_with_state;
use axum::response::Redirect;
use axum::routing::{get, post};

use crate::ui::admin::{accounts, audit, backups, events, keys, node};
use crate::ui::api::{InProcess, show_api, show_operation, try_operation};
use crate::ui::assets::get_asset;
use crate::ui::cluster::show_cluster;
use crate::ui::enter::enter;
use crate::ui::error::PageError;
use crate::ui::executors;
use crate::ui::forecast::show::show_forecast;
use crate::ui::history::{activity, dead_letters, execution, problems, why};
use crate::ui::jobs::{actions, bulk, edit, list, preview, show};
use crate::ui::overview::show_overview;
use crate::ui::preferences::set_preferences;
use crate::ui::projects;
use crate::ui::sign_in;
use crate::ui::state::UiState;
use crate::ui::templates;
use crate::ui::workers::show_workers;

/// The router of the API with the pages beside it. No layer of theirs is around the API, since each
/// costs every request of a client.
pub fn router(api: Router, state: Arc<UiState>) -> Router {
    let pages = Router::new()
        .merge(records())
        .merge(of_templates())
        .merge(of_operators())
        .route("/ui", get(show_overview))
        .route("/ui/jobs", get(list::show_jobs))
        .route("/ui/jobs/new", get(edit::show_new).post(edit::create_job))
        .route("/ui/jobs/preview", get(preview::show_preview))
        .route("/ui/jobs/bulk", get(bulk::show_bulk).post(bulk::change_jobs))
        .route("/ui/jobs/{id}", get(show::show_job))
        .route("/ui/jobs/{id}/edit", get(edit::show_edit).post(edit::update_job))
        .route("/ui/jobs/{id}/preview", get(preview::show_preview_of))
        .route("/ui/jobs/{id}/why", get(why::show_why))
        .route("/ui/jobs/{id}/run", post(actions::run_job))
        .route("/ui/jobs/{id}/pause", post(actions::pause_job))
        .route("/ui/jobs/{id}/resume", post(actions::resume_job))
        .route("/ui/jobs/{id}/terminate", post(actions::terminate_job))
        .route("/ui/jobs/{id}/delete", post(actions::delete_job))
        .route("/ui/problems", get(problems::show_problems))
        .route("/ui/forecast", get(show_forecast))
        .route("/ui/activity", get(activity::show_activity))
        .route("/ui/activity/{id}", get(execution::show_execution))
        .route("/ui/activity/{id}/cancel", post(execution::cancel))
        .route("/ui/dead-letters", get(dead_letters::show_letters))
        .route("/ui/dead-letters/replay", post(dead_letters::replay_all))
        .route("/ui/dead-letters/purge", post(dead_letters::purge_all))
        .route("/ui/dead-letters/{id}/replay", post(dead_letters::replay))
        .route("/ui/dead-letters/{id}/purge", post(dead_letters::purge))
        .route("/ui/workers", get(show_workers))
        .route("/ui/api", get(show_api))
        .route("/ui/api/{id}", get(show_operation).post(try_operation))
        .route("/ui/preferences", post(set_preferences))
        .route("/ui/sign-in", get(sign_in::show_sign_in).post(sign_in::sign_in))
        .route("/ui/enter", get(sign_in::show_enter).post(sign_in::enter_by_link))
        .route("/ui/sign-out", post(sign_in::sign_out))
        .route("/ui/sign-out-everywhere", post(sign_in::sign_out_everywhere))
        .route("/ui/assets/{name}", get(get_asset))
        .route("/ui/", get(async || Redirect::permanent("/ui")))
        .route("/ui/{*rest}", get(no_page).post(no_page))
        .method_not_allowed_fallback(no_page)
        .layer(Extension(InProcess(api.clone())))
        .layer(from_fn_with_state(state.clone(), enter))
        .with_state(state);
    Router::new().merge(pages).merge(api)
}

/// The pages of projects and executors.
fn records() -> Router<Arc<UiState>> {
    use executors::{actions as on_executor, edit as executor};
    use projects::{actions as on_project, edit as project};
    Router::new()
        .route("/ui/projects", get(projects::list::show_projects))
        .route("/ui/projects/new", get(project::show_new).post(project::create_project))
        .route("/ui/projects/{id}", get(projects::show::show_project))
        .route("/ui/projects/{id}/edit", get(project::show_edit).post(project::update_project))
        .route("/ui/projects/{id}/pause", post(on_project::pause_project))
        .route("/ui/projects/{id}/resume", post(on_project::resume_project))
        .route("/ui/projects/{id}/rotate", post(on_project::rotate_secret))
        .route("/ui/projects/{id}/delete", post(on_project::delete_project))
        .route("/ui/executors", get(executors::list::show_executors))
        .route("/ui/executors/new", get(executor::show_new).post(executor::create_executor))
        .route("/ui/executors/{id}", get(executors::show::show_executor))
        .route("/ui/executors/{id}/edit", get(executor::show_edit).post(executor::update_executor))
        .route("/ui/executors/{id}/rotate", post(on_executor::rotate_secret))
        .route("/ui/executors/{id}/delete", post(on_executor::delete_executor))
}

/// The pages of job templates.
fn of_templates() -> Router<Arc<UiState>> {
    use templates::{edit, import, run};
    Router::new()
        .route("/ui/templates", get(templates::list::show_templates))
        .route("/ui/templates/new", get(edit::show_new).post(edit::create_template))
        .route("/ui/templates/import", get(import::show_import).post(import::import_templates))
        .route("/ui/templates/{id}", get(templates::show::show_template))
        .route("/ui/templates/{id}/edit", get(edit::show_edit).post(edit::update_template))
        .route("/ui/templates/{id}/run", get(run::show_run).post(run::create_instance))
        .route("/ui/templates/{id}/delete", post(templates::actions::delete_template))
}

/// The pages of keys, accounts, the audit, backups, nodes and events.
fn of_operators() -> Router<Arc<UiState>> {
    Router::new()
        .route("/ui/accounts", get(accounts::show_accounts).post(accounts::create_account))
        .route("/ui/accounts/{id}/change", post(accounts::change_account))
        .route("/ui/accounts/{id}/grant", post(accounts::grant_executions))
        .route("/ui/accounts/{id}/delete", post(accounts::delete_account))
        .route("/ui/keys", get(keys::show_keys).post(keys::create_key))
        .route("/ui/keys/{id}/archive", post(keys::archive_key))
        .route("/ui/keys/{id}/restore", post(keys::restore_key))
        .route("/ui/keys/{id}/delete", post(keys::delete_key))
        .route("/ui/keys/{id}/terms", post(keys::change_key))
        .route("/ui/keys/{id}/rotate", post(keys::rotate_key))
        .route("/ui/audit", get(audit::show_audit))
        .route("/ui/backups", get(backups::show_backups).post(backups::create_backup))
        .route("/ui/backups/inspect", post(backups::inspect_backup))
        .route("/ui/cluster", get(show_cluster))
        .route("/ui/nodes/{id}", get(node::show_node))
        .route("/ui/nodes/{id}/drain", post(node::drain_node))
        .route("/ui/nodes/{id}/undrain", post(node::undrain_node))
        .route("/ui/nodes/{id}/lead", post(node::lead_by_node))
        .route("/ui/events", get(events::show_events))
}

async fn no_page() -> PageError {
    PageError::no_page()
}
