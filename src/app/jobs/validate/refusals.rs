//! The errors that the checks of a job share. Their messages are the original's where it had one.

use crate::app::error::Error;

/// The error of a value that is understood, but does not fit the rest.
pub(in crate::app::jobs) fn unprocessable(
    field: &'static str,
    message: impl Into<String>,
) -> Error {
    Error::unprocessable(message).field(field)
}

/// The error of a field of [`crate::model::job::JobDefinition::single_only`] at a callback.
pub(in crate::app::jobs) fn not_in_batches(field: &'static str) -> Error {
    let message = format!(
        "job {field} needs an http target or a queue of workers: a callback is for many jobs at once"
    );
    unprocessable(field, message)
}

/// The error of a field of [`crate::model::job::JobDefinition::single_only`] at a target with
/// settings, whose occurrences are over with their one outcome.
pub(in crate::app::jobs) fn without_runs(field: &'static str, kind: &str) -> Error {
    let message = format!(
        "job {field} needs an http target or a queue of workers, whose runs go on after the call: \
         for {kind} the confirm is the end"
    );
    unprocessable(field, message)
}

/// Refuses more than one of several fields that exclude each other.
pub(in crate::app::jobs) fn at_most_one(fields: &[(&'static str, bool)]) -> Result<(), Error> {
    let given: Vec<_> = fields.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
    if given.len() < 2 {
        return Ok(());
    }
    let all: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
    let message =
        format!("give one of {}, not several: found {}", all.join(", "), given.join(" and "));
    Err(unprocessable(given[1], message))
}

/// The first characters of an input, for messages.
pub(in crate::app::jobs) fn shortened(text: &str) -> String {
    match text.char_indices().nth(100) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}
