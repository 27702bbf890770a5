//! The router of all resources under all prefixes. `node` calls [`router`] once.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;

use crate::api::closed_routes::closed_routes;
use crate::api::http::error::Error;
use crate::api::http::middleware::{authenticate, finish};
use crate::api::http::route_prefix::RoutePrefix;
use crate::api::state::AppState;
use crate::api::{admin, echo, openapi, root};

/// The router with all three prefixes, ready to be served.
pub fn router(state: AppState) -> Router {
    let state = Arc::new(state);
    let metrics = if state.app.config().metrics_auth {
        admin::health::closed_metrics(&state)
    } else {
        admin::health::open_metrics()
    };
    let closed =
        closed_routes().into_router().route_layer(from_fn_with_state(state.clone(), authenticate));
    let mut open = Router::new()
        .merge(admin::auth_config::router())
        .merge(admin::health::router())
        .merge(metrics)
        .merge(openapi::router())
        .merge(root::router());
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
