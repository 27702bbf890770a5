//! What many jobs have in common, checked: a request's fields put over what was there before, and
//! whether that makes a job. `super::check` calls it for new jobs (nothing was there), `super::edit`
//! for edits, so that both are judged alike. The messages are the original's where it had one.

use std::collections::{HashMap, HashSet};

use super::check::Rules;
use super::names::{Name, Names};
use super::parse::DefinitionInput;
use super::policy;
use super::timing::zone;
use crate::api::error::Error;
use crate::api::fields::check_text;
use crate::api::reply::Warnings;
use crate::model::Millis;
use crate::model::delivery::{Misfire, Overlap};
use crate::model::job::JobDefinition;
use crate::model::target::HttpTarget;
use crate::schedule::{DstRule, parse_at};

/// The longest `createdBy` and `modifiedBy`, in bytes.
const LONGEST_BY: usize = 256;
/// The most retries a job may ask for.
const MOST_RETRIES: u64 = 100;

/// What a request's fields are put over.
pub(super) struct Base<'j> {
    /// What holds where the request says nothing.
    pub(super) definition: JobDefinition,
    /// The target as it was: its secrets stay where the request does not name them.
    pub(super) http: Option<&'j HttpTarget>,
    /// The fields that are taken away.
    pub(super) nulls: Names,
}

/// What was checked before in this request and found good.
#[derive(Default)]
pub(super) struct Seen {
    /// By zone, then by spec: the period.
    pub(super) specs: HashMap<String, HashMap<String, Option<Millis>>>,
    pub(super) urls: HashSet<String>,
    /// What the client is told of definitions that are good.
    pub(super) warnings: Warnings,
}

impl DefinitionInput<'_> {
    /// The JSON of a field that few jobs have.
    pub(super) fn rare(&self, name: Name) -> Option<&str> {
        self.rare.iter().find(|(known, _)| *known == name).map(|(_, json)| &**json)
    }
}

impl Seen {
    /// The definition that a request's fields make of what was there.
    pub(super) fn definition(
        &mut self,
        rules: &Rules,
        base: Base<'_>,
        input: &DefinitionInput<'_>,
    ) -> Result<JobDefinition, Error> {
        let Base { mut definition, http, nulls } = base;
        take_away(&mut definition, nulls);
        match input.project {
            Some(0) => {
                return Err(Error::invalid("projectId", "job project_id must be 1 or more"));
            }
            Some(project) => definition.project = project,
            None if definition.project == 0 => {
                return Err(Error::invalid("projectId", "job project_id is required"));
            }
            None => {}
        }
        self.timing(rules, &mut definition, nulls, input)?;
        self.target(rules, &mut definition, nulls, http, input)?;
        execution_type(input.execution_type.as_deref())?;
        bounds(&mut definition, nulls, input)?;
        if input.retry_max.is_some() || nulls.has(Name::RetryMax) {
            definition.retry_max = retries(input.retry_max)?;
        }
        for (name, json) in &input.rare {
            policies(rules, &mut definition, *name, json)?;
        }
        settle(&mut definition, input)?;
        Ok(definition)
    }
}

/// 422: understood, but it does not fit the rest.
pub(super) fn unfit(field: &'static str, message: impl Into<String>) -> Error {
    Error::unprocessable(message).field(field)
}

fn execution_type(given: Option<&str>) -> Result<(), Error> {
    match given {
        None | Some("http") => Ok(()),
        Some(other) => {
            let message =
                format!("job execution_type {} is not supported: use http", shortened(other));
            Err(Error::invalid("executionType", message))
        }
    }
}

fn bounds(
    definition: &mut JobDefinition,
    nulls: Names,
    input: &DefinitionInput<'_>,
) -> Result<(), Error> {
    if let Some(text) = &input.start_date {
        definition.start = Some(bound("startDate", text, definition)?);
    } else if nulls.has(Name::StartDate) {
        definition.start = None;
    }
    if let Some(text) = &input.end_date {
        definition.end = Some(bound("endDate", text, definition)?);
    } else if nulls.has(Name::EndDate) {
        definition.end = None;
    }
    match (definition.start, definition.end) {
        // Where they are the same there is one run, if the schedule has that instant.
        (Some(start), Some(end)) if end < start => {
            Err(Error::invalid("endDate", "job end_date must be after its start_date"))
        }
        _ => Ok(()),
    }
}

