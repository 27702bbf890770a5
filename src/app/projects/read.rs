//! Reads of projects: one, or a page of them.

use rusqlite::Connection;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::page::{After, Page, PageWriter};
use crate::app::projects::pause_state::{PauseState, Pauses};
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::app::write::Versioned;
use crate::model::ProjectId;
use crate::model::project::Project;
use crate::store::projects::{self, Order};

/// A project and its pause.
#[derive(Clone, Debug, PartialEq)]
pub struct ProjectRecord {
    /// The project.
    pub project: Project,
    /// Its pause, as of now.
    pub pause: PauseState,
}

impl Versioned for ProjectRecord {
    fn version(&self) -> u64 {
        self.project.version
    }
}

impl App {
    /// Reads a project.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is none.
    pub async fn get_project(&self, actor: &Actor, id: ProjectId) -> Result<ProjectRecord, Error> {
        authorize(actor, Action::ProjectsRead, Resource::Project(id))?;
        self.load_project(actor, id, ReadPhase::BeforeWrite).await
    }

    /// Reads the project of a name, if there is one.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when it cannot be read in time.
    pub async fn find_project(
        &self,
        actor: &Actor,
        name: String,
    ) -> Result<Option<ProjectRecord>, Error> {
        authorize(actor, Action::ProjectsRead, Resource::Any)?;
        let now = self.now();
        let found = self.read(actor, move |conn| {
            let Some(id) = projects::id_by_name(conn, &name)? else { return Ok(None) };
            let Some(project) = projects::get(conn, id)? else { return Ok(None) };
            let pause = Pauses::at(conn, now)?.of(id);
            Ok(Some(ProjectRecord { project, pause }))
        });
        found.await
    }

    /// Writes a page of all projects.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when it cannot be read in time.
    pub async fn list_projects<W: PageWriter<ProjectRecord>>(
        &self,
        actor: &Actor,
        page: Page<Order>,
        mut writer: W,
    ) -> Result<W::Written, Error> {
        authorize(actor, Action::ProjectsRead, Resource::Any)?;
        let now = self.now();
        let written = self.read(actor, move |conn| {
            let pauses = Pauses::at(conn, now)?;
            writer.begin(projects::count(conn)?.into());
            projects::each(conn, &page, |project| {
                let after = After { key: page.order_by.key(&project), id: project.id };
                let pause = pauses.of(project.id);
                Ok(writer.push(ProjectRecord { project, pause }, after))
            })?;
            Ok(writer.end())
        });
        written.await
    }

    /// Reads a project in this phase of a use case.
    pub(super) async fn load_project(
        &self,
        actor: &Actor,
        id: ProjectId,
        phase: ReadPhase,
    ) -> Result<ProjectRecord, Error> {
        let now = self.now();
        let found = self.read_at(actor, phase, move |conn| {
            let Some(project) = projects::get(conn, id)? else { return Ok(None) };
            let pause = Pauses::at(conn, now)?.of(id);
            Ok(Some(ProjectRecord { project, pause }))
        });
        found.await?.ok_or_else(missing_project)
    }
}

/// Reads the version of a project.
pub(super) fn version_of(
    id: ProjectId,
) -> impl Fn(&Connection) -> rusqlite::Result<Option<u64>> + Clone {
    move |conn| Ok(projects::get(conn, id)?.map(|project| project.version))
}

/// The error where there is no such project.
pub(super) fn missing_project() -> Error {
    Error::not_found("project does not exist")
}
