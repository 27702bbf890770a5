//! `GET /runs` and `GET /runs/{id}`.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::view::{RunView, details, view};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::ids::IdText;
use crate::api::http::page::MAX_LIMIT;
use crate::api::http::respond;
use crate::api::state::ApiState;
use crate::app::runs::{RunFilter, RunPlace};
use crate::model::Millis;
use crate::model::offer::MAX_NAME;
use crate::model::run::Occurrence;
use crate::model::run_report::RunState;

const DEFAULT_LIMIT: u64 = 50;

/// A page of runs. It has no total: what is not over is not counted for a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunsView {
    limit: u64,
    runs: Vec<RunView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(crate) async fn list_runs(
    State(state): ApiState,
    context: RequestContext,
) -> Result<Response, Error> {
    let app = &state.app;
    let limit = context.number("limit")?.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
    if limit == 0 {
        return Err(Error::invalid("limit", format!("limit must be from 1 to {MAX_LIMIT}")));
    }
    let filter = RunFilter {
        states: states(&context)?,
        job: context.number("jobId")?.filter(|id| *id > 0),
        project: context.number("projectId")?.filter(|id| *id > 0),
        queue: name(&context, "queue")?,
        worker: name(&context, "worker")?,
        created_before: context.instant("createdBefore")?,
        started_before: context.instant("startedBefore")?,
        heartbeat_before: context.instant("heartbeatBefore")?,
    };
    let after = context.text("after").map(read_cursor).transpose()?;
    context.apply_consistency(app).await?;
    let page = app.list_runs(&context.actor, filter, limit as usize, after).await?;
    let runs = page.runs.into_iter().map(view).collect();
    let view = RunsView { limit, runs, next: page.next.map(cursor) };
    Ok(respond::ok(&view, context.casing()))
}

pub(crate) async fn get_run(
    State(state): ApiState,
    context: RequestContext,
    IdText(id): IdText,
) -> Result<Response, Error> {
    let app = &state.app;
    context.apply_consistency(app).await?;
    let found = app.get_run(&context.actor, id).await?;
    Ok(respond::ok(&details(found), context.casing()))
}

/// The states of a query: the parameter may come several times, and have several names with commas.
fn states(context: &RequestContext) -> Result<Vec<RunState>, Error> {
    let names = context.texts("state").flat_map(|text| text.split(','));
    let state = |name: &str| {
        RunState::from_name(name.trim()).ok_or_else(|| {
            let known: Vec<_> = RunState::ALL.iter().map(|state| state.name()).collect();
            Error::invalid("state", format!("state must be of {}", known.join(", ")))
        })
    };
    names.map(state).collect()
}

/// A name in a query.
fn name(context: &RequestContext, field: &'static str) -> Result<Option<String>, Error> {
    let Some(name) = context.text(field) else { return Ok(None) };
    if name.len() > MAX_NAME {
        return Err(Error::invalid(field, format!("{field} is longer than {MAX_NAME} bytes")));
    }
    Ok(Some(name.to_owned()))
}

/// The end of a page as text.
fn cursor(place: RunPlace) -> String {
    match place {
        RunPlace::Open(Occurrence { job, scheduled, run }) => {
            format!("o-{scheduled:x}-{job:x}-{run:x}")
        }
        RunPlace::Ended(due, id) => format!("e-{due:x}-{id:x}"),
    }
}

/// The end of a page, from the `next` of its answer.
fn read_cursor(text: &str) -> Result<RunPlace, Error> {
    let number = |text: &str| {
        let number = u64::from_str_radix(text, 16).ok();
        number.filter(|number| *number < i64::MAX as u64)
    };
    let read = || {
        let mut parts = text.split('-');
        let kind = parts.next()?;
        let at = Millis::from_str_radix(parts.next()?, 16).ok()?;
        let id = number(parts.next()?)?;
        let place = match kind {
            "o" => {
                let run = number(parts.next()?)?;
                RunPlace::Open(Occurrence { job: id, scheduled: at, run })
            }
            "e" => RunPlace::Ended(at, id),
            _ => return None,
        };
        parts.next().is_none().then_some(place)
    };
    let wrong = || Error::invalid("after", "after must be the next of an earlier page of runs");
    read().ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_another_text_does_not() {
        for place in [
            RunPlace::Open(Occurrence { job: 7, scheduled: 1_763_700_000_123, run: 0 }),
            RunPlace::Open(Occurrence { job: 1 << 47, scheduled: 0, run: 26 }),
            RunPlace::Ended(1_763_700_000_123, 9),
        ] {
            assert_eq!(read_cursor(&cursor(place)).unwrap(), place);
        }
        for bad in ["", "o", "o-1-2", "o-1-2-3-4", "e-1", "x-1-2", "e-g-1", "e-1-ffffffffffffffff"]
        {
            assert_eq!(read_cursor(bad).unwrap_err().status(), 400, "{bad}");
        }
    }
}
