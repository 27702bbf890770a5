//! Rows of what somebody did that changes nothing of the replicated state: a backup, an export of
//! the audit, a step of the members. The use cases of those call it, when it is done.

use crate::app::actor::Actor;
use crate::app::error::ErrorKind;
use crate::app::state::App;
use crate::command::Command;
use crate::model::audit::AuditNote;

impl App {
    /// Adds a row to the audit for what an actor did. The action stands even where the row cannot
    /// be written: a backup of a cluster without a leader may be all that is left. That is logged.
    pub(in crate::app) async fn note(&self, actor: &Actor, note: AuditNote) {
        let (action, noun) = (note.action.clone(), note.noun.clone());
        match self.propose(actor, Command::Note(note)).await {
            Ok(_) => {}
            // The cluster has no audit before all its members know one.
            Err(error) if error.kind() == ErrorKind::UpgradePending => {}
            Err(error) => {
                tracing::warn!(%error, %action, %noun, "the audit has no row of an action");
            }
        }
    }
}
