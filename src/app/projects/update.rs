//! Changes of projects. Fields that a request does not name stay.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::conditions::Conditions;
use crate::app::error::Error;
use crate::app::projects::input::ProjectEdit;
use crate::app::projects::read::ProjectRecord;
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::app::write::Versioned;
use crate::command::{self, Command};
use crate::model::ProjectId;

impl App {
    /// Changes a project.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such project; `Conflict` where the name is taken; `Stale` when
    /// a condition does not hold.
    pub async fn update_project(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        id: ProjectId,
        change: ProjectEdit,
    ) -> Result<ProjectRecord, Error> {
        authorize(actor, Action::ProjectsWrite, Resource::Project(id))?;
        let ProjectEdit { name, description, settings, pause, by } = change;
        let names_more = name.is_some() || description.is_some() || !settings.is_empty();
        let edit = |old: &ProjectRecord| {
            let action = pause.action(old.pause);
            // A request that names the status alone changes nothing where the status is so
            // already. A request that names nothing at all still notes who modified the project.
            if !names_more && !pause.is_empty() && action.is_none() {
                return Ok(None);
            }
            let new = settings.apply_to(&old.project.settings, &self.keys, self.now());
            Ok(Some(Command::UpdateProject(command::ProjectEdit {
                id,
                expect: Some(old.version()),
                name: name.clone(),
                description: description.clone(),
                settings: (new != old.project.settings).then_some(new),
                action,
                by: by.clone(),
            })))
        };
        let load = || self.load_project(actor, id, ReadPhase::BeforeWrite);
        self.update_with_retry(actor, conditions, None, load, edit).await?;
        // It holds whether any project has a list of targets.
        self.auth.forget();
        self.load_project(actor, id, ReadPhase::AfterWrite).await
    }
}
