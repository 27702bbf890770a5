//! Dead letters: listed, replayed one by one or by filter at a rate, or purged for good.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;

use crate::api::http::action_router::{ActionRouter, get, post};
use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::idempotency;
use crate::api::http::ids::Id;
use crate::api::http::page::{ListPage, Orders};
use crate::api::http::respond;
use crate::api::state::ApiState;
use crate::app::Action;
use crate::app::history::{LetterFilter, LetterOrder, LetterRecord, LetterSelection, replay_rate};
use crate::app::page::After;
use crate::app::warnings::Warnings;
use crate::model::attempt::occurrence_id;
use crate::model::postponement::parts;
use crate::model::run::Occurrence;
use crate::model::time::rfc3339;
use crate::model::{JobId, ProjectId};

/// The members of a letter that a list shows; the letter itself shows all.
const FIRST_MEMBERS: usize = 20;
/// The most bytes of a target in a filter.
const LONGEST_TARGET: usize = 8_192;

const ORDERS: &Orders<LetterOrder> =
    &[("id", LetterOrder::Id), ("dateCreated", LetterOrder::Id), ("dueAt", LetterOrder::Due)];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LetterView {
    id: u64,
    project_id: ProjectId,
    scheduled_at: String,
    due_at: String,
    /// The number of a manual run.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<u64>,
    attempts: u32,
    http_code: u16,
    /// The answer in words, such as `AMQP 312`, where its code is no HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    /// The time by which the last attempt was deferred although it was due, and the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    waited: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    date_created: String,
    /// The number of members; a list shows only the first of them.
    count: u64,
    members: Vec<MemberView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MemberView {
    job_id: JobId,
    execution_id: String,
}

/// The view of a letter with at most `most` of its members.
fn view(record: LetterRecord, most: usize) -> LetterView {
    let LetterRecord { cluster, letter } = record;
    let (scheduled, run) = (letter.scheduled, letter.run);
    let text = letter.error;
    let (waited, error) = parts(text.as_deref());
    let member = |job| MemberView {
        job_id: job,
        execution_id: occurrence_id(cluster, Occurrence { job, scheduled, run }),
    };
    LetterView {
        id: letter.id,
        project_id: letter.project,
        scheduled_at: rfc3339(scheduled),
        due_at: rfc3339(letter.due),
        run: (run > 0).then_some(run),
        attempts: letter.attempt,
        http_code: letter.result.http_code(),
        answer: letter.result.answer(),
        waited: waited.map(str::to_owned),
        error: error.map(str::to_owned),
        date_created: rfc3339(letter.created),
        count: letter.members.len(),
        members: letter.members.iter().take(most).map(member).collect(),
    }
}

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new()
        .route("/dead-letters", get(Action::DeadLettersRead, list_dead_letters))
        .route("/dead-letters/replay", post(Action::DeadLettersWrite, replay_many))
        .route("/dead-letters/purge", post(Action::DeadLettersWrite, purge_many))
        .route(
            "/dead-letters/{id}",
            get(Action::DeadLettersRead, get_dead_letter)
                .delete(Action::DeadLettersWrite, purge_one),
        )
        .route("/dead-letters/{id}/replay", post(Action::DeadLettersWrite, replay_one))
}

/// Lists letters, the newest first unless the query names a direction.
async fn list_dead_letters(
    State(state): ApiState,
    context: RequestContext,
) -> Result<Response, Error> {
    let mut page = context.page(ORDERS)?;
    page.descending |= !context.has_direction();
    let (from, until) = context.interval()?;
    let filter = LetterFilter {
        project: context.number("projectId")?.filter(|id| *id > 0),
        job: context.number("jobId")?.filter(|id| *id > 0),
        target: context.text("target").map(str::to_owned),
        from,
        until,
        after: context.number("after")?,
    };
    if filter.after.is_some() && page.order_by != LetterOrder::Id {
        return Err(Error::invalid("after", "after goes with orderBy=id only: use offset"));
    }
    context.apply_consistency(&state.app).await?;
    let view = |record| view(record, FIRST_MEMBERS);
    let list = ListPage::with_cursor("deadLetters", page, context.casing(), cursor, view);
    let body = state.app.list_dead_letters(&context.actor, filter, page, list).await?;
    Ok(respond::json(StatusCode::OK, body))
}

