//! `GET /audit`: a page of the audit, newest rows first.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::view::{AuditRowView, view};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::page::MAX_LIMIT;
use crate::api::http::respond;
use crate::api::state::ApiState;
use crate::app::audit::Filter;

const DEFAULT_LIMIT: u64 = 50;
/// The longest text of a filter, in bytes.
const MAX_TEXT: usize = 512;

/// A page of the audit. It has no total: rows are found by looking at them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuditView {
    limit: u64,
    audit: Vec<AuditRowView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(super) async fn list_audit(
    State(state): ApiState,
    context: RequestContext,
) -> Result<Response, Error> {
    let app = &state.app;
    let limit = context.number("limit")?.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
    if limit == 0 {
        return Err(Error::invalid("limit", format!("limit must be from 1 to {MAX_LIMIT}")));
    }
    let (from, until) = context.interval()?;
    let filter = Filter {
        noun: text(&context, "noun")?,
        object: text(&context, "object")?,
        actor: text(&context, "actor")?,
        project: context.number("projectId")?.filter(|id| *id > 0),
        action: text(&context, "action")?,
        from,
        until,
    };
    let after = context.number("after")?;
    context.apply_consistency(app).await?;
    let page = app.list_audit(&context.actor, filter, after, limit as usize).await?;
    let audit = page.rows.into_iter().map(view).collect();
    let next = page.next.map(|id| id.to_string());
    Ok(respond::ok(&AuditView { limit, audit, next }, context.casing()))
}

fn text(context: &RequestContext, name: &'static str) -> Result<Option<String>, Error> {
    let Some(text) = context.text(name) else { return Ok(None) };
    if text.len() > MAX_TEXT {
        return Err(Error::invalid(name, format!("{name} is longer than {MAX_TEXT} bytes")));
    }
    Ok(Some(text.to_owned()))
}
