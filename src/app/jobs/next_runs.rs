//! The planned instants of a job before and after the moment of asking, pauses left out. Answers
//! show them with a job, with an attempt, and alone. Nothing here reads history.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use chrono::{Offset, TimeZone};
use chrono_tz::Tz;
use rusqlite::Connection;

use crate::model::job::{Job, JobDefinition, JobStatus, LONGEST_JITTER};
use crate::model::target::ProjectPause;
use crate::model::{JobId, Millis, ProjectId};
use crate::schedule::{Jittered, Preview, Schedule, parse_zone, preview_in};
use crate::store::jobs::{self, JobRow};
use crate::store::timeline::Timeline;
use crate::store::{plans, projects};

/// The schedule of a definition.
struct ParsedSchedule {
    /// `None` where the text cannot be read (it was checked when it was made), or where the
    /// schedule depends on the job.
    schedule: Option<Schedule>,
    hashed: bool,
    /// Seconds east of UTC, now.
    offset: i32,
}

/// The schedules of jobs at one instant. The schedule of each definition is read once, and so is
/// each project.
pub(in crate::app) struct ScheduleCache<'c> {
    conn: &'c Connection,
    now: Millis,
    retry_max: u32,
    schedules: HashMap<u64, ParsedSchedule>,
    projects: HashMap<ProjectId, InProject>,
}

/// The settings of a project that concern the runs of its jobs.
pub(in crate::app) struct InProject {
    /// Its pauses, oldest first.
    pub(in crate::app) pauses: Vec<ProjectPause>,
    /// The retries of a job that has no number of its own.
    pub(in crate::app) retry_max: u32,
}

/// An interval of a job's time under one schedule.
struct Interval<'s> {
    of: Jittered<'s>,
    definition: &'s JobDefinition,
    from: Millis,
    until: Millis,
}

/// An occurrence that is yet to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upcoming {
    /// Its scheduled instant.
    pub preview: Preview,
    /// The instant at which it is due, where jitter makes that another one.
    pub due_at: Option<Millis>,
}

impl<'c> ScheduleCache<'c> {
    /// A cache as of `now`. `retry_max` is the configuration's, for jobs whose project has none.
    pub(in crate::app) fn new(conn: &'c Connection, now: Millis, retry_max: u32) -> Self {
        Self { conn, now, retry_max, schedules: HashMap::new(), projects: HashMap::new() }
    }

    /// Says whether a recurring job has no occurrence left, and so counts as completed.
    pub(in crate::app) fn is_over(&mut self, job: &Job) -> rusqlite::Result<bool> {
        if job.definition.end.is_none() || job.definition.is_one_off() {
            return Ok(false);
        }
        let (conn, now) = (self.conn, self.now);
        match self.schedule(job.id, job.definition_id, &job.definition) {
            Some(schedule) => jobs::is_over(conn, &row(job), &job.definition, &schedule, now),
            None => Ok(false),
        }
    }

    /// The job's first occurrences due after an instant, at most `count`, as (scheduled, due). All
    /// its plans count; pauses and jobs that do not fire have none.
    fn ahead(
        &mut self,
        job: &Job,
        after: Millis,
        count: usize,
    ) -> rusqlite::Result<Vec<(Millis, Millis)>> {
        let mut found = Vec::new();
        if job.status != JobStatus::Active {
            return Ok(found);
        }
        if job.from > job.created && after < job.from.saturating_add(LONGEST_JITTER) {
            let plans = plans::of_job(self.conn, job.id)?;
            if plans.iter().any(|plan| plan.definition.jitter > 0 && plan.reach() > after) {
                let timeline = Timeline::of_job(self.conn, job.id)?;
                let all = timeline.map(|all| all.to_fire(after, count)).unwrap_or_default();
                return Ok(all.iter().map(|one| (one.scheduled, one.due)).collect());
            }
        }
        let pauses = self.pauses(job.definition.project)?;
        let Some(schedule) = self.schedule(job.id, job.definition_id, &job.definition) else {
            return Ok(found);
        };
        let (row, mut after) = (row(job), after);
        while found.len() < count {
            let next = jobs::first_due(&row, &job.definition, &schedule, after);
            let Some((scheduled, due)) = next else { break };
            match pauses.iter().find(|pause| pause.covers(due)).map(|pause| pause.until) {
                None => {
                    found.push((scheduled, due));
                    after = due;
                }
                Some(Some(until)) => after = until,
                Some(None) => break,
            }
        }
        Ok(found)
    }

    /// The first occurrence due after an instant, as (scheduled, due).
    pub(in crate::app) fn next(
        &mut self,
        job: &Job,
        after: Millis,
    ) -> rusqlite::Result<Option<(Millis, Millis)>> {
        Ok(self.ahead(job, after, 1)?.first().copied())
    }

    /// The job's first occurrences due after now, at most `count`.
    pub(in crate::app) fn upcoming(
        &mut self,
        job: &Job,
        count: usize,
    ) -> rusqlite::Result<Vec<Upcoming>> {
        let ahead = self.ahead(job, self.now, count)?;
        let zone = parse_zone(&job.definition.timezone).unwrap_or(Tz::UTC);
        let Some(schedule) = self.schedule(job.id, job.definition_id, &job.definition) else {
            return Ok(Vec::new());
        };
        let mut shown = Vec::with_capacity(ahead.len());
        let mut before = None;
        for (scheduled, due) in ahead {
            let from = before
                .or_else(|| schedule.prev(job.anchor, scheduled - 1))
                .filter(|from| *from < scheduled)
                .unwrap_or(scheduled - 1);
            // An occurrence of an earlier plan is shown by its instant alone.
            let own = preview_in(zone, &schedule, job.anchor, from, 1);
            let own = own.into_iter().find(|one| one.utc == scheduled);
            let plain = || preview_in(zone, &Schedule::at(scheduled), 0, scheduled - 1, 1).pop();
            let due_at = (due != scheduled).then_some(due);
            shown.extend(own.or_else(plain).map(|preview| Upcoming { preview, due_at }));
            before = Some(scheduled);
        }
        Ok(shown)
    }

