//! Whether a job may be what its request says, and what the books will hold of it. Pure: the clock's
//! reading comes with the rules, and whether its project exists is `command::apply`'s to say.
//!
//! A request of thousands has a handful of different shapes: [`Batch`] checks each shape once
//! (`super::shape`), and what is each job's own here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::create::shape_bytes;
use super::names::Names;
use super::parse::{JobInput, ShapeInput};
use super::shape::{Base, Seen, by, unfit};
use super::timing::zone;
use crate::api::duration;
use crate::api::error::Error;
use crate::api::fields::check_text;
use crate::api::reply::Warnings;
use crate::api::state::AppState;
use crate::api::target;
use crate::command::NewJob;
use crate::executor::guard::TargetGuard;
use crate::executor::payload::ShapeText;
use crate::executor::target::Sizes;
use crate::model::job::{Dialect, JobShape, JobStatus};
use crate::model::time::rfc3339;
use crate::model::{Millis, ProjectId};
use crate::schedule::{Schedule, names_its_offset, parse_at};
use crate::secret::Keys;
use crate::worker::MISFIRE_GRACE;

/// The longest `externalId`, in bytes.
const LONGEST_EXTERNAL: usize = 255;
/// The most bytes of a job, with all its fields: an entry of the log holds no more, and the rest of
/// the entry takes some.
const MOST_BYTES: usize = 1_000_000;
/// More than all fields of a job but its data, for a shape within the limits of its fields.
const AROUND_JOB: usize = 256 * 1_024;
/// No byte of data grows to more than this in JSON: `\u0001`.
const ESCAPED: usize = 6;
/// More than all of a payload but its data, for a shape within the limits above.
const AROUND_DATA: usize = 32 * 1_024;

