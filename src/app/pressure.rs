//! The shortage of memory, disk or journal space on this node. `node` measures and sets it;
//! writes of clients are refused by it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::app::error::Error;
use crate::command::{Command, JobAction};

/// The resources that the node is short of.
#[derive(Debug, Default)]
pub struct Pressure {
    /// Anonymous memory is above 70 % of `MaxMemory`.
    memory_refused: AtomicBool,
    /// Less than `DiskReserveMb` is free.
    disk_refused: AtomicBool,
    /// The reason why the journal has no room, so that nothing fires.
    journal: Mutex<Option<String>>,
}

impl Pressure {
    /// Sets whether memory is short; returns the value before.
    pub fn set_memory(&self, refused: bool) -> bool {
        self.memory_refused.swap(refused, Ordering::Relaxed)
    }

    /// Sets whether disk is short; returns the value before.
    pub fn set_disk(&self, refused: bool) -> bool {
        self.disk_refused.swap(refused, Ordering::Relaxed)
    }

    /// Sets the reason why the journal has no room; `None` when it has room.
    pub fn set_journal(&self, trouble: Option<String>) {
        *self.journal.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// The reason why this node's journal has no room, if it has none.
    pub fn journal(&self) -> Option<String> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says whether disk is short.
    pub fn disk_is_short(&self) -> bool {
        self.disk_refused.load(Ordering::Relaxed)
    }

    /// Says whether client writes are refused, for the status page.
    pub fn refuses(&self) -> bool {
        self.memory_refused.load(Ordering::Relaxed) || self.disk_refused.load(Ordering::Relaxed)
    }

    /// Refuses a write while a resource is short.
    ///
    /// # Errors
    ///
    /// `NoSpace` without disk, `Unavailable` without memory.
    pub(super) fn admit(&self) -> Result<(), Error> {
        if self.disk_refused.load(Ordering::Relaxed) {
            return Err(Error::no_space());
        }
        if self.memory_refused.load(Ordering::Relaxed) {
            let message = "this node uses more than 70 % of MaxMemory: writes are refused until \
                           it uses less, jobs go on firing";
            return Err(Error::unavailable(message));
        }
        Ok(())
    }
}

/// Says whether a command of a client adds to what is stored. Those that remove something, report
/// on a run or end a request help to get out of the shortage, and always pass.
pub(super) fn adds(command: &Command) -> bool {
    match command {
        Command::Once { command, .. }
        | Command::ForVersion { command, .. }
        | Command::ByClient { command, .. } => adds(command),
        Command::ChangeJobs { action, .. } => *action != JobAction::Delete,
        Command::DeleteProject { .. }
        | Command::DeleteJob { .. }
        | Command::DeleteCredential { .. }
        | Command::DeleteExecutor { .. }
        | Command::DeleteTemplate { .. }
        | Command::UpdateAccount { .. }
        | Command::DeleteAccount { .. }
        | Command::GrantExecutions { .. }
        | Command::ArchiveCredential { .. }
        | Command::ChangeCredential { .. }
        | Command::RotateCredential { .. }
        | Command::TouchCredentials(_)
        | Command::DiscardJobs { .. }
        | Command::PurgeDeadLetters { .. }
        | Command::Retain { .. }
        | Command::Note(_)
        | Command::RetainAudit { .. }
        | Command::ReportRun { .. }
        | Command::ReportRuns { .. }
        | Command::TerminateJob { .. }
        | Command::EndSessions { .. }
        | Command::EndSession { .. }
        | Command::Checksum
        | Command::Conclude { .. } => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::error::ErrorKind;

    #[test]
    fn a_full_disk_and_a_full_memory_refuse_writes_differently() {
        let pressure = Pressure::default();
        assert!(pressure.admit().is_ok());
        assert!(!pressure.set_memory(true));
        assert_eq!(pressure.admit().unwrap_err().kind(), ErrorKind::Unavailable);
        pressure.set_disk(true);
        assert_eq!(pressure.admit().unwrap_err().kind(), ErrorKind::NoSpace);
        assert!(pressure.set_memory(false) && pressure.refuses());
        pressure.set_disk(false);
        assert!(pressure.admit().is_ok() && !pressure.refuses());
    }

    #[test]
    fn what_removes_something_passes_while_there_is_no_room_and_what_adds_does_not() {
        let jobs = |action| Command::ChangeJobs { jobs: vec![(1, 2)], action, by: None };
        let once = |command| Command::Once { key: [0; 32], body: [0; 32], command };
        for passes in [
            jobs(JobAction::Delete),
            Command::DeleteJob { id: 1, expect: None },
            Command::PurgeDeadLetters { letters: vec![1] },
            Command::Conclude { answer: String::new() },
        ] {
            assert!(!adds(&passes) && !adds(&once(Box::new(passes.clone()))), "{passes:?}");
        }
        for refused in [
            jobs(JobAction::Resume),
            jobs(JobAction::Pause { until: None }),
            Command::ReplayDeadLetters { letters: vec![(1, 2)] },
        ] {
            assert!(adds(&refused) && adds(&once(Box::new(refused.clone()))), "{refused:?}");
        }
    }
}
