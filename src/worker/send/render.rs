//! Has the executor of a route's target write requests: batches, or one for each occurrence. What
//! is being written is marked first (the mark rule). Only `builder` calls it, with jobs that go
//! out.
//!
//! Each job ends in a request or as failed, whatever the executor does: a job that it leaves out is
//! failed, and so is one at which it panics. Its neighbours go out (the account rule).

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::builder::{ReadyJob, RequestBuilder, RouteGroup};
use super::poison::{PoisonRegister, Suspicion, reason};
use super::prepared::{BuiltRequest, Prepared, UnsentReason};
use super::work::Head;
use crate::delivery::batch::{Batch, BatchJob};
use crate::delivery::executor::Executor;
use crate::delivery::request::Rendered;
use crate::model::JobId;
use crate::model::attempt::Verdict;
use crate::model::call_target::CallTarget;

/// The most jobs of a group that an executor may panic at before each job is written by itself.
const MOST_PANICS: usize = 8;

/// The error of a job at which its executor panicked.
const PANICKED: &str = "poison: the program of its node failed while it wrote its request; replay \
                        it by hand when the cause is known";

fn ids(jobs: &[ReadyJob]) -> impl Iterator<Item = JobId> {
    jobs.iter().map(|(row, ..)| row.id)
}

/// The writer of requests to one target.
#[derive(Clone, Copy)]
struct Writer<'a> {
    executor: &'a dyn Executor,
    target: &'a CallTarget,
    batch: Batch<'a>,
}

impl Writer<'_> {
    /// Writes the requests of jobs, and marks them. A panic of the executor is an error: the job at
    /// which it panicked, if it did at one.
    fn write(
        self,
        jobs: &[ReadyJob],
        mut mark: impl FnMut(&[ReadyJob]),
    ) -> Result<Rendered, Option<JobId>> {
        let at = Cell::new(None);
        let write = || {
            let mut renderer = self.executor.renderer(self.target, self.batch);
            for window in jobs.chunks(PoisonRegister::WINDOW) {
                mark(window);
                for (row, definition, last) in window {
                    at.set(Some(row.id));
                    renderer.push(&BatchJob {
                        id: row.id,
                        definition: *definition,
                        data: &row.data,
                        created: row.created,
                        last: *last,
                    });
                }
            }
            at.set(None);
            renderer.finish()
        };
        catch_unwind(AssertUnwindSafe(write)).map_err(|_| {
            let (kind, job) = (self.executor.kind(), at.get());
            tracing::error!(kind, ?job, "an executor panicked while it wrote requests");
            at.get()
        })
    }

    /// Writes jobs together. A job at which the executor panics is left out as failed. Where that
    /// goes on, or nobody knows which job it is, each job is written by itself.
    fn write_safely(self, jobs: &mut Vec<ReadyJob>, mut mark: impl FnMut(&[ReadyJob])) -> Rendered {
        let mut failed = Vec::new();
        for _ in 0..MOST_PANICS {
            match self.write(jobs, &mut mark) {
                Ok(mut rendered) => {
                    join(&mut rendered, Rendered { failed, ..Rendered::default() });
                    return rendered;
                }
                Err(None) => break,
                Err(Some(job)) => {
                    jobs.retain(|(row, ..)| row.id != job);
                    failed.push((vec![job], PANICKED.to_owned()));
                }
            }
        }
        let mut rendered = Rendered { failed, ..Rendered::default() };
        for job in jobs.iter() {
            let one = self.write(std::slice::from_ref(job), &mut mark);
            join(&mut rendered, one.unwrap_or_else(|_| panicked(job)));
        }
        rendered
    }
}

/// The result of a job at which the executor panicked.
fn panicked((row, ..): &ReadyJob) -> Rendered {
    let failed = vec![(vec![row.id], PANICKED.to_owned())];
    Rendered { requests: Vec::new(), failed }
}

