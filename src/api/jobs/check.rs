//! Whether a job may be what its request says, and what the books will hold of it. Pure: no clock,
//! no books; whether its project exists is `command::apply`'s to say.
//!
//! A request of thousands has a handful of different shapes: [`Batch`] checks each shape once, and
//! each spec, zone and URL once. The messages are the original's where it had one.

use std::collections::{HashMap, HashSet};

use super::parse::{JobInput, ShapeInput};
use crate::api::error::Error;
use crate::api::fields::check_text;
use crate::command::NewJob;
use crate::config::Config;
use crate::executor::guard::TargetGuard;
use crate::executor::payload::ShapeText;
use crate::model::Millis;
use crate::model::job::{Dialect, Job, JobShape, JobStatus};
use crate::model::time::parse_rfc3339;
use crate::schedule::{DstRule, Schedule, parse_zone};

const LONGEST_SPEC: usize = 512;
const LONGEST_ZONE: usize = 64;
const LONGEST_URL: usize = 2_048;
/// The longest `createdBy` and `modifiedBy`, in bytes.
const LONGEST_BY: usize = 256;
/// The most retries a job may ask for.
const MOST_RETRIES: u64 = 100;
/// No byte of data grows to more than this in JSON: `\u0001`.
const ESCAPED: usize = 6;
/// More than all of a payload but its data, for a shape within the limits above.
const AROUND_DATA: usize = 32 * 1_024;

/// What of the configuration decides about a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    payload_max: usize,
    guard: TargetGuard,
    dialect: Dialect,
}

impl Rules {
    /// The rules of this node for a request that came by a mount of this casing.
    pub(super) fn new(config: &Config, dialect: Dialect) -> Self {
        let guard = TargetGuard {
            allow_loopback: !config.refuse_loopback_targets,
            allow_private: !config.refuse_private_targets,
        };
        Self { payload_max: config.payload_max_bytes, guard, dialect }
    }
}

/// The jobs of one request, checked and sorted by shape.
pub(super) struct Batch<'a> {
    rules: Rules,
    /// The shapes that `jobs` refer to.
    pub(super) shapes: Vec<JobShape>,
    /// The jobs, in the order of the request.
    pub(super) jobs: Vec<NewJob>,
    texts: Vec<Option<ShapeText>>,
    known: HashMap<ShapeInput<'a>, u32>,
    last: Option<(ShapeInput<'a>, u32)>,
    seen: Seen,
}

/// What was checked before in this request and found good.
#[derive(Default)]
struct Seen {
    /// By zone, then by spec: the period.
    specs: HashMap<String, HashMap<String, Option<Millis>>>,
    urls: HashSet<String>,
}

impl<'a> Batch<'a> {
    /// An empty batch.
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            shapes: Vec::new(),
            jobs: Vec::new(),
            texts: Vec::new(),
            known: HashMap::new(),
            last: None,
            seen: Seen::default(),
        }
    }

    /// Checks a job and adds it.
    pub(super) fn add(&mut self, input: JobInput<'a>) -> Result<(), Error> {
        let shape = self.shape(input.shape)?;
        let status = status(input.status.as_deref())?.unwrap_or(JobStatus::Active);
        let data = input.data.map(String::from).unwrap_or_default();
        let place = shape as usize;
        check_payload(&self.rules, &self.shapes[place], &mut self.texts[place], &data)?;
        self.jobs.push(NewJob {
            shape,
            data,
            status,
            at: None,
            pause_until: None,
            external_id: None,
        });
        Ok(())
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
            let shape = self.seen.check(&self.rules, &input)?;
            let number = self.shapes.len() as u32;
            self.shapes.push(shape);
            self.texts.push(None);
            self.known.insert(input.clone(), number);
            number
        };
        self.last = Some((input, number));
        Ok(number)
    }
}

