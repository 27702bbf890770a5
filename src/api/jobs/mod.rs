//! Jobs: created by the thousand or one by one, listed, changed, paused, run, deleted.
//!
//! ```text
//!   POST body ─ parse ─> JobInput ─ check::Batch ─> definitions + rows ─ create::Order ─> the log
//!                                        │
//!                     definition (timing, aim, policy): one set of rules for new jobs and edits
//!                                        │
//!   PUT, PATCH ─ parse ─> JobInput ─ edit::edited(the job as it is) ─ change ──────> the log
//!                                      └─ merge: PATCH as a merge patch
//!
//!   books ─ view::Views (outlook: what its schedule says now) ─> JobView ─> reply
//! ```
//!
//! A job has exactly one schedule (`spec`, `at`, `after`) and one target (`callbackUrl`, `http`,
//! `executorId`). The published clients may send `callbackUrl` and `executorId`: the executor counts
//! only where the URL is empty.

mod aim;
mod bulk;
mod change;
mod check;
mod create;
mod definition;
mod edit;
mod executors;
mod external;
mod merge;
mod names;
mod outlook;
mod parse;
mod policy;
mod timing;
mod values;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use rusqlite::Connection;
use uuid::Uuid;

pub(super) use outlook::Upcoming;
pub(super) use view::{MisfireView, Views};

use self::check::{Batch, Rules};
use self::create::{Made, Order};
use super::App;
use super::ask::{Ask, Id};
use super::error::Error;
use super::idempotency::Key;
use super::input::{BULK, Input};
use super::page::{ListWriter, Orders, cursor};
use super::reads::Stage;
use super::reply;
use super::state::AppState;
use super::stream::Jobs;
use super::version::{self, Conditions};
use crate::model::JobId;
use crate::model::job::JobStatus;
use crate::store::jobs::{self, Filter, Order as By};
use crate::store::{After, tasks};

/// Bodies above this are read on a thread of their own: the runtime has others to serve.
const ASIDE: usize = 64 * 1_024;

const ORDERS: &Orders<By> = &[
    ("id", By::Id),
    ("dateCreated", By::Id),
    ("dateModified", By::Modified),
    ("projectId", By::Project),
    ("status", By::Status),
];

pub(super) fn router() -> Router<Arc<AppState>> {
    Router::new()
        .route("/jobs", get(list).post(create))
        .route("/jobs/{id}", get(one).put(change::put).patch(change::patch).delete(change::remove))
        .merge(bulk::router())
        .merge(change::router())
        .merge(external::router())
}

/// 404, with the original's message.
pub(super) fn missing() -> Error {
    Error::not_found("job cannot be found")
}

async fn list(State(app): App, ask: Ask) -> Result<Response, Error> {
    let page = ask.page_after(ORDERS, &[])?;
    let status = ask.text("status").map(status_named).transpose()?;
    let filter = Filter {
        project: ask.number("projectId")?,
        status: status.map(|status| (status, app.time.now())),
        labels: ask.texts("label").map(label).collect::<Result<_, _>>()?,
        external_id: ask.text("externalId").map(str::to_owned),
        ..Filter::default()
    };
    ask.settle(&app).await?;
    let (now, casing) = (app.time.now(), ask.casing());
    let retry_max = app.config.job_execution_retry_max;
    let body = app.read(move |conn| {
        let total = jobs::count(conn, &filter)?;
        let mut list = ListWriter::new("jobs", &page, (total, false), casing);
        let mut views = Views::new(conn, now, retry_max)?;
        jobs::each(conn, &filter, &page, |job| {
            let after = After { key: page.order_by.key(&job), id: job.id };
            Ok(list.push(&views.job(job)?, || Some(cursor(ORDERS, &page.order_by, after))))
        })?;
        Ok(list.end())
    });
    Ok(reply::json(StatusCode::OK, body.await?))
}

/// The status of a name, as listed.
fn status_named(name: &str) -> Result<JobStatus, Error> {
    use JobStatus::{Active, Completed, Disabled, Inactive};
    let found = [Active, Inactive, Completed, Disabled].into_iter().find(|s| s.name() == name);
    found.ok_or_else(|| {
        let message = "status must be active, inactive, completed or disabled";
        Error::invalid("status", message)
    })
}

/// `key=value`.
fn label(text: &str) -> Result<(String, String), Error> {
    let bad = || Error::invalid("label", "label must be a key and a value, such as label=team=a");
    let (key, value) = text.split_once('=').ok_or_else(bad)?;
    policy::label(key, value).map_err(|error| error.field("label"))?;
    Ok((key.to_owned(), value.to_owned()))
}

async fn one(State(app): App, ask: Ask, headers: HeaderMap, Id(id): Id) -> Result<Response, Error> {
    ask.settle(&app).await?;
    Conditions::of(&headers).answer(shown(&app, &ask, id, Stage::Asked).await?)
}

