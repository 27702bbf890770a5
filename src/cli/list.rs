//! `list` and `get`: reads from a node's API and shows it. The columns of each noun are here too.

use clap::{Args, Subcommand, ValueEnum};

use super::client::Client;
use super::output::{Column, Format, Output, say};

/// The columns of projects.
pub(super) const PROJECTS: &[Column] = &[
    ("id", &["id"]),
    ("name", &["name"]),
    ("description", &["description"]),
    ("created", &["dateCreated"]),
];
/// The columns of jobs.
pub(super) const JOBS: &[Column] = &[
    ("id", &["id"]),
    ("project", &["projectId"]),
    ("spec", &["spec"]),
    ("timezone", &["timezone"]),
    ("status", &["status"]),
    ("next", &["nextExecutionDate"]),
    ("callback url", &["callbackUrl"]),
];
const CREDENTIALS: &[Column] = &[
    ("id", &["id"]),
    ("api key", &["apiKey"]),
    ("archived", &["archived"]),
    ("created", &["dateCreated"]),
    ("created by", &["createdBy"]),
];
/// The columns of executions.
pub(super) const EXECUTIONS: &[Column] = &[
    ("scheduled", &["scheduledAt", "lastExecutionDatetime"]),
    ("job", &["jobId"]),
    ("result", &["outcome", "status", "state"]),
    ("attempt", &["attempt"]),
    ("http", &["httpCode", "httpStatus"]),
    ("ms", &["durationMs", "duration"]),
    ("node", &["nodeId"]),
    ("id", &["uniqueId", "id"]),
    ("error", &["error"]),
];

/// What to list.
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
    /// Executions: what was called, when, and what came of it
    #[command(visible_alias = "executions")]
    Execution(Executions),
}

/// Which stretch of a list.
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
    #[arg(long, value_name = "INSTANT")]
    to: Option<String>,
    #[command(flatten)]
    page: Page,
}

/// The states of executions; the API's numbers.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum State {
    /// Under way, or waiting for a retry
    Scheduled = 0,
    /// Delivered
    Success = 1,
    /// Given up or skipped
    Failed = 2,
}

/// What to show.
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
    let (noun, page, columns, filters) = match command {
        ListCommand::Credential(page) => ("credentials", page, CREDENTIALS, vec![]),
        ListCommand::Project(page) => ("projects", page, PROJECTS, vec![]),
        ListCommand::Job(flags) => {
            let project = flags.project.map(|id| ("projectId", id.to_string()));
            ("jobs", &flags.page, JOBS, vec![project])
        }
        ListCommand::Execution(flags) => {
            let filters = vec![
                flags.project.map(|id| ("projectId", id.to_string())),
                flags.job.map(|id| ("jobId", id.to_string())),
                flags.state.map(|state| ("state", (state as u8).to_string())),
                flags.from.clone().map(|at| ("startDate", at)),
                flags.to.clone().map(|at| ("endDate", at)),
            ];
            ("executions", &flags.page, EXECUTIONS, filters)
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
    output.records(&envelope, records, columns)?;
    let shown = page.offset + records.len() as u64;
    if let Some(total) = envelope["data"]["total"].as_u64()
        && output.format == Format::Table
        && shown < total
        && !records.is_empty()
    {
        let about = if envelope["data"]["totalIsEstimate"] == true { "about " } else { "" };
        say(&format!("{shown} of {about}{total}; go on with --offset {shown}"));
    }
    Ok(())
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
        GetCommand::Task { request_id } => {
            let id: String = url::form_urlencoded::byte_serialize(request_id.as_bytes()).collect();
            format!("/async-tasks/{id}")
        }
    };
    output.record(&client.get(&path, &[]).await?)
}
