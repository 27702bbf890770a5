//! Jobs by the names that clients have for them: `PUT` makes the job what the body says, whether it
//! was there or not, so that a deployment can be repeated. `super` routes to it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;

use super::change;
use super::check::{self, Batch, Rules};
use super::create::Order;
use super::definition::unfit;
use super::edit::EditMode;
use super::{missing, parse, shown};
use crate::api::App;
use crate::api::ask::Ask;
use crate::api::error::Error;
use crate::api::input::{Input, SMALL};
use crate::api::reads::Stage;
use crate::api::reply;
use crate::api::state::AppState;
use crate::api::version::{ATTEMPTS, Conditions, is_stale};
use crate::command::{Command, Outcome};
use crate::model::ProjectId;
use crate::model::job::Job;
use crate::store::jobs;

pub(super) fn router() -> Router<Arc<AppState>> {
    let path = "/projects/{id}/jobs/by-external-id/{external}";
    Router::new().route(path, get(one).put(upsert).delete(remove))
}

/// Which job a path names.
#[derive(Clone, Debug)]
struct Named {
    project: ProjectId,
    external: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Error::bad_request("the path is not valid UTF-8"))?;
        let part = |wanted: &str| {
            let found = params.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, text)| text).unwrap_or_default()
        };
        let number = part("id");
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Error::invalid("projectId", "project id in the path must be a number"));
        }
        // One that no project can have is 0, which is never found.
        let project = number.parse().ok().filter(|id: &u64| i64::try_from(*id).is_ok());
        match check::external_id(Some(part("external")))? {
            Some(external) if !external.is_empty() => {
                Ok(Self { project: project.unwrap_or(0), external })
            }
            _ => Err(Error::invalid("externalId", "externalId in the path must not be empty")),
        }
    }
}

impl Named {
    async fn find(&self, app: &AppState) -> Result<Option<Job>, Error> {
        let Self { project, external } = self.clone();
        let found = app.read(move |conn| {
            let id = jobs::id_by_external_id(conn, project, &external)?;
            id.map_or(Ok(None), |id| jobs::get(conn, id))
        });
        found.await
    }
}

async fn one(
    State(app): App,
    ask: Ask,
    headers: HeaderMap,
    named: Named,
) -> Result<Response, Error> {
    ask.settle(&app).await?;
    let job = named.find(&app).await?.ok_or_else(missing)?;
    Conditions::of(&headers).answer(shown(&app, &ask, job.id, Stage::Asked).await?)
}

async fn upsert(
    State(app): App,
    ask: Ask,
    headers: HeaderMap,
    named: Named,
    Input(body, _turn): Input<{ 4 * SMALL }>,
) -> Result<Response, Error> {
    let (mut input, mut warnings) = parse::one(&body)?;
    if input.definition.project.is_some_and(|project| project != named.project) {
        return Err(unfit("projectId", "job project_id must be that of the path, or left out"));
    }
    if input.external_id.as_ref().is_some_and(|id| *id != *named.external) {
        return Err(unfit("externalId", "job externalId must be that of the path, or left out"));
    }
    input.definition.project = Some(named.project);
    input.external_id = Some(named.external.as_str().into());
    let conditions = Conditions::of(&headers);
    app.cluster.linearize().await?;
    // Others may make or delete it meanwhile: then it is looked for again.
    for _ in 0..ATTEMPTS {
        let Some(job) = named.find(&app).await? else {
            let mut batch = Batch::new(Rules::new(&app, ask.casing()));
            batch.add(input.clone())?;
            let said = batch.warnings();
            conditions.check(None)?;
            let made = match Order::alone(batch).carry_out(&app).await {
                Err(error) if error.status() == StatusCode::CONFLICT => continue,
                made => made?,
            };
            let id = made.jobs.first().map_or(0, |(first, _)| *first);
            let mut response = shown(&app, &ask, id, Stage::Done).await?;
            *response.status_mut() = StatusCode::CREATED;
            warnings.merge(said);
            return Ok(reply::warn(response, &warnings));
        };
        let mode = EditMode::Whole;
        match change::replace(&app, &ask, &job, &input, mode, &conditions, &mut warnings).await {
            Ok(true) => {
                let response = shown(&app, &ask, job.id, Stage::Done).await?;
                return Ok(reply::warn(response, &warnings));
            }
            Ok(false) => {}
            Err(error) if error.status() == StatusCode::NOT_FOUND => {}
            Err(error) => return Err(error),
        }
    }
    Err(change::busy())
}

async fn remove(
    State(app): App,
    _: Ask,
    headers: HeaderMap,
    named: Named,
) -> Result<Response, Error> {
    let conditions = Conditions::of(&headers);
    for _ in 0..ATTEMPTS {
        app.cluster.linearize().await?;
        let job = named.find(&app).await?.ok_or_else(missing)?;
        conditions.check(Some(job.version))?;
        let expect = conditions.expect(job.version);
        match app.cluster.propose(Command::DeleteJob { id: job.id, expect }).await? {
            outcome if is_stale(&outcome) => {}
            Outcome::Rejected(rejection) => return Err(rejection.into()),
            _ => return Ok(reply::no_content()),
        }
    }
    Err(change::busy())
}
