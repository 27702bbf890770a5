//! New secrets that sign the callbacks of a project.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::conditions::Conditions;
use crate::app::error::Error;
use crate::app::projects::read::ProjectRecord;
use crate::app::reads::ReadPhase;
use crate::app::signing::{Rotated, Rotation, RotationInput};
use crate::app::state::App;
use crate::app::write::Versioned;
use crate::command::{Command, ProjectEdit};
use crate::model::ProjectId;
use crate::model::project::ProjectSettings;

impl App {
    /// Replaces the secret that signs the callbacks of a project. The old one signs too until the
    /// overlap is over.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such project; `Conflict` where the given secret is in use;
    /// `Stale` when a condition does not hold.
    pub async fn rotate_project_secret(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        id: ProjectId,
        input: RotationInput,
        by: Option<String>,
    ) -> Result<Rotated<ProjectRecord>, Error> {
        authorize(actor, Action::ProjectsWrite, Resource::Project(id))?;
        let key = input.key;
        let rotation = Rotation::new(input, &self.keys);
        let load = || self.load_project(actor, id, ReadPhase::BeforeWrite);
        self.linearize().await?;
        let old = load().await?.project;
        self.check_rotation(actor, &rotation, &old.settings.signing).await?;
        let edit = |old: &ProjectRecord| {
            let old_settings = &old.project.settings;
            let signing = rotation.apply_to(&old_settings.signing, &self.keys, self.now());
            Ok(Some(Command::UpdateProject(ProjectEdit {
                id,
                expect: Some(old.version()),
                settings: Some(ProjectSettings { signing, ..old_settings.clone() }),
                by: by.clone(),
                ..ProjectEdit::default()
            })))
        };
        self.update_with_retry(actor, conditions, key, load, edit).await?;
        let record = self.load_project(actor, id, ReadPhase::AfterWrite).await?;
        let secret = rotation.secret_to_show(&record.project.settings.signing, &self.keys);
        Ok(Rotated { record, secret })
    }
}
