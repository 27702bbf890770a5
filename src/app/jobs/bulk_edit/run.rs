//! The use case: looks at all jobs, and then writes. A caller that was cut off sends the same
//! request again: jobs that are done already are so already. With a key, a request that came to its
//! end is answered as before.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::{Error, refused};
use crate::app::idempotency::Key;
use crate::app::jobs::bulk_edit::batches::Batches;
use crate::app::jobs::bulk_edit::input::{BulkEditInput, check_set};
use crate::app::jobs::bulk_edit::plan::{BulkPlan, Looked};
use crate::app::jobs::bulk_edit::result::{BulkEdit, BulkEditResult, EditSample};
use crate::app::jobs::bulk_edit::samples::Samples;
use crate::app::jobs::bulk_edit::tally::Tally;
use crate::app::jobs::bulk_edit::walk::EditWalk;
use crate::app::jobs::input::Name;
use crate::app::jobs::update::busy;
use crate::app::state::App;
use crate::app::warnings::Warnings;
use crate::app::write::ATTEMPTS;
use crate::command::{Command, Outcome, ReshapeJobs, Reshaped};
use crate::model::JobId;
use crate::model::job::Job;
use crate::store::jobs;

/// The part of an edit that its commands have.
#[derive(Clone, Debug)]
struct Common {
    data: Option<String>,
    by: Option<String>,
    /// The edit names an instant.
    is_at: bool,
    /// The edit names a delay.
    again: bool,
}

impl Common {
    fn of(input: &BulkEditInput) -> Result<Self, Error> {
        let set = &input.set;
        let cleared = set.nulls.has(Name::Data).then(String::new);
        Ok(Self {
            data: set.data.as_ref().map(ToString::to_string).or(cleared),
            by: input.caller()?,
            is_at: set.at.is_some(),
            again: set.definition.rare(Name::After).is_some(),
        })
    }

    fn batches(&self) -> Batches {
        Batches::new(self.data.clone(), self.by.clone(), (self.is_at, self.again))
    }
}

impl App {
    /// Edits jobs by a patch, each as a patch of it alone would. Where one of them is refused it,
    /// nothing is written.
    ///
    /// # Errors
    ///
    /// `Unprocessable` where the patch names nothing, or what is each job's own. The error of a
    /// patch of the first job that is refused it, with the number of them. `KeyReused` where the
    /// key came with another request.
    pub async fn edit_jobs(
        &self,
        actor: &Actor,
        key: Option<Key>,
        input: BulkEditInput,
        warnings: &mut Warnings,
    ) -> Result<BulkEdit, Error> {
        authorize(actor, Action::JobsWrite, Resource::of_project(input.filter.project))?;
        if let Some(project) = input.set.definition.project {
            authorize(actor, Action::JobsWrite, Resource::Project(project))?;
        }
        check_set(&input.set)?;
        let common = Common::of(&input)?;
        let BulkEditInput { filter, dry_run, set, casing, .. } = input;
        let key = key.filter(|_| !dry_run);
        if let Some(result) = self.replay(actor, key).await? {
            return Ok(BulkEdit { result, samples: Vec::new() });
        }
        self.linearize().await?;
        let last = self.read(actor, jobs::last_id).await?;
        let plan = BulkPlan::new(self.job_rules(casing), set);
        let walk = EditWalk::new(plan, filter, last);
        let (mut walk, tally, samples) = self.look_at_all(actor, walk, dry_run).await?;
        warnings.merge(std::mem::take(&mut walk.plan.warnings));
        if dry_run {
            let samples = self.show_samples(actor, samples).await?;
            return Ok(BulkEdit { result: tally.result(true), samples });
        }
        if let Some(refusal) = tally.refusal() {
            return Err(refusal);
        }
        let result = self.write_all(actor, walk.again(), &common).await?;
        Ok(BulkEdit { result: self.conclude(actor, key, result).await?, samples: Vec::new() })
    }

    /// Looks at all jobs without a change.
    async fn look_at_all(
        &self,
        actor: &Actor,
        mut walk: EditWalk,
        dry_run: bool,
    ) -> Result<(EditWalk, Tally, Samples), Error> {
        let (mut tally, mut samples) = (Tally::default(), Samples::default());
        while !walk.is_over {
            let read = self.read(actor, move |conn| {
                walk.go_on(conn, |job, looked| {
                    look(&mut tally, &mut samples, dry_run, job, looked)
                })?;
                Ok((walk, tally, samples))
            });
            (walk, tally, samples) = read.await?;
        }
        Ok((walk, tally, samples))
    }

