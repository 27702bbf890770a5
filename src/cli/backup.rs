//! `backup` and `restore`: the state of a cluster as one file, and back. `backup` downloads the
//! file from a running node and checks it. `restore` needs no node, and none may run on the folder.

use std::fs::{self, File, OpenOptions};
use std::io::{IsTerminal, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::client::Client;
use super::output::{Output, say};
use super::{Failure, Global, ask};
use crate::clock::{Clock as _, SystemClock};
use crate::cluster::backup::{self, Facts};
use crate::command::RestorePolicy;
use crate::model::target::Sealed;
use crate::model::time::rfc3339;
use crate::node::restore;
use crate::secret::purpose;

/// Time between two moves of a progress bar without a known length.
const TICK_INTERVAL: Duration = Duration::from_millis(120);

/// Flags of `backup`.
#[derive(Debug, Args)]
pub struct Backup {
    /// The file to write
    file: PathBuf,
    /// Replaces the file if it is there
    #[arg(long)]
    force: bool,
    /// Takes what the node has, without asking the others whether there is more: works without a
    /// quorum
    #[arg(long)]
    local: bool,
}

/// Flags of `restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// The backup
    file: PathBuf,
    /// The treatment of occurrences due between the backup and now [default: asks on a terminal,
    /// else skip]
    #[arg(long, value_enum)]
    due: Option<DueChoice>,
    /// Restores a backup of another secret key: api keys and sealed secrets in it do not work
    #[arg(long)]
    any_key: bool,
}

/// The choice of `--due`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DueChoice {
    /// They go out, under the ids that they had; what was sent after the backup goes out again
    Fire,
    /// They do not; `explain` says why
    Skip,
}

/// Downloads a backup.
pub(super) async fn backup(flags: &Backup, client: &Client, output: Output) -> anyhow::Result<()> {
    let to = &flags.file;
    if to.file_name().is_none() || to.is_dir() {
        let message = format!("FILE: {} is a folder; name a file", to.display());
        return Err(Failure::Usage(message).into());
    }
    if !flags.force && fs::symlink_metadata(to).is_ok() {
        let message = format!("{} exists already: --force replaces it", to.display());
        return Err(Failure::Usage(message).into());
    }
    let part = Part::new(to)?;
    let bar = bar("the node writes its state");
    let query: &[_] = if flags.local { &[("consistency", "local".to_owned())] } else { &[] };
    let mut download = client.download("/cluster/backup", query).await?;
    if let Some(length) = download.content_length() {
        bar.set_length(length);
        bar.set_style(bytes_style());
    }
    bar.set_message("download");
    while let Some(piece) = download.chunk().await.context("the download broke off")? {
        part.write(&piece)?;
        bar.inc(piece.len() as u64);
    }
    bar.set_message("check");
    part.file.sync_all().with_context(|| part.path.display().to_string())?;
    let path = part.path.clone();
    let facts = tokio::task::spawn_blocking(move || backup::inspect(&path)).await??;
    let size = part.publish(to, flags.force)?;
    bar.finish_and_clear();
    output.record(&told(&facts, to, size))
}

