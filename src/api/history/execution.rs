//! One occurrence with everything that is known of it: its attempts, the pending row of its next
//! attempt, its run, and its dead letter. It is found by the id of any of its attempts or by its
//! execution id.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use rusqlite::Connection;
use serde::Serialize;

use crate::api::history::execution_view::{ExecutionView, views};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::ids::IdText;
use crate::api::http::respond;
use crate::api::state::App;
use crate::model::Millis;
use crate::model::attempt::{SkipReason, occurrence_id, parse_execution_id};
use crate::model::job::PARKED;
use crate::model::run::{Occurrence, Run};
use crate::model::time::rfc3339;
use crate::store::explain::{Account, explain};
use crate::store::{executions, ledger, meta};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OccurrenceView {
    execution_id: String,
    job_id: u64,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The number of a manual run.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<u64>,
    scheduled_at: String,
    due_at: String,
    attempts: Vec<ExecutionView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt: Option<NextView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<RunView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter_id: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NextView {
    attempt: u32,
    /// The instant of the attempt; absent while it waits behind other runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    /// The execution ids of the runs that it waits behind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    behind: Vec<String>,
    /// The reason why it is deferred.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunView {
    attempt: u32,
    node_id: u64,
    /// `true` if the receiver has accepted the run and reports later.
    accepted: bool,
    started_at: String,
    heard_at: String,
    /// The instant at which the run counts as lost without a report; absent where nothing bounds
    /// it.
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<String>,
}

/// 404.
pub(crate) fn missing_execution() -> Error {
    Error::not_found("execution cannot be found: give the number of an attempt or an execution id")
}

pub(crate) async fn get_execution(
    State(app): App,
    context: RequestContext,
    IdText(text): IdText,
) -> Result<Response, Error> {
    context.apply_consistency(&app.app).await?;
    let (now, casing) = (app.time.now(), context.casing());
    let body = app.read(move |conn| {
        let Some(of) = meant(conn, &text)? else { return Ok(None) };
        Ok(view(conn, of, now)?.map(|view| respond::envelope(&view, casing)))
    });
    Ok(respond::json(StatusCode::OK, body.await?.ok_or_else(missing_execution)?))
}

/// The occurrence that the id of an attempt or an execution id of this cluster names.
fn meant(conn: &Connection, text: &str) -> rusqlite::Result<Option<Occurrence>> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let Some(id) = text.parse().ok().filter(|id| i64::try_from(*id).is_ok()) else {
            return Ok(None);
        };
        let found = executions::get(conn, id)?;
        return Ok(found.map(|e| Occurrence { job: e.job, scheduled: e.scheduled, run: e.run }));
    }
    named(conn, text)
}

/// The occurrence that an execution id names; `None` for an id of another cluster.
pub(crate) fn named(conn: &Connection, text: &str) -> rusqlite::Result<Option<Occurrence>> {
    let Some(of) = parse_execution_id(text).filter(|of| i64::try_from(of.job).is_ok()) else {
        return Ok(None);
    };
    let cluster = meta::cluster_id(conn)?.unwrap_or_default();
    Ok((occurrence_id(cluster, of) == text).then_some(of))
}

/// The account of an occurrence; `None` where nothing is known of it.
fn account(conn: &Connection, of: Occurrence, now: Millis) -> rusqlite::Result<Option<Account>> {
    let Some(explained) = explain(conn, of.job, of.scheduled, now)? else { return Ok(None) };
    let mut accounts = explained.account.into_iter().chain(explained.manual);
    Ok(accounts.find(|account| account.occurrence == of))
}

/// The name of an occurrence's state.
pub(crate) fn state(
    conn: &Connection,
    of: Occurrence,
    now: Millis,
) -> rusqlite::Result<Option<&'static str>> {
    Ok(account(conn, of, now)?.map(|account| name(&account)))
}

fn name(account: &Account) -> &'static str {
    let tried = account.pending.as_ref().is_some_and(|row| row.attempt > 1);
    match account.state {
        ledger::State::Pending if tried => "retrying",
        ledger::State::Pending | ledger::State::Future | ledger::State::Unrecorded => "scheduled",
        state => state.name(),
    }
}

fn view(
    conn: &Connection,
    of: Occurrence,
    now: Millis,
) -> rusqlite::Result<Option<OccurrenceView>> {
    let Some(account) = account(conn, of, now)? else { return Ok(None) };
    let cluster = meta::cluster_id(conn)?.unwrap_or_default();
    let mut attempts = executions::of_occurrence(conn, of.job, account.due)?;
    attempts.retain(|e| (e.scheduled, e.run) == (of.scheduled, of.run) || e.since.is_some());
    // A skipped range covers no manual run.
    attempts.retain(|e| e.run == of.run);
    let behind = account.behind.iter().map(|other| occurrence_id(cluster, *other));
    let next = account.pending.as_ref().map(|row| NextView {
        attempt: row.attempt,
        at: (row.next_at != PARKED).then(|| rfc3339(row.next_at)),
        behind: behind.collect(),
        waits_for: row.postponement().map(|postponed| postponed.waits_for()),
    });
    Ok(Some(OccurrenceView {
        execution_id: occurrence_id(cluster, of),
        job_id: of.job,
        state: name(&account),
        reason: account.state.reason().map(SkipReason::name),
        run: (of.run > 0).then_some(of.run),
        scheduled_at: rfc3339(of.scheduled),
        due_at: rfc3339(account.due),
        attempts: views(conn, attempts, now)?,
        next_attempt: next,
        running: account.run.as_ref().map(running),
        dead_letter_id: account.letter.map(|letter| letter.id),
    }))
}

fn running(run: &Run) -> RunView {
    RunView {
        attempt: run.attempt,
        node_id: run.node,
        accepted: run.accepted,
        started_at: rfc3339(run.started),
        heard_at: rfc3339(run.heard),
        deadline: run.bounded_by().map(rfc3339),
        ends_at: run.ends.map(rfc3339),
    }
}
