//! The numbers that change with almost every command, and what the file holds of them: log time,
//! the sequences that ids come from, the index of the last assignment, the size of the history.
//! `db::tx` owns them; they never look at a clock.

use rusqlite::Connection;

use super::meta::{ASSIGN_INDEX, HISTORY_BYTES, LOG_TIME, assign_index, get, log_time, put};
use crate::model::Millis;

/// The sequences of ids: each holds the last number it gave. No number is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// Projects.
    Project,
    /// Jobs.
    Job,
    /// Definitions.
    Definition,
    /// Async tasks.
    Task,
    /// Credentials.
    Credential,
    /// Executions: an attempt record takes one number for each member.
    Execution,
    /// Pending rows.
    Pending,
    /// Dead letters.
    DeadLetter,
    /// Named executors.
    Executor,
    /// Manual runs.
    Run,
    /// Job templates.
    Template,
    /// Accounts; the first one came with the cluster.
    Account,
}

const SEQUENCES: [(Sequence, &str); 12] = [
    (Sequence::Project, "last_project"),
    (Sequence::Job, "last_job"),
    (Sequence::Definition, "last_shape"),
    (Sequence::Task, "last_task"),
    (Sequence::Credential, "last_credential"),
    (Sequence::Execution, "last_execution"),
    (Sequence::Pending, "last_pending"),
    (Sequence::DeadLetter, "last_dead_letter"),
    (Sequence::Executor, "last_executor"),
    (Sequence::Run, "last_run"),
    (Sequence::Template, "last_template"),
    (Sequence::Account, "last_account"),
];

/// The step of a sequence after a restore: 10 days of 1,000 new jobs a second. 2^53, beyond which
/// `JavaScript` loses digits, is millions of restores away.
pub const STEP: u64 = 1_000_000_000;
/// The step of executions, of which there are more: 11 days of a million a second.
const EXECUTION_STEP: u64 = 1_000_000_000_000;

impl Sequence {
    /// The last number that a sequence gave, as the file has it; 0 before the first.
    pub(in crate::store) fn last(self, conn: &Connection) -> rusqlite::Result<u64> {
        let (_, key) = SEQUENCES[self as usize];
        Ok(get::<i64>(conn, key)?.unwrap_or(0) as u64)
    }
}

/// The cached numbers.
pub(in crate::store) struct Numbers {
    now: Values,
    written: Values,
}

#[derive(Clone, Default, PartialEq, Eq)]
struct Values {
    log_time: Millis,
    assign_index: u64,
    history_bytes: i64,
    last: [u64; SEQUENCES.len()],
}

impl Numbers {
    /// Reads all of them from the file.
    pub(in crate::store) fn load(conn: &Connection) -> rusqlite::Result<Self> {
        let mut now = Values {
            log_time: log_time(conn)?,
            assign_index: assign_index(conn)?,
            history_bytes: get(conn, HISTORY_BYTES)?.unwrap_or(0),
            ..Values::default()
        };
        for (sequence, _) in SEQUENCES {
            now.last[sequence as usize] = sequence.last(conn)?;
        }
        Ok(Self { written: now.clone(), now })
    }

    /// Writes those that differ from the file.
    pub(in crate::store) fn flush(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        if self.now == self.written {
            return Ok(());
        }
        if self.now.log_time != self.written.log_time {
            put(conn, LOG_TIME, self.now.log_time)?;
        }
        if self.now.assign_index != self.written.assign_index {
            put(conn, ASSIGN_INDEX, self.now.assign_index as i64)?;
        }
        if self.now.history_bytes != self.written.history_bytes {
            put(conn, HISTORY_BYTES, self.now.history_bytes)?;
        }
        for (sequence, key) in SEQUENCES {
            let last = self.now.last[sequence as usize];
            if last != self.written.last[sequence as usize] {
                put(conn, key, last as i64)?;
            }
        }
        self.written = self.now.clone();
        Ok(())
    }

    /// Moves log time on to `stamp`, never back; the log time after that.
    pub(in crate::store) fn advance_log_time(&mut self, stamp: Millis) -> Millis {
        self.now.log_time = self.now.log_time.max(stamp);
        self.now.log_time
    }

    /// Takes `n` consecutive numbers of a sequence; the first of them.
    pub(in crate::store) fn take(&mut self, sequence: Sequence, n: u64) -> u64 {
        let last = &mut self.now.last[sequence as usize];
        let first = *last + 1;
        *last += n;
        first
    }

    /// Moves every sequence on by a step or more, to a round number that people recognize.
    pub(in crate::store) fn raise_sequences(&mut self) {
        for (sequence, _) in SEQUENCES {
            let step = if sequence == Sequence::Execution { EXECUTION_STEP } else { STEP };
            let last = &mut self.now.last[sequence as usize];
            *last = (*last + step).next_multiple_of(step);
        }
    }

    /// Adds bytes to the size of the history, or takes them away when `by` is negative.
    pub(in crate::store) fn add_history_bytes(&mut self, by: i64) {
        self.now.history_bytes += by;
    }

    /// Notes the log index of an entry that changed ownership.
    pub(in crate::store) fn set_assign_index(&mut self, index: u64) {
        self.now.assign_index = index;
    }
}
