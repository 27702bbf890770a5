//! A restore: from a backup to a data folder that a node can be started on. Called by the command
//! line while no node runs; it starts none.

use std::fs;
use std::path::{Path, PathBuf};

use super::identity;
use crate::cluster::backup::{self, Facts};
use crate::command::{Reopened, RestorePolicy};
use crate::config::Config;
use crate::model::Millis;
use crate::raft::types::Member;

/// Files of a data folder that counts as empty: the lock, backups, and what a restore that was cut
/// short left behind.
const HARMLESS: [&str; 2] = ["lock", "state.db.incoming"];

/// The reason why a folder cannot be restored into.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it, or the system says no.
    #[error(transparent)]
    Folder(#[from] identity::Error),
    /// There is something in it.
    #[error(
        "DataDir {dir} is not empty ({found}): a restore begins a new cluster; set another DataDir, \
         or move the old one away"
    )]
    NotEmpty {
        /// The path of `DataDir`.
        dir: PathBuf,
        /// Something in it.
        found: String,
    },
    /// The backup cannot be read, or is not one.
    #[error(transparent)]
    Backup(#[from] backup::Error),
}

/// Restores a backup into `DataDir`, which must be empty, for a cluster of the configured nodes
/// that begins at this instant. Nothing is there before all is.
pub fn restore(
    config: &Config,
    file: &Path,
    now: Millis,
    due: RestorePolicy,
) -> Result<(Facts, Reopened), Error> {
    let dir = &config.data_dir;
    let _lock = identity::lock(dir)?;
    if let Some(found) = occupant(dir, &config.backup_dir)? {
        return Err(Error::NotEmpty { dir: dir.clone(), found });
    }
    let member = |r: &crate::config::Replica| {
        let (raft_address, address) = (r.raft_address.clone(), r.address.clone());
        (r.node_id, Member { raft_address, address })
    };
    let members = config.replicas.iter().map(member).collect();
    Ok(backup::restore(file, dir, members, now, due)?)
}

/// Something in the folder that is in the way.
fn occupant(dir: &Path, backups: &Path) -> Result<Option<String>, identity::Error> {
    let failed = |source| identity::Error::Io { path: dir.to_owned(), source };
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let harmless = HARMLESS.iter().any(|own| {
            name.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        });
        let is_backups = || {
            let paths = (entry.path().canonicalize(), backups.canonicalize());
            matches!(paths, (Ok(entry), Ok(backups)) if entry == backups)
        };
        if !harmless && !is_backups() {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
