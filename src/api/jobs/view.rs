//! A job as it is shown: what the books hold of it, and what follows from its schedule at the moment
//! of asking. `super`, `async_tasks` and `schedules` use it, on the thread that reads the books.

use std::borrow::Cow;
use std::collections::HashMap;

use chrono::{Offset, TimeZone};
use chrono_tz::Tz;
use rusqlite::Connection;
use serde::Serialize;

use crate::model::block::execution_id;
use crate::model::job::{Job, JobShape, JobStatus};
use crate::model::time::rfc3339;
use crate::model::{JobId, Millis};
use crate::schedule::{DstRule, Preview, Schedule, parse_zone, preview_in};
use crate::store::{jobs, meta, plans};

/// A job, camelCase; the casing of the mount is made when it is written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct JobView {
    id: u64,
    project_id: u64,
    spec: String,
    callback_url: String,
    data: String,
    execution_type: String,
    timezone: String,
    /// Seconds east of UTC, now.
    timezone_offset: i32,
    retry_max: u32,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dst: Option<DstRule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executor_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_execution_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_execution_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_id: Option<String>,
    date_created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_modified: Option<String>,
}

/// Makes views for one answer; schedules are read once a shape.
pub(in crate::api) struct Views<'c> {
    conn: &'c Connection,
    cluster: u128,
    now: Millis,
    retry_max: u32,
    shapes: HashMap<u64, Known>,
}

/// What a shape's text means.
struct Known {
    /// `None`: it cannot be read (it was checked when it was made, so this does not occur), or
    /// depends on the job.
    schedule: Option<Schedule>,
    hashed: bool,
    offset: i32,
}

/// A stretch of a job's time under one schedule.
struct Stretch<'s> {
    schedule: &'s Schedule,
    shape: &'s JobShape,
    anchor: Millis,
    from: Millis,
    until: Millis,
}

impl<'c> Views<'c> {
    /// Views as of now; `retry_max` is the configuration's, for jobs that have none of their own.
    pub(in crate::api) fn new(
        conn: &'c Connection,
        now: Millis,
        retry_max: u32,
    ) -> rusqlite::Result<Self> {
        let cluster = meta::cluster_id(conn)?.unwrap_or_default();
        Ok(Self { conn, cluster, now, retry_max, shapes: HashMap::new() })
    }

    /// The job as shown.
    pub(in crate::api) fn job(&mut self, job: Job) -> rusqlite::Result<JobView> {
        let last = self.last(&job)?;
        let next = self.next(&job, self.now);
        let offset = self.known(job.shape_id, &job.shape).offset;
        let shape = &*job.shape;
        Ok(JobView {
            id: job.id,
            project_id: shape.project,
            spec: shape.spec.clone(),
            callback_url: shape.callback_url.clone(),
            data: job.data,
            execution_type: shape.execution_type.clone(),
            timezone: shape.timezone.clone(),
            timezone_offset: offset,
            retry_max: shape.retry_max.unwrap_or(self.retry_max),
            status: job.status.name(),
            dst: Some(shape.dst).filter(|dst| *dst != DstRule::default()),
            start_date: shape.start.map(rfc3339),
            end_date: shape.end.map(rfc3339),
            executor_id: shape.executor,
            created_by: shape.created_by.clone(),
            modified_by: job.modified_by,
            last_execution_date: last.map(rfc3339),
            next_execution_date: next.map(rfc3339),
            execution_id: last.map(|last| execution_id(self.cluster, job.id, last)),
            date_created: rfc3339(job.created),
            date_modified: job.modified.map(rfc3339),
        })
    }

    /// The jobs of a task that are still there.
    pub(in crate::api) fn of_task(
        &mut self,
        ranges: &[(JobId, u64)],
    ) -> rusqlite::Result<Vec<JobView>> {
        let mut found = Vec::new();
        for (first, n) in ranges {
            jobs::whole_range(self.conn, *first, *n, |job| found.push(job))?;
        }
        found.into_iter().map(|job| self.job(job)).collect()
    }

