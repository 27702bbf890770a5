//! `list` and `get`: reads from a node's API and shows it. The columns of each noun are here too.

use clap::{Args, Subcommand, ValueEnum};
use futures_util::StreamExt as _;
use serde_json::Value;

use super::client::Client;
use super::output::{Column, Output, Told, cell, say, show};

/// The columns of projects.
pub(super) const PROJECTS: &[Column] = &[
    ("id", &["id"]),
    ("name", &["name"]),
    ("description", &["description"]),
    ("created", &["dateCreated"]),
];
/// The columns of jobs.
pub(super) const JOBS: &[Told] = &[
    Told { title: "id", cell: |job| cell(job, &["id"]), wide: false },
    Told { title: "project", cell: |job| cell(job, &["projectId"]), wide: true },
    Told { title: "external id", cell: |job| cell(job, &["externalId"]), wide: false },
    Told { title: "when", cell: when, wide: false },
    Told { title: "timezone", cell: |job| cell(job, &["timezone"]), wide: true },
    Told { title: "status", cell: |job| cell(job, &["status"]), wide: false },
    Told { title: "last", cell: |job| cell(job, &[LAST]), wide: false },
    Told { title: "next", cell: |job| cell(job, &["nextExecutionDate"]), wide: false },
    Told { title: "target", cell: target, wide: false },
    Told { title: "labels", cell: labels, wide: true },
];
/// Where `list` puts what came of a job's newest attempt; no field of the API.
const LAST: &str = "lastResult";
/// Of more jobs than this the newest attempts are not looked up.
const MOST_LOOKED_UP: usize = 100;
/// So many are looked up at a time.
const AT_A_TIME: usize = 8;
const CREDENTIALS: &[Column] = &[
    ("id", &["id"]),
    ("api key", &["apiKey"]),
    ("archived", &["archived"]),
    ("created", &["dateCreated"]),
    ("created by", &["createdBy"]),
];
/// The columns of executions.
pub(super) const EXECUTIONS: &[Told] = &[
    Told {
        title: "scheduled",
        cell: |e| cell(e, &["scheduledAt", "lastExecutionDatetime"]),
        wide: false,
    },
    Told { title: "job", cell: |e| cell(e, &["jobId"]), wide: false },
    Told { title: "result", cell: result, wide: false },
    Told { title: "attempt", cell: attempt, wide: false },
    Told { title: "answer", cell: answer, wide: false },
    Told { title: "took", cell: took, wide: false },
    Told { title: "node", cell: |e| cell(e, &["nodeId"]), wide: true },
    Told { title: "id", cell: |e| cell(e, &["executionId", "uniqueId", "id"]), wide: true },
    Told { title: "error", cell: error, wide: false },
];

/// The schedule of a job: its line, its instant or its delay.
pub(super) fn when(job: &Value) -> String {
    let spec = job["spec"].as_str().filter(|spec| !spec.is_empty());
    match (spec, job["after"].as_str(), job["at"].as_str()) {
        (Some(spec), ..) => show(&spec.into()),
        (None, Some(delay), _) => format!("once, after {}", show(&delay.into())),
        (None, None, Some(at)) => format!("once, at {}", show(&at.into())),
        (None, None, None) => "-".to_owned(),
    }
}

/// Where its calls go.
pub(super) fn target(job: &Value) -> String {
    let url = job["callbackUrl"].as_str().filter(|url| !url.is_empty());
    match (url, job["http"]["url"].as_str(), &job["executorId"]) {
        (Some(url), ..) => show(&url.into()),
        (None, Some(url), _) => {
            let method = job["http"]["method"].as_str().unwrap_or("POST");
            format!("{} {}", show(&method.into()), show(&url.into()))
        }
        (None, None, Value::Null) => "-".to_owned(),
        (None, None, id) => format!("executor {id}"),
    }
}

fn labels(job: &Value) -> String {
    let Some(labels) = job["labels"].as_object().filter(|labels| !labels.is_empty()) else {
        return "-".to_owned();
    };
    let pairs = labels.iter().map(|(key, value)| format!("{key}={}", show(value)));
    show(&pairs.collect::<Vec<_>>().join(",").into())
}

/// What an attempt came to, and why where nothing was sent.
pub(super) fn result(execution: &Value) -> String {
    let result = cell(execution, &["status", "state"]);
    match execution["reason"].as_str() {
        Some(reason) => format!("{result}: {}", show(&reason.into())),
        None => result,
    }
}

/// How an error that there was no connection begins, as `executor` words it and as it was worded in
/// earlier versions.
const UNCONNECTED: [&str; 2] = ["no connection: ", "error sending request"];
/// What stands between what became of a request and of its repetition.
const AGAIN: &str = "; then again: ";

