//! Has the executor of a route's target write requests: batches, or one for each occurrence. What
//! is being written is marked first (the mark rule). Only `builder` calls it, with jobs that go
//! out.

use std::sync::Arc;

use super::builder::{ReadyJob, RequestBuilder, RouteGroup};
use super::poison::{PoisonRegister, Suspicion, reason};
use super::prepared::{BuiltRequest, Prepared, UnsentReason};
use super::work::Head;
use crate::delivery::batch::{Batch, BatchJob};
use crate::delivery::executor::Renderer;
use crate::delivery::request::Rendered;
use crate::model::JobId;
use crate::model::attempt::Verdict;
use crate::model::call_target::CallTarget;

fn ids(jobs: &[ReadyJob]) -> impl Iterator<Item = JobId> {
    jobs.iter().map(|(row, ..)| row.id)
}

fn push(renderer: &mut dyn Renderer, (row, definition, last): &ReadyJob) {
    renderer.push(&BatchJob {
        id: row.id,
        definition: *definition,
        data: &row.data,
        created: row.created,
        last: *last,
    });
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
        let batch = Batch {
            instant: self.instant(head),
            attempt: head.attempt,
            definitions: &group.definitions,
            max_jobs: self.max_jobs(&group.route),
        };
        let mut mark = self.register.mark(head);
        let mut rendered = self.register.together(&mut mark, |mark| {
            let mut writer = executor.renderer(target, batch);
            for window in group.jobs.chunks(PoisonRegister::WINDOW) {
                mark.set(ids(window));
                for job in window {
                    push(&mut *writer, job);
                }
            }
            writer.finish()
        });
        for job in &alone {
            let one = self.register.alone(&mut mark, job.0.id, || {
                let mut writer = executor.renderer(target, batch);
                push(&mut *writer, job);
                writer.finish()
            });
            append(&mut rendered, one, group.route.single().is_none());
        }
        drop(mark);
        let route = &group.route;
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

/// Adds what was rendered alone. Jobs that could not be batched for one reason are one failure.
fn append(rendered: &mut Rendered, one: Rendered, is_batch: bool) {
    rendered.requests.extend(one.requests);
    for (jobs, error) in one.failed {
        match rendered.failed.iter_mut().find(|known| is_batch && known.1 == error) {
            Some((known, _)) => {
                known.extend(jobs);
                known.sort_unstable();
            }
            None => rendered.failed.push((jobs, error)),
        }
    }
}
