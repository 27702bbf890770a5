//! Deletion of projects.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::conditions::Conditions;
use crate::app::error::{Error, ErrorKind, refused};
use crate::app::projects::read::{missing_project, version_of};
use crate::app::state::App;
use crate::command::{Command, Outcome};
use crate::model::ProjectId;

impl App {
    /// Deletes a project, and its jobs with it if `cascade` says so.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such project; `Conflict` where it has jobs that would stay;
    /// `Stale` when a condition does not hold.
    pub async fn delete_project(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        id: ProjectId,
        cascade: bool,
    ) -> Result<(), Error> {
        authorize(actor, Action::ProjectsWrite, Resource::Project(id))?;
        let command = |expect| Command::DeleteProject { id, cascade, expect };
        let version = version_of(id);
        match self.propose_if(actor, conditions, version, missing_project, command).await? {
            Outcome::Done => Ok(()),
            other => {
                let error = refused(other);
                if error.kind() == ErrorKind::Conflict {
                    return Err(error.because("add ?cascade=true to delete the jobs with it"));
                }
                Err(error)
            }
        }
    }
}
