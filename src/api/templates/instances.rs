//! Instances of templates: payloads are checked, jobs are made of them, and listed.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::ids::Id;
use crate::api::http::page::{ListPage, Orders};
use crate::api::http::version;
use crate::api::http::{idempotency, respond};
use crate::api::jobs::get::respond_job;
use crate::api::jobs::view::JobView;
use crate::api::state::ApiState;
use crate::api::templates::body::Body;
use crate::app::jobs::LONGEST_BY;
use crate::app::templates::{Encoding, InstanceFilter, InstanceInput, InstanceOrder};

const ORDERS: &Orders<InstanceOrder> =
    &[("id", InstanceOrder::Id), ("dateCreated", InstanceOrder::Id)];

/// The longest client's id that is read; the rule of jobs decides.
const LONGEST_ID: usize = 4_096;

/// The data that a payload becomes.
#[derive(Serialize)]
struct Validated {
    payload: Box<RawValue>,
}

/// `{payload}`.
pub(crate) async fn validate_payload(
    State(state): ApiState,
    context: RequestContext,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut body = Body::read(&body, &["payload"])?;
    let payload = body.json("payload").unwrap_or("{}");
    let data = state.app.validate_payload(&context.actor, id, payload, Encoding::Json).await?;
    // The check gives valid JSON.
    let payload = RawValue::from_string(data).map_err(|_| Error::internal())?;
    let response = respond::ok(&Validated { payload }, context.casing());
    Ok(respond::warn(response, &body.fields.warnings()))
}

/// `{payload, startInSeconds?, externalId?, labels?, createdBy?}`.
pub(crate) async fn create_instance(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(bytes, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let (app, actor) = (&state.app, &context.actor);
    let route = format!("POST /templates/{id}/instances");
    let key = idempotency::key(&headers, actor, &route, &bytes)?;
    let mut body = Body::read(&bytes, &["payload", "labels"])?;
    let (payload, labels) = (body.json("payload").unwrap_or("{}"), body.json("labels"));
    let fields = &mut body.fields;
    let external_id = fields.text("externalId", LONGEST_ID)?.filter(|id| !id.is_empty());
    let input = InstanceInput {
        payload: payload.to_owned(),
        encoding: Encoding::Json,
        start_in_seconds: fields.number("startInSeconds")?,
        external_id,
        labels: labels.map(str::to_owned),
        created_by: fields.text("createdBy", LONGEST_BY)?,
    };
    let warnings = body.fields.warnings();
    let record = app.create_instance(actor, key, id, input).await?;
    let version = record.job.version;
    let mut response = version::tag(respond_job(record, app, context.casing()), version);
    *response.status_mut() = StatusCode::CREATED;
    Ok(respond::warn(response, &warnings))
}

/// A page of the jobs that a template made, by the ids of the jobs.
pub(crate) async fn list_instances(
    State(state): ApiState,
    context: RequestContext,
    Id(id): Id,
) -> Result<Response, Error> {
    let app = &state.app;
    let page = context.page_after(ORDERS, &[])?;
    let live = match context.text("state") {
        None => None,
        Some("live") => Some(true),
        Some("over") => Some(false),
        Some(_) => return Err(Error::invalid("state", "state must be live or over")),
    };
    context.apply_consistency(app).await?;
    let shown_by = Arc::clone(app);
    let view = move |record| JobView::of(record, &shown_by);
    let list = ListPage::new("jobs", ORDERS, &[], page, context.casing(), view);
    let filter = InstanceFilter { template: id, live };
    let body = app.list_instances(&context.actor, filter, page, list).await?;
    Ok(respond::json(StatusCode::OK, body))
}
