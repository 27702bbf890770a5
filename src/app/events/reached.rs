//! The part of the facts that a reader reaches. Facts come from the node's ring, which has those of
//! everybody; what is beyond the reach of the stream's actor is taken out here, before the filter
//! of the stream looks at it.
//!
//! A fact about many records together, without their projects, is told to nobody who is limited,
//! because it may be of others: runs and dead letters beyond those that are named, results of more
//! projects than are told apart, and jobs of several projects that are gone.

use std::collections::HashSet;
use std::sync::Arc;

use crate::app::actor::Actor;
use crate::app::error::Error;
use crate::app::state::App;
use crate::model::event::{ChangeEvent, Fact, JobChange, Noun, RecordChange};
use crate::model::event_counts::{Executions, ResultCounts};
use crate::model::job_set::JobSet;
use crate::model::{JobId, ProjectId};
use crate::store::{executors, in_force, jobs, projects, templates};

/// The most jobs of a fact about several projects that are looked up.
const MOST_JOBS: u64 = 10_000;

/// The records that the actor of a stream reaches.
#[derive(Debug, Default)]
pub(super) struct ReachedRecords(Option<Known>);

#[derive(Debug)]
enum Known {
    /// Nothing is out of reach.
    All,
    /// These only.
    Some(Records),
}

/// The ids of the records in reach.
#[derive(Debug, Default)]
struct Records {
    projects: HashSet<ProjectId>,
    executors: HashSet<u64>,
    templates: HashSet<u64>,
}

impl ReachedRecords {
    /// Forgets what it knows, after facts that it has not seen.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }

    /// The part of a fact that the actor reaches, if there is one.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when it cannot be read in time what the actor reaches.
    pub(super) async fn part(
        &mut self,
        app: &App,
        actor: &Actor,
        event: Arc<ChangeEvent>,
    ) -> Result<Option<Arc<ChangeEvent>>, Error> {
        if actor.reach().is_all() {
            return Ok(Some(event));
        }
        if matches!(event.fact, Fact::Record { change: RecordChange::Created, .. }) {
            // It may be the first one of another account, or one more in reach.
            self.forget();
        }
        let known = match self.0.take() {
            Some(known) => known,
            None => known(app, actor).await?,
        };
        let Known::Some(records) = self.0.insert(known) else { return Ok(Some(event)) };
        if let Fact::Jobs { project: None, change, jobs, .. } = &event.fact {
            if *change == JobChange::Deleted {
                return Ok(None);
            }
            let jobs = reached_jobs(app, actor, jobs).await?;
            return Ok((!jobs.is_empty()).then(|| with_jobs(&event, jobs)));
        }
        Ok(records.part(event))
    }
}

impl Records {
    /// The part of a fact that names its projects.
    fn part(&self, event: Arc<ChangeEvent>) -> Option<Arc<ChangeEvent>> {
        let reached = match &event.fact {
            Fact::Jobs { project, .. } => project.is_some_and(|id| self.projects.contains(&id)),
            Fact::Run { project, .. } | Fact::DeadLetter { project, .. } => {
                self.projects.contains(project)
            }
            Fact::Record { noun, id, .. } => match noun {
                Noun::Project => self.projects.contains(id),
                Noun::Executor => self.executors.contains(id),
                Noun::Template => self.templates.contains(id),
                // Those of accounts need a scope on the cluster.
                Noun::Account => true,
            },
            Fact::MoreRuns { .. } | Fact::DeadLetters { .. } => false,
            Fact::Executions(sums) => {
                let fact = Fact::Executions(self.results(sums));
                return Some(Arc::new(ChangeEvent { fact, ..(*event).clone() }));
            }
            // Those of the cluster need a scope of their own.
            Fact::Members | Fact::Shards(_) | Fact::Gap => true,
        };
        reached.then_some(event)
    }

    fn results(&self, sums: &Executions) -> Executions {
        let own = sums.projects.iter().filter(|(id, _)| self.projects.contains(id));
        Executions {
            projects: own.copied().collect(),
            others: ResultCounts::default(),
            shards: sums.shards,
        }
    }
}

fn with_jobs(event: &ChangeEvent, jobs: JobSet) -> Arc<ChangeEvent> {
    let mut event = event.clone();
    if let Fact::Jobs { jobs: all, .. } = &mut event.fact {
        *all = jobs;
    }
    Arc::new(event)
}

async fn known(app: &App, actor: &Actor) -> Result<Known, Error> {
    let reach = actor.reach().clone();
    app.read(actor, move |conn| {
        if in_force(conn, &reach)?.is_all() {
            return Ok(Known::All);
        }
        Ok(Known::Some(Records {
            projects: projects::ids(conn)?.into_iter().collect(),
            executors: executors::ids(conn)?.into_iter().collect(),
            templates: templates::ids(conn)?.into_iter().collect(),
        }))
    })
    .await
}

/// The jobs of a set that are there and in reach, of the first ones that it names.
async fn reached_jobs(app: &App, actor: &Actor, jobs: &JobSet) -> Result<JobSet, Error> {
    let ranges: Vec<(JobId, u64)> = jobs.ranges.clone();
    app.read(actor, move |conn| {
        let (mut found, mut left) = (JobSet::default(), MOST_JOBS);
        for (first, n) in ranges {
            let n = n.min(left);
            left -= n;
            for id in jobs::ids_between(conn, first, n)? {
                found.add(id, 1);
            }
        }
        Ok(found)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::Verdict;
    use crate::model::event::{LettersChange, RunChange, TemplateMark};
    use crate::model::job_set::ShardSet;
    use crate::model::run::Occurrence;

    fn event(fact: Fact) -> Arc<ChangeEvent> {
        Arc::new(ChangeEvent { index: 1, number: 1, at: 1, fact })
    }

    #[test]
    fn a_fact_passes_where_its_project_is_in_reach_and_results_lose_those_of_others() {
        let records =
            Records { projects: [1].into(), executors: [5].into(), templates: [7].into() };
        let of = Occurrence { job: 3, scheduled: 4, run: 0 };
        let run = |project| Fact::Run { project, of, attempt: 1, change: RunChange::Accepted };
        let jobs = |project| Fact::Jobs {
            project,
            template: TemplateMark::NoTemplate,
            change: JobChange::Deleted,
            jobs: JobSet::range(1, 2),
        };
        let record = |noun, id| Fact::Record { noun, id, change: RecordChange::Deleted };
        for (fact, reached) in [
            (run(1), true),
            (run(2), false),
            (jobs(Some(1)), true),
            (jobs(Some(2)), false),
            (jobs(None), false),
            (record(Noun::Project, 1), true),
            (record(Noun::Project, 2), false),
            (record(Noun::Executor, 5), true),
            (record(Noun::Executor, 1), false),
            (record(Noun::Template, 7), true),
            (record(Noun::Template, 1), false),
            (Fact::MoreRuns { count: 1, shards: ShardSet::default() }, false),
            (Fact::DeadLetters { change: LettersChange::Purged, count: 1 }, false),
        ] {
            assert_eq!(records.part(event(fact.clone())).is_some(), reached, "{fact:?}");
        }
        let mut sums = Executions::default();
        for project in 1..=20 {
            sums.add(project, 0, Verdict::Delivered, 3);
        }
        let part = records.part(event(Fact::Executions(sums))).unwrap();
        let Fact::Executions(part) = &part.fact else { panic!("{part:?}") };
        assert_eq!(part.projects.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1]);
        assert_eq!(part.others, ResultCounts::default());
    }
}