/// A job as an edit leaves it: what the request names is new, the rest stays.
pub(super) fn edited(
    rules: &Rules,
    job: &Job,
    input: JobInput<'_>,
) -> Result<NewDefinition, Error> {
    let JobInput { shape: given, data, status: wanted, modified_by } = input;
    let mut shape = (*job.shape).clone();
    if let Some(project) = given.project {
        shape.project = number_of_project(project)?;
    }
    let mut seen = Seen::default();
    if let Some(zone) = &given.timezone {
        shape.timezone = zone.to_string();
    }
    if let Some(spec) = &given.spec {
        shape.spec = spec.to_string();
    }
    if given.timezone.is_some() || given.spec.is_some() {
        shape.period = seen.period(Some(&shape.spec), Some(&shape.timezone))?;
    }
    if let Some(url) = &given.callback_url {
        seen.url(rules, url)?;
        shape.callback_url = url.to_string();
    }
    execution_type(given.execution_type.as_deref())?;
    if given.start_date.is_some() {
        shape.start = instant("startDate", given.start_date.as_deref())?;
    }
    if given.end_date.is_some() {
        shape.end = instant("endDate", given.end_date.as_deref())?;
    }
    in_order(shape.start, shape.end)?;
    if given.retry_max.is_some() {
        shape.retry_max = retries(given.retry_max)?;
    }
    shape.executor = given.executor.or(shape.executor);
    shape.dst = given.dst.unwrap_or(shape.dst);
    let data = data.map_or_else(|| job.data.clone(), String::from);
    check_payload(rules, &shape, &mut None, &data)?;
    let status = status(wanted.as_deref())?.unwrap_or(job.status);
    Ok(NewDefinition { shape, data, status, by: by("modifiedBy", modified_by.as_deref())? })
}

/// What an edit makes of a job.
#[derive(Debug)]
pub(super) struct NewDefinition {
    pub(super) shape: JobShape,
    pub(super) data: String,
    pub(super) status: JobStatus,
    pub(super) by: Option<String>,
}

impl Seen {
    fn check(&mut self, rules: &Rules, input: &ShapeInput<'_>) -> Result<JobShape, Error> {
        let Some(project) = input.project else {
            return Err(Error::invalid("projectId", "job project_id is required"));
        };
        let period = self.period(input.spec.as_deref(), input.timezone.as_deref())?;
        let Some(url) = input.callback_url.as_deref() else {
            return Err(Error::invalid("callbackUrl", "job callback_url is required"));
        };
        self.url(rules, url)?;
        execution_type(input.execution_type.as_deref())?;
        let start = instant("startDate", input.start_date.as_deref())?;
        let end = instant("endDate", input.end_date.as_deref())?;
        in_order(start, end)?;
        Ok(JobShape {
            project: number_of_project(project)?,
            spec: input.spec.as_deref().unwrap_or_default().to_owned(),
            period,
            timezone: input.timezone.as_deref().unwrap_or_default().to_owned(),
            dst: input.dst.unwrap_or_default(),
            callback_url: url.to_owned(),
            execution_type: "http".to_owned(),
            dialect: rules.dialect,
            start,
            end,
            retry_max: retries(input.retry_max)?,
            executor: input.executor,
            created_by: by("createdBy", input.created_by.as_deref())?,
            ..JobShape::default()
        })
    }

