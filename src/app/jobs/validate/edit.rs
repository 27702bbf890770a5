//! The edit that a request makes of a job. `update` and `upsert` call it; the definition is checked
//! as a new job's is. Pure.
//!
//! | mode | a field that is not named | null |
//! |---|---|---|
//! | [`EditMode::Put`] | stays, if the published clients know it (they send only some); target and
//! schedule stay until another is named; `externalId` and pause stay; any other field gets its
//! default | as not named, but `externalId` and `pauseUntil` are cleared |
//! | [`EditMode::Patch`] | stays, within objects too (`merge`) | clears the field |
//! | [`EditMode::Whole`] | gets its default; status and pause stay | as not named |

use crate::app::error::Error;
use crate::app::jobs::input::{JobInput, Name, Names};
use crate::app::jobs::next_runs;
use crate::app::jobs::validate::definition::Base;
use crate::app::jobs::validate::instants::{self, pause_until};
use crate::app::jobs::validate::merge;
use crate::app::jobs::validate::own_fields::{self, by, external_id};
use crate::app::jobs::validate::payload::{Measure, check_payload};
use crate::app::jobs::validate::refusals::unprocessable;
use crate::app::jobs::validate::rules::Rules;
use crate::app::jobs::validate::seen::SeenValues;
use crate::app::warnings::Warnings;
use crate::command::JobEdit;
use crate::model::Millis;
use crate::model::job::{Job, JobDefinition, JobStatus, Timing};

/// The rule for fields that a request does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditMode {
    /// A replacement.
    Put,
    /// A merge patch.
    Patch,
    /// An upsert.
    Whole,
}

/// The edit of a job that a request asks for. The caller sets the version that it expects.
pub(in crate::app::jobs) fn edited(
    rules: &Rules,
    job: &Job,
    input: &JobInput<'_>,
    mode: EditMode,
    warnings: &mut Warnings,
) -> Result<JobEdit, Error> {
    SharedEdit::of(rules, &job.definition, input, mode, warnings)?.of_job(rules, job, input)
}

/// The part of an edit that is the same for all jobs of a definition.
pub(in crate::app::jobs) struct SharedEdit {
    /// The definition after the edit.
    pub(in crate::app::jobs) definition: JobDefinition,
    mode: EditMode,
    nulls: Names,
    /// The request or the job names a zone.
    zoned: bool,
    measure: Option<Measure>,
}

impl SharedEdit {
    /// The edit of the jobs of a definition.
    pub(in crate::app::jobs) fn of(
        rules: &Rules,
        old: &JobDefinition,
        input: &JobInput<'_>,
        mode: EditMode,
        warnings: &mut Warnings,
    ) -> Result<Self, Error> {
        let (given, nulls) = match mode {
            EditMode::Patch => {
                let mut nulls = input.nulls;
                (merge::merge_over(rules, old, &input.definition, &mut nulls)?, nulls)
            }
            EditMode::Put | EditMode::Whole => (input.definition.clone(), Names::default()),
        };
        let mut definition = base(old, mode);
        let same_executor = given.executor.is_some() && given.executor == old.executor;
        if mode == EditMode::Put && given.names_target() && !same_executor {
            // It belongs to the target that is replaced.
            definition.message = None;
        }
        let base = Base { definition, old: Some(old), nulls };
        let zoned = given.timezone.is_some() || !base.definition.timezone.is_empty();
        let mut seen = SeenValues::default();
        let definition = seen.definition(rules, base, &given)?;
        warnings.merge(seen.warnings);
        Ok(Self { definition, mode, nulls, zoned, measure: None })
    }

