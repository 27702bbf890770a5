//! The parts that all work on backups shares: threads for files, and the error of a fault.

use std::io;
use std::path::PathBuf;

use crate::app::error::Error;
use crate::app::state::App;
use crate::disk::modes;

impl App {
    /// The folder of backups, created if it is not there, with room for one more.
    pub(super) async fn backup_folder(&self) -> Result<PathBuf, Error> {
        let folder = self.config.backup_dir.clone();
        let made = blocking(move || {
            modes::create_dir_all(&folder)?;
            let folder = folder.canonicalize()?;
            let disk = rustix::fs::statvfs(&folder)?;
            Ok((folder, disk.f_bavail * disk.f_frsize))
        });
        let (folder, free) = made.await.map_err(|e| failed(&e))?;
        // A backup must not take the space that the node needs for itself.
        if free < self.cluster.state_size() + self.config.disk_reserve {
            return Err(Error::no_space());
        }
        Ok(folder)
    }
}

/// The error of a fault of files, whose cause goes to the log.
pub(super) fn failed(error: &dyn std::fmt::Display) -> Error {
    tracing::error!(%error, "a backup failed");
    Error::internal()
}

/// Works on files on a thread for that.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
