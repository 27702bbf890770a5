//! `delete` and `archive`: takes things away through a node's API. It asks only where one word
//! removes many things (a project with its jobs).

use clap::{Args, Subcommand};
use serde_json::json;

use super::client::Client;
use super::output::{Output, say};
use super::{Failure, ask};

/// What to delete.
#[derive(Debug, Subcommand)]
pub enum DeleteCommand {
    /// Client credentials; their keys stop working at once
    #[command(visible_alias = "credentials")]
    Credential(Ids),
    /// Projects without jobs, or with them (--cascade)
    #[command(visible_alias = "projects")]
    Project(Projects),
    /// Jobs; their history stays for as long as history is kept
    #[command(visible_alias = "jobs")]
    Job(Ids),
}

/// Which.
#[derive(Debug, Args)]
pub struct Ids {
    /// Their numbers
    #[arg(required = true)]
    id: Vec<u64>,
}

/// Flags of `delete project`.
#[derive(Debug, Args)]
pub struct Projects {
    #[command(flatten)]
    ids: Ids,
    /// Deletes the projects' jobs too
    #[arg(long)]
    cascade: bool,
    /// Doesn't ask
    #[arg(long, visible_alias = "force")]
    yes: bool,
}

/// What to archive.
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
    },
}

/// Carries out `delete`. Stops at the first that fails; those before it are gone.
pub(super) async fn delete(
    command: &DeleteCommand,
    client: &Client,
    _: Output,
) -> anyhow::Result<()> {
    let (noun, ids, cascade) = match command {
        DeleteCommand::Credential(ids) => ("credential", ids, false),
        DeleteCommand::Project(flags) => {
            let question = "This deletes the projects and all their jobs. Go on?";
            if flags.cascade && !flags.yes && !ask::sure(question)? {
                return Err(Failure::Usage("nothing was deleted".to_owned()).into());
            }
            ("project", &flags.ids, flags.cascade)
        }
        DeleteCommand::Job(ids) => ("job", ids, false),
    };
    let query: &[_] = if cascade { &[("cascade", "true".to_owned())] } else { &[] };
    for id in &ids.id {
        client.delete(&format!("/{noun}s/{id}"), query).await?;
        say(&format!("deleted {noun} {id}"));
    }
    Ok(())
}

/// Carries out `archive`.
pub(super) async fn archive(
    command: &ArchiveCommand,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    let ArchiveCommand::Credential { id, undo } = command;
    let envelope = client.put(&format!("/credentials/{id}"), &json!({ "archived": !undo })).await?;
    output.record(&envelope)
}