    /// The edit of one of these jobs.
    pub(in crate::app::jobs) fn of_job(
        &mut self,
        rules: &Rules,
        job: &Job,
        input: &JobInput<'_>,
    ) -> Result<JobEdit, Error> {
        let (definition, mode, nulls) = (&self.definition, self.mode, self.nulls);
        let was = job.definition.is_one_off().then_some(job.anchor);
        let (at, again) = match (&input.at, definition.timing) {
            (Some(text), _) => {
                let at = Some(instants::at(rules, definition, text, self.zoned, was)?);
                (at, at != was)
            }
            // A delay begins anew where it is another one, or where the request names nothing else.
            (None, Timing::After(_)) => {
                let other = definition.timing != job.definition.timing || mode == EditMode::Patch;
                let again = input.definition.rare(Name::After).is_some() && other;
                (was.filter(|_| !again), again)
            }
            (None, Timing::At | Timing::Spec) => (was.filter(|_| definition.is_one_off()), false),
        };
        let (status, pause_until) = fires(rules, job, definition, input, mode, again)?;
        let data = match &input.data {
            Some(data) => data.to_string(),
            None if mode == EditMode::Whole || nulls.has(Name::Data) => String::new(),
            None => job.data.clone(),
        };
        check_payload(rules, definition, &mut self.measure, &data)?;
        let external_id = match external_id(input.external_id.as_deref())? {
            Some(id) => Some(id),
            None if input.nulls.has(Name::ExternalId) => None,
            None => job.external_id.clone(),
        };
        let by = by("modifiedBy", input.modified_by.as_deref())?;
        Ok(JobEdit {
            id: job.id,
            expect: None,
            definition: self.definition.clone(),
            data,
            status,
            at,
            pause_until,
            external_id,
            by,
        })
    }
}

/// The fields where the request names none.
fn base(old: &JobDefinition, mode: EditMode) -> JobDefinition {
    match mode {
        EditMode::Patch => old.clone(),
        EditMode::Put => JobDefinition {
            project: old.project,
            spec: old.spec.clone(),
            period: old.period,
            timezone: old.timezone.clone(),
            callback_url: old.callback_url.clone(),
            execution_type: old.execution_type.clone(),
            casing: old.casing,
            start: old.start,
            end: old.end,
            retry_max: old.retry_max,
            executor: old.executor,
            created_by: old.created_by.clone(),
            timing: old.timing,
            http: old.http.clone(),
            target: old.target.clone(),
            message: old.message.clone(),
            template: old.template,
            template_type: old.template_type.clone(),
            ..JobDefinition::default()
        },
        EditMode::Whole => JobDefinition {
            project: old.project,
            execution_type: old.execution_type.clone(),
            casing: old.casing,
            created_by: old.created_by.clone(),
            template: old.template,
            template_type: old.template_type.clone(),
            ..JobDefinition::default()
        },
    }
}

/// The status and the pause after the edit. `again` says that a one-off got another instant.
fn fires(
    rules: &Rules,
    job: &Job,
    definition: &JobDefinition,
    input: &JobInput<'_>,
    mode: EditMode,
    again: bool,
) -> Result<(JobStatus, Option<Millis>), Error> {
    // A client may send back the status that it was shown.
    let status = input.status.as_deref().filter(|status| {
        let ours = matches!(job.status, JobStatus::Completed | JobStatus::Disabled);
        let over = *status == JobStatus::Completed.name() && next_runs::is_over(job, rules.now);
        !(over || ours && *status == job.status.name())
    });
    let named = own_fields::status(status)?;
    let paused = job.paused_until(rules.now);
    let (status, until) = match &input.pause_until {
        Some(text) => {
            (JobStatus::Active, Some(pause_until("pauseUntil", rules.now, definition, text)?))
        }
        None if named.is_some() => (named.unwrap_or(job.status), None),
        None if input.nulls.has(Name::PauseUntil) && mode != EditMode::Whole => (job.status, None),
        None => (job.status, paused),
    };
    if job.status != JobStatus::Completed {
        return Ok((status, until));
    }
    if again || !definition.is_one_off() {
        let status = if status == JobStatus::Completed { JobStatus::Active } else { status };
        return Ok((status, until));
    }
    if status != JobStatus::Completed {
        let message = "job is completed: give it a new at or after to run it again";
        return Err(unprocessable("status", message));
    }
    Ok((status, until))
}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
