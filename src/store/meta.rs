//! The single facts: the cluster's id, log time, the counters that ids come from, raft's mark. Apply
//! counts through [`Tx`]; `raft::machine` sets the mark; everybody may read.

use rusqlite::types::{FromSql, Value};
use rusqlite::{Connection, OptionalExtension, params};

use super::writer::Tx;
use crate::model::Millis;

const CLUSTER: &str = "cluster";
const BORN: &str = "born";
const GENERATION: &str = "generation";
const LOG_TIME: &str = "log_time";
const ASSIGN_INDEX: &str = "assign_index";
const APPLIED: &str = "applied";
const HISTORY_DROPPED: &str = "history_dropped";
const HISTORY_BYTES: &str = "history_bytes";

/// The counters: each holds the last number it gave. Numbers are never given twice.
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
    /// Execution numbers: a record takes one for each member.
    Execution,
    /// Pending rows.
    Pending,
    /// Dead letters.
    DeadLetter,
    /// Named executors.
    Executor,
    /// Manual runs.
    Run,
}

/// How far counters go on after a restore: 10 days of 1,000 new jobs a second, and 2^53 (beyond which
/// `JavaScript` loses digits) is millions of restores away ...
pub const STEP: u64 = 1_000_000_000;
/// ... and executions, of which there are more: 11 days of a million a second.
const EXECUTIONS: u64 = 1_000_000_000_000;

const SEQUENCES: [(Sequence, &str); 10] = [
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
];

/// The numbers that change all the time, and what the file holds of them.
pub(super) struct Meta {
    now: Numbers,
    written: Numbers,
}

#[derive(Clone, Default, PartialEq, Eq)]
struct Numbers {
    log_time: Millis,
    assign_index: u64,
    history_bytes: i64,
    last: [u64; SEQUENCES.len()],
}

impl Meta {
    fn load(conn: &Connection) -> rusqlite::Result<Self> {
        let mut now = Numbers {
            log_time: log_time(conn)?,
            assign_index: assign_index(conn)?,
            history_bytes: get(conn, HISTORY_BYTES)?.unwrap_or(0),
            ..Numbers::default()
        };
        for (sequence, key) in SEQUENCES {
            now.last[sequence as usize] = get::<i64>(conn, key)?.unwrap_or(0) as u64;
        }
        Ok(Self { written: now.clone(), now })
    }

    pub(super) fn flush(&mut self, conn: &Connection) -> rusqlite::Result<()> {
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
}

impl Tx<'_> {
    fn meta(&mut self) -> rusqlite::Result<&mut Numbers> {
        if self.kept.meta.is_none() {
            self.kept.meta = Some(Meta::load(&self.sql)?);
        }
        // Filled two lines above.
        Ok(&mut self.kept.meta.as_mut().expect("the numbers were just loaded").now)
    }

    /// Carries log time on to `stamp`, or not back: the effective stamp of an entry.
    pub fn advance_log_time(&mut self, stamp: Millis) -> rusqlite::Result<Millis> {
        let meta = self.meta()?;
        meta.log_time = meta.log_time.max(stamp);
        Ok(meta.log_time)
    }

    /// Takes `n` numbers in a row; returns the first.
    pub fn take(&mut self, sequence: Sequence, n: u64) -> rusqlite::Result<u64> {
        let last = &mut self.meta()?.last[sequence as usize];
        let first = *last + 1;
        *last += n;
        Ok(first)
    }

    /// Carries every counter on to where no number can have been given since a backup was taken, at
    /// least [`STEP`] further; to a round number, so that people see what happened.
    pub fn raise_sequences(&mut self) -> rusqlite::Result<()> {
        let meta = self.meta()?;
        for (sequence, _) in SEQUENCES {
            let step = if sequence == Sequence::Execution { EXECUTIONS } else { STEP };
            let last = &mut meta.last[sequence as usize];
            *last = (*last + step).next_multiple_of(step);
        }
        Ok(())
    }

    /// Counts bytes of the history in (or out, below zero).
    pub(super) fn add_history(&mut self, by: i64) -> rusqlite::Result<()> {
        self.meta()?.history_bytes += by;
        Ok(())
    }

