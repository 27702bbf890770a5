//! `create credential|project|executor|job`: creates things through a node's API and shows the
//! node's answer. Only the fields of a key pair are added in both casings.

use std::io::Read;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::Failure;
use super::client::Client;
use super::columns::{EXECUTORS, JOBS, PROJECTS};
use super::output::{Output, say};
use crate::model::Millis;
use crate::schedule::read_duration;

/// The longest life of a key, in milliseconds, as the API has it: ten years.
const LONGEST_LIFE: Millis = 10 * 366 * 86_400_000;

/// The nouns of `create`.
#[derive(Debug, Subcommand)]
pub enum CreateCommand {
    /// An API key and its secret, for a client; the secret is shown this once
    #[command(visible_alias = "credentials")]
    Credential(Credential),
    /// A project, the folder that jobs live in
    #[command(visible_alias = "projects")]
    Project(Project),
    /// An executor, a named target that many jobs share
    #[command(visible_alias = "executors")]
    Executor(Executor),
    /// A job, or many from a file
    #[command(visible_alias = "jobs")]
    Job(Job),
}

/// Flags of `create credential`.
#[derive(Debug, Args)]
pub struct Credential {
    /// The person who asked for it, for the records
    #[arg(long)]
    created_by: Option<String>,
    /// A name for people
    #[arg(long)]
    name: Option<String>,
    /// What it may be used for, such as jobs:read,runs:read; without it what every key may
    #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
    scopes: Vec<String>,
    /// It opens nothing after this time (1h, 30d), or from this instant on (RFC 3339, or a date)
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// The addresses and networks that it may be used from, such as 10.0.0.0/8
    #[arg(long, value_name = "NETWORK", value_delimiter = ',')]
    allowed_ips: Vec<String>,
    /// The numbers of the projects that it reaches, such as 1,2; without it all
    #[arg(long, value_name = "PROJECT", value_delimiter = ',')]
    projects: Vec<u64>,
    /// The most requests that it may make in a second, at each node
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<u32>,
}

/// Flags of `create project`.
#[derive(Debug, Args)]
pub struct Project {
    /// Its name, unique in the cluster
    #[arg(long)]
    name: String,
    /// A description
    #[arg(long)]
    description: String,
    /// Where its jobs may call, such as https://*.example.com:443; without it wherever the nodes
    /// allow
    #[arg(long, value_name = "TARGET", value_delimiter = ',')]
    allowed_targets: Vec<String>,
}

/// Flags of `create executor`.
#[derive(Debug, Args)]
pub struct Executor {
    /// The JSON of an executor as the API takes it; - reads stdin. Secrets in a file are in no
    /// list of processes
    #[arg(long, value_name = "FILE")]
    file: String,
}

/// Flags of `create job`.
#[derive(Debug, Args)]
pub struct Job {
    /// A JSON array of jobs as the API takes it; - reads stdin
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["project", "spec", "callback_url", "executor", "data", "timezone",
            "start_date", "end_date", "retry_max", "inactive"]
    )]
    file: Option<String>,
    /// Its project's number
    #[arg(long, required_unless_present = "file")]
    project: Option<u64>,
    /// Its schedule: cron (5 or 6 fields), @every 5m, @daily ...
    #[arg(long, required_unless_present = "file")]
    spec: Option<String>,
    /// The URL that it is posted to
    #[arg(long, visible_alias = "url", required_unless_present_any = ["file", "executor"])]
    callback_url: Option<String>,
    /// The number of the executor that it goes to, instead of a URL
    #[arg(long, conflicts_with = "callback_url")]
    executor: Option<u64>,
    /// Text that it carries
    #[arg(long, default_value = "")]
    data: String,
    /// The IANA zone that the schedule is read in [default: UTC]
    #[arg(long)]
    timezone: Option<String>,
    /// No occurrence before this instant: RFC 3339, or local in the zone
    #[arg(long)]
    start_date: Option<String>,
    /// No occurrence after this instant: RFC 3339, or local in the zone
    #[arg(long)]
    end_date: Option<String>,
    /// Retries after the first attempt [default: the node's]
    #[arg(long)]
    retry_max: Option<u32>,
    /// Creates it paused
    #[arg(long)]
    inactive: bool,
}

/// Carries it out.
pub(super) async fn run(
    command: &CreateCommand,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        CreateCommand::Credential(flags) => credential(flags, client, output).await,
        CreateCommand::Project(flags) => {
            let mut body = json!({ "name": flags.name, "description": flags.description });
            if !flags.allowed_targets.is_empty() {
                body["allowedTargets"] = flags.allowed_targets.clone().into();
            }
            let envelope = client.post("/projects", &body).await?;
            let record = std::slice::from_ref(&envelope["data"]);
            output.records(&envelope, record, PROJECTS)
        }
        CreateCommand::Executor(flags) => {
            let envelope = client.post("/executors", &read_json(&flags.file)?).await?;
            let record = std::slice::from_ref(&envelope["data"]);
            output.computed(&envelope, record, EXECUTORS)
        }
        CreateCommand::Job(flags) => {
            let envelope = client.post("/jobs", &body(flags)?).await?;
            let records = match &envelope["data"] {
                Value::Array(jobs) => jobs.as_slice(),
                one => std::slice::from_ref(one),
            };
            output.computed(&envelope, records, JOBS)
        }
    }
}

