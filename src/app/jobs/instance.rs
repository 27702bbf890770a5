//! The checks of an instance of a template as a job: whether its target takes its data, whatever
//! the target is. `app::templates` calls it, for a template that is saved and for each instance.

use crate::app::actor::Actor;
use crate::app::error::Error;
use crate::app::jobs::validate::executors::{self, OwnValues};
use crate::app::jobs::validate::own_fields::external_id;
use crate::app::jobs::validate::payload::check_payload;
use crate::app::state::App;
use crate::model::job::JobDefinition;

impl App {
    /// Refuses a definition that its target does not suit, or data that its target does not take.
    pub(in crate::app) async fn check_instance(
        &self,
        actor: &Actor,
        definition: &mut JobDefinition,
        data: &str,
        external: Option<&str>,
    ) -> Result<(), Error> {
        external_id(external)?;
        check_payload(&self.job_rules(definition.casing), definition, &mut None, data)?;
        let own = std::iter::once(OwnValues { definition: 0, data, external_id: external });
        let definitions = std::slice::from_mut(definition);
        executors::check(self, actor, definitions, own).await.map_err(|(_, error)| error)
    }
}
