//! Reports of workers and receivers on runs, and cancellations by clients. A node that is short of
//! memory or disk accepts them too, since they end runs.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;

use super::input;
use crate::api::http::body::{self, SMALL};
use crate::api::http::casing;
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::ids::IdText;
use crate::api::http::respond;
use crate::api::state::{ApiState, AppState};
use crate::app::runs::{RunAnswer, RunInput, RunWord};
use crate::app::warnings::Warnings;
use crate::app::{self, ErrorKind};
use crate::model::attempt::occurrence_id;
use crate::model::job::Casing;
use crate::model::run_id::run_id;
use crate::model::run_report::{MAX_REPORTS, RunState};

/// The longest body of a worker's list of reports, in bytes.
const LIST: usize = 4 << 20;

/// A run after a report.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StateView {
    id: String,
    run_id: String,
    state: &'static str,
}

/// The answers to a list of reports, in its order.
#[derive(Serialize)]
struct AnswersView {
    reports: Vec<AnswerView>,
}

/// The answer to one report of a list: the status that it would have by itself, and the state of
/// the run or the error.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnswerView {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorView>,
}

#[derive(Serialize)]
struct ErrorView {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

pub(crate) async fn complete(
    State(state): ApiState,
    context: RequestContext,
    IdText(id): IdText,
    request: Request,
) -> Result<Response, Error> {
    single(&state, &context, id, request, |fields, warnings| Ok(input::completed(fields, warnings)))
        .await
}

pub(crate) async fn fail(
    State(state): ApiState,
    context: RequestContext,
    IdText(id): IdText,
    request: Request,
) -> Result<Response, Error> {
    single(&state, &context, id, request, |fields, _| input::failed(fields)).await
}

pub(crate) async fn cancelled(
    State(state): ApiState,
    context: RequestContext,
    IdText(id): IdText,
    request: Request,
) -> Result<Response, Error> {
    single(&state, &context, id, request, |_, _| Ok(RunWord::Cancelled)).await
}

pub(crate) async fn release(
    State(state): ApiState,
    context: RequestContext,
    IdText(id): IdText,
    request: Request,
) -> Result<Response, Error> {
    single(&state, &context, id, request, |_, _| Ok(RunWord::Released)).await
}

/// 202 while its worker is to stop, 200 once it is over.
pub(crate) async fn cancel(
    State(state): ApiState,
    context: RequestContext,
    IdText(id): IdText,
    request: Request,
) -> Result<Response, Error> {
    single(&state, &context, id, request, |fields, _| input::cancel(fields)).await
}

async fn single(
    state: &AppState,
    context: &RequestContext,
    id: String,
    request: Request,
    word: impl FnOnce(&mut Fields, &mut Warnings) -> Result<RunWord, Error>,
) -> Result<Response, Error> {
    let (body, _hold) = body::read(&state.bodies, request, SMALL).await?;
    let (input, warnings) = input::single(id, &body, word)?;
    let asked = matches!(input.word, RunWord::Cancel { .. });
    let told = state.app.report_runs(&context.actor, vec![input]).await?;
    let RunAnswer { occurrence, cluster, told } =
        told.into_iter().next().ok_or_else(Error::internal)?;
    let after = told?;
    let of = occurrence.ok_or_else(Error::internal)?;
    let view = StateView {
        id: occurrence_id(cluster, of),
        run_id: run_id(cluster, of),
        state: after.name(),
    };
    let status = match after {
        RunState::Cancelling if asked => StatusCode::ACCEPTED,
        _ => StatusCode::OK,
    };
    let body = respond::envelope(&view, context.casing());
    Ok(respond::warn(respond::json(status, body), &warnings))
}

/// Many reports of one worker, each answered by itself.
pub(crate) async fn report_many(
    State(state): ApiState,
    context: RequestContext,
    IdText(worker): IdText,
    request: Request,
) -> Result<Response, Error> {
    input::worker_id(&worker)?;
    let (body, _hold) = body::read(&state.bodies, request, LIST).await?;
    let mut fields = Fields::parse(&body)?;
    let Some(Value::Array(reports)) = fields.take("reports") else {
        let message = "reports must be a list of objects with id and state";
        return Err(Error::invalid("reports", message));
    };
    if reports.len() > MAX_REPORTS {
        let message = format!("reports has {} entries: send at most {MAX_REPORTS}", reports.len());
        return Err(Error::invalid("reports", message));
    }
    let mut warnings = fields.warnings();
    let mut inputs: Vec<RunInput> = Vec::with_capacity(reports.len());
    let mut refused = Vec::new();
    for report in reports {
        let id = report.get("id").and_then(Value::as_str).map(str::to_owned);
        match input::of_list(&worker, report) {
            Ok((input, said)) => {
                warnings.merge(said);
                inputs.push(input);
                refused.push(None);
            }
            Err(error) => refused.push(Some((id, error))),
        }
    }
    let ids: Vec<_> = inputs.iter().map(|input| input.id.clone()).collect();
    let told = state.app.report_runs(&context.actor, inputs).await?;
    // A node that can commit nothing says so once.
    let unwritten =
        |one: &RunAnswer| matches!(&one.told, Err(e) if e.kind() == ErrorKind::Unavailable);
    if !told.is_empty() && told.iter().all(unwritten) {
        let error = told.into_iter().find_map(|one| one.told.err());
        return Err(error.map_or_else(Error::internal, Error::from));
    }
    let mut told = ids.into_iter().zip(told);
    let mut reports = Vec::with_capacity(refused.len());
    for refused in refused {
        reports.push(if let Some((id, error)) = refused {
            AnswerView { id, ..of_error(error, context.casing()) }
        } else {
            let (id, answer) = told.next().ok_or_else(Error::internal)?;
            of_answer(id, answer, context.casing())
        });
    }
    let response = respond::ok(&AnswersView { reports }, context.casing());
    Ok(respond::warn(response, &warnings))
}

fn of_answer(id: String, answer: RunAnswer, casing: Casing) -> AnswerView {
    let RunAnswer { occurrence, cluster, told } = answer;
    let id = Some(occurrence.map_or(id, |of| occurrence_id(cluster, of)));
    let run_id = occurrence.map(|of| run_id(cluster, of));
    match told {
        Ok(state) => {
            let status = StatusCode::OK.as_u16();
            AnswerView { id, run_id, status, state: Some(state.name()), error: None }
        }
        Err(error) => AnswerView { id, run_id, ..of_error(error.into(), casing) },
    }
}

fn of_error(error: Error, casing: Casing) -> AnswerView {
    let status = error.status().as_u16();
    let (error, state) = match error {
        Error::App(error) => {
            let state = error.state().map(RunState::name);
            (view(&error, casing), state)
        }
        Error::Http(_) => (view(&app::Error::internal(), casing), None),
    };
    AnswerView { id: None, run_id: None, status, state, error: Some(error) }
}

fn view(error: &app::Error, casing: Casing) -> ErrorView {
    ErrorView {
        code: error.kind().code(),
        message: error.detail().to_owned(),
        field: error.field_name().map(|field| casing::name(field, casing)),
    }
}
