//! Whether a job may be what its request says, and what the books will hold of it. Pure: the clock's
//! reading comes with the rules, and whether its project exists is `command::apply`'s to say.
//!
//! A request of thousands has a handful of different definitions: [`Batch`] checks each definition once
//! (`super::definition`), and what is each job's own here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::create::definition_bytes;
use super::definition::{Base, Seen, by, unfit};
use super::names::Names;
use super::parse::{DefinitionInput, JobInput};
use super::timing::zone;
use crate::api::duration;
use crate::api::error::Error;
use crate::api::fields::check_text;
use crate::api::reply::Warnings;
use crate::api::state::AppState;
use crate::api::target;
use crate::command::NewJob;
use crate::executor::guard::TargetGuard;
use crate::executor::payload::DefinitionText;
use crate::executor::template::Sizes;
use crate::model::delivery::MISFIRE_GRACE;
use crate::model::job::{Casing, JobDefinition, JobStatus};
use crate::model::time::rfc3339;
use crate::model::{Millis, ProjectId};
use crate::schedule::{Schedule, names_its_offset, parse_at};
use crate::secret::Keys;

/// The longest `externalId`, in bytes.
const LONGEST_EXTERNAL: usize = 255;
/// The most bytes of a job, with all its fields: an entry of the log holds no more, and the rest of
/// the entry takes some.
const MOST_BYTES: usize = 1_000_000;
/// More than all fields of a job but its data, for a definition within the limits of its fields.
const AROUND_JOB: usize = 256 * 1_024;
/// No byte of data grows to more than this in JSON: `\u0001`.
const ESCAPED: usize = 6;
/// More than all of a payload but its data, for a definition within the limits above.
const AROUND_DATA: usize = 32 * 1_024;

/// What decides about a job beside its request.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    payload_max: usize,
    pub(super) guard: TargetGuard,
    pub(super) casing: Casing,
    pub(super) keys: Arc<Keys>,
    /// This node's time.
    pub(super) now: Millis,
    /// How far past a one-off may lie unless it says so itself.
    grace: Millis,
    /// `MaxJobTimeout`.
    max_timeout: Duration,
}

impl Rules {
    /// The rules of this node for a request that came by a mount of this casing.
    pub(super) fn new(app: &AppState, casing: Casing) -> Self {
        Self {
            payload_max: app.config.payload_max_bytes,
            guard: app.guard(),
            casing,
            keys: app.keys.clone(),
            now: app.time.now(),
            grace: MISFIRE_GRACE.as_millis() as Millis,
            max_timeout: app.config.max_job_timeout,
        }
    }

    /// How long an attempt may take.
    pub(super) fn timeout(&self, given: &Value) -> Result<Millis, Error> {
        duration::timeout(given, self.max_timeout)
    }
}

/// The jobs of one request, checked and sorted by definition.
pub(super) struct Batch<'a> {
    rules: Rules,
    /// The definitions that `jobs` refer to.
    pub(super) definitions: Vec<JobDefinition>,
    /// The jobs, in the order of the request.
    pub(super) jobs: Vec<NewJob>,
    measures: Vec<Option<Measure>>,
    known: HashMap<DefinitionInput<'a>, u32>,
    last: Option<(DefinitionInput<'a>, u32)>,
    seen: Seen,
    externals: HashSet<(ProjectId, String)>,
}

impl<'a> Batch<'a> {
    /// An empty batch.
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            definitions: Vec::new(),
            jobs: Vec::new(),
            measures: Vec::new(),
            known: HashMap::new(),
            last: None,
            seen: Seen::default(),
            externals: HashSet::new(),
        }
    }

    /// Checks a job and adds it.
    pub(super) fn add(&mut self, input: JobInput<'a>) -> Result<(), Error> {
        let zoned = input.definition.timezone.is_some();
        let definition = self.definition(input.definition)?;
        let place = definition as usize;
        let (rules, known) = (&self.rules, &self.definitions[place]);
        let status = status(input.status.as_deref())?.unwrap_or(JobStatus::Active);
        let at = input.at.map(|text| at(rules, known, &text, zoned, None)).transpose()?;
        let pause_until = input
            .pause_until
            .map(|text| pause_until("pauseUntil", rules, known, &text))
            .transpose()?;
        // A pause with an end is nothing that a status could say more of.
        let status = if pause_until.is_some() { JobStatus::Active } else { status };
        let external_id = external_id(input.external_id.as_deref())?;
        if let Some(id) = &external_id
            && !self.externals.insert((known.project, id.clone()))
        {
            let message = format!("job externalId {id} is given twice in this request");
            return Err(unfit("externalId", message));
        }
        let data = input.data.map(String::from).unwrap_or_default();
        check_payload(rules, known, &mut self.measures[place], &data)?;
        self.jobs.push(NewJob { definition, data, status, at, pause_until, external_id });
        Ok(())
    }

    /// What the client is told of the jobs beside that they are there.
    pub(super) fn warnings(&mut self) -> Warnings {
        std::mem::take(&mut self.seen.warnings)
    }

    fn definition(&mut self, input: DefinitionInput<'a>) -> Result<u32, Error> {
        if let Some((last, number)) = &self.last
            && *last == input
        {
            return Ok(*number);
        }
        let number = if let Some(number) = self.known.get(&input) {
            *number
        } else {
            let fresh = JobDefinition {
                execution_type: "http".to_owned(),
                casing: self.rules.casing,
                ..JobDefinition::default()
            };
            let base = Base { definition: fresh, http: None, nulls: Names::default() };
            let mut definition = self.seen.definition(&self.rules, base, &input)?;
            ends_after_it_begins(&self.rules, &definition)?;
            definition.created_by = by("createdBy", input.created_by.as_deref())?;
            let number = self.definitions.len() as u32;
            self.definitions.push(definition);
            self.measures.push(None);
            self.known.insert(input.clone(), number);
            number
        };
        self.last = Some((input, number));
        Ok(number)
    }
}

