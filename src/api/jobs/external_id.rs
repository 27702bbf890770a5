//! Jobs by the names that clients have for them. `PUT` makes the job what the body says, whether it
//! existed or not, so that a deployment can be repeated.

use crate::api::jobs::validate::own_fields;
use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::respond;
use crate::api::http::version::{self, conditions};
use crate::api::jobs::edit;
use crate::api::jobs::get::{missing_job, respond_job};
use crate::api::jobs::input::parse;
use crate::api::jobs::submission::Submission;
use crate::api::jobs::validate::batch::Batch;
use crate::api::jobs::validate::edit::EditMode;
use crate::api::jobs::validate::refusals::unprocessable;
use crate::api::jobs::validate::rules::Rules;
use crate::api::state::{App, AppState};
use crate::app::reads::ReadPhase;
use crate::app::write::{ATTEMPTS, is_stale};
use crate::command::{Command, Outcome};
use crate::model::ProjectId;
use crate::model::job::Job;
use crate::store::jobs;

/// The job that a path names.
#[derive(Clone, Debug)]
pub(crate) struct JobName {
    project: ProjectId,
    external: String,
}

impl<S: Send + Sync> FromRequestParts<S> for JobName {
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
        // A number that no project can have becomes 0, which no project has.
        let project = number.parse().ok().filter(|id: &u64| i64::try_from(*id).is_ok());
        match own_fields::external_id(Some(part("external")))? {
            Some(external) if !external.is_empty() => {
                Ok(Self { project: project.unwrap_or(0), external })
            }
            _ => Err(Error::invalid("externalId", "externalId in the path must not be empty")),
        }
    }
}

impl JobName {
    async fn find(&self, app: &AppState) -> Result<Option<Job>, Error> {
        let Self { project, external } = self.clone();
        let found = app.read(move |conn| {
            let id = jobs::id_by_external_id(conn, project, &external)?;
            id.map_or(Ok(None), |id| jobs::get(conn, id))
        });
        found.await
    }
}

pub(crate) async fn get_job(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    named: JobName,
) -> Result<Response, Error> {
    context.apply_consistency(&app.app).await?;
    let job = named.find(&app).await?.ok_or_else(missing_job)?;
    version::answer(
        &conditions(&headers),
        respond_job(&app, &context, job.id, ReadPhase::BeforeWrite).await?,
    )
}

pub(crate) async fn upsert_job(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    named: JobName,
    JsonBody(body, _hold): JsonBody<{ 4 * SMALL }>,
) -> Result<Response, Error> {
    let (mut input, mut warnings) = parse::one(&body)?;
    if input.definition.project.is_some_and(|project| project != named.project) {
        return Err(unprocessable(
            "projectId",
            "job project_id must be that of the path, or left out",
        ));
    }
    if input.external_id.as_ref().is_some_and(|id| *id != *named.external) {
        return Err(unprocessable(
            "externalId",
            "job externalId must be that of the path, or left out",
        ));
    }
    input.definition.project = Some(named.project);
    input.external_id = Some(named.external.as_str().into());
    let conditions = conditions(&headers);
    app.cluster.linearize().await?;
    // Another request may create or delete the job in the meantime: then it is looked up again.
    for _ in 0..ATTEMPTS {
        let Some(job) = named.find(&app).await? else {
            let mut batch = Batch::new(Rules::new(&app, context.casing()));
            batch.add(input.clone())?;
            let said = batch.warnings();
            conditions.check(None)?;
            let made = match Submission::without_key(batch).commit(&app).await {
                Err(error) if error.status() == StatusCode::CONFLICT => continue,
                made => made?,
            };
            let id = made.jobs.first().map_or(0, |(first, _)| *first);
            let mut response = respond_job(&app, &context, id, ReadPhase::AfterWrite).await?;
            *response.status_mut() = StatusCode::CREATED;
            warnings.merge(said);
            return Ok(respond::warn(response, &warnings));
        };
        let mode = EditMode::Whole;
        match edit::replace(&app, &context, &job, &input, mode, &conditions, &mut warnings).await {
            Ok(true) => {
                let response = respond_job(&app, &context, job.id, ReadPhase::AfterWrite).await?;
                return Ok(respond::warn(response, &warnings));
            }
            Ok(false) => {}
            Err(error) if error.status() == StatusCode::NOT_FOUND => {}
            Err(error) => return Err(error),
        }
    }
    Err(edit::busy())
}

pub(crate) async fn delete_job(
    State(app): App,
    _: RequestContext,
    headers: HeaderMap,
    named: JobName,
) -> Result<Response, Error> {
    let conditions = conditions(&headers);
    for _ in 0..ATTEMPTS {
        app.cluster.linearize().await?;
        let job = named.find(&app).await?.ok_or_else(missing_job)?;
        conditions.check(Some(job.version))?;
        let expect = conditions.expect(job.version);
        match app.cluster.propose(Command::DeleteJob { id: job.id, expect }).await? {
            outcome if is_stale(&outcome) => {}
            Outcome::Rejected(rejection) => return Err(rejection.into()),
            _ => return Ok(respond::no_content()),
        }
    }
    Err(edit::busy())
}
