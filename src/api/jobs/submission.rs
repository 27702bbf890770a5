//! The writes that create the jobs of a `POST`: one command where the jobs fit, else chunks that
//! stay invisible until one last command makes all of them jobs. Either way all jobs are created,
//! or none.

use uuid::Uuid;

use crate::api::http::error::Error;
use crate::api::jobs::references::References;
use crate::api::jobs::validate::batch::Batch;
use crate::api::jobs::validate::executors as callable;
use crate::api::jobs::validate::payload::definition_bytes;
use crate::api::state::AppState;
use crate::app::idempotency::Key;
use crate::app::refused;
use crate::command::{Command, CreateJobs, NewJob, Outcome, Rejection, RejectionKind};
use crate::model::JobId;
use crate::model::job::JobDefinition;
use crate::store::idempotency;

/// The most jobs in one log entry.
const CHUNK_JOBS: usize = 1_000;
/// About the most bytes in one log entry; a single larger job goes alone.
const CHUNK_BYTES: usize = 400 * 1_024;
/// The most bytes of a job's row in an entry, beside its data.
const ROW_BYTES: usize = 40;

/// The route that idempotency keys are bound to.
pub(crate) const ROUTE: &str = "POST /jobs";

/// The jobs that a request created.
#[derive(Debug)]
pub(crate) struct CreatedJobs {
    /// The task's request id.
    pub(crate) request: u128,
    /// The jobs, as (first id, how many).
    pub(crate) jobs: Vec<(JobId, u64)>,
}

/// A checked request to create jobs.
pub(crate) struct Submission {
    definitions: Vec<JobDefinition>,
    jobs: Vec<NewJob>,
    key: Option<Key>,
}

impl Submission {
    pub(crate) fn new(batch: Batch<'_>, key: Option<Key>) -> Result<Self, Error> {
        let (definitions, jobs) = (batch.definitions, batch.jobs);
        if jobs.is_empty() {
            return Err(Error::bad_request("jobs is empty: send at least one job"));
        }
        Ok(Self { definitions, jobs, key })
    }

    /// A request for one job with an external id. The id makes it idempotent: a job that exists is
    /// not created again.
    pub(crate) fn without_key(batch: Batch<'_>) -> Self {
        Self { definitions: batch.definitions, jobs: batch.jobs, key: None }
    }

    /// Creates the jobs, and waits until this node has them.
    pub(crate) async fn commit(self, app: &AppState) -> Result<CreatedJobs, Error> {
        let request = Uuid::now_v7().as_u128();
        let Self { definitions, jobs, key } = self;
        let data = jobs.iter().map(|job| (job.definition as usize, job.data.as_str()));
        if let Err((first, error)) = callable::check(app, &definitions, data).await {
            return Err(first.map_or(error.clone(), |index| error.at(index)));
        }
        let references = References::of(&definitions, &jobs);
        if jobs.len() <= CHUNK_JOBS && bytes(&definitions, &jobs) <= CHUNK_BYTES {
            let command =
                Command::CreateJobs(CreateJobs { request, definitions, jobs, staged: false });
            return match app.cluster.propose(Key::wrap(key, command)).await? {
                Outcome::Jobs { request, jobs } => Ok(CreatedJobs { request, jobs }),
                other => Err(references.refusal(app, other).await),
            };
        }
        if let Some(key) = key
            && let Some(made) = remembered(app, key).await?
        {
            return Ok(made);
        }
        let made = staged(app, request, &definitions, jobs, key, &references).await;
        if !matches!(&made, Ok(made) if made.request == request) {
            // The request was refused, failed, or was done before under the same key, so nothing
            // staged may stay. If this command does not reach the log either, the staged jobs are
            // dropped after an hour.
            let _ = app.cluster.propose(Command::DiscardJobs { request }).await;
        }
        made
    }
}

async fn staged(
    app: &AppState,
    request: u128,
    definitions: &[JobDefinition],
    jobs: Vec<NewJob>,
    key: Option<Key>,
    references: &References,
) -> Result<CreatedJobs, Error> {
    for chunk in chunks(request, definitions, jobs) {
        match app.cluster.propose(Command::CreateJobs(chunk)).await? {
            Outcome::Jobs { .. } => {}
            other => return Err(references.refusal(app, other).await),
        }
    }
    let activate = Key::wrap(key, Command::ActivateJobs { request });
    match app.cluster.propose(activate).await? {
        Outcome::Jobs { request, jobs } => Ok(CreatedJobs { request, jobs }),
        other => Err(references.refusal(app, other).await),
    }
}

/// The jobs that the same request created when it was sent before, by everything that is committed.
pub(crate) async fn created_before(
    app: &AppState,
    key: Option<Key>,
) -> Result<Option<CreatedJobs>, Error> {
    let Some(key) = key else { return Ok(None) };
    app.cluster.linearize().await?;
    remembered(app, key).await
}

/// The jobs that an earlier request under the same key created, so that nothing is staged in vain.
/// The log is asked only when this node remembers the key.
async fn remembered(app: &AppState, key: Key) -> Result<Option<CreatedJobs>, Error> {
    let known = app.read(move |conn| idempotency::get(conn, &key.key)).await?;
    if known.is_none() {
        return Ok(None);
    }
    // There is no such task, so the command comes to nothing unless the key still holds.
    let command = Command::ActivateJobs { request: Uuid::now_v7().as_u128() };
    match app.cluster.propose(Key::wrap(Some(key), command)).await? {
        Outcome::Jobs { request, jobs } => Ok(Some(CreatedJobs { request, jobs })),
        Outcome::Rejected(Rejection { kind: RejectionKind::NotFound, .. }) => Ok(None),
        other => Err(refused(other).into()),
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
