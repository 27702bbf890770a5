//! Async tasks: the receipts of `POST /jobs`. camelCase at every mount, as in the original; only the
//! jobs inside `output` have the mount's casing.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;
use uuid::Uuid;

use super::App;
use super::ask::{Ask, IdText};
use super::casing;
use super::error::Error;
use super::jobs::Views;
use super::reply;
use super::state::AppState;
use crate::model::job::Dialect;
use crate::model::task::TaskState;
use crate::model::time::rfc3339;
use crate::store::tasks;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskView {
    id: u64,
    request_id: String,
    /// Not kept: the jobs say it.
    input: &'static str,
    /// The jobs as JSON text, as they are now; those deleted since are missing.
    output: String,
    service: &'static str,
    state: u8,
    date_created: String,
}

pub(super) fn router() -> Router<Arc<AppState>> {
    Router::new().route("/async-tasks/{id}", get(one))
}

async fn one(State(app): App, ask: Ask, IdText(id): IdText) -> Result<Response, Error> {
    let missing = || Error::not_found("async task cannot be found");
    let request = Uuid::parse_str(&id).map_err(|_| missing())?;
    ask.settle(&app).await?;
    let mut found = shown(&app, request, ask.dialect()).await?;
    if found.is_none() {
        // It may have been accepted a moment ago by another node.
        app.cluster.linearize().await?;
        found = shown(&app, request, ask.dialect()).await?;
    }
    Ok(reply::json(StatusCode::OK, found.ok_or_else(missing)?))
}

/// The body of the answer, if this node knows of the task.
async fn shown(app: &AppState, request: Uuid, dialect: Dialect) -> Result<Option<Vec<u8>>, Error> {
    let (now, retry_max) = (app.time.now(), app.config.job_execution_retry_max);
    let body = app.cluster.read(move |conn| {
        let Some(task) = tasks::get(conn, request.as_u128())? else { return Ok(None) };
        let output = if task.state == TaskState::Succeeded {
            let jobs = Views::new(conn, now, retry_max)?.of_task(&task.jobs)?;
            String::from_utf8(casing::to_json(&jobs, dialect)).unwrap_or_default()
        } else {
            String::new()
        };
        let view = TaskView {
            id: task.id,
            request_id: request.to_string(),
            input: "",
            output,
            service: "create_job",
            state: task.state as u8,
            date_created: rfc3339(task.created),
        };
        Ok(Some(reply::envelope(&view, Dialect::Camel)))
    });
    Ok(body.await?)
}
