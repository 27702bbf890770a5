//! Reports of receivers about runs that they accepted, and cancellations by clients. Each is one
//! command. A heartbeat reads nothing but the cluster's id.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::{Error, refused};
use crate::app::history::execution::state;
use crate::app::reads::ReadPhase;
use crate::app::runs::arrivals::PATIENCE_MS;
use crate::app::runs::ids::named;
use crate::app::state::App;
use crate::command::{Command, Outcome, Rejection, RejectionKind, Reported};
use crate::model::Millis;
use crate::model::attempt::bounded;
use crate::model::claim::ReportNotice;
use crate::model::run::{Occurrence, Report};
use crate::model::run_report::RunState;

/// A report waits for the record of its run if the occurrence was scheduled less than this ago, in
/// milliseconds.
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
        let rows = report == Report::Cancel;
        if let Some(gateway) = self.gateway().filter(|_| !rows) {
            // A sign of life for the supervisor of a worker's run.
            let (worker, ends) = (String::new(), report != Report::Heartbeat);
            let notice = ReportNotice { occurrence, attempt: 0, worker, ends };
            gateway.note_reports(vec![notice]).await;
        }
        let command = Command::ReportRun { occurrence, report };
        let mut told = self.propose(actor, command.clone()).await?;
        if is_missing(&told) && (0..RECENT_MS).contains(&(self.now() - occurrence.scheduled)) {
            told = self.propose_late(actor, occurrence, command, rows).await?;
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

    /// Proposes a report again as long as its run is not there. A receiver may report before its
    /// own acceptance has been recorded, which takes a journal, a collector and a quorum.
    async fn propose_late(
        &self,
        actor: &Actor,
        of: Occurrence,
        command: Command,
        rows: bool,
    ) -> Result<Outcome, Error> {
        let clock = self.time.clock();
        let late = clock.boot() + PATIENCE_MS;
        let arrival = self.arrivals.expect(&self.cluster, of, rows)?;
        // The run may have come between the refusal and the begin of the wait.
        let mut in_time = true;
        loop {
            let told = self.propose(actor, command.clone()).await?;
            if !in_time || !is_missing(&told) {
                return Ok(told);
            }
            tokio::select! {
                () = arrival.changed() => {}
                () = clock.sleep_until(late) => in_time = false,
            }
        }
    }
}

/// Says whether a report found no run.
fn is_missing(told: &Outcome) -> bool {
    matches!(told, Outcome::Rejected(Rejection { kind: RejectionKind::NotFound, .. }))
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
