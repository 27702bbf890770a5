//! The instants of a job: `at`, the end of a pause, and an end that lies after the first
//! occurrence.

use crate::app::error::Error;
use crate::app::jobs::validate::refusals::unprocessable;
use crate::app::jobs::validate::rules::Rules;
use crate::app::jobs::validate::timing::zone;
use crate::model::Millis;
use crate::model::job::JobDefinition;
use crate::model::time::rfc3339;
use crate::schedule::{Schedule, names_its_offset, parse_at, show_duration};

/// Refuses a new job that would never fire. (In an edit, an end that has passed ends the job.)
pub(in crate::app::jobs) fn ends_after_it_begins(
    rules: &Rules,
    definition: &JobDefinition,
) -> Result<(), Error> {
    const FIELD: &str = "endDate";
    let Some(end) = definition.end else { return Ok(()) };
    let understood = rfc3339(end);
    if end < rules.now {
        let message = format!("understood as {understood}, which has passed: it would never fire");
        return Err(not_valid(FIELD, message));
    }
    // `H` means another instant for each job.
    let mut words = definition.spec.split(|c: char| !c.is_ascii_alphabetic());
    if words.any(|word| word.eq_ignore_ascii_case("H")) {
        return Ok(());
    }
    let after = definition.start.map_or(rules.now, |start| rules.now.max(start.saturating_sub(1)));
    let schedule =
        Schedule::parse(&definition.spec, zone(&definition.timezone)?, definition.dst, 0).ok();
    match schedule.and_then(|schedule| schedule.next(rules.now, after)) {
        Some(first) if first > end => {
            let first = rfc3339(first);
            let message = format!(
                "understood as {understood}, which is before the first occurrence at {first}: it \
                 would never fire"
            );
            Err(not_valid(FIELD, message))
        }
        _ => Ok(()),
    }
}

/// The instant of a one-off. It may lie in the past within the grace, or where it was `old` before.
/// A local time needs a zone that the job names.
pub(in crate::app::jobs) fn at(
    rules: &Rules,
    definition: &JobDefinition,
    text: &str,
    zoned: bool,
    old: Option<Millis>,
) -> Result<Millis, Error> {
    const FIELD: &str = "at";
    if !zoned && !names_its_offset(text) {
        // A text that cannot be read in any zone is refused for itself.
        parse_at(text, chrono_tz::Tz::UTC, definition.dst).map_err(|e| not_valid(FIELD, e))?;
        let message = "job timezone is not valid, provided timezone is ";
        let why = "timezone is required, such as UTC: at is a local time; an offset such as Z would \
                   do too";
        return Err(Error::invalid("timezone", message).says(why));
    }
    let at = parse_at(text, zone(&definition.timezone)?, definition.dst)
        .map_err(|e| not_valid(FIELD, e))?;
    let grace = definition.misfire.grace.unwrap_or(rules.grace);
    if at < rules.now.saturating_sub(grace) && old != Some(at) {
        let message = format!(
            "understood as {}, which has passed by more than the grace of {}",
            rfc3339(at),
            show_duration(grace)
        );
        return Err(not_valid(FIELD, message));
    }
    Ok(at)
}

/// The end of a pause: an instant in the future, in the forms of `at`.
pub(in crate::app::jobs) fn pause_until(
    field: &'static str,
    now: Millis,
    definition: &JobDefinition,
    text: &str,
) -> Result<Millis, Error> {
    let until = parse_at(text, zone(&definition.timezone)?, definition.dst)
        .map_err(|e| not_valid(field, e))?;
    if until <= now {
        let message = format!("understood as {}, which has passed", rfc3339(until));
        return Err(not_valid(field, message));
    }
    Ok(until)
}

fn not_valid(field: &'static str, problem: impl std::fmt::Display) -> Error {
    unprocessable(field, format!("job {field} is not valid: {problem}"))
}