    /// The job's first planned instant after another, under its current plan.
    pub(in crate::api) fn next(&mut self, job: &Job, after: Millis) -> Option<Millis> {
        if job.status != JobStatus::Active {
            return None;
        }
        let from = reach(job, after);
        let schedule = self.schedule(job.id, job.shape_id, &job.shape)?;
        let next = schedule.next(job.anchor, from)?;
        Some(next).filter(|next| job.shape.end.is_none_or(|end| *next <= end))
    }

    /// Its first planned instants after now, at most so many, under its current plan: none of a
    /// job that is paused or over.
    pub(in crate::api) fn upcoming(&mut self, job: &Job, count: usize) -> Vec<Preview> {
        if job.status != JobStatus::Active {
            return Vec::new();
        }
        let from = reach(job, self.now);
        let zone = parse_zone(&job.shape.timezone).unwrap_or(Tz::UTC);
        let Some(schedule) = self.schedule(job.id, job.shape_id, &job.shape) else {
            return Vec::new();
        };
        let mut found = preview_in(zone, &schedule, job.anchor, from, count);
        if let Some(end) = job.shape.end {
            found.truncate(found.partition_point(|occurrence| occurrence.utc <= end));
        }
        found
    }

    /// The last planned instant that has passed, under this plan or one before it.
    fn last(&mut self, job: &Job) -> rusqlite::Result<Option<Millis>> {
        if job.status == JobStatus::Active {
            let (anchor, from, now) = (job.anchor, job.from, self.now);
            let found = self.prev(job.id, job.shape_id, &job.shape, anchor, from, now);
            if found.is_some() {
                return Ok(found);
            }
        }
        if job.from <= job.created {
            return Ok(None);
        }
        for plan in plans::of_job(self.conn, job.id)?.into_iter().rev().filter(|p| p.active) {
            let (anchor, from, until) = (plan.anchor, plan.from, plan.until.min(self.now));
            let found = self.prev(job.id, plan.shape_id, &plan.shape, anchor, from, until);
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn prev(
        &mut self,
        job: u64,
        shape_id: u64,
        shape: &JobShape,
        anchor: Millis,
        from: Millis,
        until: Millis,
    ) -> Option<Millis> {
        let schedule = &*self.schedule(job, shape_id, shape)?;
        Stretch { schedule, shape, anchor, from, until }.last()
    }

    /// What a job of a shape fires by; `None` when it cannot be read.
    fn schedule(
        &mut self,
        job: JobId,
        shape_id: u64,
        shape: &JobShape,
    ) -> Option<Cow<'_, Schedule>> {
        match self.known(shape_id, shape) {
            Known { schedule: Some(schedule), .. } => Some(Cow::Borrowed(schedule)),
            Known { hashed: true, .. } => parse(shape, job).map(Cow::Owned),
            Known { .. } => None,
        }
    }

    fn known(&mut self, shape_id: u64, shape: &JobShape) -> &Known {
        let now = self.now;
        self.shapes.entry(shape_id).or_insert_with(|| {
            let hashed = Schedule::is_seed_dependent(&shape.spec);
            let schedule = if hashed { None } else { parse(shape, 0) };
            Known { schedule, hashed, offset: offset(&shape.timezone, now) }
        })
    }
}

impl Stretch<'_> {
    fn last(&self) -> Option<Millis> {
        let until = self.until.min(self.shape.end.unwrap_or(Millis::MAX));
        let last = self.schedule.prev(self.anchor, until)?;
        let started = self.shape.start.is_none_or(|start| last >= start);
        Some(last).filter(|last| started && *last > self.from)
    }
}

/// Where a search begins that is to find what the plan has after an instant.
fn reach(job: &Job, after: Millis) -> Millis {
    let start = job.shape.start.map_or(Millis::MIN, |start| start - 1);
    after.max(job.from).max(start)
}

fn parse(shape: &JobShape, job: u64) -> Option<Schedule> {
    let zone = parse_zone(&shape.timezone).ok()?;
    Schedule::parse(&shape.spec, zone, shape.dst, job).ok()
}

fn offset(zone: &str, now: Millis) -> i32 {
    let (Ok(zone), Some(now)) = (parse_zone(zone), chrono::DateTime::from_timestamp_millis(now))
    else {
        return 0;
    };
    zone.offset_from_utc_datetime(&now.naive_utc()).fix().local_minus_utc()
}
