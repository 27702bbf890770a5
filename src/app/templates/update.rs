//! Changes of templates. Fields that a request does not name stay; instances that exist stay as
//! they are.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::conditions::Conditions;
use crate::app::error::{Error, refused};
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::app::templates::edit::Context;
use crate::app::templates::input::TemplateInput;
use crate::app::warnings::Warnings;
use crate::app::write::{ATTEMPTS, is_stale};
use crate::command::{Command, Outcome};
use crate::model::job::Casing;
use crate::model::template::Template;

impl App {
    /// Changes a template. Warnings are added to `warnings`. `casing` is that of the callbacks of a
    /// template that gets its first target.
    ///
    /// # Errors
    ///
    /// As [`App::create_template`]; `NotFound` where there is no such template; `Stale` when a
    /// condition does not hold.
    pub async fn update_template(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        id: u64,
        input: &TemplateInput<'_>,
        casing: Casing,
        warnings: &mut Warnings,
    ) -> Result<Template, Error> {
        authorize(actor, Action::TemplatesWrite, Resource::Any)?;
        for _ in 0..ATTEMPTS {
            // Fields that the request does not name stay, so the read must be up to date.
            self.linearize().await?;
            let old = self.load_template(actor, id, ReadPhase::BeforeWrite).await?;
            let mut new = {
                let rules = self.job_rules(casing);
                let context = Context { rules: &rules, now: self.now(), lenient: false };
                input.apply_to(&context, Some(&old), warnings)?
            };
            self.check_target(actor, &mut new).await?;
            conditions.check(Some(old.version))?;
            let (expect, template) = (Some(old.version), Box::new(new));
            match self.propose(actor, Command::PutTemplate { id, expect, template }).await? {
                outcome if is_stale(&outcome) => {}
                Outcome::Done => {
                    return self.load_template(actor, id, ReadPhase::AfterWrite).await;
                }
                other => return Err(refused(other)),
            }
        }
        Err(Error::unavailable(
            "template is being changed by others all the time, nothing was written: try again",
        ))
    }
}
