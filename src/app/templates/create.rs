//! Creation of templates. A system template gets its first instance in the same entry.

use crate::app::actor::Actor;
use crate::app::error::{Error, refused};
use crate::app::idempotency::Key;
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::app::templates::input::TemplateInput;
use crate::app::warnings::Warnings;
use crate::command::{Command, Outcome};
use crate::model::job::Casing;
use crate::model::template::Template;

impl App {
    /// Creates a template. Warnings about what is valid and probably not meant are added to
    /// `warnings`. `casing` is that of the callbacks of its jobs.
    ///
    /// # Errors
    ///
    /// `Unprocessable` with all fields of the schema and the payload that are wrong; `Invalid`,
    /// `Malformed` where another field is; `Conflict` where the type is taken in the project.
    pub async fn create_template(
        &self,
        actor: &Actor,
        key: Option<Key>,
        input: &TemplateInput<'_>,
        casing: Casing,
        warnings: &mut Warnings,
    ) -> Result<Template, Error> {
        let template = Box::new(self.check_template(actor, None, input, casing, warnings).await?);
        let command = Command::PutTemplate { id: 0, expect: None, template };
        match self.propose(actor, Key::wrap(key, command)).await? {
            Outcome::Created(id) => self.load_template(actor, id, ReadPhase::AfterWrite).await,
            other => Err(refused(other)),
        }
    }
}