async fn credential(flags: &Credential, client: &Client, output: Output) -> anyhow::Result<()> {
    // Scripts written for the original read the envelope from a pipe.
    let output = output.json_in_a_pipe();
    let mut body = Map::new();
    if let Some(by) = &flags.created_by {
        body.insert("createdBy".to_owned(), by.as_str().into());
    }
    if let Some(name) = &flags.name {
        body.insert("name".to_owned(), name.as_str().into());
    }
    for (field, texts) in [("scopes", &flags.scopes), ("allowedIps", &flags.allowed_ips)] {
        if !texts.is_empty() {
            body.insert(field.to_owned(), texts.clone().into());
        }
    }
    if !flags.projects.is_empty() {
        body.insert("projects".to_owned(), flags.projects.clone().into());
    }
    if let Some(rate) = flags.rate {
        body.insert("ratePerSecond".to_owned(), rate.into());
    }
    if let Some(text) = &flags.expires {
        body.extend([expiry(text)?]);
    }
    let mut envelope = client.post("/credentials", &Value::Object(body)).await?;
    both_casings(&mut envelope["data"]);
    if !output.is_json() {
        output.records(
            &envelope,
            std::slice::from_ref(&envelope["data"]),
            &[("id", &["id"]), ("api key", &["apiKey"]), ("api secret", &["apiSecret"])],
        )?;
        say("send them as x-api-key and x-secret-key; the secret is not shown again");
        return Ok(());
    }
    output.json(&envelope)
}

/// The field for the end of a key: an instant begins with a year, a time with a number and a unit.
fn expiry(text: &str) -> anyhow::Result<(String, Value)> {
    let is_instant = text.as_bytes().get(4) == Some(&b'-');
    if is_instant {
        return Ok(("expiresAt".to_owned(), text.into()));
    }
    let bounds = (1_000, LONGEST_LIFE);
    let milliseconds = read_duration("--expires", &text.into(), bounds).map_err(Failure::Usage)?;
    // The API counts seconds: an end that is cut to its second comes too early, never too late.
    Ok(("expiresInSeconds".to_owned(), (milliseconds / 1_000).into()))
}

/// `api_key` and `apiKey`, `api_secret` and `apiSecret`: scripts written for either find it.
pub(super) fn both_casings(data: &mut Value) {
    let Some(data) = data.as_object_mut() else { return };
    for (snake, camel) in [("api_key", "apiKey"), ("api_secret", "apiSecret")] {
        if let Some(value) = data.get(snake).or_else(|| data.get(camel)).cloned() {
            data.insert(snake.to_owned(), value.clone());
            data.insert(camel.to_owned(), value);
        }
    }
}

/// The text of a file; `-` is stdin.
pub(super) fn read_text(file: &str) -> anyhow::Result<String> {
    if file != "-" {
        return std::fs::read_to_string(file).map_err(|e| anyhow::anyhow!("{file}: {e}"));
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// The JSON in a file; `-` is stdin.
fn read_json(file: &str) -> anyhow::Result<Value> {
    let text = read_text(file)?;
    let invalid = |e| Failure::Usage(format!("{file} is not JSON: {e}"));
    Ok(serde_json::from_str(&text).map_err(invalid)?)
}

fn body(flags: &Job) -> anyhow::Result<Value> {
    if let Some(file) = &flags.file {
        return read_json(file);
    }
    // A zone in the spec itself wins over the field.
    let zoned = |spec: &String| spec.trim_start().starts_with(['T', 'C']) && spec.contains('=');
    if flags.timezone.is_none() && !flags.spec.as_ref().is_some_and(zoned) {
        say("timezone UTC, by default: --timezone names another");
    }
    let mut job = json!({
        "projectId": flags.project,
        "spec": flags.spec,
        "data": flags.data,
        "timezone": flags.timezone.as_deref().unwrap_or("UTC"),
        "executionType": "http",
        "status": if flags.inactive { "inactive" } else { "active" },
    });
    for (name, value) in [
        ("callbackUrl", flags.callback_url.as_deref().map(Value::from)),
        ("executorId", flags.executor.map(Value::from)),
        ("startDate", flags.start_date.as_deref().map(Value::from)),
        ("endDate", flags.end_date.as_deref().map(Value::from)),
        ("retryMax", flags.retry_max.map(Value::from)),
    ] {
        if let Some(value) = value {
            job[name] = value;
        }
    }
    Ok(Value::Array(vec![job]))
}
