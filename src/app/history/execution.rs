//! One occurrence with everything that is known of it: its attempts, the pending row of its next
//! attempt, its run, and its dead letter. It is found by the id of any of its attempts or by its
//! execution id.

use rusqlite::Connection;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::history::executions::{ExecutionRecord, ExecutionRecords};
use crate::app::runs::ids::named;
use crate::app::state::App;
use crate::model::Millis;
use crate::model::run::Occurrence;
use crate::model::run_id::DIGITS as RUN_ID_DIGITS;
use crate::store::explain::{Account, explain};
use crate::store::ledger::State;
use crate::store::{executions, meta};

/// An occurrence and its attempts.
#[derive(Debug)]
pub struct OccurrenceRecord {
    /// The cluster's id, which is part of execution ids.
    pub cluster: u128,
    /// The state of the occurrence and all that is to come of it.
    pub account: Account,
    /// Its attempts and skips, in the order of recording.
    pub attempts: Vec<ExecutionRecord>,
}

impl OccurrenceRecord {
    /// The name of its state.
    pub fn state(&self) -> &'static str {
        name(&self.account)
    }
}

impl App {
    /// Reads an occurrence by the id of one of its attempts, or by its execution id.
    ///
    /// # Errors
    ///
    /// `NotFound` where nothing is known of it, or where the id is of another cluster.
    pub async fn get_execution(
        &self,
        actor: &Actor,
        id: String,
    ) -> Result<OccurrenceRecord, Error> {
        authorize(actor, Action::HistoryRead, Resource::Any)?;
        let now = self.now();
        let found = self.read(actor, move |conn| {
            meant(conn, &id)?.map_or(Ok(None), |of| occurrence_record(conn, of, now))
        });
        found.await?.ok_or_else(missing_execution)
    }
}

fn missing_execution() -> Error {
    Error::not_found("execution cannot be found: give the number of an attempt or an execution id")
}

/// The occurrence that the id of an attempt, an execution id or a run id of this cluster names.
fn meant(conn: &Connection, id: &str) -> rusqlite::Result<Option<Occurrence>> {
    if !id.is_empty() && id.len() < RUN_ID_DIGITS && id.bytes().all(|b| b.is_ascii_digit()) {
        let Some(id) = id.parse().ok().filter(|id| i64::try_from(*id).is_ok()) else {
            return Ok(None);
        };
        let found = executions::get(conn, id)?;
        return Ok(found.map(|e| Occurrence { job: e.job, scheduled: e.scheduled, run: e.run }));
    }
    named(conn, id)
}

/// The account of an occurrence; `None` where nothing is known of it.
fn account(conn: &Connection, of: Occurrence, now: Millis) -> rusqlite::Result<Option<Account>> {
    let Some(explained) = explain(conn, of.job, of.scheduled, now)? else { return Ok(None) };
    let mut accounts = explained.account.into_iter().chain(explained.manual);
    Ok(accounts.find(|account| account.occurrence == of))
}

/// Reads the name of an occurrence's state.
pub(super) fn state(
    conn: &Connection,
    of: Occurrence,
    now: Millis,
) -> rusqlite::Result<Option<&'static str>> {
    Ok(account(conn, of, now)?.map(|account| name(&account)))
}

fn name(account: &Account) -> &'static str {
    let tried = account.pending.as_ref().is_some_and(|row| row.attempt > 1);
    match account.state {
        State::Pending if tried => "retrying",
        State::Pending | State::Future | State::Unrecorded => "scheduled",
        state => state.name(),
    }
}

/// Reads an occurrence and its attempts; `None` where nothing is known of it.
pub(in crate::app) fn occurrence_record(
    conn: &Connection,
    of: Occurrence,
    now: Millis,
) -> rusqlite::Result<Option<OccurrenceRecord>> {
    let Some(account) = account(conn, of, now)? else { return Ok(None) };
    let cluster = meta::cluster_id(conn)?.unwrap_or_default();
    let mut found = executions::of_occurrence(conn, of.job, account.due)?;
    found.retain(|e| (e.scheduled, e.run) == (of.scheduled, of.run) || e.since.is_some());
    // A skipped range covers no manual run.
    found.retain(|e| e.run == of.run);
    let mut records = ExecutionRecords::at(conn, now)?;
    let attempts = found.into_iter().map(|one| records.of(one)).collect::<Result<_, _>>()?;
    Ok(Some(OccurrenceRecord { cluster, account, attempts }))
}
