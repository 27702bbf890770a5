//! `GET /audit/export`: all rows that are kept, a line of JSON each, oldest first. A piece that
//! cannot be read breaks the answer off: the export then lacks its last line, and whoever checks it
//! sees that it is not whole.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;

use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::respond;
use crate::api::limits::answers;
use crate::api::state::{ApiState, AppState};
use crate::app::audit::AuditExport;
use crate::listen::Principal;

/// The media type of lines of JSON.
const NDJSON: &str = "application/x-ndjson";

pub(super) async fn export_audit(
    State(state): ApiState,
    context: RequestContext,
) -> Result<Response, Error> {
    let after = context.number("after")?;
    context.apply_consistency(&state.app).await?;
    let mut export = state.app.export_audit(&context.actor, after).await?;
    let principal = context.actor.principal;
    // An error of the first piece is an answer of its own.
    let first = piece(&state, principal, &mut export).await?;
    let rest = stream::unfold((Some(first), export, state), move |(first, export, state)| {
        next(principal, first, export, state)
    });
    let mut response = Response::new(Body::from_stream(rest));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    let name = HeaderValue::from_static("attachment; filename=\"scheduler0-audit.ndjson\"");
    headers.insert(header::CONTENT_DISPOSITION, name);
    respond::no_store(&mut response);
    Ok(response)
}

/// An export under way, with the piece that was read and not yet sent.
type Exporting = (Option<Bytes>, AuditExport, Arc<AppState>);

async fn next(
    principal: Principal,
    first: Option<Bytes>,
    mut export: AuditExport,
    state: Arc<AppState>,
) -> Option<(io::Result<Bytes>, Exporting)> {
    if let Some(first) = first {
        return Some((Ok(first), (None, export, state)));
    }
    if export.has_ended() {
        return None;
    }
    let read = piece(&state, principal, &mut export).await.map_err(|error| {
        tracing::debug!(?error, "an export of the audit was broken off");
        export.break_off();
        io::Error::other("the rest of the audit could not be read")
    });
    Some((read, (None, export, state)))
}

/// The next piece, counted as long as the client has not taken it.
async fn piece(
    state: &AppState,
    principal: Principal,
    export: &mut AuditExport,
) -> Result<Bytes, Error> {
    let text = state.app.export_piece(export).await?;
    let held = state.answers.hold(principal, text.into(), false);
    held.ok_or_else(|| answers::no_room(&state.app.metrics))
}