    async fn show_samples(
        &self,
        actor: &Actor,
        samples: Samples,
    ) -> Result<Vec<EditSample>, Error> {
        let (now, retry_max) = (self.now(), self.config.job_execution_retry_max);
        self.read(actor, move |conn| samples.shown(conn, now, retry_max)).await
    }

    /// Walks through the jobs and writes.
    async fn write_all(
        &self,
        actor: &Actor,
        mut walk: EditWalk,
        common: &Common,
    ) -> Result<BulkEditResult, Error> {
        let mut tally = Tally::default();
        while !walk.is_over {
            let mut batches = common.batches();
            let read = self.read(actor, move |conn| {
                walk.go_on(conn, |job, looked| {
                    tally.matched += 1;
                    tally.met(job.definition_id);
                    gather(&mut batches, &mut tally, &job, looked)
                })?;
                Ok((walk, tally, batches))
            });
            let made;
            (walk, tally, made) = read.await?;
            let mut moved = self.write(actor, made.finish(), &mut tally).await?;
            for _ in 0..ATTEMPTS {
                if moved.is_empty() {
                    break;
                }
                (walk, tally, moved) = self.write_moved(actor, walk, tally, common, moved).await?;
            }
            for job in moved {
                tally.refuse((job, 0), &busy());
            }
        }
        Ok(tally.result(false))
    }

    /// Looks once more at jobs that others have changed in between, and writes them. Returns those
    /// that were changed again.
    async fn write_moved(
        &self,
        actor: &Actor,
        mut walk: EditWalk,
        mut tally: Tally,
        common: &Common,
        mut ids: Vec<JobId>,
    ) -> Result<(EditWalk, Tally, Vec<JobId>), Error> {
        let mut moved = Vec::new();
        while !ids.is_empty() {
            let mut batches = common.batches();
            let read = self.read(actor, move |conn| {
                let ended = walk.look_at(conn, &ids, |job, looked| {
                    gather(&mut batches, &mut tally, &job, looked)
                })?;
                ids.retain(|id| ended.is_some_and(|last| *id > last));
                Ok((walk, tally, batches, ids))
            });
            let made;
            (walk, tally, made, ids) = read.await?;
            moved.extend(self.write(actor, made.finish(), &mut tally).await?);
        }
        Ok((walk, tally, moved))
    }

    /// Proposes commands. Returns the jobs that have another definition by now.
    async fn write(
        &self,
        actor: &Actor,
        commands: Vec<ReshapeJobs>,
        tally: &mut Tally,
    ) -> Result<Vec<JobId>, Error> {
        let mut all_moved = Vec::new();
        for command in commands {
            let outcome = self.propose(actor, Command::ReshapeJobs(Box::new(command))).await?;
            let Outcome::Reshaped(done) = outcome else { return Err(refused(outcome)) };
            let Reshaped { changed, unchanged, moved, refused, first_refused } = done;
            tally.changed += u64::from(changed);
            tally.unchanged += u64::from(unchanged);
            if let Some((job, why)) = first_refused {
                tally.refuse_some(refused, (job, 0), &why.into());
            }
            all_moved.extend(moved);
        }
        Ok(all_moved)
    }
}

/// Counts a job that is only looked at. Returns the bytes that are kept of it.
fn look(
    tally: &mut Tally,
    samples: &mut Samples,
    dry_run: bool,
    job: Job,
    looked: Looked,
) -> usize {
    tally.matched += 1;
    tally.met(job.definition_id);
    match looked {
        Looked::Same => tally.unchanged += 1,
        Looked::Refused(error) => tally.refuse((job.id, job.definition_id), &error),
        Looked::Changes(edit) => {
            tally.changed += 1;
            if dry_run && samples.wants(&job) {
                samples.take(job, *edit);
            }
        }
    }
    0
}

/// Puts a job into the commands. Returns the bytes that it takes.
fn gather(batches: &mut Batches, tally: &mut Tally, job: &Job, looked: Looked) -> usize {
    match looked {
        Looked::Same => tally.unchanged += 1,
        Looked::Refused(error) => tally.refuse((job.id, job.definition_id), &error),
        Looked::Changes(edit) => return batches.add(job, *edit),
    }
    0
}
