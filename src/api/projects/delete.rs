//! `DELETE /projects/{id}`, with its jobs where `?cascade=true` says so.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::api::http::context::RequestContext;
use crate::api::http::error::{Error, refused};
use crate::api::http::ids::Id;
use crate::api::http::respond;
use crate::api::http::version::Conditions;
use crate::api::http::write::propose_if;
use crate::api::projects::load::{missing_project, version_of};
use crate::api::state::App;
use crate::command::{Command, Outcome};

pub(crate) async fn delete_project(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Error> {
    let cascade = context.flag("cascade")?;
    let command = |expect| Command::DeleteProject { id, cascade, expect };
    let conditions = Conditions::of(&headers);
    match propose_if(&app, &conditions, version_of(id), missing_project, command).await? {
        Outcome::Done => Ok(respond::no_content()),
        other => {
            let error = refused(other);
            if error.status() == StatusCode::CONFLICT {
                return Err(error.because("add ?cascade=true to delete the jobs with it"));
            }
            Err(error)
        }
    }
}