/// Gives the fields that few jobs have their defaults, where a request wants that.
fn take_away(definition: &mut JobDefinition, nulls: Names) {
    if nulls == Names::default() {
        return;
    }
    let has = |name| nulls.has(name);
    let delivery = &mut definition.delivery;
    delivery.retry_delay = delivery.retry_delay.filter(|_| !has(Name::RetryDelay));
    delivery.retry_factor = delivery.retry_factor.filter(|_| !has(Name::RetryFactor));
    delivery.retry_max_delay = delivery.retry_max_delay.filter(|_| !has(Name::RetryMaxDelay));
    delivery.timeout = delivery.timeout.filter(|_| !has(Name::Timeout));
    definition.run_timeout = definition.run_timeout.filter(|_| !has(Name::RunTimeout));
    definition.heartbeat_timeout =
        definition.heartbeat_timeout.filter(|_| !has(Name::HeartbeatTimeout));
    definition.delete_after_run &= !has(Name::DeleteAfterRun);
    if has(Name::Dst) {
        definition.dst = DstRule::default();
    }
    if has(Name::Jitter) {
        definition.jitter = 0;
    }
    if has(Name::Misfire) {
        definition.misfire = Misfire::default();
    }
    if has(Name::Overlap) {
        definition.overlap = Overlap::Allow;
    }
    if has(Name::Labels) {
        definition.labels.clear();
    }
}

fn policies(
    rules: &Rules,
    definition: &mut JobDefinition,
    name: Name,
    json: &str,
) -> Result<(), Error> {
    use policy::{DAY, YEAR, length, timeout};
    let delivery = &mut definition.delivery;
    match name {
        Name::Dst => definition.dst = policy::dst(json)?,
        Name::Jitter => definition.jitter = length("jitter", json, DAY)?,
        Name::Misfire => definition.misfire = policy::misfire(json)?,
        Name::RetryDelay => delivery.retry_delay = Some(length("retryDelay", json, YEAR)?),
        Name::RetryFactor => delivery.retry_factor = Some(policy::factor(json)?),
        Name::RetryMaxDelay => {
            delivery.retry_max_delay = Some(length("retryMaxDelay", json, YEAR)?);
        }
        Name::Timeout => delivery.timeout = Some(rules.timeout(&policy::value("timeout", json)?)?),
        Name::Overlap => definition.overlap = policy::overlap(json)?,
        Name::RunTimeout => definition.run_timeout = Some(length("runTimeout", json, YEAR)?),
        Name::HeartbeatTimeout => {
            definition.heartbeat_timeout = Some(timeout("heartbeatTimeout", json, YEAR)?);
        }
        Name::DeleteAfterRun => definition.delete_after_run = policy::flag("deleteAfterRun", json)?,
        Name::Labels => definition.labels = policy::labels(json)?,
        // Read before, or not among the rare ones.
        _ => {}
    }
    Ok(())
}

/// Refuses what does not go together; what only an earlier definition said is dropped instead.
fn settle(definition: &mut JobDefinition, input: &DefinitionInput<'_>) -> Result<(), Error> {
    if definition.is_one_off() {
        for (field, given) in [("startDate", &input.start_date), ("endDate", &input.end_date)] {
            if given.is_some() {
                let message = format!("job {field} bounds a spec: at and after have one instant");
                return Err(unfit(field, message));
            }
        }
        (definition.start, definition.end) = (None, None);
    } else if definition.delete_after_run {
        if input.rare(Name::DeleteAfterRun).is_some() {
            let message = "job deleteAfterRun is for jobs with at or after: a spec is never over";
            return Err(unfit("deleteAfterRun", message));
        }
        definition.delete_after_run = false;
    }
    if definition.callback_url.is_empty() {
        return Ok(());
    }
    definition.single_only().map_or(Ok(()), |field| Err(not_in_batches(field)))
}

/// 422 for a field of [`JobDefinition::single_only`].
pub(super) fn not_in_batches(field: &'static str) -> Error {
    let message = format!("job {field} needs an http target: a callback is for many jobs at once");
    unfit(field, message)
}

fn retries(given: Option<u64>) -> Result<Option<u32>, Error> {
    match given {
        Some(n) if n > MOST_RETRIES => {
            let message = format!("job retry_max must be at most {MOST_RETRIES}");
            Err(Error::invalid("retryMax", message))
        }
        given => Ok(given.map(|n| n as u32)),
    }
}

/// Who asked, as the client names itself.
pub(super) fn by(field: &'static str, given: Option<&str>) -> Result<Option<String>, Error> {
    let Some(given) = given else { return Ok(None) };
    check_text(field, given, LONGEST_BY)?;
    Ok(Some(given.to_owned()))
}

/// The first or the last date: an instant, or a local time in the job's zone, as `at` takes them. In
/// a gap it is the first instant after it, whatever the job does with its own times there.
fn bound(field: &'static str, text: &str, definition: &JobDefinition) -> Result<Millis, Error> {
    let read = parse_at(text, zone(&definition.timezone)?, DstRule::default());
    read.map_err(|e| Error::invalid(field, format!("job {field} is not valid: {e}")))
}

/// Refuses several of fields that say the same thing.
pub(super) fn one(fields: &[(&'static str, bool)]) -> Result<(), Error> {
    let given: Vec<_> = fields.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
    if given.len() < 2 {
        return Ok(());
    }
    let all: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
    let message =
        format!("give one of {}, not several: found {}", all.join(", "), given.join(" and "));
    Err(unfit(given[1], message))
}

/// What a message repeats of the input.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(100) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}
