//! `DELETE /jobs/{id}`.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::ids::Id;
use crate::api::http::respond;
use crate::api::http::version::conditions;
use crate::api::jobs::get::{missing_record, version_of};
use crate::api::state::App;
use crate::command::{Command, Outcome};

pub(crate) async fn delete_job(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Error> {
    let command = |expect| Command::DeleteJob { id, expect };
    let (of, missing) = (version_of(id), missing_record);
    match app.app.propose_if(&context.actor, &conditions(&headers), of, missing, command).await? {
        Outcome::Rejected(rejection) => Err(rejection.into()),
        _ => Ok(respond::no_content()),
    }
}
