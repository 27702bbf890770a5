//! The request of a stream, and the answer that is written for as long as its reader takes it.
//!
//! The answer is a body that is asked for its next piece when the one before went to the socket. A
//! socket that takes nothing is closed by `crate::listen`, as with any other answer.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use crate::api::events::frame;
use crate::api::http::action_router::{ActionRouter, get};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::state::ApiState;
use crate::app::events::{EventFilter, EventId, EventStream, EventType};
use crate::app::{Action, App};
use crate::auth::SessionLife;
use crate::model::job::Casing;

/// The header with the id of the last event that a reader has seen.
const LAST_EVENT_ID: &str = "last-event-id";

pub(crate) fn router() -> ActionRouter {
    ActionRouter::new().route("/events", get(Action::EventsRead, get_events))
}

async fn get_events(
    State(state): ApiState,
    context: RequestContext,
    session: Option<Extension<SessionLife>>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let filter = of_template(&state.app, &context, filter(&context)?).await?;
    of_job(&state.app, &context, &filter).await?;
    let seen = seen(&context, &headers)?;
    let stream =
        state.app.open_events(&context.actor, filter, seen, session.map(|Extension(life)| life))?;
    Ok(answer(stream, context.casing()))
}

/// The answer with all items of a stream.
fn answer(stream: EventStream, casing: Casing) -> Response {
    let body = stream::unfold(stream, move |mut stream| async move {
        let item = stream.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(frame::write(item, casing))), stream))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // A proxy must pass each event on at once.
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (StatusCode::OK, headers, Body::from_stream(body)).into_response()
}

fn filter(context: &RequestContext) -> Result<EventFilter, Error> {
    // Each once, so that a long list costs no more than all types.
    let mut types = Vec::new();
    for name in context.text("types").into_iter().flat_map(|names| names.split(',')) {
        let kind = event_type(name)?;
        if !types.contains(&kind) {
            types.push(kind);
        }
    }
    let filter = EventFilter {
        types,
        project: number(context, "projectId", "project")?,
        job: number(context, "jobId", "job")?,
        template: number(context, "templateId", "template")?,
    };
    if filter.job.is_none() && filter.types.contains(&EventType::Execution) {
        let message = "types=execution gives the attempts at one job: name it by jobId, or ask for \
                       executions";
        return Err(Error::invalid("types", message));
    }
    Ok(filter)
}

/// A filter by a template is one by its project too: results are summed by project.
async fn of_template(
    app: &App,
    context: &RequestContext,
    filter: EventFilter,
) -> Result<EventFilter, Error> {
    let Some(id) = filter.template else { return Ok(filter) };
    let project = app.get_template(&context.actor, id).await?.project;
    if filter.project.is_some_and(|named| named != project) {
        let message = format!("template {id} is of project {project}: leave projectId out");
        return Err(Error::invalid("projectId", message));
    }
    Ok(EventFilter { project: Some(project), ..filter })
}

/// Refuses a project that is not that of the job beside it: nothing would come but its attempts.
async fn of_job(app: &App, context: &RequestContext, filter: &EventFilter) -> Result<(), Error> {
    let (Some(job), Some(project)) = (filter.job, filter.project) else { return Ok(()) };
    let known = app.label_jobs(&context.actor, vec![job]).await?;
    match known.get(&job) {
        Some(label) if label.project != project => {
            let message = format!("job {job} is of project {}: leave projectId out", label.project);
            Err(Error::invalid("projectId", message))
        }
        // The history of a deleted job does not say of which project the job was.
        _ => Ok(()),
    }
}

fn event_type(name: &str) -> Result<EventType, Error> {
    EventType::named(name.trim()).ok_or_else(|| {
        let known: Vec<_> = EventType::ALL.into_iter().map(EventType::name).collect();
        let message = format!("types must be some of {}, with commas between", known.join(", "));
        Error::invalid("types", message)
    })
}

/// A number under one of two names.
fn number(
    context: &RequestContext,
    name: &'static str,
    short: &'static str,
) -> Result<Option<u64>, Error> {
    match (context.number(name)?, context.number(short)?) {
        (Some(_), Some(_)) => {
            let message = format!("{name} and {short} say the same: give one of them");
            Err(Error::invalid(name, message))
        }
        (long, short) => Ok(long.or(short)),
    }
}

/// The id that the reader has seen: by the header that browsers send when they come back, or else
/// by the query.
fn seen(context: &RequestContext, headers: &HeaderMap) -> Result<Option<EventId>, Error> {
    let (field, text) = match headers.get(LAST_EVENT_ID) {
        Some(value) => ("Last-Event-ID", value.to_str().unwrap_or("?")),
        None => match context.text("after") {
            Some(text) => ("after", text),
            None => return Ok(None),
        },
    };
    let id = text.parse().map_err(|why| Error::invalid(field, format!("{field} is {why}")))?;
    Ok(Some(id))
}
