//! Async tasks: the receipts of `POST /jobs`. They are camelCase under every prefix, as in the
//! original; only the jobs inside `output` have the casing of the prefix.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use uuid::Uuid;

use crate::api::http::action_router::{ActionRouter, get};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::ids::IdText;
use crate::api::http::respond;
use crate::api::jobs::stream::Jobs;
use crate::api::state::ApiState;
use crate::app::Action;
use crate::app::jobs::missing_task;
use crate::model::job::Casing;
use crate::model::task::TaskState;
use crate::model::time::rfc3339;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskView {
    id: u64,
    request_id: String,
    /// Empty: the input is not kept, since the jobs hold it.
    input: &'static str,
    /// The jobs as JSON text, as they are when the answer is sent. Jobs that were deleted since are
    /// missing.
    output: &'static str,
    service: &'static str,
    state: u8,
    date_created: String,
}

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new().route("/async-tasks/{id}", get(Action::HistoryRead, get_task))
}

async fn get_task(
    State(state): ApiState,
    context: RequestContext,
    IdText(id): IdText,
) -> Result<Response, Error> {
    let request = Uuid::parse_str(&id).map_err(|_| missing_task())?;
    context.apply_consistency(&state.app).await?;
    let task = state.app.get_task(&context.actor, request.as_u128()).await?;
    let view = TaskView {
        id: task.id,
        request_id: request.to_string(),
        input: "",
        output: "",
        service: "create_job",
        state: task.state as u8,
        date_created: rfc3339(task.created),
    };
    let body = respond::envelope(&view, Casing::Camel);
    if task.state != TaskState::Succeeded {
        return Ok(respond::json(StatusCode::OK, body));
    }
    // The jobs are JSON within the text of `output`, which may be long: it is written while it is
    // sent.
    let mark = b"\"output\":\"";
    let found = body.windows(mark.len()).position(|part| part == mark);
    let (head, tail) = body.split_at(found.ok_or_else(Error::internal)? + mark.len());
    let jobs = Jobs::new(&state, &context, task.jobs, true);
    jobs.answer(StatusCode::OK, head.to_vec(), tail.to_vec()).await
}
