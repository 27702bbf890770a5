//! `POST /templates/import`: the templates of a file, an object of them by type. The original's
//! `job_templates.json` is such a file.

use axum::extract::State;
use axum::response::Response;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::respond;
use crate::api::state::ApiState;
use crate::api::templates::input::read_file;
use crate::api::templates::view::ImportView;
use crate::app::templates::Import;
use crate::app::warnings::Warnings;

/// The body is the file; the query says what all of its templates share.
pub(crate) async fn import_templates(
    State(state): ApiState,
    context: RequestContext,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let app = &state.app;
    let project = context.number("projectId")?.filter(|project| *project > 0);
    let Some(project) = project else {
        let message = "projectId is missing: name the project of the templates in the query";
        return Err(Error::invalid("projectId", message));
    };
    let dry_run = context.flag("dryRun")?;
    let executor = context.number("executorId")?;
    let text = std::str::from_utf8(&body)
        .map_err(|_| Error::bad_request("the request's body is not valid UTF-8"))?;
    let mut warnings = Warnings::default();
    let templates = read_file(text, &app.kinds_for_jobs(), &mut warnings)?;
    let import = Import { project, executor, dry_run, templates };
    let report = Box::pin(app.import_templates(&context.actor, import, context.casing())).await?;
    let response = respond::ok(&ImportView::of(report, dry_run), context.casing());
    Ok(respond::warn(response, &warnings))
}
