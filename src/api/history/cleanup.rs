//! `POST /executions/cleanup-old-logs`, as the published clients ask for it: history that is older
//! than some months goes now, whatever the configuration would still keep.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Months};
use serde::Serialize;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::{Error, refused};
use crate::api::http::fields::Fields;
use crate::api::http::respond;
use crate::api::state::App;
use crate::command::{Command, Outcome};
use crate::model::Millis;
use crate::model::time::rfc3339;

/// The most months: what is older than a century was not recorded here.
const MOST_MONTHS: u64 = 1_200;
/// Records that one entry of the log drops at most.
const LIMIT: u32 = 2_000;

#[derive(Serialize)]
struct Done {
    message: String,
}

/// `{retentionMonths, accountId?}`. What is not accounted for yet stays, however old it is.
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
    // All the history is one account's.
    fields.ignore(&["accountId"]);
    // A request that says more than is understood might mean less history.
    if let Some(name) = fields.warnings().first_unknown() {
        let message = format!("there is no field {name}, nothing was dropped: give {FIELD}");
        return Err(Error::unprocessable(message));
    }
    let now = DateTime::from_timestamp_millis(app.time.now());
    let before = now.and_then(|now| now.checked_sub_months(months)).ok_or_else(wrong)?;
    let before = before.timestamp_millis();
    loop {
        // No dead letter is so old.
        let command = Command::Retain { before, dead_letters: Millis::MIN, limit: LIMIT };
        match app.cluster.propose(command).await? {
            Outcome::Dropped(n) if n >= LIMIT => {}
            Outcome::Dropped(_) => break,
            other => return Err(refused(other)),
        }
    }
    let message = format!("executions that were due before {} are gone", rfc3339(before));
    Ok(respond::ok(&Done { message }, context.casing()))
}
