//! `audit`: shows who did what, exports all of it, and checks an export. `verify` reads a file and
//! asks no node: it can be run where the cluster cannot be reached, by who does not trust it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::Client;
use super::columns::AUDIT;
use super::output::{self, Output, say};
use crate::model::audit_chain::{Broken, ExportCheck};

/// The longest line of an export, in bytes: a row is much shorter.
const MAX_LINE: u64 = 64 * 1_024;
/// Time between two looks for new rows.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);

const TAIL_EXAMPLES: &str = "\
Examples:
  scheduler0 audit tail
  scheduler0 audit tail --noun job --object 7 -o wide
  scheduler0 audit tail --actor key:3 --follow
  scheduler0 audit tail --limit 1000 --json | jq '.data.audit[].detail'";

const EXPORT_EXAMPLES: &str = "\
Examples:
  scheduler0 audit export > audit.ndjson
  scheduler0 audit export --after 163840 >> audit.ndjson.more
  scheduler0 audit export | tee audit.ndjson | scheduler0 audit verify -";

const VERIFY_EXAMPLES: &str = "\
Examples:
  scheduler0 audit verify audit.ndjson
  zcat audit.ndjson.gz | scheduler0 audit verify - --json | jq -r .data.head";

/// What to do with the audit.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// The newest rows, the last one at the end
    #[command(after_help = TAIL_EXAMPLES)]
    Tail(Tail),
    /// Writes all rows, a line of JSON each, with the chain of their hashes
    #[command(after_help = EXPORT_EXAMPLES)]
    Export {
        /// Only rows behind this one: the last row of an earlier export
        #[arg(long, value_name = "ROW")]
        after: Option<u64>,
    },
    /// Checks an export: every row is as it was written, and none is missing
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify {
        /// The export; - for stdin
        file: PathBuf,
    },
}

/// Flags of `audit tail`.
#[derive(Debug, Args)]
pub struct Tail {
    /// Only rows about this kind of record, such as job
    #[arg(long)]
    noun: Option<String>,
    /// Only rows about the record with this id
    #[arg(long)]
    object: Option<String>,
    /// Only rows of this actor: operator, key, key:7, token, the subject of a token, or a name
    #[arg(long)]
    actor: Option<String>,
    /// Only rows of this action, such as delete
    #[arg(long)]
    action: Option<String>,
    /// Only rows about records of this project
    #[arg(long)]
    project: Option<u64>,
    /// From this instant (RFC 3339), or date, on
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// Before this instant (RFC 3339), or date
    #[arg(long, value_name = "INSTANT")]
    until: Option<String>,
    /// At most so many, up to 1000
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// Goes on below this row: the `next` of an earlier page
    #[arg(long, value_name = "ROW", conflicts_with = "follow")]
    after: Option<u64>,
    /// Goes on with new rows as they come
    #[arg(long, short)]
    follow: bool,
}

/// Carries out what needs a node.
pub(super) async fn run(
    command: &AuditCommand,
    client: &Client,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        AuditCommand::Tail(flags) => tail(flags, client, output).await,
        AuditCommand::Export { after } => export(*after, client).await,
        AuditCommand::Verify { file } => verify(file, output),
    }
}

async fn tail(flags: &Tail, client: &Client, output: Output) -> anyhow::Result<()> {
    let mut query = filters(flags);
    query.extend(flags.after.map(|row| ("after", row.to_string())));
    let mut envelope = client.get("/audit", &query).await?;
    let mut last = newest(&envelope).unwrap_or(0);
    show(&mut envelope, output)?;
    if let Some(next) =
        envelope["data"]["next"].as_str().filter(|_| !flags.follow && !output.is_json())
    {
        say(&format!("there may be more: go on with --after {next}"));
    }
    if !flags.follow {
        return Ok(());
    }
    loop {
        tokio::time::sleep(FOLLOW_INTERVAL).await;
        last = follow(flags, client, output, last).await?;
    }
}

/// Shows the rows that came behind one; gives the last of them.
async fn follow(flags: &Tail, client: &Client, output: Output, last: u64) -> anyhow::Result<u64> {
    let mut rows: Vec<Value> = Vec::new();
    let mut below: Option<u64> = None;
    loop {
        let mut query = filters(flags);
        query.extend(below.map(|row| ("after", row.to_string())));
        let mut envelope = client.get("/audit", &query).await?;
        let next = envelope["data"]["next"].as_str().and_then(|next| next.parse().ok());
        let page = envelope["data"]["audit"].take();
        let page = page.as_array().cloned().unwrap_or_default();
        let is_new = |row: &Value| row["id"].as_u64().is_some_and(|id| id > last);
        let all_new = page.iter().all(is_new);
        rows.extend(page.into_iter().filter(is_new));
        match next.filter(|next| all_new && *next > last) {
            Some(next) => below = Some(next),
            None => break,
        }
    }
    let found = rows.first().and_then(|row| row["id"].as_u64());
    let mut envelope = json!({"data": {"audit": rows}, "success": true});
    if found.is_some() {
        show(&mut envelope, output)?;
    }
    Ok(found.unwrap_or(last))
}

fn filters(flags: &Tail) -> Vec<(&'static str, String)> {
    let filters = [
        ("noun", flags.noun.clone()),
        ("object", flags.object.clone()),
        ("actor", flags.actor.clone()),
        ("action", flags.action.clone()),
        ("projectId", flags.project.map(|id| id.to_string())),
        ("from", flags.from.clone()),
        ("until", flags.until.clone()),
        ("limit", Some(flags.limit.to_string())),
    ];
    filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn newest(envelope: &Value) -> Option<u64> {
    envelope["data"]["audit"][0]["id"].as_u64()
}

/// Shows a page: as a table the newest row is the last one, as JSON it is the answer as it came.
fn show(envelope: &mut Value, output: Output) -> anyhow::Result<()> {
    if output.is_json() {
        return output.json(envelope);
    }
    let mut rows = envelope["data"]["audit"].as_array().cloned().unwrap_or_default();
    rows.reverse();
    output.computed(envelope, &rows, AUDIT)
}

/// Writes an export to stdout, byte by byte as the node sends it, but for a terminal.
async fn export(after: Option<u64>, client: &Client) -> anyhow::Result<()> {
    let query: Vec<_> = after.map(|row| ("after", row.to_string())).into_iter().collect();
    let mut download = client.download("/audit/export", &query).await?;
    let is_terminal = io::stdout().is_terminal();
    while let Some(piece) = download.chunk().await.context("the export broke off")? {
        output::bytes(&piece, is_terminal)?;
    }
    Ok(())
}

/// Checks an export.
pub(super) fn verify(file: &Path, output: Output) -> anyhow::Result<()> {
    let mut lines: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let opened = File::open(file).with_context(|| file.display().to_string())?;
        Box::new(BufReader::new(opened))
    };
    let mut check = ExportCheck::default();
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        number += 1;
        let read = (&mut lines).take(MAX_LINE).read_until(b'\n', &mut line);
        if read.with_context(|| file.display().to_string())? == 0 {
            break;
        }
        // A line without its end is the last one, or far too long.
        let text = line.strip_suffix(b"\n").and_then(|text| std::str::from_utf8(text).ok());
        check.line(text.ok_or(Broken::Line { line: number })?)?;
    }
    let end = check.end()?;
    if output.is_json() {
        return output.json(&json!({"data": end, "success": true}));
    }
    output::line(&format!("ok, {} rows, head {}", end.rows, end.head))
}
