//! `templates`: lists and imports job templates, and makes jobs of them, through a node's API.
//! Files and payloads go as they are, since their order and their digits count.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::Client;
use super::columns::{JOBS, TEMPLATES};
use super::create::read_text;
use super::output::{Output, cell, line, say, show};

const LIST_EXAMPLES: &str = "\
Examples:
  scheduler0 templates list --project 1
  scheduler0 templates list --json | jq '.data.templates[].type'";

const IMPORT_EXAMPLES: &str = "\
Examples:
  scheduler0 templates import job_templates.json --project 1 --executor 2 --dry-run
  scheduler0 templates import - --project 1 < job_templates.json";

const RUN_EXAMPLES: &str = "\
Examples:
  scheduler0 templates run 3 --payload '{\"user_id\": 7}'
  scheduler0 templates run 3 --file payload.json --after 60 --json | jq '.data.id'";

/// What to do with templates.
#[derive(Debug, Subcommand)]
pub enum TemplatesCommand {
    /// The templates of a project, or of all
    #[command(after_help = LIST_EXAMPLES)]
    List(TemplateList),
    /// Makes or changes the templates of a file, by their types
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(TemplateImport),
    /// Makes a job of a template
    #[command(after_help = RUN_EXAMPLES)]
    Run(TemplateRun),
}

/// Flags of `templates list`.
#[derive(Debug, Args)]
pub struct TemplateList {
    /// Only those of this project
    #[arg(long)]
    project: Option<u64>,
    /// At most so many, up to 1000
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Where an earlier page ended
    #[arg(long, value_name = "PLACE")]
    after: Option<String>,
}

/// Flags of `templates import`.
#[derive(Debug, Args)]
pub struct TemplateImport {
    /// A JSON object of templates by type, such as `job_templates.json`; - reads stdin
    file: String,
    /// The project of the templates
    #[arg(long)]
    project: u64,
    /// The executor that their jobs go to; without it new templates are inactive
    #[arg(long)]
    executor: Option<u64>,
    /// Only shows what would become of each
    #[arg(long)]
    dry_run: bool,
}

/// Flags of `templates run`.
#[derive(Debug, Args)]
pub struct TemplateRun {
    /// The template's number
    id: u64,
    /// The payload as JSON
    #[arg(long, value_name = "JSON", conflicts_with = "file")]
    payload: Option<String>,
    /// A file with the payload as JSON; - reads stdin
    #[arg(long, value_name = "FILE")]
    file: Option<String>,
    /// The seconds before the job is due [default: the template's]
    #[arg(long, value_name = "SECONDS")]
    after: Option<u64>,
    /// Your own id of the job, unique in its project
    #[arg(long)]
    external_id: Option<String>,
}

/// Carries out `templates`.
pub(super) async fn run(
    command: &TemplatesCommand,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        TemplatesCommand::List(flags) => list(flags, client, output).await,
        TemplatesCommand::Import(flags) => import(flags, client, output).await,
        TemplatesCommand::Run(flags) => make(flags, client, output).await,
    }
}

async fn list(flags: &TemplateList, client: &Client, output: Output) -> anyhow::Result<()> {
    let filters =
        [("projectId", flags.project.map(|id| id.to_string())), ("after", flags.after.clone())];
    let mut query: Vec<_> =
        filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    query.push(("limit", flags.limit.to_string()));
    let envelope = client.get("/templates", &query).await?;
    let templates = envelope["data"]["templates"].as_array().map_or(&[][..], Vec::as_slice);
    output.computed(&envelope, templates, TEMPLATES)?;
    if let Some(next) = envelope["data"]["next"].as_str().filter(|_| !output.is_json()) {
        say(&format!("there may be more: go on with --after {}", show(&next.into())));
    }
    Ok(())
}

async fn import(flags: &TemplateImport, client: &Client, output: Output) -> anyhow::Result<()> {
    let text = read_text(&flags.file)?;
    let mut query = vec![("projectId", flags.project.to_string())];
    query.extend(flags.executor.map(|id| ("executorId", id.to_string())));
    if flags.dry_run {
        query.push(("dryRun", "true".to_owned()));
    }
    let envelope = client.post_text("/templates/import", &query, text).await?;
    let data = &envelope["data"];
    for warning in data["warnings"].as_array().into_iter().flatten() {
        say(&format!("warning: {}", show(warning)));
    }
    if output.is_json() {
        return output.json(&envelope);
    }
    for (list, word) in [("created", "create"), ("updated", "update"), ("unchanged", "leave")] {
        let word = if flags.dry_run { format!("would {word}") } else { list.to_owned() };
        for template in data[list].as_array().into_iter().flatten() {
            let state = if template["active"] == true { "" } else { "  (inactive)" };
            // What a dry run would create has no id.
            let id = template["id"].as_u64().map(|id| format!(" {id}")).unwrap_or_default();
            let kind = cell(template, &["type"]);
            line(&format!("{word}{id}  {kind}{state}"))?;
        }
    }
    Ok(())
}

async fn make(flags: &TemplateRun, client: &Client, output: Output) -> anyhow::Result<()> {
    let payload = match (&flags.payload, &flags.file) {
        (Some(payload), _) => payload.clone(),
        (None, Some(file)) => read_text(file)?,
        (None, None) => "{}".to_owned(),
    };
    // The payload stands in the body as it is; whether it is JSON is the node's to say.
    let mut body = format!("{{\"payload\":{payload}");
    let after = flags.after.map(Value::from);
    let external = flags.external_id.as_deref().map(Value::from);
    for (name, value) in [("startInSeconds", after), ("externalId", external)] {
        if let Some(value) = value {
            body = format!("{body},\"{name}\":{value}");
        }
    }
    body.push('}');
    let path = format!("/templates/{}/instances", flags.id);
    let envelope = client.post_text(&path, &[], body).await?;
    output.computed(&envelope, std::slice::from_ref(&envelope["data"]), JOBS)
}