/// A job and its version.
async fn shown(app: &AppState, ask: &Ask, id: JobId, stage: Stage) -> Result<Response, Error> {
    let (now, retry_max) = (app.time.now(), app.config.job_execution_retry_max);
    let found = app.read_at(stage, move |conn| {
        let Some(job) = jobs::get(conn, id)? else { return Ok(None) };
        Views::new(conn, now, retry_max)?.job(job).map(Some)
    });
    let job = found.await?.ok_or_else(missing)?;
    Ok(version::tag(reply::ok(&job, ask.casing()), job.version))
}

async fn create(
    State(app): App,
    ask: Ask,
    headers: HeaderMap,
    Input(body, _turn): Input<BULK>,
) -> Result<Response, Error> {
    let rules = Rules::new(&app, ask.casing());
    let whole = wants_jobs(&headers);
    let caller = ask.caller;
    let read = move |body: Bytes| {
        let key = Key::of(&headers, caller, create::ROUTE, &body)?;
        let mut batch = Batch::new(rules);
        let order = parse::each(&body, &mut |_, job| batch.add(job)).and_then(|mut warnings| {
            warnings.merge(batch.warnings());
            Ok((Order::new(batch, key)?, warnings))
        });
        Ok::<_, Error>((key, order))
    };
    let (key, order) = if body.len() > ASIDE {
        // It only fails when the reading panics, which no input makes it do.
        tokio::task::spawn_blocking(move || read(body)).await.map_err(|_| Error::internal())??
    } else {
        read(body)?
    };
    let (made, warnings) = match order {
        Ok((order, warnings)) => (order.carry_out(&app).await?, warnings),
        // It was good when it was first sent: an instant has passed since.
        Err(error) => {
            (create::made_before(&app, key).await?.ok_or(error)?, reply::Warnings::default())
        }
    };
    let response = if whole {
        representation(&app, &ask, &made).await
    } else {
        receipt(&app, &ask, &made).await
    };
    Ok(reply::warn(response?, &warnings))
}

/// Whether a request prefers the created jobs to a receipt (RFC 7240).
fn wants_jobs(headers: &HeaderMap) -> bool {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split(','));
    preferences.any(|preference| {
        let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
        let value = value.split(';').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("return")
            && value.trim().trim_matches('"').eq_ignore_ascii_case("representation")
    })
}

/// 202 and where the task is. The jobs are there already: the task is a receipt.
async fn receipt(app: &AppState, ask: &Ask, made: &Made) -> Result<Response, Error> {
    let request = made.request;
    let id = Uuid::from_u128(request).to_string();
    let body = if ask.mount == super::Mount::ApiV1 {
        reply::envelope(&id, ask.casing())
    } else {
        let read = move |conn: &Connection| tasks::get(conn, request);
        let task = app.read_at(Stage::Done, read).await?;
        let numbers: Vec<u64> = task.iter().map(|task| task.id).collect();
        reply::envelope(&numbers, ask.casing())
    };
    let mut response = reply::json(StatusCode::ACCEPTED, body);
    let location = format!("{}/async-tasks/{id}", ask.mount.prefix());
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// 201 and the jobs, in the order of the request.
async fn representation(app: &Arc<AppState>, ask: &Ask, made: &Made) -> Result<Response, Error> {
    let mut response = if let [(id, 1)] = made.jobs[..] {
        let (now, retry_max) = (app.time.now(), app.config.job_execution_retry_max);
        let read = move |conn: &Connection| {
            let job = jobs::get(conn, id)?;
            job.map(|job| Views::new(conn, now, retry_max)?.job(job)).transpose()
        };
        let job = app.read_at(Stage::Done, read).await?;
        let body = reply::envelope(&Vec::from_iter(&job), ask.casing());
        let response = reply::json(StatusCode::CREATED, body);
        match job {
            Some(job) => version::tag(response, job.version),
            None => response,
        }
    } else {
        let jobs = Jobs::new(app, &made.jobs, ask.casing(), false);
        let (head, tail) = (b"{\"data\":".to_vec(), b",\"success\":true}".to_vec());
        jobs.answer(StatusCode::CREATED, head, tail).await?
    };
    let applied = HeaderValue::from_static("return=representation");
    response.headers_mut().insert("preference-applied", applied);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preference_is_found_among_others() {
        for (value, wanted) in [
            ("return=representation", true),
            ("respond-async, Return=\"representation\"; x=1", true),
            ("return=minimal", false),
            ("representation", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(
                header::HeaderName::from_static("prefer"),
                HeaderValue::from_static(value),
            )]);
            assert_eq!(wants_jobs(&headers), wanted, "{value}");
        }
    }
}