    /// The period of a spec (`None` for other schedules than `@every`), if spec and zone are good.
    fn period(&mut self, spec: Option<&str>, zone: Option<&str>) -> Result<Option<Millis>, Error> {
        let (given_spec, given_zone) = (spec.unwrap_or_default(), zone.unwrap_or_default());
        if let Some(period) = self.specs.get(given_zone).and_then(|specs| specs.get(given_spec)) {
            return Ok(*period);
        }
        let bad_spec =
            || Error::invalid("spec", format!("job spec is not valid {}", shortened(given_spec)));
        let bad_zone = || {
            let shown = shortened(given_zone);
            let message = format!("job timezone is not valid, provided timezone is {shown}");
            Error::invalid("timezone", message)
        };
        if given_spec.is_empty() {
            return Err(bad_spec().because("spec is required"));
        }
        if given_spec.len() > LONGEST_SPEC {
            return Err(bad_spec().because(format_args!("it has more than {LONGEST_SPEC} bytes")));
        }
        if given_zone.is_empty() {
            return Err(bad_zone().because("timezone is required, such as UTC or Europe/Berlin"));
        }
        if given_zone.len() > LONGEST_ZONE {
            return Err(bad_zone().because(format_args!("it has more than {LONGEST_ZONE} bytes")));
        }
        let tz = parse_zone(given_zone).map_err(|e| bad_zone().because(e))?;
        // The rule for the two changes of the clock decides when it fires, not whether it can.
        let schedule = Schedule::parse(given_spec, tz, DstRule::default(), 0)
            .map_err(|e| bad_spec().because(e))?;
        let specs = self.specs.entry(given_zone.to_owned()).or_default();
        specs.insert(given_spec.to_owned(), schedule.period());
        Ok(schedule.period())
    }

    fn url(&mut self, rules: &Rules, url: &str) -> Result<(), Error> {
        if self.urls.contains(url) {
            return Ok(());
        }
        let bad = || Error::invalid("callbackUrl", "job callback_url is not valid");
        if url.len() > LONGEST_URL {
            return Err(bad().because(format_args!("it has more than {LONGEST_URL} bytes")));
        }
        rules.guard.check_url(url).map_err(|e| bad().because(e))?;
        self.urls.insert(url.to_owned());
        Ok(())
    }
}

fn number_of_project(project: u64) -> Result<u64, Error> {
    if project == 0 {
        return Err(Error::invalid("projectId", "job project_id must be 1 or more"));
    }
    Ok(project)
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

fn status(given: Option<&str>) -> Result<Option<JobStatus>, Error> {
    match given {
        None => Ok(None),
        Some("active") => Ok(Some(JobStatus::Active)),
        Some("inactive") => Ok(Some(JobStatus::Inactive)),
        Some(_) => Err(Error::invalid("status", "job status must be active or inactive")),
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

fn by(field: &'static str, given: Option<&str>) -> Result<Option<String>, Error> {
    let Some(given) = given else { return Ok(None) };
    check_text(field, given, LONGEST_BY)?;
    Ok(Some(given.to_owned()))
}

fn instant(field: &'static str, given: Option<&str>) -> Result<Option<Millis>, Error> {
    let Some(text) = given else { return Ok(None) };
    parse_rfc3339(text).map(Some).ok_or_else(|| {
        let message =
            format!("job {field} is not valid, give RFC 3339 such as 2026-11-20T20:18:07Z");
        Error::invalid(field, message)
    })
}

fn in_order(start: Option<Millis>, end: Option<Millis>) -> Result<(), Error> {
    match (start, end) {
        (Some(start), Some(end)) if end <= start => {
            Err(Error::invalid("endDate", "job end_date must be after its start_date"))
        }
        _ => Ok(()),
    }
}

/// Refuses a job that would not fit into a callback even alone.
fn check_payload(
    rules: &Rules,
    shape: &JobShape,
    text: &mut Option<ShapeText>,
    data: &str,
) -> Result<(), Error> {
    let max = rules.payload_max;
    if data.len().saturating_mul(ESCAPED).saturating_add(AROUND_DATA) <= max {
        return Ok(());
    }
    let length = text.get_or_insert_with(|| ShapeText::new(shape)).single_len(data);
    if length > max {
        let message = format!(
            "job data is too large: its callback would have {length} bytes, \
             HTTPExecutorPayloadMaxSizeMb allows {max}"
        );
        return Err(Error::too_large(message).field("data"));
    }
    Ok(())
}

/// What a message repeats of the input.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(100) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
