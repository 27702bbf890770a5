//! The meaning of a schedule in words and in instants, by the functions that fire jobs. Nothing
//! here reads or writes the state: previews are given while a node refuses writes.

use chrono_tz::Tz;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::state::App;
use crate::model::job::Job;
use crate::model::{JobId, Millis};
use crate::schedule::{
    DstRule, Field, LAST, Mark, Preview, Schedule, asked_anchor, describe, describe_after,
    describe_at, fields, parse_at_marked, parse_duration, preview_in, warnings,
};

/// The number of occurrences unless the request names one.
const DEFAULT_COUNT: u64 = 10;
/// The most occurrences of one answer.
const MAX_COUNT: u64 = 1_000;

/// A request for a preview.
#[derive(Clone, Debug)]
pub struct PreviewInput {
    /// The schedule.
    pub schedule: ScheduleInput,
    /// The zone that the schedule is read in.
    pub zone: Tz,
    /// The rule for instants at which the clocks change.
    pub dst: DstRule,
    /// The instant after which the occurrences lie.
    pub from: Millis,
    /// The most occurrences, checked by [`occurrence_count`].
    pub count: usize,
    /// The job that it is a schedule for; `None` for one that does not exist yet.
    pub job: Option<ScheduledJob>,
}

/// What a job adds to its schedule.
#[derive(Clone, Debug)]
pub struct ScheduledJob {
    /// Its id, which `H` goes by.
    pub id: JobId,
    /// The schedule that it has.
    pub spec: String,
    /// The instant from which that counts, if it is `@every`.
    pub anchor: Millis,
}

impl From<&Job> for ScheduledJob {
    fn from(job: &Job) -> Self {
        Self { id: job.id, spec: job.definition.spec.clone(), anchor: job.anchor }
    }
}

/// The one form in which a request gives a schedule, as text.
#[derive(Clone, Debug)]
pub enum ScheduleInput {
    /// Recurring: cron, a descriptor or `@every`.
    Spec(String),
    /// An instant.
    At(String),
    /// A delay.
    After(String),
}

/// A schedule in words and in instants.
#[derive(Clone, Debug)]
pub struct SchedulePreview {
    /// The whole in one sentence.
    pub description: String,
    /// Its parts, each with its meaning.
    pub fields: Vec<Field>,
    /// The first occurrences.
    pub occurrences: Vec<Preview>,
}

/// Checks how many occurrences a request asks for.
///
/// # Errors
///
/// `Invalid` where they are too many.
pub fn occurrence_count(given: Option<u64>) -> Result<usize, Error> {
    match given.unwrap_or(DEFAULT_COUNT) {
        count if count > MAX_COUNT => {
            Err(Error::invalid("count", format!("count must be at most {MAX_COUNT}")))
        }
        count => Ok(count as usize),
    }
}

/// The error of a field of a schedule.
pub fn not_valid(field: &'static str, problem: impl std::fmt::Display) -> Error {
    Error::invalid(field, format!("{field} is not valid: {problem}"))
}

impl App {
    /// Says what a schedule means.
    ///
    /// # Errors
    ///
    /// `Unprocessable` where it means nothing.
    pub async fn preview_schedule(
        &self,
        actor: &Actor,
        input: PreviewInput,
    ) -> Result<SchedulePreview, Error> {
        authorize(actor, Action::JobsRead, Resource::Any)?;
        // A thousand rare dates take a while to compute.
        let shown = self.compute(actor, move || input.preview()).await?;
        shown.map_err(Error::into_unprocessable)
    }
}

impl PreviewInput {
    /// Warnings about a schedule that is valid and probably not meant.
    pub fn warnings(&self) -> Vec<String> {
        match &self.schedule {
            ScheduleInput::Spec(spec) => {
                warnings(spec).iter().map(|sentence| format!("spec: {sentence}")).collect()
            }
            ScheduleInput::At(_) | ScheduleInput::After(_) => Vec::new(),
        }
    }

    /// The meaning of the schedule.
    ///
    /// # Errors
    ///
    /// `Invalid` where it has none.
    pub fn preview(&self) -> Result<SchedulePreview, Error> {
        match &self.schedule {
            ScheduleInput::Spec(spec) => self.spec(spec),
            ScheduleInput::At(text) => {
                let (at, mark) =
                    parse_at_marked(text, self.zone, self.dst).map_err(|e| not_valid("at", e))?;
                Ok(self.once("at", text, describe_at(at, self.zone), (at, mark), self.from))
            }
            ScheduleInput::After(text) => {
                let delay = parse_duration(text).map_err(|e| not_valid("after", e))?;
                let at = begin(self.from, delay).checked_add(delay).filter(|at| *at <= LAST);
                let at = at.ok_or_else(|| {
                    let meant = describe_after(delay);
                    let message = format!("understood as {meant:?}, which is beyond the year 9999");
                    not_valid("after", message)
                })?;
                // A delay of nothing is due at `from` itself, so the preview begins just before.
                Ok(self.once("after", text, describe_after(delay), (at, None), at - 1))
            }
        }
    }

    fn spec(&self, spec: &str) -> Result<SchedulePreview, Error> {
        let seed = self.job.as_ref().map_or(0, |job| job.id);
        let schedule =
            Schedule::parse(spec, self.zone, self.dst, seed).map_err(|e| not_valid("spec", e))?;
        let mut description = describe(spec);
        if self.job.is_none() && Schedule::is_seed_dependent(spec) {
            description.push_str(" (the instants shown are those of job 0)");
        }
        // Another schedule counts from the edit.
        let same = self.job.as_ref().filter(|job| job.spec == spec);
        let anchor = same.map_or_else(|| asked_anchor(self.from), |job| job.anchor);
        Ok(SchedulePreview {
            description,
            fields: fields(spec).map_err(|e| not_valid("spec", e))?,
            occurrences: preview_in(self.zone, &schedule, anchor, self.from, self.count),
        })
    }

    /// The preview of a one-off: `at`, with the effect of a clock change on it, if it lies after
    /// `after`.
    fn once(
        &self,
        name: &'static str,
        text: &str,
        description: String,
        (at, mark): (Millis, Option<Mark>),
        after: Millis,
    ) -> SchedulePreview {
        let mut occurrences = preview_in(self.zone, &Schedule::at(at), at, after, self.count);
        for occurrence in &mut occurrences {
            occurrence.dst = mark;
        }
        let meaning = description.replacen("Once", "once", 1);
        let fields = vec![Field { name, text: text.to_owned(), meaning }];
        SchedulePreview { description, fields, occurrences }
    }
}

/// The instant from which a delay counts: a whole second, as for jobs, unless the delay is shorter.
fn begin(from: Millis, delay: Millis) -> Millis {
    if delay < 1_000 { from } else { from + (-from).rem_euclid(1_000) }
}
