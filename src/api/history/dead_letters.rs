//! Dead letters: listed, replayed one by one or by filter at a rate, or purged for good. Members
//! that went out in one request are one letter.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::api::http::action_router::{ActionRouter, get, post};
use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::idempotency;
use crate::api::http::ids::Id;
use crate::api::http::page::{ListWriter, Orders};
use crate::api::http::respond;
use crate::api::http::warnings::Warnings;
use crate::api::state::{App, AppState};
use crate::app::Action;
use crate::app::refused;
use crate::command::{Command, Outcome};
use crate::model::attempt::occurrence_id;
use crate::model::postponement::parts;
use crate::model::run::Occurrence;
use crate::model::time::rfc3339;
use crate::model::{JobId, Millis, ProjectId};
use crate::store::dead_letters::{self, DeadLetter, Filter, Order, Walked};
use crate::store::meta;

/// The members of a letter that a list shows; the letter itself shows all.
const FIRST_MEMBERS: usize = 20;
/// The letters of one command.
const CHUNK: usize = 500;
/// The most letters that one read looks at.
const MAX_SCANNED: u64 = 2_000;
const MOST_RATE: u64 = 1_000_000;

const ORDERS: &Orders<Order> =
    &[("id", Order::Id), ("dateCreated", Order::Id), ("dueAt", Order::Due)];

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

fn view(letter: DeadLetter, cluster: u128, most: usize) -> LetterView {
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
        waited: waited.map(str::to_owned),
        error: error.map(str::to_owned),
        date_created: rfc3339(letter.created),
        count: letter.members.len(),
        members: letter.members.iter().take(most).map(member).collect(),
    }
}

/// The result of a replay or purge of many letters, or of a dry run.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BulkResult {
    dry_run: bool,
    letters: u64,
    occurrences: u64,
    /// The instant at which the last of them is tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new()
        .route("/dead-letters", get(Action::DeadLettersRead, list))
        .route("/dead-letters/replay", post(Action::DeadLettersWrite, replay))
        .route("/dead-letters/purge", post(Action::DeadLettersWrite, purge))
        .route(
            "/dead-letters/{id}",
            get(Action::DeadLettersRead, get_dead_letter).delete(Action::DeadLettersWrite, remove),
        )
        .route("/dead-letters/{id}/replay", post(Action::DeadLettersWrite, replay_one))
}

/// 404.
fn missing_dead_letter() -> Error {
    Error::not_found("dead letter does not exist: it was replayed, purged, or delivered after all")
}

/// Lists letters, the newest first unless the query names a direction.
async fn list(State(app): App, context: RequestContext) -> Result<Response, Error> {
    let mut page = context.page(ORDERS)?;
    page.descending |= !context.has_direction();
    let (from, until) = context.interval()?;
    let filter = Filter {
        project: context.number("projectId")?.filter(|id| *id > 0),
        job: context.number("jobId")?.filter(|id| *id > 0),
        from,
        until,
        after: context.number("after")?,
    };
    if filter.after.is_some() && page.order_by != Order::Id {
        return Err(Error::invalid("after", "after goes with orderBy=id only: use offset"));
    }
    context.apply_consistency(&app.app).await?;
    let casing = context.casing();
    let body = app.read(move |conn| {
        let total = dead_letters::total(conn, &filter)?;
        let cluster = meta::cluster_id(conn)?.unwrap_or_default();
        let by_key = page.order_by == Order::Id;
        let mut list = ListWriter::new("deadLetters", &page, (total, false), casing);
        dead_letters::each(conn, &filter, &page, |letter| {
            let id = letter.id;
            let view = view(letter, cluster, FIRST_MEMBERS);
            Ok(list.push(&view, || by_key.then(|| id.to_string())))
        })?;
        Ok(list.end())
    });
    Ok(respond::json(StatusCode::OK, body.await?))
}