impl RequestBuilder<'_> {
    /// Writes the requests of a group to its target.
    pub(super) fn write(
        &self,
        head: &Head,
        group: &mut RouteGroup,
        target: &CallTarget,
        done: &mut Prepared,
    ) {
        if group.jobs.is_empty() {
            return;
        }
        // A route has a target of a kind that this node knows.
        let Some(executor) = self.executors.get(target.kind()) else { return };
        let alone = self.suspects(head, group, done);
        let mut wanted: Vec<JobId> = ids(&group.jobs).chain(ids(&alone)).collect();
        wanted.sort_unstable();
        let batch = Batch {
            instant: self.instant(head),
            attempt: head.attempt,
            definitions: &group.definitions,
            max_jobs: self.max_jobs(&group.route),
        };
        let writer = Writer { executor: &**executor, target, batch };
        let mut mark = self.register.mark(head);
        let jobs = &mut group.jobs;
        let mut rendered = self
            .register
            .together(&mut mark, |mark| writer.write_safely(jobs, |window| mark.set(ids(window))));
        for job in &alone {
            let one = self
                .register
                .alone(&mut mark, job.0.id, || writer.write(std::slice::from_ref(job), |_| ()));
            join(&mut rendered, one.unwrap_or_else(|_| panicked(job)));
        }
        drop(mark);
        let route = &group.route;
        let lost = unaccounted(&wanted, &rendered);
        if !lost.is_empty() {
            let (kind, jobs) = (target.kind(), lost.len());
            tracing::error!(kind, jobs, "an executor wrote no request for jobs");
            rendered.failed.push((lost, format!("type {kind} wrote no request for it")));
        }
        if route.single().is_none() {
            gather(&mut rendered.failed);
        }
        let built = |request| BuiltRequest { route: Arc::clone(route), request };
        done.requests.extend(rendered.requests.into_iter().map(built));
        for (jobs, error) in rendered.failed {
            let why = UnsentReason::Over(Verdict::Dead, Some(error));
            done.unsent(route.project, route.once, jobs, why);
        }
    }

    /// Takes out of a group what processes died with. Poison is recorded as dead, suspects are
    /// returned to be written alone.
    fn suspects(&self, head: &Head, group: &mut RouteGroup, done: &mut Prepared) -> Vec<ReadyJob> {
        let suspicions = self.register.suspicions(head);
        if suspicions.is_empty() {
            return Vec::new();
        }
        let (mut alone, mut poison) = (Vec::new(), Vec::new());
        for job in std::mem::take(&mut group.jobs) {
            match suspicions.of(job.0.id) {
                Suspicion::None => group.jobs.push(job),
                Suspicion::Alone => alone.push(job),
                Suspicion::Poison => poison.push(job.0.id),
            }
        }
        if !poison.is_empty() {
            tracing::error!(jobs = ?poison, scheduled = head.scheduled, "{}", reason());
            let why = UnsentReason::Over(Verdict::Dead, Some(reason()));
            done.unsent(group.route.project, group.route.once, poison, why);
        }
        alone
    }
}

/// Adds what was written apart.
fn join(rendered: &mut Rendered, more: Rendered) {
    rendered.requests.extend(more.requests);
    rendered.failed.extend(more.failed);
}

/// Makes one failure of the jobs that cannot be batched for one reason.
fn gather(failed: &mut Vec<(Vec<JobId>, String)>) {
    let mut all: Vec<(Vec<JobId>, String)> = Vec::with_capacity(failed.len());
    for (jobs, error) in failed.drain(..) {
        match all.iter_mut().find(|known| known.1 == error) {
            Some((known, _)) => {
                known.extend(jobs);
                known.sort_unstable();
            }
            None => all.push((jobs, error)),
        }
    }
    *failed = all;
}

/// The jobs, of these in ascending order, that are in no request and have not failed. Without an
/// end their occurrences would stay open for ever.
fn unaccounted(wanted: &[JobId], rendered: &Rendered) -> Vec<JobId> {
    let sent = || rendered.requests.iter().flat_map(|request| request.members.iter().copied());
    // The usual case: each job is in a request, in order.
    if rendered.failed.is_empty() && sent().eq(wanted.iter().copied()) {
        return Vec::new();
    }
    let failed = rendered.failed.iter().flat_map(|(jobs, _)| jobs.iter().copied());
    let mut known: Vec<JobId> = sent().chain(failed).collect();
    known.sort_unstable();
    wanted.iter().filter(|job| known.binary_search(job).is_err()).copied().collect()
}
