//! `POST /executions/cleanup-old-logs` of the published clients: drops the history that is older
//! than some months.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::respond;
use crate::api::state::ApiState;
use crate::app::history::RetentionMonths;
use crate::model::time::rfc3339;

#[derive(Serialize)]
struct Done {
    message: String,
}

/// `{retentionMonths, accountId?}`.
pub(crate) async fn cleanup(
    State(state): ApiState,
    context: RequestContext,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    const FIELD: &str = "retentionMonths";
    let mut fields = Fields::parse(&body)?;
    let months = RetentionMonths::new(fields.number(FIELD)?)?;
    // All history belongs to one account.
    fields.ignore(&["accountId"]);
    // An unknown field might be meant to narrow the history.
    if let Some(name) = fields.warnings().first_unknown() {
        let message = format!("there is no field {name}, nothing was dropped: give {FIELD}");
        return Err(Error::unprocessable(message));
    }
    let before = state.app.drop_history(&context.actor, months).await?;
    let message = format!("executions that were due before {} are gone", rfc3339(before));
    Ok(respond::ok(&Done { message }, context.casing()))
}
