//! The one backup that a node makes at a time, and the progress of the last one. `create` takes the
//! slot for each backup and shows its progress. The slot writes nothing; it only removes a part
//! that was left.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::app::error::Error;
use crate::clock::SchedulerTime;
use crate::model::Millis;

/// How far a backup is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackupState {
    /// None was made since the node started.
    #[default]
    Idle,
    /// It is being written.
    UnderWay,
    /// It is whole.
    Completed,
    /// It could not be made.
    Failed,
}

/// The progress of a node's last backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupProgress {
    /// How far it is.
    pub state: BackupState,
    /// The part that is written, in percent.
    pub percent: u8,
    /// The state of the work in a few words, for people.
    pub message: String,
    /// The instant at which it began.
    pub started: Option<Millis>,
    /// The instant at which it ended.
    pub ended: Option<Millis>,
    /// The path that it has in the end; empty for one that is downloaded.
    pub path: String,
}

/// The slot of a node. Cheap to clone.
#[derive(Clone)]
pub(in crate::app) struct BackupSlot {
    /// The progress, and the file that grows while a backup is under way.
    last: Arc<Mutex<(BackupProgress, Option<PathBuf>)>>,
    time: Arc<SchedulerTime>,
}

impl BackupSlot {
    /// A free slot.
    pub(in crate::app) fn new(time: Arc<SchedulerTime>) -> Self {
        let idle = BackupProgress {
            message: "no backup was made since this node started".to_owned(),
            ..BackupProgress::default()
        };
        Self { last: Arc::new(Mutex::new((idle, None))), time }
    }

    /// Takes the slot for a backup that is written to `part` and then named `to`.
    ///
    /// # Errors
    ///
    /// `Conflict` while a backup is under way.
    pub(super) fn take(&self, part: PathBuf, to: &str) -> Result<Ticket, Error> {
        let mut last = self.lock();
        if last.1.is_some() {
            return Err(Error::conflict("a backup is under way on this node: wait for its end"));
        }
        let progress = BackupProgress {
            state: BackupState::UnderWay,
            message: "the state is being written".to_owned(),
            started: Some(self.time.now()),
            path: to.to_owned(),
            ..BackupProgress::default()
        };
        *last = (progress, Some(part.clone()));
        Ok(Ticket { slot: self.clone(), part })
    }

    /// The progress, and the file that grows while a backup is under way.
    pub(super) fn progress(&self) -> (BackupProgress, Option<PathBuf>) {
        self.lock().clone()
    }

    fn end(&self, state: BackupState, message: String) {
        let mut last = self.lock();
        if last.1.take().is_some() {
            last.0.state = state;
            last.0.message = message;
            last.0.ended = Some(self.time.now());
            last.0.percent = if state == BackupState::Completed { 100 } else { 0 };
        }
    }

    fn lock(&self) -> MutexGuard<'_, (BackupProgress, Option<PathBuf>)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A backup under way. One that is dropped before [`Ticket::complete`] has failed.
pub(super) struct Ticket {
    slot: BackupSlot,
    part: PathBuf,
}

impl Ticket {
    /// Notes that the backup is whole.
    pub(super) fn complete(&self, message: String) {
        self.slot.end(BackupState::Completed, message);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let message = "the backup could not be made: see the log of the node";
        self.slot.end(BackupState::Failed, message.to_owned());
        // A part that was renamed or is being sent has this name no longer.
        let _ = fs::remove_file(&self.part);
    }
}