/// What decides about a job beside its request.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    payload_max: usize,
    pub(super) guard: TargetGuard,
    pub(super) dialect: Dialect,
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
    pub(super) fn new(app: &AppState, dialect: Dialect) -> Self {
        Self {
            payload_max: app.config.payload_max_bytes,
            guard: app.guard(),
            dialect,
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

/// The jobs of one request, checked and sorted by shape.
pub(super) struct Batch<'a> {
    rules: Rules,
    /// The shapes that `jobs` refer to.
    pub(super) shapes: Vec<JobShape>,
    /// The jobs, in the order of the request.
    pub(super) jobs: Vec<NewJob>,
    measures: Vec<Option<Measure>>,
    known: HashMap<ShapeInput<'a>, u32>,
    last: Option<(ShapeInput<'a>, u32)>,
    seen: Seen,
    externals: HashSet<(ProjectId, String)>,
}

impl<'a> Batch<'a> {
    /// An empty batch.
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            shapes: Vec::new(),
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
        let zoned = input.shape.timezone.is_some();
        let shape = self.shape(input.shape)?;
        let place = shape as usize;
        let (rules, known) = (&self.rules, &self.shapes[place]);
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
        self.jobs.push(NewJob { shape, data, status, at, pause_until, external_id });
        Ok(())
    }

    /// What the client is told of the jobs beside that they are there.
    pub(super) fn warnings(&mut self) -> Warnings {
        std::mem::take(&mut self.seen.warnings)
    }

    fn shape(&mut self, input: ShapeInput<'a>) -> Result<u32, Error> {
        if let Some((last, number)) = &self.last
            && *last == input
        {
            return Ok(*number);
        }
        let number = if let Some(number) = self.known.get(&input) {
            *number
        } else {
            let fresh = JobShape {
                execution_type: "http".to_owned(),
                dialect: self.rules.dialect,
                ..JobShape::default()
            };
            let base = Base { shape: fresh, http: None, nulls: Names::default() };
            let mut shape = self.seen.shape(&self.rules, base, &input)?;
            ends_after_it_begins(&self.rules, &shape)?;
            shape.created_by = by("createdBy", input.created_by.as_deref())?;
            let number = self.shapes.len() as u32;
            self.shapes.push(shape);
            self.measures.push(None);
            self.known.insert(input.clone(), number);
            number
        };
        self.last = Some((input, number));
        Ok(number)
    }
}

/// Refuses a new job that would never fire. (By an edit, an end that has passed ends a job.)
fn ends_after_it_begins(rules: &Rules, shape: &JobShape) -> Result<(), Error> {
    const FIELD: &str = "endDate";
    let Some(end) = shape.end else { return Ok(()) };
    let understood = rfc3339(end);
    if end < rules.now {
        let message = format!("understood as {understood}, which has passed: it would never fire");
        return Err(not_valid(FIELD, message));
    }
    // `H` is another instant for each job.
    let mut words = shape.spec.split(|c: char| !c.is_ascii_alphabetic());
    if words.any(|word| word.eq_ignore_ascii_case("H")) {
        return Ok(());
    }
    let after = shape.start.map_or(rules.now, |start| rules.now.max(start.saturating_sub(1)));
    let schedule = Schedule::parse(&shape.spec, zone(&shape.timezone)?, shape.dst, 0).ok();
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
    shape: &JobShape,
    text: &str,
    zoned: bool,
    old: Option<Millis>,
) -> Result<Millis, Error> {
    const FIELD: &str = "at";
    if !zoned && !names_its_offset(text) {
        // What cannot be read at all is told so, whatever its zone.
        parse_at(text, chrono_tz::Tz::UTC, shape.dst).map_err(|e| not_valid(FIELD, e))?;
        let message = "job timezone is not valid, provided timezone is ";
        let why = "timezone is required, such as UTC: at is a local time; an offset such as Z would \
                   do too";
        return Err(Error::invalid("timezone", message).says(why));
    }
    let at = parse_at(text, zone(&shape.timezone)?, shape.dst).map_err(|e| not_valid(FIELD, e))?;
    let grace = shape.misfire.grace.unwrap_or(rules.grace);
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
    shape: &JobShape,
    text: &str,
) -> Result<Millis, Error> {
    let until =
        parse_at(text, zone(&shape.timezone)?, shape.dst).map_err(|e| not_valid(field, e))?;
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
fn check_size(shape: &JobShape, data: &str) -> Result<(), Error> {
    if data.len() + AROUND_JOB <= MOST_BYTES {
        return Ok(());
    }
    let length = shape_bytes(shape) + data.len();
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

/// What tells how long the requests of a shape's jobs become: made once a shape.
pub(super) enum Measure {
    /// Of a callback.
    Callback(ShapeText),
    /// Of the shape's own `http`.
    Http(Sizes),
}

/// Refuses a job that is too large for the log, or whose request could not be sent even alone. (A
/// job with an executor is measured by that one: `super::executors`.)
pub(super) fn check_payload(
    rules: &Rules,
    shape: &JobShape,
    measure: &mut Option<Measure>,
    data: &str,
) -> Result<(), Error> {
    check_size(shape, data)?;
    let max = rules.payload_max;
    if shape.http.is_none() && data.len().saturating_mul(ESCAPED).saturating_add(AROUND_DATA) <= max
    {
        return Ok(());
    }
    let measure = match measure {
        Some(known) => known,
        None => measure.insert(match &shape.http {
            None => Measure::Callback(ShapeText::new(shape)),
            Some(http) => Measure::Http(target::sizes(http)?),
        }),
    };
    match (measure, &shape.http) {
        (Measure::Http(sizes), Some(http)) => target::check_data(sizes, http, data, max),
        (Measure::Callback(text), _) => {
            let length = text.single_len(data);
            if length > max { Err(target::too_large("callback", length, max)) } else { Ok(()) }
        }
        // The measure is made of the same shape.
        (Measure::Http(_), None) => Ok(()),
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
pub(super) mod tests;
