//! The routes of features: those that there are, and the switches of an account.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use crate::api::accounts::input::feature;
use crate::api::accounts::view::{AccountFeatureView, view};
use crate::api::http::action_router::{ActionRouter, delete, get};
use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::ids::Id;
use crate::api::http::respond;
use crate::api::state::ApiState;
use crate::app::{Action, App};
use crate::model::AccountId;
use crate::model::feature::{Feature, Features};

/// A feature that accounts may have.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FeatureView {
    id: u64,
    name: &'static str,
    description: &'static str,
}

pub(super) fn router() -> ActionRouter {
    ActionRouter::new()
        .route("/features", get(Action::AccountsRead, list_features))
        .route(
            "/accounts/{id}/feature",
            delete(Action::AccountsWrite, remove_feature).put(Action::AccountsWrite, add_feature),
        )
        .route(
            "/accounts/{id}/features/all",
            delete(Action::AccountsWrite, remove_all_features)
                .put(Action::AccountsWrite, add_all_features),
        )
}

fn description(feature: Feature) -> &'static str {
    match feature {
        Feature::SubMinute => "schedules with occurrences less than a minute apart",
        Feature::HttpTargets => "http targets, of jobs and of executors",
        Feature::PrivateTargets => "targets at loopback and private addresses",
        Feature::LongRuns => "runs with heartbeats, or with a runTimeout of more than an hour",
        Feature::LargePayloads => "data of more than 65536 bytes",
    }
}

async fn list_features(context: RequestContext) -> Result<Response, Error> {
    let shown = |one: Feature| FeatureView {
        id: one.id(),
        name: one.name(),
        description: description(one),
    };
    let all: Vec<_> = Feature::ALL.into_iter().map(shown).collect();
    Ok(respond::ok(&all, context.casing()))
}

/// `{featureId}`, or its name in `feature`.
async fn add_feature(
    State(state): ApiState,
    context: RequestContext,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    switch_one(&state.app, &context, id, &body, true).await
}

async fn remove_feature(
    State(state): ApiState,
    context: RequestContext,
    Id(id): Id,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    switch_one(&state.app, &context, id, &body, false).await
}

async fn switch_one(
    app: &App,
    context: &RequestContext,
    id: AccountId,
    body: &[u8],
    on: bool,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(body)?;
    let feature = feature(&mut fields)?;
    app.switch_features(&context.actor, id, Features::NONE.with(feature), on).await?;
    let response = respond::ok(&AccountFeatureView::of(id, feature), context.casing());
    Ok(respond::warn(response, &fields.warnings()))
}

async fn add_all_features(
    State(state): ApiState,
    context: RequestContext,
    Id(id): Id,
) -> Result<Response, Error> {
    let record = state.app.switch_features(&context.actor, id, Features::ALL, true).await?;
    Ok(respond::ok(&view(record), context.casing()))
}

async fn remove_all_features(
    State(state): ApiState,
    context: RequestContext,
    Id(id): Id,
) -> Result<Response, Error> {
    let record = state.app.switch_features(&context.actor, id, Features::ALL, false).await?;
    Ok(respond::ok(&view(record), context.casing()))
}
