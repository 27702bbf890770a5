//! The table of the routes, and the handlers of templates as records.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::api::http::action_router::{ActionRouter, get, post};
use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::ids::Id;
use crate::api::http::page::{ListPage, Orders};
use crate::api::http::version::{self, conditions};
use crate::api::http::{idempotency, respond};
use crate::api::state::ApiState;
use crate::api::templates::import::import_templates;
use crate::api::templates::input::read;
use crate::api::templates::instances::{create_instance, list_instances, validate_payload};
use crate::api::templates::view::{TemplateView, respond_template};
use crate::app::Action;
use crate::app::page::Page;
use crate::app::templates::{Filter, Order, VersionOrder};
use crate::app::warnings::Warnings;

const ORDERS: &Orders<Order> =
    &[("id", Order::Id), ("type", Order::Type), ("dateCreated", Order::Id)];
const VERSION_ORDERS: &Orders<VersionOrder> =
    &[("version", VersionOrder::Number), ("dateModified", VersionOrder::Number)];
/// Orders by text, in which a list cannot go on by key.
const BY_TEXT: &[Order] = &[Order::Type];

pub(crate) fn router() -> ActionRouter {
    use Action::{TemplatesRead, TemplatesRun, TemplatesWrite};
    ActionRouter::new()
        .route(
            "/templates",
            get(TemplatesRead, list_templates).post(TemplatesWrite, create_template),
        )
        .route("/templates/import", post(TemplatesWrite, import_templates))
        .route(
            "/templates/{id}",
            get(TemplatesRead, get_template)
                .put(TemplatesWrite, update_template)
                .patch(TemplatesWrite, update_template)
                .delete(TemplatesWrite, delete_template),
        )
        .route("/templates/{id}/versions", get(TemplatesRead, list_versions))
        .route("/templates/{id}/validate", post(TemplatesRead, validate_payload))
        .route(
            "/templates/{id}/instances",
            get(TemplatesRead, list_instances).post(TemplatesRun, create_instance),
        )
}

async fn list_templates(
    State(state): ApiState,
    context: RequestContext,
) -> Result<Response, Error> {
    let app = &state.app;
    let page = context.page_after(ORDERS, BY_TEXT)?;
    let flag = |name| match context.text(name) {
        None => Ok(None),
        Some(_) => context.flag(name).map(Some),
    };
    let filter = Filter {
        project: context.number("projectId")?,
        kind: context.text("type").map(str::to_owned),
        user_triggered: flag("userTriggered")?,
        active: flag("active")?,
    };
    context.apply_consistency(app).await?;
    let shown_by = Arc::clone(app);
    let view = move |template| TemplateView::of(template, &shown_by);
    let list = ListPage::new("templates", ORDERS, BY_TEXT, page, context.casing(), view);
    let body = app.list_templates(&context.actor, filter, page, list).await?;
    Ok(respond::json(StatusCode::OK, body))
}

async fn get_template(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Error> {
    let app = &state.app;
    context.apply_consistency(app).await?;
    let template = app.get_template(&context.actor, id).await?;
    let response = respond_template(template, app, context.casing());
    version::answer(&conditions(&headers), response)
}

async fn create_template(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let (app, actor, casing) = (&state.app, &context.actor, context.casing());
    let (input, mut warnings) = read(&body, &app.kinds_for_jobs())?;
    let key = idempotency::key(&headers, actor, "POST /templates", &body)?;
    let template = app.create_template(actor, key, &input, casing, &mut warnings).await?;
    let mut response = respond_template(template, app, casing);
    *response.status_mut() = StatusCode::CREATED;
    Ok(respond::warn(response, &warnings))
}

async fn update_template(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let (app, actor, casing) = (&state.app, &context.actor, context.casing());
    let (input, read) = read(&body, &app.kinds_for_jobs())?;
    let mut warnings = Warnings::default();
    let template = app
        .update_template(actor, &conditions(&headers), id, &input, casing, &mut warnings)
        .await?;
    warnings.merge(read);
    Ok(respond::warn(respond_template(template, app, casing), &warnings))
}

async fn delete_template(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Error> {
    let terminate = context.flag("terminate")?;
    state.app.delete_template(&context.actor, &conditions(&headers), id, terminate).await?;
    Ok(respond::no_content())
}

async fn list_versions(
    State(state): ApiState,
    context: RequestContext,
    Id(id): Id,
) -> Result<Response, Error> {
    let app = &state.app;
    let page = context.page_after(VERSION_ORDERS, &[])?;
    // The newest version comes first, unless the query says otherwise.
    let descending = page.descending || !context.has_direction();
    let page = Page { descending, ..page };
    context.apply_consistency(app).await?;
    let shown_by = Arc::clone(app);
    let view = move |version| TemplateView::of(version, &shown_by);
    let list = ListPage::new("versions", VERSION_ORDERS, &[], page, context.casing(), view);
    let body = app.list_template_versions(&context.actor, id, page, list).await?;
    Ok(respond::json(StatusCode::OK, body))
}
