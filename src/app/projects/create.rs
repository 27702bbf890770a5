//! Creation of projects.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::{Error, refused};
use crate::app::idempotency::Key;
use crate::app::projects::input::ProjectInput;
use crate::app::projects::pause_state::PauseState;
use crate::app::projects::read::ProjectRecord;
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::command::{Command, NewProject, Outcome};
use crate::model::project::ProjectSettings;

impl App {
    /// Creates a project.
    ///
    /// # Errors
    ///
    /// `Conflict` where its name is taken.
    pub async fn create_project(
        &self,
        actor: &Actor,
        key: Option<Key>,
        input: ProjectInput,
    ) -> Result<ProjectRecord, Error> {
        authorize(actor, Action::ProjectsWrite, Resource::Any)?;
        let ProjectInput { name, description, settings, pause, by } = input;
        let settings = settings.apply_to(&ProjectSettings::default(), &self.keys, self.now());
        let action = pause.action(PauseState::Active);
        let new = NewProject { name, description, settings, action, by };
        match self.propose(actor, Key::wrap(key, Command::CreateProject(new))).await? {
            Outcome::Created(id) => {
                // It holds whether any project has a list of targets.
                self.auth.forget();
                self.load_project(actor, id, ReadPhase::AfterWrite).await
            }
            other => Err(refused(other)),
        }
    }
}
