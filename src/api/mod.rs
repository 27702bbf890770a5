//! The API: JSON over HTTP, one noun a file, each ending in `router()`.
//!
//! ```text
//!   request ─> around: mount, panic guard, metrics, errors rendered
//!                └─> authenticate (closed routes), query: which parameters a route knows
//!                      └─> projects, jobs, schedules, executors, credentials, executions, ...
//!                            ├─ Ask: who, which casing, the query       (in)
//!                            ├─ Input, fields, jobs::parse: the body    (in)
//!                            ├─ AppState::read: bounded, fair           (reads)
//!                            ├─ Cluster::propose / linearize            (the one door)
//!                            └─ reply: the envelope in the casing       (out)
//! ```
//!
//! There is one router. It is mounted three times, and which mount a request came by decides the
//! casing of the answer and nothing else. `server` serves what [`router`] makes; `node` builds the
//! [`AppState`]. Nothing here changes state but through `Cluster::propose`, and nothing here knows of
//! Raft, leases or queues: what it shows of them comes through [`Sources`].

mod answers;
mod ask;
mod async_tasks;
mod backups;
mod budget;
mod casing;
pub mod cluster;
mod credentials;
mod dead_letters;
mod duration;
mod echo;
mod error;
mod executions;
mod executors;
mod explain;
mod fields;
mod health;
mod idempotency;
mod input;
mod jobs;
pub mod members;
mod page;
mod pressure;
mod projects;
mod query;
mod readiness;
mod reads;
mod reply;
mod root;
mod schedules;
mod signing;
mod state;
mod stream;
mod target;
mod turns;
mod version;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures_util::FutureExt;

use crate::auth::Refused;
use crate::listen::Connection;

pub use ask::Mount;
pub use budget::Budget;
pub use error::{Error, refusal};
pub use pressure::Pressure;
pub use readiness::Readiness;
pub use state::{AppState, Sources};

/// The router with all three mounts, ready to be served.
pub fn router(state: AppState) -> Router {
    let state = Arc::new(state);
    let closed = Router::new()
        .merge(projects::router())
        .merge(jobs::router())
        .merge(schedules::router())
        .merge(credentials::router())
        .merge(executors::router())
        .merge(executions::router())
        .merge(dead_letters::router())
        .merge(explain::router())
        .merge(async_tasks::router())
        .merge(cluster::router())
        .merge(backups::router())
        .merge(members::router())
        .route("/prompt", any(prompt))
        .route_layer(middleware::from_fn_with_state(state.clone(), authenticate));
    let mut open = Router::new().merge(health::router()).merge(root::router());
    if state.echo {
        open = open.merge(echo::router());
    }
    let routes = closed.merge(open).method_not_allowed_fallback(method_not_allowed);
    Router::new()
        .nest(Mount::ApiV1.prefix(), routes.clone())
        .nest(Mount::V1.prefix(), routes.clone())
        .merge(routes)
        .fallback(unknown_route)
        .layer(middleware::from_fn_with_state(state.clone(), around))
        .with_state(state)
}

type App = State<Arc<AppState>>;

/// What holds for every request: its mount is known to those inside, errors get their envelope,
/// successes their warnings, the answer is counted. A panic is our fault and answered as such instead of a closed connection.
async fn around(State(app): App, mut request: Request, next: Next) -> Response {
    let mount = Mount::of(request.uri().path());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    request.extensions_mut().insert(mount);
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|_| {
        tracing::error!(%method, ?route, "a request made a handler panic");
        Error::internal().into_response()
    });
    if let Some(error) = response.extensions_mut().remove::<Error>() {
        let error = error.narrow(narrower(route.as_ref().map_or("", MatchedPath::as_str), mount));
        let mut rendered = error.render(mount.casing());
        // What the router said beside the status, such as `allow`.
        let said = std::mem::take(response.headers_mut());
        for (name, value) in &said {
            if name != axum::http::header::CONTENT_LENGTH {
                rendered.headers_mut().entry(name).or_insert_with(|| value.clone());
            }
        }
        response = rendered;
    }
    response = reply::with_warnings(response).await;
    let counted = answers::count(&app, &method, response).await;
    response = counted.unwrap_or_else(|error| error.render(mount.casing()));
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    app.metrics.request(&method, route, response.status().as_u16());
    response
}

async fn authenticate(State(app): App, mut request: Request, next: Next) -> Response {
    let network = request.extensions().get().map(Connection::network);
    match app.auth.caller(request.headers(), network, &app.cluster).await {
        Ok(Ok(caller)) => {
            let connection = request.extensions().get::<Connection>();
            if connection.is_some_and(|known| known.authenticate(caller.principal()).is_err()) {
                let message = "this client has too many connections to this node: use fewer";
                return Error::unavailable(message).into_response();
            }
            // The path of the request has lost its mount here, that of the route has not.
            let mount = request.extensions().get().copied().unwrap_or(Mount::Root);
            let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
            let path = route.and_then(|route| route.strip_prefix(mount.prefix()));
            let path = path.unwrap_or_default();
            let query = request.uri().query().unwrap_or_default();
            if let Err(error) = query::check(request.method(), path, query) {
                return error.into_response();
            }
            request.extensions_mut().insert(caller);
            let reader = reads::Reader::from(caller);
            let mut response = reader.scope(next.run(request)).await;
            response.extensions_mut().insert(reader);
            response
        }
        Ok(Err(refused)) => {
            let (error, counted) = match refused {
                Refused::Nothing => (Error::unauthorized(), None),
                Refused::Wrong(kind) => (Error::unauthorized(), Some((kind, "wrong"))),
                Refused::Limited(kind) => (Error::too_many_attempts(), Some((kind, "limited"))),
            };
            if let Some((kind, result)) = counted {
                app.metrics.auth_failure(kind.name(), result);
            }
            error.into_response()
        }
        Err(error) => Error::from(error).into_response(),
    }
}

/// How to ask a route for less, where a read takes too long.
fn narrower(route: &str, mount: Mount) -> &'static str {
    match route.strip_prefix(mount.prefix()).unwrap_or(route) {
        "/jobs" => "name a projectId, leave out status and label, or page by after",
        "/jobs/pause" | "/jobs/resume" | "/jobs/delete" => {
            "name a projectId in the filter, or fewer ids, externalIds or labels"
        }
        "/executions" | "/dead-letters" => {
            "name a projectId or a jobId, a shorter stretch (from, until), or page by after"
        }
        "/dead-letters/replay"
        | "/dead-letters/purge"
        | "/executions/analytics"
        | "/executions/totals" => "name a projectId, or a shorter stretch (from, until)",
        "/jobs/{id}/occurrences" => "ask for a shorter stretch (from, until), or a lower limit",
        _ => "ask for less at once, such as a lower limit",
    }
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

/// The error for an outcome that a command cannot have: a fault of ours.
fn unexpected(outcome: &crate::command::Outcome) -> Error {
    tracing::error!(%outcome, "a command came to something it cannot come to");
    Error::internal()
}
