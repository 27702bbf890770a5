//! The end of a one-off before its time: its wait or its run is over, and its receiver hears of it
//! at its next report.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::conditions::Conditions;
use crate::app::error::{Error, ErrorKind, refused};
use crate::app::fields::check_text;
use crate::app::jobs::read::{missing_job, version_of};
use crate::app::jobs::record::JobRecord;
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::command::{Command, Outcome};
use crate::model::JobId;

/// The longest reason, in bytes.
pub const LONGEST_REASON: usize = 200;

impl App {
    /// Ends a one-off: `reschedule` says whether another instance of its template follows, where
    /// that is not to be as the template says. A job that is over stays as it is. `None` means that
    /// the job went with its end.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is no such job; `Conflict` where it is recurring; `Stale` when a
    /// condition does not hold.
    pub async fn terminate_job(
        &self,
        actor: &Actor,
        conditions: &Conditions,
        id: JobId,
        reschedule: Option<bool>,
        reason: Option<String>,
    ) -> Result<Option<JobRecord>, Error> {
        authorize(actor, Action::JobsWrite, Resource::Any)?;
        if let Some(reason) = &reason {
            check_text("reason", reason, LONGEST_REASON)?;
        }
        let command = |version| {
            let reason = reason.clone();
            Command::TerminateJob { id, reschedule, reason }.for_version(id, version)
        };
        let version = version_of(id);
        match self.propose_if(actor, conditions, version, missing_job, command).await? {
            Outcome::Changed(_) => {}
            other => return Err(refused(other)),
        }
        match self.load_record(actor, id, ReadPhase::AfterWrite).await {
            Err(gone) if gone.kind() == ErrorKind::NotFound => Ok(None),
            shown => shown.map(Some),
        }
    }
}
