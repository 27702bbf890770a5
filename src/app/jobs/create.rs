//! Creation of jobs: one command where the jobs fit, else chunks that stay invisible until one last
//! command makes all of them jobs. Either way all jobs are created, or none.

use uuid::Uuid;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::{Error, refused};
use crate::app::idempotency::Key;
use crate::app::jobs::references::References;
use crate::app::jobs::stream::JobsLeft;
use crate::app::jobs::validate::batch::NewJobs;
use crate::app::jobs::validate::executors::{self, OwnValues};
use crate::app::jobs::validate::payload::definition_bytes;
use crate::app::reads::ReadPhase;
use crate::app::state::App;
use crate::command::{Command, CreateJobs, NewJob, Outcome, Rejection, RejectionKind};
use crate::model::JobId;
use crate::model::job::JobDefinition;
use crate::store::{idempotency, tasks};

/// The most jobs in one log entry.
const CHUNK_JOBS: usize = 1_000;
/// About the most bytes in one log entry; a single larger job goes alone.
const CHUNK_BYTES: usize = 400 * 1_024;
/// The most bytes of a job's row in an entry, beside its data.
const ROW_BYTES: usize = 40;

/// The jobs that a request created.
#[derive(Debug)]
pub struct CreatedJobs {
    /// The id of the request, which is that of its receipt.
    pub request: u128,
    /// The jobs, in the order of the request.
    pub jobs: JobsLeft,
}

/// The id of a request, and its jobs as (first id, how many).
type Created = (u128, Vec<(JobId, u64)>);

impl App {
    /// Creates jobs, and waits until this node has them.
    ///
    /// # Errors
    ///
    /// `Malformed` where a job names a project or an executor that does not exist; `Conflict` where
    /// an external id is taken; `Unprocessable` or `TooLarge` where a job does not suit its
    /// executor; `KeyReused` where the key came with another request.
    pub async fn create_jobs(
        &self,
        actor: &Actor,
        key: Option<Key>,
        jobs: NewJobs,
    ) -> Result<CreatedJobs, Error> {
        authorize(actor, Action::JobsWrite, Resource::Any)?;
        let created = self.commit_jobs(actor, key, jobs).await?;
        Ok(self.created(actor, created))
    }

    /// The jobs that the same request created when it was sent before, by everything that is
    /// committed. A request that is not valid any more may have been when it was first sent.
    ///
    /// # Errors
    ///
    /// `KeyReused` where the key came with another request.
    pub async fn jobs_created_before(
        &self,
        actor: &Actor,
        key: Option<Key>,
    ) -> Result<Option<CreatedJobs>, Error> {
        authorize(actor, Action::JobsWrite, Resource::Any)?;
        let Some(key) = key else { return Ok(None) };
        self.linearize().await?;
        let known = self.created_under(actor, key).await?;
        Ok(known.map(|created| self.created(actor, created)))
    }

    /// Reads the number of the receipt of a request that has created jobs.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when it cannot be read in time.
    pub async fn task_number(
        &self,
        actor: &Actor,
        created: &CreatedJobs,
    ) -> Result<Option<u64>, Error> {
        authorize(actor, Action::JobsWrite, Resource::Any)?;
        let request = created.request;
        let read = move |conn: &rusqlite::Connection| tasks::get(conn, request);
        let task = self.read_at(actor, ReadPhase::AfterWrite, read).await?;
        Ok(task.map(|task| task.id))
    }

    fn created(&self, actor: &Actor, (request, ranges): Created) -> CreatedJobs {
        CreatedJobs { request, jobs: JobsLeft::new(actor, self.now(), ranges) }
    }

    /// Creates jobs for an actor that is authorized to.
    pub(super) async fn commit_jobs(
        &self,
        actor: &Actor,
        key: Option<Key>,
        jobs: NewJobs,
    ) -> Result<Created, Error> {
        let request = Uuid::now_v7().as_u128();
        let NewJobs { mut definitions, jobs } = jobs;
        let own = jobs.iter().map(|job| OwnValues {
            definition: job.definition as usize,
            data: &job.data,
            external_id: job.external_id.as_deref(),
        });
        if let Err((first, error)) = executors::check(self, actor, &mut definitions, own).await {
            return Err(first.map_or(error.clone(), |index| error.at(index)));
        }
        let references = References::of(&definitions, &jobs);
        if jobs.len() <= CHUNK_JOBS && bytes(&definitions, &jobs) <= CHUNK_BYTES {
            let command =
                Command::CreateJobs(CreateJobs { request, definitions, jobs, staged: false });
            return match self.propose(actor, Key::wrap(key, command)).await? {
                Outcome::Jobs { request, jobs } => Ok((request, jobs)),
                other => Err(references.refusal(self, actor, other).await),
            };
        }
        if let Some(key) = key
            && let Some(created) = self.created_under(actor, key).await?
        {
            return Ok(created);
        }
        let created = self.stage_jobs(actor, request, &definitions, jobs, key, &references).await;
        if !matches!(&created, Ok((of, _)) if *of == request) {
            // The request was refused, failed, or was done before under the same key, so nothing
            // staged may stay. If this command does not reach the log either, the staged jobs are
            // dropped after an hour.
            let _ = self.propose(actor, Command::DiscardJobs { request }).await;
        }
        created
    }

