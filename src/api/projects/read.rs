//! `GET` of projects: one, or a page of them.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::ids::Id;
use crate::api::http::page::{ListWriter, Orders, cursor};
use crate::api::http::respond;
use crate::api::http::version::Conditions;
use crate::api::limits::reader::ReadPhase;
use crate::api::projects::load::respond_project;
use crate::api::projects::pause_state::{PauseState, pauses};
use crate::api::projects::view::view;
use crate::api::state::App;
use crate::store::After;
use crate::store::projects::{self, Order};

const ORDERS: &Orders<Order> =
    &[("id", Order::Id), ("name", Order::Name), ("dateCreated", Order::Created)];

pub(crate) async fn list_projects(
    State(app): App,
    context: RequestContext,
) -> Result<Response, Error> {
    let page = context.page_after(ORDERS, &[Order::Name])?;
    context.apply_consistency(&app).await?;
    let (now, casing) = (app.time.now(), context.casing());
    let body = app.read(move |conn| {
        let pauses = pauses(conn, now)?;
        let total = projects::count(conn)?;
        let mut list = ListWriter::new("projects", &page, (total, false), casing);
        projects::each(conn, &page, |project| {
            let after = After { key: page.order_by.key(&project), id: project.id };
            let state = pauses
                .get(&project.id)
                .map_or(PauseState::Active, |until| PauseState::Paused(*until));
            Ok(list.push(&view(project, state, now), || {
                let by_key = page.order_by != Order::Name;
                by_key.then(|| cursor(ORDERS, &page.order_by, after))
            }))
        })?;
        Ok(list.end())
    });
    Ok(respond::json(StatusCode::OK, body.await?))
}

pub(crate) async fn get_project(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Error> {
    context.apply_consistency(&app).await?;
    let response = respond_project(&app, &context, id, ReadPhase::BeforeWrite).await?;
    Conditions::of(&headers).answer(response)
}
