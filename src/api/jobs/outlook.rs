//! What follows from a job's schedule at the moment of asking: the planned instants before and after
//! it, pauses left out. `super::view` shows them with the job; nothing here reads what happened.

use std::borrow::Cow;

use chrono::{Offset, TimeZone};
use chrono_tz::Tz;

use super::view::Views;
use crate::model::job::{Job, JobShape, JobStatus};
use crate::model::target::ProjectPause;
use crate::model::{JobId, Millis, ProjectId};
use crate::schedule::{Jittered, Preview, Schedule, parse_zone, preview_in};
use crate::store::plans;

/// What a shape's text means.
pub(super) struct Known {
    /// `None`: it cannot be read (it was checked when it was made, so this does not occur), or
    /// depends on the job.
    schedule: Option<Schedule>,
    hashed: bool,
    /// Seconds east of UTC, now.
    pub(super) offset: i32,
}

/// A stretch of a job's time under one schedule.
struct Stretch<'s> {
    schedule: &'s Schedule,
    shape: &'s JobShape,
    anchor: Millis,
    from: Millis,
    until: Millis,
}

impl Views<'_> {
    /// The job's first planned instant after another, under its current plan: neither in a pause nor
    /// of a job that is over.
    pub(in crate::api) fn next(
        &mut self,
        job: &Job,
        after: Millis,
    ) -> rusqlite::Result<Option<Millis>> {
        if job.status != JobStatus::Active {
            return Ok(None);
        }
        let pauses = self.pauses(job.shape.project)?;
        let Some(schedule) = self.schedule(job.id, job.shape_id, &job.shape) else {
            return Ok(None);
        };
        let mut from = reach(job, after);
        // Each round but the last comes to the end of another pause.
        for _ in 0..=pauses.len() {
            let next = schedule.next(job.anchor, from);
            let next = next.filter(|next| job.shape.end.is_none_or(|end| *next <= end));
            let pause = next.and_then(|next| pauses.iter().find(|pause| pause.covers(next)));
            match pause.map(|pause| pause.until) {
                None => return Ok(next),
                Some(Some(until)) => from = until,
                Some(None) => break,
            }
        }
        Ok(None)
    }

    /// Its first planned instants after now, at most so many; see [`Views::next`].
    pub(in crate::api) fn upcoming(
        &mut self,
        job: &Job,
        count: usize,
    ) -> rusqlite::Result<Vec<Preview>> {
        let mut found = Vec::new();
        if job.status != JobStatus::Active {
            return Ok(found);
        }
        let pauses = self.pauses(job.shape.project)?;
        let zone = parse_zone(&job.shape.timezone).unwrap_or(Tz::UTC);
        let mut from = reach(job, self.now);
        let Some(schedule) = self.schedule(job.id, job.shape_id, &job.shape) else {
            return Ok(found);
        };
        for _ in 0..=pauses.len() {
            let mut some = preview_in(zone, &schedule, job.anchor, from, count - found.len());
            if let Some(end) = job.shape.end {
                some.truncate(some.partition_point(|occurrence| occurrence.utc <= end));
            }
            let stop = some.iter().enumerate().find_map(|(place, occurrence)| {
                let pause = pauses.iter().find(|pause| pause.covers(occurrence.utc))?;
                Some((place, pause.until))
            });
            found.extend(some.drain(..stop.map_or(some.len(), |(place, _)| place)));
            match stop {
                Some((_, Some(until))) => from = until,
                Some((_, None)) | None => break,
            }
        }
        Ok(found)
    }

    /// When an occurrence is due that its jitter delays.
    pub(super) fn due(&mut self, job: &Job, scheduled: Millis) -> Option<Millis> {
        let (anchor, jitter) = (job.anchor, job.shape.jitter);
        let schedule = &*self.schedule(job.id, job.shape_id, &job.shape)?;
        Some(Jittered { schedule, anchor, job: job.id, jitter }.due(scheduled))
    }

    fn pauses(&mut self, project: ProjectId) -> rusqlite::Result<Vec<ProjectPause>> {
        Ok(self.project(project)?.pauses.clone())
    }

    /// The last planned instant that has passed, under this plan or one before it.
    pub(super) fn last(&mut self, job: &Job) -> rusqlite::Result<Option<Millis>> {
        if job.shape.is_one_off() && job.status != JobStatus::Inactive {
            // Also one that was due when it was made.
            return Ok(Some(job.anchor).filter(|at| *at <= self.now));
        }
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
        for plan in plans::of_job(self.conn, job.id)?.into_iter().rev().filter(|p| p.status.fires())
        {
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

    pub(super) fn known(&mut self, shape_id: u64, shape: &JobShape) -> &Known {
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
    if shape.is_one_off() {
        return Some(Schedule::once());
    }
    let zone = parse_zone(&shape.timezone).ok()?;
    Schedule::stored(&shape.spec, zone, shape.dst, job).ok()
}

fn offset(zone: &str, now: Millis) -> i32 {
    let (Ok(zone), Some(now)) = (parse_zone(zone), chrono::DateTime::from_timestamp_millis(now))
    else {
        return 0;
    };
    zone.offset_from_utc_datetime(&now.naive_utc()).fix().local_minus_utc()
}
