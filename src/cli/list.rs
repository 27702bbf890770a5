//! `list` and `get`: read from a node's API and show the answer.

use clap::{Args, Subcommand, ValueEnum};
use futures_util::StreamExt as _;
use serde_json::Value;

use super::client::Client;
use super::columns::{CREDENTIALS, EXECUTIONS, EXECUTORS, JOBS, LAST_RESULT, PROJECTS, result};
use super::output::{Output, say};

/// Above this number of jobs, `list jobs` does not look up their newest attempts.
const MAX_LOOKUPS: usize = 100;
/// Look-ups under way at once.
const LOOKUPS_AT_ONCE: usize = 8;

/// The nouns of `list`.
#[derive(Debug, Subcommand)]
pub enum ListCommand {
    /// Client credentials, without their secrets
    #[command(visible_alias = "credentials")]
    Credential(Page),
    /// Projects
    #[command(visible_alias = "projects")]
    Project(Page),
    /// Jobs
    #[command(visible_alias = "jobs")]
    Job(Jobs),
    /// Executors: named targets that many jobs share
    #[command(visible_alias = "executors")]
    Executor(Page),
    /// Executions: what was called, when, and what came of it
    #[command(visible_alias = "executions")]
    Execution(Executions),
}

/// The page of a list.
#[derive(Debug, Args)]
pub struct Page {
    /// At most so many, up to 1000
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// After so many
    #[arg(long, default_value_t = 0)]
    offset: u64,
    /// The field to sort by, as the API names it (id, dateCreated ...)
    #[arg(long, value_name = "FIELD")]
    order_by: Option<String>,
    /// Highest first
    #[arg(long)]
    desc: bool,
}

/// Flags of `list jobs`.
#[derive(Debug, Args)]
pub struct Jobs {
    /// Only those of this project
    #[arg(long)]
    project: Option<u64>,
    #[command(flatten)]
    page: Page,
}

/// Flags of `list executions`.
#[derive(Debug, Args)]
pub struct Executions {
    /// Only those of this project
    #[arg(long)]
    project: Option<u64>,
    /// Only those of this job
    #[arg(long)]
    job: Option<u64>,
    /// Only those in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Not before this instant (RFC 3339)
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// Not after this instant (RFC 3339)
    #[arg(long, visible_alias = "to", value_name = "INSTANT")]
    until: Option<String>,
    #[command(flatten)]
    page: Page,
}

/// The states of executions, as the API names them.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum State {
    /// A receiver accepted it
    #[value(alias = "success")]
    Delivered,
    /// An attempt that failed and is tried again
    Failed,
    /// Dead-lettered
    Dead,
    /// Not sent
    Skipped,
    /// Under way
    Running,
    /// Skipped or running: the word of older clients
    #[value(hide = true)]
    Scheduled,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Skipped => "skipped",
            Self::Running => "running",
            Self::Scheduled => "scheduled",
        }
    }
}

/// The nouns of `get`.
#[derive(Debug, Subcommand)]
pub enum GetCommand {
    /// A client credential, without its secret
    Credential {
        /// Its number
        id: u64,
    },
    /// A project
    Project {
        /// Its number
        id: u64,
    },
    /// A job
    Job {
        /// Its number
        id: u64,
    },
    /// An executor, without its secrets
    Executor {
        /// Its number
        id: u64,
    },
    /// The receipt of a bulk creation
    #[command(visible_alias = "async-task")]
    Task {
        /// The request's id, from the Location of the answer
        request_id: String,
    },
}

/// Carries out `list`.
pub(super) async fn run(
    command: &ListCommand,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    let (noun, page, filters) = match command {
        ListCommand::Credential(page) => ("credentials", page, vec![]),
        ListCommand::Project(page) => ("projects", page, vec![]),
        ListCommand::Executor(page) => ("executors", page, vec![]),
        ListCommand::Job(flags) => {
            let project = flags.project.map(|id| ("projectId", id.to_string()));
            ("jobs", &flags.page, vec![project])
        }
        ListCommand::Execution(flags) => {
            let filters = vec![
                flags.project.map(|id| ("projectId", id.to_string())),
                flags.job.map(|id| ("jobId", id.to_string())),
                flags.state.map(|state| ("state", state.name().to_owned())),
                flags.from.clone().map(|at| ("from", at)),
                flags.until.clone().map(|at| ("until", at)),
            ];
            ("executions", &flags.page, filters)
        }
    };
    let mut query: Vec<_> = filters.into_iter().flatten().collect();
    query.push(("limit", page.limit.to_string()));
    query.push(("offset", page.offset.to_string()));
    if let Some(field) = &page.order_by {
        query.push(("orderBy", field.clone()));
    }
    if page.desc {
        query.push(("orderByDirection", "desc".to_owned()));
    }
    let envelope = client.get(&format!("/{noun}"), &query).await?;
    let records = envelope["data"][noun].as_array().map_or(&[][..], Vec::as_slice);
    match command {
        ListCommand::Credential(_) => output.computed(&envelope, records, CREDENTIALS)?,
        ListCommand::Project(_) => output.records(&envelope, records, PROJECTS)?,
        ListCommand::Executor(_) => output.computed(&envelope, records, EXECUTORS)?,
        ListCommand::Execution(_) => output.computed(&envelope, records, EXECUTIONS)?,
        ListCommand::Job(_) if output.is_json() => output.json(&envelope)?,
        ListCommand::Job(_) => {
            output.computed(&envelope, &with_last_results(records, client).await, JOBS)?;
        }
    }
    let shown = page.offset + records.len() as u64;
    if let Some(total) = envelope["data"]["total"].as_u64()
        && !output.is_json()
        && shown < total
        && !records.is_empty()
    {
        let about = if envelope["data"]["totalIsEstimate"] == true { "about " } else { "" };
        say(&format!("{shown} of {about}{total}; go on with --offset {shown}"));
    }
    Ok(())
}

/// Adds to each job the result of its newest attempt, which the API's list of jobs does not have.
async fn with_last_results(jobs: &[Value], client: &Client) -> Vec<Value> {
    let mut jobs = jobs.to_vec();
    if jobs.len() > MAX_LOOKUPS {
        return jobs;
    }
    let look_up = jobs.iter().enumerate().map(async |(n, job)| {
        let query = [("jobId", job["id"].to_string()), ("limit", "1".to_owned())];
        let newest = client.get("/executions", &query).await.ok()?;
        let newest = newest["data"]["executions"].get(0).map(result)?;
        Some((n, newest))
    });
    let found: Vec<_> =
        futures_util::stream::iter(look_up).buffered(LOOKUPS_AT_ONCE).collect().await;
    for (n, result) in found.into_iter().flatten() {
        jobs[n][LAST_RESULT] = result.into();
    }
    jobs
}

/// Carries out `get`.
pub(super) async fn get(
    command: &GetCommand,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    let path = match command {
        GetCommand::Credential { id } => format!("/credentials/{id}"),
        GetCommand::Project { id } => format!("/projects/{id}"),
        GetCommand::Job { id } => format!("/jobs/{id}"),
        GetCommand::Executor { id } => format!("/executors/{id}"),
        GetCommand::Task { request_id } => {
            let id: String = url::form_urlencoded::byte_serialize(request_id.as_bytes()).collect();
            format!("/async-tasks/{id}")
        }
    };
    output.record(&client.get(&path, &[]).await?)
}
