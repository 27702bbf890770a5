//! `jobs`: ends one-off jobs before their time, through a node's API. `job_edits` edits many jobs;
//! `create`, `list`, `get` and `delete` have the other commands about jobs.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Failure;
use super::client::Client;
use super::job_edits::{self, EditFlags};
use super::output::{Output, cell, line, say};

const EXAMPLES: &str = "\
Examples:
  scheduler0 jobs terminate 7
  scheduler0 jobs terminate 7 8 --no-reschedule --reason 'replaced by 9'";

/// What to do with jobs.
#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// Ends one-offs: their wait or their run. Another instance of a template follows, where the
    /// template says so
    #[command(after_help = EXAMPLES)]
    Terminate(Terminate),
    /// Edits all jobs that a filter finds; what it would do is shown first
    #[command(after_help = job_edits::EXAMPLES)]
    Edit(EditFlags),
}

/// Flags of `jobs terminate`.
#[derive(Debug, Args)]
pub struct Terminate {
    /// Their numbers
    #[arg(required = true)]
    id: Vec<u64>,
    /// Another instance of the template follows, whatever the template says
    #[arg(long, conflicts_with = "no_reschedule")]
    reschedule: bool,
    /// No other instance of the template follows
    #[arg(long)]
    no_reschedule: bool,
    /// Why, for the history
    #[arg(long)]
    reason: Option<String>,
}

/// Carries out `jobs`. A job that is refused does not stop the others; the command fails at the
/// end.
pub(super) async fn run(
    command: &JobsCommand,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    let flags = match command {
        JobsCommand::Edit(flags) => return job_edits::run(flags, client, output).await,
        JobsCommand::Terminate(flags) => flags,
    };
    let mut body = json!({});
    if flags.reschedule || flags.no_reschedule {
        body["reschedule"] = Value::Bool(flags.reschedule);
    }
    if let Some(reason) = &flags.reason {
        body["reason"] = reason.as_str().into();
    }
    let (mut failed, mut answers) = (Vec::new(), Vec::new());
    for id in &flags.id {
        match client.post(&format!("/jobs/{id}/terminate"), &body).await {
            Ok(envelope) => answers.push((*id, envelope["data"].clone())),
            Err(error) if is_refused(&error) && flags.id.len() > 1 => {
                say(&format!("job {id}: {error}"));
                failed.push(error);
            }
            Err(error) => return Err(error),
        }
    }
    if output.is_json() {
        let jobs: Vec<_> = answers.into_iter().map(|(_, job)| job).collect();
        output.json(&json!({"data": jobs, "success": failed.is_empty()}))?;
    } else {
        for (id, job) in &answers {
            // A job that goes with its end has no answer.
            let status = if job.is_null() { "deleted".to_owned() } else { cell(job, &["status"]) };
            line(&format!("{id}  {status}"))?;
        }
    }
    let left = failed.len();
    match failed.into_iter().next() {
        Some(error) => Err(error.context(format!("{left} of {} jobs not ended", flags.id.len()))),
        None => Ok(()),
    }
}

fn is_refused(error: &anyhow::Error) -> bool {
    // 401 and 403 would be the answer for all of them.
    matches!(
        error.downcast_ref::<Failure>(),
        Some(Failure::Refused { status, .. }) if !matches!(status, 401 | 403)
    )
}
