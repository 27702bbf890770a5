//! Reports of receivers about runs that they accepted (`202` and `Scheduler-Async: true`), and
//! cancellations by clients. Each is one command. A heartbeat reads nothing but the cluster's id.

use crate::api::history::execution;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::api::http::body::{self, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::ids::IdText;
use crate::api::http::respond;
use crate::api::state::{App, AppState};
use crate::app::reads::ReadPhase;
use crate::app::refused;
use crate::command::{Change, Command, Outcome, Rejection, RejectionKind};
use crate::model::Millis;
use crate::model::attempt::bounded;
use crate::model::run::{Occurrence, Report};
use crate::store::runs;

/// The longest wait of a report for the record of its run, in milliseconds ...
const PATIENCE_MS: u64 = 3_000;
/// ... if the occurrence was scheduled less than this ago.
const RECENT_MS: Millis = 24 * 3_600_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportView {
    execution_id: String,
    state: &'static str,
}

pub(crate) async fn complete(
    State(app): App,
    context: RequestContext,
    IdText(id): IdText,
) -> Result<Response, Error> {
    let of = report(&app, &id, Report::Complete).await?;
    answer(&app, &context, id, of, Some("delivered")).await
}

pub(crate) async fn heartbeat(
    State(app): App,
    context: RequestContext,
    IdText(id): IdText,
) -> Result<Response, Error> {
    let of = report(&app, &id, Report::Heartbeat).await?;
    answer(&app, &context, id, of, Some("running")).await
}

pub(crate) async fn cancel(
    State(app): App,
    context: RequestContext,
    IdText(id): IdText,
) -> Result<Response, Error> {
    let of = report(&app, &id, Report::Cancel).await?;
    answer(&app, &context, id, of, Some("skipped")).await
}

/// `{error?, retry?}`; with `retry: false` the occurrence is dead-lettered.
pub(crate) async fn fail(
    State(app): App,
    context: RequestContext,
    IdText(id): IdText,
    request: Request,
) -> Result<Response, Error> {
    // A node that is short of memory accepts it too, since it ends a run.
    let (body, _hold) = body::read(&app, request, SMALL).await?;
    let mut fields = Fields::parse(&body)?;
    let retry = fields.flag("retry")?.unwrap_or(true);
    let error = fields.take("error").map(|value| match value {
        serde_json::Value::String(text) => shortened(&text),
        other => shortened(&other.to_string()),
    });
    let of = report(&app, &id, Report::Fail { error, retry }).await?;
    let state = if retry { None } else { Some("dead") };
    let response = answer(&app, &context, id, of, state).await?;
    Ok(respond::warn(response, &fields.warnings()))
}

/// The part of a receiver's text that is kept.
fn shortened(text: &str) -> String {
    bounded(text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect())
}

async fn report(app: &AppState, id: &str, report: Report) -> Result<Occurrence, Error> {
    let text = id.to_owned();
    let found = app.read(move |conn| execution::named(conn, &text)).await?;
    let occurrence = found.ok_or_else(|| {
        Error::not_found("no run has this id: give the execution id that came with the request")
    })?;
    let changes = app.cluster.changes();
    let command = Command::ReportRun { occurrence, report };
    let mut told = app.cluster.propose(command.clone()).await?;
    if matches!(&told, Outcome::Rejected(Rejection { kind: RejectionKind::NotFound, .. }))
        && (0..RECENT_MS).contains(&(app.time.now() - occurrence.scheduled))
        && wait_for_run(app, occurrence, changes).await?
    {
        told = app.cluster.propose(command).await?;
    }
    match told {
        Outcome::Done | Outcome::Changed(_) => Ok(occurrence),
        other => Err(refused(other).into()),
    }
}

/// Waits for a run that the store does not have yet. A receiver may report before its own `202` has
/// been recorded, which takes a journal, a collector and a quorum.
async fn wait_for_run(
    app: &AppState,
    occurrence: Occurrence,
    mut changes: Receiver<Arc<Change>>,
) -> Result<bool, Error> {
    let clock = app.time.clock();
    let late = clock.boot() + PATIENCE_MS;
    loop {
        if app.read(move |conn| runs::get(conn, occurrence)).await?.is_some() {
            return Ok(true);
        }
        tokio::select! {
            // A missed change is as good as one that was received: the loop reads again.
            change = changes.recv() => if matches!(change, Err(RecvError::Closed)) { return Ok(false) },
            () = clock.sleep_until(late) => return Ok(false),
        }
    }
}

/// Answers with the state of the occurrence, which is read where the report alone does not decide
/// it.
async fn answer(
    app: &AppState,
    context: &RequestContext,
    execution_id: String,
    of: Occurrence,
    known: Option<&'static str>,
) -> Result<Response, Error> {
    let state = if let Some(state) = known {
        state
    } else {
        let now = app.time.now();
        let read = move |conn: &rusqlite::Connection| execution::state(conn, of, now);
        let found = app.read_at(ReadPhase::AfterWrite, read).await?;
        found.unwrap_or("retrying")
    };
    Ok(respond::ok(&ReportView { execution_id, state }, context.casing()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::MAX_ERROR;

    #[test]
    fn a_receivers_words_are_kept_as_far_as_there_is_room() {
        assert_eq!(shortened("no\u{0}way\n2"), "no way\n2");
        let long = shortened(&"\u{e4}".repeat(MAX_ERROR));
        assert_eq!(long.len(), MAX_ERROR);
    }
}