    async fn stage_jobs(
        &self,
        actor: &Actor,
        request: u128,
        definitions: &[JobDefinition],
        jobs: Vec<NewJob>,
        key: Option<Key>,
        references: &References,
    ) -> Result<Created, Error> {
        for chunk in chunks(request, definitions, jobs) {
            match self.propose(actor, Command::CreateJobs(chunk)).await? {
                Outcome::Jobs { .. } => {}
                other => return Err(references.refusal(self, actor, other).await),
            }
        }
        let activate = Key::wrap(key, Command::ActivateJobs { request });
        match self.propose(actor, activate).await? {
            Outcome::Jobs { request, jobs } => Ok((request, jobs)),
            other => Err(references.refusal(self, actor, other).await),
        }
    }

    /// The jobs that an earlier request under the same key created, so that nothing is staged in
    /// vain. The log is asked only when this node remembers the key.
    async fn created_under(&self, actor: &Actor, key: Key) -> Result<Option<Created>, Error> {
        let known = self.read(actor, move |conn| idempotency::get(conn, &key.key)).await?;
        if known.is_none() {
            return Ok(None);
        }
        // There is no such task, so the command comes to nothing unless the key still holds.
        let command = Command::ActivateJobs { request: Uuid::now_v7().as_u128() };
        match self.propose(actor, Key::wrap(Some(key), command)).await? {
            Outcome::Jobs { request, jobs } => Ok(Some((request, jobs))),
            Outcome::Rejected(Rejection { kind: RejectionKind::NotFound, .. }) => Ok(None),
            other => Err(refused(other)),
        }
    }
}

/// Cuts a large request into commands. Each names only the definitions that its jobs use.
fn chunks(
    request: u128,
    definitions: &[JobDefinition],
    jobs: Vec<NewJob>,
) -> impl Iterator<Item = CreateJobs> {
    let mut jobs = jobs.into_iter().peekable();
    std::iter::from_fn(move || {
        jobs.peek()?;
        let mut chunk =
            CreateJobs { request, definitions: Vec::new(), jobs: Vec::new(), staged: true };
        let mut places: Vec<Option<u32>> = vec![None; definitions.len()];
        let mut size = 0;
        while let Some(job) = jobs.peek() {
            let place = job.definition as usize;
            let new = places[place].is_none();
            size += row_bytes(job) + if new { definition_bytes(&definitions[place]) } else { 0 };
            let full = chunk.jobs.len() >= CHUNK_JOBS || size > CHUNK_BYTES;
            if full && !chunk.jobs.is_empty() {
                break;
            }
            let definition = *places[place].get_or_insert_with(|| {
                chunk.definitions.push(definitions[place].clone());
                chunk.definitions.len() as u32 - 1
            });
            if let Some(job) = jobs.next() {
                chunk.jobs.push(NewJob { definition, ..job });
            }
        }
        Some(chunk)
    })
}

fn bytes(definitions: &[JobDefinition], jobs: &[NewJob]) -> usize {
    definitions.iter().map(definition_bytes).sum::<usize>()
        + jobs.iter().map(row_bytes).sum::<usize>()
}

/// The most bytes of a job's row in an entry.
fn row_bytes(job: &NewJob) -> usize {
    ROW_BYTES + job.data.len() + job.external_id.as_ref().map_or(0, String::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{LEVEL, Proposal};

    fn definition(project: u64) -> JobDefinition {
        JobDefinition {
            project,
            spec: "@every 1m".into(),
            period: Some(60_000),
            timezone: "UTC".into(),
            callback_url: "http://localhost/".into(),
            execution_type: "http".into(),
            ..JobDefinition::default()
        }
    }

    fn job(definition: u32, bytes: usize) -> NewJob {
        NewJob { definition, data: "x".repeat(bytes), ..NewJob::default() }
    }

    #[test]
    fn chunks_keep_order_and_limits_and_name_only_their_definitions() {
        let definitions = [definition(1), definition(2), definition(3)];
        let mut jobs: Vec<_> = (0..2_500).map(|i| job(u32::from(i >= 2_000), i % 7)).collect();
        jobs.push(job(2, CHUNK_BYTES + 5));
        jobs.push(job(0, 1));
        let wanted: Vec<_> = jobs
            .iter()
            .map(|j| (definitions[j.definition as usize].project, j.data.len()))
            .collect();
        let cut: Vec<_> = chunks(9, &definitions, jobs).collect();
        assert_eq!(cut.iter().map(|c| c.jobs.len()).collect::<Vec<_>>(), [1_000, 1_000, 500, 1, 1]);
        assert_eq!(cut.iter().map(|c| c.definitions.len()).collect::<Vec<_>>(), [1; 5]);
        let got: Vec<_> = cut
            .iter()
            .flat_map(|c| {
                c.jobs.iter().map(|j| (c.definitions[j.definition as usize].project, j.data.len()))
            })
            .collect();
        assert_eq!(got, wanted);
        for chunk in &cut {
            assert!(bytes(&chunk.definitions, &chunk.jobs) <= CHUNK_BYTES || chunk.jobs.len() == 1);
            let command = Proposal::from(Command::CreateJobs(chunk.clone())).encode(LEVEL).unwrap();
            assert!(command.len() <= bytes(&chunk.definitions, &chunk.jobs));
        }
    }
}