    /// Notes the entry that changed ownership last.
    pub fn set_assign_index(&mut self, index: u64) -> rusqlite::Result<()> {
        self.meta()?.assign_index = index;
        Ok(())
    }
}

/// The number that a dead letter was given last; 0 when none ever was.
pub fn last_dead_letter(conn: &Connection) -> rusqlite::Result<u64> {
    Ok(Meta::load(conn)?.now.last[Sequence::DeadLetter as usize])
}

/// The cluster's id; `None` before `Init`.
pub fn cluster_id(conn: &Connection) -> rusqlite::Result<Option<u128>> {
    Ok(get::<[u8; 16]>(conn, CLUSTER)?.map(u128::from_be_bytes))
}

/// When the cluster was born, in log time; `None` before `Init`.
pub fn born(conn: &Connection) -> rusqlite::Result<Option<Millis>> {
    get(conn, BORN)
}

/// Sets the cluster's id and birth; once.
pub fn set_birth(tx: &Tx<'_>, cluster: u128, stamp: Millis) -> rusqlite::Result<()> {
    put(&tx.sql, CLUSTER, cluster.to_be_bytes().to_vec())?;
    put(&tx.sql, BORN, stamp)
}

/// Which line of descent of the cluster this is: its id, until a quorum was lost and a survivor went
/// on alone under a new number; `None` before `Init`.
pub fn generation(conn: &Connection) -> rusqlite::Result<Option<u128>> {
    match get::<[u8; 16]>(conn, GENERATION)? {
        Some(bytes) => Ok(Some(u128::from_be_bytes(bytes))),
        None => cluster_id(conn),
    }
}

/// Begins a new line of descent; the cluster's id, and with it the ids of executions, stay.
pub fn set_generation(tx: &Tx<'_>, generation: u128) -> rusqlite::Result<()> {
    put(&tx.sql, GENERATION, generation.to_be_bytes().to_vec())
}

/// Log time after the last entry.
pub fn log_time(conn: &Connection) -> rusqlite::Result<Millis> {
    Ok(get(conn, LOG_TIME)?.unwrap_or(0))
}

/// The log index of the last entry that changed an assignment; 0 before the first.
pub fn assign_index(conn: &Connection) -> rusqlite::Result<u64> {
    Ok(get::<i64>(conn, ASSIGN_INDEX)?.unwrap_or(0) as u64)
}

/// About how many bytes the history takes.
pub(super) fn history_bytes(conn: &Connection) -> rusqlite::Result<u64> {
    Ok(get::<i64>(conn, HISTORY_BYTES)?.unwrap_or(0).max(0) as u64)
}

/// Records due at or before this instant may have been dropped; `None` while all are kept.
pub fn history_dropped(conn: &Connection) -> rusqlite::Result<Option<Millis>> {
    get(conn, HISTORY_DROPPED)
}

/// Notes that records due up to an instant were dropped.
pub(super) fn set_history_dropped(tx: &Tx<'_>, due: Millis) -> rusqlite::Result<()> {
    let before = history_dropped(tx)?.unwrap_or(Millis::MIN);
    put(&tx.sql, HISTORY_DROPPED, due.max(before))
}

/// The mark that raft left with the state, opaque here; `None` on an empty store.
pub fn applied(conn: &Connection) -> rusqlite::Result<Option<Vec<u8>>> {
    get(conn, APPLIED)
}

/// Leaves raft's mark, in the transaction of the change that it marks.
pub fn set_applied(tx: &Tx<'_>, mark: &[u8]) -> rusqlite::Result<()> {
    put(&tx.sql, APPLIED, mark.to_vec())
}

fn get<T: FromSql>(conn: &Connection, key: &str) -> rusqlite::Result<Option<T>> {
    conn.prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
}

fn put(conn: &Connection, key: &str, value: impl Into<Value>) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO meta (key, value) VALUES (?1, ?2)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )?
    .execute(params![key, value.into()])?;
    Ok(())
}
