//! The one backup that a node makes at a time, and the progress of the last one. `backups` takes
//! the slot for each backup and shows its progress. The slot writes nothing; it only removes a part
//! that was left.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::api::http::error::Error;
use crate::clock::SchedulerTime;
use crate::model::time::rfc3339;

/// The progress of a node's last backup.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Progress {
    operation_type: &'static str,
    status: &'static str,
    #[serde(rename = "progress")]
    pub(crate) percent: u8,
    message: String,
    start_time: String,
    end_time: String,
    backup_path: String,
}

/// The slot of a node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct BackupSlot {
    /// The progress, and the file that grows while a backup is under way.
    last: Arc<Mutex<(Progress, Option<PathBuf>)>>,
    time: Arc<SchedulerTime>,
}

impl BackupSlot {
    /// A free slot.
    pub(crate) fn new(time: Arc<SchedulerTime>) -> Self {
        let idle = Progress {
            status: "idle",
            message: "no backup was made since this node started".to_owned(),
            ..Progress::default()
        };
        Self { last: Arc::new(Mutex::new((idle, None))), time }
    }

    /// Takes the slot for a backup that is written to `part` and then named `to`.
    ///
    /// # Errors
    ///
    /// 409 while a backup is under way.
    pub(crate) fn take(&self, part: PathBuf, to: &str) -> Result<Ticket, Error> {
        let mut last = self.lock();
        if last.1.is_some() {
            return Err(Error::conflict("a backup is under way on this node: wait for its end"));
        }
        let progress = Progress {
            operation_type: "backup",
            status: "in-progress",
            message: "the state is being written".to_owned(),
            start_time: rfc3339(self.time.now()),
            backup_path: to.to_owned(),
            ..Progress::default()
        };
        *last = (progress, Some(part.clone()));
        Ok(Ticket { slot: self.clone(), part })
    }

    /// The progress, and the file that grows while a backup is under way.
    pub(crate) fn progress(&self) -> (Progress, Option<PathBuf>) {
        self.lock().clone()
    }

    fn end(&self, status: &'static str, message: String) {
        let mut last = self.lock();
        if last.1.take().is_some() {
            last.0.status = status;
            last.0.message = message;
            last.0.end_time = rfc3339(self.time.now());
            last.0.percent = if status == "completed" { 100 } else { 0 };
        }
    }

    fn lock(&self) -> MutexGuard<'_, (Progress, Option<PathBuf>)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A backup under way. One that is dropped before [`Ticket::complete`] has failed.
pub(crate) struct Ticket {
    slot: BackupSlot,
    part: PathBuf,
}

impl Ticket {
    /// Notes that the backup is whole.
    pub(crate) fn complete(&self, message: String) {
        self.slot.end("completed", message);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.slot.end("failed", "the backup could not be made: see the log of the node".to_owned());
        // A part that was renamed or is being sent has this name no longer.
        let _ = fs::remove_file(&self.part);
    }
}
