//! Reads of one project, which its routes share.

use crate::api::http::version;
use axum::response::Response;
use rusqlite::Connection;

use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::respond;
use crate::api::http::write::Versioned;
use crate::api::limits::reader::ReadPhase;
use crate::api::projects::pause_state::{PauseState, pauses};
use crate::api::projects::view::view;
use crate::api::state::AppState;
use crate::model::ProjectId;
use crate::model::project::Project;
use crate::store::projects;

/// The longest name, in bytes.
pub(crate) const LONGEST_NAME: usize = 256;
/// The longest `createdBy` and `modifiedBy`, in bytes.
pub(crate) const LONGEST_BY: usize = 256;

/// A project and its pause.
pub(crate) struct Loaded {
    pub(crate) project: Project,
    pub(crate) state: PauseState,
}

impl Versioned for Loaded {
    fn version(&self) -> u64 {
        self.project.version
    }
}

/// Reads a project; 404 where there is none.
pub(crate) async fn load(app: &AppState, id: ProjectId, phase: ReadPhase) -> Result<Loaded, Error> {
    let now = app.time.now();
    let found = app.read_at(phase, move |conn| {
        let Some(project) = projects::get(conn, id)? else { return Ok(None) };
        let pause = pauses(conn, now)?.remove(&id);
        let state = pause.map_or(PauseState::Active, PauseState::Paused);
        Ok(Some(Loaded { project, state }))
    });
    found.await?.ok_or_else(missing_project)
}

/// Reads the version of a project.
pub(crate) fn version_of(
    id: ProjectId,
) -> impl Fn(&Connection) -> rusqlite::Result<Option<u64>> + Clone {
    move |conn| Ok(projects::get(conn, id)?.map(|project| project.version))
}

/// 404.
pub(crate) fn missing_project() -> Error {
    Error::not_found("project does not exist")
}

/// Answers 200 with a project and its version.
pub(crate) async fn respond_project(
    app: &AppState,
    context: &RequestContext,
    id: ProjectId,
    phase: ReadPhase,
) -> Result<Response, Error> {
    let Loaded { project, state } = load(app, id, phase).await?;
    let version = project.version;
    let view = view(project, state, app.time.now());
    Ok(version::tag(respond::ok(&view, context.casing()), version))
}
