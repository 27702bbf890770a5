//! Named executors: targets held once for many jobs. What is secret in them goes in and never comes
//! out again.

mod edit;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use rusqlite::Connection;
use serde::Serialize;

use self::edit::Edit;
use super::App;
use super::ask::{Ask, Id};
use super::error::Error;
use super::fields::Fields;
use super::idempotency::Key;
use super::input::{Input, SMALL};
use super::page::{ListWriter, Orders, cursor};
use super::reads::Stage;
use super::reply;
use super::signing::{self, Rotation};
use super::state::AppState;
use super::target::{self, HttpView, TlsView};
use super::version::{self, ATTEMPTS, Conditions, is_stale};
use crate::command::{Command, Outcome};
use crate::model::Millis;
use crate::model::target::Executor;
use crate::model::time::rfc3339;
use crate::store::After;
use crate::store::executors::{self, Order};

const ORDERS: &Orders<Order> =
    &[("id", Order::Id), ("name", Order::Name), ("dateCreated", Order::Id)];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExecutorView {
    id: u64,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    region: String,
    cloud_provider: String,
    cloud_resource_url: String,
    cloud_api_key_set: bool,
    cloud_api_secret_set: bool,
    webhook_url: String,
    webhook_method: String,
    webhook_secret_set: bool,
    /// The new secret, in the answer to its rotation only.
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_secret_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<HttpView>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    tls: Option<TlsView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_concurrency: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_per_second: Option<u32>,
    version: u64,
    date_created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_modified: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified_by: Option<String>,
}

fn view(executor: Executor, now: Millis) -> ExecutorView {
    ExecutorView {
        id: executor.id,
        name: executor.name,
        kind: executor.kind,
        region: executor.region,
        cloud_provider: executor.cloud_provider,
        cloud_resource_url: executor.cloud_resource_url,
        cloud_api_key_set: executor.cloud_api_key.is_some(),
        cloud_api_secret_set: executor.cloud_api_secret.is_some(),
        webhook_url: executor.webhook_url,
        webhook_method: executor.webhook_method,
        webhook_secret_set: !executor.signing.is_empty(),
        webhook_secret: None,
        previous_secret_until: signing::previous_until(&executor.signing, now),
        http: executor.http.as_deref().map(target::show),
        tls: executor.tls.as_deref().map(TlsView::of),
        max_concurrency: executor.max_concurrency,
        rate_per_second: executor.rate_per_second,
        version: executor.version,
        date_created: rfc3339(executor.created),
        date_modified: executor.modified.map(rfc3339),
        created_by: executor.created_by,
        modified_by: executor.modified_by,
    }
}

pub(super) fn router() -> Router<Arc<AppState>> {
    Router::new()
        .route("/executors", get(list).post(create))
        .route("/executors/{id}", get(one).put(put).patch(patch).delete(remove))
        .route("/executors/{id}/rotate-secret", post(rotate))
}

async fn list(State(app): App, ask: Ask) -> Result<Response, Error> {
    let page = ask.page_after(ORDERS, &[Order::Name])?;
    ask.settle(&app).await?;
    let (now, casing) = (app.time.now(), ask.casing());
    let body = app.read(move |conn| {
        let total = executors::count(conn)?;
        let mut list = ListWriter::new("executors", &page, (total, false), casing);
        executors::each(conn, &page, |executor| {
            let after = After { key: None, id: executor.id };
            Ok(list.push(&view(executor, now), || {
                let by_key = page.order_by != Order::Name;
                by_key.then(|| cursor(ORDERS, &page.order_by, after))
            }))
        })?;
        Ok(list.end())
    });
    Ok(reply::json(StatusCode::OK, body.await?))
}

async fn one(State(app): App, ask: Ask, headers: HeaderMap, Id(id): Id) -> Result<Response, Error> {
    ask.settle(&app).await?;
    let shown = shown(&app, &ask, StatusCode::OK, found(&app, id, Stage::Asked).await?);
    Conditions::of(&headers).answer(shown)
}

async fn found(app: &AppState, id: u64, stage: Stage) -> Result<Executor, Error> {
    let found = app.read_at(stage, move |conn| executors::get(conn, id)).await?;
    found.ok_or_else(missing)
}

fn missing() -> Error {
    Error::not_found("executor does not exist")
}

fn shown(app: &AppState, ask: &Ask, status: StatusCode, executor: Executor) -> Response {
    let version = executor.version;
    let view = view(executor, app.time.now());
    version::tag(reply::json(status, reply::envelope(&view, ask.casing())), version)
}

