//! `runs`: lists, shows and cancels runs through a node's API. Used by people who look after
//! workers; it never reports for a worker.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::Failure;
use super::client::Client;
use super::columns::RUNS;
use super::output::{Output, cell, line, say, show};

const LIST_EXAMPLES: &str = "\
Examples:
  scheduler0 runs list --queue emails
  scheduler0 runs list --state failed --state completed --limit 20
  scheduler0 runs list --worker mailer-7 --json | jq '.data.runs[].id'";

const GET_EXAMPLES: &str = "\
Examples:
  scheduler0 runs get 1c9b2a44-4d-19aa1b2c3d0
  scheduler0 runs get 480788a06cd1843bcc4ff647 --json";

const CANCEL_EXAMPLES: &str = "\
Examples:
  scheduler0 runs cancel 1c9b2a44-4d-19aa1b2c3d0
  scheduler0 runs list --queue emails --limit 1000 --json \\
    | jq -r '.data.runs[].id' | xargs scheduler0 runs cancel
That is one page: do it again until nothing is left.";

/// What to do with runs.
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// Runs, newest first (with --worker by job): without --state those that are not over
    #[command(after_help = LIST_EXAMPLES)]
    List(RunList),
    /// One run with its attempts
    #[command(after_help = GET_EXAMPLES)]
    Get {
        /// Its execution id or its run id
        id: String,
    },
    /// Asks the workers of runs to stop; what waits is over at once
    #[command(after_help = CANCEL_EXAMPLES)]
    Cancel {
        /// Their execution ids or run ids
        #[arg(required = true)]
        id: Vec<String>,
    },
}

/// Flags of `runs list`.
#[derive(Debug, Args)]
pub struct RunList {
    /// Only those in this state; may be given several times
    #[arg(long, value_enum)]
    state: Vec<RunState>,
    /// Only those of this job
    #[arg(long)]
    job: Option<u64>,
    /// Only those of this project
    #[arg(long)]
    project: Option<u64>,
    /// Only those of this queue, by its name
    #[arg(long)]
    queue: Option<String>,
    /// Only those that this worker has
    #[arg(long)]
    worker: Option<String>,
    /// Due before this instant (RFC 3339)
    #[arg(long, value_name = "INSTANT")]
    created_before: Option<String>,
    /// Begun before this instant (RFC 3339)
    #[arg(long, value_name = "INSTANT")]
    started_before: Option<String>,
    /// Not heard of since this instant (RFC 3339)
    #[arg(long, value_name = "INSTANT")]
    heartbeat_before: Option<String>,
    /// At most so many, up to 1000
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Where an earlier page ended
    #[arg(long, value_name = "PLACE")]
    after: Option<String>,
}

/// The states of runs, as the API names them.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum RunState {
    /// It waits behind another run of its job
    Queued,
    /// It waits for a worker, or for its next attempt
    Pending,
    /// A worker has it
    Running,
    /// A worker has it and is to stop
    Cancelling,
    /// Done
    Completed,
    /// Failed for good
    Failed,
    /// Cancelled, or not begun in time
    Cancelled,
    /// Not to be performed; needs --job
    Skipped,
}

/// Carries out `runs`.
pub(super) async fn run(
    command: &RunsCommand,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        RunsCommand::List(flags) => list(flags, client, output).await,
        RunsCommand::Get { id } => get(id, client, output).await,
        RunsCommand::Cancel { id } => cancel(id, client, output).await,
    }
}

async fn list(flags: &RunList, client: &Client, output: Output) -> anyhow::Result<()> {
    let states = flags.state.iter().filter_map(ValueEnum::to_possible_value);
    let mut query: Vec<_> = states.map(|state| ("state", state.get_name().to_owned())).collect();
    let filters = [
        ("jobId", flags.job.map(|id| id.to_string())),
        ("projectId", flags.project.map(|id| id.to_string())),
        ("queue", flags.queue.clone()),
        ("worker", flags.worker.clone()),
        ("createdBefore", flags.created_before.clone()),
        ("startedBefore", flags.started_before.clone()),
        ("heartbeatBefore", flags.heartbeat_before.clone()),
        ("after", flags.after.clone()),
    ];
    query.extend(filters.into_iter().filter_map(|(name, value)| Some((name, value?))));
    query.push(("limit", flags.limit.to_string()));
    let envelope = client.get("/runs", &query).await?;
    let runs = envelope["data"]["runs"].as_array().map_or(&[][..], Vec::as_slice);
    output.computed(&envelope, runs, RUNS)?;
    if let Some(next) = envelope["data"]["next"].as_str().filter(|_| !output.is_json()) {
        say(&format!("there may be more: go on with --after {}", show(&next.into())));
    }
    Ok(())
}

async fn get(id: &str, client: &Client, output: Output) -> anyhow::Result<()> {
    let mut envelope = client.get(&format!("/runs/{}", in_path(id)), &[]).await?;
    if output.is_json() {
        return output.json(&envelope);
    }
    // The attempts are a table below the fields.
    let attempts = envelope["data"].as_object_mut().and_then(|run| run.remove("attempts"));
    output.record(&envelope)?;
    let attempts = attempts.as_ref().and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if attempts.is_empty() {
        return Ok(());
    }
    line("")?;
    output.computed(&envelope, attempts, super::columns::EXECUTIONS)
}

/// Cancels runs. One that is refused does not stop the others; the command fails at the end. What
/// was cancelled before a node could not be asked any more is shown all the same.
async fn cancel(ids: &[String], client: &Client, output: Output) -> anyhow::Result<()> {
    let (mut failed, mut answers, mut fatal) = (Vec::new(), Vec::new(), None);
    for id in ids {
        match client.post(&format!("/runs/{}/cancel", in_path(id)), &json!({})).await {
            Ok(envelope) => answers.push(envelope["data"].clone()),
            Err(error) if is_refused(&error) && ids.len() > 1 => {
                say(&format!("run {}: {error}", show(&id.as_str().into())));
                failed.push(error);
            }
            Err(error) => {
                fatal = Some(error);
                break;
            }
        }
    }
    if let Some(error) = fatal.take_if(|_| answers.is_empty() && failed.is_empty()) {
        return Err(error);
    }
    let success = failed.is_empty() && fatal.is_none();
    if output.is_json() {
        output.json(&json!({"data": answers, "success": success}))?;
    } else {
        for run in &answers {
            line(&format!("{}  {}", cell(run, &["id"]), cell(run, &["state"])))?;
        }
    }
    let left = ids.len() - answers.len();
    match fatal.or_else(|| failed.into_iter().next()) {
        Some(error) => Err(error.context(format!("{left} of {} runs not cancelled", ids.len()))),
        None => Ok(()),
    }
}

/// Tells whether the node refused this request and may accept the next one.
fn is_refused(error: &anyhow::Error) -> bool {
    // 401 and 403 would be the answer for all of them.
    matches!(
        error.downcast_ref::<Failure>(),
        Some(Failure::Refused { status, .. }) if !matches!(status, 401 | 403)
    )
}

/// An id as a part of a path.
fn in_path(id: &str) -> String {
    url::form_urlencoded::byte_serialize(id.as_bytes()).collect()
}