/// The end of a page as text. Only a list by id can go on by key.
fn cursor(order: LetterOrder, after: After) -> Option<String> {
    (order == LetterOrder::Id).then(|| after.id.to_string())
}

async fn get_dead_letter(
    State(state): ApiState,
    context: RequestContext,
    Id(id): Id,
) -> Result<Response, Error> {
    context.apply_consistency(&state.app).await?;
    let record = state.app.get_dead_letter(&context.actor, id).await?;
    Ok(respond::ok(&view(record, usize::MAX), context.casing()))
}

async fn replay_one(
    State(state): ApiState,
    context: RequestContext,
    Id(id): Id,
) -> Result<Response, Error> {
    let result = state.app.replay_dead_letter(&context.actor, id).await?;
    Ok(respond::ok(&result, context.casing()))
}

async fn purge_one(
    State(state): ApiState,
    context: RequestContext,
    Id(id): Id,
) -> Result<Response, Error> {
    state.app.purge_dead_letter(&context.actor, id).await?;
    Ok(respond::no_content())
}

/// `{projectId?, jobId?, target?, from?, until?, all?, ratePerSecond?, dryRun?}`: replays all
/// letters that match, oldest first, at a rate of occurrences.
async fn replay_many(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let filter = filter(&mut fields)?;
    let rate = fields.number("ratePerSecond")?.map(replay_rate).transpose()?;
    let dry_run = fields.flag("dryRun")?.unwrap_or(false);
    let all = fields.flag("all")?.unwrap_or(false);
    known("projectId, jobId, target, from, until, all, ratePerSecond, dryRun", &fields.warnings())?;
    let selection = LetterSelection::new("replay", filter, all)?;
    let actor = &context.actor;
    let key = idempotency::key(&headers, actor, "POST /dead-letters/replay", &body)?;
    let result = state.app.replay_dead_letters(actor, key, selection, rate, dry_run).await?;
    Ok(respond::ok(&result, context.casing()))
}

/// `{projectId?, jobId?, target?, from?, until?, all?, dryRun?}`: purges all letters that match.
async fn purge_many(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let filter = filter(&mut fields)?;
    let dry_run = fields.flag("dryRun")?.unwrap_or(false);
    let all = fields.flag("all")?.unwrap_or(false);
    known("projectId, jobId, target, from, until, all, dryRun", &fields.warnings())?;
    let selection = LetterSelection::new("purge", filter, all)?;
    let actor = &context.actor;
    let key = idempotency::key(&headers, actor, "POST /dead-letters/purge", &body)?;
    let result = state.app.purge_dead_letters(actor, key, selection, dry_run).await?;
    Ok(respond::ok(&result, context.casing()))
}

/// Refuses an unknown field, which might be meant to narrow the letters.
fn known(names: &str, warnings: &Warnings) -> Result<(), Error> {
    match warnings.first_unknown() {
        None => Ok(()),
        Some(name) => {
            let message = format!("there is no field {name}, nothing was done: give {names}");
            Err(Error::unprocessable(message))
        }
    }
}

fn filter(fields: &mut Fields) -> Result<LetterFilter, Error> {
    let (from, until) = fields.interval()?;
    Ok(LetterFilter {
        project: fields.number("projectId")?.filter(|id| *id > 0),
        job: fields.number("jobId")?.filter(|id| *id > 0),
        target: fields.text("target", LONGEST_TARGET)?,
        from,
        until,
        after: None,
    })
}
