//! The backups that are in the folder of this node.

use std::fs;
use std::time::UNIX_EPOCH;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::backups::work::{blocking, failed};
use crate::app::error::Error;
use crate::app::state::App;
use crate::model::Millis;

/// The most files of the folder that are looked at.
const MOST_LOOKED_AT: usize = 10_000;
/// The most backups that are listed.
const MOST: usize = 100;
/// The ending of the names that this program gives.
const ENDING: &str = ".db";

/// A file in the folder. Nothing of its contents was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedBackup {
    /// Its name, which [`App::inspect_backup`] takes as a path.
    pub name: String,
    /// Its length in bytes.
    pub length: u64,
    /// The instant of its last change, by the clock of the machine.
    pub modified: Millis,
}

impl App {
    /// Lists the backups in the folder, the newest first. A folder that is not there has none.
    ///
    /// # Errors
    ///
    /// `Forbidden` for a client.
    pub async fn list_backups(&self, actor: &Actor) -> Result<Vec<ListedBackup>, Error> {
        authorize(actor, Action::ClusterBackup, Resource::Any)?;
        let folder = self.config.backup_dir.clone();
        let listed = blocking(move || {
            let mut found = Vec::new();
            if !folder.is_dir() {
                return Ok(found);
            }
            for entry in fs::read_dir(&folder)?.take(MOST_LOOKED_AT) {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let facts = entry.metadata()?;
                if !facts.is_file() || name.starts_with('.') || !name.ends_with(ENDING) {
                    continue;
                }
                let age = facts.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
                let modified = Millis::try_from(age.as_millis()).unwrap_or(Millis::MAX);
                found.push(ListedBackup { name, length: facts.len(), modified });
            }
            found.sort_by(|a, b| b.modified.cmp(&a.modified).then_with(|| b.name.cmp(&a.name)));
            found.truncate(MOST);
            Ok(found)
        });
        listed.await.map_err(|error| failed(&error))
    }
}
