//! The check of a template before it is written: a new one, or a change of one. `create`, `update`
//! and `import` make it, and the pages make it alone. Nothing is written here.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::app::templates::edit::Context;
use crate::app::templates::input::TemplateInput;
use crate::app::warnings::Warnings;
use crate::model::ProjectId;
use crate::model::job::Casing;
use crate::model::template::Template;
use crate::store::{executors, projects};

impl App {
    /// Gives the template that a request would make of the one with this number, or of none.
    /// Warnings are added to `warnings`. `casing` is that of the callbacks of a template that gets
    /// its first target.
    ///
    /// # Errors
    ///
    /// As [`App::create_template`] and [`App::update_template`], but for conflicts of types.
    pub async fn check_template(
        &self,
        actor: &Actor,
        id: Option<u64>,
        input: &TemplateInput<'_>,
        casing: Casing,
        warnings: &mut Warnings,
    ) -> Result<Template, Error> {
        authorize(actor, Action::TemplatesWrite, Resource::of_project(input.project))?;
        let old = match id {
            Some(id) => Some(self.load_template(actor, id, ReadPhase::BeforeWrite).await?),
            None => None,
        };
        let mut template = {
            let rules = self.job_rules(casing);
            let context = Context { rules: &rules, now: self.now(), lenient: false };
            input.apply_to(&context, old.as_ref(), warnings)?
        };
        self.check_places(actor, template.project, template.definition.executor).await?;
        self.check_target(actor, &mut template).await?;
        Ok(template)
    }

    /// Refuses templates whose project or executor does not exist, which a check that writes
    /// nothing finds by this alone.
    pub(super) async fn check_places(
        &self,
        actor: &Actor,
        project: ProjectId,
        executor: Option<u64>,
    ) -> Result<(), Error> {
        let found = self.read(actor, move |conn| {
            let executor = executor.map(|id| executors::get(conn, id)).transpose()?;
            Ok((projects::exists(conn, project)?, executor))
        });
        let (has_project, found) = found.await?;
        if !has_project {
            let message = format!("project with id {project} does not exist");
            return Err(Error::malformed(message).field("projectId"));
        }
        let missing = match found {
            Some(None) => "does not exist",
            Some(Some(found)) if !found.takes_jobs() => {
                "cannot be called: use one of type webhook_url"
            }
            None | Some(Some(_)) => return Ok(()),
        };
        let message = format!("executor with id {} {missing}", executor.unwrap_or_default());
        Err(Error::malformed(message).field("executorId"))
    }

    /// Refuses a template whose jobs its target would not take.
    pub(super) async fn check_target(
        &self,
        actor: &Actor,
        template: &mut Template,
    ) -> Result<(), Error> {
        if !template.has_target() {
            return Ok(());
        }
        // Its target may name the type, which only its jobs carry.
        let (definition, data) = (&mut template.definition, &template.data);
        definition.template_type.clone_from(&template.kind);
        let checked = self.check_instance(actor, definition, data, None).await;
        template.definition.template_type.clear();
        checked
    }
}