async fn get_dead_letter(
    State(app): App,
    context: RequestContext,
    Id(id): Id,
) -> Result<Response, Error> {
    context.apply_consistency(&app.app).await?;
    let found = app.read(move |conn| {
        let Some(letter) = dead_letters::get(conn, id)? else { return Ok(None) };
        let cluster = meta::cluster_id(conn)?.unwrap_or_default();
        Ok(Some(view(letter, cluster, usize::MAX)))
    });
    Ok(respond::ok(&found.await?.ok_or_else(missing_dead_letter)?, context.casing()))
}

async fn replay_one(
    State(app): App,
    context: RequestContext,
    Id(id): Id,
) -> Result<Response, Error> {
    app.app.admit_write()?;
    let found = app.read(move |conn| dead_letters::get(conn, id)).await?;
    let occurrences = found.ok_or_else(missing_dead_letter)?.members.len();
    let now = app.time.now();
    match propose(&app, Command::ReplayDeadLetters { letters: vec![(id, now)] }).await? {
        0 => Err(missing_dead_letter()),
        letters => {
            let until = Some(rfc3339(now));
            Ok(respond::ok(
                &BulkResult { dry_run: false, letters, occurrences, until },
                context.casing(),
            ))
        }
    }
}

async fn remove(State(app): App, _: RequestContext, Id(id): Id) -> Result<Response, Error> {
    match propose(&app, Command::PurgeDeadLetters { letters: vec![id] }).await? {
        0 => Err(missing_dead_letter()),
        _ => Ok(respond::no_content()),
    }
}

/// `{projectId?, jobId?, from?, until?, all?, ratePerSecond?, dryRun?}`: replays all letters that
/// match, oldest first, at a rate of occurrences.
async fn replay(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let filter = filter(&mut fields)?;
    let rate = fields.number("ratePerSecond")?;
    if rate.is_some_and(|rate| !(1..=MOST_RATE).contains(&rate)) {
        let message = format!("ratePerSecond must be from 1 to {MOST_RATE} occurrences");
        return Err(Error::invalid("ratePerSecond", message));
    }
    let dry_run = fields.flag("dryRun")?.unwrap_or(false);
    let all = fields.flag("all")?.unwrap_or(false);
    known("projectId, jobId, from, until, all, ratePerSecond, dryRun", &fields.warnings())?;
    narrowed("replay", &filter, all)?;
    let key = idempotency::key(&headers, &context.actor, "POST /dead-letters/replay", &body)?
        .filter(|_| !dry_run);
    if let Some(result) = app.app.replay::<BulkResult>(&context.actor, key).await? {
        return Ok(respond::ok(&result, context.casing()));
    }
    let mut pacing = Pacing { start: app.time.now(), rate, before: 0 };
    let mut last = None;
    let mut result = each(&app, filter, dry_run, |found| {
        let letters: Vec<_> = found.iter().map(|(id, n)| (*id, pacing.at(*n))).collect();
        last = letters.last().map(|(_, at)| *at).or(last);
        Command::ReplayDeadLetters { letters }
    })
    .await?;
    result.until = last.map(rfc3339);
    Ok(respond::ok(&app.app.conclude(&context.actor, key, result).await?, context.casing()))
}

/// `{projectId?, jobId?, from?, until?, all?, dryRun?}`: purges all letters that match.
async fn purge(
    State(app): App,
    context: RequestContext,
    headers: HeaderMap,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    let mut fields = Fields::parse(&body)?;
    let filter = filter(&mut fields)?;
    let dry_run = fields.flag("dryRun")?.unwrap_or(false);
    let all = fields.flag("all")?.unwrap_or(false);
    known("projectId, jobId, from, until, all, dryRun", &fields.warnings())?;
    narrowed("purge", &filter, all)?;
    let key = idempotency::key(&headers, &context.actor, "POST /dead-letters/purge", &body)?
        .filter(|_| !dry_run);
    if let Some(result) = app.app.replay::<BulkResult>(&context.actor, key).await? {
        return Ok(respond::ok(&result, context.casing()));
    }
    let result = each(&app, filter, dry_run, |found| Command::PurgeDeadLetters {
        letters: found.iter().map(|(id, _)| *id).collect(),
    });
    let result = result.await?;
    Ok(respond::ok(&app.app.conclude(&context.actor, key, result).await?, context.casing()))
}