    /// The settings of a project, read once.
    pub(in crate::app) fn project(&mut self, id: ProjectId) -> rusqlite::Result<&InProject> {
        Ok(match self.projects.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let own = projects::get(self.conn, id)?;
                let own = own.and_then(|project| project.settings.delivery.retry_max);
                let pauses = projects::pauses(self.conn, id)?;
                new.insert(InProject { pauses, retry_max: own.unwrap_or(self.retry_max) })
            }
        })
    }

    fn pauses(&mut self, project: ProjectId) -> rusqlite::Result<Vec<ProjectPause>> {
        Ok(self.project(project)?.pauses.clone())
    }

    /// The last planned instant that has passed, under this plan or an earlier one.
    pub(in crate::app) fn last(&mut self, job: &Job) -> rusqlite::Result<Option<Millis>> {
        if job.definition.is_one_off() && job.status == JobStatus::Completed {
            return Ok(Some(job.anchor).filter(|at| *at <= self.now));
        }
        if job.definition.is_one_off() && job.status != JobStatus::Inactive {
            // The instant counts also where it was due when the job was made.
            let later = jobs::first_due(&row(job), &job.definition, &Schedule::once(), self.now);
            return Ok(Some(job.anchor).filter(|at| *at <= self.now && later.is_none()));
        }
        if job.status == JobStatus::Active {
            let span = (job.anchor, job.from, Millis::MAX);
            let found = self.prev(job.id, job.definition_id, &job.definition, span);
            if found.is_some() {
                return Ok(found);
            }
        }
        if job.from <= job.created {
            return Ok(None);
        }
        for plan in plans::of_job(self.conn, job.id)?.into_iter().rev().filter(|p| p.status.fires())
        {
            let span = (plan.anchor, plan.from, plan.until);
            let found = self.prev(job.id, plan.definition_id, &plan.definition, span);
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn prev(
        &mut self,
        job: u64,
        definition_id: u64,
        definition: &JobDefinition,
        (anchor, from, until): (Millis, Millis, Millis),
    ) -> Option<Millis> {
        let now = self.now;
        let schedule = &*self.schedule(job, definition_id, definition)?;
        let of = Jittered { schedule, anchor, job, jitter: definition.jitter };
        Interval { of, definition, from, until }.last(now)
    }

    /// The schedule by which a job fires; `None` when it cannot be read.
    fn schedule(
        &mut self,
        job: JobId,
        definition_id: u64,
        definition: &JobDefinition,
    ) -> Option<Cow<'_, Schedule>> {
        match self.parsed(definition_id, definition) {
            ParsedSchedule { schedule: Some(schedule), .. } => Some(Cow::Borrowed(schedule)),
            ParsedSchedule { hashed: true, .. } => jobs::parse(definition, job).map(Cow::Owned),
            ParsedSchedule { .. } => None,
        }
    }

    /// The offset of a definition's zone from UTC, now, in seconds.
    pub(in crate::app) fn offset(&mut self, definition_id: u64, definition: &JobDefinition) -> i32 {
        self.parsed(definition_id, definition).offset
    }

    fn parsed(&mut self, definition_id: u64, definition: &JobDefinition) -> &ParsedSchedule {
        let now = self.now;
        self.schedules.entry(definition_id).or_insert_with(|| {
            let hashed = Schedule::is_seed_dependent(&definition.spec);
            let schedule = if hashed { None } else { jobs::parse(definition, 0) };
            ParsedSchedule { schedule, hashed, offset: offset(&definition.timezone, now) }
        })
    }
}

impl Interval<'_> {
    /// The last occurrence of the interval that was due at an instant.
    fn last(&self, now: Millis) -> Option<Millis> {
        let until = self.until.min(self.definition.end.unwrap_or(Millis::MAX));
        let (mut last, _) = self.of.prev(now)?;
        if last > until {
            last = self.of.schedule.prev(self.of.anchor, until)?;
        }
        let started = self.definition.start.is_none_or(|start| last >= start);
        Some(last).filter(|last| started && *last > self.from)
    }
}

/// Says whether the present plan of a recurring job has no occurrence left.
pub(in crate::app) fn is_over(job: &Job, now: Millis) -> bool {
    let schedule = jobs::parse(&job.definition, job.id);
    schedule
        .is_some_and(|schedule| jobs::has_nothing_left(&row(job), &job.definition, &schedule, now))
}

fn row(job: &Job) -> JobRow {
    let Job { id, definition_id, created, anchor, from, status, .. } = *job;
    JobRow { id, definition_id, created, anchor, from, status }
}

fn offset(zone: &str, now: Millis) -> i32 {
    let (Ok(zone), Some(now)) = (parse_zone(zone), chrono::DateTime::from_timestamp_millis(now))
    else {
        return 0;
    };
    zone.offset_from_utc_datetime(&now.naive_utc()).fix().local_minus_utc()
}
