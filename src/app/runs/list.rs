//! The list of runs. What is not over comes first and what is over after it, each newest first.
//!
//! A page looks at a bounded number of runs, however few of them match: its `next` may go on behind
//! the last one that was looked at.

use rusqlite::Connection;

use super::filter::RunFilter;
use super::record::{RunRecord, RunRecords};
use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::state::App;
use crate::model::attempt::{ResultOrigin, Verdict};
use crate::model::job::PARKED;
use crate::model::run::Occurrence;
use crate::model::run_report::RunState;
use crate::model::{JobId, Millis};
use crate::store::counters::OutcomeKind;
use crate::store::executions::{self, Execution};
use crate::store::executors;
use crate::store::open_runs::{self, OpenRun, Scope, Walk};

/// The most runs that a page looks at.
const MAX_LOOKED: usize = 20_000;
/// The most ends that are read at a time.
const CHUNK: u64 = 500;

/// The place where a page of runs ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunPlace {
    /// Behind an occurrence that was not over.
    Open(Occurrence),
    /// Behind an end: its due instant and its number.
    Ended(Millis, u64),
}

/// A page of runs.
#[derive(Clone, Debug, PartialEq)]
pub struct RunPage {
    /// The runs.
    pub runs: Vec<RunRecord>,
    /// Where the list goes on, if it may.
    pub next: Option<RunPlace>,
}

impl App {
    /// Reads a page of runs, at most `limit`, behind a place.
    ///
    /// # Errors
    ///
    /// `Invalid` where fields of the filter do not fit together; `NotFound` where no queue has its
    /// name; `TooSlow` or `Busy` when it cannot be read in time.
    pub async fn list_runs(
        &self,
        actor: &Actor,
        filter: RunFilter,
        limit: usize,
        after: Option<RunPlace>,
    ) -> Result<RunPage, Error> {
        authorize(actor, Action::RunsRead, Resource::of_project(filter.project))?;
        filter.check()?;
        let wanted = filter.clone();
        let found = self.read(actor, move |conn| {
            let queue = match &filter.queue {
                Some(name) => match executors::id_by_name(conn, name)? {
                    Some(number) => Some(number),
                    None => return Ok(None),
                },
                None => None,
            };
            list(conn, &filter, queue, limit, after).map(Some)
        });
        let mut page = found.await?.ok_or_else(|| {
            Error::not_found("queue cannot be found: see GET /executors for their names")
                .field("queue")
        })?;
        self.lay_over(&mut page.runs).await;
        // A run that has gone on meanwhile does not match any more.
        page.runs.retain(|run| wanted.matches(run));
        Ok(page)
    }
}

impl App {
    /// Reads the newest run that is not over of each of some jobs, where there is one.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when they cannot be read in time.
    pub async fn open_runs_of(
        &self,
        actor: &Actor,
        jobs: Vec<JobId>,
    ) -> Result<Vec<RunRecord>, Error> {
        authorize(actor, Action::RunsRead, Resource::Any)?;
        let found = self.read(actor, move |conn| {
            let mut runs = Vec::new();
            for job in jobs {
                let filter = RunFilter { job: Some(job), ..RunFilter::default() };
                runs.extend(list(conn, &filter, None, 1, None)?.runs);
            }
            Ok(runs)
        });
        let mut runs = found.await?;
        self.lay_over(&mut runs).await;
        Ok(runs)
    }
}

/// Reads a page. `queue` is the number of the filter's queue.
fn list(
    conn: &Connection,
    filter: &RunFilter,
    queue: Option<u64>,
    limit: usize,
    after: Option<RunPlace>,
) -> rusqlite::Result<RunPage> {
    let mut page = Selection {
        filter,
        queue,
        limit,
        left: MAX_LOOKED,
        records: RunRecords::new(conn)?,
        runs: Vec::new(),
        next: None,
    };
    let ended = match after {
        Some(RunPlace::Ended(due, id)) => Some((due, id)),
        Some(RunPlace::Open(_)) | None => None,
    };
    if ended.is_none() && filter.wants_open() {
        let after = match after {
            Some(RunPlace::Open(of)) => Some(of),
            _ => None,
        };
        let scope = match (&filter.worker, filter.job) {
            (Some(worker), job) => Scope::Worker(worker, job),
            (None, Some(job)) => Scope::Job(job),
            (None, None) => Scope::All,
        };
        // Nothing is due before the instant that it is scheduled for.
        let before = filter.created_before.unwrap_or(Millis::MAX);
        open_runs::each(conn, Walk { scope, before, after }, |open| page.add_open(&open))?;
    }
    if page.next.is_none() && filter.wants_ended() {
        page.add_ended(conn, ended)?;
    }
    let Selection { runs, next, .. } = page;
    Ok(RunPage { runs, next })
}

/// The page while it is read.
struct Selection<'c> {
    filter: &'c RunFilter,
    queue: Option<u64>,
    limit: usize,
    /// The runs that may still be looked at.
    left: usize,
    records: RunRecords<'c>,
    runs: Vec<RunRecord>,
    /// Set once the page has ended.
    next: Option<RunPlace>,
}