/// Refuses a new job that would never fire. (By an edit, an end that has passed ends a job.)
fn ends_after_it_begins(rules: &Rules, definition: &JobDefinition) -> Result<(), Error> {
    const FIELD: &str = "endDate";
    let Some(end) = definition.end else { return Ok(()) };
    let understood = rfc3339(end);
    if end < rules.now {
        let message = format!("understood as {understood}, which has passed: it would never fire");
        return Err(not_valid(FIELD, message));
    }
    // `H` is another instant for each job.
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

/// The instant of a one-off. It may lie in the past as far as the grace goes, or when it was `old`
/// before. A local time needs a zone that the job names.
pub(super) fn at(
    rules: &Rules,
    definition: &JobDefinition,
    text: &str,
    zoned: bool,
    old: Option<Millis>,
) -> Result<Millis, Error> {
    const FIELD: &str = "at";
    if !zoned && !names_its_offset(text) {
        // What cannot be read at all is told so, whatever its zone.
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
            duration::show(grace)
        );
        return Err(not_valid(FIELD, message));
    }
    Ok(at)
}

/// The end of a pause: an instant ahead, in the forms of `at`.
pub(super) fn pause_until(
    field: &'static str,
    rules: &Rules,
    definition: &JobDefinition,
    text: &str,
) -> Result<Millis, Error> {
    let until = parse_at(text, zone(&definition.timezone)?, definition.dst)
        .map_err(|e| not_valid(field, e))?;
    if until <= rules.now {
        let message = format!("understood as {}, which has passed", rfc3339(until));
        return Err(not_valid(field, message));
    }
    Ok(until)
}

fn not_valid(field: &'static str, problem: impl std::fmt::Display) -> Error {
    unfit(field, format!("job {field} is not valid: {problem}"))
}

/// What the client calls a job.
pub(super) fn external_id(given: Option<&str>) -> Result<Option<String>, Error> {
    let Some(given) = given else { return Ok(None) };
    check_text("externalId", given, LONGEST_EXTERNAL)?;
    Ok(Some(given.to_owned()))
}

/// The status that a client may give a job.
pub(super) fn status(given: Option<&str>) -> Result<Option<JobStatus>, Error> {
    match given {
        None => Ok(None),
        Some("active") => Ok(Some(JobStatus::Active)),
        Some("inactive") => Ok(Some(JobStatus::Inactive)),
        Some(_) => Err(Error::invalid("status", "job status must be active or inactive")),
    }
}

/// Refuses a job that would be too large for the log.
fn check_size(definition: &JobDefinition, data: &str) -> Result<(), Error> {
    if data.len() + AROUND_JOB <= MOST_BYTES {
        return Ok(());
    }
    let length = definition_bytes(definition) + data.len();
    if length <= MOST_BYTES {
        return Ok(());
    }
    let message = format!(
        "job data is too large: with its {} bytes the job has {length}, at most {MOST_BYTES} are \
         allowed",
        data.len()
    );
    Err(Error::too_large(message).field("data"))
}

/// What tells how long the requests of a definition's jobs become: made once a definition.
pub(super) enum Measure {
    /// Of a callback.
    Callback(DefinitionText),
    /// Of the definition's own `http`.
    Http(Sizes),
}

/// Refuses a job that is too large for the log, or whose request could not be sent even alone. (A
/// job with an executor is measured by that one: `super::executors`.)
pub(super) fn check_payload(
    rules: &Rules,
    definition: &JobDefinition,
    measure: &mut Option<Measure>,
    data: &str,
) -> Result<(), Error> {
    check_size(definition, data)?;
    let max = rules.payload_max;
    if definition.http.is_none()
        && data.len().saturating_mul(ESCAPED).saturating_add(AROUND_DATA) <= max
    {
        return Ok(());
    }
    let measure = match measure {
        Some(known) => known,
        None => measure.insert(match &definition.http {
            None => Measure::Callback(DefinitionText::new(definition)),
            Some(http) => Measure::Http(target::sizes(http)?),
        }),
    };
    match (measure, &definition.http) {
        (Measure::Http(sizes), Some(http)) => target::check_data(sizes, http, data, max),
        (Measure::Callback(text), _) => {
            let length = text.single_len(data);
            if length > max { Err(target::too_large("callback", length, max)) } else { Ok(()) }
        }
        // The measure is made of the same definition.
        (Measure::Http(_), None) => Ok(()),
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
pub(super) mod tests;
