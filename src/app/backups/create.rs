//! Creation of backups: of the state that is applied here, on a thread of the store. A backup that
//! was begun comes to its end even when nobody waits for it any more.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::backups::path::{PathUse, confined, taken};
use crate::app::backups::slot::BackupProgress;
use crate::app::backups::work::{blocking, failed};
use crate::app::error::Error;
use crate::app::state::App;
use crate::cluster::backup::{self, Facts};
use crate::model::audit::AuditNote;
use crate::model::time::rfc3339;
use crate::secret::purpose;

/// A backup that has no name in the folder: its file is gone when it is closed.
#[derive(Debug)]
pub struct BackupFile {
    /// Its label.
    pub facts: Facts,
    /// The open file.
    pub file: File,
    /// Its length in bytes.
    pub length: u64,
}

/// A backup that stays in the folder.
#[derive(Clone, Debug)]
pub struct StoredBackup {
    /// Its file.
    pub path: PathBuf,
    /// Its label.
    pub facts: Facts,
    /// Its length in bytes.
    pub length: u64,
}

impl App {
    /// Makes a backup for a download.
    ///
    /// # Errors
    ///
    /// `Forbidden` for a client; `Conflict` while a backup is under way on this node; `NoSpace`
    /// where the folder has no room; `Unavailable` while the cluster is not founded.
    pub async fn download_backup(self: &Arc<Self>, actor: &Actor) -> Result<BackupFile, Error> {
        authorize(actor, Action::ClusterBackup, Resource::Any)?;
        let part = self.backup_folder().await?.join(self.part_name());
        let ticket = self.backup.take(part.clone(), "")?;
        let (app, actor) = (Arc::clone(self), actor.clone());
        in_background(async move {
            let facts = app.write_backup(&part).await?;
            let file = blocking(move || {
                let file = File::open(&part)?;
                let length = file.metadata()?.len();
                // The open file is enough: it goes when the last byte is out, or when the reader
                // leaves.
                fs::remove_file(&part)?;
                Ok((file, length))
            });
            let (file, length) = file.await.map_err(|e| failed(&e))?;
            ticket.complete(summary(&facts, length));
            app.note(&actor, AuditNote::about("fetch", "backup", facts.index)).await;
            Ok(BackupFile { facts, file, length })
        })
        .await
    }

    /// Makes a backup in the folder, under a name made of the time.
    ///
    /// # Errors
    ///
    /// As [`App::download_backup`].
    pub async fn store_backup(self: &Arc<Self>, actor: &Actor) -> Result<StoredBackup, Error> {
        authorize(actor, Action::ClusterBackup, Resource::Any)?;
        let folder = self.backup_folder().await?;
        let now: String = rfc3339(self.now()).chars().filter(|c| !"-:".contains(*c)).collect();
        let name = format!("scheduler0-{now}-node{}.db", self.config.node_id);
        self.keep_backup(actor, folder.join(name)).await
    }

    /// Makes a backup in the folder, under a path of the actor's choice.
    ///
    /// # Errors
    ///
    /// As [`App::download_backup`]; `Invalid` where the path leads out of the folder, `Conflict`
    /// where it is taken.
    pub async fn store_backup_as(
        self: &Arc<Self>,
        actor: &Actor,
        path: String,
    ) -> Result<StoredBackup, Error> {
        authorize(actor, Action::ClusterBackup, Resource::Any)?;
        let folder = self.backup_folder().await?;
        let to = blocking(move || Ok(confined(&folder, &path, PathUse::Write))).await;
        let to = to.map_err(|e| failed(&e))??;
        self.keep_backup(actor, to).await
    }

    /// The progress of this node's last backup.
    ///
    /// # Errors
    ///
    /// `Forbidden` for a client.
    pub fn backup_progress(&self, actor: &Actor) -> Result<BackupProgress, Error> {
        authorize(actor, Action::ClusterBackup, Resource::Any)?;
        let (mut progress, part) = self.backup.progress();
        if let Some(part) = part {
            let written = fs::metadata(part.with_extension("tmp")).map_or(0, |data| data.len());
            let whole = self.cluster.state_size().max(1);
            progress.percent = (written * 100 / whole).min(99) as u8;
        }
        Ok(progress)
    }

    /// Makes a backup and gives it its name.
    async fn keep_backup(
        self: &Arc<Self>,
        actor: &Actor,
        to: PathBuf,
    ) -> Result<StoredBackup, Error> {
        let part = to.with_file_name(self.part_name());
        let ticket = self.backup.take(part.clone(), &to.display().to_string())?;
        let (app, actor) = (Arc::clone(self), actor.clone());
        in_background(async move {
            let facts = app.write_backup(&part).await?;
            let name = to.clone();
            let length = blocking(move || {
                let length = fs::metadata(&part)?.len();
                if !name_if_free(&part, &name)? {
                    return Ok(None);
                }
                File::open(name.parent().unwrap_or(Path::new(".")))?.sync_all()?;
                Ok(Some(length))
            });
            let length = length.await.map_err(|e| failed(&e))?.ok_or_else(|| taken(&to))?;
            ticket.complete(summary(&facts, length));
            let note = AuditNote::about("create", "backup", facts.index);
            let file = to.file_name().unwrap_or_default().to_string_lossy();
            app.note(&actor, note.with("file", &file)).await;
            Ok(StoredBackup { path: to, facts, length })
        })
        .await
    }

    async fn write_backup(&self, part: &Path) -> Result<Facts, Error> {
        let sealed = self.keys.seal("scheduler0", purpose::BACKUP).0;
        let made = self.cluster.backup(part.to_owned(), sealed).await;
        made.map_err(|error| match error {
            backup::Error::Unborn => Error::unavailable(error.to_string()),
            error => failed(&error),
        })
    }

    fn part_name(&self) -> String {
        format!(".backup-of-node{}.part", self.config.node_id)
    }
}

impl StoredBackup {
    /// The contents in a few words.
    pub fn summary(&self) -> String {
        summary(&self.facts, self.length)
    }
}

fn summary(facts: &Facts, length: u64) -> String {
    format!("log index {}, {} jobs, {length} bytes", facts.index, facts.jobs)
}

/// Gives a part its name, unless that is taken: `false` then. What came there meanwhile, a link
/// too, is neither followed nor overwritten.
fn name_if_free(part: &Path, name: &Path) -> io::Result<bool> {
    match renameat_with(CWD, part, CWD, name, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        // A file system that has no such rename. A link is not made over anything either.
        Err(Errno::INVAL | Errno::NOSYS) => match fs::hard_link(part, name) {
            Ok(()) => fs::remove_file(part).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            // Nor has it links: what comes between these two steps is replaced there.
            Err(_) if fs::symlink_metadata(name).is_ok() => Ok(false),
            Err(_) => fs::rename(part, name).map(|()| true),
        },
        Err(error) => Err(error.into()),
    }
}

/// Runs work to its end even when the caller is gone.
async fn in_background<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(work).await.unwrap_or_else(|e| Err(failed(&e)))
}
