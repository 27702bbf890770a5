//! Jobs before and after an edit that is not made: with all that follows from their schedules, as
//! if the edit were made now. `run` picks them.

use std::sync::Arc;

use rusqlite::Connection;

use crate::app::jobs::bulk_edit::result::EditSample;
use crate::app::jobs::next_runs::ScheduleCache;
use crate::app::jobs::record::{JobRecord, Records};
use crate::command::{JobEdit, anchor_after};
use crate::model::Millis;
use crate::model::job::{Job, JobStatus};

/// The most samples of an edit.
pub(super) const MOST_SAMPLES: usize = 10;
/// The occurrences of a sample.
const OCCURRENCES: usize = 3;

/// Picks the samples: jobs of different definitions as far as there are some.
#[derive(Debug, Default)]
pub(super) struct Samples {
    picked: Vec<(Job, JobEdit)>,
    /// The next of those whose definition another one has.
    spare: Vec<(Job, JobEdit)>,
}

impl Samples {
    /// Says whether there is room for a job, which need not be copied otherwise.
    pub(super) fn wants(&self, job: &Job) -> bool {
        if self.is_new(job) {
            self.picked.len() < MOST_SAMPLES
        } else {
            self.picked.len() + self.spare.len() < MOST_SAMPLES
        }
    }

    fn is_new(&self, job: &Job) -> bool {
        self.picked.iter().all(|(known, _)| known.definition_id != job.definition_id)
    }

    /// Takes a job that [`Samples::wants`].
    pub(super) fn take(&mut self, job: Job, edit: JobEdit) {
        if self.is_new(&job) {
            self.picked.push((job, edit));
        } else {
            self.spare.push((job, edit));
        }
    }

    /// The samples as of now, in the order of their ids. `retry_max` is the configuration's.
    pub(super) fn shown(
        self,
        conn: &Connection,
        now: Millis,
        retry_max: u32,
    ) -> rusqlite::Result<Vec<EditSample>> {
        let mut records = Records::new(conn, now, retry_max)?;
        let mut schedules = ScheduleCache::new(conn, now, retry_max);
        let all = self.picked.into_iter().chain(self.spare).take(MOST_SAMPLES);
        let mut shown = Vec::new();
        for (number, (before, edit)) in (0..).zip(all) {
            let after = edited(&before, edit, now, number);
            let next_before = schedules.upcoming(&before, OCCURRENCES)?;
            let next_after = schedules.upcoming(&after, OCCURRENCES)?;
            let before = records.record(before)?;
            let after = paused_as_before(&before, records.record(after)?);
            shown.push(EditSample { before, after, next_before, next_after });
        }
        shown.sort_unstable_by_key(|sample| sample.before.job.id);
        Ok(shown)
    }
}

/// The job after an edit that is made now. Its plan begins now, or with the end of its pause.
fn edited(old: &Job, edit: JobEdit, now: Millis, number: u64) -> Job {
    let anchor = anchor_after(old, &edit, now).unwrap_or(old.anchor);
    let is_again = old.status == JobStatus::Completed
        && (anchor != old.anchor || !edit.definition.is_one_off());
    let from = old.from.max(now);
    Job {
        // No stored definition has such a number: schedules are kept by it.
        definition_id: u64::MAX - number,
        definition: Arc::new(edit.definition),
        data: edit.data,
        anchor,
        from,
        // Its earlier plans are of another definition: nothing is to look for them.
        created: from,
        modified: Some(from),
        status: if is_again { JobStatus::Active } else { old.status },
        external_id: edit.external_id,
        version: old.version + 1,
        ..old.clone()
    }
}

/// The record of a job after an edit. A pause with an end is that of the job before it.
fn paused_as_before(before: &JobRecord, after: JobRecord) -> JobRecord {
    match (before.paused_until, after.status) {
        (Some(until), JobStatus::Active) => {
            JobRecord { status: JobStatus::Inactive, paused_until: Some(until), ..after }
        }
        _ => after,
    }
}
