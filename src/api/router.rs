//! The router of all resources under all prefixes. `node` calls [`router`] once.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;

use crate::api::http::action_router::{ActionRouter, any};
use crate::api::http::error::Error;
use crate::api::http::middleware::{authenticate, finish};
use crate::api::http::route_prefix::RoutePrefix;
use crate::api::state::AppState;
use crate::api::{admin, echo, history, jobs, projects, root, runs, targets, workers};
use crate::app::Action;

/// The router with all three prefixes, ready to be served.
pub fn router(state: AppState) -> Router {
    let state = Arc::new(state);
    let metrics = if state.app.config().metrics_auth {
        admin::health::closed_metrics(&state)
    } else {
        admin::health::open_metrics()
    };
    let closed = ActionRouter::new()
        .merge(projects::routes::router())
        .merge(jobs::routes::router())
        .merge(jobs::preview::router())
        .merge(admin::credentials::router())
        .merge(targets::executors::router())
        .merge(history::executions::router())
        .merge(history::dead_letters::router())
        .merge(history::explain::router())
        .merge(history::async_tasks::router())
        .merge(runs::routes::router())
        .merge(workers::router())
        .merge(admin::cluster::router())
        .merge(admin::backups::router())
        .merge(admin::members::router())
        .route("/prompt", any(Action::Unsupported, prompt))
        .into_router()
        .route_layer(from_fn_with_state(state.clone(), authenticate));
    let mut open =
        Router::new().merge(admin::health::router()).merge(metrics).merge(root::router());
    if state.echo {
        open = open.merge(echo::router());
    }
    let routes = closed.merge(open).method_not_allowed_fallback(method_not_allowed);
    Router::new()
        .nest(RoutePrefix::ApiV1.as_str(), routes.clone())
        .nest(RoutePrefix::V1.as_str(), routes.clone())
        .merge(routes)
        .fallback(unknown_route)
        .layer(from_fn_with_state(state.clone(), finish))
        .with_state(state)
}

async fn unknown_route(request: Request) -> Error {
    let path: String = request.uri().path().chars().take(100).collect();
    Error::not_found(format!("there is no route {path}"))
}

async fn method_not_allowed() -> Error {
    Error::method_not_allowed()
}

async fn prompt() -> Error {
    Error::not_implemented("jobs from free text need an AI service, which is out of scope here")
}