/// Refuses a request for all letters that does not say so, as the bulk routes of jobs do.
fn narrowed(action: &str, filter: &Filter, all: bool) -> Result<(), Error> {
    let narrow = *filter != Filter::default();
    let message = match (narrow, all) {
        (false, false) => format!(
            "name what to {action} by projectId, jobId, from or until, or say \"all\": true \
             to {action} every dead letter"
        ),
        (true, true) => "give a filter or all, not both".to_owned(),
        _ => return Ok(()),
    };
    Err(Error::unprocessable(message).field("all"))
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

fn filter(fields: &mut Fields) -> Result<Filter, Error> {
    let (from, until) = fields.interval()?;
    Ok(Filter {
        project: fields.number("projectId")?.filter(|id| *id > 0),
        job: fields.number("jobId")?.filter(|id| *id > 0),
        from,
        until,
        after: None,
    })
}

/// The pace of a replay: it spreads occurrences over time.
struct Pacing {
    start: Millis,
    rate: Option<u64>,
    /// The occurrences that go first.
    before: u64,
}

impl Pacing {
    /// The instant at which so many occurrences may go together: when those before them had their
    /// time.
    fn at(&mut self, occurrences: u64) -> Millis {
        let wait = self.rate.map_or(0, |rate| {
            let millis = u128::from(self.before) * 1_000 / u128::from(rate.max(1));
            Millis::try_from(millis).unwrap_or(Millis::MAX)
        });
        self.before = self.before.saturating_add(occurrences);
        self.start.saturating_add(wait)
    }
}

/// Makes commands of all letters that match, as (id, members), oldest first, and proposes them, or
/// only counts in a dry run. Letters that are created in the meantime are left alone, since a
/// replay that fails again must not be replayed again. After a failure the same request goes on
/// with the rest. No read looks at more than [`MAX_SCANNED`] letters, however few match.
async fn each(
    app: &AppState,
    filter: Filter,
    dry_run: bool,
    mut command: impl FnMut(&[(u64, u64)]) -> Command,
) -> Result<BulkResult, Error> {
    app.cluster.linearize().await?;
    let last = app.read(dead_letters::last_id).await?;
    let mut result = BulkResult { dry_run, ..BulkResult::default() };
    let mut after = 0;
    loop {
        let filter = filter.clone();
        let read =
            move |conn: &Connection| dead_letters::walk(conn, &filter, (after, last), MAX_SCANNED);
        let Walked { found, on } = app.read(read).await?;
        for some in found.chunks(CHUNK) {
            let command = command(some);
            // The command alone knows how many letters were still there.
            result.letters +=
                if dry_run { some.len() as u64 } else { propose(app, command).await? };
            result.occurrences += some.iter().map(|(_, members)| members).sum::<u64>();
        }
        match on {
            Some(id) => after = id,
            None => return Ok(result),
        }
    }
}

async fn propose(app: &AppState, command: Command) -> Result<u64, Error> {
    match app.cluster.propose(command).await? {
        Outcome::Changed(letters) => Ok(u64::from(letters)),
        other => Err(refused(other).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_counts_occurrences_and_not_letters() {
        let mut pacing = Pacing { start: 1_000, rate: Some(100), before: 0 };
        assert_eq!([1_000, 1, 100, 1].map(|n| pacing.at(n)), [1_000, 11_000, 11_010, 12_010]);
        let mut pacing = Pacing { start: 1_000, rate: None, before: 0 };
        assert_eq!([1_000, 1].map(|n| pacing.at(n)), [1_000, 1_000]);
        let mut pacing = Pacing { start: 1_000, rate: Some(1), before: u64::MAX };
        assert_eq!(pacing.at(5), Millis::MAX);
    }
}
