//! Deletion of templates. Their jobs stay; those that are not over are ended where the request says
//! so.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::conditions::Conditions;
use crate::app::error::{Error, refused};
use crate::app::state::App;
use crate::app::templates::read::{missing_template, version_of};
use crate::command::{Command, Outcome};

/// The most instances that one entry ends.
const AT_ONCE: u32 = 500;

impl App {
    /// Deletes a template; with `terminate`, its instances that are not over are ended before.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such template; `Conflict` where instances are not over and
    /// `terminate` is not set; `Stale` when a condition does not hold.
    pub async fn delete_template(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        id: u64,
        terminate: bool,
    ) -> Result<(), Error> {
        authorize(actor, Action::TemplatesWrite, Resource::Any)?;
        let delete = |expect| Command::DeleteTemplate { id, expect, terminate, limit: AT_ONCE };
        let first = self.propose_if(actor, conditions, version_of(id), missing_template, delete);
        let mut outcome = first.await?;
        // Its deletion has begun: it is inactive, and no further instance comes.
        while let Outcome::Changed(_) = outcome {
            outcome = self.propose(actor, delete(None)).await?;
        }
        match outcome {
            Outcome::Done => Ok(()),
            other => Err(refused(other)),
        }
    }
}
