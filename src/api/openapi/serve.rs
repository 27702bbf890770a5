//! `GET /openapi.json`: the document, for everybody. It tells nothing of this cluster.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::document::document;
use crate::api::state::AppState;

pub(crate) fn router() -> Router<Arc<AppState>> {
    Router::new().route("/openapi.json", get(get_document))
}

async fn get_document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document().text.as_str()).into_response()
}
