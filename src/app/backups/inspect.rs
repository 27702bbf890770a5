//! The inspection of a backup in the folder, before somebody relies on it.

use std::path::PathBuf;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::backups::path::{PathUse, confined};
use crate::app::backups::work::{blocking, failed};
use crate::app::error::Error;
use crate::app::state::App;
use crate::cluster::backup::{self, Facts};

/// A backup that was read as a whole.
#[derive(Clone, Debug)]
pub struct InspectedBackup {
    /// Its file.
    pub path: PathBuf,
    /// Its label.
    pub facts: Facts,
}

impl App {
    /// Reads a backup in the folder as a whole.
    ///
    /// # Errors
    ///
    /// `Invalid` where the path leads out of the folder, or where the file is no sound backup;
    /// `NotFound` where there is none; `NoSpace` where the folder has no room for another backup.
    pub async fn inspect_backup(
        &self,
        actor: &Actor,
        path: String,
    ) -> Result<InspectedBackup, Error> {
        authorize(actor, Action::ClusterBackup, Resource::Any)?;
        let folder = self.backup_folder().await?;
        let found = blocking(move || Ok(confined(&folder, &path, PathUse::Read)));
        let path = found.await.map_err(|e| failed(&e))??;
        let read = path.clone();
        let facts = blocking(move || {
            if !read.is_file() {
                let message = format!("backupPath {} is not there", read.display());
                return Ok(Err(Error::not_found(message).field("backupPath")));
            }
            let wrong = |e: backup::Error| Error::invalid("backupPath", e.to_string());
            Ok(backup::inspect(&read).map_err(wrong))
        });
        let facts = facts.await.map_err(|e| failed(&e))??;
        Ok(InspectedBackup { path, facts })
    }
}
