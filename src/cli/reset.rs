//! `reset raft`: deletes this node's data, after asking. The only command that touches a data
//! folder; it refuses while a node runs on it, and removes nothing that a node did not write.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use rustix::fs::{FlockOperation, flock};

use super::output::say;
use super::{Failure, Global, ask};
use crate::disk::modes;

/// The things that can be reset.
#[derive(Debug, Subcommand)]
pub enum ResetCommand {
    /// This node's Raft log, state and journal; a single node loses everything, a member of a
    /// cluster comes back as a new machine
    Raft(Reset),
}

/// Flags of `reset raft`.
#[derive(Debug, Args)]
pub struct Reset {
    /// Doesn't ask
    #[arg(long)]
    force: bool,
}

/// Carries it out.
pub(super) fn run(command: &ResetCommand, global: &Global) -> anyhow::Result<()> {
    let ResetCommand::Raft(flags) = command;
    let config = global.load()?;
    let dir = &config.data_dir;
    let found = ours(dir)?;
    if found.is_empty() {
        say(&format!("{} holds no data of a node; nothing to do", dir.display()));
        return Ok(());
    }
    let _lock = lock(dir)?;
    say(&format!("This deletes from {}:", dir.display()));
    for path in &found {
        say(&format!("  {}", path.file_name().unwrap_or_default().to_string_lossy()));
    }
    say(if config.replicas.len() == 1 {
        "All projects, jobs, credentials and executions of this single node are lost."
    } else {
        "What this node recorded and the others have not collected yet is lost. To them it is a new \
         machine under a known id: they refuse it until it is removed there."
    });
    if !flags.force && !ask::is_yes("Go on?")? {
        return Err(Failure::Usage("nothing was deleted".to_owned()).into());
    }
    for path in &found {
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?;
    }
    say("deleted; config.yml and .scheduler0 stay as they are");
    Ok(())
}

/// The entries of the data folder that a node wrote, in order of their names.
fn ours(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => anyhow::bail!("{}: {e}", dir.display()),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if modes::is_state(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The lock that a running node holds.
fn lock(dir: &Path) -> anyhow::Result<fs::File> {
    let path = dir.join("lock");
    let file = modes::options().create(true).truncate(false).write(true).open(&path)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        anyhow::bail!("a node is running on {}: stop it first", dir.display());
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_node_wrote_is_ours() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["identity", "state.db", "state.db-wal", "journal.1", "journalism", "raft.txt"]
        {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::create_dir(dir.path().join("raft")).unwrap();
        fs::create_dir(dir.path().join("rendering")).unwrap();
        fs::create_dir(dir.path().join("rafting")).unwrap();
        let names: Vec<_> = ours(dir.path())
            .unwrap()
            .iter()
            .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        let expected =
            ["identity", "journal.1", "raft", "raft.txt", "rendering", "state.db", "state.db-wal"];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_running_node_s_folder_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(dir.path()).unwrap();
        assert!(lock(dir.path()).unwrap_err().to_string().contains("is running"));
        drop(held);
        assert!(lock(dir.path()).is_ok());
    }
}
