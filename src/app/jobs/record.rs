//! A job as use cases give it: the stored fields, and the runs that follow from its schedule at the
//! moment of asking. It is made on the thread that reads the store.

use rusqlite::Connection;

use crate::app::jobs::next_runs::ScheduleCache;
use crate::model::Millis;
use crate::model::attempt::execution_id;
use crate::model::job::{Job, JobStatus};
use crate::store::meta;

/// A job at one instant. All instants are in milliseconds since 1970.
#[derive(Clone, Debug)]
pub struct JobRecord {
    /// The stored job.
    pub job: Job,
    /// Its status: a job that is paused up to a later instant is inactive, and a recurring job that
    /// has no occurrence left is completed.
    pub status: JobStatus,
    /// The end of its pause.
    pub paused_until: Option<Millis>,
    /// Its own number of retries, or else the default of its project.
    pub retry_max: u32,
    /// Seconds east of UTC of its zone.
    pub timezone_offset: i32,
    /// Its last planned instant that has passed.
    pub last: Option<Millis>,
    /// The execution id of the occurrence at `last`.
    pub last_execution_id: Option<String>,
    /// Its next planned instant.
    pub next: Option<Millis>,
    /// The instant at which the next occurrence is due, where jitter may make that another one.
    pub next_due: Option<Millis>,
}

/// Makes records of jobs, all at the same instant.
pub(super) struct Records<'c> {
    cluster: u128,
    now: Millis,
    schedules: ScheduleCache<'c>,
}

impl<'c> Records<'c> {
    /// Records as of now. `retry_max` is the configuration's, for jobs that have none of their own.
    pub(super) fn new(conn: &'c Connection, now: Millis, retry_max: u32) -> rusqlite::Result<Self> {
        let cluster = meta::cluster_id(conn)?.unwrap_or_default();
        Ok(Self { cluster, now, schedules: ScheduleCache::new(conn, now, retry_max) })
    }

    /// The record of a job.
    pub(super) fn record(&mut self, job: Job) -> rusqlite::Result<JobRecord> {
        let last = self.schedules.last(&job)?;
        let (next, due) = self.schedules.next(&job, self.now)?.unzip();
        let next_due = due.filter(|due| next != Some(*due) || job.definition.jitter > 0);
        let retry_max = match job.definition.retry_max {
            Some(own) => own,
            None => self.schedules.project(job.definition.project)?.retry_max,
        };
        let timezone_offset = self.schedules.offset(job.definition_id, &job.definition);
        // A paused job fires again by itself, but not now.
        let (status, paused_until) = if self.schedules.is_over(&job)? {
            (JobStatus::Completed, None)
        } else {
            (job.status_at(self.now), job.paused_until(self.now))
        };
        let last_execution_id = last.map(|last| execution_id(self.cluster, job.id, last));
        Ok(JobRecord {
            job,
            status,
            paused_until,
            retry_max,
            timezone_offset,
            last,
            last_execution_id,
            next,
            next_due,
        })
    }
}
