//! `POST /executions/cleanup-old-logs` of the published clients: drops the history that is older
//! than some months, whatever the configuration would still keep.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Months};
use serde::Serialize;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::http::respond;
use crate::api::state::App;
use crate::app::refused;
use crate::command::{Command, Outcome};
use crate::model::Millis;
use crate::model::time::rfc3339;

/// The most months: nothing here was recorded a century ago.
const MOST_MONTHS: u64 = 1_200;
/// The most records that one log entry drops.
const LIMIT: u32 = 2_000;

#[derive(Serialize)]
struct Done {
    message: String,
}

/// `{retentionMonths, accountId?}`. Records that the watermark has not passed stay, however old
/// they are.
pub(crate) async fn cleanup(
    State(app): App,
    context: RequestContext,
    JsonBody(body, _hold): JsonBody<SMALL>,
) -> Result<Response, Error> {
    const FIELD: &str = "retentionMonths";
    let mut fields = Fields::parse(&body)?;
    let wrong =
        || Error::invalid(FIELD, format!("{FIELD} must be a number from 1 to {MOST_MONTHS}"));
    let months = fields.number(FIELD)?.filter(|months| (1..=MOST_MONTHS).contains(months));
    let months = Months::new(months.ok_or_else(wrong)? as u32);
    // All history belongs to one account.
    fields.ignore(&["accountId"]);
    // An unknown field might be meant to narrow the history.
    if let Some(name) = fields.warnings().first_unknown() {
        let message = format!("there is no field {name}, nothing was dropped: give {FIELD}");
        return Err(Error::unprocessable(message));
    }
    let now = DateTime::from_timestamp_millis(app.time.now());
    let before = now.and_then(|now| now.checked_sub_months(months)).ok_or_else(wrong)?;
    let before = before.timestamp_millis();
    loop {
        // No dead letter is older than this, so none is dropped.
        let command = Command::Retain { before, dead_letters: Millis::MIN, limit: LIMIT };
        match app.cluster.propose(command).await? {
            Outcome::Dropped(n) if n >= LIMIT => {}
            Outcome::Dropped(_) => break,
            other => return Err(refused(other).into()),
        }
    }
    let message = format!("executions that were due before {} are gone", rfc3339(before));
    Ok(respond::ok(&Done { message }, context.casing()))
}