impl Selection<'_> {
    /// Adds a run that matches. Returns whether there is room for more.
    fn add(&mut self, run: Option<RunRecord>, place: RunPlace) -> bool {
        self.left = self.left.saturating_sub(1);
        self.runs.extend(run.filter(|run| self.filter.may_match(run)));
        let ends = self.runs.len() >= self.limit || self.left == 0;
        if ends {
            self.next = Some(place);
        }
        !ends
    }

    fn add_open(&mut self, open: &OpenRun) -> rusqlite::Result<bool> {
        let run = self.open_run(open)?;
        Ok(self.add(run, RunPlace::Open(open.occurrence)))
    }

    /// The record of what is not over, if it is a run of the queue: it has a place among the runs,
    /// waits for one, or waits for workers.
    fn open_run(&mut self, open: &OpenRun) -> rusqlite::Result<Option<RunRecord>> {
        let of = open.occurrence;
        if let Some(run) = open.run.as_ref().filter(|run| run.accepted || open.row.is_none()) {
            // Before any name is read.
            if !self.filter.wants(RunState::of_run(run)) {
                return Ok(None);
            }
            let fits = match (self.queue, run.queue()) {
                (None, _) => true,
                (Some(queue), Some(own)) => own == queue,
                (Some(queue), None) => !run.accepted && self.is_of_queue(of, queue)?,
            };
            return if fits { self.records.of_run(run).map(Some) } else { Ok(None) };
        }
        let Some(row) = open.row.as_deref() else { return Ok(None) };
        if !self.filter.wants(RunState::of_row(row)) {
            return Ok(None);
        }
        let queue = self.records.queue_of_row(of, row)?;
        let is_run = queue.is_some() || open.run.is_some() || row.next_at == PARKED;
        let fits = self
            .queue
            .is_none_or(|wanted| queue.as_ref().is_some_and(|queue| queue.number == wanted));
        if !is_run || !fits {
            return Ok(None);
        }
        self.records.of_row(of, row, queue).map(Some)
    }

    fn is_of_queue(&mut self, of: Occurrence, queue: u64) -> rusqlite::Result<bool> {
        let own = self.records.names.queue_of_job(of.job)?;
        Ok(own.is_some_and(|own| own.number == queue))
    }

    /// Adds what is over, behind a place.
    fn add_ended(
        &mut self,
        conn: &Connection,
        after: Option<(Millis, u64)>,
    ) -> rusqlite::Result<()> {
        let first = self.filter.created_before.map(|before| (before, 0));
        let mut after = match (after, first) {
            (Some(after), Some(first)) => Some(after.min(first)),
            (after, first) => after.or(first),
        };
        loop {
            let ends = self.ends(conn, after)?;
            let Some(last) = ends.last().map(|end| (end.due, end.id)) else { return Ok(()) };
            for end in ends {
                let place = RunPlace::Ended(end.due, end.id);
                let run = self.ended_run(conn, &end)?;
                if !self.add(run, place) {
                    return Ok(());
                }
            }
            after = Some(last);
        }
    }

    /// The next attempts behind a place that may be ends, newest first.
    fn ends(
        &self,
        conn: &Connection,
        after: Option<(Millis, u64)>,
    ) -> rusqlite::Result<Vec<Execution>> {
        let Some(job) = self.filter.job else {
            return executions::reported(conn, after, CHUNK as usize);
        };
        let mut kinds: Vec<_> =
            self.filter.states.iter().filter_map(|state| kind(*state)).collect();
        kinds.dedup();
        let project = self.filter.project;
        let filter = executions::Filter {
            project,
            job: Some(job),
            kinds,
            after,
            ..executions::Filter::default()
        };
        executions::newest_of_job(conn, job, &filter, CHUNK)
    }

    /// The record of an attempt that was the end of a run.
    fn ended_run(
        &mut self,
        conn: &Connection,
        end: &Execution,
    ) -> rusqlite::Result<Option<RunRecord>> {
        let wanted = RunState::of_end(end.verdict).is_some_and(|state| self.filter.wants(state));
        if !wanted {
            return Ok(None);
        }
        let queue = self.records.names.queue_of_job(end.job)?.map(|queue| queue.number);
        // An occurrence of a job that no queue performs is a run only if it was taken.
        let is_run = queue.is_some() || end.origin != ResultOrigin::Answer;
        if !is_run || self.queue.is_some_and(|wanted| queue != Some(wanted)) {
            return Ok(None);
        }
        // Only what failed for good may have come to another end since, or be under way again.
        if end.verdict == Verdict::Dead && executions::has_gone_on(conn, end)? {
            return Ok(None);
        }
        self.records.of_end(end)
    }
}

/// The kind of the attempts that end in a state.
fn kind(state: RunState) -> Option<OutcomeKind> {
    match state {
        RunState::Completed => Some(OutcomeKind::Delivered),
        RunState::Failed => Some(OutcomeKind::Dead),
        RunState::Cancelled | RunState::Skipped => Some(OutcomeKind::Skipped),
        _ => None,
    }
}