/// Why an attempt failed, in so few words that a table of 80 columns still says it: of a request that
/// went out twice, what became of the second; of an error of the connection its innermost cause, which
/// says it all; and of what the receiver did, only what. The whole text is in the JSON and in `explain`.
pub(super) fn error(execution: &Value) -> String {
    let whole = cell(execution, &["error", "waited"]);
    let last = whole.rsplit(AGAIN).next().unwrap_or(&whole);
    let cause = if UNCONNECTED.iter().any(|begin| last.starts_with(begin)) {
        let cause = last.rsplit(": ").next().unwrap_or(last);
        cause.split(" (os error").next().unwrap_or(cause)
    } else {
        last.strip_prefix("the receiver ").unwrap_or(last)
    };
    cause.to_owned()
}

fn is_sent(execution: &Value) -> bool {
    execution["status"] != "skipped"
}

fn attempt(execution: &Value) -> String {
    if is_sent(execution) { cell(execution, &["attempt"]) } else { "-".to_owned() }
}

/// `HTTP 204`, or that there was no answer.
pub(super) fn answer(execution: &Value) -> String {
    match execution["httpCode"].as_u64() {
        Some(0) if is_sent(execution) => "no answer".to_owned(),
        Some(0) | None => "-".to_owned(),
        Some(code) => format!("HTTP {code}"),
    }
}

/// How long an attempt took.
pub(super) fn took(execution: &Value) -> String {
    match execution["durationMs"].as_u64().filter(|_| is_sent(execution)) {
        None => "-".to_owned(),
        Some(ms) if ms < 10_000 => format!("{ms} ms"),
        Some(ms) => format!("{:.1} s", ms as f64 / 1_000.0),
    }
}

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
    /// Given up
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
    let (noun, page, filters) = match command {
        ListCommand::Credential(page) => ("credentials", page, vec![]),
        ListCommand::Project(page) => ("projects", page, vec![]),
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
        ListCommand::Credential(_) => output.records(&envelope, records, CREDENTIALS)?,
        ListCommand::Project(_) => output.records(&envelope, records, PROJECTS)?,
        ListCommand::Execution(_) => output.told(&envelope, records, EXECUTIONS)?,
        ListCommand::Job(_) if output.is_json() => output.json(&envelope)?,
        ListCommand::Job(_) => {
            output.told(&envelope, &with_last_results(records, client).await, JOBS)?;
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

/// The jobs with what came of the newest attempt of each, which their list does not say.
async fn with_last_results(jobs: &[Value], client: &Client) -> Vec<Value> {
    let mut jobs = jobs.to_vec();
    if jobs.len() > MOST_LOOKED_UP {
        return jobs;
    }
    let look_up = jobs.iter().enumerate().map(async |(n, job)| {
        let query = [("jobId", job["id"].to_string()), ("limit", "1".to_owned())];
        let newest = client.get("/executions", &query).await.ok()?;
        let newest = newest["data"]["executions"].get(0).map(result)?;
        Some((n, newest))
    });
    let found: Vec<_> = futures_util::stream::iter(look_up).buffered(AT_A_TIME).collect().await;
    for (n, result) in found.into_iter().flatten() {
        jobs[n][LAST] = result.into();
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
        GetCommand::Task { request_id } => {
            let id: String = url::form_urlencoded::byte_serialize(request_id.as_bytes()).collect();
            format!("/async-tasks/{id}")
        }
    };
    output.record(&client.get(&path, &[]).await?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_error_is_as_short_as_it_can_be() {
        for (whole, short) in [
            (
                "no connection: tcp connect error: Connection refused (os error 111)",
                "Connection refused",
            ),
            (
                "error sending request: client error (Connect): tcp connect error: Connection \
                 refused (os error 111)",
                "Connection refused",
            ),
            ("no connection: invalid peer certificate: UnknownIssuer", "UnknownIssuer"),
            (
                "the receiver closed the connection without an answer",
                "closed the connection without an answer",
            ),
            (
                "the receiver closed the connection without an answer; then again: no connection: \
                 tcp connect error: Connection refused (os error 111)",
                "Connection refused",
            ),
            ("timeout: no complete answer within 2s", "timeout: no complete answer within 2s"),
            ("HTTP 500: the receiver is out: of order", "HTTP 500: the receiver is out: of order"),
        ] {
            assert_eq!(error(&json!({"error": whole})), short);
            assert_eq!(error(&json!({"waited": whole})), short);
        }
        assert_eq!(error(&json!({})), "-");
    }
}
