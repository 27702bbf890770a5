//! Reports of receivers about runs that they accepted, and cancellations by clients. Each is one
//! command. A heartbeat reads nothing but the cluster's id.

use std::sync::Arc;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::{Error, refused};
use crate::app::history::execution::state;
use crate::app::reads::ReadPhase;
use crate::app::runs::ids::named;
use crate::app::state::App;
use crate::command::{Change, Command, Outcome, Rejection, RejectionKind, Reported};
use crate::model::Millis;
use crate::model::attempt::bounded;
use crate::model::run::{Occurrence, Report};
use crate::model::run_report::RunState;
use crate::store::runs;

/// The longest wait of a report for the record of its run, in milliseconds ...
const PATIENCE_MS: u64 = 3_000;
/// ... if the occurrence was scheduled less than this ago.
const RECENT_MS: Millis = 24 * 3_600_000;

/// The part of a receiver's words that a report keeps, without control characters.
pub fn bounded_words(text: &str) -> String {
    bounded(text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect())
}

impl App {
    /// Reports about a run by its execution id; gives the name of the state that its occurrence has
    /// then. The words of a failure were bounded by [`bounded_words`].
    ///
    /// # Errors
    ///
    /// `NotFound` where no run has this id; `Conflict` where the run is over or belongs to another
    /// attempt; `Unavailable` without a leader.
    pub async fn report_run(
        &self,
        actor: &Actor,
        execution_id: String,
        report: Report,
    ) -> Result<&'static str, Error> {
        authorize(actor, Action::RunsReport, Resource::Any)?;
        let found = self.read(actor, move |conn| named(conn, &execution_id)).await?;
        let of = found.ok_or_else(|| {
            Error::not_found("no run has this id: give the execution id that came with the request")
        })?;
        let known = state_after(&report);
        if let Some(state) = self.propose_report(actor, of, report).await? {
            return Ok(state.name());
        }
        if let Some(state) = known {
            return Ok(state);
        }
        let now = self.now();
        let read = move |conn: &rusqlite::Connection| state(conn, of, now);
        let found = self.read_at(actor, ReadPhase::AfterWrite, read).await?;
        Ok(found.unwrap_or("retrying"))
    }

    /// Gives the state of the run, where a worker performs it.
    async fn propose_report(
        &self,
        actor: &Actor,
        occurrence: Occurrence,
        report: Report,
    ) -> Result<Option<RunState>, Error> {
        let changes = self.cluster.changes();
        let command = Command::ReportRun { occurrence, report };
        let mut told = self.propose(actor, command.clone()).await?;
        if matches!(&told, Outcome::Rejected(Rejection { kind: RejectionKind::NotFound, .. }))
            && (0..RECENT_MS).contains(&(self.now() - occurrence.scheduled))
            && self.wait_for_run(actor, occurrence, changes).await?
        {
            told = self.propose(actor, command).await?;
        }
        match told {
            Outcome::Done | Outcome::Changed(_) => Ok(None),
            // A worker performs the run.
            Outcome::Reports(told) => Ok(told.into_iter().find_map(|one| match one {
                Reported::Counted(state) => Some(state),
                Reported::Refused { .. } => None,
            })),
            other => Err(refused(other)),
        }
    }

    /// Waits for a run that the store does not have yet. A receiver may report before its own
    /// acceptance has been recorded, which takes a journal, a collector and a quorum.
    async fn wait_for_run(
        &self,
        actor: &Actor,
        occurrence: Occurrence,
        mut changes: Receiver<Arc<Change>>,
    ) -> Result<bool, Error> {
        let clock = self.time.clock();
        let late = clock.boot() + PATIENCE_MS;
        loop {
            if self.read(actor, move |conn| runs::get(conn, occurrence)).await?.is_some() {
                return Ok(true);
            }
            tokio::select! {
                // A missed change is as good as one that was received: the loop reads again.
                change = changes.recv() => {
                    if matches!(change, Err(RecvError::Closed)) {
                        return Ok(false);
                    }
                }
                () = clock.sleep_until(late) => return Ok(false),
            }
        }
    }
}

/// The name of the state that an occurrence has after a report, where the report alone decides it.
fn state_after(report: &Report) -> Option<&'static str> {
    match report {
        Report::Complete => Some("delivered"),
        Report::Heartbeat => Some("running"),
        Report::Cancel => Some("skipped"),
        Report::Fail { retry: false, .. } => Some("dead"),
        Report::Fail { retry: true, .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::MAX_ERROR;

    #[test]
    fn a_receivers_words_are_kept_as_far_as_there_is_room() {
        assert_eq!(bounded_words("no\u{0}way\n2"), "no way\n2");
        let long = bounded_words(&"\u{e4}".repeat(MAX_ERROR));
        assert_eq!(long.len(), MAX_ERROR);
    }
}
