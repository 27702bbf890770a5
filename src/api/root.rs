//! `GET /` and the prefixes themselves: links for a person who asks a node what it is, and the
//! documents of this very version. A browser that opens the node's address is led to the web UI,
//! where the node serves it. The routes need no credentials and tell nothing of the cluster.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;

use crate::api::http::respond;
use crate::api::http::route_prefix::RoutePrefix;
use crate::api::state::{ApiState, AppState};

/// The documents by their paths in the repository, so that the links between them work.
const DOCUMENTS: [(&str, &str); 5] = [
    ("/README.md", include_str!("../../README.md")),
    ("/docs/jobs.md", include_str!("../../docs/jobs.md")),
    ("/docs/operations.md", include_str!("../../docs/operations.md")),
    ("/docs/messages.md", include_str!("../../docs/messages.md")),
    ("/docs/workers.md", include_str!("../../docs/workers.md")),
];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Root {
    name: &'static str,
    version: &'static str,
    links: Links,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Links {
    api: &'static str,
    docs: &'static str,
    openapi: &'static str,
    health: &'static str,
    live: &'static str,
    ready: &'static str,
    metrics: &'static str,
    status: &'static str,
}

pub(crate) fn router() -> Router<Arc<AppState>> {
    let mut router = Router::new().route("/", get(root));
    for (path, text) in DOCUMENTS {
        router = router.route(path, get(move || std::future::ready(document(text))));
    }
    router
}

async fn root(
    State(state): ApiState,
    prefix: Extension<RoutePrefix>,
    headers: HeaderMap,
) -> Response {
    if state.app.config().ui && *prefix == RoutePrefix::Root && accepts_pages(&headers) {
        let vary = (header::VARY, HeaderValue::from_static("accept"));
        return ([vary], Redirect::to("/ui")).into_response();
    }
    let root = Root {
        name: "scheduler0",
        version: env!("CARGO_PKG_VERSION"),
        links: Links {
            api: RoutePrefix::ApiV1.as_str(),
            docs: DOCUMENTS[0].0,
            openapi: "/openapi.json",
            health: "/healthcheck",
            live: "/livez",
            ready: "/readyz",
            metrics: "/metrics",
            status: "/api/v1/cluster/status",
        },
    };
    respond::ok(&root, prefix.casing())
}

/// Says whether a request is that of a browser. Programs do not ask for HTML.
fn accepts_pages(headers: &HeaderMap) -> bool {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accepts.is_some_and(|accepts| accepts.contains("text/html"))
}

fn document(text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], text).into_response()
}
