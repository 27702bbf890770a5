//! Executors: named targets that many jobs share. Their secrets go in and never come out again.

use crate::api::http::action_router::{ActionRouter, get, post};
use crate::api::targets::executor_patch;
use crate::api::targets::executor_view::view;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use rusqlite::Connection;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::idempotency;
use crate::api::http::ids::Id;
use crate::api::http::page::{ListWriter, Orders, cursor};
use crate::api::http::respond;
use crate::api::http::version::{self, conditions};
use crate::api::state::{App, AppState};
use crate::api::targets::executor_patch::ExecutorPatch;
use crate::api::targets::signing::read_rotation;
use crate::app::Action;
use crate::app::idempotency::Key;
use crate::app::reads::ReadPhase;
use crate::app::refused;
use crate::app::signing::Rotation;
use crate::command::{Command, Outcome};
use crate::model::target::Executor;
use crate::store::After;
use crate::store::executors::{self, Order};

const ORDERS: &Orders<Order> =
    &[("id", Order::Id), ("name", Order::Name), ("dateCreated", Order::Id)];

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new()
        .route("/executors", get(Action::ExecutorsRead, list).post(Action::ExecutorsWrite, create))
        .route(
            "/executors/{id}",
            get(Action::ExecutorsRead, get_executor)
                .put(Action::ExecutorsWrite, put)
                .patch(Action::ExecutorsWrite, patch)
                .delete(Action::ExecutorsWrite, remove),
        )
        .route("/executors/{id}/rotate-secret", post(Action::ExecutorsWrite, rotate))
}

async fn list(State(app): App, context: RequestContext) -> Result<Response, Error> {
    let page = context.page_after(ORDERS, &[Order::Name])?;
    context.apply_consistency(&app.app).await?;
    let (now, casing, kinds) = (app.time.now(), context.casing(), app.app.executors.clone());
    let body = app.read(move |conn| {
        let total = executors::count(conn)?;
        let mut list = ListWriter::new("executors", &page, (total, false), casing);
        executors::each(conn, &page, |executor| {
            let after = After { key: None, id: executor.id };
            Ok(list.push(&view(executor, &kinds, now), || {
                let by_key = page.order_by != Order::Name;
                by_key.then(|| cursor(ORDERS, &page.order_by, after))
            }))
        })?;
        Ok(list.end())
    });
    Ok(respond::json(StatusCode::OK, body.await?))
}

async fn get_executor(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Error> {
    context.apply_consistency(&app.app).await?;
    let response = respond_executor(
        &app,
        &context,
        StatusCode::OK,
        load(&app, id, ReadPhase::BeforeWrite).await?,
    );
    version::answer(&conditions(&headers), response)
}

async fn load(app: &AppState, id: u64, stage: ReadPhase) -> Result<Executor, Error> {
    let found = app.read_at(stage, move |conn| executors::get(conn, id)).await?;
    found.ok_or_else(missing_executor)
}

fn missing_executor() -> Error {
    Error::not_found("executor does not exist")
}

/// Answers with an executor and its version.
fn respond_executor(
    app: &AppState,
    context: &RequestContext,
    status: StatusCode,
    executor: Executor,
) -> Response {
    let version = executor.version;
    let view = view(executor, &app.app.executors, app.time.now());
    version::tag(respond::json(status, respond::envelope(&view, context.casing())), version)
}

async fn create(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let edit = ExecutorPatch::read(&mut fields, &app.app.executors)?;
    let key = idempotency::key(&headers, &context.actor, "POST /executors", &body)?;
    let executor = edit.create(&app)?;
    match app.cluster.propose(Key::wrap(key, Command::CreateExecutor(executor))).await? {
        Outcome::Created(id) => {
            let made = load(&app, id, ReadPhase::AfterWrite).await?;
            let response = respond_executor(&app, &context, StatusCode::CREATED, made);
            Ok(respond::warn(response, &fields.warnings()))
        }
        other => Err(refused(other).into()),
    }
}

async fn put(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let edit = ExecutorPatch::read(&mut fields, &app.app.executors)?;
    update(&app, &context, &headers, id, edit, fields).await
}

async fn patch(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let edit = ExecutorPatch::patch(&mut fields, &app.app.executors)?;
    update(&app, &context, &headers, id, edit, fields).await
}

async fn update(
    app: &AppState,
    context: &RequestContext,
    headers: &HeaderMap,
    id: u64,
    edit: ExecutorPatch,
    fields: Fields,
) -> Result<Response, Error> {
    let command = |old: &Executor| {
        let (expect, executor) = (Some(old.version), edit.apply_to(app, old)?);
        Ok(Some(Command::UpdateExecutor { id, expect, executor }))
    };
    let load_old = || load(app, id, ReadPhase::BeforeWrite);
    app.app
        .update_with_retry(&context.actor, &conditions(headers), None, load_old, command)
        .await?;
    let response =
        respond_executor(app, context, StatusCode::OK, load(app, id, ReadPhase::AfterWrite).await?);
    Ok(respond::warn(response, &fields.warnings()))
}

async fn rotate(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let route = format!("POST /executors/{id}/rotate-secret");
    let key = idempotency::key(&headers, &context.actor, &route, &body)?;
    let rotation = Rotation::new(read_rotation(&mut fields, key)?, &app.keys);
    let by = executor_patch::by(&mut fields)?;
    app.cluster.linearize().await?;
    let old = load(&app, id, ReadPhase::BeforeWrite).await?;
    app.app.check_rotation(&context.actor, &rotation, &old.signing).await?;
    let command = |old: &Executor| {
        let signing = rotation.apply_to(&old.signing, &app.keys, app.time.now());
        let executor = Executor { signing, modified_by: by.clone(), ..old.clone() };
        Ok(Some(Command::UpdateExecutor { id, expect: Some(old.version), executor }))
    };
    let load_old = || load(&app, id, ReadPhase::BeforeWrite);
    app.app
        .update_with_retry(&context.actor, &conditions(&headers), key, load_old, command)
        .await?;
    let executor = load(&app, id, ReadPhase::AfterWrite).await?;
    let version = executor.version;
    let shown = rotation.secret_to_show(&executor.signing, &app.keys);
    let mut view = view(executor, &app.app.executors, app.time.now());
    view.webhook_secret = shown;
    let mut response = version::tag(respond::ok(&view, context.casing()), version);
    respond::no_store(&mut response);
    Ok(respond::warn(response, &fields.warnings()))
}

async fn remove(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Error> {
    let version = move |conn: &Connection| Ok(executors::get(conn, id)?.map(|e| e.version));
    let command = |expect| Command::DeleteExecutor { id, expect };
    let missing = || crate::app::Error::not_found("executor does not exist");
    match app
        .app
        .propose_if(&context.actor, &conditions(&headers), version, missing, command)
        .await?
    {
        Outcome::Done => Ok(respond::no_content()),
        other => Err(refused(other).into()),
    }
}
