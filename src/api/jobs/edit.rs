//! What a request makes of a job that is there. `super::change` calls it for edits and
//! `super::external` for upserts; the shape is checked as a new job's is. Pure.
//!
//! | | what is not named | null |
//! |---|---|---|
//! | [`How::Put`] | stays, of the fields that the published clients know (they send some of them only); target and schedule stay until another is named; `externalId` and pause stay; the rest gets its default | as not named, but `externalId` and `pauseUntil` go |
//! | [`How::Patch`] | stays, within objects too (`super::merge`) | takes the field away |
//! | [`How::Whole`] | gets its default; status and pause stay | as not named |

use super::check::{self, Rules, check_payload};
use super::merge;
use super::names::{Name, Names};
use super::outlook;
use super::parse::JobInput;
use super::shape::{Base, Seen, by, unfit};
use crate::api::error::Error;
use crate::api::reply::Warnings;
use crate::command::JobEdit;
use crate::model::Millis;
use crate::model::job::{Job, JobShape, JobStatus, Timing};

/// What becomes of the fields that a request does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// `PUT /jobs/{id}`.
    Put,
    /// `PATCH /jobs/{id}`.
    Patch,
    /// An upsert.
    Whole,
}

/// The edit of a job that a request asks for; the caller says which version it expects.
pub(super) fn edited(
    rules: &Rules,
    job: &Job,
    input: &JobInput<'_>,
    how: How,
    warnings: &mut Warnings,
) -> Result<JobEdit, Error> {
    let old = &*job.shape;
    let (given, nulls) = match how {
        How::Patch => {
            let mut nulls = input.nulls;
            (merge::over(old, &input.shape, &mut nulls)?, nulls)
        }
        How::Put | How::Whole => (input.shape.clone(), Names::default()),
    };
    let base = Base { shape: base(old, how), http: old.http.as_deref(), nulls };
    let zoned = given.timezone.is_some() || !base.shape.timezone.is_empty();
    let mut seen = Seen::default();
    let shape = seen.shape(rules, base, &given)?;
    warnings.merge(seen.warnings);
    let was = old.is_one_off().then_some(job.anchor);
    let (at, again) = match (&input.at, shape.timing) {
        (Some(text), _) => {
            let at = Some(check::at(rules, &shape, text, zoned, was)?);
            (at, at != was)
        }
        // A delay begins anew where it is another one, or where that is all the request is about.
        (None, Timing::After(_)) => {
            let named = given.rare(Name::After).is_some();
            let again = named && (shape.timing != old.timing || how == How::Patch);
            (was.filter(|_| !again), again)
        }
        (None, Timing::At | Timing::Spec) => (was.filter(|_| shape.is_one_off()), false),
    };
    let (status, pause_until) = fires(rules, job, &shape, input, how, again)?;
    let data = match &input.data {
        Some(data) => data.to_string(),
        None if how == How::Whole || nulls.has(Name::Data) => String::new(),
        None => job.data.clone(),
    };
    check_payload(rules, &shape, &mut None, &data)?;
    let external_id = match check::external_id(input.external_id.as_deref())? {
        Some(id) => Some(id),
        None if input.nulls.has(Name::ExternalId) => None,
        None => job.external_id.clone(),
    };
    let by = by("modifiedBy", input.modified_by.as_deref())?;
    Ok(JobEdit { id: job.id, expect: None, shape, data, status, at, pause_until, external_id, by })
}

/// What holds where the request says nothing.
fn base(old: &JobShape, how: How) -> JobShape {
    match how {
        How::Patch => old.clone(),
        How::Put => JobShape {
            project: old.project,
            spec: old.spec.clone(),
            period: old.period,
            timezone: old.timezone.clone(),
            callback_url: old.callback_url.clone(),
            execution_type: old.execution_type.clone(),
            dialect: old.dialect,
            start: old.start,
            end: old.end,
            retry_max: old.retry_max,
            executor: old.executor,
            created_by: old.created_by.clone(),
            timing: old.timing,
            http: old.http.clone(),
            ..JobShape::default()
        },
        How::Whole => JobShape {
            project: old.project,
            execution_type: old.execution_type.clone(),
            dialect: old.dialect,
            created_by: old.created_by.clone(),
            ..JobShape::default()
        },
    }
}

/// Whether it fires, and from when on. `again`: a one-off got another instant.
fn fires(
    rules: &Rules,
    job: &Job,
    shape: &JobShape,
    input: &JobInput<'_>,
    how: How,
    again: bool,
) -> Result<(JobStatus, Option<Millis>), Error> {
    // What a GET showed may be sent back.
    let status = input.status.as_deref().filter(|status| {
        let ours = matches!(job.status, JobStatus::Completed | JobStatus::Disabled);
        let over = *status == JobStatus::Completed.name() && outlook::is_over(job, rules.now);
        !(over || ours && *status == job.status.name())
    });
    let named = check::status(status)?;
    let paused = job.paused_until(rules.now);
    let (status, until) = match &input.pause_until {
        Some(text) => {
            (JobStatus::Active, Some(check::pause_until("pauseUntil", rules, shape, text)?))
        }
        None if named.is_some() => (named.unwrap_or(job.status), None),
        None if input.nulls.has(Name::PauseUntil) && how != How::Whole => (job.status, None),
        None => (job.status, paused),
    };
    if job.status != JobStatus::Completed {
        return Ok((status, until));
    }
    if again || !shape.is_one_off() {
        let status = if status == JobStatus::Completed { JobStatus::Active } else { status };
        return Ok((status, until));
    }
    if status != JobStatus::Completed {
        let message = "job is completed: give it a new at or after to run it again";
        return Err(unfit("status", message));
    }
    Ok((status, until))
}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
