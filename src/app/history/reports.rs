//! Reports of receivers about runs that they accepted, and cancellations by clients. Each is one
//! command, but for the heartbeat of a worker's run, which goes to the owner of the run.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::{Error, refused};
use crate::app::history::execution::state;
use crate::app::reads::ReadPhase;
use crate::app::runs::absence::{LateReport, not_recorded_yet};
use crate::app::runs::arrivals::PATIENCE_MS;
use crate::app::runs::ids::named;
use crate::app::runs::standing::{is_found, is_settled, may_come};
use crate::app::state::App;
use crate::command::{Command, Outcome, Rejection, RejectionKind, Reported};
use crate::gateway::Gateway;
use crate::model::attempt::{bounded, occurrence_id};
use crate::model::claim::{HandOutQuestion, ReportNotice, RunHeartbeat, WorkerHeartbeat};
use crate::model::run::{Occurrence, Report, Run};
use crate::model::run_report::RunState;
use crate::store::{meta, runs};

/// An occurrence after a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedState {
    /// Its execution id, by whichever id it was named.
    pub execution_id: String,
    /// The name of its state.
    pub state: &'static str,
}

/// The part of a receiver's words that a report keeps, without control characters.
pub fn bounded_words(text: &str) -> String {
    bounded(text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect())
}

impl App {
    /// Reports about a run by its execution id or its run id; gives the state that its occurrence
    /// has then. The words of a failure were bounded by [`bounded_words`].
    ///
    /// # Errors
    ///
    /// `NotFound` where no run has this id; `Conflict` where the run is over or belongs to another
    /// attempt; `Unavailable` without a leader, and where the record of the run may still come;
    /// `Busy` where too many reports wait for such records.
    pub async fn report_run(
        &self,
        actor: &Actor,
        id: String,
        report: Report,
    ) -> Result<ReportedState, Error> {
        authorize(actor, Action::RunsReport, Resource::Any)?;
        let beats = report == Report::Heartbeat;
        let found = self.read(actor, move |conn| {
            let Some(of) = named(conn, &id)? else { return Ok(None) };
            let cluster = meta::cluster_id(conn)?.unwrap_or_default();
            let run = if beats { runs::get(conn, of)? } else { None };
            Ok(Some((occurrence_id(cluster, of), of, run)))
        });
        let (execution_id, of, run) = found.await?.ok_or_else(|| {
            Error::not_found("no run has this id: give the execution id that came with the request")
        })?;
        let by_worker = run.filter(|run| run.accepted && run.worker.is_some());
        if let (Some(run), Some(gateway)) = (by_worker, self.gateway()) {
            let state = heartbeat_of_worker(gateway, &run).await?.name();
            return Ok(ReportedState { execution_id, state });
        }
        let state = self.state_after_report(actor, of, report).await?;
        Ok(ReportedState { execution_id, state })
    }

    async fn state_after_report(
        &self,
        actor: &Actor,
        of: Occurrence,
        report: Report,
    ) -> Result<&'static str, Error> {
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
        if is_missing(&told) {
            let now = self.now();
            if self.read(actor, move |conn| may_come(conn, occurrence, now)).await? {
                told = self.propose_late(actor, occurrence, command, rows).await?;
            }
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

    /// Proposes a report again once its run is there. A receiver may report before its own
    /// acceptance has been recorded, which takes a journal, a collector and a quorum. When nothing
    /// came in time, the last word is the leader's, and that of the owner of the run.
    async fn propose_late(
        &self,
        actor: &Actor,
        of: Occurrence,
        command: Command,
        rows: bool,
    ) -> Result<Outcome, Error> {
        let clock = self.time.clock();
        let (late, term) = (clock.boot() + PATIENCE_MS, self.term());
        let arrival = self.arrivals.expect(&self.cluster, vec![of], rows)?;
        let mut in_time = true;
        // The run may have come between the refusal and the begin of the wait.
        while in_time {
            if self.read(actor, move |conn| is_found(conn, of, rows)).await? {
                let told = self.propose(actor, command.clone()).await?;
                if !is_missing(&told) {
                    return Ok(told);
                }
            }
            tokio::select! {
                _ = arrival.changed() => {}
                () = clock.sleep_until(late) => in_time = false,
            }
        }
        // This node's copy may be behind what is committed.
        let told = self.propose(actor, command).await?;
        if is_missing(&told) && !self.is_absent(actor, of, term).await? {
            return Err(not_recorded_yet(None));
        }
        Ok(told)
    }

    /// Says whether the run of a report that has waited never was, whatever the attempt.
    async fn is_absent(&self, actor: &Actor, of: Occurrence, term: u64) -> Result<bool, Error> {
        let unsettled = self.read(actor, move |conn| {
            Ok(of.run == 0 && !is_found(conn, of, true)? && !is_settled(conn, of)?)
        });
        let is_unsettled = unsettled.await?;
        let question = HandOutQuestion { occurrence: of, attempt: 0, worker: String::new() };
        let absent = self.are_absent(vec![LateReport { question, is_unsettled }], term).await;
        Ok(absent == [true])
    }
}

/// Passes the heartbeat of a worker's run on to its owner; gives the state of the run.
async fn heartbeat_of_worker(gateway: &Gateway, run: &Run) -> Result<RunState, Error> {
    let worker = run.worker.as_deref().map(|kept| kept.worker.clone()).unwrap_or_default();
    let (occurrence, attempt) = (run.occurrence, run.attempt);
    let beat = RunHeartbeat { occurrence, attempt, progress: None, message: None };
    let heard = gateway.heartbeat(WorkerHeartbeat { worker, runs: vec![beat] }, 0).await;
    if !heard.gone.is_empty() {
        let message = "no worker has this attempt of the run now: stop working on it";
        return Err(Error::conflict(message));
    }
    if !heard.cancel.is_empty() {
        return Ok(RunState::Cancelling);
    }
    if !heard.unknown.is_empty() {
        let message = "the owner of this run was not reached: send the heartbeat again";
        return Err(Error::unavailable(message));
    }
    Ok(RunState::Running)
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
