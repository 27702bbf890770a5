//! `delete` and `archive`: remove things through a node's API. On a terminal they show what they
//! would remove, and ask. A script is asked only before a project is deleted with its jobs.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::Client;
use super::columns::{destination, target, when};
use super::output::{Output, cell, line, say};
use super::{Failure, ask};

/// The most records that a question names.
const MAX_NAMED: usize = 10;

/// The nouns of `delete`.
#[derive(Debug, Subcommand)]
pub enum DeleteCommand {
    /// Client credentials; their keys stop working at once
    #[command(visible_alias = "credentials")]
    Credential(Ids),
    /// Projects without jobs, or with them (--cascade)
    #[command(visible_alias = "projects")]
    Project(Projects),
    /// Executors that no job uses
    #[command(visible_alias = "executors")]
    Executor(Ids),
    /// Jobs; their history stays for as long as history is kept
    #[command(visible_alias = "jobs")]
    Job(Ids),
}

/// The records to delete.
#[derive(Debug, Args)]
pub struct Ids {
    /// Their numbers
    #[arg(required = true)]
    id: Vec<u64>,
    /// Doesn't ask
    #[arg(long, visible_alias = "force")]
    yes: bool,
    /// Only shows what would be deleted
    #[arg(long)]
    dry_run: bool,
}

/// Flags of `delete project`.
#[derive(Debug, Args)]
pub struct Projects {
    #[command(flatten)]
    ids: Ids,
    /// Deletes the projects' jobs too
    #[arg(long)]
    cascade: bool,
}

/// The nouns of `archive`.
#[derive(Debug, Subcommand)]
pub enum ArchiveCommand {
    /// A client credential
    #[command(visible_alias = "credentials")]
    Credential {
        /// Its number
        id: u64,
        /// Takes it back: the key works again
        #[arg(long)]
        undo: bool,
        /// Doesn't ask
        #[arg(long)]
        yes: bool,
    },
}

/// Carries out `delete`. A record that is not found or refused does not stop the others; the
/// command fails at the end.
pub(super) async fn delete(
    command: &DeleteCommand,
    client: &Client,
    _: Output,
) -> anyhow::Result<()> {
    let (noun, ids, cascade) = match command {
        DeleteCommand::Credential(ids) => ("credential", ids, false),
        DeleteCommand::Project(flags) => ("project", &flags.ids, flags.cascade),
        DeleteCommand::Executor(ids) => ("executor", ids, false),
        DeleteCommand::Job(ids) => ("job", ids, false),
    };
    if ids.dry_run {
        return show(noun, ids, cascade, client).await;
    }
    let count = ids.id.len();
    if cascade && !ids.yes {
        let names = named(noun, ids, cascade, client).await;
        if !ask::is_yes(&question(&format!("{count} {noun}s and all their jobs"), &names))? {
            return Err(Failure::Usage("nothing was deleted".to_owned()).into());
        }
    } else if ask::will_ask(ids.yes) {
        let names = named(noun, ids, cascade, client).await;
        let plural = if count == 1 { "" } else { "s" };
        ask::confirm(ids.yes, &question(&format!("{count} {noun}{plural}"), &names))?;
    }
    let query: &[_] = if cascade { &[("cascade", "true".to_owned())] } else { &[] };
    let mut failed = Vec::new();
    for id in &ids.id {
        match client.delete(&format!("/{noun}s/{id}"), query).await {
            Ok(()) => say(&format!("deleted {noun} {id}")),
            Err(e) if is_refused(&e) && count > 1 => {
                say(&format!("{noun} {id}: {e}"));
                failed.push(e);
            }
            Err(e) => return Err(e),
        }
    }
    let (left, first) = (failed.len(), failed.into_iter().next());
    match first {
        Some(e) => Err(e.context(format!("{left} of {count} {noun}s not deleted"))),
        None => Ok(()),
    }
}

/// Shows what would be deleted.
async fn show(noun: &str, ids: &Ids, cascade: bool, client: &Client) -> anyhow::Result<()> {
    let mut missing = None;
    for id in &ids.id {
        match name(noun, *id, cascade, client).await {
            Ok(name) => line(&format!("would delete {name}"))?,
            Err(e) if is_refused(&e) => {
                say(&format!("{noun} {id}: {e}"));
                missing.get_or_insert(e);
            }
            Err(e) => return Err(e),
        }
    }
    missing.map_or(Ok(()), |e| Err(e.context("not all of them are there")))
}

fn is_refused(error: &anyhow::Error) -> bool {
    // 401 and 403 would be the answer for all of them.
    matches!(
        error.downcast_ref::<Failure>(),
        Some(Failure::Refused { status, .. }) if !matches!(status, 401 | 403)
    )
}

fn question(what: &str, names: &[String]) -> String {
    let mut text = format!("This deletes {what}:\n");
    for name in names.iter().take(MAX_NAMED) {
        text.push_str("  ");
        text.push_str(name);
        text.push('\n');
    }
    if names.len() > MAX_NAMED {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  and {} more", names.len() - MAX_NAMED);
    }
    text + "Go on?"
}

/// A description of each record, up to [`MAX_NAMED`] of them.
async fn named(noun: &str, ids: &Ids, cascade: bool, client: &Client) -> Vec<String> {
    let mut names = Vec::new();
    for (n, id) in ids.id.iter().enumerate() {
        let known = if n < MAX_NAMED { name(noun, *id, cascade, client).await.ok() } else { None };
        names.push(known.unwrap_or_else(|| format!("{noun} {id} (not found)")));
    }
    names
}

async fn name(noun: &str, id: u64, cascade: bool, client: &Client) -> anyhow::Result<String> {
    let envelope = client.get(&format!("/{noun}s/{id}"), &[]).await?;
    let data = &envelope["data"];
    let about = match noun {
        "job" => format!("{}, {}", when(data), target(data)),
        "executor" => format!("{}, {}", cell(data, &["name"]), destination(data)),
        "project" if cascade => {
            let query = [("projectId", id.to_string()), ("limit", "1".to_owned())];
            let jobs = client.get("/jobs", &query).await?;
            format!("{}, with {} jobs", cell(data, &["name"]), cell(&jobs["data"], &["total"]))
        }
        "project" => cell(data, &["name"]),
        _ => credential(data),
    };
    Ok(format!("{noun} {id} ({about})"))
}

fn credential(data: &Value) -> String {
    format!("key {}", cell(data, &["apiKey"]))
}

/// Carries out `archive`.
pub(super) async fn archive(
    command: &ArchiveCommand,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    let ArchiveCommand::Credential { id, undo, yes } = command;
    let path = format!("/credentials/{id}");
    if ask::will_ask(*yes || *undo) {
        let about = credential(&client.get(&path, &[]).await?["data"]);
        let question =
            format!("Credential {id} ({about}) stops working at once, until --undo. Go on?");
        ask::confirm(*yes, &question)?;
    }
    let envelope = client.put(&path, &json!({ "archived": !undo })).await?;
    output.record(&envelope)
}
