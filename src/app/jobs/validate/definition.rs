//! The fields that many jobs share: a request's fields put over a base, and checked. `batch` calls
//! it for new jobs (the base is blank) and `edit` for edits, so that the same rules hold for both.
//! The messages are the original's where it had one.

use crate::app::error::Error;
use crate::app::jobs::input::{DefinitionInput, Name, Names};
use crate::app::jobs::validate::policy;
use crate::app::jobs::validate::refusals::{not_in_batches, unprocessable, without_runs};
use crate::app::jobs::validate::rules::Rules;
use crate::app::jobs::validate::seen::SeenValues;
use crate::app::jobs::validate::target::{execution_type, message};
use crate::app::jobs::validate::timing::zone;
use crate::app::jobs::validate::worker_fields::{self, needs_queue};
use crate::model::Millis;
use crate::model::delivery::{Misfire, Overlap};
use crate::model::job::JobDefinition;
use crate::schedule::{DstRule, parse_at};

/// The largest `retryMax`.
const MOST_RETRIES: u64 = 100;

/// The base that a request's fields are put over.
pub(in crate::app::jobs) struct Base<'j> {
    /// The fields where the request names none.
    pub(in crate::app::jobs) definition: JobDefinition,
    /// The definition before an edit: secrets of its target stay where the request does not name
    /// them.
    pub(in crate::app::jobs) old: Option<&'j JobDefinition>,
    /// The fields that the request clears.
    pub(in crate::app::jobs) nulls: Names,
}

impl SeenValues {
    /// The definition that a request's fields make of a base.
    pub(in crate::app::jobs) fn definition(
        &mut self,
        rules: &Rules,
        base: Base<'_>,
        input: &DefinitionInput<'_>,
    ) -> Result<JobDefinition, Error> {
        let Base { mut definition, old, nulls } = base;
        clear(&mut definition, nulls);
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
        self.target(rules, &mut definition, nulls, old, input)?;
        message(rules, &mut definition, nulls, input)?;
        execution_type(rules, &definition, input.execution_type.as_deref())?;
        bounds(&mut definition, nulls, input)?;
        if input.retry_max.is_some() || nulls.has(Name::RetryMax) {
            definition.retry_max = retries(input.retry_max)?;
        }
        for (name, json) in &input.rare {
            set_policy(rules, &mut definition, *name, json)?;
        }
        if matches!(definition.overlap, Overlap::Queue { .. }) {
            definition.overlap = Overlap::queue(definition.max_queue);
        }
        reconcile(&mut definition, input)?;
        Ok(definition)
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
        // Where both are the same there is one run, if the schedule has that instant.
        (Some(start), Some(end)) if end < start => {
            Err(Error::invalid("endDate", "job end_date must be after its start_date"))
        }
        _ => Ok(()),
    }
}

/// Gives the fields that few jobs have their defaults where the request clears them.
fn clear(definition: &mut JobDefinition, nulls: Names) {
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
    definition.start_timeout = definition.start_timeout.filter(|_| !has(Name::StartTimeout));
    definition.cancel_timeout = definition.cancel_timeout.filter(|_| !has(Name::CancelTimeout));
    definition.retry_on = definition.retry_on.filter(|_| !has(Name::RetryOn));
    definition.max_queue = definition.max_queue.filter(|_| !has(Name::MaxQueue));
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
    if has(Name::WorkerName) {
        definition.worker_name = None;
    }
    if has(Name::Overlap) || has(Name::AllowConcurrentRuns) {
        definition.overlap = Overlap::Allow;
    }
    if has(Name::Labels) {
        definition.labels.clear();
    }
}

fn set_policy(
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
        Name::AllowConcurrentRuns => {
            let allows = policy::flag("allowConcurrentRuns", json)?;
            definition.overlap = if allows { Overlap::Allow } else { Overlap::queue(None) };
        }
        Name::RunTimeout => definition.run_timeout = Some(length("runTimeout", json, YEAR)?),
        Name::HeartbeatTimeout => {
            definition.heartbeat_timeout = Some(timeout("heartbeatTimeout", json, YEAR)?);
        }
        Name::StartTimeout => {
            definition.start_timeout = Some(timeout("startTimeout", json, YEAR)?);
        }
        Name::CancelTimeout => {
            definition.cancel_timeout = Some(timeout("cancelTimeout", json, YEAR)?);
        }
        Name::RetryOn => definition.retry_on = Some(worker_fields::retry_on(json)?),
        Name::MaxQueue => definition.max_queue = Some(worker_fields::max_queue(json)?),
        Name::WorkerName => definition.worker_name = Some(worker_fields::worker_name(json)?),
        Name::DeleteAfterRun => definition.delete_after_run = policy::flag("deleteAfterRun", json)?,
        Name::Labels => definition.labels = policy::labels(json)?,
        // These were read before, or are not rare.
        _ => {}
    }
    Ok(())
}

/// Refuses fields that do not go together. A field that only the base had is dropped instead.
fn reconcile(definition: &mut JobDefinition, input: &DefinitionInput<'_>) -> Result<(), Error> {
    if definition.is_one_off() {
        for (field, given) in [("startDate", &input.start_date), ("endDate", &input.end_date)] {
            if given.is_some() {
                let message = format!("job {field} bounds a spec: at and after have one instant");
                return Err(unprocessable(field, message));
            }
        }
        (definition.start, definition.end) = (None, None);
    } else if definition.delete_after_run {
        if input.rare(Name::DeleteAfterRun).is_some() {
            let message = "job deleteAfterRun is for jobs with at or after: a spec is never over";
            return Err(unprocessable("deleteAfterRun", message));
        }
        definition.delete_after_run = false;
    }
    if input.rare(Name::AllowConcurrentRuns).is_some() && input.rare(Name::Overlap).is_some() {
        let message = "job allowConcurrentRuns is another name for overlap allow (true) and queue \
                       (false): give one of them";
        return Err(unprocessable("allowConcurrentRuns", message));
    }
    match (definition.single_only(), &definition.target) {
        (Some(field), Some(own)) if !own.takes_runs() => {
            return Err(without_runs(named(field, input), &own.kind));
        }
        (Some(field), _) if !definition.callback_url.is_empty() => {
            return Err(not_in_batches(named(field, input)));
        }
        _ => {}
    }
    // `executors` knows the type of an executor.
    match definition.queue_only().filter(|_| definition.executor.is_none()) {
        Some(field) => Err(needs_queue(field)),
        None => Ok(()),
    }
}

/// The name that the request has for a field.
fn named(field: &'static str, input: &DefinitionInput<'_>) -> &'static str {
    let other = Name::AllowConcurrentRuns;
    match other.camel() {
        Some(name) if field == "overlap" && input.rare(other).is_some() => name,
        _ => field,
    }
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

/// Reads the first or the last date: an instant, or a local time in the job's zone, as `at`. A
/// local time in a gap means the first instant after it, whatever the job's own `dst` says.
fn bound(field: &'static str, text: &str, definition: &JobDefinition) -> Result<Millis, Error> {
    let read = parse_at(text, zone(&definition.timezone)?, DstRule::default());
    read.map_err(|e| Error::invalid(field, format!("job {field} is not valid: {e}")))
}

#[cfg(test)]
#[path = "definition_tests.rs"]
mod tests;
