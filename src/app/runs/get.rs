//! One run with its attempts.

use super::ids::{missing_run, named};
use super::record::{RunRecord, RunRecords};
use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::history::execution::{OccurrenceRecord, occurrence_record};
use crate::app::history::executions::ExecutionRecord;
use crate::app::state::App;
use crate::model::attempt::Verdict;
use crate::store::ledger::State;

/// A run and its attempts.
#[derive(Clone, Debug, PartialEq)]
pub struct RunDetails {
    /// The run.
    pub run: RunRecord,
    /// Its attempts, in the order of recording.
    pub attempts: Vec<ExecutionRecord>,
}

impl App {
    /// Reads a run by its execution id or its run id.
    ///
    /// # Errors
    ///
    /// `NotFound` where nothing is known of it; `TooSlow` or `Busy` when it cannot be read in time.
    pub async fn get_run(&self, actor: &Actor, id: String) -> Result<RunDetails, Error> {
        authorize(actor, Action::RunsRead, Resource::Any)?;
        let now = self.now();
        let found = self.read(actor, move |conn| {
            let Some(of) = named(conn, &id)? else { return Ok(None) };
            let Some(found) = occurrence_record(conn, of, now)? else { return Ok(None) };
            details(&mut RunRecords::new(conn)?, found)
        });
        let mut found = found.await?.ok_or_else(missing_run)?;
        self.lay_over(std::slice::from_mut(&mut found.run)).await;
        Ok(found)
    }
}

fn details(
    records: &mut RunRecords<'_>,
    found: OccurrenceRecord,
) -> rusqlite::Result<Option<RunDetails>> {
    let OccurrenceRecord { account, attempts, .. } = found;
    let of = account.occurrence;
    let accepted = account.run.as_ref().filter(|run| run.accepted);
    let run = match (accepted, &account.pending, account.state) {
        (Some(run), ..) => Some(records.of_run(run)?),
        (None, _, State::Delivered | State::Dead | State::Skipped(_)) => {
            let delivered =
                attempts.iter().rev().find(|one| one.execution.verdict == Verdict::Delivered);
            let last = attempts.iter().rev().find(|one| one.execution.verdict.is_end());
            match delivered.or(last) {
                Some(end) => records.of_end(&end.execution)?,
                None => None,
            }
        }
        (None, Some(row), _) => {
            let queue = records.queue_of_row(of, row)?;
            Some(records.of_row(of, row, queue)?)
        }
        (None, None, State::Running) => match &account.run {
            Some(run) => Some(records.of_run(run)?),
            None => None,
        },
        (None, None, State::Unrecorded) => Some(records.of_due(of, account.due)?),
        _ => None,
    };
    let Some(mut run) = run else { return Ok(None) };
    if run.error.is_none() && !run.state.is_end() {
        // That of the attempt before.
        run.error = attempts.iter().rev().find_map(|one| one.execution.error.clone());
    }
    Ok(Some(RunDetails { run, attempts }))
}
