//! Reports on runs as they come in: the fields of a body, and of each report of a list. A report
//! with a value that is not valid is refused by itself.

use serde_json::Value;

use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::app::history::bounded_words;
use crate::app::runs::{RunInput, RunWord};
use crate::app::warnings::Warnings;
use crate::model::attempt::MAX_RESPONSE;
use crate::model::offer::MAX_NAME;

/// The longest id of a run, in bytes.
const MAX_ID: usize = 100;

/// A report of a body of its own; `word` reads what it says.
pub(super) fn single(
    id: String,
    body: &[u8],
    word: impl FnOnce(&mut Fields, &mut Warnings) -> Result<RunWord, Error>,
) -> Result<(RunInput, Warnings), Error> {
    let mut fields = Fields::parse(body)?;
    let mut warnings = Warnings::default();
    let word = word(&mut fields, &mut warnings)?;
    let (attempt, worker) = whose(&mut fields)?;
    warnings.merge(fields.warnings());
    Ok((RunInput { id, attempt, worker, word }, warnings))
}

/// One report of a worker's list.
pub(super) fn of_list(worker: &str, report: Value) -> Result<(RunInput, Warnings), Error> {
    let Value::Object(report) = report else {
        return Err(Error::invalid("reports", "a report must be an object with id and state"));
    };
    let mut fields = Fields::of(report);
    let mut warnings = Warnings::default();
    let Some(id) = fields.text("id", MAX_ID)? else {
        return Err(Error::invalid(
            "id",
            "id is missing: give the execution id or the run id of the run",
        ));
    };
    let state = fields.text("state", MAX_ID)?;
    let word = match state.as_deref() {
        Some("running") => RunWord::Running,
        Some("completed") => completed(&mut fields, &mut warnings),
        Some("failed") => failed(&mut fields)?,
        Some("cancelled") => RunWord::Cancelled,
        Some("released") => RunWord::Released,
        _ => {
            let message = "state must be running, completed, failed, cancelled or released";
            return Err(Error::invalid("state", message));
        }
    };
    let (attempt, named) = whose(&mut fields)?;
    if !named.is_empty() && named != worker {
        let message = "workerId is not that of the path: leave it out";
        return Err(Error::invalid("workerId", message));
    }
    warnings.merge(fields.warnings());
    Ok((RunInput { id, attempt, worker: worker.to_owned(), word }, warnings))
}

/// The attempt and the worker that a report names.
fn whose(fields: &mut Fields) -> Result<(u32, String), Error> {
    let attempt = match fields.number("attempt")? {
        None => 0,
        Some(number) => {
            u32::try_from(number).ok().filter(|number| *number > 0).ok_or_else(|| {
                Error::invalid("attempt", "attempt must be the number that came with the run")
            })?
        }
    };
    Ok((attempt, fields.text("workerId", MAX_NAME)?.unwrap_or_default()))
}

/// `{result?}`. A result that is no text is kept as JSON; what is too long is cut, since the work
/// is done.
pub(super) fn completed(fields: &mut Fields, warnings: &mut Warnings) -> RunWord {
    let result = fields.take("result").map(|value| {
        let text = cleaned(&text_of(value));
        let end = text.floor_char_boundary(MAX_RESPONSE);
        if end < text.len() {
            warnings.say(&format!("result was cut to {MAX_RESPONSE} bytes"));
        }
        text[..end].to_owned()
    });
    RunWord::Completed { result }
}

/// `{error?, retry?}`.
pub(super) fn failed(fields: &mut Fields) -> Result<RunWord, Error> {
    let retry = fields.flag("retry")?.unwrap_or(true);
    let error = fields.take("error").map(|value| bounded_words(&text_of(value)));
    Ok(RunWord::Failed { error, retry })
}

/// `{cancelledBy?}`.
pub(super) fn cancel(fields: &mut Fields) -> Result<RunWord, Error> {
    Ok(RunWord::Cancel { by: fields.text("cancelledBy", MAX_NAME)? })
}

/// The id of a worker in a path.
pub(super) fn worker_id(id: &str) -> Result<(), Error> {
    let is_named = !id.is_empty() && id.len() <= MAX_NAME && !id.chars().any(char::is_control);
    if is_named {
        return Ok(());
    }
    let message =
        format!("workerId in the path must have 1 to {MAX_NAME} bytes and no control characters");
    Err(Error::invalid("workerId", message))
}

fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// A text without control characters other than line ends and tabs.
fn cleaned(text: &str) -> String {
    let keeps = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().map(|c| if keeps(&c) { c } else { ' ' }).collect()
}