/// Restores one into the configured data folder.
pub(super) fn restore(flags: &Restore, global: &Global, output: Output) -> anyhow::Result<()> {
    let config = global.load()?;
    let keys = global.keys(&config)?;
    let bar = bar("the backup is checked");
    let facts = backup::inspect(&flags.file)?;
    bar.finish_and_clear();
    if !facts.hashed {
        say(&format!(
            "warning: version {} wrote no hash into its backups: damage to this one cannot be told",
            facts.version
        ));
    }
    if !flags.any_key && keys.open(&Sealed(facts.sealed.clone()), purpose::BACKUP).is_err() {
        let message = "the backup was made under another SecretKey: its api keys and sealed secrets \
                       would not work; set the old SecretKey, or restore with --any-key and set \
                       them anew";
        return Err(Failure::Usage(message.to_owned()).into());
    }
    say(&format!(
        "backup of cluster {:032x} at log index {}, {}: {} jobs",
        facts.cluster,
        facts.index,
        rfc3339(facts.stamp),
        facts.jobs
    ));
    let due = choose(flags.due)?;
    let bar = self::bar("the state is restored");
    let now = SystemClock.wall();
    let (facts, reopened) = restore::restore(&config, &flags.file, now, due)?;
    bar.finish_and_clear();
    let nodes: Vec<_> = config.replicas.iter().map(|replica| replica.node_id).collect();
    let from = rfc3339(reopened.settled);
    say(&match due {
        RestorePolicy::Skip => format!(
            "what was due from {from} to {} does not fire (reason restored); {} occurrences that \
             waited, and one-offs of that time, are skipped",
            rfc3339(now),
            reopened.skipped
        ),
        RestorePolicy::Fire => {
            format!("what was due from {from} on fires if the backup does not have it")
        }
    });
    if nodes.len() > 1 {
        say(&format!(
            "start this node, and the others of {nodes:?} each on an empty DataDir: they get the \
             state from it"
        ));
    }
    let size = fs::metadata(&flags.file).map_or(0, |data| data.len());
    let mut envelope = told(&facts, &flags.file, size);
    envelope["data"]["dataDir"] = json!(config.data_dir.display().to_string());
    envelope["data"]["due"] = json!(if due == RestorePolicy::Skip { "skip" } else { "fire" });
    envelope["data"]["settled"] = json!(from);
    envelope["data"]["skipped"] = json!(reopened.skipped);
    envelope["data"]["nodes"] = json!(nodes);
    output.record(&envelope)
}

fn choose(given: Option<DueChoice>) -> anyhow::Result<RestorePolicy> {
    let choice = match given {
        Some(choice) => choice,
        None if !std::io::stdin().is_terminal() => DueChoice::Skip,
        None => {
            let question = "What was due between the backup and now: fire or skip?";
            match ask::line(question, "skip")?.to_ascii_lowercase().as_str() {
                "skip" | "s" => DueChoice::Skip,
                "fire" | "f" => DueChoice::Fire,
                other => {
                    let message = format!("expected fire or skip, found {other:?}");
                    return Err(Failure::Usage(message).into());
                }
            }
        }
    };
    Ok(if choice == DueChoice::Fire { RestorePolicy::Fire } else { RestorePolicy::Skip })
}

fn told(facts: &Facts, file: &Path, size: u64) -> Value {
    json!({"success": true, "data": {
        "file": file.display().to_string(),
        "cluster": format!("{:032x}", facts.cluster),
        "logIndex": facts.index,
        "stamp": rfc3339(facts.stamp),
        "jobs": facts.jobs,
        "size": size,
        "version": facts.version,
    }})
}

/// A file that grows; removed when dropped, unless it was published.
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn new(to: &Path) -> anyhow::Result<Self> {
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(format!(".part-{}", std::process::id()));
        let path = to.with_file_name(name);
        // The file has everything that the cluster knows, so it is private.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.with_context(|| path.display().to_string())?;
        Ok(Self { path, file })
    }

    fn write(&self, piece: &[u8]) -> anyhow::Result<()> {
        (&self.file).write_all(piece).with_context(|| self.path.display().to_string())
    }

    /// Gives it its name, durably; its size.
    fn publish(&self, to: &Path, force: bool) -> anyhow::Result<u64> {
        if !force && fs::symlink_metadata(to).is_ok() {
            let message =
                format!("{} has come into being meanwhile: --force replaces it", to.display());
            return Err(Failure::Usage(message).into());
        }
        fs::rename(&self.path, to).with_context(|| to.display().to_string())?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(self.file.metadata()?.len())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // A published file was renamed, so nothing has this name then.
        let _ = fs::remove_file(&self.path);
    }
}

/// A bar for a person, on stderr; nothing where no terminal is.
fn bar(message: &'static str) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(None, target).with_message(message);
    // There is nothing to measure before the length of a download is known.
    bar.set_style(ProgressStyle::default_spinner());
    bar.enable_steady_tick(TICK_INTERVAL);
    bar
}

fn bytes_style() -> ProgressStyle {
    let style =
        ProgressStyle::with_template("{msg} [{bar:32}] {bytes} of {total_bytes}, {bytes_per_sec}");
    // The template above is well formed, so this never happens.
    style.unwrap_or_else(|_| ProgressStyle::default_bar())
}
