//! Jobs by the names that clients have for them: a project and an `externalId` within it.

use rusqlite::Connection;

use crate::app::actor::Actor;
use crate::app::error::Error;
use crate::app::jobs::validate::own_fields;
use crate::app::state::App;
use crate::model::ProjectId;
use crate::model::job::Job;
use crate::store::jobs;

/// A client's name for a job.
#[derive(Clone, Debug)]
pub struct JobName {
    pub(super) project: ProjectId,
    pub(super) external: String,
}

impl JobName {
    /// The name in a project.
    ///
    /// # Errors
    ///
    /// `Invalid` where no job can have that name.
    pub fn new(project: ProjectId, external: &str) -> Result<Self, Error> {
        match own_fields::external_id(Some(external))? {
            Some(external) if !external.is_empty() => Ok(Self { project, external }),
            _ => Err(Error::invalid("externalId", "externalId in the path must not be empty")),
        }
    }

    /// Reads the job of this name.
    pub(super) fn find(&self, conn: &Connection) -> rusqlite::Result<Option<Job>> {
        let id = jobs::id_by_external_id(conn, self.project, &self.external)?;
        id.map_or(Ok(None), |id| jobs::get(conn, id))
    }
}

impl App {
    /// Reads the job of a name as it is stored, before it is changed.
    pub(super) async fn find_job(
        &self,
        actor: &Actor,
        name: &JobName,
    ) -> Result<Option<Job>, Error> {
        let name = name.clone();
        self.read(actor, move |conn| name.find(conn)).await
    }
}