async fn create(
    State(app): App,
    ask: Ask,
    headers: HeaderMap,
    Input(body, _turn): Input<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let edit = Edit::read(&mut fields)?;
    let key = Key::of(&headers, ask.caller, "POST /executors", &body)?;
    let executor = edit.create(&app)?;
    match app.cluster.propose(Key::around(key, Command::CreateExecutor(executor))).await? {
        Outcome::Created(id) => {
            let made = found(&app, id, Stage::Done).await?;
            let response = shown(&app, &ask, StatusCode::CREATED, made);
            Ok(reply::warn(response, &fields.warnings()))
        }
        other => Err(refused(other)),
    }
}

async fn put(
    State(app): App,
    ask: Ask,
    headers: HeaderMap,
    Id(id): Id,
    Input(body, _turn): Input<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let edit = Edit::read(&mut fields)?;
    update(&app, &ask, &headers, id, edit, fields).await
}

async fn patch(
    State(app): App,
    ask: Ask,
    headers: HeaderMap,
    Id(id): Id,
    Input(body, _turn): Input<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let edit = Edit::patch(&mut fields)?;
    update(&app, &ask, &headers, id, edit, fields).await
}

async fn update(
    app: &AppState,
    ask: &Ask,
    headers: &HeaderMap,
    id: u64,
    edit: Edit,
    fields: Fields,
) -> Result<Response, Error> {
    change(app, id, &Conditions::of(headers), None, |old| edit.over(app, old)).await?;
    let response = shown(app, ask, StatusCode::OK, found(app, id, Stage::Done).await?);
    Ok(reply::warn(response, &fields.warnings()))
}

async fn rotate(
    State(app): App,
    ask: Ask,
    headers: HeaderMap,
    Id(id): Id,
    Input(body, _turn): Input<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let route = format!("POST /executors/{id}/rotate-secret");
    let key = Key::of(&headers, ask.caller, &route, &body)?;
    let rotation = Rotation::read(&mut fields, &app.keys, key)?;
    let by = edit::by(&mut fields)?;
    app.cluster.linearize().await?;
    rotation.check(&found(&app, id, Stage::Asked).await?.signing, &app).await?;
    let rotated = |old: &Executor| {
        let signing = rotation.of(&old.signing, &app.keys, app.time.now());
        Ok(Executor { signing, modified_by: by.clone(), ..old.clone() })
    };
    change(&app, id, &Conditions::of(&headers), key, rotated).await?;
    let executor = found(&app, id, Stage::Done).await?;
    let version = executor.version;
    let shown = rotation.shown(&executor.signing, &app.keys);
    let mut view = view(executor, app.time.now());
    view.webhook_secret = shown;
    let mut response = version::tag(reply::ok(&view, ask.casing()), version);
    reply::forget(&mut response);
    Ok(reply::warn(response, &fields.warnings()))
}

/// Makes an executor what `new` makes of it as it is now, whoever else is changing it.
async fn change(
    app: &AppState,
    id: u64,
    conditions: &Conditions,
    key: Option<Key>,
    new: impl Fn(&Executor) -> Result<Executor, Error>,
) -> Result<(), Error> {
    for tried in 1.. {
        // What the request does not name stays as it is, so this node must know how it is.
        app.cluster.linearize().await?;
        let old = found(app, id, Stage::Asked).await?;
        let command =
            Command::UpdateExecutor { id, expect: Some(old.version), executor: new(&old)? };
        conditions.check(Some(old.version))?;
        match app.cluster.propose(Key::around(key, command)).await? {
            outcome if is_stale(&outcome) && tried < ATTEMPTS => {}
            Outcome::Done => break,
            other => return Err(refused(other)),
        }
    }
    Ok(())
}

async fn remove(
    State(app): App,
    _: Ask,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Error> {
    let version = move |conn: &Connection| Ok(executors::get(conn, id)?.map(|e| e.version));
    let command = |expect| Command::DeleteExecutor { id, expect };
    match Conditions::of(&headers).guard(&app, version, missing, command).await? {
        Outcome::Done => Ok(reply::no_content()),
        other => Err(refused(other)),
    }
}

fn refused(outcome: Outcome) -> Error {
    match outcome {
        Outcome::Rejected(rejection) => rejection.into(),
        other => super::unexpected(&other),
    }
}
